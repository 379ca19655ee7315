"""TextChunk: a chunk of which nothing but its text is new."""

from __future__ import annotations

from typing import Any


class TextChunk:
    """A chunk that brings text to the only choice, and is otherwise like another; its data are made when asked for.

    Attributes:
        text: The text.

    Args:
        like: A chunk in the chat-completions form that differs in its text alone.
    """

    __slots__ = ("_like", "text")

    def __init__(self, like: dict[str, Any], text: str) -> None:
        self._like = like
        self.text = text

    def to_dict(self) -> dict[str, Any]:
        """Return the chunk in the chat-completions form."""
        choice: dict[str, Any] = self._like["choices"][0]
        delta = {**choice["delta"], "content": self.text}
        return {**self._like, "choices": [{**choice, "delta": delta}]}


AnyChunk = dict[str, Any] | TextChunk


def chunk_data(chunk: AnyChunk) -> dict[str, Any]:
    """Return a chunk in the chat-completions form."""
    return chunk.to_dict() if isinstance(chunk, TextChunk) else chunk
