"""The figures of a batch, added up from its journal in one pass, without prompts and answers."""

from __future__ import annotations

import heapq
import math
from array import array
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from ..deferred.status import JobStatus, read_status
from ..journal.entry import JournalEntry
from ..journal.journal import Journal
from .timeline import Limited, Moment, Timeline

# Enough to see what is slow or expensive and why, few enough to read.
_EXTREMES = 10
_EXAMPLES = 3
# The part of an id that is shown: enough to find it again, short enough for a table on a screen.
_NAME_CHARACTERS = 32
# Bars of a distribution, for every range: as many as fit a screen.
_BINS = 30


@dataclass(slots=True)
class Distribution:
    """The distribution of a duration, in seconds.

    Attributes:
        quantiles: The quantiles `p50`, `p90`, `p95`, `p99`, and `max`.
        edges: The edges of the bars, growing by one factor.
    """

    count: int = 0
    quantiles: dict[str, float] = field(default_factory=dict)
    edges: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)


@dataclass(slots=True)
class ErrorKind:
    """One kind of error.

    Attributes:
        examples: Different messages of it, each with its item.
    """

    count: int = 0
    examples: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class ModelTotal:
    """The totals of one model."""

    answers: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0
    cached: int = 0


@dataclass(frozen=True, slots=True)
class DeferredFigures:
    """The figures of a deferred batch.

    Attributes:
        batches: Batches at the provider.
        rounds: Rounds of them: what expires, and typed answers that are refused, may go into another.
        unread: Batches whose results have not been read.
        waited_s: Seconds from the creation of the first to the reading of the last that has ended.
        longest_s: The longest of these times of one batch.
        saved_usd: What the answers would have cost more live, as far as it is known.
    """

    batches: int
    rounds: int
    unread: int
    waited_s: float
    longest_s: float
    saved_usd: float


@dataclass(frozen=True, slots=True)
class ItemFigures:
    """An item that stands out.

    Attributes:
        name: Its id, or its index.
        tokens: Prompt and answer together; None when unknown.
        ending: Its finish reason, or its error.
    """

    name: str
    elapsed_s: float | None
    attempts: int
    tokens: int | None
    cost_usd: float | None
    ending: str


@dataclass(slots=True)
class Figures:
    """The figures of a batch.

    Attributes:
        truncated: Answers that a token limit cut.
        throttled: Requests that the provider refused with 429.
        elapsed_s: Running time, pauses between runs left out.
        began_at: The start of the first run, in Unix time; None when nothing ran.
        runs_s: The start of each run, in seconds of running time.
        cost_usd: The cost of all runs, as far as it is known.
        unpriced: Answers whose cost is not known.
        cached: Answers of the cache, which took no tokens.
        saved_usd: What these cost when they were asked for, as far as it is known.
        unsettled: Requests whose outcome is unknown, because a run was killed or stopped; they may have been paid for.
        limits: The spans in which something limited the pace.
        latency: Seconds from the start of an item to its end, waits included.
        first_token: Seconds to the first chunk, of streams.
        errors: The kinds of errors, the most frequent first.
        models: The totals of each model, the one with the most answers first.
        deferred: The batches of a deferred one.
    """

    done: int = 0
    failed: int = 0
    truncated: int = 0
    elapsed_s: float = 0.0
    began_at: float | None = None
    runs_s: list[float] = field(default_factory=list)
    cost_usd: float = 0.0
    unpriced: int = 0
    cached: int = 0
    saved_usd: float = 0.0
    unsettled: int = 0
    unsettled_usd: float = 0.0
    running: bool = False
    attempts: int = 0
    throttled: int = 0
    moments: list[Moment] = field(default_factory=list)
    limits: list[Limited] = field(default_factory=list)
    latency: Distribution = field(default_factory=Distribution)
    first_token: Distribution = field(default_factory=Distribution)
    errors: dict[str, ErrorKind] = field(default_factory=dict)
    models: dict[str, ModelTotal] = field(default_factory=dict)
    slowest: list[ItemFigures] = field(default_factory=list)
    dearest: list[ItemFigures] = field(default_factory=list)
    deferred: DeferredFigures | None = None

    @property
    def tokens(self) -> int:
        """Tokens in and out, of all answers."""
        return sum(model.input_tokens + model.output_tokens for model in self.models.values())

    @property
    def known_cost_usd(self) -> float | None:
        """The cost of all runs; None where no answer has a known one."""
        return None if self.unpriced and not self.cost_usd else self.cost_usd

    @property
    def limited_s(self) -> dict[str, float]:
        """The seconds for which each thing limited the pace, the longest first."""
        totals: dict[str, float] = {}
        for limit in self.limits:
            totals[limit.reason] = totals.get(limit.reason, 0.0) + limit.to_s - limit.from_s
        return dict(sorted(totals.items(), key=lambda pair: -pair[1]))

    def to_dict(self) -> dict[str, object]:
        """Return everything as JSON data."""
        return asdict(self)


def figures(journal: Journal) -> Figures:
    """Return the figures of a journal."""
    summary, samples = journal.summary(), list(journal.samples())
    timeline = Timeline(summary.runs, samples)
    found = Figures(unsettled=summary.unknown, unsettled_usd=summary.unknown_usd, running=summary.running)
    # Answers that a later run replaced were paid for as well.
    found.cost_usd, found.unpriced = summary.cost_usd, summary.unpriced
    _add_items(found, journal.outcomes(), timeline)
    found.began_at, found.elapsed_s, found.runs_s = timeline.began_at, timeline.elapsed_s, timeline.runs_s
    found.moments, found.limits = timeline.moments(), timeline.limits()
    found.deferred = _deferred(read_status(journal.path))
    return found


def _deferred(status: JobStatus) -> DeferredFigures | None:
    batches = [batch for batch in status.batches if batch.id is not None]
    if not batches:
        return None
    read = [(batch.created_at or batch.ended_at, batch.ended_at) for batch in batches if batch.ended_at]
    return DeferredFigures(
        len(batches),
        max(batch.round for batch in batches),
        sum(batch.state == "sent" for batch in batches),
        max((end for _, end in read), default=0.0) - min((start for start, _ in read), default=0.0),
        max((end - start for start, end in read), default=0.0),
        sum(batch.saved_usd for batch in batches),
    )


def _add_items(found: Figures, entries: Iterable[JournalEntry], timeline: Timeline) -> None:
    latencies, first_tokens = array("d"), array("d")
    slowest, dearest = _Largest(), _Largest()
    for entry in entries:
        _count(found, entry)
        # An item that was never sent, because the budget was spent or it shares an answer, took no time.
        if entry.elapsed_s is not None and entry.attempts and entry.duplicate_of is None:
            latencies.append(entry.elapsed_s)
            slowest.add(entry.elapsed_s, entry)
            timeline.add(entry)
        if entry.first_token_s is not None:
            first_tokens.append(entry.first_token_s)
        if entry.cost_usd:
            dearest.add(entry.cost_usd, entry)
    found.latency, found.first_token = _distribution(latencies), _distribution(first_tokens)
    found.slowest, found.dearest = slowest.items, dearest.items
    found.errors = dict(sorted(found.errors.items(), key=lambda pair: -pair[1].count))
    found.models = dict(sorted(found.models.items(), key=lambda pair: -pair[1].answers))


def _count(found: Figures, entry: JournalEntry) -> None:
    usage = entry.usage
    if entry.duplicate_of is None:
        found.attempts += len(entry.attempts)
        found.throttled += sum(attempt.status_code == 429 for attempt in entry.attempts)
    if entry.ok:
        found.done += 1
        found.truncated += entry.finish_reason == "length"
        if entry.cached and entry.duplicate_of is None:
            found.cached += 1
            found.saved_usd += entry.saved_usd or 0.0
    else:
        found.failed += 1
        kind = found.errors.setdefault(entry.error or "unknown", ErrorKind())
        kind.count += 1
        message = entry.message or ""
        if len(kind.examples) < _EXAMPLES and all(message != known for _, known in kind.examples):
            kind.examples.append((_name(entry), message))
    if entry.model is not None and (entry.ok or usage.input_tokens is not None):
        total = found.models.setdefault(entry.model, ModelTotal())
        total.answers += 1
        if entry.cached:
            total.cached += 1
        else:
            total.input_tokens += usage.input_tokens or 0
            total.output_tokens += usage.output_tokens or 0
        total.cost_usd += entry.cost_usd or 0.0
        total.unpriced += entry.cost_usd is None


class _Largest:
    """The few entries with the largest value of something."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, ItemFigures]] = []
        self._seen = 0

    def add(self, value: float, entry: JournalEntry) -> None:
        self._seen += 1
        if len(self._heap) < _EXTREMES:
            heapq.heappush(self._heap, (value, -self._seen, _item(entry)))
        elif value > self._heap[0][0]:
            heapq.heapreplace(self._heap, (value, -self._seen, _item(entry)))

    @property
    def items(self) -> list[ItemFigures]:
        return [item for _, _, item in sorted(self._heap, key=lambda kept: kept[:2], reverse=True)]


def _item(entry: JournalEntry) -> ItemFigures:
    ending = (entry.finish_reason or "done") if entry.ok else entry.error or "failed"
    return ItemFigures(
        _name(entry), entry.elapsed_s, len(entry.attempts), entry.usage.total_tokens, entry.cost_usd, ending
    )


def _name(entry: JournalEntry) -> str:
    if entry.id is None:
        return f"item {entry.index}"
    return entry.id if len(entry.id) <= _NAME_CHARACTERS else f"{entry.id[: _NAME_CHARACTERS - 1]}…"


def _distribution(values: array[float]) -> Distribution:
    if not values:
        return Distribution()
    ordered = sorted(values)
    last = len(ordered) - 1
    # The nearest rank: a duration that was measured, rather than one between two.
    ranks = {f"p{share}": math.ceil(share / 100 * len(ordered)) - 1 for share in (50, 90, 95, 99)}
    quantiles = {name: ordered[min(last, rank)] for name, rank in ranks.items()}
    low, high = max(ordered[0], 1e-4), max(ordered[-1], 1e-4)
    # One factor from bar to bar, since durations differ by orders of magnitude. Equal ones still need a width.
    low, high = (low / 1.2, high * 1.2) if high < low * 1.2 else (low, high)
    factor = (high / low) ** (1 / _BINS)
    edges = [low * factor**number for number in range(_BINS + 1)]
    counts = [0] * _BINS
    for value in ordered:
        position = math.log(max(value, low) / low) / math.log(factor)
        counts[min(_BINS - 1, int(position))] += 1
    return Distribution(len(ordered), {**quantiles, "max": ordered[-1]}, edges, counts)
