"""The tokens of an answer, and how well they are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal, cast

Basis = Literal["known", "estimated", "unknown"]
"""The origin of a figure: reported by the provider, estimated here, or unknown."""


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens of an answer; None where unknown.

    Attributes:
        input_tokens: All tokens of the prompt, cached ones included.
        output_tokens: All tokens of the answer, reasoning included.
        cached_tokens: The part of `input_tokens` read from the provider's cache.
        cache_write_tokens: The part of `input_tokens` written to the provider's cache.
        cache_write_1h_tokens: The part of `cache_write_tokens` that is kept for an hour rather than minutes.
        reasoning_tokens: The part of `output_tokens` spent on reasoning.
        audio_input_tokens: The part of `input_tokens` that is audio.
        audio_output_tokens: The part of `output_tokens` that is audio.
        web_searches: Searches that the provider made for the answer, and charges beside the tokens.
        basis: Whether these numbers are known, estimated or unknown.

    Example:
        ```python
        usage = (await llm.acompletion("Name a colour.")).usage
        print(usage.input_tokens, usage.cached_tokens, usage.output_tokens, usage.basis)
        ```
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    audio_input_tokens: int | None = None
    audio_output_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    web_searches: int | None = None
    basis: Basis = "unknown"

    @property
    def total_tokens(self) -> int | None:
        """Input and output together; None when either is unknown."""
        if self.input_tokens is None or self.output_tokens is None:
            return None
        return self.input_tokens + self.output_tokens

    @classmethod
    def from_dict(cls, data: Mapping[str, object] | None, basis: Basis = "known") -> Usage:
        """Read the `usage` object of a chat completion; one that is absent, empty or nonsense is unknown."""
        sent = _count(data, "prompt_tokens") if data else None
        if not data or sent is None:
            return UNKNOWN_USAGE
        received = _count(data, "completion_tokens")
        if data.keys().isdisjoint(_FINER):
            return cls(sent, received, basis=basis)  # most servers but the largest providers' say no more
        prompt, output = _details(data, "prompt_tokens_details"), _details(data, "completion_tokens_details")
        cached, written = _count(prompt, "cached_tokens"), _count(data, "cache_creation_input_tokens")
        kept = _details(prompt, "cache_creation_token_details")
        searched = _details(data, "server_tool_use")
        return cls(
            input_tokens=sent,
            output_tokens=received,
            cached_tokens=_count(data, "cache_read_input_tokens") if cached is None else cached,
            cache_write_tokens=_count(prompt, "cache_creation_tokens") if written is None else written,
            reasoning_tokens=_count(output, "reasoning_tokens"),
            audio_input_tokens=_count(prompt, "audio_tokens"),
            audio_output_tokens=_count(output, "audio_tokens"),
            cache_write_1h_tokens=_count(kept, "ephemeral_1h_input_tokens") if kept else None,
            web_searches=_count(searched, "web_search_requests") if searched else None,
            basis=basis,
        )

    def to_dict(self) -> dict[str, object]:
        """Return the known numbers and the basis, for a log or a file."""
        known: dict[str, object] = {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}
        if self.total_tokens is not None:
            known["total_tokens"] = self.total_tokens
        return known

    def __add__(self, other: Usage) -> Usage:
        """Add two usages; an unknown number adds nothing, and the sum is as well known as its lesser part."""
        numbers = {
            f.name: _sum(getattr(self, f.name), getattr(other, f.name)) for f in fields(self) if f.name != "basis"
        }
        return Usage(**numbers, basis=_worse(self.basis, other.basis))


_NOTHING: Mapping[str, object] = {}


_FINER = (
    "prompt_tokens_details",
    "completion_tokens_details",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "server_tool_use",
)


_BASES: tuple[Basis, ...] = ("known", "estimated", "unknown")


UNKNOWN_USAGE = Usage()


def _count(data: Mapping[str, object], name: str) -> int | None:
    """Return a count of tokens; None where it is missing, or is no count."""
    value = data.get(name)
    if value is None:
        return None
    if type(value) is int:  # not by isinstance, which takes longer and would take True for 1
        return value if value >= 0 else None
    return int(value) if isinstance(value, float) and 0 <= value < float("inf") else None


def _details(data: Mapping[str, object], name: str) -> Mapping[str, object]:
    details = data.get(name)
    return cast(dict[str, object], details) if isinstance(details, dict) else _NOTHING


def _sum(a: int | None, b: int | None) -> int | None:
    if a is None or b is None:
        return b if a is None else a
    return a + b


def _worse(a: Basis, b: Basis) -> Basis:
    return _BASES[max(_BASES.index(a), _BASES.index(b))]
