"""Bodies of OpenAI's format, read by the wire's reader before litellm reads them.

So both transports take the same liberties of servers for an answer and refuse the same ones; and litellm, whose models
are built without validation, is given values of the types that it declares.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import httpx
from openai.types.chat.chat_completion import ChoiceLogprobs
from pydantic import ValidationError

from asyncllm.errors import AsyncLLMError

from .. import size_limits
from ..bodies import as_chunk, encode, unreadable_event
from ..json_values import is_object
from ..wire.formats.openai import ChunkReader, read_answer
from ..wire.sse import SSEParser
from .exchange import Exchange

_NO_USAGE: Mapping[str, object] = {
    "id": "",
    "object": "chat.completion.chunk",
    "created": 0,
    "model": "",
    "choices": [],
    "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
}
_NO_DELTA: Mapping[str, object] = {"delta": {}, "logprobs": None}
# Quotes inside of a text are escaped, so that none of the messages can hold this.
_ASKS_STREAM = re.compile(rb'"stream": ?true\b')


class BodyReader:
    """Rewrites one body, as its pieces come.

    Args:
        exchange: The exchange; what its answer has, or why it is refused, is noted there.
        stream: Whether it is a stream.
    """

    def __init__(self, exchange: Exchange, *, stream: bool) -> None:
        exchange.has_usage = False
        self._exchange = exchange
        self._stream = stream
        self._pieces: list[bytes] = []
        self._parser = SSEParser(size_limits.MAX_EVENT_BYTES)
        self._reader = ChunkReader(exchange.secrets)

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yield what litellm is given for a piece; for an empty one, what is left at the body's end.

        Raises:
            AsyncLLMError: It is an error, or no answer.
        """
        try:
            if self._stream:
                yield from self._events(piece)
            elif piece:
                self._pieces.append(piece)
            else:
                yield self._answer(b"".join(self._pieces))
        except AsyncLLMError as error:
            self._exchange.failure = error
            raise

    def _answer(self, body: bytes) -> bytes:
        # Errors, and what providers with forms of their own answer at the same path, are litellm's to read.
        if b'"choices"' not in body:
            return body
        return encode(self._noted(read_answer(body, self._exchange.secrets)))

    def _events(self, piece: bytes) -> Iterator[bytes]:
        try:
            events = self._parser.feed(piece) if piece else self._parser.end()
        except ValueError as error:  # of an event that is too long
            raise unreadable_event(error, self._exchange.start, has_begun=self._reader.has_begun) from None
        for event in events:
            for chunk in self._reader.feed(event):
                yield from map(_event, self._parted(chunk))
            if self._reader.has_ended:
                yield self._end()
                return
        whole = None if piece else self._parser.whole
        if whole is not None:
            answer = as_chunk(read_answer(whole, self._exchange.secrets))
            yield from map(_event, self._parted(answer))
            yield self._end()

    def _end(self) -> bytes:
        self._exchange.has_ended = True
        end = b"data: [DONE]\n\n"
        # Without one, litellm counts with a tokenizer, which it may try to download; this one is dropped.
        return end if self._exchange.has_usage else _event(_NO_USAGE) + end

    def _parted(self, chunk: dict[str, Any]) -> Iterable[dict[str, Any]]:
        """Return a chunk in parts where it holds more than litellm expects of one: its usage, or all of an answer."""
        chunk = self._noted(chunk)
        parts = [chunk]
        if chunk.get("choices") and chunk.get("usage"):
            parts.append({**chunk, "choices": []})
            del chunk["usage"]
        ended = [choice for choice in chunk["choices"] if choice.get("finish_reason") and choice.get("delta")]
        if ended:
            parts.insert(1, {**chunk, "choices": [{**choice, **_NO_DELTA} for choice in ended]})
            chunk["choices"] = [{**choice, "finish_reason": None} for choice in chunk["choices"]]
        return parts

    def _noted(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Return an answer or a chunk with values of the declared types, and note whether it has a usage."""
        typed = {name: value for name, value in answer.items() if isinstance(value, _HEAD_TYPES.get(name, object))}
        typed["choices"] = [_typed_choice(at, choice) for at, choice in enumerate(answer.get("choices") or ())]
        usage = _counts(answer.get("usage"))
        typed.pop("usage", None)
        sent, received = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if isinstance(sent, int) and isinstance(received, int):
            self._exchange.has_usage = True
            typed["usage"] = {"total_tokens": sent + received, **usage}
        return typed


_HEAD_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "created": int,
    "id": str,
    "model": str,
    "object": str,
    "service_tier": str,
    "system_fingerprint": str,
}


def _event(chunk: Mapping[str, object]) -> bytes:
    return b"data: %b\n\n" % encode(chunk)


def _typed_choice(at: int, choice: Mapping[str, Any]) -> dict[str, Any]:
    typed = dict(choice)
    if not isinstance(typed.get("index"), int):
        typed["index"] = at
    if typed.get("logprobs") is not None:
        try:
            ChoiceLogprobs.model_validate(typed["logprobs"])
        except ValidationError:
            typed["logprobs"] = None
    for name in ("message", "delta"):
        if is_object(typed.get(name)):
            typed[name] = _typed_message(typed[name], whole=name == "message")
    return typed


def _typed_message(message: Mapping[str, Any], *, whole: bool) -> dict[str, Any]:
    typed = dict(message)
    if typed.get("role") not in (None, "assistant"):
        typed["role"] = "assistant"
    if not isinstance(typed.get("function_call"), dict | None):
        del typed["function_call"]
    if typed.get("tool_calls"):
        typed["tool_calls"] = [_typed_call(at, call, whole=whole) for at, call in enumerate(typed["tool_calls"])]
    return typed


def _typed_call(at: int, call: Mapping[str, Any], *, whole: bool) -> dict[str, Any]:
    index, kind = call.get("index"), call.get("type")
    function: dict[str, Any] = call.get("function") or {}
    if whole:
        function = {**function, "name": function.get("name") or "", "arguments": function.get("arguments") or "{}"}
    return {
        **call,
        "index": index if isinstance(index, int) else at,
        "type": kind if isinstance(kind, str) else "function",
        "function": function,
    }


def _counts(usage: object) -> dict[str, object]:
    """Return the counts of a usage, and of its details, without what is none."""
    counts: dict[str, object] = {}
    for name, value in usage.items() if is_object(usage) else ():
        if isinstance(value, int | float) and not isinstance(value, bool) and not name.endswith("_details"):
            counts[name] = int(value) if name.endswith("_tokens") else value
        elif is_object(value) and not name.endswith("_tokens"):
            counts[name] = _counts(value)
    return counts


def is_openai(request: httpx.Request) -> bool:
    """Return whether a request asks for chat completions in OpenAI's format."""
    return request.url.path.endswith("/chat/completions")


def asks_stream(request: httpx.Request) -> bool:
    """Return whether a request asks for a stream."""
    return _ASKS_STREAM.search(request.content) is not None
