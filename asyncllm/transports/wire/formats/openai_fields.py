"""The fields of OpenAI's answers and chunks, checked and put into one form, in place.

Every function raises AttributeError, TypeError or ValueError where a field has another type than it should and cannot
be read all the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ...json_values import is_object

# What servers of OpenAI's format say instead of its own words. Source: litellm's map of finish reasons.
FINISH_REASONS = {
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
}
# Some servers show a reasoning model's thoughts inside the text.
_THOUGHTS = re.compile(r"<(?:think|thinking|budget:thinking)>(.*?)</(?:think|thinking|budget:thinking)>(.*)", re.DOTALL)
_TEXT = (str, type(None))  # made once: these checks are made of every answer and of every chunk
_TEXTS = frozenset(("reasoning_content", "reasoning", "refusal"))
_PLAIN_DELTA = frozenset(("role", "content"))


def settle_head(data: dict[str, Any]) -> None:
    """Make texts of the id and the model; some servers send numbers."""
    for name in ("id", "model"):
        if not isinstance(data.get(name), _TEXT):
            data[name] = str(data[name])


def settle_choice(choice: dict[str, Any]) -> None:
    """Put one choice of a whole answer into the form that litellm gives it."""
    message: dict[str, Any] | None = choice.get("message")
    if message is None or type(message) is not dict:
        raise TypeError("a choice has no message")
    content = message.get("content")
    if not isinstance(content, _TEXT):
        _settle_parts(message, content)
    # A look at the first character spares nearly every answer the search.
    elif content and content[0] == "<" and "reasoning_content" not in message:
        thoughts = _THOUGHTS.match(content) if "reasoning" not in message else None
        if thoughts is not None:
            message["reasoning_content"], message["content"] = thoughts.groups()
    _check_texts(message)
    if message.get("tool_calls") is not None:
        _settle_calls(message["tool_calls"])
        for index, call in enumerate(message["tool_calls"]):
            call["id"] = call.get("id") or f"call_{index}"  # as of a stream
    reason = choice.get("finish_reason") or "stop"
    if not isinstance(reason, str):
        raise TypeError("finish_reason is no text")
    if reason == "stop" and message.get("tool_calls"):
        reason = "tool_calls"
    choice["finish_reason"] = FINISH_REASONS.get(reason, reason)


def check_delta(choice: dict[str, Any]) -> None:
    """Check that the delta of a choice can be put together with the others."""
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
    if not isinstance(content, _TEXT):
        _settle_parts(delta, content)
    if not delta.keys() <= _PLAIN_DELTA:
        _check_texts(delta)
        if delta.get("tool_calls") is not None:
            _settle_calls(delta["tool_calls"])


def check_usage(data: Mapping[str, object]) -> None:
    """Check that the usage of an answer, or of a chunk, is one."""
    usage = data.get("usage")
    if usage is not None and not isinstance(usage, dict):
        raise TypeError("usage is no object")


def take_groq_usage(chunk: dict[str, Any]) -> None:
    """Put the usage that Groq sends beside the last chunk's choices where the others have it."""
    beside: object = chunk["x_groq"]
    if is_object(beside) and is_object(beside.get("usage")):
        chunk["usage"] = beside["usage"]


def _settle_parts(message: dict[str, Any], parts: Any) -> None:
    """Replace content in parts by its text, and the thoughts among them by reasoning (Mistral).

    Parts of other kinds, such as references, stay beside it as `content_parts`.
    """
    if parts.__class__ is not list:  # not by isinstance, which would narrow it to a list of unknown values
        raise TypeError("content is neither text nor parts")
    texts: list[str] = []
    thoughts: list[str] = []
    others: list[object] = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
        elif part.get("type") == "thinking":
            thoughts.append(_text_of(part.get("thinking")))
        elif part.get("text") is not None:
            texts.append(_text_of(part["text"]))
        else:
            others.append(part)
    message["content"] = "".join(texts)
    if thoughts and not message.get("reasoning_content"):
        message["reasoning_content"] = "".join(thoughts)
    if others:
        message["content_parts"] = others


def _text_of(value: Any) -> str:
    """Return a text, or that of a list of parts."""
    return value if isinstance(value, str) else "".join(_text_of(part["text"]) for part in value or ())


def _check_texts(message: Mapping[str, object]) -> None:
    """Check the texts of a message beside its content."""
    for name, text in message.items():
        if text is not None and text.__class__ is not str and name in _TEXTS:
            raise TypeError(f"{name} is no text")


def _settle_calls(calls: list[dict[str, Any]]) -> None:
    """Check tool calls, or their deltas, and make texts of what some servers send as other values."""
    if type(calls) is not list:
        raise TypeError("tool_calls is no list")
    for call in calls:
        function: dict[str, Any] = call.get("function") or {}
        arguments = function.get("arguments")
        if isinstance(arguments, dict):
            function["arguments"] = json.dumps(arguments)
        elif arguments == []:
            function["arguments"] = "{}"  # PHP's empty object
        if type(call.get("id")) is int:
            call["id"] = str(call["id"])
        for text in (call.get("id"), function.get("name"), function.get("arguments")):
            if not isinstance(text, _TEXT):
                raise TypeError("a tool call is not made of texts")
