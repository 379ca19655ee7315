"""A cancelled call lets go of everything, wherever it was."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import anyio
import pytest

from asyncllm import AsyncLLM, DeadlineExceededError, ProviderTimeoutError
from asyncllm.simulator import Fault, Latency, Script, Simulator
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


async def cancelled_once(call: Callable[[], Coroutine[Any, Any, object]], ready: Callable[[], object]) -> None:
    """Start a call, and cancel it as soon as it is where it should be."""
    async with anyio.create_task_group() as group:
        group.start_soon(call)
        await until(ready)
        group.cancel_scope.cancel()


async def nothing_is_held(llm: AsyncLLM, simulator: Simulator) -> None:
    """Hold that no request is on its way, no place is taken, and the next call works."""
    await simulator.seen.wait_async(lambda seen: seen.in_flight == 0)
    assert (llm.stats().in_flight, llm.stats().waiting) == (0, 0)
    simulator.faults()
    with anyio.fail_after(20):
        assert (await llm.acompletion("and now")).text


class MuteServer:
    """Takes connections and never says a word, so that nobody gets beyond the TLS handshake."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self._taken: list[socket.socket] = []
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}/v1"

    def is_reached(self) -> bool:
        """Return whether a client has connected."""
        try:
            self._taken.append(self._listener.accept()[0])
        except BlockingIOError:
            return bool(self._taken)
        self._taken[-1].setblocking(False)
        return True

    def is_left(self) -> bool:
        """Return whether every client that connected has gone."""
        return self.is_reached() and all(map(_has_ended, self._taken))

    def close(self) -> None:
        for one in (self._listener, *self._taken):
            one.close()


def _has_ended(connection: socket.socket) -> bool:
    try:
        while connection.recv(4096):
            pass
    except BlockingIOError:
        return False
    except ConnectionResetError:
        pass
    return True


@pytest.fixture
def mute() -> Iterator[MuteServer]:
    """A server on which connecting takes for ever."""
    server = MuteServer()
    yield server
    server.close()


async def test_cancelled_while_connecting(options: dict[str, Any], mute: MuteServer) -> None:
    """A connection that was not open yet is given up."""
    async with AsyncLLM(**dict(options, base_url=mute.url)) as llm:
        await cancelled_once(lambda: llm.acompletion("hi"), mute.is_reached)
        await until(mute.is_left)
        assert (llm.stats().in_flight, llm.stats().cancelled) == (0, 1)


async def test_the_connect_timeout_has_its_own_message(options: dict[str, Any], mute: MuteServer) -> None:
    """`connect_timeout` bounds one connection, names itself, and ends an attempt that nobody can be billed for."""
    async with AsyncLLM(**dict(options, base_url=mute.url), connect_timeout=0.05, num_retries=1) as llm:
        with pytest.raises(ProviderTimeoutError, match=r"within connect_timeout = 0\.05 s") as caught:
            await llm.acompletion("hi")
    assert caught.value.timeout == "connect_timeout"
    assert [attempt.billed for attempt in caught.value.attempts] == ["no", "no"]
    await until(mute.is_left)


async def test_cancelled_in_a_re_ask(llm: AsyncLLM, simulator: Simulator) -> None:
    """A typed call that is asking again lets go of that request as of any other."""
    simulator.faults(Script([None, Fault("stall")]))
    script = {"simulator": {"text": "no number at all"}}
    await cancelled_once(
        lambda: llm.extract(int, "how many?", extra_body=script),
        lambda: simulator.seen.requests == 2 and simulator.seen.in_flight == 1,
    )
    await simulator.seen.wait_async(lambda seen: seen.connections_aborted == 1)
    assert (llm.stats().succeeded, llm.stats().cancelled) == (1, 1)
    await nothing_is_held(llm, simulator)


async def test_cancelled_during_the_request(llm: AsyncLLM, simulator: Simulator) -> None:
    """The provider's connection closes, and the attempt is marked as possibly billed."""
    simulator.faults(Fault("stall"))
    await cancelled_once(lambda: llm.acompletion("hi"), lambda: simulator.seen.in_flight == 1)
    await simulator.seen.wait_async(lambda seen: seen.connections_aborted == 1)
    assert llm.stats().cancelled == 1
    await nothing_is_held(llm, simulator)


async def test_cancelled_while_reading_the_answer(llm: AsyncLLM, simulator: Simulator) -> None:
    """A call that is cancelled in the middle of its body closes the connection as well."""
    simulator.faults(Fault("stall", at="body"))
    await cancelled_once(lambda: llm.acompletion("hi"), lambda: simulator.seen.bytes_sent > 0)
    await simulator.seen.wait_async(lambda seen: seen.connections_aborted == 1)
    await nothing_is_held(llm, simulator)


async def test_cancelled_before_the_first_chunk(llm: AsyncLLM, simulator: Simulator) -> None:
    """A stream whose first chunk is still awaited closes its connection."""
    simulator.faults(Fault("stall", at="after_headers"))
    await cancelled_once(llm.stream("hi").collect, lambda: simulator.seen.bytes_sent > 0)
    await simulator.seen.wait_async(lambda seen: seen.connections_aborted == 1)
    await nothing_is_held(llm, simulator)


async def test_cancelled_while_waiting_for_a_slot(options: dict[str, Any], simulator: Simulator) -> None:
    """Who waits for a slot leaves the queue, and the one in front is not disturbed."""
    simulator.latency(Latency(first_token_s=0.1))
    async with AsyncLLM(**options, max_concurrency=1) as llm, anyio.create_task_group() as group:
        group.start_soon(llm.acompletion, "the one in front")
        await until(lambda: llm.stats().in_flight == 1)
        await cancelled_once(lambda: llm.acompletion("hi"), lambda: llm.stats().waiting == 1)
        assert llm.stats().waiting == 0
        with anyio.fail_after(20):
            await llm.acompletion("the one behind")
    assert simulator.seen.requests == 2
    assert llm.stats().succeeded == 2


async def test_cancelled_while_waiting_for_the_rate(options: dict[str, Any], simulator: Simulator) -> None:
    """Who waits for the rate holds no place meanwhile, and leaves the line when it is cancelled."""
    async with AsyncLLM(**options) as llm:
        simulator.faults(Fault("status", code=429, retry_after=60))
        with pytest.raises(DeadlineExceededError):  # the bucket is closed for a minute now
            await llm.acompletion("hi", deadline=5.0)
        await cancelled_once(lambda: llm.acompletion("hi"), lambda: llm.stats().waiting == 1)
        assert (llm.stats().in_flight, llm.stats().waiting, llm.stats().cancelled) == (0, 0, 1)
    assert simulator.seen.requests == 1


async def test_cancelled_in_a_backoff(options: dict[str, Any], simulator: Simulator) -> None:
    """A call that sleeps before its retry ends at once and sends nothing more."""
    simulator.faults(Fault("status", code=500))
    async with AsyncLLM(**dict(options, retry_min_wait=60.0, retry_max_wait=60.0)) as llm:
        await cancelled_once(lambda: llm.acompletion("hi"), lambda: llm.stats().retries == 1)
        assert (llm.stats().in_flight, llm.stats().cancelled) == (0, 1)
        await nothing_is_held(llm, simulator)


async def test_no_place_is_held_in_a_backoff(options: dict[str, Any], simulator: Simulator) -> None:
    """While one call sleeps before its retry, another takes the only place."""
    simulator.faults(Fault("status", code=500, times=1))
    async with AsyncLLM(**dict(options, retry_min_wait=60.0, retry_max_wait=60.0), max_concurrency=1) as llm:

        async def other() -> None:
            await until(lambda: llm.stats().retries == 1)
            await llm.acompletion("meanwhile")
            group.cancel_scope.cancel()

        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:
                group.start_soon(llm.acompletion, "hi")
                group.start_soon(other)
        assert llm.stats().succeeded == 1


async def test_a_deadline_closes_the_connection(llm: AsyncLLM, simulator: Simulator) -> None:
    """A call that its deadline ends is not left running at the provider."""
    simulator.faults(Fault("stall"))
    with pytest.raises(DeadlineExceededError, match=r"deadline of 0\.5 s"):
        await llm.acompletion("hi", deadline=0.5)
    await simulator.seen.wait_async(lambda seen: seen.connections_aborted == 1)
    await nothing_is_held(llm, simulator)


async def test_a_deadline_ends_the_wait_for_a_slot(options: dict[str, Any], simulator: Simulator) -> None:
    """The deadline counts while a call queues, and such a call never reaches the provider."""
    simulator.faults(Fault("stall"))
    async with AsyncLLM(**options, max_concurrency=1) as llm, anyio.create_task_group() as group:
        group.start_soon(llm.acompletion, "the one in front")
        await until(lambda: simulator.seen.in_flight == 1)
        with pytest.raises(DeadlineExceededError, match="waiting for a slot"):
            await llm.acompletion("hi", deadline=0.05)
        group.cancel_scope.cancel()
    assert simulator.seen.requests == 1


async def test_the_timeout_of_a_plain_call_has_its_own_message(llm: AsyncLLM, simulator: Simulator) -> None:
    """`timeout` bounds one attempt; the error names it, the connection closes, and the attempt is retried."""
    simulator.faults(Fault("stall"))
    with pytest.raises(ProviderTimeoutError, match=r"within timeout = 0\.05 s") as caught:
        await llm.acompletion("hi", timeout=0.05, num_retries=1)
    assert caught.value.timeout == "timeout"
    assert [attempt.billed for attempt in caught.value.attempts] == ["possibly", "possibly"]
    await simulator.seen.wait_async(lambda seen: seen.connections_open == 0)


async def test_a_timeout_bounds_a_body_that_drips(llm: AsyncLLM, simulator: Simulator) -> None:
    """An answer that comes one byte at a time is bounded as a whole, not between two bytes."""
    simulator.faults(Fault("drip", seconds=0.01))
    with pytest.raises(ProviderTimeoutError), anyio.fail_after(20):
        await llm.acompletion("hi", timeout=0.2, num_retries=0)


async def test_a_hundred_cancellations_leave_nothing(llm: AsyncLLM, simulator: Simulator) -> None:
    """Calls and streams cancelled at random moments leave no request, no place and no connection in use."""
    simulator.latency(Latency(first_token_s=0.005, tokens_per_s=2000))
    moments = random.Random(7)
    await llm.acompletion("so that everything is open")

    async def one(number: int) -> None:
        with anyio.move_on_after(moments.uniform(0, 0.08)):
            if number % 2:
                await llm.stream(f"question {number}").collect()
            else:
                await llm.acompletion(f"question {number}")

    async with anyio.create_task_group() as group:
        for number in range(100):
            group.start_soon(one, number)
    assert llm.stats().in_flight == 0
    await nothing_is_held(llm, simulator)
    await llm.aclose()
    await simulator.seen.wait_async(lambda seen: seen.connections_open == 0)
    stats = llm.stats()
    assert stats.calls == stats.succeeded + stats.cancelled
