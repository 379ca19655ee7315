"""Conversion of a stream's events to chat-completions chunks."""

from __future__ import annotations

import json
import time

from asyncllm.errors import AsyncLLMError
from asyncllm.transports.bodies import decode, unreadable_event

from ..format import UNREADABLE
from ..json_values import JsonObject, object_of, text_of, text_or_none
from ..text_events import TextEvents
from .answers import add_result, cited, finish_reason, refusal_of, tool_call
from .errors import error_of
from .tools import JSON_TOOL
from .usage import chat_usage

_CALLS = ("tool_use", "server_tool_use")
_OPENAI_END = b"[DONE]"  # some proxies send it in this format as well


class AnthropicEvents:
    """Reads the events of one stream.

    Thinking is streamed as `reasoning_content`, and repeated as a whole block with its signature when it ends, so that
    the blocks of an assembled answer can be sent back unchanged. Unknown types of events and blocks are ignored.

    Args:
        secrets: Texts that must not occur in an error.
        answers_by_tool: Whether the answer is the arguments of a tool that stands in for a response format.
    """

    __slots__ = (
        "_answers_by_tool",
        "_block",
        "_calls",
        "_citations",
        "_fields",
        "_has_answered",
        "_has_thought",
        "_head",
        "_is_counted",
        "_pieces",
        "_reason",
        "_secrets",
        "_signature",
        "_usage",
        "has_begun",
        "has_ended",
        "texts",
    )

    def __init__(self, secrets: tuple[str, ...] = (), *, answers_by_tool: bool = False) -> None:
        self.has_begun = False
        self.has_ended = False
        self._secrets = secrets
        self._answers_by_tool = answers_by_tool
        self._head: JsonObject = {"object": "chat.completion.chunk", "created": int(time.time())}
        self._usage: JsonObject = {}
        self._is_counted = False  # whether a usage of the whole answer has come
        self._reason: str | None = None
        self.texts = TextEvents("text", lambda event: event["delta"])
        self._block: JsonObject = {}  # the open block
        self._pieces = self.texts.pieces = list[str]()  # its text, thinking or arguments so far
        self._signature = ""
        self._citations: list[object] = []
        self._fields: JsonObject = {}
        self._calls = -1
        self._has_thought = False
        self._has_answered = False  # by the tool that stands in for a response format

    @property
    def is_whole(self) -> bool:
        """Whether the stop reason has come; some servers close the stream then, without `message_stop`."""
        return self._reason is not None

    def feed(self, data: bytes) -> list[JsonObject]:
        """Read one event and return its chunks, often none.

        Raises:
            ProviderError: It is an error event.
            MalformedResponseError: It is unreadable, before the first chunk.
            StreamInterruptedError: It is unreadable, after the first chunk.
        """
        caught: AsyncLLMError
        try:
            event = object_of(decode(data))
            kind = event.get("type")
            if kind == "content_block_delta":
                return self._grow_by(object_of(event.get("delta")), data)
            if kind == "content_block_start":
                return [*self._close_block(), *self._open_block(object_of(event.get("content_block")))]
            if kind == "content_block_stop":
                return self._close_block()
            if kind == "message_delta":
                return [*self._close_block(), *self._finish(event)]
            if kind == "message_start":
                self._start(object_of(event.get("message")))
                return []
            if kind == "message_stop":
                self.has_ended = True
                return [] if self.is_whole else self._end("stop", {})
            if kind != "error" and not event.get("error"):
                return []
            caught = error_of(event, self._secrets, has_begun=self.has_begun)
        except UNREADABLE as error:
            if data.strip() == _OPENAI_END:
                self.has_ended = self.is_whole
                return []
            caught = unreadable_event(error, data, has_begun=self.has_begun)
        raise caught

    def _start(self, message: JsonObject) -> None:
        for name in ("id", "model"):
            self._head[name] = text_or_none(message.get(name))
        self._count(message.get("usage"))

    def _open_block(self, block: JsonObject) -> list[JsonObject]:
        self._begin_block(block)
        kind = text_of(block.get("type"))
        if kind == "text":
            return self._grow({"type": "text_delta", "text": block.get("text", "")})
        if kind == "thinking":
            return self._grow({"type": "thinking_delta", "thinking": block.get("thinking", "")})
        if kind in _CALLS:
            if self._is_answer(block):
                self._has_answered = True
                return []
            self._calls += 1
            return [self._chunk({"tool_calls": [tool_call(block, "", self._calls)]})]
        if kind == "redacted_thinking":
            self._has_thought = True
            return [self._chunk({"thinking_blocks": [block], "reasoning_content": ""})]
        return [self._chunk({"provider_specific_fields": dict(self._fields)})] if self._adds_result(block) else []

    def _begin_block(self, block: JsonObject) -> None:
        self._block = block
        self._pieces = self.texts.pieces = []

    def _adds_result(self, block: JsonObject) -> bool:
        return add_result(block, self._fields) and bool(self._fields)

    def _grow_by(self, delta: JsonObject, data: bytes) -> list[JsonObject]:
        learns = self.has_begun  # a first chunk has the role as well
        chunks = self._grow(delta)
        if learns and chunks:
            self.texts.learn(data, chunks[0])
        return chunks

    def _grow(self, delta: JsonObject) -> list[JsonObject]:
        kind = delta.get("type")
        if kind == "text_delta":
            text = text_of(delta.get("text"))
            self._pieces.append(text)
            return [self._chunk({"content": text})] if text else []
        if kind == "input_json_delta":
            return self._grow_call(text_of(delta.get("partial_json")))
        if kind == "thinking_delta":
            thought = text_of(delta.get("thinking"))
            self._block = self._block or {"type": "thinking"}
            self._pieces.append(thought)
            return [self._chunk({"reasoning_content": thought})] if thought else []
        if kind == "signature_delta":
            self._signature += text_of(delta.get("signature"))
        elif kind == "citations_delta":
            self._citations.append(object_of(delta.get("citation")))
        return []

    def _grow_call(self, arguments: str) -> list[JsonObject]:
        if self._block.get("type") not in _CALLS or not arguments:
            return []
        self._pieces.append(arguments)
        if self._is_answer(self._block):
            return [self._chunk({"content": arguments})]
        call = {"index": self._calls, "type": "function", "function": {"arguments": arguments}}
        return [self._chunk({"tool_calls": [call]})]

    def _close_block(self) -> list[JsonObject]:
        block, pieces = self._block, self._pieces
        if not block:
            return []
        self._begin_block({})
        kind = block.get("type")
        if kind == "thinking":
            self._has_thought = True
            signature, self._signature = self._signature or text_or_none(block.get("signature")) or "", ""
            thoughts = "".join(pieces)
            whole = {"type": "thinking", "thinking": thoughts, "signature": signature}
            # Hidden thinking still counts as reasoning.
            return [self._chunk({"thinking_blocks": [whole], **({} if thoughts else {"reasoning_content": ""})})]
        if kind == "text" and self._citations:
            before, citations = self._fields.get("citations"), cited(self._citations, "".join(pieces))
            self._fields["citations"] = [*(before if isinstance(before, list) else ()), citations]
            self._citations = []
            return [self._chunk({"provider_specific_fields": dict(self._fields)})]
        if kind in _CALLS and not pieces:
            # Empty arguments come without deltas; some servers send all arguments with the start of the block.
            self._block, self._pieces = block, pieces
            chunks = self._grow_call(json.dumps(block.get("input") or {}))
            self._block = {}
            return chunks
        return []

    def _finish(self, event: JsonObject) -> list[JsonObject]:
        delta = object_of(event.get("delta", {}))
        if event.get("usage") is not None:
            self._count(event["usage"])
            self._is_counted = True
        if delta.get("container") is not None:
            self._fields["container"] = delta["container"]
        if delta.get("stop_reason") is None:
            return self._usage_chunks() if self.is_whole else []
        reason = "stop" if self._has_answered and self._calls < 0 else finish_reason(delta["stop_reason"])
        last = refusal_of(delta.get("stop_details"))
        if "container" in self._fields:
            last["provider_specific_fields"] = dict(self._fields)
        return self._end(reason, last)

    def _end(self, reason: str, delta: JsonObject) -> list[JsonObject]:
        self._reason = reason
        return [self._chunk(delta, reason), *self._usage_chunks()]

    def _count(self, usage: object) -> None:
        """Update the usage; later counts are cumulative and replace earlier ones."""
        if usage is not None:
            self._usage.update((name, value) for name, value in object_of(usage).items() if value is not None)

    def _usage_chunks(self) -> list[JsonObject]:
        # The usage of `message_start` does not count the answer.
        if not self._is_counted:
            return []
        return [{**self._head, "choices": [], "usage": chat_usage(self._usage, has_thought=self._has_thought)}]

    def _chunk(self, delta: JsonObject, reason: str | None = None) -> JsonObject:
        if not self.has_begun:
            self.has_begun = True
            delta = {"role": "assistant", **delta}
        return {**self._head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}

    def _is_answer(self, block: JsonObject) -> bool:
        return self._answers_by_tool and block.get("name") == JSON_TOOL
