"""The bars of the landing page, from the results of the benchmarks: `python -m website.figures` writes them into it."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path

from benchmarks.chart import medians

from .marks import replace_between

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "index.md"
PANELS = {
    "plain-50": "CPU of a plain call, 50 at a time",
    "typed": "CPU of a typed call",
    "stream": "CPU of a streamed chunk",
}


def bars() -> str:
    """Return the bars as HTML: each is as long as the time, and has it beside it."""
    results = json.loads((ROOT / "benchmarks" / "results.json").read_text(encoding="utf-8"))
    lines = ['<div class="bars">']
    for key, title in PANELS.items():
        figures = medians(results["scenarios"][key]["rounds"])
        lines.append(f"<h3>{title}</h3>")
        for name, value in figures.items():
            ours = ' class="ours"' if name == "asyncllm" else ""
            share = f"{value / max(figures.values()):.3f}"
            bar = f'<span><i style="--share:{share}"></i>{value:,.0f} µs</span>'
            lines.append(f"<div{ours}><b>{escape(name)}</b>{bar}</div>")
    return "\n".join([*lines, "</div>"])


if __name__ == "__main__":
    replace_between(PAGE, "figures", bars())
