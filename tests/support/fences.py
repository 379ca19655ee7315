"""The code fences of pages and docstrings, read from Markdown and run as a reader would run them, from top to bottom.

A page's Python fences share one namespace. Top-level `await` and `async with` are allowed, all on one event loop; a
fence without them runs outside the loop, so that a page can also show `anyio.run(main)` or the blocking API. A TOML
fence with a `[llm]` table is loaded, and is the page's `config.toml` from there on. Other languages are not run.

A fence that cannot run says why in the line above it: `<!-- no-run: needs a GPU -->`.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

_FENCE = re.compile(
    r"(?:^[ \t]*<!--\s*(?P<mark>no-run)(?P<reason>:[^\n]*?)?\s*-->[ \t]*\n)?"
    r"^(?P<indent>[ \t]*)(?P<ticks>`{3,})(?P<language>\w+)[^\n`]*\n"
    r"(?P<code>.*?)"
    r"^(?P=indent)(?P=ticks)[ \t]*$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Fence:
    """One fence of a page: its language, its code, and the line of the page where the code starts."""

    language: str
    code: str
    line: int


def fences(page: Path) -> list[Fence]:
    """Read the fences of a page, in order, without those marked as not to be run."""
    return fences_in(page.read_text(encoding="utf-8"), str(page))


def fences_in(text: str, name: str) -> list[Fence]:
    """Read the fences of a text, in order, without those marked as not to be run; the name is for messages."""
    found = []
    for match in _FENCE.finditer(text):
        line = text.count("\n", 0, match.start("code")) + 1
        if match["mark"]:
            if not (match["reason"] or "").strip(": "):
                raise ValueError(f"{name}:{line}: a fence that is not run says why: <!-- no-run: the reason -->")
            continue
        found.append(Fence(match["language"], textwrap.dedent(match["code"]), line))
    return found


def fences_to_run(page: Path) -> list[Fence]:
    """Read the Python and `[llm]` TOML fences of a page, in order, without those marked as not to be run."""
    return [fence for fence in fences(page) if _runs(fence)]


def run_page(page: Path, monkeypatch: pytest.MonkeyPatch, install_config: Callable[[str], None]) -> None:
    """Run a page's fences in order.

    Args:
        page: The Markdown file.
        monkeypatch: Puts the page in the place of the main module while it runs, so that its classes can be found
            and its `if __name__ == "__main__"` holds.
        install_config: Called with the text of each `[llm]` TOML fence.
    """
    run_fences(fences_to_run(page), str(page), monkeypatch, install_config)


def run_fences(
    fences: Iterable[Fence],
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    install_config: Callable[[str], None],
    given: Mapping[str, object] | None = None,
) -> None:
    """Run fences in order, in one namespace.

    Args:
        fences: The fences.
        name: The name of their page, for tracebacks.
        monkeypatch: As for `run_page`.
        install_config: As for `run_page`.
        given: Names that they find.
    """
    module = types.ModuleType("__main__")
    module.__dict__.update(given or {})
    monkeypatch.setitem(sys.modules, "__main__", module)
    with start_blocking_portal("asyncio") as portal:
        for fence in fences:
            if fence.language == "toml":
                install_config(fence.code)
            else:
                _run_python(fence, name, module.__dict__, portal)


def _runs(fence: Fence) -> bool:
    return fence.language in ("python", "py") or (fence.language == "toml" and "[llm]" in fence.code)


def _run_python(fence: Fence, name: str, namespace: dict[str, Any], portal: BlockingPortal) -> None:
    # The blank lines make tracebacks point to the line of the page.
    source = "\n" * (fence.line - 1) + fence.code
    code = compile(source, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    if not code.co_flags & inspect.CO_COROUTINE:
        exec(code, namespace)
        return

    async def run() -> None:
        await eval(code, namespace)

    portal.call(run)
