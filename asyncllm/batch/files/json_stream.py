"""The values of a JSON file one by one: the items of its arrays, and values that follow each other."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from typing import TypeAlias

from .formats import BUFFER_BYTES

JsonValue: TypeAlias = tuple[int, bytes, str | None]
"""The line where a value begins, its text, and what is wrong with it where it has no end."""

# A value that is not closed within as much is taken for a mistake.
_OPEN_BYTES = 64 * 1024 * 1024
_OUTSIDE = re.compile(rb'["{}\[\],]')
_INSIDE = re.compile(rb'["\\]')


def json_values(file: io.BufferedReader) -> Iterator[JsonValue]:
    """Yield the values of a file, which are not parsed, with the memory of one of them."""
    if file.peek().startswith(codecs.BOM_UTF8):
        file.read(len(codecs.BOM_UTF8))
    text, nesting, line, at = bytearray(), _Nesting(), 1, 0
    while True:
        found = (_INSIDE if nesting.in_string else _OUTSIDE).search(text, at)
        if found is None:
            # What follows a backslash at the end of the text is passed over, too.
            at = max(at, len(text))
            if len(text) > _OPEN_BYTES:
                yield (
                    *_located(line, bytes(text)),
                    f"is not closed within {_OPEN_BYTES >> 20} MiB; the rest is not read",
                )
                return
            if not (piece := file.read1(BUFFER_BYTES)):
                break
            text += piece
            continue
        at, mark = found.end(), found.group()
        if mark == b"\\":
            at += 1
        elif (width := nesting.add(mark)) is not None:
            if (value := bytes(text[: at - 1 + width])).strip():
                yield *_located(line, value), None
            line += text.count(b"\n", 0, at)
            del text[:at]
            at = 0
    if text.strip():
        yield *_located(line, bytes(text)), "is not closed: the file may be cut off" if nesting.in_value else None
    if nesting.in_array and not nesting.in_value:
        yield line, b"", "has no end of the array: the file may be cut off"


def _located(line: int, value: bytes) -> tuple[int, bytes]:
    """Return the line where a value begins, behind the white space in front of it, and the value."""
    return line + value.count(b"\n", 0, len(value) - len(value.lstrip())), value


class _Nesting:
    """What is open: an array of the file, a value, a string in it.

    Attributes:
        in_array: Whether the next value is an item of an array.
        in_string: Whether the text is within a string.
    """

    def __init__(self) -> None:
        self.in_array = False
        self.in_string = False
        self._depth = 0

    @property
    def in_value(self) -> bool:
        """Whether a value is not complete."""
        return self.in_string or self._depth > 0

    def add(self, mark: bytes) -> int | None:
        """Take the next quote, bracket or comma; return how much of it belongs to the value that it ends, if any."""
        if self.in_string or mark == b'"':
            self.in_string = not self.in_string
            return None
        if self._depth:
            self._depth += (mark in b"{[") - (mark in b"}]")
            return 1 if not self._depth and not self.in_array else None
        if mark == b"{" or (mark == b"[" and self.in_array):
            self._depth = 1
            return None
        if mark in b"[]":
            self.in_array = mark == b"["
        return 0
