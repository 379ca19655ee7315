"""The rows of a SQLite database whose trees may be broken: every page is looked at by itself.

Source: "Database File Format", sqlite.org/fileformat2.html: sections 1.3 (header), 1.6 (b-tree pages), 2.1 (records)
and 4.1 (the write-ahead log).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

_LEAF_OF_A_TABLE = 0x0D
_HEADER_BYTES = 100
_WAL_HEADER_BYTES, _FRAME_BYTES = 32, 24
_WAL_MAGIC = (0x377F0682, 0x377F0683)
_PAGE_SIZES = frozenset(1 << power for power in range(9, 17))
_USUAL_PAGE_SIZE = 4096
# Serial types of a record that hold integers, and their sizes.
_INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
_FLOAT = 7

Value = int | float | bytes | str | None


def rows(database: Path, log: Path, columns: int) -> Iterator[tuple[int, list[Value]]]:
    """Give every row of so many columns that can be read, of any table, also of old pages; with its rowid.

    Args:
        database: The database.
        log: Its write-ahead log, which need not be there.
        columns: How many the rows have that are wanted.
    """
    pages = _Pages(database.read_bytes(), log.read_bytes() if log.exists() else b"")
    for number, page in pages.all():
        yield from pages.rows(number, page, columns)


class _Pages:
    def __init__(self, data: bytes, log: bytes) -> None:
        size = int.from_bytes(data[16:18], "big")
        size = 65536 if size == 1 else size
        if size not in _PAGE_SIZES:
            size = int.from_bytes(log[8:12], "big")
        self._size = size if size in _PAGE_SIZES else _USUAL_PAGE_SIZE
        self._usable = self._size  # a journal reserves nothing at the end of a page
        self._data = data
        self._frames = list(self._read_frames(log))
        self._newest = dict(self._frames)

    def all(self) -> Iterator[tuple[int, bytes]]:
        """Give every version of every page."""
        for start in range(0, len(self._data), self._size):
            yield start // self._size + 1, self._data[start : start + self._size]
        yield from self._frames

    def rows(self, number: int, page: bytes, columns: int) -> Iterator[tuple[int, list[Value]]]:
        """Give the rows of a page, if it is a leaf of a table."""
        start = _HEADER_BYTES if number == 1 else 0
        if len(page) < self._size or page[start] != _LEAF_OF_A_TABLE:
            return
        cells = int.from_bytes(page[start + 3 : start + 5], "big")
        for cell in range(cells):
            at = start + 8 + 2 * cell
            try:
                row = self._row(page, int.from_bytes(page[at : at + 2], "big"), columns)
            except (IndexError, ValueError, struct.error):
                continue  # torn; what is whole is elsewhere
            if row is not None:
                yield row

    def _row(self, page: bytes, at: int, columns: int) -> tuple[int, list[Value]] | None:
        length, at = _varint(page, at)
        rowid, at = _varint(page, at)
        if length > len(self._data) + len(self._frames) * self._size:
            return None
        local = self._local(length)
        payload = page[at : at + local]
        if local < length:
            follows = int.from_bytes(page[at + local : at + local + 4], "big")
            payload += self._overflow(follows, length - local)
        if len(payload) < length:
            return None
        values = _record(payload, columns)
        return None if values is None else (rowid, values)

    def _local(self, length: int) -> int:
        """Return how much of a payload is on the page itself."""
        most = self._usable - 35
        if length <= most:
            return length
        least = (self._usable - 12) * 32 // 255 - 23
        local = least + (length - least) % (self._usable - 4)
        return local if local <= most else least

    def _overflow(self, number: int, length: int) -> bytes:
        parts = []
        while length > 0 and number:
            page = self._page(number)
            parts.append(page[4 : 4 + min(length, self._usable - 4)])
            length -= len(parts[-1])
            number = int.from_bytes(page[:4], "big")
            if not parts[-1]:
                break
        return b"".join(parts)

    def _page(self, number: int) -> bytes:
        start = (number - 1) * self._size
        return self._newest.get(number) or self._data[start : start + self._size]

    def _read_frames(self, log: bytes) -> Iterator[tuple[int, bytes]]:
        """Give the pages of the log that belong to its present round; what a row holds says whether it is whole."""
        if len(log) < _WAL_HEADER_BYTES or int.from_bytes(log[:4], "big") not in _WAL_MAGIC:
            return
        salts = log[16:24]
        step = _FRAME_BYTES + self._size
        for start in range(_WAL_HEADER_BYTES, len(log) - step + 1, step):
            if log[start + 8 : start + 16] == salts:
                yield int.from_bytes(log[start : start + 4], "big"), log[start + _FRAME_BYTES : start + step]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for _ in range(8):
        byte = data[at]
        at += 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at
    return value << 8 | data[at], at + 1


def _record(payload: bytes, columns: int) -> list[Value] | None:
    """Read the values of a record; None when it has another number of them."""
    header, at = _varint(payload, 0)
    types = []
    while at < header:
        kind, at = _varint(payload, at)
        types.append(kind)
    if len(types) != columns:
        return None
    values: list[Value] = []
    for kind in types:
        value, at = _value(payload, at, kind)
        values.append(value)
    return values


def _value(payload: bytes, at: int, kind: int) -> tuple[Value, int]:
    if kind == 0:
        return None, at
    if kind in (8, 9):
        return kind - 8, at
    if kind == _FLOAT:
        return struct.unpack_from(">d", payload, at)[0], at + 8
    if kind in _INTEGERS:
        size = _INTEGERS[kind]
        return int.from_bytes(payload[at : at + size], "big", signed=True), at + size
    size = (kind - 12) // 2
    if size < 0 or at + size > len(payload):
        raise ValueError(kind)
    data = payload[at : at + size]
    return (data.decode() if kind % 2 else data), at + size
