"""Inputs of rows: every kind of file, whole or broken, and pipes."""

from __future__ import annotations

import gzip
import json
import os
import sys
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from asyncllm import ConfigError
from asyncllm.batch.files import BadRow, FileInput, Row
from asyncllm.batch.files.formats import kind_of, uncompressed

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LINES = b"".join(json.dumps({"id": n, "text": f"row {n} \u00fc"}).encode() + b"\n" for n in range(1000))


def zstd_with_checksum(data: bytes) -> bytes:
    """Compress as the command-line tool does."""
    return zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1})


PACKERS: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".zst": zstd_with_checksum, "": bytes}


def rows(source: FileInput) -> list[dict[str, Any] | str]:
    """Read a source to its end."""
    with source.open() as reading:
        return [row.problem if isinstance(row, BadRow) else row.data for row in reading.rows()]


@pytest.mark.parametrize("suffix", PACKERS)
def test_compressed_files_read_like_others(tmp_path: Path, suffix: str) -> None:
    """The first bytes decide what a file is compressed with, not its name."""
    named, lying = tmp_path / f"rows.jsonl{suffix}", tmp_path / "rows.jsonl"
    for path in (named, lying):
        path.write_bytes(PACKERS[suffix](LINES))
        assert len(rows(FileInput(str(path)))) == 1000
        FileInput(str(path)).check()
        assert rows(FileInput(str(path)))[999] == {"id": 999, "text": "row 999 ü"}


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_several_compressed_parts_in_one_file_are_read_on(tmp_path: Path, suffix: str) -> None:
    """Files that were appended to each other, as log shippers do, are one file."""
    path = tmp_path / f"rows.jsonl{suffix}"
    path.write_bytes(PACKERS[suffix](LINES) * 3)
    assert len(rows(FileInput(str(path)))) == 3000


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("how", ["cut", "changed"])
def test_a_broken_compressed_file_is_found_before_it_is_used(tmp_path: Path, suffix: str, how: str) -> None:
    """The check reads it to its end, and says which file is broken."""
    path = tmp_path / f"rows.jsonl{suffix}"
    packed = PACKERS[suffix](LINES)
    middle = len(packed) // 2
    path.write_bytes(packed[:middle] if how == "cut" else packed[:middle] + b"\0\xff\0\xff" + packed[middle + 4 :])
    with pytest.raises(ConfigError, match=f"{path.name} is broken"):
        FileInput(str(path)).check()


def test_a_compressed_file_needs_no_memory(tmp_path: Path) -> None:
    """A file that unpacks to 40 MB, at a hundred to one, is read in a few."""
    path = tmp_path / "rows.jsonl.zst"
    row = json.dumps({"text": "the same again " * 60}).encode() + b"\n"
    with zstd.ZstdFile(path, "w") as file:
        for _ in range(40):
            file.write(row * (1_000_000 // len(row)))
    count = 0
    tracemalloc.start()
    with FileInput(str(path)).open() as reading:
        for _ in reading.rows():
            count += 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 40 * (1_000_000 // len(row))
    assert peak < 8_000_000


def test_a_parquet_file_keeps_its_types(tmp_path: Path) -> None:
    """Numbers, lists, structures and nulls come as Python has them; the total is its number of rows."""
    data = [{"n": 1, "tags": ["a"], "at": {"x": 1.5}}, {"n": None, "tags": None, "at": {"x": None}}]
    parquet.write_table(pa.Table.from_pylist(data), tmp_path / "rows.parquet")
    with FileInput(str(tmp_path / "rows.parquet")).open() as reading:
        assert reading.columns == ("n", "tags", "at")
        assert reading.total_bytes == 2
        read = list(reading.rows())
    assert [row.data for row in read] == data
    assert [(row.index, row.line) for row in read] == [(0, 1), (1, 2)]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("rows.parquet", b"PAR1 no PAR1", "no Parquet file"),
        ("rows.xls", b"", ".xls files are not read"),
        ("rows.xlsx", b"no zip", "is no spreadsheet"),
        ("rows.parquet.gz", b"", ".parquet files compress themselves"),
    ],
)
def test_what_is_not_read_is_said(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    """A file of another kind is refused with what to do instead."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=says) as refused:
        rows(FileInput(str(path)))
    assert refused.value.hint or "Parquet" in says


def test_parquet_with_two_columns_of_one_name_is_refused(tmp_path: Path) -> None:
    """A field of the template could mean either."""
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    parquet.write_table(table, tmp_path / "rows.parquet")
    with pytest.raises(ConfigError, match="two columns of one name"):
        rows(FileInput(str(tmp_path / "rows.parquet")))


def test_parquet_is_not_read_from_a_pipe() -> None:
    """Its directory is at its end."""
    with pytest.raises(ConfigError, match="not read from stdin"):
        FileInput("-", "parquet")


@pytest.mark.parametrize("suffix", PACKERS)
def test_a_pipe_is_read_in_the_pieces_it_comes_in(
    suffix: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Rows come while the writer is still writing, compressed or not."""
    begin, end = os.pipe()
    first_read = threading.Event()
    packed = PACKERS[suffix](LINES), PACKERS[suffix](LINES)

    def write() -> None:
        with open(end, "wb", buffering=0) as file:
            file.write(packed[0])
            # The rest is written only after rows of the first part have been seen.
            assert first_read.wait(30)
            file.write(packed[1])

    writer = threading.Thread(target=write)
    writer.start()
    with os.fdopen(begin, "rb") as pipe, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", type("Stdin", (), {"buffer": pipe}))
        with FileInput("-").open() as reading:
            count = 0
            for row in reading.rows():
                assert isinstance(row, Row)
                count += 1
                if count == 500:
                    first_read.set()
    writer.join()
    assert count == 2000


def test_kinds_by_name() -> None:
    """The format is in the name, in front of the compression."""
    assert kind_of(Path("a.CSV.gz")).format == "csv"
    assert kind_of(Path("a.ndjson.zst")).compression == "zstd"
    assert kind_of(Path("a")).format is None


def test_without_the_package_zstd_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    for name in ("backports", "backports.zstd", "compression", "compression.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    with open(os.devnull, "rb", buffering=0) as file, pytest.raises(ConfigError) as refused:
        uncompressed(file, "zstd")
    assert "asyncllm[zstd]" in str(refused.value)
