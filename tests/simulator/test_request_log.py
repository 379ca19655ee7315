"""The request log of a simulator: counted at once, readable from any thread and on both backends."""

from __future__ import annotations

import threading

import anyio
import pytest

from asyncllm.simulator import Fault, Latency, Simulator
from asyncllm.simulator.server import request_recorder

from .http import Raw, chat, request


def test_bodies_and_headers_are_kept_with_keys_masked(simulator: Simulator) -> None:
    """Bodies come back decoded, headers by their lower-case names, and keys nowhere but in `keys` and `per_key`."""
    chat(simulator, "hello", key="sk-very-secret")
    assert simulator.seen.bodies[0]["messages"][0]["content"] == "hello"
    assert simulator.seen.headers[0]["content-type"] == "application/json"
    assert "sk-very-secret" not in repr((simulator.seen.headers, simulator.seen.exchanges, simulator.seen, simulator))
    assert simulator.seen.keys == {"sk-very-secret"}
    assert simulator.seen.per_key == {"sk-very-secret": 1}


def test_nothing_is_kept_without_record() -> None:
    """Without `record` requests are counted and not kept."""
    with Simulator(record=False) as sim:
        chat(sim)
    assert (sim.seen.requests, sim.seen.exchanges, sim.seen.bodies) == (1, (), ())


def test_kept_requests_are_bounded(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the last requests are kept, by their number and by their size."""
    monkeypatch.setattr(request_recorder, "_MAX_KEPT", 3)
    for number in range(5):
        chat(simulator, str(number))
    assert [body["messages"][0]["content"] for body in simulator.seen.bodies] == ["2", "3", "4"]
    monkeypatch.setattr(request_recorder, "_MAX_KEPT_BYTES", 10_000)
    chat(simulator, "x" * 9_950)
    assert len(simulator.seen.bodies) == 1


def test_each_request_is_logged_with_its_outcome(simulator: Simulator) -> None:
    """The log of a request has its path, model, status, size and outcome."""
    answer = chat(simulator, model="m", stream=True)
    (logged,) = simulator.seen.exchanges
    assert (logged.path, logged.model, logged.stream) == ("/v1/chat/completions", "m", True)
    assert (logged.status, logged.outcome, logged.number) == (200, "answered", 1)
    assert logged.bytes_sent > len(answer.body)
    assert simulator.seen.statuses == {200: 1}


def test_a_body_that_is_not_json_is_kept_as_bytes(simulator: Simulator) -> None:
    """A body that cannot be decoded is shown as bytes."""
    request(simulator, "POST", "/v1/chat/completions", b"{nope")
    assert simulator.seen.bodies == (b"{nope",)


def test_reset_keeps_what_is_open(simulator: Simulator) -> None:
    """After a reset the counters start anew, while a running request and its connection stay counted."""
    simulator.faults(Fault("stall", times=1))
    with Raw(simulator):
        simulator.seen.wait(lambda seen: seen.in_flight == 1)
        chat(simulator)
        simulator.seen.wait(lambda seen: seen.connections_open == 1)
        simulator.reset()
        seen = simulator.seen
        assert (seen.requests, seen.in_flight, seen.connections_open, seen.connections_opened) == (0, 1, 1, 1)


def test_a_client_that_leaves_in_a_stream_is_an_abort(simulator: Simulator) -> None:
    """A client that closes in the middle of a stream is counted, and its request ends."""
    simulator.latency(Latency(tokens_per_s=1))
    with Raw(simulator, stream=True) as raw:
        raw.read_until(b"data: ")
    simulator.seen.wait(lambda seen: seen.connections_aborted == 1 and seen.in_flight == 0)
    assert simulator.seen.exchanges[0].outcome == "aborted"


def test_a_client_that_leaves_after_its_answer_is_not_an_abort(simulator: Simulator) -> None:
    """Closing an idle connection aborts nothing."""
    with Raw(simulator) as raw:
        raw.read_until(b"system_fingerprint")
    simulator.seen.wait(lambda seen: seen.connections_open == 0)
    assert simulator.seen.connections_aborted == 0
    assert simulator.seen.exchanges[0].outcome == "answered"


def test_a_slow_reader_stops_the_sending(simulator: Simulator) -> None:
    """A stream is written no faster than it is read: the bytes in transit are bounded, and the rest waits."""
    tokens = 20_000_000
    with Raw(simulator, stream=True, simulator={"answer_tokens": tokens, "chunk_chars": 100_000}) as raw:
        raw.read_until(b"data: ")
        (logged,) = simulator.seen.exchanges
        before = -1
        while before != logged.bytes_sent:
            before = logged.bytes_sent
            # Other answers give the loop of the simulator every chance to send more.
            for _ in range(5):
                chat(simulator)
        assert logged.outcome == "open"
        assert logged.bytes_sent < tokens * 4 / 2
    simulator.seen.wait(lambda seen: seen.in_flight == 0)


def test_a_wait_that_times_out_shows_the_counters(simulator: Simulator) -> None:
    """A condition that does not hold in time is a TimeoutError with the counters in its message."""
    with pytest.raises(TimeoutError, match="requests=0"):
        simulator.seen.wait(lambda seen: seen.requests == 1, timeout=0.0)


def test_an_error_in_a_condition_is_raised(simulator: Simulator) -> None:
    """An exception of a condition is raised by the wait."""
    with pytest.raises(ZeroDivisionError):
        simulator.seen.wait(lambda seen: 1 // seen.requests)


@pytest.mark.anyio
async def test_async_wait_wakes_up_on_both_backends(simulator: Simulator) -> None:
    """Several tasks can wait for the simulator at once."""
    client = threading.Thread(target=lambda: [chat(simulator), chat(simulator)])
    async with anyio.create_task_group() as group:
        for wanted in (1, 2):
            group.start_soon(simulator.seen.wait_async, lambda seen, wanted=wanted: seen.requests >= wanted)
        client.start()
    assert simulator.seen.requests == 2
    client.join()


@pytest.mark.anyio
async def test_an_async_wait_times_out(simulator: Simulator) -> None:
    """An async wait raises a TimeoutError like the blocking one."""
    with pytest.raises(TimeoutError, match="requests=0"):
        await simulator.seen.wait_async(lambda seen: seen.requests == 1, timeout=0.0)
