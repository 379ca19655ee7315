"""Conversion of a stream's events to chat-completions chunks."""

from __future__ import annotations

import time

from asyncllm.transports.bodies import decode, unreadable_event

from ..format import UNREADABLE
from ..json_values import JsonObject, is_list, is_object, list_of, object_of, text_of, text_or_none
from .answers import first_object, is_blocked, model_of
from .candidates import (
    annotations_of,
    audio_of,
    finish_reason,
    image_of,
    inline_data,
    is_grounded,
    logprobs_of,
    metadata_of,
    parts_of,
    tool_call,
)
from .errors import error_of
from .usage import chat_usage

_OPENAI_END = b"[DONE]"  # some proxies send it in this format as well; the API's own streams have no such mark


class GeminiEvents:
    """Reads the events of one stream.

    Each event is an answer of its own, with a part of the text and the usage so far. Thoughts are streamed as
    `reasoning_content`, and repeated as a whole block when they end. Unknown kinds of parts are ignored.

    Args:
        secrets: Texts that must not occur in an error.
        model: The model that was asked, for an answer that names none.
    """

    __slots__ = (
        "_candidates",
        "_head",
        "_is_grounded",
        "_is_text",
        "_model",
        "_secrets",
        "has_begun",
        "has_ended",
    )

    texts = None  # each event has a usage of its own, and is unlike the others

    def __init__(self, secrets: tuple[str, ...] = (), *, model: str = "") -> None:
        self.has_begun = False
        self.has_ended = False
        self._secrets = secrets
        self._model = model
        self._head: JsonObject = {}
        self._candidates: dict[int, _CandidateStream] = {}
        self._is_grounded = False
        self._is_text = False  # whether an event may be a piece of text and nothing else

    @property
    def is_whole(self) -> bool:
        """Whether every candidate has a finish reason."""
        return bool(self._candidates) and all(candidate.has_ended for candidate in self._candidates.values())

    def feed(self, data: bytes) -> list[JsonObject]:
        """Read one event and return the chunks that it makes, often one.

        Raises:
            ProviderError: It is an error event, of the class that its code would have had.
            MalformedResponseError: It cannot be read, and nothing of the answer has come.
            StreamInterruptedError: It cannot be read, and something of the answer has come.
        """
        try:
            event = first_object(decode(data))
            if "error" not in event:
                return self._read(event)
            caught = error_of(event, self._secrets, has_begun=self.has_begun)
        except UNREADABLE as error:
            if data.strip() == _OPENAI_END:
                self.has_ended = True
                return []
            caught = unreadable_event(error, data, has_begun=self.has_begun)
        raise caught

    def _read(self, event: JsonObject) -> list[JsonObject]:
        if self._is_text:
            text = _text_alone(event)
            if text is not None:  # nearly every event
                return [self._chunk(0, {"content": text})] if text else []
        if not self._head:
            self._start(event)
        candidates = event.get("candidates")
        chunks: list[JsonObject] = []
        if candidates:
            listed = list_of(candidates)
            for index, item in enumerate(listed):
                chunks += self._grow(object_of(item), index)
            self._is_text = not any(stream.is_thinking for stream in self._candidates.values())
            if chunks and (kept := metadata_of(listed)):
                self._is_grounded = self._is_grounded or is_grounded(listed)
                chunks[-1] |= kept
        elif "promptFeedback" in event and is_blocked(event):
            stream = self._candidates[0] = _CandidateStream()
            stream.has_ended = True
            chunks.append(self._chunk(0, {"content": None}, "content_filter"))
        usage = event.get("usageMetadata")
        if usage is not None and self.is_whole:
            counted = chat_usage(object_of(usage), is_grounded=self._is_grounded)
            chunks.append({**self._head, "choices": [], "usage": counted})
        return chunks

    def _start(self, event: JsonObject) -> None:
        self._head = {
            "id": text_or_none(event.get("responseId")),
            "created": int(time.time()),
            "model": model_of(event, self._model),
            "object": "chat.completion.chunk",
        }

    def _grow(self, candidate: JsonObject, position: int) -> list[JsonObject]:
        index = candidate.get("index", position)
        if not isinstance(index, int):
            raise TypeError("the index of a candidate is no number")
        stream = self._candidates.get(index)
        if stream is None:
            stream = self._candidates[index] = _CandidateStream()
        reason = candidate.get("finishReason")
        delta = stream.delta(candidate, ends=reason is not None)
        if not delta and reason is None:
            return []
        finish = None
        if reason is not None:
            stream.has_ended = True
            finish = finish_reason(reason, calls_tools=stream.calls > 0)
        chunk = self._chunk(index, delta, finish)
        if candidate.get("logprobsResult") is not None:
            object_of(list_of(chunk["choices"])[0])["logprobs"] = logprobs_of(candidate["logprobsResult"])
        return [chunk]

    def _chunk(self, index: int, delta: JsonObject, reason: str | None = None) -> JsonObject:
        if not self.has_begun:
            self.has_begun = True
            delta = {"role": "assistant", **delta}
        return {**self._head, "choices": [{"index": index, "delta": delta, "finish_reason": reason}]}


def _text_alone(event: JsonObject) -> str | None:
    """Return the text of an event that has nothing else, of the first candidate; None for any other event."""
    candidates = event.get("candidates")
    candidate = candidates[0] if is_list(candidates) and len(candidates) == 1 else None
    if not is_object(candidate) or len(candidate) > 2 or candidate.get("index"):
        return None
    parts = parts_of(candidate)
    part = parts[0] if len(parts) == 1 else None
    text = part.get("text") if is_object(part) and len(part) == 1 else None
    return text if isinstance(text, str) else None


class _CandidateStream:
    """What a candidate's later events depend on.

    Attributes:
        calls: The number of its tool calls.
        has_ended: Whether it has a finish reason.
    """

    __slots__ = ("_signature", "_signatures", "_thoughts", "calls", "has_ended")

    def __init__(self) -> None:
        self.calls = 0
        self.has_ended = False
        self._thoughts: list[str] = []
        self._signature: str | None = None
        self._signatures: list[str] = []

    @property
    def is_thinking(self) -> bool:
        """Whether there are thoughts whose whole block is still to come."""
        return bool(self._thoughts)

    def delta(self, candidate: JsonObject, *, ends: bool) -> JsonObject:
        """Return the delta of the candidate in an event."""
        texts, thoughts = "", ""
        found: JsonObject = {}
        calls: list[JsonObject] = []
        blocks: list[JsonObject] = []
        for part in map(object_of, parts_of(candidate)):
            signature = text_or_none(part.get("thoughtSignature"))
            if signature is not None:
                self._signatures.append(signature)
                found["provider_specific_fields"] = {"thought_signatures": list(self._signatures)}
            if part.get("thought") is True:
                thought = text_of(part.get("text", ""))
                self._thoughts.append(thought)
                self._signature = signature or self._signature
                thoughts += thought
                continue
            blocks += self._take_thoughts()
            if "text" in part:
                texts += text_of(part["text"])
            elif "functionCall" in part:
                calls.append(tool_call(part, self.calls))
                self.calls += 1
            elif "inlineData" in part:
                texts += _add_media(found, *inline_data(part))
        if ends:
            blocks += self._take_thoughts()
        grown = {"content": texts, "reasoning_content": thoughts, "thinking_blocks": blocks, "tool_calls": calls}
        found |= {name: value for name, value in grown.items() if value}
        annotations = annotations_of(candidate)
        return {**found, "annotations": annotations} if annotations else found

    def _take_thoughts(self) -> list[JsonObject]:
        if not self._thoughts:
            return []
        whole: JsonObject = {"type": "thinking", "thinking": "".join(self._thoughts)}
        if self._signature is not None:
            whole["signature"] = self._signature
        self._thoughts, self._signature = [], None
        return [whole]


def _add_media(found: JsonObject, media_type: str, data: str) -> str:
    """Add media to a delta; return the text of those that are neither images nor sound."""
    if media_type.startswith("image/"):
        before = found.get("images")
        found["images"] = [*(list_of(before) if before is not None else ()), image_of(media_type, data)]
    elif media_type.startswith("audio/"):
        found.setdefault("audio", audio_of(data))
    else:
        return f"data:{media_type};base64,{data}"
    return ""
