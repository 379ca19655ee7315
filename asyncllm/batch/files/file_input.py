"""Inputs of rows: a file of any format, or stdin, read in a bounded amount of memory."""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from asyncllm.errors import ConfigError

from .encodings import as_utf8, checked_encoding
from .formats import (
    BUFFER_BYTES,
    MAGIC_BYTES,
    PACKED_FORMATS,
    Compression,
    Format,
    compression_of,
    kind_of,
    may_be_compressed,
    reading,
    uncompressed,
)
from .rows import BadRow, Row, RowReader

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from .parquet import Schema

STDIN = "-"


class FileInput:
    """The input of a batch: a file, or stdin.

    Args:
        name: The path of a file; `-` for stdin.
        format: The format of its rows; None decides by the name, or else by the first row.
        encoding: The encoding of its text; None for UTF-8, or UTF-16 with a byte order mark.
        sheet: The name of the sheet of a spreadsheet, or its number from 1; None for the first.
        strict: Whether a row of JSON with NaN or Infinity is a bad one, rather than one with null.

    Raises:
        ConfigError: Files of its kind are not read, or have no sheets or no encoding.
    """

    def __init__(
        self,
        name: str,
        format: Format | None = None,
        *,
        encoding: str | None = None,
        sheet: str | None = None,
        strict: bool = False,
    ) -> None:
        self.name = "stdin" if name == STDIN else name
        self.path = None if name == STDIN else Path(name)
        named = kind_of(self.path) if self.path is not None else None
        self.format: Format | None = format or (named.format if named is not None else None)
        self.encoding = None if encoding is None else checked_encoding(encoding)
        self.sheet = sheet
        self.strict = strict
        if self.format in PACKED_FORMATS:
            if self.path is None:
                raise ConfigError(
                    f"{self.format} is not read from stdin: its directory is at its end.", hint="Give a file."
                )
            if encoding is not None:
                raise ConfigError(f"{name} has no encoding that could be chosen.", hint="Leave --encoding out.")
        if sheet is not None and self.format != "xlsx":
            raise ConfigError(f"{name} has no sheets.", hint="Leave --sheet out, or give a spreadsheet.")

    @property
    def reads_again(self) -> bool:
        """Whether it can be read from its beginning a second time."""
        return self.path is not None and self.path.is_file()

    @contextmanager
    def open(self) -> Generator[InputReader]:
        """Open it, to be read once from its beginning.

        Raises:
            ConfigError: It is broken, or of another format.
            OSError: It cannot be opened.
        """
        if self.path is None:
            if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison]  # a shell can close it
                raise ConfigError("stdin is closed.", hint="Pipe the rows in, or give a file.")
            yield _TextReader(sys.stdin.buffer, self)
            return
        with self.path.open("rb") as file:
            if self.format == "parquet":
                from .parquet import ParquetReader

                with ParquetReader(file, self.name) as reader:
                    yield reader
            elif self.format == "xlsx":
                from .spreadsheet import SheetReader

                yield SheetReader(file, self.name, self.sheet)
            else:
                yield _TextReader(file, self)

    def check(self) -> None:
        """Read a compressed file to its end, and raise ConfigError if it is broken, before anything is sent."""
        if not self.reads_again or self.format in PACKED_FORMATS:
            return  # their directory is read first, and their parts have checksums
        assert self.path is not None
        with self.path.open("rb", buffering=0) as file:
            if (compression := _compression(file)) is not None:
                with reading(self.name):
                    unpacked = uncompressed(file, compression)
                    while unpacked.read(BUFFER_BYTES):
                        pass


class InputReader:
    """An input that is open.

    Attributes:
        total_bytes: About the sum of its rows' sizes; None when that is not known.
        table: The columns of a Parquet file, with their types.
        is_text: Whether its values are texts, as those of CSV.
        waits: Whether it may have to be waited for, as a pipe.
    """

    total_bytes: int | None = None
    table: Schema | None = None
    is_text = False
    waits = False

    @property
    def columns(self) -> Sequence[str] | None:
        """The columns that every row has; None where each row has its own."""
        raise NotImplementedError

    @property
    def all_columns(self) -> Sequence[str] | None:
        """The columns that any row has; None where each row has its own."""
        return self.columns

    def rows(self) -> Iterator[Row | BadRow]:
        """Read the rows, blocking."""
        raise NotImplementedError


class _TextReader(InputReader):
    """A file or a pipe of text, compressed or not."""

    is_text = True

    def __init__(self, file: IO[bytes], source: FileInput) -> None:
        descriptor = file.fileno()
        mode = os.fstat(descriptor).st_mode
        self.waits = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor)
        self._bytes = _Bytes(descriptor)
        self._source = source
        self._rows: RowReader | None = None
        if stat.S_ISREG(mode) and source.encoding is None and _compression(file) is None:
            self.total_bytes = os.fstat(descriptor).st_size - os.lseek(descriptor, 0, os.SEEK_CUR) or None

    @property
    def columns(self) -> Sequence[str] | None:
        return None if self._rows is None else self._rows.columns

    def rows(self) -> Iterator[Row | BadRow]:
        source = self._source
        with reading(source.name):
            unpacked = uncompressed(self._bytes, self._bytes.compression())
            text, encoding = as_utf8(unpacked, source.encoding, source.name)
            self._rows = RowReader(text, source.format, source.name, encoding, strict=source.strict)
            yield from self._rows


class _Bytes(io.RawIOBase):
    """The bytes of a descriptor, whose first ones can be looked at; a read returns what there is, and takes no lock.

    Attributes:
        ahead: Bytes that were looked at, and are read first.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.ahead = b""

    def compression(self) -> Compression | None:
        """Return the compression by the first bytes; wait for more than the first one only while it may be any."""
        while len(self.ahead) < MAGIC_BYTES and may_be_compressed(self.ahead):
            if not (piece := os.read(self._descriptor, BUFFER_BYTES)):
                break
            self.ahead += piece
        return compression_of(self.ahead)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if self.ahead:
            given, self.ahead = (self.ahead, b"") if size < 0 else (self.ahead[:size], self.ahead[size:])
            return given
        return os.read(self._descriptor, BUFFER_BYTES if size < 0 else size)

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer)
        piece = self.read(len(view))
        view[: len(piece)] = piece
        return len(piece)


def _compression(file: IO[bytes]) -> Compression | None:
    """Return the compression by the next bytes of a file, without moving in it."""
    return compression_of(os.pread(file.fileno(), MAGIC_BYTES, os.lseek(file.fileno(), 0, os.SEEK_CUR)))
