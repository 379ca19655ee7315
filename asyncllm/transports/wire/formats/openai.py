"""OpenAI's chat completions: answers and chunks, checked and read as litellm reads them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, cast

from asyncllm.errors import AsyncLLMError, MalformedResponseError

from ...bodies import WRONG_TYPES, decode, error_in, read_error, read_error_event, start_of, unreadable_event
from ...json_values import is_array

_DONE = b"[DONE]"
# Some servers show a reasoning model's thoughts inside the text.
_THOUGHTS = re.compile(r"<(?:think|thinking|budget:thinking)>(.*?)</(?:think|thinking|budget:thinking)>(.*)", re.DOTALL)
# What servers of OpenAI's format say instead of its own words. Source: litellm's map of finish reasons.
_FINISH_REASONS = {
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
}
_TEXT = (str, type(None))  # made once: these checks are made of every answer and of every chunk


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
    said = error_in(data)
    if said is not None:
        raise read_error(said, secrets)
    choices: list[dict[str, Any]] | None = data.get("choices")
    if not choices or type(choices) is not list:
        raise _no_answer(body)
    try:
        for choice in choices:
            _settle(choice)
        _check_usage(data)
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
    """

    __slots__ = ("_calls_tools", "_open_choices", "_secrets", "has_begun", "has_ended")

    def __init__(self, secrets: tuple[str, ...] = (), choices: int = 1) -> None:
        self.has_begun = False
        self.has_ended = False
        self._secrets = secrets
        self._open_choices = choices
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
            _check_usage(chunk)
        if choices:
            self._check_choices(choices, event)
        elif "choices" not in chunk and "usage" not in chunk:
            return None
        if chunk:
            self.has_begun = True
        return chunk

    def _check_choices(self, choices: list[dict[str, Any]], event: bytes) -> None:
        if not self._calls_tools:
            self._calls_tools = b'"tool_calls"' in event
        for choice in choices:
            _check_delta(choice)
            reason: str | None = choice.get("finish_reason")
            if reason:
                self._open_choices -= 1
                reason = "tool_calls" if reason == "stop" and self._calls_tools else reason
                choice["finish_reason"] = _FINISH_REASONS.get(reason, reason)

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


def _settle(choice: dict[str, Any]) -> None:
    """Put one choice of a whole answer into the form that litellm gives it, in place."""
    message: dict[str, Any] | None = choice.get("message")
    if message is None or type(message) is not dict:
        raise MalformedResponseError("the provider's answer has a choice without a message.", status_code=200)
    content = message.get("content")
    if content is not None and not isinstance(content, str | list):
        raise TypeError("content is neither text nor parts")
    # A look at the first character spares nearly every answer the search.
    if isinstance(content, str) and content[:1] == "<" and "reasoning_content" not in message:
        thoughts = _THOUGHTS.match(content) if "reasoning" not in message else None
        if thoughts is not None:
            message["reasoning_content"], message["content"] = thoughts.groups()
    _check_texts(message)
    if message.get("tool_calls") is not None:
        _check_calls(message["tool_calls"])
    reason = choice.get("finish_reason") or "stop"
    if reason == "stop" and message.get("tool_calls"):
        reason = "tool_calls"
    choice["finish_reason"] = _FINISH_REASONS.get(reason, str(reason))


def _check_delta(choice: dict[str, Any]) -> None:
    """Check that the delta of a choice can be put together with the others.

    Raises:
        AttributeError, TypeError: It cannot.
    """
    index = choice.get("index")
    if index.__class__ is not int and index is not None:
        raise TypeError("the index of a choice is no number")
    reason, logprobs = choice.get("finish_reason"), choice.get("logprobs")
    if reason is not None and not isinstance(reason, str):
        raise TypeError("finish_reason is no text")
    if logprobs is not None and not isinstance(logprobs, dict):
        raise TypeError("logprobs is no object")
    delta: dict[str, Any] | None = choice.get("delta")
    if delta is None:
        return
    content = delta.get("content")
    if content is not None and not isinstance(content, str | list):
        raise TypeError("content is neither text nor parts")
    if len(delta) > 2:  # more than a role and a content
        _check_texts(delta)
        if delta.get("tool_calls") is not None:
            _check_calls(delta["tool_calls"])


def _check_texts(message: Mapping[str, object]) -> None:
    """Check the texts of a message beside its content."""
    for name in ("reasoning_content", "reasoning", "refusal"):
        if not isinstance(message.get(name), _TEXT):
            raise TypeError(f"{name} is no text")


def _check_calls(calls: list[dict[str, Any]]) -> None:
    """Check tool calls, or their deltas, and encode arguments that were sent as an object."""
    if type(calls) is not list:
        raise TypeError("tool_calls is no list")
    for call in calls:
        function: dict[str, Any] = call.get("function") or {}
        if isinstance(function.get("arguments"), dict):
            function["arguments"] = json.dumps(function["arguments"])  # some servers send them decoded
        for text in (call.get("id"), function.get("name"), function.get("arguments")):
            if not isinstance(text, _TEXT):
                raise TypeError("a tool call is not made of texts")


def _check_usage(data: Mapping[str, object]) -> None:
    """Check that the usage of an answer, or of a chunk, is one."""
    if not isinstance(data.get("usage"), dict | None):
        raise TypeError("usage is no object")
