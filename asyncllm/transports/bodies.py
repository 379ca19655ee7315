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


def error_in(data: Mapping[str, object]) -> Mapping[str, object] | None:
    """Return the part of an answer or event that holds an error: itself, or with OpenRouter its first choice."""
    if data.get("error"):
        return data
    choices = data.get("choices")
    first = choices[0] if is_array(choices) and choices else None
    return first if is_object(first) and first.get("error") else None


def read_error(data: Mapping[str, object], secrets: tuple[str, ...]) -> AsyncLLMError:
    """Make the error of a body that came with the status of an answer, by its code where that is a status."""
    error, why = _hidden_error(data, secrets)
    return error or MalformedResponseError(f"the provider said 200 and sent an error: {why}.", status_code=200)


def read_error_event(data: Mapping[str, object], secrets: tuple[str, ...]) -> AsyncLLMError:
    """Make the error that a provider sends in the middle of a stream, by its code where that is a status."""
    error, why = _hidden_error(data, secrets)
    return error or StreamInterruptedError(f"the provider broke the stream off: {why}.")


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


def _hidden_error(data: Mapping[str, object], secrets: tuple[str, ...]) -> tuple[AsyncLLMError | None, str]:
    """Return the error of a body when its code is a status, and its message."""
    said = data["error"]
    code = said.get("code") if is_object(said) else None
    status = code if isinstance(code, int) and 400 <= code < 600 else None
    error = failure(status or 500, json.dumps(data), secrets=secrets)
    return (error, "") if status is not None else (None, error.message.removesuffix(" (HTTP 500)").rstrip("."))
