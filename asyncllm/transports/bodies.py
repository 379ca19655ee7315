"""Bodies on the wire: requests encoded, answers decoded and put into the form that litellm gives them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pydantic_core

from ..errors import AsyncLLMError, MalformedResponseError, StreamInterruptedError
from .base import Call
from .errors import failure

# Some servers show a reasoning model's thoughts inside of the text.
_THOUGHTS = re.compile(r"<(?:think|thinking|budget:thinking)>(.*?)</(?:think|thinking|budget:thinking)>(.*)", re.DOTALL)
# What servers of OpenAI's format say instead of its own words. Source: litellm's map of finish reasons.
FINISH_REASONS = {
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
}


def encode(body: Mapping[str, Any], head: bytes = b"") -> bytes:
    """Encode a request's body.

    Args:
        body: The body.
        head: All of it but for the messages, encoded already; empty where it is not.

    Raises:
        TypeError: When it holds what JSON cannot say.
    """
    try:
        if head:
            return b'%b,"messages":%b}' % (head, pydantic_core.to_json(body["messages"]))
        return pydantic_core.to_json(body)
    except (ValueError, pydantic_core.PydanticSerializationError):
        # A lone surrogate, which JSON can say in an escape; or an object that it cannot say at all.
        return json.dumps(body).encode()


def encode_stream(body: Mapping[str, Any], *, asks_usage: bool) -> bytes:
    """Encode the body of a request for a stream, with its usage where that has to be asked for."""
    if not asks_usage:
        return encode({**body, "stream": True})
    options = {"include_usage": True, **(body.get("stream_options") or {})}
    return encode({**body, "stream": True, "stream_options": options})


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


def read_answer(body: bytes, call: Call) -> dict[str, Any]:
    """Decode a whole answer.

    Raises:
        ProviderError: It is an error that came with the status of an answer.
        MalformedResponseError: It is no answer.
    """
    try:
        data = decode(body)
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise _no_answer(body)
    choices = data.get("choices")
    said = error_in(data)
    if said is not None:
        raise read_error(said, call)
    if not isinstance(choices, list) or not choices:
        raise _no_answer(body)
    try:
        for choice in choices:
            settle(choice)
        check_usage(data)
    except WRONG_TYPES:
        raise _no_answer(body) from None
    return data


_TEXT = (str, type(None))  # made once: these checks are made of every answer and of every chunk
WRONG_TYPES = (AttributeError, TypeError, ValueError)
"""What reading an answer raises when something in it is not of the type that it should be."""


def settle(choice: dict[str, Any]) -> None:
    """Put one choice of a whole answer into the form that litellm gives it, in place."""
    message = choice.get("message")
    if not isinstance(message, dict):
        raise MalformedResponseError("the provider's answer has a choice without a message.", status_code=200)
    content = message.get("content")
    if content is not None and not isinstance(content, str | list):
        raise TypeError("content is neither text nor parts")
    # A look at the first character spares nearly every answer the search.
    if isinstance(content, str) and content[:1] == "<" and "reasoning_content" not in message:
        thoughts = _THOUGHTS.match(content) if "reasoning" not in message else None
        if thoughts is not None:
            message["reasoning_content"], message["content"] = thoughts.groups()
    check_texts(message)
    if message.get("tool_calls") is not None:
        check_calls(message["tool_calls"])
    reason = choice.get("finish_reason") or "stop"
    if reason == "stop" and message.get("tool_calls"):
        reason = "tool_calls"
    choice["finish_reason"] = FINISH_REASONS.get(reason, str(reason))


def check_delta(choice: dict[str, Any]) -> None:
    """Check that the delta of a choice is one that can be put together with the others.

    Raises:
        AttributeError, TypeError: It is not.
    """
    index = choice.get("index")
    if index.__class__ is not int and index is not None:
        raise TypeError("the index of a choice is no number")
    reason, logprobs = choice.get("finish_reason"), choice.get("logprobs")
    if reason is not None and not isinstance(reason, str):
        raise TypeError("finish_reason is no text")
    if logprobs is not None and not isinstance(logprobs, dict):
        raise TypeError("logprobs is no object")
    delta = choice.get("delta")
    if delta is None:
        return
    content = delta.get("content")
    if content is not None and not isinstance(content, str | list):
        raise TypeError("content is neither text nor parts")
    if len(delta) > 2:  # more than a role and a content
        check_texts(delta)
        if delta.get("tool_calls") is not None:
            check_calls(delta["tool_calls"])


def check_texts(message: Mapping[str, Any]) -> None:
    """Check the texts of a message beside its content."""
    for name in ("reasoning_content", "reasoning", "refusal"):
        if not isinstance(message.get(name), _TEXT):
            raise TypeError(f"{name} is no text")


def check_calls(calls: Any) -> None:
    """Check tool calls, or their deltas, and put their arguments into the form that litellm gives them."""
    if not isinstance(calls, list):
        raise TypeError("tool_calls is no list")
    for call in calls:
        function = call.get("function") or {}
        if isinstance(function.get("arguments"), dict):
            function["arguments"] = json.dumps(function["arguments"])  # some servers send them decoded
        for text in (call.get("id"), function.get("name"), function.get("arguments")):
            if not isinstance(text, _TEXT):
                raise TypeError("a tool call is not made of texts")


def check_usage(data: Mapping[str, Any]) -> None:
    """Check that the usage of an answer, or of a chunk, is one."""
    if not isinstance(data.get("usage"), dict | None):
        raise TypeError("usage is no object")


def _no_answer(body: bytes) -> MalformedResponseError:
    return MalformedResponseError(f"the provider said 200 and sent no answer: {start_of(body)}.", status_code=200)


def error_in(data: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what of an answer or event holds an error in its place: itself, or with OpenRouter its first choice."""
    if data.get("error"):
        return data
    choices = data.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) and first.get("error") else None


def read_error(data: Mapping[str, Any], call: Call) -> AsyncLLMError:
    """Make the error of a body that came with the status of an answer, by its code where that is a status."""
    status = _status_in(data)
    said = failure(status or 500, json.dumps(data), secrets=call.secrets())
    if status is not None:
        return said
    message = said.message.removesuffix(" (HTTP 500)").rstrip(".")
    return MalformedResponseError(f"the provider said 200 and sent an error: {message}.", status_code=200)


def read_error_event(chunk: Mapping[str, Any], call: Call) -> AsyncLLMError:
    """Make the error that a provider sends in the middle of a stream, by its code where that is a status."""
    status = _status_in(chunk)
    said = failure(status or 500, json.dumps(chunk), secrets=call.secrets())
    if status is not None:
        return said
    why = said.message.removesuffix(" (HTTP 500)").rstrip(".")
    return StreamInterruptedError(f"the provider broke the stream off: {why}.")


def start_of(body: bytes) -> str:
    """Return the beginning of a body, to be shown in a message."""
    text = " ".join(body[:200].decode("utf-8", "replace").split())
    return repr(text) if text else "an empty body"


def _status_in(data: Mapping[str, Any]) -> int | None:
    error = data["error"]
    code = error.get("code") if isinstance(error, Mapping) else None
    return code if isinstance(code, int) and 400 <= code < 600 else None
