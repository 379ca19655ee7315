"""Drawings of the diagrams in the documentation, as SVG: `python -m website.diagrams`.

mermaid is 3.5 MB of JavaScript that a page would load from elsewhere. It draws here instead, in Chromium, once for each
diagram; `.ci/install-axe --diagrams` installs it. The colours in a drawing are the variables of the site's style sheet.
"""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

import anyio

from tests.support.chromium import chromium

from .hooks import DIAGRAM, DIAGRAMS, drawing

ROOT = Path(__file__).parents[1]
MERMAID = ROOT / ".cache" / "site" / "node_modules" / "mermaid" / "dist" / "mermaid.min.js"

# mermaid computes with colours, so that it is given these; the drawing has the variables in their place.
_BOX, _LINE, _TEXT = "#eaf3f5", "#4b6a75", "#17242a"
_VARIABLES = {
    _BOX: "var(--diagram-box)",
    _LINE: "var(--diagram-line)",
    _TEXT: "var(--md-default-fg-color)",
    "rgb(234, 243, 245)": "var(--diagram-box)",
    "rgb(75, 106, 117)": "var(--diagram-line)",
    "rgb(23, 36, 42)": "var(--md-default-fg-color)",
}
_THEME = {
    **dict.fromkeys(
        ("primaryColor", "mainBkg", "actorBkg", "labelBoxBkgColor", "secondaryColor", "tertiaryColor"), _BOX
    ),
    **dict.fromkeys(
        ("lineColor", "primaryBorderColor", "actorBorder", "signalColor", "transitionColor", "nodeBorder"), _LINE
    ),
    **dict.fromkeys(("primaryTextColor", "textColor", "actorTextColor", "signalTextColor", "labelTextColor"), _TEXT),
    **dict.fromkeys(("loopTextColor", "transitionLabelColor", "stateLabelColor", "nodeTextColor"), _TEXT),
    **dict.fromkeys(("edgeLabelBackground", "labelBackgroundColor"), _BOX),
    "actorLineColor": _LINE,
    "labelBoxBorderColor": _LINE,
    "fontFamily": "DejaVu Sans, sans-serif",
    "fontSize": "14px",
}


def sources() -> list[str]:
    """Return the source of every diagram in the documentation."""
    pages = sorted((ROOT / "docs").rglob("*.md"))
    return [match[1] for page in pages for match in DIAGRAM.finditer(page.read_text(encoding="utf-8"))]


async def draw() -> None:
    """Draw the diagrams that have no drawing, and remove the drawings of those that are gone."""
    wanted = {drawing(source): source for source in sources()}
    for file in set(DIAGRAMS.glob("*.svg")) - wanted.keys():
        file.unlink()
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        page.write_text(f'<body><script src="{MERMAID.as_uri()}"></script></body>', encoding="utf-8")
        async with chromium(Path(folder)) as browser, browser.tab(page.as_uri()) as tab:
            settings = {"theme": "base", "htmlLabels": False, "themeVariables": _THEME, "deterministicIds": True}
            options = {"startOnLoad": False, "flowchart": {"htmlLabels": False}, "state": {"htmlLabels": False}}
            await tab.run(f"mermaid.initialize({json.dumps(settings | options)})")
            for file, source in wanted.items():
                if not file.exists():
                    name = f"diagram-{file.stem}"
                    svg = await tab.run(f"mermaid.render({json.dumps(name)}, {json.dumps(source)}).then(it => it.svg)")
                    file.write_text(tidy(svg) + "\n", encoding="utf-8")
                    print(file.relative_to(ROOT), file.stat().st_size)


def tidy(svg: str) -> str:
    """Return a drawing with the site's colours and type, on one line."""
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    svg = re.sub(r"font-family:[^;]+;", "font-family:inherit;", svg)
    return re.sub(r"\s*\n\s*", " ", svg)


if __name__ == "__main__":
    anyio.run(draw)
