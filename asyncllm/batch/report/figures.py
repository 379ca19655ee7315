"""The figures of a batch, added up from its journal in one pass; they hold no prompt and no answer."""

from __future__ import annotations

import heapq
import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any, Protocol

# Enough to see what is slow or dear and why, few enough to read.
_EXTREMES = 10
_EXAMPLES = 3
# Bars of a distribution: a screen's width of them, whatever the range.
_BINS = 30
# Points of a curve: more than a phone's width has pixels for, fewer than a page grows large of.
_POINTS = 240
# Two samples further apart than this were taken by two runs, or before and after the machine slept.
_GAP_S = 30.0


class Entry(Protocol):
    """What is read of one item."""

    @property
    def index(self) -> int: ...
    @property
    def id(self) -> str | None: ...
    @property
    def ok(self) -> bool: ...
    @property
    def error(self) -> str | None: ...
    @property
    def message(self) -> str | None: ...
    @property
    def finish_reason(self) -> str | None: ...
    @property
    def model(self) -> str | None: ...
    @property
    def usage(self) -> Any: ...
    @property
    def cost_usd(self) -> float | None: ...
    @property
    def attempts(self) -> int: ...
    @property
    def first_token_s(self) -> float | None: ...
    @property
    def elapsed_s(self) -> float | None: ...


class Sample(Protocol):
    """What is read of one moment; counts are since the beginning of its run."""

    @property
    def at(self) -> float: ...
    @property
    def in_flight(self) -> int: ...
    @property
    def waiting(self) -> int: ...
    @property
    def done(self) -> int: ...
    @property
    def failed(self) -> int: ...
    @property
    def tokens(self) -> int: ...
    @property
    def cost_usd(self) -> float: ...
    @property
    def limited_by(self) -> str | None: ...


@dataclass(slots=True)
class Moment:
    """A short span of the run.

    Attributes:
        at_s: Its middle, in seconds of running time since the first request.
        done_per_s: Answers a second.
        failed_per_s: Failures a second.
        tokens_per_s: Tokens a second.
        in_flight: Requests at the provider, on average.
        waiting: Requests waiting for a place or a rate, on average.
        cost_usd: What everything until then cost.
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
    """A span in which one thing held the run back.

    Attributes:
        reason: What it was.
        from_s: Where it began, in seconds of running time.
        to_s: Where it ended.
    """

    reason: str
    from_s: float
    to_s: float


@dataclass(slots=True)
class Distribution:
    """How a duration is distributed, in seconds.

    Attributes:
        count: How many there are.
        quantiles: The shares `p50`, `p90`, `p95`, `p99`, and `max`.
        edges: The edges of the bars, growing by one factor.
        counts: How many lie between two edges.
    """

    count: int = 0
    quantiles: dict[str, float] = field(default_factory=dict)
    edges: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)


@dataclass(slots=True)
class ErrorKind:
    """One kind of error.

    Attributes:
        count: How many items ended with it.
        examples: Different messages of it, each with the item it is from.
    """

    count: int = 0
    examples: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class ModelTotal:
    """What one model did.

    Attributes:
        answers: Items that ended with an answer of it.
        input_tokens: The tokens of their prompts.
        output_tokens: The tokens of their answers.
        cost_usd: What they cost, as far as it is known.
        unpriced: Those whose cost is not known.
    """

    answers: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0


@dataclass(frozen=True, slots=True)
class Item:
    """One item that stands out.

    Attributes:
        name: Its id, or its number.
        elapsed_s: How long it took, waits included.
        attempts: The requests that were sent for it.
        tokens: Prompt and answer together; None when unknown.
        cost_usd: What it cost; None when unknown.
        ending: How it ended.
    """

    name: str
    elapsed_s: float | None
    attempts: int
    tokens: int | None
    cost_usd: float | None
    ending: str


@dataclass(slots=True)
class Figures:
    """What a batch did.

    Attributes:
        done: Items that succeeded.
        failed: Items that did not.
        truncated: Answers among them that a token limit cut.
        elapsed_s: Running time, pauses between runs left out.
        began_at: When the first run began, as Unix time; None when nothing ran.
        runs_s: Where each run began, in seconds of running time.
        cost_usd: What the items cost, as far as it is known.
        unpriced: Items whose cost is not known.
        unsettled: Requests that a kill left without a known outcome; they may have been paid for.
    """

    done: int = 0
    failed: int = 0
    truncated: int = 0
    elapsed_s: float = 0.0
    began_at: float | None = None
    runs_s: list[float] = field(default_factory=list)
    cost_usd: float = 0.0
    unpriced: int = 0
    unsettled: int = 0
    attempts: int = 0
    moments: list[Moment] = field(default_factory=list)
    limits: list[Limited] = field(default_factory=list)
    latency: Distribution = field(default_factory=Distribution)
    first_token: Distribution = field(default_factory=Distribution)
    errors: dict[str, ErrorKind] = field(default_factory=dict)
    models: dict[str, ModelTotal] = field(default_factory=dict)
    slowest: list[Item] = field(default_factory=list)
    dearest: list[Item] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        """Tokens in and out, of all answers."""
        return sum(model.input_tokens + model.output_tokens for model in self.models.values())

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON data."""
        return asdict(self)


def figures(entries: Iterable[Entry], samples: Sequence[Sample], *, unsettled: int = 0) -> Figures:
    """Add up the figures of a batch.

    Args:
        entries: Its items.
        samples: Its moments, in order.
        unsettled: Requests that a kill left without a known outcome.
    """
    found = Figures(unsettled=unsettled)
    latencies, first_tokens = array("d"), array("d")
    slowest, dearest = _Largest(), _Largest()
    for entry in entries:
        _count(found, entry)
        # An item that was sent to nobody, because the budget was spent or an identical one was, took no time.
        if entry.elapsed_s is not None and entry.attempts:
            latencies.append(entry.elapsed_s)
            slowest.see(entry.elapsed_s, entry)
        if entry.first_token_s is not None:
            first_tokens.append(entry.first_token_s)
        if entry.cost_usd:
            dearest.see(entry.cost_usd, entry)
    found.latency, found.first_token = _distribution(latencies), _distribution(first_tokens)
    found.slowest, found.dearest = slowest.items, dearest.items
    found.errors = dict(sorted(found.errors.items(), key=lambda pair: -pair[1].count))
    found.models = dict(sorted(found.models.items(), key=lambda pair: -pair[1].answers))
    _add_time(found, samples)
    return found


def _count(found: Figures, entry: Entry) -> None:
    usage: Mapping[str, Any] = entry.usage or {}
    found.attempts += entry.attempts
    found.cost_usd += entry.cost_usd or 0.0
    if entry.ok:
        found.done += 1
        found.truncated += entry.finish_reason == "length"
        found.unpriced += entry.cost_usd is None
    else:
        found.failed += 1
        kind = found.errors.setdefault(entry.error or "unknown", ErrorKind())
        kind.count += 1
        message = entry.message or ""
        if len(kind.examples) < _EXAMPLES and all(message != known for _, known in kind.examples):
            kind.examples.append((_name(entry), message))
    if entry.model is not None and (entry.ok or usage):
        total = found.models.setdefault(entry.model, ModelTotal())
        total.answers += 1
        total.input_tokens += usage.get("input_tokens") or 0
        total.output_tokens += usage.get("output_tokens") or 0
        total.cost_usd += entry.cost_usd or 0.0
        total.unpriced += entry.cost_usd is None


class _Largest:
    """Keeps the few entries with the largest of something."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Item]] = []
        self._seen = 0

    def see(self, value: float, entry: Entry) -> None:
        self._seen += 1
        if len(self._heap) < _EXTREMES:
            heapq.heappush(self._heap, (value, -self._seen, _item(entry)))
        elif value > self._heap[0][0]:
            heapq.heapreplace(self._heap, (value, -self._seen, _item(entry)))

    @property
    def items(self) -> list[Item]:
        return [item for _, _, item in sorted(self._heap, key=lambda kept: kept[:2], reverse=True)]


def _item(entry: Entry) -> Item:
    usage: Mapping[str, Any] = entry.usage or {}
    known = usage.get("input_tokens") is not None
    tokens = (usage.get("input_tokens") or 0) + (usage.get("output_tokens") or 0) if known else None
    ending = (entry.finish_reason or "done") if entry.ok else entry.error or "failed"
    return Item(_name(entry), entry.elapsed_s, entry.attempts, tokens, entry.cost_usd, ending)


def _name(entry: Entry) -> str:
    return entry.id if entry.id is not None else f"item {entry.index}"


def _distribution(values: array[float]) -> Distribution:
    if not values:
        return Distribution()
    ordered = sorted(values)
    last = len(ordered) - 1
    quantiles = {f"p{share}": ordered[min(last, math.ceil(share / 100 * len(ordered)) - 1)] for share in (50, 90, 95, 99)}
    low, high = max(ordered[0], 1e-4), max(ordered[-1], 1e-4)
    # One factor from bar to bar: durations differ by powers. Equal ones still get a bar with a width.
    low, high = (low / 1.2, high * 1.2) if high < low * 1.2 else (low, high)
    factor = (high / low) ** (1 / _BINS)
    edges = [low * factor**number for number in range(_BINS + 1)]
    counts = [0] * _BINS
    for value in ordered:
        place = math.log(max(value, low) / low) / math.log(factor)
        counts[min(_BINS - 1, int(place))] += 1
    return Distribution(len(ordered), {**quantiles, "max": ordered[-1]}, edges, counts)


def _add_time(found: Figures, samples: Sequence[Sample]) -> None:
    """Put the samples on one axis of running time, and join them to a bounded number of moments."""
    if not samples:
        return
    found.began_at = samples[0].at
    times = _running_times(samples, found)
    found.elapsed_s = times[-1]
    width = max(times[-1] / _POINTS, 1.0)
    group: list[int] = []
    for number, at in enumerate(times):
        if group and (at - times[group[0]] >= width or at in found.runs_s):
            _add_moment(found, samples, times, group)
            group = group[-1:] if at not in found.runs_s else []
        group.append(number)
    _add_moment(found, samples, times, group)
    _add_limits(found, samples, times)


def _running_times(samples: Sequence[Sample], found: Figures) -> list[float]:
    times, now = [0.0], 0.0
    found.runs_s.append(0.0)
    for before, sample in pairwise(samples):
        restarted = sample.done + sample.failed < before.done + before.failed
        step = max(sample.at - before.at, 0.0)
        if restarted or step > _GAP_S:
            # One second between two runs, so that their curves do not touch.
            now += 1.0
            found.runs_s.append(now)
        else:
            now += step
        times.append(now)
    return times


def _add_moment(found: Figures, samples: Sequence[Sample], times: Sequence[float], group: Sequence[int]) -> None:
    first, last = group[0], group[-1]
    span = times[last] - times[first]
    if span <= 0:
        return

    def per_s(name: str) -> float:
        return max(float(getattr(samples[last], name)) - float(getattr(samples[first], name)), 0.0) / span

    def mean(name: str) -> float:
        return sum(float(getattr(samples[number], name)) for number in group) / len(group)

    found.moments.append(
        Moment(
            (times[first] + times[last]) / 2,
            per_s("done"),
            per_s("failed"),
            per_s("tokens"),
            mean("in_flight"),
            mean("waiting"),
            samples[last].cost_usd,
        )
    )


def _add_limits(found: Figures, samples: Sequence[Sample], times: Sequence[float]) -> None:
    for number in range(1, len(samples)):
        reason, begin, end = samples[number].limited_by, times[number - 1], times[number]
        if reason is None or end in found.runs_s:
            continue
        last = found.limits[-1] if found.limits else None
        if last is not None and last.reason == reason and last.to_s == begin:
            found.limits[-1] = Limited(reason, last.from_s, end)
        else:
            found.limits.append(Limited(reason, begin, end))
