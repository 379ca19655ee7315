"""The progress of a batch: counts of what has ended, and snapshots of them on a timer."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import anyio

from .journal.resumption import Resumed
from .outcome import Outcome

if TYPE_CHECKING:
    from .engine import Flow

EVERY_S = 1.0
# The pace is that of the last minute: a batch of many hours does not keep the pace of its first.
_PACE_S = 60.0
# As many errors as a display has lines for.
_LAST_ERRORS = 2

Sample = Sequence[float | str | None]


@dataclass(frozen=True, slots=True)
class DeferredProgress:
    """The batches of a deferred batch, when the provider was last asked.

    Attributes:
        waiting: Batches that are not with the provider yet.
        sent: Batches that are.
        ended: Batches whose results have been read.
        at_provider: Requests in those that were sent.
        oldest_at: When the oldest of these was created, in Unix time; 0 when there is none.
        window_ends_at: When the first of their windows ends, likewise.
    """

    waiting: int
    sent: int
    ended: int
    at_provider: int
    oldest_at: float
    window_ends_at: float


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a batch.

    Attributes:
        total: The number of items of the input; None where it is not known.
        taken: Items that have been read.
        done: Items that have an answer.
        failed: Items that ended with an error.
        from_journal: Answers among them that the journal had.
        duplicates: Items that share the answer of an identical request.
        in_flight: Items that workers have.
        waiting: Items that have been read, and wait.
        input_tokens: Tokens that this run has sent, as far as they are known.
        output_tokens: Tokens that this run has received, likewise.
        cost_usd: The cost of this run, as far as it is known.
        unpriced: Answers of this run whose cost is not known.
        cached: Answers of the cache, which took no tokens.
        saved_usd: What its answers would have cost more, live and without a cache, as far as it is known.
        errors: The number of items that ended with each kind of error.
        last_errors: The last few errors, each with its kind and its message.
        elapsed_s: Seconds since it began.
        per_s: Items that ended in a second, over the last minute, without those that the journal had.
        remaining_s: Seconds that the rest will take at this pace; None when that is not known.
        limited_by: What limits the pace; None when it is not known.
        resumed: The state of the journal when it began; None without one. It is there before anything is sent.
        finished: Whether this is the last report.
        deferred: The batches of a deferred one.

    Example:
        ```python
        def show(progress: Progress) -> None:
            print(f"{progress.done} of {progress.total}, {progress.failed} failed, {progress.per_s:.0f}/s")

        await llm.gather(["Name a colour.", "Name a fruit."], progress=show)
        ```
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
    cached: int = 0
    saved_usd: float = 0.0
    errors: Mapping[str, int] = field(default_factory=dict[str, int])
    last_errors: Sequence[str] = ()
    elapsed_s: float = 0.0
    per_s: float = 0.0
    remaining_s: float | None = None
    limited_by: str | None = None
    resumed: Resumed | None = None
    finished: bool = False
    deferred: DeferredProgress | None = None


@dataclass(slots=True)
class Tally:
    """Counts the items of a batch as they end; the fields are those of `Progress`."""

    done: int = 0
    failed: int = 0
    from_journal: int = 0
    duplicates: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0
    cached: int = 0
    saved_usd: float = 0.0
    errors: dict[str, int] = field(default_factory=dict[str, int])
    last_errors: tuple[str, ...] = ()

    @property
    def ended(self) -> int:
        """Items that have ended."""
        return self.done + self.failed

    @property
    def sent(self) -> int:
        """Items that have ended, without those that the journal had."""
        return self.ended - self.from_journal

    def add(self, outcome: Outcome[object]) -> None:
        """Count an item that has ended."""
        error = outcome.error
        if error is None:
            self.done += 1
        else:
            self.failed += 1
            kind = type(error).__name__
            self.errors[kind] = self.errors.get(kind, 0) + 1
            self.last_errors = (*self.last_errors, f"{kind}: {getattr(error, 'message', error)}")[-_LAST_ERRORS:]
        if outcome.from_journal:
            self.from_journal += 1
            return
        if outcome.duplicate_of is not None:
            self.duplicates += 1
            return
        usage, completion = outcome.usage, outcome.completion
        if completion is not None:
            self.cached += completion.record.cached
            self.saved_usd += completion.record.saved_usd or 0.0
        if usage is not None and not (completion is not None and completion.record.cached):
            self.input_tokens += usage.input_tokens or 0
            self.output_tokens += usage.output_tokens or 0
        if outcome.cost_usd is not None:
            self.cost_usd += outcome.cost_usd
        elif error is None:
            self.unpriced += 1


class Meter:
    """Measures the progress of a batch, and reports it on a timer.

    Args:
        total: The number of items of the input; None where it is not known.
        limited_by: Returns what limits the pace, where it is not the batch itself.

    Attributes:
        sample: Called with each line of the time series; None without a journal.
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
        self._tally = Tally()
        self._resumed: Resumed | None = None
        self._flow: Flow | None = None
        self._limited_by_batch: Callable[[], str | None] = lambda: None
        self._began = clock()
        self._pace: deque[tuple[float, int]] = deque()
        self.add = self._tally.add
        self.sample: Callable[[Sample], None] | None = None

    def opened(self, resumed: Resumed) -> None:
        """Report the state of the journal, before anything is sent."""
        self._resumed = resumed
        self.tell()

    def begin(self, flow: Flow, limited_by: Callable[[], str | None]) -> None:
        """Begin to measure a batch."""
        self._flow, self._limited_by_batch, self._began = flow, limited_by, self._clock()

    async def run(self) -> None:
        """Report on the timer, until cancelled."""
        while True:
            await anyio.sleep(self._every_s)
            self.tell()

    def end(self) -> None:
        """Report for the last time."""
        self.tell(finished=True)

    def progress(self, *, finished: bool = False) -> Progress:
        """Return a snapshot."""
        now, tally, flow = self._clock(), self._tally, self._flow
        taken, running = (flow.taken, flow.running) if flow is not None else (0, 0)
        per_s = self._per_s(now, tally.sent)
        return Progress(
            total=self._total,
            taken=taken,
            in_flight=running,
            waiting=max(taken - tally.ended - running, 0),
            elapsed_s=now - self._began,
            per_s=per_s,
            remaining_s=None if self._total is None or not per_s else (self._total - tally.ended) / per_s,
            limited_by=None if finished else self._limited_by_batch() or self._limited_by(),
            resumed=self._resumed,
            finished=finished,
            deferred=None if flow is None else flow.deferred,
            **asdict(tally),
        )

    def _per_s(self, now: float, ended: int) -> float:
        pace = self._pace
        pace.append((now, ended))
        while now - pace[0][0] > _PACE_S:
            pace.popleft()
        since, before = pace[0] if len(pace) > 1 else (self._began, 0)
        return (ended - before) / (now - since) if now > since else 0.0

    def tell(self, *, finished: bool = False) -> None:
        """Report, and add to the time series."""
        if self._report is None and self.sample is None:
            return
        now = self.progress(finished=finished)
        if self.sample is not None and self._flow is not None:
            tokens = now.input_tokens + now.output_tokens
            figures = (now.in_flight, now.waiting, now.done, now.failed, tokens, now.cost_usd, now.limited_by)
            self.sample((time.time(), *figures))
        if self._report is not None:
            self._report(now)
