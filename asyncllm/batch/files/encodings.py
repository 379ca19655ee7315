"""Files that are not UTF-8, decoded as they are read."""

from __future__ import annotations

import codecs
import io
from typing import TYPE_CHECKING

from asyncllm.errors import ConfigError

from .formats import BUFFER_BYTES

if TYPE_CHECKING:
    from typing_extensions import Buffer

_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def checked_encoding(name: str) -> str:
    """Return an encoding, or raise ConfigError if Python does not know it."""
    try:
        b" ".decode(name, "ignore")  # codecs of other things than text, such as hex, are refused too
    except LookupError:
        raise ConfigError(
            f"there is no text encoding {name!r}.",
            hint="Common ones are cp1252, latin-1, utf-16, shift_jis and gb18030.",
        ) from None
    return name


def as_utf8(file: io.BufferedReader, encoding: str | None, where: str) -> tuple[io.BufferedReader, str | None]:
    """Return a file whose bytes are UTF-8, and the encoding that it had; None for UTF-8.

    Args:
        encoding: Its encoding; None for UTF-8, or UTF-16 where a byte order mark says so.
    """
    if encoding is None and file.peek().startswith(_UTF16_MARKS):
        encoding = "utf-16"
    if encoding is None:
        return file, None
    return io.BufferedReader(_Decoded(file, encoding, where), BUFFER_BYTES), encoding


class _Decoded(io.RawIOBase):
    """The text of a file in UTF-8; bytes that are no text stay as they are, so that they spoil one row."""

    def __init__(self, file: io.BufferedReader, encoding: str, where: str) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder(encoding)("surrogateescape")
        self._encoding = encoding
        self._where = where
        self._ahead = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer)
        while not self._ahead:
            piece = self._file.read1(BUFFER_BYTES)
            try:
                text = self._decoder.decode(piece, final=not piece)
                self._ahead = text.encode("utf-8", "surrogateescape")
            except UnicodeError as error:
                raise ConfigError(f"{self._where} is not {self._encoding} text: {error}.") from None
            if not piece:
                break
        given, self._ahead = self._ahead[: len(view)], self._ahead[len(view) :]
        view[: len(given)] = given
        return len(given)
