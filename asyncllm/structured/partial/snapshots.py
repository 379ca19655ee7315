"""Snapshots of a typed answer while its text is coming.

A snapshot parses all of the text so far with pydantic's parser of incomplete JSON. Two facts that it does not report
are taken from the nesting: which values at the end of the text are open (`"red"` may become `"reddish"`), and whether a
key is repeated, of which the parser keeps the last value and a growing value has shown the first.
"""

from __future__ import annotations

from bisect import bisect_left

from pydantic_core import from_json

from ..nesting import Nesting
from ..reading import DocumentFinder
from .shapes import HIDDEN, Growth, Shape

# A snapshot is due when the text has grown by this part of its length. The work of all snapshots together stays in
# proportion to the length of the text, and the steps stay small: 80 characters at 40,000.
FINENESS = 512
_OF_NUMBERS = "+-.0123456789Ee"


class Snapshots:
    """Growing snapshots of one value.

    Attributes:
        latest: The last snapshot; HIDDEN before the first.
    """

    def __init__(self, shape: Shape) -> None:
        self.latest: object = HIDDEN
        self._shape = shape
        self._growth = Growth()
        self._finder = DocumentFinder()
        self._nesting = Nesting()
        self._keys: list[set[str]] = []  # of each open object
        self._text = ""
        self._pieces: list[str] = []
        self._end: int | None = None  # offset at which no more can be shown, once it is known
        self._fed = 0  # characters
        self._fed_before = 0  # the last attempt

    @property
    def is_due(self) -> bool:
        """Whether enough text has come for another snapshot."""
        return bool(self._pieces) and (self._end is not None or (self._fed - self._fed_before) * FINENESS >= self._fed)

    def feed(self, piece: str) -> None:
        """Add the next piece of the text. After invalid JSON, no more is shown."""
        self._fed += len(piece)
        if self._end is not None:
            return
        piece = self._finder.feed(piece)
        if piece:
            self._pieces.append(piece)
            self._scan(piece)

    def advance(self) -> bool:
        """Make a snapshot of the text so far; return whether it shows more than the last one."""
        self._fed_before = self._fed
        if not self._pieces:
            return False
        self._text = "".join((self._text, *self._pieces))[: self._end]
        self._pieces.clear()
        try:
            data = self._parse()
        except (ValueError, TypeError):  # TypeError: a lone surrogate
            self._end = self._length_of_longest_prefix()
            self._text = self._text[: self._end]
            self._nesting = _nesting_of(self._text)
            data = self._parse()
        self._growth.open_values = self._nesting.open_values
        value = self._shape.show(data, self._growth)
        if value is HIDDEN or value == self.latest:
            return False
        self.latest = value
        return True

    def _scan(self, piece: str) -> None:
        """Find the end of the document, or a repeated key."""
        for mark, offset in self._nesting.feed(piece):
            if mark in "{[":
                self._keys.append(set())
            elif mark in "]}":
                self._keys.pop()
            elif mark == ":":
                if self._nesting.key in self._keys[-1]:
                    self._end = offset
                    return
                self._keys[-1].add(self._nesting.key)
        self._end = self._nesting.end

    def _parse(self) -> object:
        if self._nesting.is_complete:
            return from_json(self._text, allow_inf_nan=False)
        return _parsed_prefix(self._text, self._nesting)

    def _length_of_longest_prefix(self) -> int:
        """Return the length of the longest prefix of the text that a valid document can start with."""

        def is_broken(size: int) -> bool:
            text = self._text[:size]
            try:
                _parsed_prefix(text, _nesting_of(text))
            except (ValueError, TypeError):
                return True
            return False

        return bisect_left(range(1, len(self._text)), True, key=is_broken)


def _parsed_prefix(text: str, nesting: Nesting) -> object:
    # The parser takes a trailing `12` for a number, though it may be the start of `123`.
    text = text if nesting.is_in_string else text.rstrip(_OF_NUMBERS)
    return from_json(text, allow_partial="trailing-strings", allow_inf_nan=False)


def _nesting_of(text: str) -> Nesting:
    nesting = Nesting()
    for _ in nesting.feed(text):
        pass
    return nesting
