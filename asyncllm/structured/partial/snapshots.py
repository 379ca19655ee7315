"""Snapshots of a value that is on its way: found in the text, read piece by piece, shown as its shape allows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asyncllm.completions.completion import Completion

from ..reading import DocumentFinder
from .json_stream import InvalidJSONError, JSONStream, Kind
from .shapes import HIDDEN, Frame, Shape

if TYPE_CHECKING:
    from ..prompting import Prepared

# A snapshot is due when the text has grown by this part of its length. The work of all snapshots together stays in
# proportion to the length of the text, and the steps stay small: 80 characters at 40,000.
FINENESS = 512


class Snapshots:
    """What can be shown of one value, while its text comes.

    Attributes:
        is_changed: Whether there is more to show than the last snapshot had.
    """

    def __init__(self, shape: Shape) -> None:
        self.is_changed = False
        self._shape = shape
        self._frames: list[Frame] = []
        self._kinds: list[Kind] = []
        self._whole: Any = HIDDEN
        self._finder = DocumentFinder()
        self._stream = JSONStream(self)
        self._is_broken = False
        self._fed = 0
        self._shown_at = 0

    @property
    def is_due(self) -> bool:
        """Whether a snapshot is worth its work now."""
        if not self.is_changed:
            return False
        return self._stream.done or (self._fed - self._shown_at) * FINENESS >= self._fed

    def feed(self, piece: str) -> None:
        """Read the next piece of the text. After something that is no JSON there is nothing more to show."""
        self._fed += len(piece)
        if self._is_broken:
            return
        try:
            self._stream.feed(self._finder.feed(piece))
        except InvalidJSONError:
            self._is_broken = True

    def take(self) -> Any:
        """Return what there is to show; HIDDEN when there is nothing."""
        self.is_changed = False
        self._shown_at = self._fed
        value = self._whole
        if self._frames:
            value = HIDDEN
            for frame in reversed(self._frames):
                value = frame.so_far(value)
        return value

    def begin(self, kind: Kind) -> None:
        frame = self._frames[-1].begin(kind) if self._frames else self._shape.begin(kind)
        frame.start(kind)
        self._frames.append(frame)
        self._kinds.append(kind)

    def key(self, name: str) -> None:
        self._frames[-1].name = name

    def text(self, piece: str) -> None:
        frame = self._frames[-1]
        frame.text(piece)
        if frame.is_live:
            self._changed()

    def scalar(self, token: str) -> None:
        self._put(self._frames[-1].scalar(token), is_shown=False)

    def end(self) -> None:
        frame = self._frames.pop()
        value = frame.end(self._kinds.pop())
        if not self._frames:
            self._whole = value
            self.is_changed = self.is_changed or (not frame.is_shown and value is not HIDDEN)
            return
        self._put(value, is_shown=frame.is_shown)

    def _put(self, value: Any, *, is_shown: bool) -> None:
        """Put a complete value into what it belongs to; something of it may be shown already."""
        frame = self._frames[-1]
        shows = not is_shown and frame.shows(value)
        replacement = frame.put(value)
        if replacement is not None:
            replacement.name = frame.name
            self._frames[-1] = frame = replacement
            shows = True
        if frame.is_live and shows:
            self._changed()

    def _changed(self) -> None:
        self.is_changed = True
        for frame in reversed(self._frames):
            if frame.is_shown:
                break
            frame.is_shown = True


def partial_value(prepared: Prepared, completion: Completion) -> Any:
    """Return what can be shown of an answer that is not whole, or not valid; None when nothing can."""
    snapshots = Snapshots(prepared.shape)
    calls = [call.arguments for call in completion.tool_calls if call.name == prepared.tool]
    snapshots.feed(calls[0] if calls and isinstance(calls[0], str) else completion.text)
    return None if (value := snapshots.take()) is HIDDEN else value
