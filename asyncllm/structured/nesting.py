"""Nesting of a JSON document that comes in pieces."""

from __future__ import annotations

import re
from collections.abc import Iterator

# A mark of the structure, or a string; the string may end with the text, and then its closing quote is missing.
_MARK = re.compile(r'[{}\[\]:,]|"(?:[^"\\]++|\\.)*+("?)', re.DOTALL)
_REST_OF_STRING = re.compile(r'(?:[^"\\]++|\\.)*+("?)', re.DOTALL)
_OPENING = {"}": "{", "]": "["}


class Nesting:
    """Finds where the values of a JSON object or array begin and end, in time linear in its length.

    Values are not parsed: that is for a JSON parser, with the text of one value or with all of the text so far.

    Attributes:
        key: The last complete key, as it is written between its quotes.
        is_in_string: Whether the text ends within a string, a value or a key.
        end: The offset at which the document ends, or stops being valid; None before.
    """

    def __init__(self) -> None:
        self.key = ""
        self.is_in_string = False
        self.end: int | None = None
        self._open: list[str] = []  # brackets
        self._last = ":"  # mark
        self._is_in_key = False
        self._key: list[str] = []
        self._held = ""  # a backslash whose escaped character is in the next piece
        self._offset = 0

    @property
    def depth(self) -> int:
        """The number of open objects and arrays."""
        return len(self._open)

    @property
    def is_complete(self) -> bool:
        """Whether the document has ended."""
        return self.end is not None and not self._open

    @property
    def open_values(self) -> int:
        """The number of values that are open: objects, arrays, and a string that is no key."""
        return len(self._open) + (self.is_in_string and not self._is_in_key)

    def feed(self, piece: str) -> Iterator[tuple[str, int]]:
        """Read the next piece; anything after the document is ignored.

        Yields:
            Each bracket, colon and comma outside of strings, and `"` at the end of a string; with the offset after it,
            in characters from the start of the document. The attributes are those after it.
        """
        text, start = self._held + piece, self._offset - len(self._held)
        self._offset, self._held = start + len(text), ""
        at = 0
        while self.end is None:
            found = (_REST_OF_STRING if self.is_in_string else _MARK).search(text, at)
            if found is None:
                return
            mark = '"' if self.is_in_string else text[found.start()]
            if not self.is_in_string and not self._may_follow(mark):
                self.end = start + found.start()
                return
            at = found.end()
            if mark == '"' and not self._string(found.group(), is_closed=bool(found[1])):
                self._held = text[at:]
                return
            if mark in "{[":
                self._open.append(mark)
            elif mark in "}]":
                self._open.pop()
            self._last = mark
            self.end = None if self._open else start + at
            yield mark, start + at

    def _may_follow(self, mark: str) -> bool:
        """Return whether a mark may follow the last one; the text between them is for the parser."""
        if mark in "}]":
            return self._open[-1] == _OPENING[mark]
        if mark in ":,":
            return True
        is_in_object = self._open[-1:] == ["{"]
        self._is_in_key = mark == '"' and is_in_object and self._last in "{,"
        return self._is_in_key or self._last == ":" or (not is_in_object and self._last in "[,")

    def _string(self, text: str, *, is_closed: bool) -> bool:
        """Read a string, or the part of it in this piece; return whether it is closed."""
        self.is_in_string = not is_closed
        if self._is_in_key:
            self._key.append(text)
            if is_closed:
                self.key = "".join(self._key)[1:-1]
                self._key.clear()
        return is_closed
