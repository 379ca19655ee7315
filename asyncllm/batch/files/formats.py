"""What kinds of files there are: how a name tells them apart, and what reads and writes the compressed ones."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import IO, Any, Literal

from asyncllm.errors import ConfigError
from asyncllm.extras import not_installed

Format = Literal["jsonl", "csv", "lines", "parquet"]
Compression = Literal["gzip", "zstd"]

FORMATS: tuple[Format, ...] = ("jsonl", "csv", "lines", "parquet")
_BY_SUFFIX: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "lines",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_COMPRESSED: dict[str, Compression] = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd"}
# Source: RFC 1952, 2.3.1 (gzip); RFC 8878, 3.1.1 (zstd). Names lie, and stdin has none: the first bytes tell.
_MAGIC: dict[bytes, Compression] = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
MAGIC_BYTES = max(map(len, _MAGIC))
# Suffixes that look like tables and are not read, with what makes a readable file of one.
_REFUSED = {
    ".json": "Write one object on each line: `jq -c '.[]' FILE > FILE.jsonl` does it for an array.",
    ".xlsx": "Save it as CSV.",
    ".xls": "Save it as CSV.",
    ".ods": "Save it as CSV.",
    ".zip": "Unpack it; single files may be compressed with gzip or zstd.",
    ".bz2": "Compress it with gzip or zstd instead.",
    ".xz": "Compress it with gzip or zstd instead.",
}
# A level that keeps up with a run; higher ones save a few per cent and take seconds for each 100 MB.
_GZIP_LEVEL = 6


@dataclass(frozen=True, slots=True)
class FileKind:
    """What kind of file a name stands for.

    Attributes:
        format: How rows stand in it; None when the name does not say.
        compression: What it is compressed with, by its name.
    """

    format: Format | None = None
    compression: Compression | None = None


def kind_of(path: Path) -> FileKind:
    """Tell the kind of a file by its name: `rows.csv.gz` is CSV in gzip.

    Raises:
        ConfigError: The name says that it is of a kind that is neither read nor written.
    """
    compression = _COMPRESSED.get(path.suffix.lower())
    suffix = path.with_suffix("").suffix.lower() if compression else path.suffix.lower()
    if suffix in _REFUSED:
        raise ConfigError(f"{path}: {suffix} files are not read.", hint=_REFUSED[suffix])
    format = _BY_SUFFIX.get(suffix)
    if format == "parquet" and compression:
        raise ConfigError(f"{path}: Parquet compresses itself.", hint=f"Name the file {path.with_suffix('')}.")
    return FileKind(format, compression)


def compression_of(first: bytes) -> Compression | None:
    """Tell by its first bytes what a file is compressed with."""
    return next((compression for magic, compression in _MAGIC.items() if first.startswith(magic)), None)


def may_be_compressed(first: bytes) -> bool:
    """Tell whether a file that begins like this may turn out to be compressed."""
    return any(magic.startswith(first[: len(magic)]) for magic in _MAGIC)


def decompressed(file: IO[bytes], compression: Compression | None) -> IO[bytes]:
    """Return a file to read the uncompressed bytes from, however large it is."""
    if compression == "gzip":
        return gzip.GzipFile(fileobj=file, mode="rb")  # type: ignore[return-value]  # it is read from
    if compression == "zstd":
        opened: IO[bytes] = _zstd().ZstdFile(file, "rb")
        return opened
    return file


@contextmanager
def compressed(file: IO[bytes], compression: Compression | None) -> Iterator[IO[bytes]]:
    """Give a file whose bytes go compressed into another one, and finish it at the end of the block."""
    if compression is None:
        yield file
        return
    if compression == "gzip":
        # Without its name and date in it, the same results make the same file.
        packed: Any = gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=_GZIP_LEVEL, mtime=0)
    else:
        zstd = _zstd()
        packed = zstd.ZstdFile(file, "wb", options={zstd.CompressionParameter.checksum_flag: 1})
    with packed:
        yield packed


@contextmanager
def reading(where: str) -> Iterator[None]:
    """Say in one line that a compressed file is broken.

    Raises:
        ConfigError: It is.
    """
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
