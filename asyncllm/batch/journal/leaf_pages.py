"""The rows of a damaged database, read by SQLite one leaf page at a time.

What leads to a table's leaf pages may be damaged: the header, the schema, an inner page. So SQLite reads a copy of the
file whose first page is that of a new database with one table, and each leaf page in turn is made the root of that
table. A row must tell by itself whether it is whole: old pages and those of other tables are read as well.

Source: "Database File Format", sqlite.org/fileformat2.html, sections 1.3 (header), 1.6 (types of pages) and 4.1 (log).
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

_LEAF = b"\x0d"  # the first byte of a leaf page of a table
_PAGE_SIZE, _PAGE_COUNT = slice(16, 18), slice(28, 32)  # in the header of a database
_LOG_HEADER_BYTES, _FRAME_HEADER_BYTES = 32, 24
_LOG_SALTS = slice(16, 24)
_FRAME_PAGE, _FRAME_SALTS = slice(0, 4), slice(8, 16)

Row = tuple[Any, ...]


def leaf_rows(database: Path, log: Path, copy: Path, columns: Sequence[str]) -> Iterator[Row]:
    """Yield every row that can be read, as one of these columns.

    Args:
        database: The damaged database.
        log: Its write-ahead log, which may not exist.
        copy: Where the copy is made; it is removed at the end.
        columns: The columns, the rowid first.
    """
    copy.unlink(missing_ok=True)
    try:
        page_bytes = _assemble(database, log, copy, columns)
        yield from _rows(copy, page_bytes)
    finally:
        copy.unlink(missing_ok=True)


def _assemble(database: Path, log: Path, copy: Path, columns: Sequence[str]) -> int:
    """Write the copy, with the logged pages in it and those that they replace at its end; return the size of a page."""
    first, page_bytes = _first_page(database, copy, columns)
    shutil.copyfile(database, copy)
    replaced: list[bytes] = []
    with copy.open("r+b") as file:
        for number, page in _logged_pages(log, page_bytes, database.stat().st_size):
            file.seek((number - 1) * page_bytes)
            if (old := file.read(page_bytes)).startswith(_LEAF):
                replaced.append(old.ljust(page_bytes, b"\0"))
            file.seek((number - 1) * page_bytes)
            file.write(page)
        end = file.seek(0, os.SEEK_END)
        file.write(bytes(-end % page_bytes) + b"".join(replaced))
        file.seek(0)
        file.write(first)
    return page_bytes


def _first_page(database: Path, scratch: Path, columns: Sequence[str]) -> tuple[bytes, int]:
    """Return the first page of a new database with one table, and the size of its pages."""
    with database.open("rb") as file:
        header = file.read(_PAGE_COUNT.stop)
    with closing(sqlite3.connect(scratch)) as connection:
        # One that is no size of a page leaves SQLite's own, which journals are made with.
        connection.execute(f"PRAGMA page_size = {int.from_bytes(header[_PAGE_SIZE], 'big')}")
        connection.execute(f"CREATE TABLE leaf ({columns[0]} INTEGER PRIMARY KEY, {', '.join(columns[1:])})")
        page_bytes: int = connection.execute("PRAGMA page_size").fetchone()[0]
    page = bytearray(scratch.read_bytes()[:page_bytes])
    page[_PAGE_COUNT] = bytes(4)  # unknown: SQLite goes by the size of the file
    return bytes(page), page_bytes


def _logged_pages(log: Path, page_bytes: int, database_bytes: int) -> Iterator[tuple[int, bytes]]:
    """Yield the pages of a log with their numbers, also those behind a torn one, where SQLite stops reading."""
    data = log.read_bytes() if log.exists() else b""
    frame_bytes = _FRAME_HEADER_BYTES + page_bytes
    last = (database_bytes + len(data)) // page_bytes
    for start in range(_LOG_HEADER_BYTES, len(data) - frame_bytes + 1, frame_bytes):
        frame = data[start : start + frame_bytes]
        header, page = frame[:_FRAME_HEADER_BYTES], frame[_FRAME_HEADER_BYTES:]
        number = int.from_bytes(header[_FRAME_PAGE], "big")
        # Other salts are those of an earlier round of the log.
        if header[_FRAME_SALTS] == data[_LOG_SALTS] and 0 < number <= last:
            yield number, page


def _rows(copy: Path, page_bytes: int) -> Iterator[Row]:
    with copy.open("rb", buffering=0) as file, closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        connection.text_factory = _decoded
        for setting in ("journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE"):
            connection.execute(f"PRAGMA {setting}")
        for number in range(2, copy.stat().st_size // page_bytes + 1):
            file.seek((number - 1) * page_bytes)
            if file.read(1) == _LEAF:
                connection.execute("PRAGMA writable_schema = ON")
                connection.execute("UPDATE sqlite_master SET rootpage = ?", (number,))
                connection.execute("PRAGMA writable_schema = RESET")  # and read the schema again
                yield from _page_rows(connection)


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "replace")


def _page_rows(connection: sqlite3.Connection) -> Iterator[Row]:
    try:
        yield from connection.execute("SELECT * FROM leaf")
    except sqlite3.DatabaseError:
        # A damaged row ends the statement, and takes the one before it along: Python's cursor reads one row ahead.
        with suppress(sqlite3.DatabaseError):
            for index in range(connection.execute("SELECT count(*) FROM leaf").fetchone()[0]):
                with suppress(sqlite3.DatabaseError):
                    yield from connection.execute("SELECT * FROM leaf LIMIT 1 OFFSET ?", (index,))
