"""Deferred jobs: their state, and what can be done with them in another process and on another day."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import anyio

from ..input import Requests
from ..journal.journal import Journal
from ..progress import Meter
from .requests import DeferredCalls
from .run import DeferredRun, DeferredSettings
from .status import JobStatus, read_status
from .stream import DeferredOutcomes

T = TypeVar("T")


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


async def _close(run: DeferredRun[Any]) -> None:
    with anyio.CancelScope(shield=True):
        await run.close()
