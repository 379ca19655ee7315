"""JSON as it comes: a tokenizer that is fed a text in pieces, in time linear in its length."""

from __future__ import annotations

import re
from json.decoder import scanstring  # type: ignore[attr-defined]  # public by its use in json, and written in C
from typing import Literal, Protocol

Kind = Literal["object", "array", "string"]

_SPACE = re.compile(r"[ \t\n\r]*")
_TOKEN = re.compile(r"[-+.0-9a-zA-Z]*")
_SCALAR = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|true|false|null")
_STRING = re.compile(r'(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+')
# An escape sequence that is not whole yet, with the first half of a surrogate pair before it.
_HELD = re.compile(r"(?:\\u[dD][89abAB][0-9a-fA-F]{2})?(?:\\(?:u[0-9a-fA-F]{0,3})?)?")
_HIGH_SURROGATE = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}$")
_SURROGATE = re.compile("[\ud800-\udfff]")
# Deeper than any answer, and far from where Python's own recursion, or pydantic's, would end.
MAX_DEPTH = 100


class InvalidJSONError(ValueError):
    """The text is not JSON."""


class Events(Protocol):
    """What is told of a document, in its order."""

    def begin(self, kind: Kind) -> None:
        """An object, an array or a string value begins."""

    def end(self) -> None:
        """What began last ends."""

    def key(self, name: str) -> None:
        """The key of the next value of the object."""

    def text(self, piece: str) -> None:
        """A piece of a string value, decoded."""

    def scalar(self, token: str) -> None:
        """A number, `true`, `false` or `null`, as it is written."""


# What may come next.
_VALUE, _VALUE_OR_END, _KEY, _KEY_OR_END, _COLON, _COMMA_OR_END, _IN_STRING, _IN_SCALAR, _DONE = range(9)


class JSONStream:
    """Reads one JSON object or array, piece by piece.

    Attributes:
        offset: Where in the whole text the present event is, in characters from its start: for a beginning, before its
            first character; for an end, after its last.
        done: Whether the document is complete.
    """

    __slots__ = ("_base", "_events", "_held", "_is_key", "_open", "_parts", "_state", "done", "offset")

    def __init__(self, events: Events) -> None:
        self._events = events
        self._state = _VALUE
        self._open: list[str] = []
        self._parts: list[str] = []
        self._is_key = False
        self._held = ""
        self._base = 0
        self.offset = 0
        self.done = False

    def feed(self, text: str) -> None:
        """Read the next piece; what follows the document is left alone.

        Raises:
            InvalidJSONError: It cannot be part of a document.
        """
        if self._held:
            # An escape sequence came in two pieces.
            text, self._base, self._held = self._held + text, self._base - len(self._held), ""
        at, size = 0, len(text)
        while at < size and not self.done:
            if self._state == _IN_STRING:
                at = self._string(text, at)
            elif self._state == _IN_SCALAR:
                at = self._scalar(text, at)
            else:
                at = _SPACE.match(text, at).end()  # type: ignore[union-attr]  # it matches anything
                if at < size:
                    at = self._structure(text, at)
        self._base += size

    def _structure(self, text: str, at: int) -> int:
        char = text[at]
        state = self._state
        self.offset = self._base + at
        if state in (_VALUE, _VALUE_OR_END) and char != "]":
            return self._begin(char, at)
        if char == '"' and state in (_KEY, _KEY_OR_END):
            self._is_key, self._state = True, _IN_STRING
        elif char == ":" and state == _COLON:
            self._state = _VALUE
        elif char == "," and state == _COMMA_OR_END:
            self._state = _KEY if self._open[-1] == "{" else _VALUE
        elif (char == "}" and state in (_KEY_OR_END, _COMMA_OR_END) and self._open[-1] == "{") or (
            char == "]" and state in (_VALUE_OR_END, _COMMA_OR_END) and self._open[-1] == "["
        ):
            self.offset += 1
            self._open.pop()
            self._events.end()
            self._after_value()
        else:
            raise InvalidJSONError(f"{char!r} at character {self.offset}")
        return at + 1

    def _begin(self, char: str, at: int) -> int:
        if char in "{[":
            if len(self._open) >= MAX_DEPTH:
                raise InvalidJSONError("nested too deeply")
            self._events.begin("object" if char == "{" else "array")
            self._open.append(char)
            self._state = _KEY_OR_END if char == "{" else _VALUE_OR_END
            return at + 1
        if not self._open:
            raise InvalidJSONError("neither an object nor an array")
        if char == '"':
            self._events.begin("string")
            self._is_key, self._state = False, _IN_STRING
            return at + 1
        self._state = _IN_SCALAR
        return at

    def _scalar(self, text: str, at: int) -> int:
        found = _TOKEN.match(text, at)
        assert found is not None
        self._parts.append(found.group())
        end = found.end()
        if end == len(text):
            return end  # the next piece may go on with it
        token = "".join(self._parts)
        self._parts.clear()
        if _SCALAR.fullmatch(token) is None:
            raise InvalidJSONError(f"{token or text[end]!r} is no value")
        self.offset = self._base + end
        self._events.scalar(token)
        self._after_value()
        return end

    def _string(self, text: str, at: int) -> int:
        found = _STRING.match(text, at)
        assert found is not None
        piece, end = found.group(), found.end()
        if "\\" in piece:
            if end == len(text) or text[end] == "\\":
                half = _length_of_half_pair(piece)
                piece, end = piece[: len(piece) - half], end - half
            piece = _unescaped(piece)
        if piece and self._is_key:
            self._parts.append(piece)
        elif piece:
            self._events.text(piece)
        if end == len(text):
            return end
        if text[end] == '"':
            self.offset = self._base + end + 1
            self._end_string()
            return end + 1
        self._held = text[end:]
        if _HELD.fullmatch(self._held) is None:
            raise InvalidJSONError(f"{self._held[:6]!r} within a text")
        return len(text)

    def _end_string(self) -> None:
        if self._is_key:
            self._events.key("".join(self._parts))
            self._parts.clear()
            self._state = _COLON
        else:
            self._events.end()
            self._after_value()

    def _after_value(self) -> None:
        self._state = _COMMA_OR_END if self._open else _DONE
        self.done = not self._open


def _unescaped(piece: str) -> str:
    decoded: str = scanstring(f'{piece}"', 0)[0]
    if _SURROGATE.search(decoded):
        raise InvalidJSONError("half of a surrogate pair")
    return decoded


def _length_of_half_pair(piece: str) -> int:
    """Return the length of the first half of a surrogate pair at the end of a piece: 6, or 0 when there is none."""
    found = _HIGH_SURROGATE.search(piece)
    if found is None:
        return 0
    before = piece[: found.start()]
    escaped = (len(before) - len(before.rstrip("\\"))) % 2  # the backslash is itself escaped, and begins nothing
    return 0 if escaped else len(found.group())
