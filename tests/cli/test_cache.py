"""`asyncllm cache`, and `--cache`."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.support.redis_fixture import UNCLOSED_STREAMS, redis_server
from tests.support.redis_server import RedisServer

__all__ = ["redis_server"]

ASK = ["ask", "Name a colour.", "--model", "simulated/demo", "--cache", "answers.sqlite"]


def test_an_answer_is_kept_shown_and_removed(run: Run, directory: Path) -> None:
    """Two runs of `ask` have one answer; `stats` counts it, `clear` removes it."""
    first, second = run(*ASK), run(*ASK)
    assert first.code == 0
    assert first.out == second.out
    ran = run("cache", "stats", "answers.sqlite")
    assert (ran.code, ran.out.splitlines()[0][:9]) == (0, "1 answer,")
    assert ran.out.splitlines()[-1].split() == ["1", "simulated/demo"]
    assert run("cache", "stats", "answers.sqlite", "--json").json["answers"] == 1
    assert "0 answers were removed" in run("cache", "prune", "answers.sqlite", "--older-than", "1").err
    assert "1 answer was removed" in run("cache", "clear", "answers.sqlite").err
    assert run("cache", "stats", "answers.sqlite", "--json").json["answers"] == 0


def test_the_file_of_the_profile(run: Run, directory: Path) -> None:
    """Without a FILE it is that of the profile, relative to config.toml."""
    (directory / "config.toml").write_text('[llm]\nmodel = "simulated/demo"\ncache = "kept.sqlite"\n')
    assert run("ask", "Name a colour.").code == 0
    assert run("cache", "stats", "--json").json["answers"] == 1


def test_a_cache_in_redis(run: Run, redis_server: RedisServer) -> None:
    """It is shown and removed like a file, and other keys are left alone."""
    redis_server.ask("SET", "asyncllm:other", "1")
    for question in ("Name a colour.", "Name a river."):
        assert run("ask", question, "--model", "simulated/demo", "--cache", redis_server.url).code == 0
    found = run("cache", "stats", redis_server.url, "--json").json
    assert (found["answers"], found["models"]) == (2, {"simulated/demo": 2})
    assert found["size_bytes"] > 500
    assert "0 answers were removed" in run("cache", "prune", redis_server.url, "--older-than", "1").err
    cleared = run("cache", "clear", redis_server.url)
    assert f"2 answers were removed from {redis_server.url}" in cleared.err
    assert run("cache", "stats", redis_server.url, "--json").json["answers"] == 0
    assert redis_server.ask("GET", "asyncllm:other") == b"$1\r\n1\r\n"


@pytest.mark.filterwarnings(UNCLOSED_STREAMS)
def test_a_redis_that_is_not_there(run: Run) -> None:
    """The message says what to check."""
    ran = run("cache", "stats", "redis://127.0.0.1:1/0")
    gc.collect()
    assert (ran.code, ran.out) == (2, "")
    assert "redis://127.0.0.1:1/0 cannot be reached" in ran.err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["stats", "missing.sqlite"], "there is no cache missing.sqlite"),
        (["stats", "config.toml"], "config.toml is not a cache, or damaged"),
        (["stats", "--model", "a"], "No such option"),
        (["show"], "there is no action 'show'"),
        (["stats", "--older-than", "3"], "belong to prune"),
        (["stats"], "the profile sets no cache"),
        (["stats", "redis://127.0.0.1/x"], "the URL of the cache must have the number of a database"),
        (["prune", "redis://127.0.0.1:1/0"], "prune needs --older-than"),
        (["prune", "redis://127.0.0.1:1/0", "--max-bytes", "1"], "Redis bounds its size itself"),
    ],
)
def test_wrong_usage(run: Run, directory: Path, arguments: list[str], problem: str) -> None:
    """Exit code 2, and a message that names the thing."""
    (directory / "config.toml").write_text('[llm]\nmodel = "simulated/demo"\n')
    ran = run("cache", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert problem in ran.err
