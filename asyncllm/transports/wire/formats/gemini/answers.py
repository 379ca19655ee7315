"""Conversion of whole answers to the chat-completions form."""

from __future__ import annotations

import time
from collections.abc import Mapping

from asyncllm.errors import MalformedResponseError
from asyncllm.transports.bodies import decode, start_of

from ..format import UNREADABLE
from ..json_values import JsonObject, is_list, list_of, object_of, text_of, text_or_none
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


def read_answer(body: bytes, secrets: tuple[str, ...] = (), *, model: str = "") -> JsonObject:
    """Read a whole answer.

    Args:
        body: The body as it came.
        secrets: Texts that must not occur in an error.
        model: The model that was asked, for an answer that names none.

    Raises:
        ProviderError: It is an error that came with the status of an answer.
        MalformedResponseError: It is no answer.
    """
    try:
        data = first_object(decode(body))
        if not data.get("error"):
            return _answer(data, model)
        caught = error_of(data, secrets)
    except UNREADABLE:
        caught = MalformedResponseError(f"the provider said 200 and sent no answer: {start_of(body)}.", status_code=200)
    raise caught


def first_object(data: object) -> JsonObject:
    """Return an object; of a list, in which the API wraps some errors, the first one."""
    return object_of(data[0] if is_list(data) and data else data)


def model_of(data: Mapping[str, object], model: str) -> str:
    """Return the model of an answer, without its version."""
    return (text_or_none(data.get("modelVersion")) or model).partition("@")[0]


def is_blocked(data: Mapping[str, object]) -> bool:
    """Return whether the prompt was refused, so that there are no candidates."""
    feedback = data.get("promptFeedback")
    return feedback is not None and "blockReason" in object_of(feedback)


def _answer(data: JsonObject, model: str) -> JsonObject:
    candidates = list_of(data.get("candidates") or ())
    if candidates:
        choices = [_choice(object_of(candidate), index) for index, candidate in enumerate(candidates)]
    elif is_blocked(data):
        message = {"role": "assistant", "content": None}
        choices = [{"finish_reason": "content_filter", "index": 0, "message": message}]
    else:
        raise ValueError("an answer without candidates")
    answer: JsonObject = {
        "id": text_or_none(data.get("responseId")),
        "created": int(time.time()),
        "model": model_of(data, model),
        "object": "chat.completion",
        "choices": choices,
    }
    kept = metadata_of(candidates)
    if data.get("usageMetadata") is not None:
        grounded = bool(kept) and is_grounded(candidates)
        answer["usage"] = chat_usage(object_of(data["usageMetadata"]), is_grounded=grounded)
    return answer | kept if kept else answer


def _choice(candidate: JsonObject, index: int) -> JsonObject:
    parts = parts_of(candidate)
    first = object_of(parts[0]) if len(parts) == 1 else {}
    if len(first) == 1 and "text" in first:  # nearly every answer
        message: JsonObject = {"content": text_of(first["text"]) or None, "role": "assistant"}
    else:
        message = _Parts(candidate).message()
    annotations = annotations_of(candidate)
    if annotations:
        message["annotations"] = annotations
    reason = candidate.get("finishReason")
    choice: JsonObject = {
        "finish_reason": finish_reason(reason, calls_tools="tool_calls" in message),
        "index": candidate.get("index", index),
        "message": message,
    }
    if reason is not None:
        choice["provider_specific_fields"] = {"native_finish_reason": reason}
    if candidate.get("logprobsResult") is not None:
        choice["logprobs"] = logprobs_of(candidate["logprobsResult"])
    return choice


class _Parts:
    """The parts of a candidate by kind; unknown kinds are ignored."""

    def __init__(self, candidate: JsonObject) -> None:
        self._texts: list[str] = []
        self._thoughts: list[JsonObject] = []
        self._calls: list[JsonObject] = []
        self._images: list[JsonObject] = []
        self._audio: JsonObject | None = None
        self._signatures: list[object] = []
        for item in parts_of(candidate):
            self._add(object_of(item))

    def message(self) -> JsonObject:
        """Return the chat-completions message."""
        message: JsonObject = {"content": "".join(self._texts) or None, "role": "assistant"}
        if self._thoughts:
            message["thinking_blocks"] = self._thoughts
            message["reasoning_content"] = "".join(text_of(block["thinking"]) for block in self._thoughts)
        if self._calls:
            message["tool_calls"] = self._calls
        if self._images:
            message["images"] = self._images
        if self._audio is not None:
            message["audio"] = self._audio
        if self._signatures:
            message["provider_specific_fields"] = {"thought_signatures": self._signatures}
        return message

    def _add(self, part: JsonObject) -> None:
        signature = text_or_none(part.get("thoughtSignature"))
        if signature is not None:
            self._signatures.append(signature)
        if part.get("thought") is True:
            signed = {} if signature is None else {"signature": signature}
            self._thoughts.append({"type": "thinking", "thinking": text_of(part.get("text", "")), **signed})
        elif "text" in part:
            self._texts.append(text_of(part["text"]))
        elif "functionCall" in part:
            self._calls.append(tool_call(part, len(self._calls)))
        elif "inlineData" in part:
            self._add_media(*inline_data(part))

    def _add_media(self, media_type: str, data: str) -> None:
        if media_type.startswith("image/"):
            self._images.append(image_of(media_type, data))
        elif media_type.startswith("audio/"):
            self._audio = self._audio or audio_of(data)
        else:
            self._texts.append(f"data:{media_type};base64,{data}")
