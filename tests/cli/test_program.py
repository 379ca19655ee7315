"""The program as a whole: help, version, usage errors, global options, exit codes."""

from __future__ import annotations

import ast
import os
import pkgutil
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import typer

import asyncllm
from asyncllm import cli
from tests.cli.conftest import Run

PROGRAM = typer.main.get_command(cli.app)
COMMANDS = PROGRAM.list_commands(typer.Context(PROGRAM))  # type: ignore[attr-defined]  # it is a group
REQUIRING = [
    name
    for name in COMMANDS
    if any(each.required for each in PROGRAM.get_command(typer.Context(PROGRAM), name).params)  # type: ignore[attr-defined]
]


def test_help_names_every_command(run: Run) -> None:
    """`--help` goes to stdout with a line for each command."""
    ran = run("--help")
    assert ran.code == 0
    assert all(f"\n  {name} " in ran.out for name in COMMANDS)


def test_no_command_is_wrong_usage(run: Run) -> None:
    """Without a command the help goes to stderr, so that a pipe stays empty."""
    ran = run()
    assert (ran.code, ran.out) == (2, "")
    assert "Commands:" in ran.err


def test_version(run: Run) -> None:
    """`--version` says which one it is, and the versions that a report of a problem needs."""
    first, *others = run("--version").out.splitlines()
    assert first == f"asyncllm {asyncllm.__version__}"
    assert others[0].split()[1].rstrip(",") == platform.python_version()
    named = dict(line.split(maxsplit=1) for line in others[1:])
    assert {"litellm", "aiohttp", "pydantic", "instructor", "uvloop"} <= named.keys()
    assert named["litellm"] == metadata.version("litellm")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["aks"], "did you mean 'ask'?"),
        (["ask", "--temprature", "1"], "--temprature"),
        (["batch"], "Missing argument"),
        (["ask", "x", "--max-tokens", "many"], "max-tokens"),
        (["--profile", "fast", "demo"], "demo reads no configuration"),
        (["ask", "x", "--set", "temperature"], "FIELD=VALUE"),
        (["ask", "x", "--set", "temprature=1"], "temperature"),
        (["ask", "x", "--profile", "fats"], '"fats"'),
        (["ask", "x", "--config", "nowhere.toml"], "nowhere.toml"),
        (["ask", "x", "--log-level", "loud"], "--log-level"),
    ],
)
def test_wrong_usage_is_one_error_and_code_2(run: Run, arguments: list[str], says: str) -> None:
    """What was asked for wrongly is said in words, without a traceback, and nothing goes to stdout."""
    ran = run(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: ")
    assert says in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    "arguments", [*([name, "--frob"] for name in COMMANDS), *([name] for name in REQUIRING)], ids=" ".join
)
def test_every_command_refuses_wrong_usage(run: Run, arguments: list[str]) -> None:
    """An option that there is not, or an argument that is missing: code 2, one error and one hint, no traceback."""
    ran = run(*arguments)
    assert (ran.code, ran.out) == (2, "")
    error, hint = ran.err.splitlines()
    assert error.startswith("error: No such option: --frob" if "--frob" in arguments else "error: Missing ")
    assert hint == f"hint: `asyncllm {arguments[0]} --help` shows what there is."


def test_no_command_takes_the_place_of_a_function() -> None:
    """The module of a command, once it is imported, is an attribute of the package: it must hide nothing there."""
    modules = {module.name for module in pkgutil.iter_modules(cli.__path__)}
    assert modules >= set(COMMANDS)
    tree = ast.parse(Path(str(cli.__file__)).read_text())
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    names |= {
        name.asname or name.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for name in node.names
    }
    assert not names & modules


def test_help_loads_nothing_heavy() -> None:
    """The help of no command waits for libraries that it does not need."""
    code = (
        "import sys, asyncllm.cli as cli\n"
        f"for name in {COMMANDS!r}: assert cli.main([name, '--help']) == 0\n"
        "cli.main(['--help'])\n"
        "heavy = ('litellm', 'openai', 'instructor', 'aiohttp', 'pydantic', 'rich', 'httpx')\n"
        "print([name for name in heavy if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_common_options_stand_before_or_after_the_command(run: Run, directory: Path) -> None:
    """`--config` and `--profile` may come first or last."""
    (directory / "other.toml").write_text('[llm.fast]\nmodel = "simulated/fast"\n')
    options = ["--config", "other.toml", "--profile", "fast"]
    before, after = run(*options, "profiles"), run("profiles", *options)
    assert before.code == after.code == 0
    assert "simulated/fast" in before.out
    assert before.out == after.out


@pytest.mark.parametrize("words", ["ask --profile f", "doctor f", "profiles f"])
def test_completion_offers_profiles(directory: Path, words: str) -> None:
    """The shell completes the names of the profiles in force."""
    (directory / "config.toml").write_text('[llm]\nmodel = "simulated/a"\n[llm.fast]\n[llm.firm]\n')
    environment = {
        **os.environ,
        "_ASYNCLLM_COMPLETE": "complete_bash",
        "COMP_WORDS": f"asyncllm {words}",
        "COMP_CWORD": str(len(words.split())),
    }
    code = "from asyncllm.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=directory, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["fast", "firm"]


def test_without_a_configuration_the_error_shows_a_way_in(run: Run, directory: Path) -> None:
    """The first command of a newcomer in an empty folder says what works there."""
    (directory / "config.toml").unlink()
    (directory / "pyproject.toml").touch()
    ran = run("ask", "Hello")
    assert ran.code == 2
    assert "--model simulated/demo" in ran.err
