"""Formats and compressions of files, by their names and first bytes."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import IO, TYPE_CHECKING, Any, Literal

from asyncllm.errors import ConfigError, not_installed

if TYPE_CHECKING:
    from typing_extensions import Buffer

Format = Literal["jsonl", "json", "csv", "lines", "parquet", "xlsx"]
Compression = Literal["gzip", "zstd"]

FORMATS: tuple[Format, ...] = ("jsonl", "json", "csv", "lines", "parquet", "xlsx")
WRITTEN_FORMATS: tuple[Format, ...] = ("jsonl", "csv", "parquet")
# Each has a directory of its parts, and compresses itself: it is read from a file, not from a pipe.
PACKED_FORMATS: frozenset[Format] = frozenset(("parquet", "xlsx"))
_BY_SUFFIX: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "lines",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
    ".ods": "xlsx",
}
_COMPRESSED: dict[str, Compression] = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd"}
# Source: RFC 1952, 2.3.1 (gzip); RFC 8878, 3.1.1 (zstd). Names may be wrong, and stdin has none.
_MAGIC: dict[bytes, Compression] = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
MAGIC_BYTES = max(map(len, _MAGIC))
# Suffixes that are not read, each with a way to a file that is.
_REFUSED = {
    ".xls": "Save it as .xlsx or CSV.",
    ".zip": "Unpack it; single files may be compressed with gzip or zstd.",
    ".bz2": "Compress it with gzip or zstd instead.",
    ".xz": "Compress it with gzip or zstd instead.",
}
# Read at a time: enough that a system call is a small part of the work, little enough to be no memory.
BUFFER_BYTES = 256 * 1024
# A level that keeps up with a run; higher ones save a few per cent and take seconds for each 100 MB.
_GZIP_LEVEL = 6


@dataclass(frozen=True, slots=True)
class FileKind:
    """The kind of a file, as far as its name says."""

    format: Format | None = None
    compression: Compression | None = None


def kind_of(path: Path) -> FileKind:
    """Return the kind of a file by its name: `rows.csv.gz` is CSV in gzip.

    Raises:
        ConfigError: Files of this kind are neither read nor written.
    """
    compression = _COMPRESSED.get(path.suffix.lower())
    suffix = path.with_suffix("").suffix.lower() if compression else path.suffix.lower()
    if suffix in _REFUSED:
        raise ConfigError(f"{path}: {suffix} files are not read.", hint=_REFUSED[suffix])
    format = _BY_SUFFIX.get(suffix)
    if format in PACKED_FORMATS and compression:
        raise ConfigError(f"{path}: {suffix} files compress themselves.", hint=f"Name the file {path.with_suffix('')}.")
    return FileKind(format, compression)


def compression_of(first: bytes) -> Compression | None:
    """Return the compression of a file by its first bytes."""
    return next((compression for magic, compression in _MAGIC.items() if first.startswith(magic)), None)


def may_be_compressed(first: bytes) -> bool:
    """Return whether a file that begins like this may be compressed."""
    return any(magic.startswith(first[: len(magic)]) for magic in _MAGIC)


def uncompressed(file: io.RawIOBase, compression: Compression | None) -> io.BufferedReader:
    """Return a file to read the uncompressed bytes from, as soon as they are there."""
    if compression == "gzip":
        file = _Uncompressed(gzip.GzipFile(fileobj=file, mode="rb"))
    elif compression == "zstd":
        file = _Uncompressed(_zstd().ZstdFile(file, "rb"))
    return io.BufferedReader(file, BUFFER_BYTES)


class _Uncompressed(io.RawIOBase):
    """A compressed file whose reads return what one read of it decompresses; its own wait for more."""

    def __init__(self, file: io.BufferedIOBase) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        return self._file.readinto1(buffer)


@contextmanager
def compressed(file: IO[bytes], compression: Compression | None) -> Generator[IO[bytes]]:
    """Yield a file whose bytes are written compressed into another one, and finish it at the end of the block."""
    if compression is None:
        yield file
        return
    if compression == "gzip":
        # Without a name and a date, the same results make the same file.
        packed: Any = gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=_GZIP_LEVEL, mtime=0)
    else:
        zstd = _zstd()
        packed = zstd.ZstdFile(file, "wb", options={zstd.CompressionParameter.checksum_flag: 1})
    with packed:
        yield packed


@contextmanager
def reading(where: str) -> Generator[None]:
    """Translate the errors of a broken compressed file into a ConfigError."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        reason = "it ends too early" if isinstance(error, EOFError) else str(error)
    except Exception as error:
        if type(error).__name__ != "ZstdError":
            raise
        reason = str(error)
    else:
        return
    raise ConfigError(f"{where} is broken: {reason}.", hint="Copy or compress it again.")


def _zstd() -> ModuleType:
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
    except ImportError:
        raise not_installed("zstd files need", "zstd") from None
    return zstd
