"""A parser of server-sent events, fed with bytes as they come.

Source: the HTML standard, "Interpreting an event stream". Lines end with LF, CRLF or CR; the `data` lines of one event
are joined by LF; comments and unknown fields are ignored. Names of events are not needed for chat completions and are
ignored as well.
"""

from __future__ import annotations

import re

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


class SSEParser:
    """Turns pieces of a stream, cut anywhere, into the data of its events.

    Args:
        max_event_bytes: The longest event; a longer one is a broken stream.
    """

    __slots__ = ("_data", "_held", "_is_json", "_line", "_max", "_started")

    def __init__(self, max_event_bytes: int) -> None:
        self._line: list[bytes] = []  # the pieces of a line that has not ended
        self._data: list[bytes] = []  # the data lines of an event that has not ended
        self._held = 0
        self._max = max_event_bytes
        self._started = False
        self._is_json = False

    @property
    def whole(self) -> bytes | None:
        """The body so far, where it is JSON and not a stream: some servers ignore that one was asked for."""
        return b"".join(self._line) if self._is_json else None

    def feed(self, piece: bytes) -> list[bytes]:
        """Take the next piece and return the data of the events that it completes, in order.

        Raises:
            ValueError: An event is longer than the limit.
        """
        if not self._line and not self._data and piece[-2:] == b"\n\n" and b"\r" not in piece and self._started:
            # Nearly every piece of a real stream: whole events, and no rest.
            events: list[bytes]
            if piece[:6] == b"data: ":
                events = piece[6:-2].split(b"\n\ndata: ")
                if piece.count(b"\n") == 2 * len(events):  # and no other lines
                    return events
            events = []
            for block in piece.split(b"\n\n"):
                name, _, data = block.rpartition(b"\n")  # Anthropic names its events in a line of their own
                if data[:6] == b"data: " and (not name or (name[:7] == b"event: " and b"\n" not in name)):
                    events.append(data[6:])
                elif block:
                    events += self._lines([*block.split(b"\n"), b""])
            return events
        return self._feed(piece)

    def end(self) -> list[bytes]:
        """Return the data of a last event whose blank line is missing; some servers leave it out."""
        if self._is_json:
            return []
        events = self._lines(_lines_of(b"".join(self._line))) if self._line else []
        self._line = []
        if self._data:
            events.append(b"\n".join(self._data))
            self._data = []
        return events

    def _feed(self, piece: bytes) -> list[bytes]:
        self._held += len(piece)
        if self._held > self._max:
            raise ValueError(f"an event is longer than {self._max:,} bytes")
        if self._is_json:
            self._line.append(piece)
            return []
        if self._line and self._started and not self._line[-1].endswith(b"\r") and not _LINE_END.search(piece):
            # The line goes on. Joined once at its end: with every piece, a long one would be copied as often.
            self._line.append(piece)
            return []
        pending = b"".join(self._line) + piece if self._line else piece
        if not self._started:
            if len(pending) < len(_BOM) and _BOM.startswith(pending):
                self._line = [pending]
                return []
            first = pending.removeprefix(_BOM).lstrip()[:1]
            if not first or first in b"{[":
                self._line, self._is_json = [pending], bool(first)
                return []
            pending = pending.removeprefix(_BOM)
            self._started = True
        # A CR at the end may be the first half of a CRLF; it is kept for the next piece.
        held = pending[-1:] == b"\r"
        lines = _lines_of(pending[:-1] if held else pending)
        rest = lines.pop() + (b"\r" if held else b"")
        self._line = [rest] if rest else []
        events = self._lines(lines)
        self._held = len(rest) + sum(map(len, self._data))
        return events

    def _lines(self, lines: list[bytes]) -> list[bytes]:
        events: list[bytes] = []
        for line in lines:
            if not line:
                if self._data:
                    events.append(b"\n".join(self._data))
                    self._data = []
            elif line.startswith(b"data:"):
                value = line[5:]
                self._data.append(value[1:] if value[:1] == b" " else value)
            elif line == b"data":
                self._data.append(b"")
        return events


def _lines_of(data: bytes) -> list[bytes]:
    return _LINE_END.split(data) if b"\r" in data else data.split(b"\n")
