"""Deferred jobs: their state, and what can be done with them in another process and on another day."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import anyio

from ..input import Requests
from ..journal.journal import Journal
from ..journal.journal_file import failures, open_to_read
from ..progress import Meter
from . import rows
from .requests import DeferredCalls
from .run import DeferredRun
from .settings import DeferredSettings
from .stream import DeferredOutcomes

T = TypeVar("T")


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
    """

    id: str | None
    state: str
    status: str
    requests: int
    answered: int
    created_at: float
    expires_at: float


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


class DeferredJob(Generic[T]):
    """A deferred batch, known by its journal.

    Attributes:
        journal: The journal.
    """

    def __init__(self, calls: DeferredCalls[T], journal: Journal, settings: DeferredSettings) -> None:
        self.journal = journal
        self._calls = calls
        self._settings = settings

    @property
    def status(self) -> JobStatus:
        """Its state when the provider was last asked; `refresh` asks again, and adopts a batch that was given.

        Raises:
            JournalError: There is no journal, or it cannot be read.
        """
        return read_status(self.journal.path)

    async def refresh(self) -> JobStatus:
        """Ask the provider for the state of the batches, and return it.

        Raises:
            ProviderError: The provider does not say.
            JournalError: Another run has the journal.
        """
        run = await self._opened()
        try:
            await run.refresh()
        finally:
            await _close(run)
        return self.status

    async def cancel(self) -> JobStatus:
        """Cancel the batches at the provider; what was answered before is paid for, and comes with `outcomes`."""
        run = await self._opened()
        try:
            await run.cancel()
        finally:
            await _close(run)
        return self.status

    def outcomes(self, *, ordered: bool = False) -> DeferredOutcomes[T]:
        """Return the outcomes, of which those that are missing are waited for; use it in `async with`.

        Args:
            ordered: Whether they come in input order, when all of them are there.
        """
        return DeferredOutcomes(self._run(ordered=ordered), Meter())

    def __repr__(self) -> str:
        return f"DeferredJob({str(self.journal.path)!r})"

    def _run(self, *, requests: Requests | None = None, ordered: bool = False) -> DeferredRun[T]:
        return DeferredRun(self._calls, self.journal, self._settings, requests=requests, ordered=ordered)

    async def _opened(self) -> DeferredRun[T]:
        run = self._run()
        await run.open()
        return run


async def submit(
    calls: DeferredCalls[T], journal: Journal, settings: DeferredSettings, requests: Requests
) -> DeferredJob[T]:
    """Send requests in batches, and return when all of them are with the provider."""
    run = DeferredRun(calls, journal, settings, requests=requests)
    await run.open()
    try:
        await run.submit()
    finally:
        await _close(run)
    return DeferredJob(calls, journal, settings)


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
    return BatchStatus(row.provider_id, state, row.status, row.requests, row.answered, row.created_at, row.expires_at)


async def _close(run: DeferredRun[Any]) -> None:
    with anyio.CancelScope(shield=True):
        await run.close()
