"""One answer, as a journal stores it: a row that stands for itself, and that tells whether it is as it was written."""

from __future__ import annotations

import zlib
from typing import NamedTuple


class AnswerRow(NamedTuple):
    """A row of the table `answers`, in the order of its columns.

    Attributes:
        number: Of its item in the store.
        checksum: Of all that follows.
        version: Grows with everything written, so that the newest of two rows is known.
        key: What the item is known by: its id, or the hash of what is sent.
        occurrence: Which one of the items of that key it is.
        sent: The hash of what was sent.
        prompt: The hash of the messages.
        settings: The hash of what else affects the answer.
        state: DONE, TRUNCATED or FAILED.
        error: The name of the error class.
        input_tokens: Of all its answers, where they are known.
        output_tokens: Likewise.
        cost_usd: Of all its answers; None when unknown.
        entry: Everything else, encoded.
    """

    number: int
    checksum: int
    version: int
    key: bytes
    occurrence: int
    sent: bytes
    prompt: bytes
    settings: bytes
    state: int
    error: str | None
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    entry: bytes

    def sealed(self) -> AnswerRow:
        """Return the row with the checksum that it must have."""
        return self._replace(checksum=self._sum())

    @property
    def is_whole(self) -> bool:
        """Whether it is as it was written."""
        try:
            return self.checksum == self._sum()
        except (TypeError, ValueError):  # a torn page may hold anything
            return False

    def _sum(self) -> int:
        # A database may store 1.0 as 1.
        cost = None if self.cost_usd is None else float(self.cost_usd)
        return zlib.crc32(self.entry, zlib.crc32(repr((*self[2:-2], cost)).encode()))


COLUMNS = len(AnswerRow._fields)
