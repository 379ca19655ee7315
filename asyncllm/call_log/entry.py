"""LoggedCall: one call, as it stands in the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields


@dataclass(slots=True)
class LoggedCall:
    """One call; None where something is unknown or does not apply.

    Attributes:
        at: Its start, Unix time in seconds.
        profile: The profile that was asked for.
        model: The model that served it, or was tried last.
        provider: litellm's name of its provider.
        transport: `wire`, `litellm` or `cache`.
        status: `answered`, `failed`, `interrupted` (a stream after its first chunk) or `cancelled`.
        elapsed_s: Seconds to its end, waits included.
        first_token_s: Seconds to the first chunk of a stream.
        attempts: The number of requests that were sent.
        request_id: The provider's id of the answer.
        input_tokens: Tokens of the prompt.
        output_tokens: Tokens of the answer.
        cached_tokens: Tokens of the prompt that the provider had in its cache.
        reasoning_tokens: Tokens of the answer spent on reasoning.
        cost_usd: The cost of the answer in US dollars; 0 for one of the cache.
        saved_usd: What an answer of the cache cost when it was asked for, in US dollars.
        finish_reason: Why the model stopped.
        error: The name of the error class.
        message: The message of the error.
        tenant: Whom it was made for.
        params: The parameters of the call, without headers.
        messages: The prompt, with `log_prompts`.
        answer: The answer's message, with `log_prompts`.
        id: Its number in the log; None in a folder of JSON Lines.
    """

    at: float
    profile: str
    model: str
    provider: str
    transport: str
    status: str
    elapsed_s: float
    first_token_s: float | None = None
    attempts: int = 0
    request_id: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_usd: float | None = None
    saved_usd: float | None = None
    finish_reason: str | None = None
    error: str | None = None
    message: str | None = None
    tenant: str | None = None
    params: Mapping[str, object] | None = None
    messages: Sequence[Mapping[str, object]] | None = None
    answer: Mapping[str, object] | None = None
    id: int | None = None

    def to_dict(self) -> dict[str, object]:
        """Return what is known, as plain data."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}

    @property
    def prompt_text(self) -> str:
        """The texts of the prompt; empty where it is not in the log."""
        return "\n".join(text for message in self.messages or () for text in _texts(message.get("content")))

    @property
    def answer_text(self) -> str:
        """The text of the answer; empty where it is not in the log."""
        return "\n".join(_texts((self.answer or {}).get("content")))


FIELDS = tuple(f.name for f in fields(LoggedCall) if f.name != "id")


def _texts(content: object) -> list[str]:
    if isinstance(content, str):
        return [content]
    if not isinstance(content, list):
        return []
    texts: list[str] = []
    for part in content:  # pyright: ignore[reportUnknownVariableType]
        if isinstance(part, dict) and isinstance(text := part.get("text"), str):  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
            texts.append(text)
    return texts
