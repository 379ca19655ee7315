"""The badges of the README, from the project's metadata: `python -m website.badges`."""

from __future__ import annotations

from html import escape
from pathlib import Path

import tomli

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "assets" / "badges"
_CHARACTER, _PADDING = 6.6, 12  # pixels at a size of 11


def badges() -> dict[str, str]:
    """Return each badge by its name, as SVG."""
    project = tomli.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    typed = (ROOT / "asyncllm" / "py.typed").exists()
    return {
        "python": _drawn("python", project["requires-python"].replace(">=", "≥ ")),
        "license": _drawn("license", project["license"]),
        "typed": _drawn("typed", "strict" if typed else "no"),
        "runs-on": _drawn("runs on", "asyncio, trio"),
    }


def _drawn(label: str, value: str) -> str:
    left, right = (round(len(text) * _CHARACTER + _PADDING) for text in (label, value))
    text = 'y="14" text-anchor="middle" textLength="{}">{}</text>'
    words = [
        f'<text fill="{fill}" x="{x}" {text.format(width - _PADDING, escape(words))}'
        for fill, x, width, words in (("#fff", left / 2, left, label), ("#06161b", left + right / 2, right, value))
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" '
        f'aria-label="{escape(label)}: {escape(value)}">'
        f'<rect width="{left + right}" height="20" rx="4" fill="#0f2730"/>'
        f'<path fill="#6fd3e3" d="M{left} 0h{right - 4}a4 4 0 0 1 4 4v12a4 4 0 0 1-4 4h-{right - 4}z"/>'
        f'<g font-family="DejaVu Sans,Verdana,sans-serif" font-size="11">{"".join(words)}</g></svg>\n'
    )


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, badge in badges().items():
        (FOLDER / f"{name}.svg").write_text(badge, encoding="utf-8")
