"""The Anthropic messages format, plain and as server-sent events."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from ..answers.conversation import ChatRequest, InvalidRequestError, SimulatedAnswer, SimulatedToolCall, pieces_of
from ..answers.json_values import as_object, encode_json
from ..server.rate_limits import LimitState
from .anthropic_requests import read_request
from .provider_format import ErrorDetails, ProviderFormat, chunk_chars, tightest

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


class SimulatedAnthropic(ProviderFormat):
    """Reads and writes messages."""

    stream_type = b"text/event-stream; charset=utf-8"
    request_id_header = b"request-id"
    done = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'

    def check_headers(self, headers: Mapping[str, str]) -> None:
        if "anthropic-version" not in headers:
            raise InvalidRequestError("anthropic-version: header is required")

    def read(self, body: Mapping[str, object], path_model: str | None) -> ChatRequest:
        return read_request(body)

    def plain(self, chat: ChatRequest, answers: Sequence[SimulatedAnswer], cached: tuple[int, int]) -> bytes:
        answer = answers[0]
        content = [block.whole for block in _blocks(chat, answer)]
        return encode_json({**_message(chat, answer), "content": content, "usage": _usage(chat, answer, cached)})

    def events(self, chat: ChatRequest, answers: Sequence[SimulatedAnswer], cached: tuple[int, int]) -> Iterator[bytes]:
        answer = answers[0]
        message, usage = _message(chat, answer), _usage(chat, answer, cached)
        start: dict[str, object] = {**message, "content": [], "stop_reason": None, "stop_sequence": None}
        # What begins a message or a block comes with its first piece, so that every chunk has a part of the answer.
        head = _event("message_start", message={**start, "usage": {**usage, "output_tokens": 1}})
        for index, block in enumerate(_blocks(chat, answer)):
            head += _event("content_block_start", index=index, content_block={**block.whole, **block.empty})
            if index == 0:
                head += _event("ping")
            for delta in block.deltas:
                yield head + _event("content_block_delta", index=index, delta=delta)
                head = b""
            yield head + _event("content_block_stop", index=index)
            head = b""
        delta = {"stop_reason": message["stop_reason"], "stop_sequence": message["stop_sequence"]}
        yield _event("message_delta", delta=delta, usage=usage)

    def error(self, error: ErrorDetails) -> tuple[int, bytes]:
        status, body = _error(error)
        return status, encode_json({"type": "error", "error": body, "request_id": "req_sim"})

    def error_event(self, error: ErrorDetails) -> bytes:
        # This event usually means that the provider is overloaded.
        return _event("error", error=_error(error if error.status or error.reason else ErrorDetails(529))[1])

    def garbled_event(self) -> bytes:
        return b'event: content_block_delta\ndata: {"type": "content_block_delta", "delta": {"text": \n\n'

    def limit_headers(self, states: Sequence[LimitState]) -> list[tuple[bytes, bytes]]:
        headers: list[tuple[bytes, bytes]] = []
        for state in tightest(states):
            name = b"anthropic-ratelimit-" + state.limit.kind.encode()
            reset = datetime.now(UTC) + timedelta(seconds=state.reset_s)
            headers += [
                (name + b"-limit", b"%d" % state.limit.amount),
                (name + b"-remaining", b"%d" % max(0, state.remaining)),
                (name + b"-reset", reset.strftime("%Y-%m-%dT%H:%M:%SZ").encode()),
            ]
        return headers


def _message(chat: ChatRequest, answer: SimulatedAnswer) -> dict[str, object]:
    reason = "stop_sequence" if answer.stop_sequence is not None else _STOP_REASONS.get(answer.finish, answer.finish)
    return {
        "id": f"msg_{chat.id}",
        "type": "message",
        "role": "assistant",
        "model": chat.model,
        "stop_reason": reason if answer.refusal is None else "refusal",
        "stop_sequence": answer.stop_sequence,
    }


class _Block(NamedTuple):
    """A content block as a plain answer has it, what of it is empty at the start of a stream, and the deltas."""

    whole: Mapping[str, object]
    empty: Mapping[str, object]
    deltas: Iterable[Mapping[str, object]]


def _blocks(chat: ChatRequest, answer: SimulatedAnswer) -> Iterator[_Block]:
    size = chunk_chars(chat)
    if answer.reasoning:
        text = "" if chat.hides_thinking else answer.reasoning
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces_of(text, size)]
        deltas.append({"type": "signature_delta", "signature": "simulated"})
        whole = {"type": "thinking", "thinking": text, "signature": "simulated"}
        yield _Block(whole, {"thinking": "", "signature": ""}, deltas)
    text = answer.refusal or answer.text
    if text or not answer.tool_calls:
        deltas = [{"type": "text_delta", "text": piece} for piece in pieces_of(text, size)]
        yield _Block({"type": "text", "text": text}, {"text": ""}, deltas)
    for call in answer.tool_calls:
        pieces = ["", *pieces_of(call.arguments, size)]
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
        tool_id = "toolu_" + call.id.removeprefix("call_")
        whole = {"type": "tool_use", "id": tool_id, "name": call.name}
        yield _Block({**whole, "input": _decoded_arguments(call)}, {"input": {}}, deltas)


def _decoded_arguments(call: SimulatedToolCall) -> object:
    try:
        return json.loads(call.arguments)
    except ValueError:
        # Cut by max_tokens: a plain answer shows as much of the input as was complete, here nothing.
        return {}


def _usage(chat: ChatRequest, answer: SimulatedAnswer, cached: tuple[int, int]) -> dict[str, object]:
    written, read = cached
    return {
        "input_tokens": max(0, chat.prompt_tokens - written - read),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": written if chat.cache_ttl == "5m" else 0,
            "ephemeral_1h_input_tokens": written if chat.cache_ttl == "1h" else 0,
        },
        "output_tokens": answer.tokens,
        "service_tier": "standard",
        **as_object(chat.script.get("usage")),
    }


def _event(kind: str, **fields: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), encode_json({"type": kind, **fields}))


def _error(error: ErrorDetails) -> tuple[int, dict[str, str]]:
    if error.reason in _REASONS:
        status, kind, message = _REASONS[error.reason]
        status = error.status or status
    else:
        status = error.status or 500
        kind = _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
        message = _MESSAGES.get(status, "Internal server error" if status >= 500 else "Invalid request")
    return status, {"type": kind, "message": error.message or f"{message.format(tokens=error.tokens)} (simulated)"}
