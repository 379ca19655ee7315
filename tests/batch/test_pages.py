"""Rows read from the pages of a SQLite file by themselves, as a recovery reads them from a broken one."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asyncllm.batch.journal.pages import rows

PAGE_SIZES = (512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)


def write(database: Path, values: Sequence[Sequence[Any]], *, page_size: int = 4096) -> None:
    """Write a table `t` of some rows."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA page_size = {page_size}")
        connection.execute(f"CREATE TABLE t ({', '.join(f'c{n}' for n in range(len(values[0])))})")
        insert(connection, values)


def insert(connection: sqlite3.Connection, values: Sequence[Sequence[Any]]) -> None:
    connection.execute("BEGIN")
    connection.executemany(f"INSERT INTO t VALUES ({', '.join('?' * len(values[0]))})", values)
    connection.execute("COMMIT")


def read(database: Path, columns: int = 3) -> dict[int, list[Any]]:
    """Return the rows of so many columns by their rowid."""
    return dict(rows(database, database.with_name(database.name + "-wal"), columns))


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "database"


@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_every_row_is_found_at_every_page_size(database: Path, page_size: int) -> None:
    """Many short rows fill many pages, and more than 255 of them a large page."""
    written = [[number, number % 7, f"row {number}"] for number in range(3_000)]
    write(database, written, page_size=page_size)
    assert read(database) == {number + 1: row for number, row in enumerate(written)}


@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_long_values_are_followed_over_their_pages(database: Path, page_size: int) -> None:
    """Values around each size at which SQLite moves a part of a row to other pages come back whole."""
    usable = page_size
    least = (usable - 12) * 32 // 255 - 23
    sizes = [
        size
        for edge in (least, usable - 35, usable, 2 * usable, least + usable - 4, 5 * usable)
        for size in range(max(0, edge - 12), edge + 4)
    ]
    written = [[number, bytes([number % 251]) * size, None] for number, size in enumerate(sizes)]
    write(database, written, page_size=page_size)
    assert list(read(database).values()) == written


edges = [sign * (1 << bits) + off for bits in (7, 15, 23, 31, 47, 62) for sign in (1, -1) for off in (-1, 0, 1)]
values = st.one_of(
    st.none(),
    st.sampled_from([0, 1, -1, *edges]),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.floats(allow_nan=False).filter(lambda number: not number.is_integer()),
    st.binary(max_size=300),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=300),
)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(written=st.lists(st.tuples(values, values, values), min_size=1, max_size=20))
def test_any_value_comes_back(tmp_path_factory: pytest.TempPathFactory, written: list[tuple[Any, ...]]) -> None:
    """Integers of every width, reals, texts, bytes and nulls are read as SQLite wrote them."""
    database = tmp_path_factory.mktemp("pages") / "database"
    write(database, written)
    assert list(read(database).values()) == [list(row) for row in written]


def test_large_rowids_are_read(database: Path) -> None:
    """A rowid takes one byte to nine; each is read to its end."""
    written: dict[int, list[Any]] = {
        (1 << bits) + off: [bits, off, "x"] for bits in range(4, 63, 7) for off in (-1, 0, 1)
    }
    write(database, [["the", "first", "row"]])
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("DELETE FROM t")
        connection.executemany(
            "INSERT INTO t (rowid, c0, c1, c2) VALUES (?, ?, ?, ?)",
            [[rowid, *row] for rowid, row in {**written, -1: [0, 0, "y"]}.items()],
        )
    found = read(database)
    assert {rowid: row for rowid, row in found.items() if row[2] == "x"} == written
    assert found[(1 << 64) - 1] == [0, 0, "y"]  # as nine bytes have it, without a sign


def test_only_rows_of_the_wanted_width_are_given(database: Path) -> None:
    """The table of tables has five columns; rows of other widths are not mixed up with those wanted."""
    write(database, [[1, 2, 3], [4, 5, 6]])
    assert list(read(database, 3).values()) == [[1, 2, 3], [4, 5, 6]]
    assert [row[:3] for row in read(database, 5).values()] == [["table", "t", "t"]]
    assert read(database, 4) == {}


def test_an_index_is_no_table(database: Path) -> None:
    """Pages of an index hold records too, which are none of the rows."""
    write(database, [[number, number, "x" * 50] for number in range(500)])
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("CREATE INDEX i ON t (c0, c1)")  # its records have three values, with the rowid
    assert all(row[2] == "x" * 50 for row in read(database).values())
    assert len(read(database)) == 500


class TestLog:
    """What is in the write-ahead log, and not in the database yet."""

    @pytest.fixture
    def connection(self, database: Path) -> Any:
        """A database whose first rows are in the file; what comes is in the log until it is closed."""
        write(database, [[number, "old", "x" * 100] for number in range(50)])
        with closing(sqlite3.connect(database, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA wal_autocheckpoint = 0")
            yield connection

    def test_rows_of_the_log_are_read(self, database: Path, connection: sqlite3.Connection) -> None:
        """What was committed to the log alone is found, its long values too."""
        added = [[number, "new", "y" * size] for number, size in enumerate((10, 5_000, 50_000))]
        insert(connection, added)
        found = read(database)
        assert len(found) == 53
        assert list(found.values())[-3:] == added

    def test_old_and_new_versions_of_a_row_are_given(self, database: Path, connection: sqlite3.Connection) -> None:
        """The reader of the rows chooses between versions; the one in the database comes first."""
        connection.execute("UPDATE t SET c1 = 'changed' WHERE c0 = 7")
        log = database.with_name(database.name + "-wal")
        versions = [row[1] for _, row in rows(database, log, 3) if row[0] == 7]
        assert versions == ["old", "changed"]

    def test_a_log_of_an_earlier_round_is_left_out(self, database: Path, connection: sqlite3.Connection) -> None:
        """Frames from before the last checkpoint are still in the file, under other salts."""
        insert(connection, [[1000 + number, "first round", "z" * 300] for number in range(100)])
        connection.execute("DELETE FROM t WHERE c1 = 'first round'")
        connection.execute("PRAGMA wal_checkpoint(RESTART)")
        connection.execute("UPDATE t SET c1 = 'second round' WHERE c0 = 7")
        log = database.with_name(database.name + "-wal")
        assert b"first round" in log.read_bytes()
        nothing = database.with_name("nothing")
        nothing.touch()
        log_alone = [row[1] for _, row in rows(nothing, log, 3)]
        assert "second round" in log_alone
        assert "first round" not in log_alone

    def test_the_log_tells_the_page_size_of_a_database_without_a_beginning(
        self, tmp_path: Path, database: Path
    ) -> None:
        """Where the header is gone, the page size stands in the log as well."""
        small = tmp_path / "small"
        write(small, [[number, "old", "x"] for number in range(50)], page_size=1024)
        with closing(sqlite3.connect(small, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("UPDATE t SET c1 = 'changed' WHERE c0 = 7")
            data = bytearray(small.read_bytes())
            data[:100] = bytes(100)
            database.write_bytes(data)
            database.with_name("database-wal").write_bytes(small.with_name("small-wal").read_bytes())
        found = [row for _, row in rows(database, database.with_name("database-wal"), 3)]
        assert [row[1] for row in found if row[0] == 7] == ["old", "changed"]

    @pytest.mark.parametrize("what", [b"", b"x" * 20, bytes(32), b"\x37\x7f\x06\x81" + bytes(5_000)])
    def test_what_is_no_log_is_ignored(self, database: Path, what: bytes) -> None:
        """An empty, a cut and a foreign file add no rows."""
        write(database, [[1, 2, 3]])
        database.with_name("database-wal").write_bytes(what)
        assert list(read(database).values()) == [[1, 2, 3]]


class TestTornPages:
    """Pages of which a part is something else."""

    @pytest.fixture
    def torn(self, database: Path) -> bytearray:
        """A database of three pages: the tables, and two leaves of rows."""
        write(database, [[number, number, "x" * 150] for number in range(40)])
        return bytearray(database.read_bytes())

    def test_the_other_pages_are_read(self, database: Path, torn: bytearray) -> None:
        """A page of zeros loses its own rows and no others."""
        whole = read(database)
        pages = len(torn) // 4096
        for page in range(2, pages):
            broken = bytearray(torn)
            broken[4096 * page : 4096 * (page + 1)] = bytes(4096)
            database.write_bytes(broken)
            found = read(database)
            assert 0 < len(found) < 40
            assert found.items() <= whole.items()

    def test_a_last_page_that_was_cut_is_left_out(self, database: Path, torn: bytearray) -> None:
        """A file that ends in the middle of a page has no rows there."""
        whole = read(database)
        database.write_bytes(torn[:-100])
        found = read(database)
        assert len(found) < 40
        assert found.items() <= whole.items()

    @pytest.mark.parametrize("pointer", [0, 5, 4090, 4095, 65535])
    def test_a_pointer_to_nowhere_loses_one_row(self, database: Path, torn: bytearray, pointer: int) -> None:
        """A cell that is not where the page says is left out; those after it are read."""
        whole = read(database)
        page = next(page for page in range(1, len(torn) // 4096) if torn[4096 * page] == 0x0D)
        torn[4096 * page + 8 : 4096 * page + 10] = struct.pack(">H", pointer)
        database.write_bytes(torn)
        found = read(database)
        kept = {rowid: row for rowid, row in found.items() if rowid in whole and row == whole[rowid]}
        assert len(kept) == 39

    def test_noise_is_survived(self, database: Path, torn: bytearray) -> None:
        """Any single byte may be any other: nothing is raised, and rows of other pages stay."""
        for at in range(4096, len(torn), 37):
            for byte in (0x00, 0x7F, 0xFF):
                broken = bytearray(torn)
                broken[at] = byte
                database.write_bytes(broken)
                read(database)


def test_values_that_are_followed_in_a_circle_end(database: Path) -> None:
    """A chain of pages that leads back to itself is followed for as long as the value claims to be."""
    write(database, [[1, "x" * 20_000, 2]])
    data = bytearray(database.read_bytes())
    pages = len(data) // 4096
    for page in range(2, pages):
        data[4096 * page : 4096 * page + 4] = struct.pack(">I", page + 1)  # each to itself
    database.write_bytes(data)
    ((_, row),) = read(database).items()
    assert (row[0], len(str(row[1]))) == (1, 20_000)
