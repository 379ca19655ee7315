"""A batch over time: its runs on one axis of running time, in a bounded number of moments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ..journal.entry import JournalEntry
from ..journal.journal import RunSummary, Sample

# Points of a curve: more than a phone has pixels for, and few enough for a small page.
_POINTS = 240
# The journal samples a run once a second; a run of seconds has finer points, so that there is a curve at all.
_LEAST_S, _FEWEST_POINTS = 1.0, 20


@dataclass(slots=True)
class Moment:
    """A short span of the run.

    Attributes:
        at_s: Its middle, in seconds of running time since the start.
        in_flight: Requests at the provider, on average.
        waiting: Items that were begun and wait for a slot, a rate or their next attempt, on average.
        cost_usd: The cost of everything until then.
    """

    at_s: float
    done_per_s: float
    failed_per_s: float
    tokens_per_s: float
    in_flight: float
    waiting: float
    cost_usd: float


@dataclass(frozen=True, slots=True)
class Limited:
    """A span in which one thing limited the pace.

    Attributes:
        from_s: Its start, in seconds of running time.
    """

    reason: str
    from_s: float
    to_s: float


@dataclass(slots=True)
class _Cell:
    done: int = 0
    failed: int = 0
    tokens: int = 0
    cost_usd: float = 0.0
    provider_s: float = 0.0
    begun: int = 0
    samples: int = 0


class Timeline:
    """Adds up items by the time that they ended; the pauses between runs are left out.

    Attributes:
        began_at: The start of the first run, in Unix time; None when there was none.
        runs_s: The start of each run, in seconds of running time.
        elapsed_s: The running time of all runs.
    """

    def __init__(self, runs: Sequence[RunSummary], samples: Sequence[Sample]) -> None:
        self._samples = samples
        self._spans: dict[int, tuple[float, float, float]] = {}
        self.began_at = runs[0].started_at if runs else None
        self.runs_s: list[float] = []
        self.elapsed_s = 0.0
        last_seen = {sample.run: sample.at for sample in samples}
        for run in runs:
            begin = self.elapsed_s
            # A run that was killed could not note its end.
            ended_at = max(run.ended_at or 0.0, last_seen.get(run.run, 0.0), run.started_at)
            self._spans[run.run] = (run.started_at, ended_at, begin)
            self.runs_s.append(begin)
            self.elapsed_s = begin + ended_at - run.started_at
        self._width = max(self.elapsed_s / _POINTS, min(_LEAST_S, self.elapsed_s / _FEWEST_POINTS)) or _LEAST_S
        self._cells = [_Cell() for _ in range(int(self.elapsed_s / self._width) + 1)]
        self._add_samples()

    def add(self, entry: JournalEntry) -> None:
        """Add an item."""
        if entry.started_at is None or entry.run not in self._spans:
            return
        cell = self._cells[self._cell_index(entry.run, entry.started_at + (entry.elapsed_s or 0.0))]
        cell.done += entry.ok
        cell.failed += not entry.ok
        cell.tokens += entry.usage.total_tokens or 0
        cell.cost_usd += entry.cost_usd or 0.0
        at = self._at(entry.run, entry.started_at)
        for attempt in entry.attempts:
            at += attempt.queued_s
            self._add_span(at, at + attempt.elapsed_s)
            at += attempt.elapsed_s + attempt.waited_s

    def moments(self) -> list[Moment]:
        """Return the batch over time."""
        made: list[Moment] = []
        spent = begun = 0.0
        for index, cell in enumerate(self._cells):
            width = min(self._width, self.elapsed_s - index * self._width)
            if width < self._width / 2:
                continue  # what is left behind the last whole moment is too short for a rate
            spent += cell.cost_usd
            if cell.samples:
                begun = cell.begun / cell.samples
            in_flight = cell.provider_s / width
            rates = (cell.done / width, cell.failed / width, cell.tokens / width)
            made.append(Moment(index * self._width + width / 2, *rates, in_flight, max(begun - in_flight, 0.0), spent))
        return made

    def limits(self) -> list[Limited]:
        """Return the spans in which something limited the pace."""
        made: list[Limited] = []
        for before, sample in _pairs(self._samples):
            begin, end = self._at(sample.run, before.at), self._at(sample.run, sample.at)
            if sample.limited_by is None or end <= begin:
                continue
            last = made[-1] if made else None
            if last is not None and last.reason == sample.limited_by and last.to_s == begin:
                made[-1] = Limited(last.reason, last.from_s, end)
            else:
                made.append(Limited(sample.limited_by, begin, end))
        return made

    def _add_samples(self) -> None:
        for sample in self._samples:
            if sample.run in self._spans:
                cell = self._cells[self._cell_index(sample.run, sample.at)]
                cell.begun += sample.in_flight
                cell.samples += 1

    def _add_span(self, begin: float, end: float) -> None:
        """Add the time that a request was at the provider."""
        end = min(end, self.elapsed_s)
        while begin < end:
            index = min(int(begin / self._width), len(self._cells) - 1)
            # The next edge, or the end; the last cell takes what rounding leaves over.
            until = end if index == len(self._cells) - 1 else min(end, (index + 1) * self._width)
            self._cells[index].provider_s += until - begin
            if until <= begin:
                return
            begin = until

    def _at(self, run: int, at: float) -> float:
        """Return a time in seconds of running time."""
        started_at, ended_at, begin = self._spans[run]
        return begin + min(max(at, started_at), ended_at) - started_at

    def _cell_index(self, run: int, at: float) -> int:
        return min(int(self._at(run, at) / self._width), len(self._cells) - 1)


def _pairs(samples: Sequence[Sample]) -> Iterable[tuple[Sample, Sample]]:
    """Yield each sample with the one before it, of the same run."""
    for before, sample in pairwise(samples):
        if before.run == sample.run:
            yield before, sample
