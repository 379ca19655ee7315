"""The outcomes of a deferred batch, in the form of those of a live one."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Self, TypeVar

import anyio

from ..engine import OutcomeStream
from ..outcome import Outcome
from ..progress import Meter
from .run import DeferredRun

T = TypeVar("T")


class DeferredOutcomes(OutcomeStream[T]):
    """The outcomes of a deferred batch, an async iterator; use it in `async with`.

    Leaving the block stops waiting; what is with the provider stays there, and the next run takes its results.

    Args:
        most_errors: The number of errors that ends the batch.
    """

    def __init__(self, run: DeferredRun[T], meter: Meter, most_errors: int | None = None) -> None:
        self._deferred = run
        self._measured = meter
        self._limit = most_errors
        self._failed = 0
        self._coming: AsyncGenerator[Outcome[T], None] | None = None

    async def __aenter__(self) -> Self:
        await self._deferred.open()
        self._measured.begin(self._deferred.flow, lambda: None)
        self._deferred.polled = self._measured.tell
        self._coming = self._deferred.outcomes()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        coming = self._coming
        assert coming is not None
        with anyio.CancelScope(shield=True):
            try:
                await coming.aclose()
            finally:
                await self._deferred.close()
        self._measured.end()
        return None

    async def __anext__(self) -> Outcome[T]:
        if self._coming is None:
            raise RuntimeError("a batch runs inside its block: `async with llm.map(...) as outcomes:`")
        outcome = await anext(self._coming)
        self._measured.add(outcome)
        if outcome.error is not None:
            self._failed += 1
            if self._failed == self._limit:
                raise outcome.error
        return outcome

    def _take_ready(self) -> list[Outcome[T]]:
        return []
