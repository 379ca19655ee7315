"""Encodings of streamed answers: OpenAI's chunks, named events, the AI SDK's UI message stream, plain text."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

from pydantic_core import to_json

from ..completions.chunk import Chunk
from ..completions.completion import Completion
from ..completions.usage import Usage
from ..narrowing import is_list, is_mapping, mapping_or_empty
from .problems import ProblemDetails

# ASCII alone: half of a surrogate pair, which a chunk may end with, cannot be encoded as UTF-8.
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
_DONE = b"data: [DONE]\n\n"


class Encoding:
    """One protocol: the bytes of each part of an answer; empty where it sends none.

    Attributes:
        media_type: The content type.
        headers: Headers of its own.
        is_events: Whether it is a stream of server-sent events, which may have comments, and can say that it failed.
        can_restart: Whether it can say that an answer begins anew.
    """

    media_type = "text/event-stream"
    headers: Mapping[str, str] = {}
    is_events = True
    can_restart = False

    def begin(self) -> bytes:
        """Return what comes before the first chunk."""
        return b""

    def chunk(self, chunk: Chunk) -> bytes:
        """Return a chunk of a text."""
        raise NotImplementedError

    def value(self, kind: str, value: object) -> bytes:
        """Return a snapshot (`partial`) of a typed answer, or an `item`."""
        raise NotImplementedError

    def end(self, completion: Completion, value: object) -> bytes:
        """Return the end of an answer; `value` is that of a typed one."""
        raise NotImplementedError

    def failed(self, problem: ProblemDetails) -> bytes:
        """Return the end of an answer that was interrupted."""
        raise NotImplementedError


class OpenAIEncoding(Encoding):
    """`chat.completion.chunk` events and [DONE], for any client of OpenAI's.

    Args:
        include_usage: Send the chunk with the usage too, which has no choices; as OpenAI does when asked to.
    """

    def __init__(self, *, include_usage: bool = False) -> None:
        self._include_usage = include_usage
        self._head: dict[str, object] = {}

    def chunk(self, chunk: Chunk) -> bytes:
        data: dict[str, object] = chunk.data
        if not data.get("choices") and not self._include_usage:
            return b""
        if "object" not in data:  # of another provider
            data = self._completed(data)
        return b"data: " + _encode(data).encode() + b"\n\n"

    def value(self, kind: str, value: object) -> bytes:
        raise NotImplementedError  # refused by stream_response

    def end(self, completion: Completion, value: object) -> bytes:
        return _DONE

    def failed(self, problem: ProblemDetails) -> bytes:
        error = {"message": problem.detail, "type": problem.code, "code": problem.status, "param": None}
        return b"data: " + _encode({"error": error}).encode() + b"\n\n"

    def _completed(self, data: dict[str, object]) -> dict[str, object]:
        if not self._head:
            made = {"id": "chatcmpl-0", "object": "chat.completion.chunk", "created": int(time.time()), "model": ""}
            self._head = {name: data.get(name) or value for name, value in made.items()}
        return self._head | data


class EventEncoding(Encoding):
    """Named events with JSON: `delta`, `partial`, `item`, `restart`, `done`, `error`."""

    can_restart = True

    def chunk(self, chunk: Chunk) -> bytes:
        restart = _event("restart", b"{}") if chunk.restarted else b""
        delta: dict[str, object] = {"text": chunk.text} if chunk.text else {}
        if chunk.reasoning:
            delta["reasoning"] = chunk.reasoning
        if calls := _tool_calls(chunk):
            delta["tool_calls"] = calls
        if not delta:
            return restart
        return restart + _event("delta", _encode(delta).encode())

    def value(self, kind: str, value: object) -> bytes:
        return _event(kind, _json(value))

    def end(self, completion: Completion, value: object) -> bytes:
        done = _json(_summary(completion))
        # JSON of JSON would be a text: the value stands in the object as it is.
        return _event("done", done if value is None else done[:-1] + b',"value":' + _json(value) + b"}")

    def failed(self, problem: ProblemDetails) -> bytes:
        return _event("error", _encode(problem.to_dict()).encode())


class UIEncoding(Encoding):
    """The UI message stream of Vercel's AI SDK, for `useChat`; typed answers are its data parts."""

    headers: Mapping[str, str] = {"x-vercel-ai-ui-message-stream": "v1"}

    def __init__(self) -> None:
        self._part = ""  # the open part: text, reasoning
        self._count = 0
        self._calls: dict[object, tuple[str, str, list[str]]] = {}  # by index: id, name, arguments

    def begin(self) -> bytes:
        return _ui("start") + _ui("start-step")

    def chunk(self, chunk: Chunk) -> bytes:
        sent = b""
        if chunk.reasoning:
            sent += self._delta("reasoning", chunk.reasoning)
        if chunk.text:
            sent += self._delta("text", chunk.text)
        for call in _tool_calls(chunk):
            sent += self._close_part() + self._call(call)
        return sent

    def value(self, kind: str, value: object) -> bytes:
        self._count += 1
        # Parts of one id replace each other: a snapshot takes the place of the one before.
        name = kind if kind == "partial" else f"{kind}-{self._count}"
        return b'data: {"type":"data-%b","id":"%b","data":%b}\n\n' % (kind.encode(), name.encode(), _json(value))

    def end(self, completion: Completion, value: object) -> bytes:
        sent = self._close_part()
        for call_id, name, pieces in self._calls.values():
            sent += _tool_input(call_id, name, "".join(pieces))
        if value is not None:
            sent += self.value("partial", value)
        metadata = _summary(completion)
        reason = _UI_REASONS.get(completion.finish_reason or "", "other")
        return sent + _ui("finish-step") + _ui("finish", finishReason=reason, messageMetadata=metadata) + _DONE

    def failed(self, problem: ProblemDetails) -> bytes:
        return self._close_part() + _ui("error", errorText=problem.detail) + _DONE

    def _delta(self, part: str, text: str) -> bytes:
        sent = b""
        if part != self._part:
            sent = self._close_part()
            self._count += 1
            self._part = part
            sent += _ui(f"{part}-start", id=str(self._count))
        return sent + _ui(f"{part}-delta", id=str(self._count), delta=text)

    def _close_part(self) -> bytes:
        part, self._part = self._part, ""
        return _ui(f"{part}-end", id=str(self._count)) if part else b""

    def _call(self, delta: Mapping[str, object]) -> bytes:
        index, function = delta.get("index") or 0, mapping_or_empty(delta.get("function"))
        sent, arguments = b"", str(function.get("arguments") or "")
        if index not in self._calls:
            call_id, name = str(delta.get("id") or f"call-{index}"), str(function.get("name") or "")
            self._calls[index] = (call_id, name, [])
            sent = _ui("tool-input-start", toolCallId=call_id, toolName=name)
        call_id, _, pieces = self._calls[index]
        if arguments:
            pieces.append(arguments)
            sent += _ui("tool-input-delta", toolCallId=call_id, inputTextDelta=arguments)
        return sent


class TextEncoding(Encoding):
    """The text alone; of typed answers, JSON Lines of the snapshots or items."""

    is_events = False

    def __init__(self, *, is_typed: bool) -> None:
        self.media_type = "application/jsonl" if is_typed else "text/plain; charset=utf-8"

    def chunk(self, chunk: Chunk) -> bytes:
        return chunk.text.encode("utf-8", "replace")

    def value(self, kind: str, value: object) -> bytes:
        return _json(value) + b"\n"

    def end(self, completion: Completion, value: object) -> bytes:
        return b"" if value is None else _json(value) + b"\n"

    def failed(self, problem: ProblemDetails) -> bytes:
        return b""


_UI_REASONS = {"stop": "stop", "length": "length", "content_filter": "content-filter", "tool_calls": "tool-calls"}


def _event(name: str, data: bytes) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)


def _ui(type: str, **members: object) -> bytes:
    return b"data: " + _encode({"type": type, **members}).encode() + b"\n\n"


def _json(value: object) -> bytes:
    """Return any value as one line of JSON: pydantic models, dates, decimals, plain data."""
    return to_json(value, by_alias=True, inf_nan_mode="null", fallback=str)


def _tool_input(call_id: str, name: str, arguments: str) -> bytes:
    try:
        value: object = json.loads(arguments or "{}")
    except ValueError:
        text = "The arguments are no JSON."
        return _ui("tool-input-error", toolCallId=call_id, toolName=name, input=arguments, errorText=text)
    return _ui("tool-input-available", toolCallId=call_id, toolName=name, input=value)


def _summary(completion: Completion) -> dict[str, object]:
    usage: Usage = completion.usage
    return {
        "finish_reason": completion.finish_reason,
        "usage": usage.to_dict(),
        "cost_usd": completion.cost_usd,
    }


def _tool_calls(chunk: Chunk) -> list[Mapping[str, object]]:
    choices: object = chunk.data.get("choices")
    first = choices[0] if is_list(choices) and choices else None
    calls = mapping_or_empty(mapping_or_empty(first).get("delta")).get("tool_calls")
    return [call for call in calls if is_mapping(call)] if is_list(calls) else []
