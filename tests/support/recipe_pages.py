"""Pages that show files of the examples: a fence whose title is a file has its content.

`python -m tests.support.recipe_pages` writes the files into the pages.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "recipes").glob("*.md"))
_SHOWN = re.compile(r'^```\w+ title="(?P<path>examples/recipes/[\w.]+)"\n(?P<code>.*?)^```$', re.MULTILINE | re.DOTALL)


def shown(page: Path) -> list[str]:
    """Return the names of the files that a page shows."""
    return [Path(match["path"]).name for match in _SHOWN.finditer(page.read_text(encoding="utf-8"))]


def refreshed(page: Path) -> str:
    """Return the text of a page with the files as they are."""

    def refresh(match: re.Match[str]) -> str:
        head = match.group().partition("\n")[0]
        return f"{head}\n{(ROOT / match['path']).read_text(encoding='utf-8')}```"

    return _SHOWN.sub(refresh, page.read_text(encoding="utf-8"))


if __name__ == "__main__":
    for stale in PAGES:
        stale.write_text(refreshed(stale), encoding="utf-8")
