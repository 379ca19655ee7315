"""The programs of the pages for newcomers print the same on the library that they come from and on this one."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from asyncllm.simulator import Simulator
from benchmarks.environments import python_of

PAGES = Path(__file__).parents[2] / "docs" / "coming-from"
_PROGRAM = re.compile(r'^```python title="(?P<name>\w+)"\n(?P<code>.*?)^```$', re.MULTILINE | re.DOTALL)
_CONFIG = re.compile(r"^```toml\n(?P<code>\[llm\].*?)^```$", re.MULTILINE | re.DOTALL)

# The module that a program needs, and the environment of the benchmarks that has it where this one has not.
LIBRARIES = {
    "litellm": ("litellm", "litellm"),
    "openai": ("openai", "openai"),
    "instructor": ("instructor", "instructor"),
    "own-client": ("litellm", "instructor"),
    "pydantic-ai": ("pydantic_ai", "pydantic-ai"),
    "langchain": ("langchain_openai", "langchain"),
}

# Runs programs one after the other, so that a library is imported once.
RUNNER = """
import contextlib, io, json, sys, traceback, warnings
warnings.simplefilter("ignore")
printed = {}
for name, code in json.load(sys.stdin).items():
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        try:
            exec(compile(code, name, "exec"), {"__name__": "__main__"})
        except BaseException:
            out.write(traceback.format_exc())
    printed[name] = out.getvalue()
print(json.dumps(printed))
"""


def programs(page: str) -> dict[str, str]:
    """Return the programs of a page by their titles."""
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    return {match["name"]: match["code"] for match in _PROGRAM.finditer(text)}


def interpreter(page: str) -> str | None:
    """Return a Python that has the library of a page; None when there is none."""
    module, environment = LIBRARIES[page]
    if find_spec(module) is not None:
        return sys.executable
    python = python_of(environment)
    return python if Path(python).exists() else None


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with the configuration of the pages."""
    directory = tmp_path_factory.mktemp("reader")
    config = _CONFIG.search((PAGES / "own-client.md").read_text(encoding="utf-8"))
    assert config is not None
    (directory / "config.toml").write_text(config["code"])
    return directory


@pytest.fixture(scope="module")
def provider() -> Iterator[Simulator]:
    """The provider of all programs."""
    with Simulator() as running:
        yield running


@pytest.fixture(scope="module")
def environment(provider: Simulator) -> dict[str, str]:
    """The variables that lead every library to the simulator."""
    variables = {"OPENAI_API_KEY": "any", "OPENAI_API_BASE": provider.url, "OPENAI_BASE_URL": provider.url}
    return variables | {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "OPENAI_MAX_RETRIES": "0", "LANGSMITH_TRACING": "false"}


@pytest.fixture(scope="module")
def before(directory: Path, environment: dict[str, str]) -> dict[str, str]:
    """What each program prints on its own library, where that is installed."""
    by_python: dict[str, dict[str, str]] = {}
    for page in LIBRARIES:
        if (python := interpreter(page)) is not None:
            by_python.setdefault(python, {})[page] = programs(page)["before"]
    printed: dict[str, str] = {}
    for python, codes in by_python.items():
        ran = subprocess.run(
            [python, "-c", RUNNER],
            input=json.dumps(codes),
            capture_output=True,
            text=True,
            cwd=directory,
            env=os.environ | environment,
            check=True,
        )
        printed |= json.loads(ran.stdout.splitlines()[-1])
    return printed


@pytest.fixture
def readers_place(directory: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory and the variables of a reader."""
    monkeypatch.chdir(directory)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def printed_by(code: str, path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Run a program as the main module, and return what it prints."""
    path.write_text(code)
    capsys.readouterr()
    runpy.run_path(str(path), run_name="__main__")
    return capsys.readouterr().out


@pytest.mark.usefixtures("readers_place")
@pytest.mark.parametrize("page", LIBRARIES)
def test_both_programs_print_the_same(
    page: str, before: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Answers, tokens, costs and values do not depend on the library."""
    after = printed_by(programs(page)["after"], tmp_path / "after.py", capsys)
    assert "Ada Lovelace" in after or "Simulated" in after
    if page not in before:
        pytest.skip(f"{page} is not installed: python -m benchmarks makes an environment for it")
    assert after == before[page]


@pytest.mark.usefixtures("readers_place")
def test_the_step_between_prints_the_beginning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """instructor over a client of ours reads the same person."""
    said = printed_by(programs("instructor")["between"], tmp_path / "between.py", capsys)
    assert said == "Ada Lovelace ada@example.org\n"


@pytest.mark.usefixtures("readers_place")
def test_the_configuration_of_openhands_is_understood(
    tmp_path: Path, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """OpenHands itself does not run on every Python that this package does: only the program after it is run."""
    said = printed_by(programs("openhands")["after"], tmp_path / "after.py", capsys)
    assert re.fullmatch(r'Simulated answer to: "Hello!"[^\n]*\n\$0\.0000\d\d\n', said)
    [day] = (directory / "completions").glob("*.jsonl")
    assert "Hello!" in day.read_text()


def test_every_page_has_a_test() -> None:
    """And each has a program before, one after, and what does not carry over."""
    pages = [page for page in PAGES.glob("*.md") if page.stem != "index"]
    assert {page.stem for page in pages} == LIBRARIES.keys() | {"openhands"}
    for page in pages:
        assert {"before", "after"} <= programs(page.stem).keys()
        assert "## What does not carry over" in page.read_text(encoding="utf-8")
