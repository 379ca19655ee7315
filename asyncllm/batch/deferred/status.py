"""The state of deferred jobs, as their journals have it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ..journal.journal_file import failures, open_to_read
from . import rows


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """One batch of a job.

    Attributes:
        id: The provider's id; None before it is created.
        state: `waiting` to be sent, `sent`, or `ended`.
        status: The provider's word for it, as it was last asked for.
        requests: Requests in it.
        answered: Requests that were answered, as it was last asked for.
        created_at: When the provider created it, in Unix time; 0 when that is not known.
        expires_at: When its window ends; likewise.
        ended_at: When its results were read; likewise.
        round: In which round it is, from 1: what expires, and typed answers that are refused, may go into another.
        saved_usd: What its answers would have cost more live, as far as it is known.
    """

    id: str | None
    state: str
    status: str
    requests: int
    answered: int
    created_at: float
    expires_at: float
    ended_at: float
    round: int
    saved_usd: float


@dataclass(frozen=True, slots=True)
class JobStatus:
    """The state of a deferred job, as its journal has it.

    Attributes:
        batches: Its batches, in order.
        waiting: Requests that have no outcome yet.
    """

    batches: tuple[BatchStatus, ...]
    waiting: int

    @property
    def has_ended(self) -> bool:
        """Whether every request that was packed has its outcome."""
        return not self.waiting

    @property
    def is_with_provider(self) -> bool:
        """Whether nothing waits to be sent."""
        return all(batch.state != "waiting" for batch in self.batches)


def read_status(path: str | os.PathLike[str]) -> JobStatus:
    """Return the state of the deferred job that a journal has; one without batches where it has none.

    Raises:
        JournalError: There is no journal, or it cannot be read.
    """
    journal = Path(path)
    with closing(open_to_read(journal)) as database, failures(journal):
        if not _has_batches(database):
            return JobStatus((), 0)
        found = tuple(_status(row) for row in rows.batches(database))
        return JobStatus(found, rows.waiting(database))


def _has_batches(database: sqlite3.Connection) -> bool:
    name = "SELECT 1 FROM sqlite_master WHERE name = 'deferred_batches'"
    return database.execute(name).fetchone() is not None


_STATES = {
    "filling": "waiting",
    "ready": "waiting",
    "sending": "waiting",
    "adopted": "sent",
    "open": "sent",
    "closed": "ended",
}


def _status(row: rows.BatchRow) -> BatchStatus:
    state = _STATES[row.state]
    return BatchStatus(
        row.provider_id,
        state,
        row.status,
        row.requests,
        row.answered,
        row.created_at,
        row.expires_at,
        row.ended_at,
        row.round,
        row.saved_usd,
    )
