"""`asyncllm cache`, and `--cache`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run

ASK = ["ask", "Name a colour.", "--model", "simulated/demo", "--cache", "answers.sqlite"]


def test_an_answer_is_kept_shown_and_removed(run: Run, directory: Path) -> None:
    """Two runs of `ask` have one answer; `stats` counts it, `clear` removes it."""
    first, second = run(*ASK), run(*ASK)
    assert first.code == 0
    assert first.out == second.out
    ran = run("cache", "stats", "answers.sqlite")
    assert (ran.code, ran.out.splitlines()[0][:10]) == (0, "1 answers,")
    assert run("cache", "stats", "answers.sqlite", "--json").json["answers"] == 1
    assert "0 answers were removed" in run("cache", "prune", "answers.sqlite", "--older-than", "1").err
    assert "1 answer was removed" in run("cache", "clear", "answers.sqlite").err
    assert run("cache", "stats", "answers.sqlite", "--json").json["answers"] == 0


def test_the_file_of_the_profile(run: Run, directory: Path) -> None:
    """Without a FILE it is that of the profile, relative to config.toml."""
    (directory / "config.toml").write_text('[llm]\nmodel = "simulated/demo"\ncache = "kept.sqlite"\n')
    assert run("ask", "Name a colour.").code == 0
    assert run("cache", "stats", "--json").json["answers"] == 1


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["stats", "missing.sqlite"], "there is no cache missing.sqlite"),
        (["stats", "config.toml"], "config.toml is not a cache, or damaged"),
        (["stats", "--model", "a"], "No such option"),
        (["show"], "there is no action 'show'"),
        (["stats", "--older-than", "3"], "belong to prune"),
        (["stats"], "the profile sets no cache"),
    ],
)
def test_wrong_usage(run: Run, directory: Path, arguments: list[str], problem: str) -> None:
    """Exit code 2, and a message that names the thing."""
    (directory / "config.toml").write_text('[llm]\nmodel = "simulated/demo"\n')
    ran = run("cache", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert problem in ran.err
