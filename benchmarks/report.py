"""The results of a run as people read them: a table for the terminal, and a page for the documentation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .targets import TARGETS, Outcome, Spread, judge

# What a scenario is about, and how the figure reads: its name, the unit, the digits.
FIGURES: Mapping[str, tuple[str, str, int]] = {
    "cpu_us": ("CPU", "us", 0),
    "per_s": ("requests/s", "", 0),
    "first_ms": ("first token", "ms", 2),
    "start_s": ("time", "s", 2),
    "rss_mib": ("memory", "MiB", 0),
    "kib_each": ("memory each", "KiB", 1),
    "wall_ms": ("time", "ms", 0),
    "longest_gap_ms": ("longest gap", "ms", 1),
    "warm_up_gap_ms": ("longest gap while warming up", "ms", 1),
}
# The figures that one command brings, where they mean something.
_OF_SCENARIO: Mapping[str, tuple[str, ...]] = {
    "plain-1": ("cpu_us", "per_s"),
    "plain-50": ("cpu_us", "per_s"),
    "plain-500": ("cpu_us", "per_s"),
    "plain-uvloop": ("cpu_us", "per_s"),
    "reasoning": ("cpu_us",),
    "typed": ("cpu_us", "per_s"),
    "stream": ("cpu_us",),
    "claude": ("cpu_us",),
    "claude-stream": ("cpu_us",),
    "claude-typed": ("cpu_us",),
    "claude-first-call": ("start_s", "rss_mib"),
    "gemini": ("cpu_us",),
    "gemini-stream": ("cpu_us",),
    "paced": ("cpu_us",),
    "paced-uvloop": ("cpu_us",),
    "first-token": ("first_ms",),
    "open": ("kib_each",),
    "open-tls": ("kib_each",),
    "first-call": ("start_s", "rss_mib"),
    "import": ("wall_ms",),
    "construct": ("wall_ms",),
    "litellm-plain": ("cpu_us",),
    "litellm-stream": ("cpu_us",),
    "trio-plain": ("cpu_us",),
    "trio-stream": ("cpu_us",),
    "heartbeat": ("longest_gap_ms", "warm_up_gap_ms"),
}


class Row:
    """One peer beside asyncllm in one scenario: the medians of both, and the spread of their ratio."""

    def __init__(self, title: str, metric: str, peer: str, rounds: Sequence[dict[str, Any]]) -> None:
        self.title = title
        self.metric = metric
        self.peer = peer
        self.error = next((one["error"] for one in rounds if "error" in one), None)
        pairs = [(one["theirs"][metric], one["ours"][metric]) for one in rounds if "error" not in one]
        if self.error is None:
            self.theirs = Spread.of([theirs for theirs, _ in pairs])
            self.ours = Spread.of([ours for _, ours in pairs])
            # More of it is better for a rate alone.
            self.ratio = Spread.of([o / t if metric == "per_s" else t / o for t, o in pairs])


def rows(results: Mapping[str, Any]) -> Iterator[Row]:
    """Return a row for every pair and figure of a run."""
    for key, scenario in results["scenarios"].items():
        peers = dict.fromkeys(one["peer"] for one in scenario["rounds"])
        for metric in _OF_SCENARIO[key]:
            for peer in peers:
                mine = [one for one in scenario["rounds"] if one["peer"] == peer]
                yield Row(scenario["title"], metric, peer, mine)


def outcomes(results: Mapping[str, Any]) -> list[Outcome]:
    """Return what became of every target."""
    return [judge(target, results["scenarios"]) for target in TARGETS]


def text(results: Mapping[str, Any]) -> str:
    """Return the tables for a terminal."""
    lines = [f"{'':44} {'asyncllm':>12}  {'peer':>12}  {'better by':>9}  quartiles"]
    last = None
    for row in rows(results):
        heading = _heading(row)
        if heading != last:
            lines += ["", heading]
            last = heading
        if row.error is not None:
            lines.append(f"  {row.peer:42} FAILED: {row.error}")
            continue
        lines.append(
            f"  {row.peer:42} {_shown(row.ours.median, row.metric):>12}  {_shown(row.theirs.median, row.metric):>12}"
            f"  {row.ratio.median:8.2f}x  {row.ratio.low:.2f} to {row.ratio.high:.2f}"
        )
    lines += ["", f"{'target':54} {'bound':>8}  {'median':>8}  {'quartiles':>18}"]
    for one in outcomes(results):
        line = f"{one.target.title:54} {one.target.bound:>8}  {_value(one):>8}  {_quartiles(one):>18}  {one.verdict}"
        lines.append(line + (f" (against {one.against})" if len(one.target.peers) > 1 and one.against else ""))
    return "\n".join(lines)


def page(results: Mapping[str, Any], chart: str) -> str:
    """Return the page for the documentation.

    Args:
        results: Of a run.
        chart: The file of the chart, beside the page.
    """
    machine = results["machine"]
    lines = [
        "# Benchmarks",
        "",
        "Every figure compares two processes that were measured right after one another, a peer and asyncllm, in",
        "several rounds; a ratio is the median over the rounds, with its quartiles. CPU is that of the client's",
        "process. The provider is a server of its own on the same machine that answers at once. Every answer is",
        "checked, and a run with a wrong one fails. Absolute figures are those of one machine; the ratios carry",
        "further.",
        "",
        f"![CPU of a plain call and of a streamed chunk, asyncllm and its peers]({chart})",
        "",
        "## Targets",
        "",
        "| | target | measured | quartiles | |",
        "|---|---:|---:|---:|---|",
    ]
    lines += [
        f"| {one.target.title} | {one.target.bound} | {_value(one)} | {_quartiles(one)} | {one.verdict} |"
        for one in outcomes(results)
    ]
    lines += ["", "## All figures", "", "A ratio above 1 is in favour of asyncllm.", ""]
    lines += ["| scenario | peer | peer's | asyncllm's | ratio | quartiles |", "|---|---|---:|---:|---:|---:|"]
    for row in rows(results):
        if row.error is not None:
            lines.append(f"| {_heading(row)} | {row.peer} | failed | | | |")
            continue
        lines.append(
            f"| {_heading(row)} | {row.peer} | {_shown(row.theirs.median, row.metric)}"
            f" | {_shown(row.ours.median, row.metric)} | {row.ratio.median:.2f}"
            f" | {row.ratio.low:.2f} to {row.ratio.high:.2f} |"
        )
    lines += ["", "## Where it ran", "", f"{machine['processor']}, {machine['cores']} cores, {machine['system']},"]
    lines += [f"Python {machine['python']}; {results['seconds'] / 60:.0f} minutes.", ""]
    for environment, releases in results["versions"].items():
        listed = ", ".join(f"{name} {version}" for name, version in releases.items())
        lines.append(f"- **{environment}**: {listed}")
    lines += [
        "",
        "Run it yourself: `make bench`, or `make bench-quick` for the larger part in two minutes.",
        "",
    ]
    return "\n".join(lines)


def _heading(row: Row) -> str:
    name, _, _ = FIGURES[row.metric]
    each = {"stream": " per chunk", "plain": " per call"}.get(row.title.partition(" ")[0].rstrip(","), "")
    return f"{row.title}: {name}{each if row.metric == 'cpu_us' else ''}"


def _shown(value: float, metric: str) -> str:
    _, unit, digits = FIGURES[metric]
    return f"{value:,.{digits}f} {unit}".rstrip()


def _value(one: Outcome) -> str:
    return "" if one.spread is None else f"{one.spread.median:.3g}"


def _quartiles(one: Outcome) -> str:
    return "" if one.spread is None else f"{one.spread.low:.3g} to {one.spread.high:.3g}"
