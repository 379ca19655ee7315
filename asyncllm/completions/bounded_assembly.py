"""The assembly of an answer whose text is kept only up to a length."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .chunk_assembly import TEXTS, ChunkAssembly
from .text_chunk import AnyChunk, TextChunk
from .usage import Usage

# Small pieces take fifteen times the memory of their text: they are joined when so many characters have come.
_PORTION = 16_384


class BoundedAssembly(ChunkAssembly):
    """An assembly that drops its texts once they are too long, and keeps what usage and cost need.

    Args:
        most_chars: The length up to which texts are kept.
        estimate: The usage of a text that came without one.
    """

    __slots__ = ("_dropped_tokens", "_estimate", "_is_dropping", "_kept", "_most_chars", "_new")

    def __init__(self, most_chars: int, estimate: Callable[[str], Usage]) -> None:
        super().__init__()
        self._most_chars = most_chars
        self._estimate = estimate
        self._kept = self._new = self._dropped_tokens = 0
        self._is_dropping = False

    @property
    def text(self) -> str:
        """The text of the first choice so far; empty once it has been dropped."""
        return "" if self._is_dropping else super().text

    def add(self, chunk: AnyChunk) -> AnyChunk:
        """Add the next chunk, and return it as it is to be shown."""
        chunk = super().add(chunk)
        self._new += _length(chunk)
        if self._new >= _PORTION:
            self._kept += self._new
            self._new = 0
            written = self.written
            if self._kept > self._most_chars:
                self._is_dropping = True
                self._dropped_tokens += self._estimate(written).output_tokens or 0
                self.drop_texts()
        return chunk

    def estimated(self, estimate: Callable[[str], Usage]) -> Usage:
        """Return the estimated usage of all that the model has written, dropped or not."""
        usage = super().estimated(estimate)
        return usage + Usage(0, self._dropped_tokens, basis=usage.basis)

    def result(self) -> dict[str, Any]:
        """Return the answer so far; without its texts once they have been dropped."""
        if self._is_dropping:
            self.drop_texts()
        return super().result()


def _length(chunk: AnyChunk) -> int:
    if isinstance(chunk, TextChunk):
        return len(chunk.text)
    deltas: list[dict[str, object]] = [choice.get("delta") or {} for choice in chunk.get("choices") or ()]
    return sum(len(text) for delta in deltas for name in TEXTS if isinstance(text := delta.get(name), str))
