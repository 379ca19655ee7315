"""The workers of asyncllm and of the floor, asked over their pipes for as little as there is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import pytest

from asyncllm.simulator import Simulator
from benchmarks.exchange import count_prompt
from benchmarks.peers import BARE_PYTHON, FLOOR, OURS, OURS_TRIO, OURS_UVLOOP, Peer
from benchmarks.processes import FailedRunError, Provider, Worker, run_snippet
from benchmarks.run import Bench
from benchmarks.scenarios import Scenario

# The floor needs no environment of its own to be tried out.
FLOOR_HERE = replace(FLOOR, environment=None)


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as running:
        yield running


def calls(kind: str) -> dict[str, Any]:
    return {"do": "calls", "kind": kind, "concurrency": 2, "seconds": 0}


def streams() -> dict[str, Any]:
    return {"do": "streams", "prompt": count_prompt(3), "concurrency": 2, "seconds": 0}


UVLOOP = pytest.param(
    OURS_UVLOOP, marks=pytest.mark.skipif(find_spec("uvloop") is None, reason="uvloop is not installed")
)


@pytest.mark.parametrize("peer", [FLOOR_HERE, OURS, OURS_TRIO, UVLOOP], ids=lambda peer: peer.name)
def test_a_worker_measures_calls_and_streams(provider: Provider, peer: Peer) -> None:
    """Every answer is checked on the way, and the figures count as many requests as arrived."""
    before = provider.seen()["requests"]
    with Worker(peer) as worker:
        plain = worker.ask(calls("plain"), provider.url)
        streamed = worker.ask(streams(), provider.url)
    assert plain["requests"] + streamed["requests"] == provider.seen()["requests"] - before
    assert plain["cpu_us"] > 0
    assert streamed["first_ms"] > 0


@pytest.mark.parametrize("kind", ["reasoning", "typed"])
def test_asyncllm_is_asked_for_more_than_the_floor(provider: Provider, kind: str) -> None:
    """A reasoning model's parameters and a typed answer pass the provider's checks and the worker's."""
    with Worker(OURS) as worker:
        assert worker.ask(calls(kind), provider.url)["requests"] == 4


def test_open_streams_are_held_and_measured(provider: Provider) -> None:
    """Streams that have no end stay open until their memory has been read."""
    with Worker(FLOOR_HERE) as worker:
        figures = worker.ask({"do": "open_streams", "number": 3}, provider.url)
    assert figures["requests"] == 4


def test_a_provider_that_is_not_there_is_a_failure() -> None:
    """A connection that is refused is said, and gives no figures."""
    with Worker(FLOOR_HERE) as worker, pytest.raises(FailedRunError, match="ClientConnectorError"):
        worker.ask(calls("plain"), "http://127.0.0.1:9/v1")


def test_a_wrong_answer_is_a_failure(simulator: Simulator) -> None:
    """A provider that says something else than the benchmark's own gives no figures."""
    with Worker(FLOOR_HERE) as worker, pytest.raises(FailedRunError, match="WrongAnswerError"):
        worker.ask(calls("plain"), simulator.url)


def test_surplus_requests_are_a_failure(provider: Provider) -> None:
    """A peer that sends other requests than it reports has no figures that count."""

    class Repeating(Worker):
        def ask(self, command: Any, url: str) -> dict[str, Any]:
            super().ask(command, url)
            return super().ask(command, url)

    scenario = Scenario("plain", "plain", (FLOOR_HERE,), calls("plain"), OURS, rounds=3)
    with Repeating(FLOOR_HERE) as floor:
        rounds = Bench(provider, {FLOOR_HERE.process: floor}, None).run(scenario)
    assert [one["peer"] for one in rounds] == [FLOOR_HERE.name]
    assert "8 requests arrived for 4 calls" in rounds[0]["error"]


def test_a_peer_and_asyncllm_are_measured_in_turns(provider: Provider) -> None:
    """Every round has the figures of both, and the connections that each opened."""
    scenario = Scenario("plain", "plain", (FLOOR_HERE,), calls("plain"), OURS, rounds=2)
    with Worker(FLOOR_HERE) as floor, Worker(OURS) as ours:
        rounds = Bench(provider, {FLOOR_HERE.process: floor, OURS.process: ours}, None).run(scenario)
    assert [one["round"] for one in rounds] == [0, 1]
    assert all(one["theirs"]["connections"] == one["ours"]["connections"] == 2 for one in rounds)


def test_a_snippet_that_fails_is_a_failure() -> None:
    """A line of Python that ends with an error is said, and has no time."""
    with pytest.raises(FailedRunError, match="ZeroDivisionError"):
        run_snippet(BARE_PYTHON, "1 / 0")
