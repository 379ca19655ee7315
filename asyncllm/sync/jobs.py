"""Deferred jobs for blocking code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from .loop_thread import ThreadLoop
from .streams import BlockingOutcomes

if TYPE_CHECKING:
    # Names for type checkers; nothing is imported.
    from ..batch.deferred.job import DeferredJob
    from ..batch.deferred.status import JobStatus

T = TypeVar("T")


class BlockingJob(Generic[T]):
    """A deferred batch, known by its journal; as `DeferredJob`."""

    def __init__(self, job: DeferredJob[T], loop: ThreadLoop) -> None:
        self._job = job
        self._loop = loop

    @property
    def status(self) -> JobStatus:
        """Its state when the provider was last asked."""
        return self._job.status

    def refresh(self) -> JobStatus:
        """Ask the provider for the state of the batches, and return it."""
        return self._loop.run(self._job.refresh)

    def cancel(self) -> JobStatus:
        """Cancel the batches at the provider."""
        return self._loop.run(self._job.cancel)

    def outcomes(self, *, ordered: bool = False) -> BlockingOutcomes[T]:
        """Return the outcomes, waiting for those that are missing; use it in `with`."""
        return BlockingOutcomes(lambda: self._job.outcomes(ordered=ordered), self._loop)

    def __repr__(self) -> str:
        return repr(self._job)
