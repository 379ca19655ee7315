"""Answers of Anthropic's, whole and as the events of a stream."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

USAGE: Mapping[str, Any] = {"input_tokens": 20, "output_tokens": 8}
TEXT = {"type": "text", "text": "Paris is the capital."}
THINKING = {"type": "thinking", "thinking": "France, so Paris.", "signature": "c2lnbmF0dXJl"}
REDACTED = {"type": "redacted_thinking", "data": "b3BhcXVl"}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Köln", "days": [1, 2]}}
CALL_2 = {"type": "tool_use", "id": "toolu_2", "name": "get_time", "input": {}}
SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "capital"}}
FOUND = {
    "type": "web_search_tool_result",
    "tool_use_id": "srvtoolu_1",
    "content": [{"type": "web_search_result", "url": "https://example.com", "title": "A", "encrypted_content": "x"}],
}
RAN = {"type": "bash_code_execution_tool_result", "tool_use_id": "srvtoolu_2", "content": {"type": "x", "stdout": "1"}}
CITED: Mapping[str, Any] = {
    "type": "text",
    "text": "Paris.",
    "citations": [{"type": "char_location", "cited_text": "Paris", "document_index": 0}],
}
JSON_CALL = {"type": "tool_use", "id": "toolu_9", "name": "json_tool_call", "input": {"city": "Paris"}}
UNKNOWN = {"type": "hologram", "light": [1, 2]}


def message(*blocks: Mapping[str, Any], reason: str | None = "end_turn", **fields: Any) -> dict[str, Any]:
    """Make a whole answer."""
    return {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5-20250929",
        "content": list(blocks),
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": dict(USAGE),
        **fields,
    }


def usage(**figures: Any) -> dict[str, Any]:
    """Make the field of a usage with further figures."""
    return {"usage": {**USAGE, **figures}}


ANSWERS: Mapping[str, dict[str, Any]] = {
    "text": message(TEXT),
    "texts": message(TEXT, {"type": "text", "text": " And of Île-de-France."}),
    "empty": message({"type": "text", "text": ""}),
    "nothing": message(),
    "stop_sequence": message(TEXT, reason="stop_sequence", stop_sequence="END"),
    "max_tokens": message(TEXT, reason="max_tokens"),
    "refusal": message(reason="refusal"),
    "refused": message(reason="refusal", stop_details={"type": "refusal", "category": None, "explanation": "No."}),
    "pause": message(SEARCH, reason="pause_turn"),
    "no_reason": message(TEXT, reason=None),
    "call": message(CALL, reason="tool_use"),
    "calls": message(TEXT, CALL, CALL_2, reason="tool_use"),
    "thinking": message(THINKING, TEXT),
    "thinking_call": message(THINKING, REDACTED, TEXT, CALL, reason="tool_use"),
    "redacted": message(REDACTED, TEXT),
    "hidden": message({"type": "thinking", "thinking": "", "signature": "c2ln"}, TEXT),
    "search": message(SEARCH, FOUND, TEXT, **usage(server_tool_use={"web_search_requests": 1})),
    "code": message(RAN, TEXT, container={"id": "container_1", "expires_at": "2026-01-01T00:00:00Z"}),
    "cited": message(TEXT, CITED),
    "unknown": message(UNKNOWN, TEXT, **usage(hologram_tokens=7)),
    "cache": message(TEXT, **usage(cache_creation_input_tokens=300, cache_read_input_tokens=1000)),
    "cache_hour": message(
        TEXT,
        **usage(
            cache_creation_input_tokens=300,
            cache_read_input_tokens=0,
            cache_creation={"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
        ),
    ),
    "tier": message(TEXT, **usage(service_tier="priority", inference_geo="us")),
    "counted_thinking": message(THINKING, TEXT, **usage(output_tokens_details={"thinking_tokens": 5})),
    "rounds": message(
        TEXT,
        **usage(
            iterations=[
                {"input_tokens": 50, "output_tokens": 2, "cache_read_input_tokens": 5},
                {"input_tokens": 20, "output_tokens": 8, "cache_creation_input_tokens": 7},
            ]
        ),
    ),
    "nulls": message(TEXT, **usage(cache_creation_input_tokens=None, cache_read_input_tokens=None)),
}

JSON_ANSWERS: Mapping[str, dict[str, Any]] = {
    "json": message(JSON_CALL, reason="tool_use"),
    "json_after_text": message(TEXT, JSON_CALL, reason="tool_use"),
    "json_and_call": message(TEXT, JSON_CALL, CALL, reason="tool_use"),
    "text_instead": message(TEXT),
}


def events_of(answer: Mapping[str, Any], *, pieces: int = 3) -> Iterator[dict[str, Any]]:
    """Make the events in which an answer is streamed."""
    usage = answer["usage"]
    start = {**answer, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    yield {"type": "message_start", "message": start}
    for index, block in enumerate(answer["content"]):
        empty: dict[str, Any] = {"text": "", "thinking": "", "signature": "", "input": {}}
        begun = {name: empty.get(name, value) for name, value in block.items() if name != "citations"}
        yield {"type": "content_block_start", "index": index, "content_block": begun}
        if index == 0:
            yield {"type": "ping"}
        for delta in _deltas(block, pieces):
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    delta = {"stop_reason": answer["stop_reason"], "stop_sequence": answer["stop_sequence"]}
    delta |= {name: answer[name] for name in ("container", "stop_details") if name in answer}
    yield {"type": "message_delta", "delta": delta, "usage": usage}
    yield {"type": "message_stop"}


def sse(events: Sequence[Mapping[str, Any]]) -> bytes:
    """Encode events as they stand on the wire."""
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (event["type"].encode(), json.dumps(event).encode()) for event in events
    )


def _deltas(block: Mapping[str, Any], pieces: int) -> Iterator[dict[str, Any]]:
    if block["type"] == "text":
        yield from ({"type": "text_delta", "text": piece} for piece in _cut(block["text"], pieces))
        for citation in block.get("citations", ()):
            yield {"type": "citations_delta", "citation": citation}
    elif block["type"] == "thinking":
        yield from ({"type": "thinking_delta", "thinking": piece} for piece in _cut(block["thinking"], pieces))
        yield {"type": "signature_delta", "signature": block["signature"]}
    elif block["type"] in ("tool_use", "server_tool_use"):
        yield {"type": "input_json_delta", "partial_json": ""}
        arguments = json.dumps(block["input"]) if block["input"] else ""
        yield from ({"type": "input_json_delta", "partial_json": piece} for piece in _cut(arguments, pieces))


def _cut(text: str, pieces: int) -> list[str]:
    size = max(1, -(-len(text) // pieces))
    return [text[start : start + size] for start in range(0, len(text), size)]
