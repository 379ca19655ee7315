"""Every code fence of the README and of the documentation runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.fences import fences_to_run, run_page

ROOT = Path(__file__).parents[2]
PAGES = [page for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))] if fences_to_run(page)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_runs_from_top_to_bottom(page: Path, readers_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fences of a page run in order, as a reader who pastes them one after the other would run them."""
    from asyncllm import load_config

    def install(config: str) -> None:
        (readers_directory / "config.toml").write_text(config)
        load_config()

    run_page(page, monkeypatch, install)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A page with fences of every kind."""
    path = tmp_path / "page.md"
    path.write_text(SAMPLE)
    return path


SAMPLE = """
```toml
[llm]
model = "simulated/demo"
```

```toml
[tool.other]
```

```python
import anyio
seen = []
anyio.run(anyio.sleep, 0)
```

=== "a tab"

    ```python title="indented"
    await anyio.sleep(0)
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep, 0)
    seen.append(__name__)
    ```

<!-- no-run: an example of what goes wrong -->
```python
raise SystemExit
```

```console
$ not python
```

```python
raise LookupError(seen)
```
"""


def test_fences_share_a_namespace_and_may_await(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain and awaiting fences see each other's names, marked ones are left out, and an error ends the page."""
    installed: list[str] = []
    with pytest.raises(LookupError) as failure:
        run_page(page, monkeypatch, installed.append)
    assert failure.value.args == (["__main__"],)
    assert installed == ['[llm]\nmodel = "simulated/demo"\n']


def test_an_error_points_to_the_line_of_the_page(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The traceback of a failing fence names the page and the line to mend."""
    with pytest.raises(LookupError) as failure:
        run_page(page, monkeypatch, lambda _: None)
    last = failure.traceback[-1]
    assert str(last.path) == str(page)
    assert SAMPLE.splitlines()[last.lineno].startswith("raise LookupError")


def test_a_fence_left_out_needs_a_reason(page: Path) -> None:
    """A fence cannot be switched off silently."""
    page.write_text("<!-- no-run -->\n```python\nx = 1\n```\n")
    with pytest.raises(ValueError, match="says why"):
        fences_to_run(page)
