"""The Anthropic messages format, plain and as server-sent events."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from ..answers.conversation import (
    TOKENS_PER_IMAGE,
    Ask,
    BadAskError,
    SimulatedAnswer,
    Tool,
    count_tokens,
    pieces_of,
)
from ..answers.json_values import encode_json
from ..server.rate_limits import State
from .provider_format import ProviderFormat, Refusal, chunk_chars, read_text, take_positive, tightest

_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
_TYPES = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
    404: "not_found_error", 405: "invalid_request_error", 413: "request_too_large", 422: "invalid_request_error",
    429: "rate_limit_error", 500: "api_error", 504: "timeout_error", 529: "overloaded_error",
}  # fmt: skip
_MESSAGES = {
    401: "invalid x-api-key", 404: "model not found", 413: "Request exceeds the maximum size",
    429: "This request would exceed your account's rate limit. Please try again later.", 529: "Overloaded",
}  # fmt: skip
_REASONS = {
    "context_window": (400, "invalid_request_error", "prompt is too long: {tokens} tokens > 200000 maximum"),
    "content_policy": (400, "invalid_request_error", "Output blocked by content filtering policy"),
    "quota": (400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
    "tokens": (429, "rate_limit_error", "This request would exceed your account's rate limit of tokens per minute."),
}


class AnthropicFormat(ProviderFormat):
    """Reads and writes messages."""

    stream_type = b"text/event-stream; charset=utf-8"
    request_id_header = b"request-id"
    done = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'

    def check_headers(self, headers: Mapping[str, str]) -> None:
        if "anthropic-version" not in headers:
            raise BadAskError("anthropic-version: header is required")

    def read(self, body: Mapping[str, Any], path_model: str | None) -> Ask:
        if not isinstance(body.get("model"), str):
            raise BadAskError("model: Field required", "model")
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            raise BadAskError("messages: at least one message is required", "messages")
        ask = Ask(model=body["model"], stream=bool(body.get("stream")), include_usage=True)
        ask.max_tokens = take_positive(body, "max_tokens")
        if ask.max_tokens is None:
            raise BadAskError("max_tokens: Field required", "max_tokens")
        ask.stop = list(body.get("stop_sequences") or ())
        ask.thinking = (body.get("thinking") or {}).get("type") in ("enabled", "adaptive")
        output = body.get("output_format") or (body.get("output_config") or {}).get("format") or {}
        if output.get("type") == "json_schema":
            ask.schema = output.get("schema")
        _read_messages(ask, body.get("system"), messages)
        _read_tools(ask, body)
        return ask

    def plain(self, ask: Ask, answers: Sequence[SimulatedAnswer], cached: tuple[int, int]) -> bytes:
        answer = answers[0]
        return encode_json(
            {
                **_message(ask, answer),
                "content": [_shown(block) for block in _blocks(answer)],
                "usage": _usage(ask, answer, cached),
            }
        )

    def events(self, ask: Ask, answers: Sequence[SimulatedAnswer], cached: tuple[int, int]) -> Iterator[bytes]:
        answer = answers[0]
        size = chunk_chars(ask)
        usage = _usage(ask, answer, cached)
        start = {**_message(ask, answer), "content": [], "stop_reason": None, "stop_sequence": None}
        yield _event("message_start", message={**start, "usage": {**usage, "output_tokens": 1}})
        for index, block in enumerate(_blocks(answer)):
            yield _event("content_block_start", index=index, content_block=_emptied(block))
            if index == 0:
                yield _event("ping")
            for delta in _deltas(block, size):
                yield _event("content_block_delta", index=index, delta=delta)
            yield _event("content_block_stop", index=index)
        end = _message(ask, answer)
        yield _event(
            "message_delta",
            delta={"stop_reason": end["stop_reason"], "stop_sequence": end["stop_sequence"]},
            usage=usage,
        )

    def error(self, refusal: Refusal) -> tuple[int, bytes]:
        status, error = _error(refusal)
        return status, encode_json({"type": "error", "error": error, "request_id": "req_sim"})

    def error_event(self, refusal: Refusal) -> bytes:
        # The provider being overloaded is what this event stands for when nothing else is asked for.
        return _event("error", error=_error(refusal if refusal.status or refusal.reason else Refusal(529))[1])

    def garbled_event(self) -> bytes:
        return b'event: content_block_delta\ndata: {"type": "content_block_delta", "delta": {"text": \n\n'

    def limit_headers(self, states: Sequence[State]) -> list[tuple[bytes, bytes]]:
        headers = []
        for state in tightest(states):
            name = b"anthropic-ratelimit-" + state.limit.kind.encode()
            reset = datetime.now(UTC) + timedelta(seconds=state.reset_s)
            headers += [
                (name + b"-limit", b"%d" % state.limit.amount),
                (name + b"-remaining", b"%d" % max(0, state.remaining)),
                (name + b"-reset", reset.strftime("%Y-%m-%dT%H:%M:%SZ").encode()),
            ]
        return headers


def _read_messages(ask: Ask, system: Any, messages: Sequence[Any]) -> None:
    text, _, marked = read_text(system)
    ask.system_text = text
    so_far = [text]
    if marked:
        ask.cached_prefix = text
    for message in messages:
        if not isinstance(message, Mapping) or message.get("role") not in ("user", "assistant"):
            raise BadAskError("messages: every message needs the role user or assistant", "messages")
        content = message.get("content")
        text, images, marked = read_text(content)
        results = [part for part in content if part.get("type") == "tool_result"] if isinstance(content, list) else []
        ask.images += images
        so_far.append(text)
        if marked:
            ask.cached_prefix = "\n".join(so_far)
        if results:
            ask.tool_result = text
        elif message["role"] == "user":
            ask.user_texts.append(text)
            ask.tool_result = ""
    ask.prompt_tokens = max(1, -(-sum(map(len, so_far)) // 4)) + ask.images * TOKENS_PER_IMAGE


def _read_tools(ask: Ask, body: Mapping[str, Any]) -> None:
    for tool in body.get("tools") or ():
        if not isinstance(tool, Mapping) or not isinstance(tool.get("name"), str):
            raise BadAskError("tools: every tool needs a name", "tools")
        ask.tools.append(
            Tool(tool["name"], str(tool.get("description") or ""), tool.get("input_schema") or {"type": "object"})
        )
    if ask.tools:
        ask.prompt_tokens += count_tokens(json.dumps(body["tools"]))
    choice = body.get("tool_choice") or {}
    kind = choice.get("type", "auto")
    ask.tool_choice = {"any": "required", "tool": choice.get("name", "")}.get(kind, kind)
    if kind == "tool" and ask.tool_choice not in {tool.name for tool in ask.tools}:
        raise BadAskError(f"tool_choice: Tool '{ask.tool_choice}' not found in provided tools", "tool_choice")
    ask.parallel_tool_calls = not choice.get("disable_parallel_tool_use")


def _message(ask: Ask, answer: SimulatedAnswer) -> dict[str, Any]:
    reason = "stop_sequence" if answer.stop_sequence is not None else _STOP_REASONS.get(answer.finish, answer.finish)
    if answer.refusal is not None:
        reason = "refusal"
    return {
        "id": f"msg_{ask.id}",
        "type": "message",
        "role": "assistant",
        "model": ask.model,
        "stop_reason": reason,
        "stop_sequence": answer.stop_sequence,
    }


def _blocks(answer: SimulatedAnswer) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if answer.reasoning:
        blocks.append({"type": "thinking", "thinking": answer.reasoning, "signature": "simulated"})
    if answer.text or answer.refusal or not answer.tool_calls:
        blocks.append({"type": "text", "text": answer.refusal or answer.text})
    for call in answer.tool_calls:
        try:
            arguments = json.loads(call.arguments)
        except ValueError:
            # Cut by max_tokens: a plain answer shows as much of the input as was complete, here nothing.
            arguments = {}
        blocks.append(
            {"type": "tool_use", "id": _tool_id(call.id), "name": call.name, "input": arguments, "_raw": call.arguments}
        )
    return blocks


def _tool_id(call_id: str) -> str:
    return "toolu_" + call_id.removeprefix("call_")


def _usage(ask: Ask, answer: SimulatedAnswer, cached: tuple[int, int]) -> dict[str, Any]:
    written, read = cached
    usage = {
        "input_tokens": max(0, ask.prompt_tokens - written - read),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": answer.tokens,
    }
    usage.update(ask.script.get("usage", {}))
    return usage


def _shown(block: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in block.items() if key != "_raw"}


def _emptied(block: Mapping[str, Any]) -> dict[str, Any]:
    empty: dict[str, Any] = {"text": "", "thinking": "", "signature": "", "input": {}}
    return {key: empty.get(key, value) for key, value in _shown(block).items()}


def _deltas(block: Mapping[str, Any], size: int) -> Iterator[dict[str, Any]]:
    if block["type"] == "text":
        for piece in pieces_of(block["text"], size):
            yield {"type": "text_delta", "text": piece}
    elif block["type"] == "thinking":
        for piece in pieces_of(block["thinking"], size):
            yield {"type": "thinking_delta", "thinking": piece}
        yield {"type": "signature_delta", "signature": block["signature"]}
    else:
        for piece in ["", *pieces_of(block["_raw"], size)]:
            yield {"type": "input_json_delta", "partial_json": piece}


def _event(kind: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), encode_json({"type": kind, **fields}))


def _error(refusal: Refusal) -> tuple[int, dict[str, str]]:
    if refusal.reason in _REASONS:
        status, kind, message = _REASONS[refusal.reason]
        status = refusal.status or status
    else:
        status = refusal.status or 500
        kind = _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
        message = _MESSAGES.get(status, "Internal server error" if status >= 500 else "Invalid request")
    message = refusal.message or f"{message.format(tokens=refusal.tokens)} (simulated)"
    return status, {"type": kind, "message": message}
