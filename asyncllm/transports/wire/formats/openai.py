"""OpenAI's chat completions: answers and chunks, checked and read as litellm reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from asyncllm.errors import AsyncLLMError, MalformedResponseError

from ...bodies import WRONG_TYPES, as_chunk, decode, error_in, read_error, read_error_event, start_of, unreadable_event
from ...json_values import is_array
from .openai_fields import FINISH_REASONS, check_delta, check_usage, settle_choice, settle_head, take_groq_usage
from .text_events import TextEvents

_DONE = b"[DONE]"


def read_answer(body: bytes, secrets: tuple[str, ...] = ()) -> dict[str, object]:
    """Decode a whole answer.

    Args:
        body: The body as it came.
        secrets: Texts that must not occur in an error.

    Raises:
        ProviderError: It is an error that came with the status of an answer.
        MalformedResponseError: It is no answer.
    """
    data: dict[str, Any] | None
    try:
        data = decode(body)
    except ValueError:
        data = None
    if data is None or type(data) is not dict:
        raise _no_answer(body)
    choices: list[dict[str, Any]] | None = data.get("choices")
    if b'"error"' in body and (said := error_in(data)) is not None:
        raise read_error(said, secrets)
    if not choices or type(choices) is not list:
        raise _no_answer(body)
    try:
        settle_head(data)
        for choice in choices:
            settle_choice(choice)
        check_usage(data)
    except WRONG_TYPES:
        raise _no_answer(body) from None
    return data


class ChunkReader:
    """Reads the events of one stream.

    Args:
        secrets: Texts that must not occur in an error.
        choices: How many choices the answer has.

    Attributes:
        has_begun: Whether a part of the answer has come.
        has_ended: Whether the mark of the end has come.
        texts: Makes the chunks of events that bring a text and nothing else.
    """

    __slots__ = ("_calls_tools", "_open_choices", "_secrets", "has_begun", "has_ended", "texts")

    def __init__(self, secrets: tuple[str, ...] = (), choices: int = 1) -> None:
        self.has_begun = False
        self.has_ended = False
        self._secrets = secrets
        self._open_choices = choices
        self.texts = TextEvents("content", lambda event: event["choices"][0]["delta"])
        self._calls_tools = False  # some servers end such an answer with `stop`

    @property
    def is_whole(self) -> bool:
        """Whether every choice has ended; some servers leave out the mark of the end."""
        return self._open_choices <= 0

    def feed(self, data: bytes) -> list[dict[str, object]]:
        """Decode an event into its chunk; empty when it is no part of an answer.

        Raises:
            AsyncLLMError: It is an error, or no chunk.
        """
        if data == _DONE:
            self.has_ended = True
            return []
        try:
            chunk = self._read(data) if data else None
        except WRONG_TYPES as error:
            caught = unreadable_event(error, data, has_begun=self.has_begun)
        else:
            return [chunk] if chunk else []
        raise caught

    def _read(self, event: bytes) -> dict[str, object] | None:
        chunk: dict[str, Any] = decode(event)
        if type(chunk) is not dict:
            chunk = _first_object(chunk, event)
        choices: list[dict[str, Any]] | None = chunk.get("choices")
        if choices and type(choices) is not list:
            raise TypeError("choices is no list")
        # OpenRouter sends an error with a choice, whose end would be taken for that of the answer.
        if chunk.get("error") or (choices and choices[0].get("error")):
            raise self._error(chunk)
        if chunk.get("usage") is not None:
            check_usage(chunk)
        elif "x_groq" in chunk:
            take_groq_usage(chunk)
        if not self.has_begun:
            settle_head(chunk)
            if choices and choices[0].get("delta") is None and choices[0].get("message") is not None:
                return self._whole(chunk, choices)
        if choices:
            self._check_choices(choices, event)
            if self.has_begun:
                self.texts.learn(event, chunk)
        elif "choices" not in chunk and "usage" not in chunk:
            return None
        if chunk:
            self.has_begun = True
        return chunk

    def _whole(self, answer: dict[str, Any], choices: list[dict[str, Any]]) -> dict[str, object]:
        """Return the chunk of an event that holds the whole answer."""
        for choice in choices:
            settle_choice(choice)
        self.has_begun, self._open_choices = True, 0
        return as_chunk(answer)

    def _check_choices(self, choices: list[dict[str, Any]], event: bytes) -> None:
        if not self._calls_tools:
            self._calls_tools = b'"tool_calls"' in event
        for choice in choices:
            check_delta(choice)
            reason: str | None = choice.get("finish_reason")
            if reason:
                self._open_choices -= 1
                reason = "tool_calls" if reason == "stop" and self._calls_tools else reason
                choice["finish_reason"] = FINISH_REASONS.get(reason, reason)

    def _error(self, chunk: Mapping[str, object]) -> AsyncLLMError:
        return (read_error_event if self.has_begun else read_error)(error_in(chunk) or chunk, self._secrets)


def _first_object(decoded: object, event: bytes) -> dict[str, Any]:
    """Return the object in an array, in which Gemini wraps its errors."""
    first = decoded[0] if is_array(decoded) and decoded else None
    if not isinstance(first, dict):
        raise ValueError(f"an event is no object: {start_of(event)}")
    return cast("dict[str, Any]", first)


def _no_answer(body: bytes) -> MalformedResponseError:
    return MalformedResponseError(f"the provider said 200 and sent no answer: {start_of(body)}.", status_code=200)
