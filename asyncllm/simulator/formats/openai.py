"""The OpenAI chat-completions format, plain and as server-sent events; Azure's is the same under another path."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence

from ..answers.conversation import (
    TOKENS_PER_IMAGE,
    ChatRequest,
    InvalidRequestError,
    SimulatedAnswer,
    Tool,
    count_tokens,
    pieces_of,
)
from ..answers.json_values import as_array, as_object, encode_json, is_array, is_object
from ..server.rate_limits import LimitState
from .provider_format import ErrorDetails, ProviderFormat, chunk_chars, read_positive, read_stops, read_text, tightest

FINGERPRINT = "asyncllm-simulator"
MODELS = ("asyncllm-simulator", "asyncllm-simulator-mini", "asyncllm-simulator-reasoning")
_CREATED = 1735689600  # 2025-01-01; a model list that changes with the clock would not be deterministic.

_ERRORS: Mapping[int, tuple[str, str | None, str]] = {
    400: ("invalid_request_error", None, "The request was refused as invalid (simulated)."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided (simulated)."),
    402: ("insufficient_balance", "insufficient_balance", "Insufficient balance (simulated)."),
    403: ("permission_error", "permission_denied", "You are not allowed to do this (simulated)."),
    404: ("invalid_request_error", "model_not_found", "The model does not exist or you may not use it (simulated)."),
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
_REASONS: Mapping[str, tuple[int, str, str | None, str]] = {
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


class SimulatedOpenAI(ProviderFormat):
    """Reads and writes chat completions."""

    stream_type = b"text/event-stream; charset=utf-8"
    done = b"data: [DONE]\n\n"

    def read(self, body: Mapping[str, object], path_model: str | None) -> ChatRequest:
        model = body.get("model") or path_model
        if not isinstance(model, str):
            raise InvalidRequestError("you must provide a model parameter", "model")
        messages = body.get("messages")
        if not is_array(messages) or not messages:
            raise InvalidRequestError("'messages' must be a non-empty array", "messages")
        chat = ChatRequest(model=model, n=read_positive(body, "n") or 1, stream=bool(body.get("stream")))
        read_messages(chat, messages)
        chat.max_tokens = read_positive(body, "max_completion_tokens") or read_positive(body, "max_tokens")
        chat.stop = read_stops(body.get("stop"))
        chat.include_usage = bool(as_object(body.get("stream_options")).get("include_usage"))
        chat.logprobs = bool(body.get("logprobs"))
        _read_response_format(chat, body.get("response_format"))
        read_tools(chat, body.get("tools"))
        chat.tool_choice = _tool_choice(body.get("tool_choice"), chat)
        chat.parallel_tool_calls = body.get("parallel_tool_calls") is not False
        return chat

    def plain(self, chat: ChatRequest, answers: Sequence[SimulatedAnswer], cached: tuple[int, int]) -> bytes:
        choices = [
            {
                "index": index,
                "message": _message(answer),
                "logprobs": _logprobs(chat, answer.text),
                "finish_reason": answer.finish,
            }
            for index, answer in enumerate(answers)
        ]
        return encode_json(
            {
                "id": f"chatcmpl-{chat.id}",
                "object": "chat.completion",
                "created": int(time.time()),
                "model": chat.model,
                "choices": choices,
                "usage": _usage(chat, answers, cached),
                "service_tier": "default",
                "system_fingerprint": FINGERPRINT,
            }
        )

    def events(self, chat: ChatRequest, answers: Sequence[SimulatedAnswer], cached: tuple[int, int]) -> Iterator[bytes]:
        head = encode_json(
            {
                "id": f"chatcmpl-{chat.id}",
                "object": "chat.completion.chunk",
                "created": int(time.time()),
                "model": chat.model,
                "system_fingerprint": FINGERPRINT,
            }
        )
        before = b"data: " + head[:-1] + b',"choices":'
        after = b',"usage":null}\n\n' if chat.include_usage else b"}\n\n"
        size = chunk_chars(chat)
        for index, answer in enumerate(answers):
            for delta in _deltas(answer, size):
                content = delta.get("content")
                logprobs = _logprobs(chat, content) if chat.logprobs and isinstance(content, str) else None
                choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": None}
                yield before + encode_json([choice]) + after
            last: dict[str, object] = {"index": index, "delta": {}, "logprobs": None, "finish_reason": answer.finish}
            yield before + encode_json([last]) + after
        if chat.include_usage:
            yield before + b'[],"usage":' + encode_json(_usage(chat, answers, cached)) + b"}\n\n"

    def error(self, error: ErrorDetails) -> tuple[int, bytes]:
        if error.reason in _REASONS:
            status, kind, code, message = _REASONS[error.reason]
            status = error.status or status
        else:
            status = error.status or 500
            kind, code, message = _ERRORS.get(status, _ERRORS[500 if status >= 500 else 400])
        # A path that does not exist has no code with OpenAI, a model that does not exist has.
        code = None if error.reason == "path" else code
        message = error.message or message.format(tokens=error.tokens)
        return status, encode_json({"error": {"message": message, "type": kind, "param": error.param, "code": code}})

    def error_event(self, error: ErrorDetails) -> bytes:
        return self.framed_event(self.error(error)[1])

    def garbled_event(self) -> bytes:
        return b'data: {"id": "chatcmpl-sim", "choices": [{"delta": {"content": \n\n'

    def limit_headers(self, states: Sequence[LimitState]) -> list[tuple[bytes, bytes]]:
        headers: list[tuple[bytes, bytes]] = []
        for state in tightest(states):
            kind = state.limit.kind.encode()
            headers += [
                (b"x-ratelimit-limit-" + kind, b"%d" % state.limit.amount),
                (b"x-ratelimit-remaining-" + kind, b"%d" % max(0, state.remaining)),
                (b"x-ratelimit-reset-" + kind, _go_duration(state.reset_s).encode()),
            ]
        return headers

    def list_models(self) -> bytes:
        """Return the answer of GET /v1/models."""
        return encode_json({"object": "list", "data": [_model(name) for name in MODELS]})

    def one_model(self, name: str) -> bytes:
        """Return the answer of GET /v1/models/NAME."""
        return encode_json(_model(name))


def read_messages(chat: ChatRequest, messages: Sequence[object]) -> None:
    """Read chat-completions messages into a request: texts, images, tool results, cache marks, tokens."""
    chars = 0
    texts: list[str] = []
    for message in messages:
        if not is_object(message) or "role" not in message:
            raise InvalidRequestError("every message must be an object with a 'role'", "messages")
        role = message["role"]
        text, images, marked = read_text(message.get("content"))
        for call in as_array(message.get("tool_calls")):
            chars += len(str(call))
        chat.images += images
        chars += len(text)
        texts.append(text)
        if marked or message.get("cache_control"):
            chat.cached_prefix = "\n".join(texts)
        if role in ("system", "developer"):
            chat.system_text += text + "\n"
        elif role == "user":
            chat.user_texts.append(text)
        chat.tool_result = text if role == "tool" else "" if role == "user" else chat.tool_result
    chat.prompt_tokens = max(1, -(-chars // 4)) + chat.images * TOKENS_PER_IMAGE


def read_tools(chat: ChatRequest, tools: object) -> None:
    """Read chat-completions tools into a request."""
    for tool in as_array(tools):
        function = tool.get("function") if is_object(tool) else None
        name = function.get("name") if is_object(function) else None
        if not is_object(function) or not isinstance(name, str):
            raise InvalidRequestError("Missing required parameter: 'tools[0].function.name'.", "tools")
        parameters = as_object(function.get("parameters")) or {"type": "object"}
        chat.tools.append(Tool(name, str(function.get("description") or ""), parameters))
    if chat.tools:
        chat.prompt_tokens += count_tokens(json.dumps(tools))


def _read_response_format(chat: ChatRequest, wanted: object) -> None:
    if not is_object(wanted):
        return
    if wanted.get("type") == "json_object":
        chat.json_object = True
    elif wanted.get("type") == "json_schema":
        spec = wanted.get("json_schema")
        schema = spec.get("schema") if is_object(spec) else None
        if not is_object(schema):
            message = "Missing required parameter: 'response_format.json_schema.schema'."
            raise InvalidRequestError(message, "response_format")
        chat.schema = schema
        chat.prompt_tokens += count_tokens(json.dumps(schema))


def _tool_choice(choice: object, chat: ChatRequest) -> str:
    if choice is None:
        return "auto"
    name = choice if isinstance(choice, str) else as_object(as_object(choice).get("function")).get("name", "auto")
    if name not in ("auto", "none", "required") and name not in {tool.name for tool in chat.tools}:
        raise InvalidRequestError(f"Tool choice '{name}' not found in 'tools' parameter.", "tool_choice")
    return str(name)


def _model(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": FINGERPRINT}


def _message(answer: SimulatedAnswer) -> dict[str, object]:
    content = None if answer.tool_calls or answer.refusal is not None else answer.text
    message: dict[str, object] = {"role": "assistant", "content": content, "refusal": answer.refusal}
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.tool_calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in answer.tool_calls
        ]
    return message


def _deltas(answer: SimulatedAnswer, size: int) -> Iterator[dict[str, object]]:
    yield {"role": "assistant", "content": None if answer.tool_calls or answer.refusal is not None else ""}
    for piece in pieces_of(answer.reasoning, size):
        yield {"reasoning_content": piece}
    for piece in pieces_of(answer.refusal or "", size):
        yield {"refusal": piece}
    for piece in pieces_of(answer.text, size):
        yield {"content": piece}
    for index, call in enumerate(answer.tool_calls):
        start = {"index": index, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
        yield {"tool_calls": [start]}
        for piece in pieces_of(call.arguments, size):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _logprobs(chat: ChatRequest, text: str) -> dict[str, object] | None:
    if not chat.logprobs:
        return None
    # A made-up probability: what matters is the shape.
    tokens = [
        {"token": t, "logprob": -0.1, "bytes": list(t.encode("utf-8", "replace")), "top_logprobs": []}
        for t in pieces_of(text, 4)
    ]
    return {"content": tokens, "refusal": None}


def _usage(chat: ChatRequest, answers: Sequence[SimulatedAnswer], cached: tuple[int, int]) -> dict[str, object]:
    completion = sum(answer.tokens for answer in answers)
    reasoning = sum(count_tokens(answer.reasoning) for answer in answers if answer.reasoning)
    return {
        "prompt_tokens": chat.prompt_tokens,
        "completion_tokens": completion,
        "total_tokens": chat.prompt_tokens + completion,
        "prompt_tokens_details": {"cached_tokens": cached[1], "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": reasoning, "audio_tokens": 0},
        **as_object(chat.script.get("usage")),
    }


def _go_duration(seconds: float) -> str:
    """Write a duration as Go does, which is how OpenAI's headers have it: 20ms, 1.5s, 6m0s."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    if seconds < 60:
        return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"
    return f"{int(seconds // 60)}m{int(seconds % 60)}s"
