"""The report as text that fits on a screen, in characters that every terminal has."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from ..formatting import duration, limit_name, number
from .figures import Distribution, Figures
from .page import ITEM_COLUMNS, advice, headline, item_rows, model_rows, tiles
from .timeline import Moment

_BARS = " ▁▂▃▄▅▆▇█"
_SHOWN_ITEMS = 5


def text(figures: Figures, name: str, width: int = 80) -> str:
    """Return the report in lines of at most so many characters, except for ids and names."""
    return "\n".join(line.rstrip() for line in _lines(figures, name, width)) + "\n"


def _lines(figures: Figures, name: str, width: int) -> Iterator[str]:
    yield name
    yield headline(figures)
    yield from textwrap.wrap(advice(figures), width)
    yield ""
    for tile in tiles(figures):
        yield f"  {tile.name:<16}{tile.value:>12}  {tile.note}"
    if len(figures.moments) > 1:
        yield from _curve("items a second", figures.moments, lambda m: m.done_per_s + m.failed_per_s, width)
        yield from _curve("at the provider", figures.moments, lambda m: m.in_flight, width)
    yield from _limits(figures)
    yield from _distribution("time to answer, waiting included", figures.latency, width)
    yield from _distribution("time to first token", figures.first_token, width)
    for kind, error in figures.errors.items():
        yield ""
        yield f"{kind}: {error.count:,}"
        for item, message in error.examples:
            yield from textwrap.wrap(f"{item}: {message}", width - 2, initial_indent="  ", subsequent_indent="    ")
    yield from _table("", ("model", "answers", "tokens in", "tokens out", "cost", "an answer"), model_rows(figures))
    yield from _table("slowest", ITEM_COLUMNS, item_rows(figures.slowest[:_SHOWN_ITEMS]))
    yield from _table("dearest", ITEM_COLUMNS, item_rows(figures.dearest[:_SHOWN_ITEMS]))


def _curve(name: str, moments: Sequence[Moment], value: Callable[[Moment], float], width: int) -> Iterator[str]:
    room = max(10, width - 2)
    values = list(map(value, moments))
    if len(values) > room:
        edges = [round(index * len(values) / room) for index in range(room + 1)]
        values = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    most = max(values)
    if not most:
        return
    yield ""
    yield f"{name}, at most {number(most)}"
    yield "  " + "".join(_BARS[round(each / most * 8) if most else 0] for each in values)


def _limits(figures: Figures) -> Iterator[str]:
    if figures.limits:
        yield ""
        yield "what held it back"
        for name, seconds in figures.limited_s.items():
            yield f"  {limit_name(name):<32}{duration(seconds):>12}  {seconds / figures.elapsed_s:.0%} of the time"


def _distribution(name: str, found: Distribution, width: int) -> Iterator[str]:
    if not found.count:
        return
    yield ""
    shares = ", ".join(f"{share} {duration(value)}" for share, value in found.quantiles.items())
    yield from textwrap.wrap(f"{name}: {shares}", width, subsequent_indent="  ")
    most, room = max(found.counts), max(10, width - 34)
    # Three bars in one: a terminal has few lines.
    for index in range(0, len(found.counts), 3):
        count = sum(found.counts[index : index + 3])
        if count:
            edges = f"{duration(found.edges[index])} to {duration(found.edges[min(index + 3, len(found.counts))])}"
            yield f"  {edges:<22}{count:>8,} {'█' * max(1, round(count / (3 * most) * room))}"


def _table(name: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if not rows:
        return
    heads = (name or columns[0], *columns[1:])
    widths = [max(len(row[index]) for row in (heads, *rows)) for index in range(len(columns))]
    yield ""
    for row in (heads, *rows):
        first, *others = (f"{cell:>{size}}" for cell, size in zip(row, widths, strict=True))
        yield "  ".join([f"{first.strip():<{widths[0]}}", *others])
