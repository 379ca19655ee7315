"""`asyncllm calls`, and going on with a conversation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run

CONFIG = '[llm]\nmodel = "simulated/demo"\ncall_log = "calls.sqlite"\nlog_prompts = true\n'


@pytest.fixture
def logged(run: Run, directory: Path) -> Path:
    """A directory with a log of two calls."""
    (directory / "config.toml").write_text(CONFIG)
    assert run("ask", "Name a whale.").code == 0
    assert run("ask", "Name an owl.").code == 0
    return directory


def test_calls_are_listed_searched_and_shown(run: Run, logged: Path) -> None:
    """The newest first; one by its number, whole."""
    listed = run("calls").out.splitlines()
    assert ["owl" in listed[0], "whale" in listed[1], len(listed)] == [True, True, 2]
    assert [call["id"] for call in run("calls", "--search", "whale", "--json").json] == [1]
    shown = run("calls", "--show", "2").out
    assert "simulated/demo" in shown
    assert "[user]\nName an owl.\n" in shown
    assert "[assistant]\n" in shown
    assert run("calls", "calls.sqlite", "--limit", "1", "--since", "1h").out.count("\n") == 1


def test_calls_are_added_up_and_exported(run: Run, logged: Path) -> None:
    """By day, model and profile."""
    [total] = run("calls", "--sum", "model", "--json").json
    assert (total["key"], total["calls"], total["failed"]) == ("simulated/demo", 2, 0)
    assert "simulated/demo" in run("calls", "--sum", "model").out
    assert len(run("calls", "--sum", "day").out.splitlines()) == 2
    assert [total["key"] for total in run("calls", "--sum", "tenant", "--json").json] == [None]
    assert run("calls", "--tenant", "acme", "--json").json == []
    assert "2 calls are in out.jsonl" in run("calls", "--export", "out.jsonl").err
    lines = [json.loads(line) for line in (logged / "out.jsonl").read_text().splitlines()]
    assert [line["messages"][0]["content"] for line in lines] == ["Name an owl.", "Name a whale."]


def test_calls_as_a_page(run: Run, logged: Path) -> None:
    """Sums and calls in one file, of those that match."""
    assert "the page is in page.html" in run("calls", "--search", "whale", "--html", "page.html").err
    page = (logged / "page.html").read_text()
    assert "<h1>calls.sqlite</h1>" in page
    assert ["Name a whale." in page, "Name an owl." in page] == [True, False]


def test_a_conversation_goes_on(run: Run, logged: Path) -> None:
    """The last question and its answer come before the new one."""
    assert run("ask", "And another?", "--continue").code == 0
    [last] = run("calls", "--limit", "1", "--json").json
    assert [message["role"] for message in last["messages"]] == ["user", "assistant", "user"]
    assert last["messages"][2]["content"] == "And another?"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["calls", "missing.sqlite"], "there is no call log missing.sqlite"),
        (["calls", "config.toml"], "config.toml is not a call log, or damaged"),
        (["calls"], "the profile keeps no log of calls"),
        (["calls", "--sum", "hour"], "by day, model, profile or tenant"),
        (["calls", "--status", "good"], "there is no status 'good'"),
        (["calls", "--since", "yesterday"], "a number and a unit"),
        (["calls", ".", "--show", "1"], "needs a log in a SQLite file"),
        (["calls", ".", "--html", "."], ". is a directory"),
        (["ask", "hi", "-c"], "--continue needs a log with prompts"),
        (["ask", "hi", "-c", "--set", "call_log=new.sqlite", "--set", "log_prompts=true"], "there is no call log"),
    ],
)
def test_wrong_usage(run: Run, directory: Path, arguments: list[str], problem: str) -> None:
    """Exit code 2, and a message that names the thing."""
    (directory / "config.toml").write_text('[llm]\nmodel = "simulated/demo"\n')
    ran = run(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert problem in ran.err


def test_a_search_that_cannot_be_read(run: Run, logged: Path) -> None:
    """The syntax of a search is SQLite's; a mistake in it is said."""
    ran = run("calls", "--search", '"')
    assert (ran.code, ran.out) == (2, "")
    assert "cannot be asked" in ran.err
    assert run("calls", "--show", "99").code == 1
