"""Prompts and answers as attributes, recorded on request alone."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence

from ..completions.completion import Completion
from ..narrowing import is_list, is_mapping, list_or_empty, mapping_or_empty
from .attributes import Attributes

_VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_ON_SPANS = ("true", "span_only", "span_and_event")


def is_wanted() -> bool:
    """Return whether the environment asks for prompts and answers on spans."""
    return os.environ.get(_VARIABLE, "").strip().lower() in _ON_SPANS


def of_messages(messages: Sequence[Mapping[str, object]]) -> Attributes:
    """Return the prompt in the conventions' form: the system's instructions, and the other messages."""
    rules = [
        part
        for one in messages
        if one.get("role") in ("system", "developer")
        for part in _parts(one)
        if part["type"] == "text"
    ]
    chat = [
        {"role": one.get("role"), "parts": _parts(one)}
        for one in messages
        if one.get("role") not in ("system", "developer")
    ]
    found: Attributes = {"gen_ai.input.messages": _json(chat)}
    if rules:
        found["gen_ai.system_instructions"] = _json(rules)
    return found


def of_completion(completion: Completion) -> Attributes:
    """Return the answer in the conventions' form, each choice a message."""
    answers: list[dict[str, object]] = []
    for choice in list_or_empty(completion.get("choices")):
        one = mapping_or_empty(choice)
        message = mapping_or_empty(one.get("message"))
        answers.append({"role": "assistant", "parts": _parts(message), "finish_reason": one.get("finish_reason")})
    return {"gen_ai.output.messages": _json(answers)}


def _parts(message: Mapping[str, object]) -> list[dict[str, object]]:
    content = message.get("content")
    if message.get("role") == "tool":
        return [{"type": "tool_call_response", "id": message.get("tool_call_id"), "response": content}]
    parts: list[dict[str, object]] = []
    if isinstance(content, str):
        parts.append({"type": "text", "content": content})
    elif is_list(content):
        parts += [_part(part) for part in content if is_mapping(part)]
    for call in list_or_empty(message.get("tool_calls")):
        known, function = mapping_or_empty(call), mapping_or_empty(mapping_or_empty(call).get("function"))
        name, arguments = function.get("name"), function.get("arguments")
        parts.append({"type": "tool_call", "id": known.get("id"), "name": name, "arguments": arguments})
    return parts


def _part(part: Mapping[str, object]) -> dict[str, object]:
    if part.get("type") == "text":
        return {"type": "text", "content": part.get("text")}
    # Images and files may be megabytes; that there is one is what a reader of a trace needs.
    return {"type": str(part.get("type"))}


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
