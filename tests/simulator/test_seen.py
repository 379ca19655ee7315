"""What the simulator saw: counted at once, from any thread, on both backends."""

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


def test_exchange_tells_what_became_of_a_request(simulator: Simulator) -> None:
    """Each exchange has its path, model, status, size and outcome."""
    answer = chat(simulator, model="m", stream=True)
    (exchange,) = simulator.seen.exchanges
    assert (exchange.path, exchange.model, exchange.stream) == ("/v1/chat/completions", "m", True)
    assert (exchange.status, exchange.outcome, exchange.number) == (200, "answered", 1)
    assert exchange.bytes_sent > len(answer.body)
    assert simulator.seen.statuses == {200: 1}


def test_body_that_is_no_json_is_kept_as_bytes(simulator: Simulator) -> None:
    """What cannot be decoded is shown as it came."""
    request(simulator, "POST", "/v1/chat/completions", b"{nope")
    assert simulator.seen.bodies == (b"{nope",)


def test_reset_forgets_but_keeps_what_is_open(simulator: Simulator) -> None:
    """After a reset the counters start anew, while a running request and its connection stay counted."""
    simulator.faults(Fault("stall", times=1))
    with Raw(simulator):
        simulator.seen.wait(lambda seen: seen.in_flight == 1)
        chat(simulator)
        simulator.seen.wait(lambda seen: seen.connections_open == 1)
        simulator.reset()
        seen = simulator.seen
        assert (seen.requests, seen.in_flight, seen.connections_open, seen.connections_opened) == (0, 1, 1, 1)


def test_client_that_leaves_in_a_stream_is_seen(simulator: Simulator) -> None:
    """A client that closes in the middle of a stream is counted as such, and its request ends."""
    simulator.latency(Latency(tokens_per_s=1))
    with Raw(simulator, stream=True) as raw:
        raw.read_until(b"data: ")
    simulator.seen.wait(lambda seen: seen.connections_aborted == 1 and seen.in_flight == 0)
    assert simulator.seen.exchanges[0].outcome == "aborted"


def test_client_that_leaves_after_its_answer_is_no_abort(simulator: Simulator) -> None:
    """Closing an idle connection aborts nothing."""
    with Raw(simulator) as raw:
        raw.read_until(b"system_fingerprint")
    simulator.seen.wait(lambda seen: seen.connections_open == 0)
    assert simulator.seen.connections_aborted == 0
    assert simulator.seen.exchanges[0].outcome == "answered"


def test_reader_that_stops_reading_stops_the_sending(simulator: Simulator) -> None:
    """A stream is written no faster than it is read: what is on the way is bounded, and the rest waits."""
    tokens = 20_000_000
    with Raw(simulator, stream=True, simulator={"answer_tokens": tokens, "chunk_chars": 100_000}) as raw:
        raw.read_until(b"data: ")
        (exchange,) = simulator.seen.exchanges
        before = -1
        while before != exchange.bytes_sent:
            before = exchange.bytes_sent
            # Other answers give the loop of the simulator every chance to send more.
            for _ in range(5):
                chat(simulator)
        assert exchange.outcome == "open"
        assert exchange.bytes_sent < tokens * 4 / 2
    simulator.seen.wait(lambda seen: seen.in_flight == 0)


def test_wait_says_what_it_saw_when_time_is_up(simulator: Simulator) -> None:
    """A condition that does not come true is a TimeoutError with the counters in it."""
    with pytest.raises(TimeoutError, match="requests=0"):
        simulator.seen.wait(lambda seen: seen.requests == 1, timeout=0.0)


def test_error_in_a_condition_reaches_the_waiter(simulator: Simulator) -> None:
    """A mistake in a condition is raised where it was made."""
    with pytest.raises(ZeroDivisionError):
        simulator.seen.wait(lambda seen: 1 // seen.requests)


@pytest.mark.anyio
async def test_async_wait_wakes_up_on_both_backends(simulator: Simulator) -> None:
    """A task can wait for what the simulator sees, and so can a second one."""
    async with anyio.create_task_group() as group:
        for wanted in (1, 2):
            group.start_soon(simulator.seen.wait_async, lambda seen, wanted=wanted: seen.requests >= wanted)
        asker = threading.Thread(target=lambda: [chat(simulator), chat(simulator)])
        asker.start()
    assert simulator.seen.requests == 2
    asker.join()


@pytest.mark.anyio
async def test_async_wait_ends_with_its_time(simulator: Simulator) -> None:
    """An async wait ends in a TimeoutError like the blocking one."""
    with pytest.raises(TimeoutError, match="requests=0"):
        await simulator.seen.wait_async(lambda seen: seen.requests == 1, timeout=0.0)
