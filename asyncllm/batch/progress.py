"""How far a batch is: counted as items end, and told on a timer."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import anyio

from .journal.resumption import Resumed
from .outcome import Outcome

EVERY_S = 1.0
# The pace is that of the last minute: a batch of many hours is not where it was in its first.
_PACE_S = 60.0


class FlowCounts(Protocol):
    """Where the items of a batch are; see `engine.Flow`."""

    taken: int
    running: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a batch is.

    Attributes:
        total: How many items the input has; None where nobody knows.
        taken: How many have been read.
        done: How many have an answer.
        failed: How many ended with an error.
        from_journal: How many of the answers the journal had.
        duplicates: How many share the answer of an identical request.
        in_flight: How many are being worked on.
        waiting: How many have been read, and wait.
        input_tokens: What this run has used, as far as it is known.
        output_tokens: Likewise.
        cost_usd: What this run has cost, as far as it is known.
        unpriced: Answers of this run whose cost is not known.
        elapsed_s: Seconds since it began.
        per_s: Items that ended in a second, of the last minute, without those that the journal had.
        remaining_s: Seconds that the rest will take at this pace; None when nobody knows.
        limited_by: What keeps it from going faster; None when nothing is known.
        resumed: What the journal had when it began; None without one. It is there before anything is sent.
        finished: Whether this is the last of them.
    """

    total: int | None = None
    taken: int = 0
    done: int = 0
    failed: int = 0
    from_journal: int = 0
    duplicates: int = 0
    in_flight: int = 0
    waiting: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0
    elapsed_s: float = 0.0
    per_s: float = 0.0
    remaining_s: float | None = None
    limited_by: str | None = None
    resumed: Resumed | None = None
    finished: bool = False


@dataclass(slots=True)
class _Counts:
    done: int = 0
    failed: int = 0
    from_journal: int = 0
    duplicates: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0


class Meter:
    """Counts what ends, and tells on a timer how far the batch is.

    Args:
        total: How many items the input has; None where nobody knows.
        report: Is told; None to tell nobody.
        limited_by: Says what keeps the batch from going faster, where it is not the batch itself.
        every_s: Seconds from one report to the next.
        clock: Gives the monotonic time in seconds.
    """

    def __init__(
        self,
        total: int | None = None,
        report: Callable[[Progress], object] | None = None,
        *,
        limited_by: Callable[[], str | None] = lambda: None,
        every_s: float = EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total = total
        self._report = report
        self._limited_by = limited_by
        self._every_s = every_s
        self._clock = clock
        self._counts = _Counts()
        self._resumed: Resumed | None = None
        self._flow: FlowCounts | None = None
        self._limited_by_batch: Callable[[], str | None] = lambda: None
        self._began = clock()
        self._pace: deque[tuple[float, int]] = deque()
        self.sample: Callable[[Sequence[Any]], None] | None = None

    def opened(self, resumed: Resumed) -> None:
        """Tell what the journal has, before anything is sent."""
        self._resumed = resumed
        self._tell()

    def begin(self, flow: FlowCounts, limited_by: Callable[[], str | None]) -> None:
        """Begin to count a batch."""
        self._flow, self._limited_by_batch, self._began = flow, limited_by, self._clock()

    def add(self, outcome: Outcome[Any]) -> None:
        """Count an item that has ended."""
        counts = self._counts
        if outcome.error is None:
            counts.done += 1
        else:
            counts.failed += 1
        if outcome.from_journal:
            counts.from_journal += 1
            return
        if outcome.duplicate_of is not None:
            counts.duplicates += 1
            return
        usage = outcome.usage
        if usage is not None:
            counts.input_tokens += usage.input_tokens or 0
            counts.output_tokens += usage.output_tokens or 0
        if outcome.cost_usd is not None:
            counts.cost_usd += outcome.cost_usd
        elif outcome.error is None:
            counts.unpriced += 1

    async def run(self) -> None:
        """Tell on the timer, until cancelled."""
        while True:
            await anyio.sleep(self._every_s)
            self._tell()

    def end(self) -> None:
        """Tell for the last time."""
        self._tell(finished=True)

    def progress(self, *, finished: bool = False) -> Progress:
        """Return how far the batch is."""
        now, counts, flow = self._clock(), self._counts, self._flow
        ended = counts.done + counts.failed
        taken, running = (flow.taken, flow.running) if flow is not None else (0, 0)
        per_s = self._per_s(now, ended - counts.from_journal)
        left = None if self._total is None or not per_s else (self._total - ended) / per_s
        return Progress(
            total=self._total,
            taken=taken,
            in_flight=running,
            waiting=max(taken - ended - running, 0),
            elapsed_s=now - self._began,
            per_s=per_s,
            remaining_s=left,
            limited_by=None if finished else self._limited_by_batch() or self._limited_by(),
            resumed=self._resumed,
            finished=finished,
            **asdict(counts),
        )

    def _per_s(self, now: float, ended: int) -> float:
        pace = self._pace
        pace.append((now, ended))
        while now - pace[0][0] > _PACE_S:
            pace.popleft()
        since, before = pace[0] if len(pace) > 1 else (self._began, 0)
        return (ended - before) / (now - since) if now > since else 0.0

    def _tell(self, *, finished: bool = False) -> None:
        if self._report is None and self.sample is None:
            return
        now = self.progress(finished=finished)
        if self.sample is not None and self._flow is not None:
            tokens = now.input_tokens + now.output_tokens
            figures = (now.in_flight, now.waiting, now.done, now.failed, tokens, now.cost_usd, now.limited_by)
            self.sample((time.time(), *figures))
        if self._report is not None:
            self._report(now)
