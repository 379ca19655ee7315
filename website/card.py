"""The picture that a link to the site shows elsewhere: `python -m website.card`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import anyio

from tests.support.chromium import chromium

ASSETS = Path(__file__).parents[1] / "docs" / "assets"
SIZE = (1200, 630)
_PAGE = """<!doctype html><meta charset="utf-8"><style>
body { margin: 0; box-sizing: border-box; width: 1200px; height: 630px; padding: 90px; background: #0f2730; color: #fff;
  font: 44px/1.35 "DejaVu Sans", sans-serif; }
svg { width: 150px; display: block; margin-bottom: 36px; }
h1 { font-size: 104px; line-height: 1; margin: 0 0 36px; letter-spacing: -3px; }
p { margin: 0; color: #c3d5db; }
</style>LOGO<h1>asyncllm</h1><p>Calls, streams, typed answers and batches:<br>
many calls to language models, under control.</p>"""


async def draw() -> None:
    """Write the picture."""
    page = _PAGE.replace("LOGO", (ASSETS / "logo.svg").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "card.html"
        file.write_text(page, encoding="utf-8")
        async with chromium(Path(name)) as browser, browser.tab(file.as_uri()) as tab:
            await tab.resize(*SIZE)
            await tab.screenshot(ASSETS / "card.png")


if __name__ == "__main__":
    anyio.run(draw)
