"""The Ollama chat format: one JSON object, or one a line as a stream."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ..answers.conversation import Ask, BadAskError, SimulatedAnswer, Tool, count_tokens, pieces_of
from ..answers.json_values import encode_json
from .openai import MODELS, read_messages
from .provider_format import ProviderFormat, Refusal, chunk_chars, take_positive

_DETAILS = {"format": "gguf", "family": "simulator", "parameter_size": "0B", "quantization_level": "none"}


class OllamaFormat(ProviderFormat):
    """Reads and writes /api/chat."""

    stream_type = b"application/x-ndjson"
    done = b""

    def read(self, body: Mapping[str, Any], path_model: str | None) -> Ask:
        if not isinstance(body.get("model"), str):
            raise BadAskError("model is required", "model")
        messages = body.get("messages")
        if not isinstance(messages, list):
            raise BadAskError("messages must be an array", "messages")
        ask = Ask(model=body["model"], stream=body.get("stream", True) is not False)
        read_messages(ask, messages)
        ask.images += sum(len(message.get("images") or ()) for message in messages)
        options = body.get("options") or {}
        # Ollama takes -1 and -2 for "no limit".
        if options.get("num_predict", -1) >= 0:
            ask.max_tokens = take_positive(options, "num_predict")
        stop = options.get("stop")
        ask.stop = [stop] if isinstance(stop, str) else list(stop or ())
        wanted = body.get("format")
        ask.json_object = wanted == "json"
        ask.schema = wanted if isinstance(wanted, Mapping) else None
        ask.thinking = bool(body.get("think"))
        ask.tools = [_tool(tool) for tool in body.get("tools") or ()]
        if ask.tools:
            ask.prompt_tokens += count_tokens(json.dumps(body["tools"]))
        return ask

    def plain(self, ask: Ask, answers: Sequence[SimulatedAnswer], cached: tuple[int, int]) -> bytes:
        answer = answers[0]
        return encode_json({**_head(ask), "message": _message(answer), **_end(ask, answer)})

    def events(self, ask: Ask, answers: Sequence[SimulatedAnswer], cached: tuple[int, int]) -> Iterator[bytes]:
        answer = answers[0]
        size = chunk_chars(ask)
        head = _head(ask)
        for piece in pieces_of(answer.reasoning, size):
            yield _line({**head, "message": {"role": "assistant", "content": "", "thinking": piece}, "done": False})
        for piece in pieces_of(answer.refusal or answer.text, size):
            yield _line({**head, "message": {"role": "assistant", "content": piece}, "done": False})
        if answer.tool_calls:
            yield _line({**head, "message": {**_message(answer), "content": ""}, "done": False})
        yield _line({**head, "message": {"role": "assistant", "content": ""}, **_end(ask, answer)})

    def error(self, refusal: Refusal) -> tuple[int, bytes]:
        by_reason = {"context_window": 400, "content_policy": 400, "quota": 402, "tokens": 429}
        status = refusal.status or by_reason.get(refusal.reason, 500)
        usual = {
            "context_window": f"the input length of {refusal.tokens} tokens exceeds the context length",
            "content_policy": "the request was refused by a content policy",
            "quota": "no credit is left",
        }.get(
            refusal.reason,
            {401: "unauthorized", 404: "model not found", 429: "too many requests"}.get(status, "server error"),
        )
        return status, encode_json({"error": refusal.message or f"{usual} (simulated)"})

    def error_event(self, refusal: Refusal) -> bytes:
        return self.error(refusal)[1] + b"\n"

    def garbled_event(self) -> bytes:
        return b'{"model": "asyncllm-simulator", "message": {"content": \n'

    def framed_event(self, data: bytes) -> bytes:
        return data + b"\n"

    def list_models(self) -> bytes:
        """Give the answer of GET /api/tags."""
        return encode_json(
            {"models": [{"name": name, "model": name, "size": 0, "details": _DETAILS} for name in MODELS]}
        )

    def version(self) -> bytes:
        """Give the answer of GET /api/version."""
        return encode_json({"version": "0.0.0-asyncllm-simulator"})

    def show(self, body: bytes, missing: str) -> bytes:
        """Give the answer of POST /api/show; empty when the model's name says that it is missing."""
        try:
            asked = json.loads(body)
        except ValueError:
            asked = {}
        name = str((asked.get("model") or asked.get("name") or "") if isinstance(asked, dict) else "")
        if not name or missing in name:
            return b""
        info = {"general.architecture": "simulator", "simulator.context_length": 128_000}
        return encode_json(
            {"details": _DETAILS, "model_info": info, "template": "", "capabilities": ["completion", "tools", "vision"]}
        )


def _tool(tool: Any) -> Tool:
    function = tool.get("function") if isinstance(tool, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise BadAskError("tools: every tool needs a function with a name", "tools")
    return Tool(
        function["name"], str(function.get("description") or ""), function.get("parameters") or {"type": "object"}
    )


def _head(ask: Ask) -> dict[str, Any]:
    return {"model": ask.model, "created_at": datetime.now(UTC).isoformat().replace("+00:00", "Z")}


def _message(answer: SimulatedAnswer) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer.refusal or answer.text}
    if answer.reasoning:
        message["thinking"] = answer.reasoning
    calls = []
    for call in answer.tool_calls:
        try:
            calls.append({"function": {"name": call.name, "arguments": json.loads(call.arguments)}})
        except ValueError:
            # Ollama parses the calls itself and shows one that was cut short as plain text.
            message["content"] += call.arguments
    if calls:
        message["tool_calls"] = calls
    return message


def _end(ask: Ask, answer: SimulatedAnswer) -> dict[str, Any]:
    # Durations are in nanoseconds; the simulator takes its figures from the tokens, so that they are stable.
    spent = answer.tokens * 1_000_000
    end = {
        "done": True,
        "done_reason": "length" if answer.finish == "length" else "stop",
        "total_duration": spent + ask.prompt_tokens * 10_000,
        "load_duration": 0,
        "prompt_eval_count": ask.prompt_tokens,
        "prompt_eval_duration": ask.prompt_tokens * 10_000,
        "eval_count": answer.tokens,
        "eval_duration": spent,
    }
    end.update(ask.script.get("usage", {}))
    return end


def _line(value: object) -> bytes:
    return encode_json(value) + b"\n"
