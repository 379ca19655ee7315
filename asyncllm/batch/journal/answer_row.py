"""A row of the table `answers`, with a checksum that shows whether it is as it was written."""

from __future__ import annotations

import zlib
from typing import NamedTuple

from ..outcome import Outcome
from .fingerprint import Fingerprint
from .journal_file import DONE, FAILED, TRUNCATED


class AnswerRow(NamedTuple):
    """One answer; the fields are the columns, in their order.

    Attributes:
        checksum: The checksum of everything behind it.
        version: Grows with every row written, so that the newer of two rows is known.
        key: The key of the item: its id, or the hash of what is sent.
        occurrence: The index among the items of that key.
        sent: The hash of what was sent.
        prompt: The hash of the messages.
        settings: The hash of what else affects the answer.
        state: DONE, TRUNCATED or FAILED.
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

    @classmethod
    def of(
        cls, number: int, occurrence: int, fingerprint: Fingerprint, outcome: Outcome[object], entry: bytes
    ) -> AnswerRow:
        """Return the row of an item that has ended, without its version and its checksum."""
        completion, usage = outcome.completion, outcome.usage
        is_cut = completion is not None and completion.finish_reason == "length"
        is_cached = completion is not None and completion.record.cached
        return cls(
            number=number,
            checksum=0,
            version=0,
            key=fingerprint.key,
            occurrence=occurrence,
            sent=fingerprint.sent,
            prompt=fingerprint.prompt,
            settings=fingerprint.settings.digest,
            state=FAILED if not outcome.ok else TRUNCATED if is_cut else DONE,
            error=None if outcome.ok else type(outcome.error).__name__,
            input_tokens=None if usage is None or is_cached else usage.input_tokens,
            output_tokens=None if usage is None or is_cached else usage.output_tokens,
            cost_usd=outcome.cost_usd,
            entry=entry,
        )

    def sealed(self, version: int) -> AnswerRow:
        """Return the row with its version, and the checksum that it must have."""
        row = self._replace(version=version)
        return row._replace(checksum=row._sum())

    @property
    def is_whole(self) -> bool:
        """Whether the row is as it was written."""
        try:
            return self.checksum == self._sum()
        except (TypeError, ValueError):  # a torn page may hold anything
            return False

    def _sum(self) -> int:
        # A database may store 1.0 as 1.
        cost = None if self.cost_usd is None else float(self.cost_usd)
        return zlib.crc32(self.entry, zlib.crc32(repr((*self[2:-2], cost)).encode()))


COLUMNS = AnswerRow._fields
INSERT_ANSWER = f"INSERT OR REPLACE INTO answers VALUES ({', '.join('?' * len(COLUMNS))})"
