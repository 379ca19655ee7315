"""The OpenAI chat-completions format, plain and as server-sent events; Azure's is the same under another path."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
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
from .provider_format import ProviderFormat, Refusal, chunk_chars, read_text, take_positive, tightest, whole_number

FINGERPRINT = "asyncllm-simulator"
MODELS = ("asyncllm-simulator", "asyncllm-simulator-mini", "asyncllm-simulator-reasoning")
_CREATED = 1735689600  # 2025-01-01; a model list that changes with the clock would not be deterministic.

_ERRORS: dict[int, tuple[str, str | None, str]] = {
    400: ("invalid_request_error", None, "The request was refused as invalid (simulated)."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided (simulated)."),
    402: ("insufficient_balance", "insufficient_balance", "Insufficient balance (simulated)."),
    403: ("permission_error", "permission_denied", "You are not allowed to do this (simulated)."),
    404: (
        "invalid_request_error",
        "model_not_found",
        "The model does not exist or you may not use it (simulated).",
    ),
    408: ("timeout", "request_timeout", "The request took too long (simulated)."),
    409: ("conflict_error", None, "The resource was changed meanwhile (simulated)."),
    413: ("invalid_request_error", "request_too_large", "The request is too large (simulated)."),
    422: ("invalid_request_error", None, "The request cannot be processed (simulated)."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached for requests (simulated). Please try again later."),
    500: ("server_error", None, "The server had an error while processing your request (simulated)."),
    502: ("server_error", None, "Bad gateway (simulated)."),
    503: ("server_error", None, "The engine is overloaded, please try again later (simulated)."),
    529: ("overloaded_error", None, "Overloaded (simulated)."),
}
_REASONS: dict[str, tuple[int, str, str | None, str]] = {
    "context_window": (
        400, "invalid_request_error", "context_length_exceeded",
        "This model's maximum context length is 128000 tokens. However, your messages resulted in {tokens} tokens."
        " Please reduce the length of the messages (simulated).",
    ),
    "content_policy": (
        400, "invalid_request_error", "content_policy_violation",
        "Your request was rejected as a result of our safety system (simulated).",
    ),
    "quota": (
        429, "insufficient_quota", "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details (simulated).",
    ),
    "tokens": (
        429, "tokens", "rate_limit_exceeded", "Rate limit reached for tokens (simulated). Please try again later.",
    ),
}  # fmt: skip


class OpenAIFormat(ProviderFormat):
    """Reads and writes chat completions."""

    stream_type = b"text/event-stream; charset=utf-8"
    done = b"data: [DONE]\n\n"

    def read(self, body: Mapping[str, Any], path_model: str | None) -> Ask:
        model = body.get("model") or path_model
        if not isinstance(model, str):
            raise BadAskError("you must provide a model parameter", "model")
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            raise BadAskError("'messages' must be a non-empty array", "messages")
        ask = Ask(model=model, n=whole_number(body, "n", 1), stream=bool(body.get("stream")))
        read_messages(ask, messages)
        ask.max_tokens = take_positive(body, "max_completion_tokens") or take_positive(body, "max_tokens")
        stop = body.get("stop")
        ask.stop = [stop] if isinstance(stop, str) else list(stop or ())
        ask.include_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        ask.logprobs = bool(body.get("logprobs"))
        _read_response_format(ask, body.get("response_format"))
        ask.tools = [_tool(tool) for tool in body.get("tools") or ()]
        ask.tool_choice = _tool_choice(body.get("tool_choice"), ask)
        ask.parallel_tool_calls = body.get("parallel_tool_calls") is not False
        if ask.tools:
            ask.prompt_tokens += count_tokens(json.dumps(body["tools"]))
        return ask

    def plain(self, ask: Ask, answers: Sequence[SimulatedAnswer], cached: tuple[int, int]) -> bytes:
        choices = [
            {
                "index": index,
                "message": _message(answer),
                "logprobs": _logprobs(ask, answer.text),
                "finish_reason": answer.finish,
            }
            for index, answer in enumerate(answers)
        ]
        return encode_json(
            {
                "id": f"chatcmpl-{ask.id}",
                "object": "chat.completion",
                "created": int(time.time()),
                "model": ask.model,
                "choices": choices,
                "usage": _usage(ask, answers, cached),
                "service_tier": "default",
                "system_fingerprint": FINGERPRINT,
            }
        )

    def events(self, ask: Ask, answers: Sequence[SimulatedAnswer], cached: tuple[int, int]) -> Iterator[bytes]:
        head = encode_json(
            {
                "id": f"chatcmpl-{ask.id}",
                "object": "chat.completion.chunk",
                "created": int(time.time()),
                "model": ask.model,
                "system_fingerprint": FINGERPRINT,
            }
        )
        before = b"data: " + head[:-1] + b',"choices":'
        after = b',"usage":null}\n\n' if ask.include_usage else b"}\n\n"
        size = chunk_chars(ask)
        for index, answer in enumerate(answers):
            for delta in _deltas(answer, size):
                choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}
                if ask.logprobs and "content" in delta:
                    choice["logprobs"] = _logprobs(ask, delta["content"])
                yield before + encode_json([choice]) + after
            yield (
                before
                + encode_json([{"index": index, "delta": {}, "logprobs": None, "finish_reason": answer.finish}])
                + after
            )
        if ask.include_usage:
            yield before + b'[],"usage":' + encode_json(_usage(ask, answers, cached)) + b"}\n\n"

    def error(self, refusal: Refusal) -> tuple[int, bytes]:
        status, kind, code, message = _error_parts(refusal)
        error = {"message": message, "type": kind, "param": refusal.param, "code": code}
        return status, encode_json({"error": error})

    def error_event(self, refusal: Refusal) -> bytes:
        return b"data: " + self.error(refusal)[1] + b"\n\n"

    def garbled_event(self) -> bytes:
        return b'data: {"id": "chatcmpl-sim", "choices": [{"delta": {"content": \n\n'

    def limit_headers(self, states: Sequence[State]) -> list[tuple[bytes, bytes]]:
        headers = []
        for state in tightest(states):
            kind = state.limit.kind.encode()
            headers += [
                (b"x-ratelimit-limit-" + kind, b"%d" % state.limit.amount),
                (b"x-ratelimit-remaining-" + kind, b"%d" % max(0, state.remaining)),
                (b"x-ratelimit-reset-" + kind, _go_duration(state.reset_s).encode()),
            ]
        return headers

    def list_models(self) -> bytes:
        """Give the answer of GET /v1/models."""
        return encode_json({"object": "list", "data": [_model(name) for name in MODELS]})

    def one_model(self, name: str) -> bytes:
        """Give the answer of GET /v1/models/NAME."""
        return encode_json(_model(name))


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": FINGERPRINT}


def read_messages(ask: Ask, messages: Sequence[Any]) -> None:
    """Read chat-completions messages into an ask: texts, images, tool results, cache marks, tokens."""
    chars, so_far = 0, []
    for message in messages:
        if not isinstance(message, Mapping) or "role" not in message:
            raise BadAskError("every message must be an object with a 'role'", "messages")
        role, content = message["role"], message.get("content")
        text, images, marked = read_text(content)
        for call in message.get("tool_calls") or ():
            chars += len(str(call))
        ask.images += images
        chars += len(text)
        so_far.append(text)
        if marked or message.get("cache_control"):
            ask.cached_prefix = "\n".join(so_far)
        if role in ("system", "developer"):
            ask.system_text += text + "\n"
        elif role == "user":
            ask.user_texts.append(text)
        ask.tool_result = text if role == "tool" else "" if role == "user" else ask.tool_result
    ask.prompt_tokens = max(1, -(-chars // 4)) + ask.images * TOKENS_PER_IMAGE


def _read_response_format(ask: Ask, wanted: Any) -> None:
    if not isinstance(wanted, Mapping):
        return
    if wanted.get("type") == "json_object":
        ask.json_object = True
    elif wanted.get("type") == "json_schema":
        spec = wanted.get("json_schema")
        schema = spec.get("schema") if isinstance(spec, Mapping) else None
        if not isinstance(schema, Mapping):
            raise BadAskError("Missing required parameter: 'response_format.json_schema.schema'.", "response_format")
        ask.schema = schema
        ask.prompt_tokens += count_tokens(json.dumps(schema))


def _tool(tool: Any) -> Tool:
    function = tool.get("function") if isinstance(tool, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise BadAskError("Missing required parameter: 'tools[0].function.name'.", "tools")
    return Tool(
        function["name"], str(function.get("description") or ""), function.get("parameters") or {"type": "object"}
    )


def _tool_choice(choice: Any, ask: Ask) -> str:
    if choice is None:
        return "auto"
    name = choice if isinstance(choice, str) else (choice.get("function") or {}).get("name", "auto")
    if name not in ("auto", "none", "required") and name not in {tool.name for tool in ask.tools}:
        raise BadAskError(f"Tool choice '{name}' not found in 'tools' parameter.", "tool_choice")
    return str(name)


def _message(answer: SimulatedAnswer) -> dict[str, Any]:
    content = None if answer.tool_calls or answer.refusal is not None else answer.text
    message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": answer.refusal}
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.tool_calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in answer.tool_calls
        ]
    return message


def _deltas(answer: SimulatedAnswer, size: int) -> Iterator[dict[str, Any]]:
    yield {"role": "assistant", "content": None if answer.tool_calls or answer.refusal is not None else ""}
    for piece in pieces_of(answer.reasoning, size):
        yield {"reasoning_content": piece}
    for piece in pieces_of(answer.refusal or "", size):
        yield {"refusal": piece}
    for piece in pieces_of(answer.text, size):
        yield {"content": piece}
    for index, call in enumerate(answer.tool_calls):
        yield {
            "tool_calls": [
                {"index": index, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
            ]
        }
        for piece in pieces_of(call.arguments, size):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _logprobs(ask: Ask, text: str) -> dict[str, Any] | None:
    if not ask.logprobs:
        return None
    # A made-up probability: what matters is the shape.
    tokens = [
        {"token": t, "logprob": -0.1, "bytes": list(t.encode("utf-8", "replace")), "top_logprobs": []}
        for t in pieces_of(text, 4)
    ]
    return {"content": tokens, "refusal": None}


def _usage(ask: Ask, answers: Sequence[SimulatedAnswer], cached: tuple[int, int]) -> dict[str, Any]:
    completion = sum(answer.tokens for answer in answers)
    reasoning = sum(count_tokens(answer.reasoning) for answer in answers if answer.reasoning)
    usage = {
        "prompt_tokens": ask.prompt_tokens,
        "completion_tokens": completion,
        "total_tokens": ask.prompt_tokens + completion,
        "prompt_tokens_details": {"cached_tokens": cached[1], "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": reasoning, "audio_tokens": 0},
    }
    usage.update(ask.script.get("usage", {}))
    return usage


def _go_duration(seconds: float) -> str:
    """Write a duration as Go does, which is how OpenAI's headers have it: 20ms, 1.5s, 6m0s."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    if seconds < 60:
        return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"
    return f"{int(seconds // 60)}m{int(seconds % 60)}s"


def _error_parts(refusal: Refusal) -> tuple[int, str, str | None, str]:
    if refusal.reason in _REASONS:
        status, kind, code, message = _REASONS[refusal.reason]
        status = refusal.status or status
    else:
        status = refusal.status or 500
        same_family = _ERRORS[500] if status >= 500 else _ERRORS[400]
        kind, code, message = _ERRORS.get(status, same_family)
    # A path that does not exist has no code with OpenAI, a model that does not exist has.
    code = None if refusal.reason == "path" else code
    return status, kind, code, refusal.message or message.format(tokens=refusal.tokens)
