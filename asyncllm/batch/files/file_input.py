"""Where rows come from: a file of any kind, or stdin; read in a bounded amount of memory, a file more than once."""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import anyio

from asyncllm.errors import ConfigError

from .formats import MAGIC_BYTES, Compression, Format, compression_of, decompressed, kind_of, may_be_compressed, reading
from .rows import BadRow, Row, RowReader

if TYPE_CHECKING:
    from .parquet import ParquetRows

STDIN = "-"
# Read at a time: enough that a system call is a small part of the work, little enough to be no memory.
_PIECE_BYTES = 256 * 1024


class FileInput:
    """The input of a batch.

    Args:
        name: The path of a file; `-` for stdin.
        format: How rows stand in it; None tells it by the name, or else by the first row.

    Raises:
        ConfigError: It is of a kind that is not read.
    """

    def __init__(self, name: str, format: Format | None = None) -> None:
        self.name = "stdin" if name == STDIN else name
        self.path = None if name == STDIN else Path(name)
        named = kind_of(self.path) if self.path is not None else None
        self.format = format or (named.format if named is not None else None)
        if self.format == "parquet" and self.path is None:
            raise ConfigError("Parquet is not read from stdin: its directory is at its end.", hint="Give a file.")

    @property
    def reads_again(self) -> bool:
        """Whether it can be read from its beginning a second time."""
        return self.path is not None and self.path.is_file()

    @contextmanager
    def open(self) -> Iterator[InputReader]:
        """Open it, to be read once from its beginning.

        Raises:
            ConfigError: It is broken, or of another kind than it should be.
            OSError: It cannot be opened.
        """
        if self.path is None:
            if sys.stdin is None:
                raise ConfigError("stdin is closed.", hint="Pipe the rows in, or give a file.")
            yield TextReader(sys.stdin.buffer, self)
            return
        with self.path.open("rb") as file:
            if self.format == "parquet":
                from .parquet import ParquetRows

                with ParquetRows(file, self.name) as rows:
                    yield TableReader(rows)
            else:
                yield TextReader(file, self)

    def check(self) -> None:
        """Read a compressed file to its end, so that what is broken is known before anything is sent.

        Raises:
            ConfigError: It is broken.
        """
        if not self.reads_again or self.format == "parquet":
            return  # a Parquet file has its directory read first, and its pages have checksums of their own
        assert self.path is not None
        with self.path.open("rb") as file:
            if (compression := _compression(file)) is None:
                return
            unpacked = decompressed(file, compression)
            with reading(self.name):
                while unpacked.read(_PIECE_BYTES):
                    pass


class InputReader:
    """An input that is open.

    Attributes:
        total_bytes: What the sizes of its rows add up to, about; None when nobody knows.
        table: Its columns as pyarrow has them, of a Parquet file.
        waits: Whether it may have to be waited for, as a pipe.
    """

    total_bytes: int | None = None
    table: Any = None
    waits = False

    @property
    def columns(self) -> Sequence[str] | None:
        """The columns that every row has; None where each row has its own."""
        raise NotImplementedError

    def rows(self) -> Iterator[Row | BadRow]:
        """Read the rows, blocking."""
        raise NotImplementedError

    def arows(self) -> AsyncGenerator[Row | BadRow, None]:
        """Read the rows of one that is to be waited for, and hold up no event loop meanwhile."""
        raise NotImplementedError


class TableReader(InputReader):
    """A Parquet file."""

    def __init__(self, table: ParquetRows) -> None:
        self._table = table
        self.total_bytes = table.count
        self.table = table.schema

    @property
    def columns(self) -> Sequence[str]:
        return self._table.columns

    def rows(self) -> Iterator[Row | BadRow]:
        return self._table.rows()


class TextReader(InputReader):
    """A file or a pipe of text, compressed or not."""

    def __init__(self, file: IO[bytes], source: FileInput) -> None:
        self._descriptor = file.fileno()
        mode = os.fstat(self._descriptor).st_mode
        # Files, and devices such as /dev/null, are always ready, and refuse to be waited for.
        self.waits = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(self._descriptor)
        self._name = source.name
        self._reader = RowReader(source.format, source.name)
        self._bytes = _Bytes(self._descriptor)
        if stat.S_ISREG(mode) and _compression(file) is None:
            begun = os.lseek(self._descriptor, 0, os.SEEK_CUR)
            self.total_bytes = os.fstat(self._descriptor).st_size - begun or None

    @property
    def columns(self) -> Sequence[str] | None:
        return self._reader.columns

    def rows(self) -> Iterator[Row | BadRow]:
        read = self._pieces()
        while piece := read():
            yield from self._reader.feed(piece)
        yield from self._reader.close()

    async def arows(self) -> AsyncGenerator[Row | BadRow, None]:
        async for piece in self._waited_for():
            for row in self._reader.feed(piece):
                yield row
        for row in self._reader.close():
            yield row

    async def _waited_for(self) -> AsyncGenerator[bytes, None]:
        await anyio.wait_readable(self._descriptor)
        # Waits for the few bytes that tell a compressed pipe, no longer.
        if await anyio.to_thread.run_sync(self._bytes.compression, abandon_on_cancel=True) is not None:
            read = self._pieces()
            # How much there is behind a decompressor cannot be waited for; a thread that is left to it ends nothing.
            while piece := await anyio.to_thread.run_sync(read, abandon_on_cancel=True):
                yield piece
            return
        while True:
            if not self._bytes.ahead:
                await anyio.wait_readable(self._descriptor)
            if not (piece := self._bytes.read(_PIECE_BYTES)):
                return
            yield piece

    def _pieces(self) -> Callable[[], bytes]:
        unpacked: Any = decompressed(self._bytes, self._bytes.compression())  # type: ignore[arg-type]  # it reads

        def read() -> bytes:
            with reading(self._name):
                piece: bytes = unpacked.read(_PIECE_BYTES) if unpacked is self._bytes else unpacked.read1(_PIECE_BYTES)
                return piece

        return read


class _Bytes(io.RawIOBase):
    """The bytes of a descriptor, with a look at the first ones; a read gives what there is and takes no lock.

    Attributes:
        ahead: Bytes that were looked at, and are read first.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.ahead = b""

    def compression(self) -> Compression | None:
        """Tell what the bytes are compressed with; waits for more than the first byte only if it may be anything."""
        while len(self.ahead) < MAGIC_BYTES and may_be_compressed(self.ahead):
            if not (piece := os.read(self._descriptor, _PIECE_BYTES)):
                break
            self.ahead += piece
        return compression_of(self.ahead)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if self.ahead:
            given, self.ahead = (self.ahead, b"") if size < 0 else (self.ahead[:size], self.ahead[size:])
            return given
        return os.read(self._descriptor, _PIECE_BYTES if size < 0 else size)

    def readinto(self, buffer: Any) -> int:
        piece = self.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


def _compression(file: IO[bytes]) -> Compression | None:
    """Look at the next bytes of a file without moving in it."""
    return compression_of(os.pread(file.fileno(), MAGIC_BYTES, os.lseek(file.fileno(), 0, os.SEEK_CUR)))
