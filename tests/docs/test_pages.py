"""The pages of the built site, as they are and as a browser shows them: accessible, narrow enough, and on their own."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.chromium import CHROMIUM, Tab, chromium

ROOT = Path(__file__).parents[2]
AXE = ROOT / ".cache" / "site" / "node_modules" / "axe-core" / "axe.min.js"
PHONE, DESKTOP = (360, 800), (1280, 900)
DARK = {
    f"{name}.html" for name in ("index", "first-hour", "guides/web", "architecture", "reference/errors", "benchmarks")
}

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: .ci/install-browser")

# As long as the page is wide: what reaches beyond its right edge, and is in no box that scrolls by itself.
TOO_WIDE = """
document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll("body *")]
  .filter(it => it.getBoundingClientRect().right > innerWidth + 1)
  .map(it => `${it.tagName}.${it.className}`).slice(0, 5)
"""
SERIOUS = """
axe.run(document, {resultTypes: ["violations"], runOnly: %s}).then(({violations}) => violations
  .filter(it => ["serious", "critical"].includes(it.impact))
  .map(it => `${it.id}: ${it.nodes.length}: ${it.nodes[0].html.slice(0, 200)} ${it.nodes[0].failureSummary}`))
"""
# Halfway through a transition no colour is the one that is read.
STILL = """
document.head.append(Object.assign(document.createElement("style"), {
  textContent: "*, ::before, ::after { transition: none !important; animation: none !important }"
})), 0
"""
EVERYTHING = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture
def anyio_backend() -> str:
    """The browser is driven by asyncio alone."""
    return "asyncio"


def pages(site: Path) -> list[Path]:
    """Return every page of the site."""
    return sorted(site.rglob("*.html"))


def test_every_page_is_in_the_index_for_models(site: Path) -> None:
    """`llms.txt` lists each page of the navigation with a first sentence; the page is there as Markdown."""
    index = (site / "llms.txt").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^- \[.+\]\((\S+)\): (.+)$", index, re.MULTILINE))
    sources = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    assert listed.keys() == sources
    assert all((site / page).is_file() for page in listed)


def test_the_full_text_has_the_reference(site: Path) -> None:
    """`llms-full.txt` has every page, and the docstrings of the reference instead of their directives."""
    full = (site / "llms-full.txt").read_text(encoding="utf-8")
    assert all(f"<!-- {page.relative_to(ROOT / 'docs')} -->" in full for page in (ROOT / "docs").rglob("*.md"))
    assert "Args:\n" in full
    assert "\n::: " not in full


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    """Scripts, styles, fonts and pictures are files of the site."""
    loading = re.compile(r"<(?:script|img|iframe|source|link)\b[^>]*\b(?:src|href)=\"?https?:[^\s\">]+")
    found = {load for page in pages(site) for load in loading.findall(page.read_text(encoding="utf-8"))}
    styles = [style for style in site.rglob("*.css") if re.search(r"url\([\"']?https?:", style.read_text("utf-8"))]
    assert (found, styles) == (set(), [])


def test_every_page_has_a_card_and_a_description(site: Path) -> None:
    """What a link to a page shows elsewhere is set, and the picture exists."""
    for page in pages(site):
        text = page.read_text(encoding="utf-8")
        card = re.search(r'property="?og:image"? content="?([^\s">]+)', text)
        assert card, page
        assert (page.parent / card[1]).is_file() or page.name == "404.html", page


@needs_browser
@pytest.mark.anyio
async def test_every_page_in_a_browser(site: Path, tmp_path: Path) -> None:
    """None is wider than a phone, axe-core finds nothing serious, and nothing is asked for elsewhere."""
    wide: dict[str, Any] = {}
    serious: dict[str, Any] = {}
    # A page that is not found is served from the root alone: its links begin there.
    opened = [page for page in pages(site) if page.name != "404.html"]
    async with chromium(tmp_path) as browser, browser.tab("about:blank#empty") as tab:
        for page in opened:
            name = str(page.relative_to(site))
            await tab.resize(*PHONE)
            await tab.open(page.as_uri())
            await tab.run(STILL)
            if found := await tab.run(TOO_WIDE):
                wide[name] = found
            if AXE.exists():
                await tab.resize(*DESKTOP)
                if found := await findings(tab, EVERYTHING) + await in_dark(tab, name):
                    serious[name] = found
    elsewhere = [url for url in tab.requested if not url.startswith(("file:", "data:", "about:"))]
    assert (wide, serious, elsewhere) == ({}, {}, [])
    if not AXE.exists():
        pytest.skip("there is no axe-core: .ci/install-axe")


async def findings(tab: Tab, rules: list[str]) -> list[str]:
    """Return what axe-core finds on the page that is open."""
    if not await tab.run("'axe' in window"):
        await tab.run(f"{AXE.read_text(encoding='utf-8')}; 0")
    found: list[str] = await tab.run(SERIOUS % json.dumps(rules))
    return found


async def in_dark(tab: Tab, name: str) -> list[str]:
    """Return what has too little contrast in dark colours, on pages that between them have everything there is."""
    if name not in DARK:
        return []
    await tab.run("document.body.setAttribute('data-md-color-scheme', 'slate')")
    return await findings(tab, ["color-contrast"])
