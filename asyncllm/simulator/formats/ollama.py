"""The Ollama chat format: one JSON object, or one a line as a stream."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from ..answers.conversation import ChatRequest, InvalidRequestError, SimulatedAnswer, pieces_of
from ..answers.json_values import as_array, as_number, as_object, encode_json, is_array, is_object
from .openai import MODELS, read_messages, read_tools
from .provider_format import ErrorDetails, ProviderFormat, chunk_chars, read_positive, read_stops

_DETAILS = {"format": "gguf", "family": "simulator", "parameter_size": "0B", "quantization_level": "none"}


class SimulatedOllama(ProviderFormat):
    """Reads and writes /api/chat."""

    stream_type = b"application/x-ndjson"
    done = b""

    def read(self, body: Mapping[str, object], path_model: str | None) -> ChatRequest:
        model, messages = body.get("model"), body.get("messages")
        if not isinstance(model, str):
            raise InvalidRequestError("model is required", "model")
        if not is_array(messages):
            raise InvalidRequestError("messages must be an array", "messages")
        chat = ChatRequest(model=model, stream=body.get("stream", True) is not False)
        read_messages(chat, messages)
        chat.images += sum(len(as_array(as_object(message).get("images"))) for message in messages)
        options = as_object(body.get("options"))
        # Ollama takes -1 and -2 for "no limit".
        if as_number(options.get("num_predict", -1)) >= 0:
            chat.max_tokens = read_positive(options, "num_predict")
        chat.stop = read_stops(options.get("stop"))
        wanted = body.get("format")
        chat.json_object = wanted == "json"
        chat.schema = wanted if is_object(wanted) else None
        chat.thinking = bool(body.get("think"))
        read_tools(chat, body.get("tools"))
        return chat

    def plain(self, chat: ChatRequest, answers: Sequence[SimulatedAnswer], cached: tuple[int, int]) -> bytes:
        answer = answers[0]
        return encode_json({**_head(chat), "message": _message(answer), **_end(chat, answer)})

    def events(self, chat: ChatRequest, answers: Sequence[SimulatedAnswer], cached: tuple[int, int]) -> Iterator[bytes]:
        answer, size = answers[0], chunk_chars(chat)
        empty = {"role": "assistant", "content": ""}
        messages = [{**empty, "thinking": piece} for piece in pieces_of(answer.reasoning, size)]
        messages += [{**empty, "content": piece} for piece in pieces_of(answer.refusal or answer.text, size)]
        head = _head(chat)
        for message in messages:
            yield _line({**head, "message": message, "done": False})
        if answer.tool_calls:
            yield _line({**head, "message": {**_message(answer), "content": ""}, "done": False})
        yield _line({**head, "message": empty, **_end(chat, answer)})

    def error(self, error: ErrorDetails) -> tuple[int, bytes]:
        by_reason = {"context_window": 400, "content_policy": 400, "quota": 402, "tokens": 429}
        status = error.status or by_reason.get(error.reason, 500)
        usual = {
            "context_window": f"the input length of {error.tokens} tokens exceeds the context length",
            "content_policy": "the request was refused by a content policy",
            "quota": "no credit is left",
        }.get(
            error.reason,
            {401: "unauthorized", 404: "model not found", 429: "too many requests"}.get(status, "server error"),
        )
        return status, encode_json({"error": error.message or f"{usual} (simulated)"})

    def error_event(self, error: ErrorDetails) -> bytes:
        return self.framed_event(self.error(error)[1])

    def garbled_event(self) -> bytes:
        return b'{"model": "asyncllm-simulator", "message": {"content": \n'

    def framed_event(self, data: bytes) -> bytes:
        return data + b"\n"

    def list_models(self) -> bytes:
        """Return the answer of GET /api/tags."""
        return encode_json(
            {"models": [{"name": name, "model": name, "size": 0, "details": _DETAILS} for name in MODELS]}
        )

    def version(self) -> bytes:
        """Return the answer of GET /api/version."""
        return encode_json({"version": "0.0.0-asyncllm-simulator"})

    def show(self, body: bytes, missing: str) -> bytes:
        """Return the answer of POST /api/show; empty when the model's name says that it is missing."""
        try:
            asked: object = json.loads(body)
        except ValueError:
            asked = None
        name = str(asked.get("model") or asked.get("name") or "") if is_object(asked) else ""
        if not name or missing in name:
            return b""
        info = {"general.architecture": "simulator", "simulator.context_length": 128_000}
        return encode_json(
            {"details": _DETAILS, "model_info": info, "template": "", "capabilities": ["completion", "tools", "vision"]}
        )


def _head(chat: ChatRequest) -> dict[str, object]:
    return {"model": chat.model, "created_at": datetime.now(UTC).isoformat().replace("+00:00", "Z")}


def _message(answer: SimulatedAnswer) -> dict[str, object]:
    content = answer.refusal or answer.text
    calls: list[object] = []
    for call in answer.tool_calls:
        try:
            calls.append({"function": {"name": call.name, "arguments": json.loads(call.arguments)}})
        except ValueError:
            # Ollama parses the calls itself and shows one that was cut short as plain text.
            content += call.arguments
    message: dict[str, object] = {"role": "assistant", "content": content}
    if answer.reasoning:
        message["thinking"] = answer.reasoning
    if calls:
        message["tool_calls"] = calls
    return message


def _end(chat: ChatRequest, answer: SimulatedAnswer) -> dict[str, object]:
    # Durations are in nanoseconds; the simulator takes its figures from the tokens, so that they are stable.
    spent = answer.tokens * 1_000_000
    return {
        "done": True,
        "done_reason": "length" if answer.finish == "length" else "stop",
        "total_duration": spent + chat.prompt_tokens * 10_000,
        "load_duration": 0,
        "prompt_eval_count": chat.prompt_tokens,
        "prompt_eval_duration": chat.prompt_tokens * 10_000,
        "eval_count": answer.tokens,
        "eval_duration": spent,
        **as_object(chat.script.get("usage")),
    }


def _line(value: object) -> bytes:
    return encode_json(value) + b"\n"
