"""The pages of recipes show the files that tests run, and every recipe has a page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.fences import fences
from tests.support.recipe_pages import PAGES, ROOT, refreshed, shown

RECIPES = ROOT / "examples" / "recipes"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.stem))
def test_a_page_shows_the_file(page: Path) -> None:
    """What is read is what was tested; `python -m tests.support.recipe_pages` mends it."""
    assert page.read_text(encoding="utf-8") == refreshed(page)


def test_every_recipe_has_a_page() -> None:
    """Of its own name, and the overview links to it."""
    overview = (ROOT / "docs" / "recipes" / "index.md").read_text(encoding="utf-8")
    for recipe in [*RECIPES.glob("*.py"), RECIPES / "notebook.ipynb"]:
        page = ROOT / "docs" / "recipes" / f"{recipe.stem}.md"
        assert f"({page.name})" in overview
        assert recipe.suffix == ".ipynb" or recipe.name in shown(page)


def test_every_recipe_is_short() -> None:
    """A recipe is read in a minute or two."""
    assert max(len(recipe.read_text(encoding="utf-8").splitlines()) for recipe in RECIPES.glob("*.py")) <= 90


def test_the_notebook_is_its_page() -> None:
    """The cells are the fences, which run with those of the other pages."""
    cells = json.loads((RECIPES / "notebook.ipynb").read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert code == [fence.code.rstrip("\n") for fence in fences(ROOT / "docs" / "recipes" / "notebook.md")]
