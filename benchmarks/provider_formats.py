"""The answers of the benchmarks' provider in Anthropic's and Gemini's formats, as bytes made in advance."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from .exchange import CONTACT, DESCRIBE, HELLO, HELLO_TEXT, INPUT_TOKENS, OUTPUT_TOKENS, TOKENS, counting

_ANTHROPIC_PATH = b"/v1/messages"
_GEMINI_PATHS = {b":generateContent": False, b":streamGenerateContent": True}


def is_anthropic(path: bytes) -> bool:
    """Return whether a path is that of Anthropic's Messages API."""
    return path.partition(b"?")[0].endswith(_ANTHROPIC_PATH)


def gemini_streams(path: bytes) -> bool | None:
    """Return whether a path of the Gemini API streams; None for one of another API."""
    name = path.partition(b"?")[0]
    return next((streams for end, streams in _GEMINI_PATHS.items() if name.endswith(end)), None)


def prompt_of(asked: dict[str, Any]) -> str:
    """Return the last text of a request in either format."""
    last = (asked.get("messages") or asked["contents"])[-1]
    content = last.get("content") or last["parts"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


@cache
def anthropic_answer(prompt: str, model: str, tool: str | None, *, typed: bool) -> dict[str, Any]:
    """Return a whole answer of Anthropic's; `tool` is the one to call with the contact."""
    if prompt not in (HELLO, DESCRIBE):
        raise ValueError(f"no answer for {prompt!r}")
    text = json.dumps(CONTACT) if typed else HELLO_TEXT
    content: dict[str, Any] = {"type": "text", "text": text}
    if tool is not None:
        content = {"type": "tool_use", "id": "toolu_1", "name": tool, "input": CONTACT}
    return {
        **_message(model),
        "content": [content],
        "stop_reason": "end_turn" if tool is None else "tool_use",
        "stop_sequence": None,
        "usage": _anthropic_usage(OUTPUT_TOKENS),
    }


@cache
def anthropic_events(prompt: str, model: str) -> tuple[dict[str, Any], ...]:
    """Return the events of a stream of Anthropic's."""
    start = {**_message(model), "content": [], "stop_reason": None, "stop_sequence": None, "usage": _anthropic_usage(1)}
    block = {"type": "text", "text": ""}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": block},
    ]
    for piece in counting(prompt).pieces:
        delta = {"type": "text_delta", "text": piece}
        events.append({"type": "content_block_delta", "index": 0, "delta": delta})
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    return (
        *events,
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": end, "usage": {"output_tokens": OUTPUT_TOKENS}},
        {"type": "message_stop"},
    )


@cache
def gemini_answer(prompt: str, model: str) -> dict[str, Any]:
    """Return a whole answer of Gemini's."""
    if prompt != HELLO:
        raise ValueError(f"no answer for {prompt!r}")
    return _gemini_part(HELLO_TEXT, model, "STOP")


@cache
def gemini_events(prompt: str, model: str) -> tuple[dict[str, Any], ...]:
    """Return the events of a stream of Gemini's."""
    pieces = counting(prompt).pieces
    return tuple(_gemini_part(piece, model, "STOP" if piece == pieces[-1] else None) for piece in pieces)


def _message(model: str) -> dict[str, Any]:
    return {"id": "msg_benchmark", "type": "message", "role": "assistant", "model": model}


def _anthropic_usage(output_tokens: int) -> dict[str, Any]:
    return {
        "input_tokens": INPUT_TOKENS,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": output_tokens,
        "service_tier": "standard",
    }


def _gemini_part(text: str, model: str, reason: str | None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    if reason is not None:
        candidate["finishReason"] = reason
    usage = {"promptTokenCount": INPUT_TOKENS, "candidatesTokenCount": OUTPUT_TOKENS, "totalTokenCount": TOKENS}
    return {
        "candidates": [candidate],
        "usageMetadata": usage,
        "modelVersion": model,
        "responseId": "benchmark",
    }
