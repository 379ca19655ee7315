"""The life of a simulator: start and stop, latency, and limits of concurrency."""

from __future__ import annotations

import gc
import json
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from random import Random
from urllib.parse import urlsplit

import pytest

from asyncllm.simulator import Fault, Latency, Simulator

from .http import QUESTION, Raw, chat


@pytest.mark.leaks
def test_two_hundred_simulators_leave_nothing() -> None:
    """Starting and stopping 200 of them, some with a request running and connections open, leaves nothing behind."""
    stalled = []
    for number in range(200):
        with Simulator(faults=[Fault("stall")] if number % 50 == 0 else []) as sim:
            if number % 50 == 0:
                stalled.append(Raw(sim))
                sim.seen.wait(lambda seen: seen.in_flight == 1)
            elif number % 10 == 0:
                assert chat(sim).status == 200
    for raw in stalled:
        assert raw.read_to_end() == b""
        raw.socket.close()


@pytest.mark.anyio
@pytest.mark.leaks
async def test_async_with_works_on_both_backends() -> None:
    """`async with` starts it, and stops it with its thread."""
    async with Simulator() as sim:
        with socket.create_connection(("127.0.0.1", urlsplit(sim.url).port or 0)):
            await sim.seen.wait_async(lambda seen: seen.connections_open == 1)
    assert not [thread for thread in threading.enumerate() if thread.name == "asyncllm-simulator"]


@pytest.mark.leaks
def test_a_connection_that_comes_with_the_stop_is_closed() -> None:
    """A connection that is accepted while the simulator stops is closed like every other."""
    with Simulator() as sim:
        loop, stopping = sim._loop, sim._stopping
        assert loop is not None
        assert stopping is not None
        late, connected = socket.socket(), threading.Event()

        def connect() -> None:
            late.connect(("127.0.0.1", urlsplit(sim.url).port or 0))
            # The loop runs this before it looks at its sockets: it accepts in the turn in which it stops.
            loop.call_soon(stopping.set)
            connected.set()

        loop.call_soon_threadsafe(connect)
        assert connected.wait(20)
    with late:
        late.settimeout(20)
        assert late.recv(1) == b""


def test_many_serve_side_by_side() -> None:
    """Several simulators in one process are independent."""
    with Simulator() as one, Simulator() as other:
        chat(one)
        assert one.url != other.url
        assert (one.seen.requests, other.seen.requests) == (1, 0)


def test_it_can_be_started_again() -> None:
    """After a stop it can be started again; its log stays readable in between."""
    sim = Simulator()
    for number in (1, 2):
        with sim:
            assert chat(sim).status == 200
        assert sim.seen.requests == number
        assert sim.seen.connections_open == 0
    sim.stop()


def test_starting_twice_is_an_error(simulator: Simulator) -> None:
    """A running simulator cannot be started."""
    with pytest.raises(RuntimeError, match="running already"):
        simulator.start()


def test_taken_port_is_an_error_at_start(simulator: Simulator) -> None:
    """A port that is not free is an OSError, and leaves nothing running."""
    taken = urlsplit(simulator.url).port or 0
    other = Simulator(port=taken)
    with pytest.raises(OSError, match="in use"):
        other.start()
    other.stop()


def test_no_address_before_the_start() -> None:
    """The address of a simulator that was never started is an error."""
    with pytest.raises(RuntimeError, match="before it is started"):
        _ = Simulator().url


def test_one_key_is_not_a_collection_of_keys() -> None:
    """A string given for the collection of keys is a TypeError, not a key for each letter."""
    with pytest.raises(TypeError, match="collection"):
        Simulator(keys="sk-abc")


def test_connection_is_kept_for_the_next_request(simulator: Simulator) -> None:
    """Plain answers, streams and refusals leave the connection open for the next request."""
    connection = HTTPConnection(urlsplit(simulator.url).netloc, timeout=10)
    for body in ({"stream": True}, {}, {"stop": 5}, {"model": "no-such-model"}, {}):
        encoded = json.dumps({"model": "sim", "messages": QUESTION, **body} if body != {"stop": 5} else {})
        connection.request("POST", "/v1/chat/completions", encoded.encode())
        assert connection.getresponse().read()
    assert (simulator.seen.requests, simulator.seen.connections_opened) == (5, 1)
    connection.close()


def test_large_bodies_and_headers_are_accepted(simulator: Simulator) -> None:
    """A prompt of several megabytes and a long header are accepted."""
    assert chat(simulator, "x" * 3_000_000).json["usage"]["prompt_tokens"] == 750_000
    assert chat(simulator, key="k" * 20_000).status == 200


def test_latency_takes_its_time() -> None:
    """A plain answer takes the time of all of its tokens, and so does a stream."""
    with Simulator(latency=Latency(first_token_s=0.02, tokens_per_s=1000)) as sim:
        for stream in (False, True):
            chat(sim, stream=stream, simulator={"answer_tokens": 20})
        seconds = [logged.ended_s - logged.started_s for logged in sim.seen.exchanges]
    assert seconds[0] >= 0.04
    assert seconds[1] >= 0.035


def test_latency_spreads_by_the_seed() -> None:
    """The spread is drawn within its limits."""
    latency = Latency(first_token_s=1.0, spread=0.5)
    drawn = [pace.first_s for _ in range(50) if (pace := latency.pace(Random(_)))]
    assert all(0.5 <= one <= 1.5 for one in drawn)
    assert len(set(drawn)) == 50
    assert Latency().pace(Random(0)) is None


def test_a_request_without_a_slot_is_refused() -> None:
    """Beyond `max_in_flight` a request is a 429, until a slot is free."""
    with Simulator(max_in_flight=1, faults=[Fault("stall", times=1)]) as sim:
        with Raw(sim):
            sim.seen.wait(lambda seen: seen.in_flight == 1)
            assert chat(sim).status == 429
        sim.seen.wait(lambda seen: seen.in_flight == 0)
        assert chat(sim).status == 200
        assert sim.seen.rejected == 1


def test_a_request_without_a_slot_is_queued() -> None:
    """With a queue, requests wait for a slot; one that leaves the queue takes none."""
    with Simulator(max_in_flight=1, queue=True, faults=[Fault("stall", times=1)]) as sim, ThreadPoolExecutor() as pool:
        with Raw(sim):
            sim.seen.wait(lambda seen: seen.in_flight == 1)
            with Raw(sim):
                sim.seen.wait(lambda seen: seen.in_flight == 2)
            sim.seen.wait(lambda seen: seen.in_flight == 1)
            waiting = [pool.submit(chat, sim) for _ in range(3)]
            sim.seen.wait(lambda seen: seen.in_flight == 4)
        assert [one.result().status for one in waiting] == [200] * 3


def test_more_slots_admit_the_queue() -> None:
    """A larger number takes effect at once for waiting requests."""
    stalled_first = Simulator(max_in_flight=1, queue=True, faults=[Fault("stall", times=1)])
    with stalled_first as sim, ThreadPoolExecutor() as pool, Raw(sim):
        sim.seen.wait(lambda seen: seen.in_flight == 1)
        waiting = pool.submit(chat, sim)
        sim.seen.wait(lambda seen: seen.in_flight == 2)
        sim.max_in_flight(2, queue=True)
        assert waiting.result().status == 200


def test_import_is_light() -> None:
    """Importing the package imports neither the HTTP server nor the rest of asyncllm."""
    code = (
        "import sys, asyncllm.simulator as s; "
        "own = [m for m in sys.modules if m.startswith('asyncllm.') and not m.startswith('asyncllm.simulator')]; "
        "print('aiohttp' in sys.modules, own)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "False []"


def test_a_connection_made_as_it_stops_is_closed() -> None:
    """A connection made while the simulator stops leaves no open socket behind."""
    for _ in range(20):
        simulator = Simulator().start()
        address = urlsplit(simulator.root_url)
        with socket.create_connection((str(address.hostname), address.port or 0)):
            simulator.stop()
    gc.collect()  # a socket that is left open says so when it is collected, and warnings are errors
