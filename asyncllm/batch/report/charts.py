"""The charts of the report, drawn by matplotlib as SVG in the colours of the page.

The page has no script: a chart is text and lines that scale, print, and follow the reader's light or dark colours.
"""

# matplotlib leaves keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from textwrap import fill
from typing import TYPE_CHECKING

from asyncllm.errors import not_installed

from ..formatting import dollars, duration, limit_name, number
from .figures import Distribution, Figures
from .timeline import Moment

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

# Inches of 72 points: at the width of a phone the letters are still 9 pixels high, beside each other on a desk 13.
_WIDTH, _HEIGHT = 5.6, 2.7
_FONT_POINTS = 11.0
# matplotlib needs colours that it can parse: each of these stands for one of the page, and is replaced by its name.
_COLOURS = {
    "ink": "#000001",
    "faint": "#000002",
    "done": "#000003",
    "failed": "#000004",
    "flight": "#000005",
    "waiting": "#000006",
    "money": "#000007",
    "limit": "#000008",
}


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart, with a sentence about it, and the same figures as a table for readers who cannot see it."""

    title: str
    summary: str
    svg: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class _Series:
    """One line of a chart over time, and one column of its table."""

    name: str
    value: Callable[[Moment], float]
    colour: str
    style: str = "-"


def charts(figures: Figures) -> list[Chart]:
    """Draw the charts that there are figures for."""
    made: list[Chart] = []
    # A single moment makes no curve.
    if len(figures.moments) > 1:
        made += [_throughput(figures), _concurrency(figures)]
    if figures.limits:
        made.append(_limits(figures))
    if figures.latency.count:
        made.append(
            _distribution("Time to answer", "from queueing to the last byte, waiting included", figures.latency)
        )
    if figures.first_token.count:
        made.append(_distribution("Time to first token", "until the first chunk of a stream", figures.first_token))
    if len(figures.moments) > 1:
        tokens = _Series("tokens a second", lambda moment: moment.tokens_per_s, "flight")
        summary = f"{figures.tokens:,} tokens in all, in and out."
        made.append(_over_time("Tokens", summary, figures, "tokens a second", tokens, stacked=True))
        if figures.cost_usd:
            spent = _Series("spent, US dollars", lambda moment: moment.cost_usd, "money")
            made.append(_over_time("Money", f"{dollars(figures.cost_usd)} in all.", figures, "US dollars", spent))
    return made


def _throughput(figures: Figures) -> Chart:
    fastest = max(moment.done_per_s for moment in figures.moments)
    mean = (figures.done + figures.failed) / figures.elapsed_s if figures.elapsed_s else 0.0
    summary = f"{number(mean)} items a second on average, {number(fastest)} at best."
    answered = _Series("answered a second", lambda moment: moment.done_per_s, "done")
    failed = _Series("failed a second", lambda moment: moment.failed_per_s, "failed")
    return _over_time("Throughput", summary, figures, "items a second", answered, failed, stacked=True)


def _concurrency(figures: Figures) -> Chart:
    most = max(moment.in_flight for moment in figures.moments)
    summary = f"At most {number(most)} at the provider at once."
    in_flight = _Series("at the provider", lambda moment: moment.in_flight, "flight")
    waiting = _Series("waiting", lambda moment: moment.waiting, "waiting", style="--")
    return _over_time("Concurrency", summary, figures, "requests", in_flight, waiting)


def _over_time(title: str, summary: str, figures: Figures, unit: str, *series: _Series, stacked: bool = False) -> Chart:
    moments = figures.moments

    def draw(axes: Axes) -> None:
        times = [moment.at_s for moment in moments]
        values = [[one.value(moment) for moment in moments] for one in series]
        names, colours = [one.name for one in series], [_COLOURS[one.colour] for one in series]
        if stacked:
            axes.stackplot(times, *values, colors=colours, labels=names, alpha=0.85)
        else:
            for one, each, colour in zip(series, values, colours, strict=True):
                axes.plot(times, each, color=colour, label=one.name, linestyle=one.style)
        axes.set_ylabel(unit)
        for begin in figures.runs_s[1:]:
            axes.axvline(begin, color=_COLOURS["ink"], linewidth=0.8, linestyle=":")
        axes.set_xlim(0, max(figures.elapsed_s, 1.0))
        axes.set_ylim(bottom=0)
        _time_axis(axes)
        if len(series) > 1:
            axes.legend(loc="upper left", bbox_to_anchor=(0, 1.16), ncols=2, frameon=False, borderpad=0)

    # Twenty rows show how it went; one for every moment would hide it.
    shown = moments[:: max(1, len(moments) // 20)]
    rows = [[duration(moment.at_s), *(number(one.value(moment)) for one in series)] for moment in shown]
    if len(figures.runs_s) > 1:
        summary = f"{summary} Dotted lines mark where the run was continued."
    return Chart(title, summary, _svg(title, summary, draw), ["after", *(one.name for one in series)], rows)


def _limits(figures: Figures) -> Chart:
    totals = figures.limited_s
    reasons = list(reversed(totals))

    def draw(axes: Axes) -> None:
        for index, name in enumerate(reasons):
            spans = [(limit.from_s, limit.to_s - limit.from_s) for limit in figures.limits if limit.reason == name]
            axes.broken_barh(spans, (index - 0.35, 0.7), facecolors=_COLOURS["limit"])
        axes.set_xlim(0, max(figures.elapsed_s, 1.0))
        _time_axis(axes)
        axes.set_yticks(range(len(reasons)), [fill(limit_name(name), 16) for name in reasons])
        axes.set_ylim(-0.6, len(reasons) - 0.4)
        axes.grid(visible=False, axis="y")

    longest = reasons[-1]
    share = totals[longest] / figures.elapsed_s if figures.elapsed_s else 0.0
    summary = f"Most of all {limit_name(longest)}: {share:.0%} of the time."
    rows = [[limit_name(name), duration(totals[name])] for name in reversed(reasons)]
    return Chart("What held it back", summary, _svg("What held it back", summary, draw), ["limit", "for"], rows)


def _distribution(title: str, meaning: str, found: Distribution) -> Chart:
    def draw(axes: Axes) -> None:
        from matplotlib.ticker import MaxNLocator

        widths = [high - low for low, high in pairwise(found.edges)]
        axes.bar(found.edges[:-1], found.counts, widths, align="edge", color=_COLOURS["flight"], alpha=0.85)
        axes.set_xscale("log")
        axes.set_xlim(found.edges[0], found.edges[-1])
        axes.set_ylabel("items")
        _log_time_axis(axes, found.edges[0], found.edges[-1])
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        _label(axes.yaxis, number)
        top = max(found.counts)
        for index, name in enumerate(("p50", "p95", "p99")):
            at = found.quantiles[name]
            axes.axvline(at, color=_COLOURS["ink"], linewidth=1, linestyle=":")
            # One above the other, because they often lie close together.
            label_at = (at, top * (1.24 - 0.1 * index))
            axes.annotate(name, label_at, (3, 0), textcoords="offset points", va="top", fontsize=9)
        axes.set_ylim(0, top * 1.25)

    shares = ", ".join(f"{name} {duration(value)}" for name, value in found.quantiles.items())
    summary = f"In seconds, {meaning}: {shares}."
    rows = [
        [f"{duration(low)} to {duration(high)}", f"{count:,}"]
        for low, high, count in zip(found.edges[:-1], found.edges[1:], found.counts, strict=True)
        if count
    ]
    return Chart(title, summary, _svg(title, summary, draw), ["took", "items"], rows)


# Seconds between ticks, as clocks are divided.
_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200)


def _time_axis(axes: Axes) -> None:
    from matplotlib.ticker import MultipleLocator

    most = axes.get_xlim()[1]
    # Six ticks at most, so that their labels do not touch; beyond days, as many days apart as it takes.
    step = next((step for step in _STEPS_S if most / step <= 6), 86400 * (1 + most // (6 * 86400)))
    axes.xaxis.set_major_locator(MultipleLocator(step))
    _label(axes.xaxis, duration)
    _label(axes.yaxis, number)


def _log_time_axis(axes: Axes, low: float, high: float) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator

    steps = [digit * 10.0**power for power in range(-4, 6) for digit in (1, 2, 5)]
    ticks = [step for step in steps if low <= step <= high]
    axes.xaxis.set_major_locator(FixedLocator(ticks[:: max(1, -(-len(ticks) // 6))]))
    axes.xaxis.set_minor_locator(NullLocator())
    _label(axes.xaxis, duration)


def _label(axis: Axis, shown: Callable[[float], str]) -> None:
    """Label the ticks of an axis."""

    def label(value: float, _: object) -> str:
        return shown(value)

    axis.set_major_formatter(label)


def _svg(title: str, summary: str, draw: Callable[[Axes], None]) -> str:
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise not_installed("the page needs", "report", "; or take --text, which needs none") from None
    # The style is that of this drawing alone: it neither depends on settings of the process, nor changes them.
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        for name, value in _style(title).items():
            matplotlib.rcParams[name] = value  # type: ignore[index]  # they are names of settings
        figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
        axes = figure.add_subplot()
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        draw(axes)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _for_page(buffer.getvalue(), title, summary)


def _style(title: str) -> dict[str, object]:
    ink, faint = _COLOURS["ink"], _COLOURS["faint"]
    return {
        "backend": "svg",
        # Text stays text: it is small, can be selected, and is in the reader's font.
        "svg.fonttype": "none",
        # Ids must differ within a page, and the same figures must make the same page.
        "svg.hashsalt": title,
        "font.size": _FONT_POINTS,
        "text.color": ink,
        "axes.labelcolor": ink,
        "axes.edgecolor": ink,
        "xtick.color": ink,
        "ytick.color": ink,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": faint,
        "lines.linewidth": 2,
        "ytick.left": False,
        "axes.formatter.useoffset": False,
    }


def _for_page(svg: str, title: str, summary: str) -> str:
    """Return a drawing as a part of the page: without its frame, in its colours, with a title for screen readers."""
    svg = svg[svg.index("<svg") :]
    for name, colour in _COLOURS.items():
        svg = svg.replace(colour, f"var(--{name})")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(
        r' id="(?:figure|axes|patch|text|line2d|legend|xtick|ytick|matplotlib|FillBetween\w*|\w+Collection)[\w.]*"',
        "",
        svg,
    )
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", svg)
    label = f"<title>{escape(title)}</title><desc>{escape(summary)}</desc>"
    head = re.search(r'viewBox="([^"]*)"', svg)
    assert head is not None
    body = svg[svg.index(">") + 1 :]
    return f'<svg viewBox="{head[1]}" role="img" xmlns:xlink="http://www.w3.org/1999/xlink">{label}{body}'
