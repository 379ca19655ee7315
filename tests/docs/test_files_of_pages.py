"""Files of tests that pages show run under pytest, as a reader who saves them would run them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
CONFIG = '[llm]\nmodel = "simulated/demo"\n\n[llm.triage]\ntemperature = 0.0\n'
REAL = '[llm]\nmodel = "simulated/demo"\n\n[llm.fast]\nmodel = "anthropic/claude-sonnet-4-5"\n'


def save_files(page: str, folder: Path) -> None:
    """Save the fences of a page that have a name."""
    text = (DOCS / page).read_text(encoding="utf-8")
    for name, code in re.findall(r'^```python title="(\w+\.py)"\n(.*?)^```$', text, re.MULTILINE | re.DOTALL):
        (folder / name).write_text(code, encoding="utf-8")


@pytest.mark.parametrize(
    ("page", "config", "passed"), [("first-hour.md", CONFIG, 1), ("guides/testing.md", REAL, 4)], ids=["hour", "guide"]
)
def test_the_files_of_a_page_pass(
    page: str, config: str, passed: int, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each test runs once, without a warning, and again from its recordings."""
    save_files(page, pytester.path)
    (pytester.path / "config.toml").write_text(config)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    for _ in range(2):
        pytester.runpytest_subprocess("-q", "-W", "error::pytest.PytestWarning").assert_outcomes(passed=passed)
