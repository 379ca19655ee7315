"""The tables of the documentation agree with the code, and its links resolve."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import asyncllm
from asyncllm.cli import main
from asyncllm.client import PER_CALL
from asyncllm.parameters import CallOptions, ChatParams
from asyncllm.simulator.faults import KINDS
from tests.support.fences import fences
from tests.support.public_names import public_names, resolved

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "examples" / "README.md", *sorted(DOCS.rglob("*.md"))]


def between(page: str, name: str) -> str:
    """Return what stands between two marks of a page."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return text.partition(f"<!-- {name}:begin -->")[2].partition(f"<!-- {name}:end -->")[0]


def rows(table: str) -> dict[str, list[str]]:
    """Read a table, by the code in its first column."""
    lines = [line.strip("|").split(" | ") for line in table.splitlines() if line.startswith("| `")]
    return {line[0].strip(" `"): [cell.strip() for cell in line[1:]] for line in lines}


def test_the_fields_of_a_call_are_those_of_the_code() -> None:
    """What can be given to a single call is listed."""
    assert set(re.findall(r"`(\w+)`", between("guides/calls.md", "per-call"))) == PER_CALL


@pytest.mark.parametrize("kind", [ChatParams, CallOptions], ids=lambda kind: str(kind.__name__))
def test_the_tables_of_parameters_are_those_of_the_code(kind: type) -> None:
    """Every parameter of a call is listed."""
    own = set(kind.__annotations__) - (set(ChatParams.__annotations__) if kind is CallOptions else set())
    assert set(rows(between("reference/parameters.md", kind.__name__))) == own


def test_the_table_of_events_is_that_of_the_code() -> None:
    """Every event that the pipeline sends is listed, and none that it does not."""
    # The package's own module names others that begin like an event.
    sources = [source for source in (ROOT / "asyncllm").rglob("*.py") if source.name != "__init__.py"]
    texts = (source.read_text(encoding="utf-8") for source in sources)
    sent = {name for text in texts for name in re.findall(r'"((?:call|batch|deferred|limits|web)\.\w+)"', text)}
    assert set(rows(between("guides/telemetry.md", "events"))) == sent


def test_the_table_of_faults_is_that_of_the_code() -> None:
    """Every kind of fault is listed with what it does and its options."""
    documented = rows(between("guides/testing.md", "faults"))
    assert list(documented) == list(KINDS)
    for name, kind in KINDS.items():
        does, options = documented[name]
        assert does == kind.description
        assert re.findall(r"`(\w+)`", options) == list(kind.options)


def test_every_error_is_explained() -> None:
    """The guide names every public error class."""
    text = (DOCS / "guides" / "errors.md").read_text(encoding="utf-8")
    missing = [name for name in asyncllm.__all__ if name.endswith("Error") and f"`{name}`" not in text]
    assert not missing


def test_every_public_name_is_in_the_reference() -> None:
    """Each name of the public modules has its entry on a page of the reference, and each entry stands for something."""
    entries = " ".join(page.read_text(encoding="utf-8") for page in (DOCS / "reference").glob("*.md"))
    documented = [resolved(entry) for entry in re.findall(r"^::: (\S+)$", entries, re.MULTILINE)]
    documented += vars(asyncllm.errors).values()  # which has one entry
    assert [name for name, found in public_names().items() if not any(found is it for it in documented)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_to_files(page: Path) -> None:
    """A link to another page of the repository finds it."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)(?:#[\w-]+)?\)", text):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def commands(page: Path) -> list[str]:
    """Return the `asyncllm` commands in the console fences of a page that can run by themselves."""
    lines = [line for fence in fences(page) if fence.language == "console" for line in fence.code.splitlines()]
    return [line.removeprefix("$ ") for line in lines if re.match(r"\$ (echo .* \| )?asyncllm ", line)]


COMMANDS = [(page, command) for page in PAGES for command in commands(page)]


@pytest.fixture
def readers_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory as a reader has it, with the simulator as the default."""
    (tmp_path / "config.toml").write_text('[llm]\nmodel = "simulated/demo"\n[llm.fast]\n')
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("readers_directory")
@pytest.mark.parametrize("command", dict.fromkeys(command for _, command in COMMANDS))
def test_a_command_of_the_documentation_works(
    command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It ends with 0 and says something on stdout, or writes a file."""
    piped, bar, words = command.rpartition(" | ")
    if bar:
        (tmp_path / "stdin").write_text(" ".join(shlex.split(piped)[1:]))
    with (tmp_path / "stdin").open("a+") as stdin:
        stdin.seek(0)
        monkeypatch.setattr("sys.stdin", stdin)
        assert main(shlex.split(words)[1:]) == 0
    assert capfd.readouterr().out or {path.suffix for path in tmp_path.glob("*.*")} & {".jsonl", ".csv"}
