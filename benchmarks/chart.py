"""Draws the results: `python -m benchmarks.chart RESULTS CHART`, in the environment that has matplotlib."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl  # type: ignore[import-not-found,unused-ignore]
from matplotlib import pyplot as plt  # type: ignore[import-not-found,unused-ignore]

_PANELS = {
    "plain-50": ("CPU of a plain call", "us"),
    "typed": ("CPU of a typed call", "us"),
    "stream": ("CPU of a streamed chunk", "us"),
}
_OURS, _THEIRS, _FLOOR = "#3949ab", "#b0bec5", "#78909c"
_FLOOR_NAME = "aiohttp + json"


def medians(rounds: list[dict[str, Any]]) -> dict[str, float]:
    """Return the CPU of each peer in a scenario, the least first."""
    figures: dict[str, list[float]] = {}
    for one in rounds:
        if "error" not in one:
            figures.setdefault(one["peer"], []).append(one["theirs"]["cpu_us"])
            figures.setdefault("asyncllm", []).append(one["ours"]["cpu_us"])
    found = {name: statistics.median(values) for name, values in figures.items()}
    return dict(sorted(found.items(), key=lambda item: item[1]))


def draw(results: Mapping[str, Any], path: Path) -> None:
    """Draw a panel of bars for each scenario that was measured."""
    panels = {key: medians(results["scenarios"][key]["rounds"]) for key in _PANELS if key in results["scenarios"]}
    panels = {key: bars for key, bars in panels.items() if bars}
    # The same run gives the same file: no date, and no random ids in the SVG.
    mpl.rcParams.update({"svg.hashsalt": "asyncllm", "svg.fonttype": "none", "font.size": 10})
    heights = [len(bars) + 1.2 for bars in panels.values()]
    figure, axes = plt.subplots(
        len(panels), 1, figsize=(8, 0.42 * sum(heights)), gridspec_kw={"height_ratios": heights}, squeeze=False
    )
    for (key, bars), ax in zip(panels.items(), axes[:, 0], strict=True):
        title, unit = _PANELS[key]
        names = list(bars)
        colours = [_OURS if n == "asyncllm" else _FLOOR if n == _FLOOR_NAME else _THEIRS for n in names]
        drawn = ax.barh(names, list(bars.values()), color=colours)
        ours = bars["asyncllm"]
        labels = [f"{v:,.0f} {unit}" + (f"  ({v / ours:.1f}x)" if n != "asyncllm" else "") for n, v in bars.items()]
        ax.bar_label(drawn, labels, padding=4)
        ax.set_title(title, loc="left", fontweight="bold")
        ax.set_xlim(0, max(bars.values()) * 1.25)
        ax.invert_yaxis()
        ax.xaxis.set_visible(False)
        ax.spines[:].set_visible(False)
        ax.tick_params(left=False)
    figure.tight_layout()
    # On white, which reads in a dark page too.
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, facecolor="white")


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
