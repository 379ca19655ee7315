"""Events that differ from one before in their text alone, which nearly all of a stream are; read without decoding."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import from_json

from asyncllm.completions.text_chunk import TextChunk

_PROBE = "~~"
# Learning takes as long as decoding an event or two: a stream whose events differ in more stops trying.
_COST_OF_LEARNING = 4
_SPARE = 4 * _COST_OF_LEARNING
# OpenAI makes events equally long, so that their lengths do not betray the text.
_PADDING = b',"obfuscation":"'
_NEVER = b"\n"  # no event begins with it


class TextEvents:
    """Makes the chunks of events that are like one that was learnt, but for the text.

    What stands before and after the text has to be equal byte for byte, so that nothing else can have come.

    Args:
        name: The field that holds the text.
        holder: Returns the object with that field in a decoded event.

    Attributes:
        pieces: Where the texts are collected as well; None for nowhere.
    """

    __slots__ = ("_after", "_before", "_field", "_holder", "_is_padded", "_like", "_name", "_spare", "pieces")

    def __init__(self, name: str, holder: Callable[[Any], dict[str, Any]]) -> None:
        self.pieces: list[str] | None = None
        self._name = name
        self._field = re.compile(rb'"%b": ?"((?:[^"\\]|\\.)*)"' % name.encode())
        self._holder = holder
        self._before = self._after = _NEVER
        self._is_padded = False
        self._like: dict[str, Any] = {}
        self._spare = _SPARE

    def chunk(self, event: bytes) -> TextChunk | None:
        """Return the chunk of an event that brings a text and nothing else new; None for all others."""
        before = self._before
        if not event.startswith(before):
            return None
        if self._is_padded:
            event = _without_padding(event)
        after = self._after
        if not event.endswith(after) or len(event) < len(before) + len(after):
            return None
        try:
            text: str = from_json(b'"%b"' % event[len(before) : -len(after)])
        except ValueError:  # half a surrogate pair, or more than one string
            return None
        if not text:
            return None
        self._spare += 1
        if self.pieces is not None:
            self.pieces.append(text)
        return TextChunk(self._like, text)

    def learn(self, event: bytes, chunk: Mapping[str, Any]) -> None:
        """Take an event as an example, if it brings a text and nothing else.

        Args:
            event: Its data.
            chunk: The chunk that was made of it.
        """
        if self._spare <= 0 or not _is_text_alone(chunk):
            return
        self._spare -= _COST_OF_LEARNING
        bare = _without_padding(event)
        found = self._field.search(bare)
        if found is None:
            return
        before, after = bare[: found.start(1)], bare[found.end(1) :]
        is_padded = bare is not event
        probe = from_json(before + _PROBE.encode() + after + (b"}" if is_padded else b""))
        if self._holder(probe).get(self._name) == _PROBE:  # else the text stands elsewhere
            self._before, self._after, self._is_padded = before, after, is_padded
            choice: dict[str, Any] = chunk["choices"][0]
            copied = {**chunk, "choices": [{**choice, "delta": {**choice["delta"]}}]}
            self._like = {name: value for name, value in copied.items() if name != "obfuscation"}


def _without_padding(event: bytes) -> bytes:
    """Return an event up to the padding at its end; the same object where there is none."""
    at = event.rfind(_PADDING)
    if at < 0 or not event.endswith(b'"}') or not event[at + len(_PADDING) : -2].isalnum():
        return event
    return event[:at]


def _is_text_alone(chunk: Mapping[str, Any]) -> bool:
    """Return whether a chunk is a text for its only choice, and nothing that could be shared by mistake."""
    choices = chunk.get("choices")
    if not choices or len(choices) != 1:
        return False
    choice: dict[str, Any] = choices[0]
    delta: dict[str, Any] = choice.get("delta") or {}
    return (
        bool(delta.get("content"))
        and choice.get("index") == 0
        and not choice.get("finish_reason")
        and all(value is None for name, value in delta.items() if name not in ("content", "role"))
        and not any(isinstance(value, dict | list) for name, value in chunk.items() if name != "choices")
        and not any(isinstance(value, dict | list) for name, value in choice.items() if name != "delta")
    )
