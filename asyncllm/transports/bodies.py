"""JSON bodies, encoded and decoded, and the errors that come with the status of an answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pydantic_core

from ..errors import AsyncLLMError, MalformedResponseError, StreamInterruptedError
from .errors import describe, failure, unreadable_failure
from .json_values import is_array, is_object

WRONG_TYPES = (AttributeError, TypeError, ValueError)
"""Raised by reading an answer in which something has another type than it should."""


def encode(body: Mapping[str, object]) -> bytes:
    """Encode a body.

    Raises:
        TypeError: It holds what JSON cannot express.
    """
    try:
        return pydantic_core.to_json(body)
    except (ValueError, pydantic_core.PydanticSerializationError):
        # A lone surrogate, which JSON has an escape for; or an object that it cannot express at all.
        return json.dumps(body).encode()


def decode(data: bytes) -> Any:
    """Decode JSON; what the fast decoder refuses (a lone surrogate, a byte order mark) is read by the standard one.

    Raises:
        ValueError: It is no JSON, or nested more deeply than any answer.
    """
    try:
        return pydantic_core.from_json(data, allow_inf_nan=False)
    except ValueError as error:
        if "recursion limit" in str(error):
            raise
        return json.loads(data.decode("utf-8-sig"))


def as_chunk(answer: Mapping[str, object]) -> dict[str, object]:
    """Return a whole answer in the chat-completions form as the only chunk of a stream."""
    choices: Any = answer["choices"]
    return {**answer, "object": "chat.completion.chunk", "choices": [_as_delta(choice) for choice in choices]}


def error_in(data: Mapping[str, object]) -> Mapping[str, object] | None:
    """Return the part of an answer or event that holds an error: itself, or with OpenRouter its first choice."""
    if data.get("error"):
        return data
    choices = data.get("choices")
    first = choices[0] if is_array(choices) and choices else None
    return first if is_object(first) and first.get("error") else None


def read_error(data: Mapping[str, object], secrets: tuple[str, ...]) -> AsyncLLMError:
    """Make the error of a body that came with the status of an answer, by its code where that is a status."""
    return hidden_error(data, _code_of(data), secrets)


def read_error_event(data: Mapping[str, object], secrets: tuple[str, ...]) -> AsyncLLMError:
    """Make the error that a provider sends in the middle of a stream, by its code where that is a status."""
    return hidden_error(data, _code_of(data), secrets, has_begun=True)


def hidden_error(
    data: Mapping[str, object], status: int | None, secrets: tuple[str, ...], *, has_begun: bool = False
) -> AsyncLLMError:
    """Make the error of a body or event that came with status 200.

    Args:
        data: The body or event.
        status: The status that it would have had; None when it does not say.
        secrets: Texts that must not occur in the error.
        has_begun: Whether a chunk of the answer has come.
    """
    made = failure(status or 500, json.dumps(data), secrets=secrets)
    if status is not None:
        return made
    why = made.message.removesuffix(" (HTTP 500)").rstrip(".")
    if has_begun:
        return StreamInterruptedError(f"the provider broke the stream off: {why}.")
    return MalformedResponseError(f"the provider said 200 and sent an error: {why}.", status_code=200)


def unreadable_event(error: Exception, event: bytes, *, has_begun: bool) -> AsyncLLMError:
    """Make the error of an event that cannot be read.

    Args:
        error: What reading it raised.
        event: Its data.
        has_begun: Whether a part of the answer had come.
    """
    if has_begun:
        return StreamInterruptedError(f"the stream is broken: {describe(error).rstrip('.')}.")
    return unreadable_failure(f"{describe(error)}, in {start_of(event)}", status=200)


def no_end(start: bytes, *, has_begun: bool, status: int | None = 200) -> AsyncLLMError:
    """Make the error of a stream that ended early.

    Args:
        start: The beginning of its body.
        has_begun: Whether a part of the answer had come.
        status: The status on the wire.
    """
    if has_begun:
        return StreamInterruptedError("the stream ended without its end: the connection was cut.")
    return unreadable_failure(f"a stream was asked for, and it has {start_of(start)}", status=status)


def start_of(body: bytes) -> str:
    """Return the beginning of a body, to be shown in a message."""
    text = " ".join(body[:200].decode("utf-8", "replace").split())
    return repr(text) if text else "an empty body"


def _as_delta(choice: Mapping[str, Any]) -> dict[str, object]:
    delta: dict[str, Any] = dict(choice["message"])
    if delta.get("tool_calls"):
        delta["tool_calls"] = [{**call, "index": index} for index, call in enumerate(delta["tool_calls"])]
    return {**{name: value for name, value in choice.items() if name != "message"}, "delta": delta}


def _code_of(data: Mapping[str, object]) -> int | None:
    said = data["error"]
    code = said.get("code") if is_object(said) else None
    return code if isinstance(code, int) and 400 <= code < 600 else None
