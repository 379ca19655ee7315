"""Many requests: every item has exactly one outcome, however the others end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from asyncllm import AsyncLLM, BadRequestError, Message, RateLimitError, Request, StalledError
from asyncllm.batch.engine import WINDOW_PER_SLOT, Done, OutcomeStream, gather
from asyncllm.batch.item import BatchItem
from asyncllm.batch.stall import Stall
from asyncllm.simulator import Fault, Latency, Limit, Simulator

pytestmark = pytest.mark.anyio


async def echo(item: BatchItem) -> Done[Any]:
    """Answer without a provider: for tests of the fan-out itself."""
    await anyio.lowlevel.checkpoint()
    return Done(item.messages, None, None)


def outcomes_of(requests: Any, run: Any = echo, *, max_concurrency: int = 4, **options: Any) -> OutcomeStream[Any]:
    return OutcomeStream(requests, run, max_concurrency=max_concurrency, **options)


async def test_gather_keeps_the_order_and_what_came_along(llm: AsyncLLM, simulator: Simulator) -> None:
    """Outcomes stand where their requests stood, with their ids and the caller's own data."""
    simulator.latency(Latency(first_token_s=0.01, spread=1.0))
    requests = [Request(f"question {n}", id=f"id-{n}", data={"row": n}) for n in range(30)]
    outcomes = await llm.gather(requests, max_concurrency=10)
    assert [(o.index, o.id, o.data) for o in outcomes] == [(n, f"id-{n}", {"row": n}) for n in range(30)]
    assert all(o.ok and f'"question {o.index}"' in o.text and o.value == o.text for o in outcomes)
    assert all((o.cost_usd or 0) > 0 and o.unwrap() == o.text and len(o.attempts) == 1 for o in outcomes)


async def test_one_bad_item_does_not_hurt_the_others(llm: AsyncLLM, simulator: Simulator) -> None:
    """A wrong role, something that is no message, and a request that the provider refuses fail alone."""
    simulator.faults(Fault("status", code=400, contains="refuse this one"))
    requests: list[Any] = [
        "a",
        {"role": "usr", "content": "b"},
        42,
        [],
        "refuse this one",
        Request("c", temprature=1),
        Message.user("d"),
    ]
    outcomes = await llm.gather(requests)
    assert [type(o.error).__name__ for o in outcomes] == [
        "NoneType",
        "ValueError",
        "TypeError",
        "ValueError",
        "BadRequestError",
        "TypeError",
        "NoneType",
    ]
    assert [o.index for o in outcomes] == list(range(7))
    with pytest.raises(BadRequestError):
        outcomes[4].unwrap()
    assert [a.status_code for a in outcomes[4].attempts] == [400]


async def test_on_error_raise_ends_with_the_error_itself(llm: AsyncLLM, simulator: Simulator) -> None:
    """`on_error="raise"` raises the first error as it is, not a group of it, and nothing stays in flight."""
    simulator.faults(Fault("status", code=400, contains="bad"), Fault("stall"))
    with pytest.raises(BadRequestError), anyio.fail_after(20):
        await llm.gather(["a", "bad", "c"], on_error="raise")
    assert llm.stats().in_flight == 0
    await simulator.seen.wait_async(lambda seen: seen.in_flight == 0)


@pytest.mark.parametrize(
    "requests", ["a text", b"bytes", {"role": "user", "content": "x"}, Message.user("x"), Request("x")]
)
async def test_one_request_is_no_batch(llm: AsyncLLM, requests: Any) -> None:
    """A single message instead of a list of them is a TypeError that says what to do."""
    with pytest.raises(TypeError, match="put it into a list"):
        await llm.gather(requests)


async def test_what_is_no_iterable_is_refused(llm: AsyncLLM) -> None:
    """A number is not a batch either."""
    with pytest.raises(TypeError, match="iterable"):
        await llm.gather(7)  # type: ignore[call-overload]


@pytest.mark.parametrize("number", [0, -1])
async def test_no_slot_is_no_batch(llm: AsyncLLM, number: int) -> None:
    """Without a slot nothing could ever be sent; that is refused rather than waited for."""
    with pytest.raises(ValueError, match="max_concurrency must be at least 1"):
        await llm.gather(["a"], max_concurrency=number)


async def test_an_empty_batch_is_empty(llm: AsyncLLM) -> None:
    """No requests, no outcomes: as a list, a generator and an async generator."""

    async def nothing() -> AsyncIterator[str]:
        return
        yield

    assert await llm.gather([]) == []
    assert await llm.gather(iter([])) == []
    assert await llm.gather(nothing()) == []


async def test_requests_from_an_async_iterable(llm: AsyncLLM) -> None:
    """A source that has to be awaited is read like any other."""

    async def rows() -> AsyncIterator[str]:
        for number in range(5):
            await anyio.lowlevel.checkpoint()
            yield f"row {number}"

    outcomes = await llm.gather(rows())
    assert [f'"row {o.index}"' in o.text for o in outcomes] == [True] * 5


@pytest.mark.parametrize(("ordered", "window"), [(False, 2 * 4), (True, WINDOW_PER_SLOT * 4)])
async def test_the_input_is_taken_as_it_is_needed(ordered: bool, window: int) -> None:
    """A consumer that stops reading stops the input: no more than the window is ever ahead of it."""
    taken = 0

    def rows() -> Iterator[int]:
        nonlocal taken
        for number in range(10_000):
            taken += 1
            yield number

    given = 0
    async with outcomes_of(rows(), ordered=ordered) as outcomes:
        async for _ in outcomes:
            given += 1
            await anyio.wait_all_tasks_blocked() if given % 1000 == 1 else None
            assert taken - given <= window
    assert given == 10_000


async def test_ordered_outcomes_wait_for_a_straggler() -> None:
    """In order means in order: what is done is held back while an earlier one is not, within a bounded window."""
    release, started = anyio.Event(), 0

    async def run(item: BatchItem) -> Done[Any]:
        nonlocal started
        started += 1
        if item.messages == 0:
            await release.wait()
        return await echo(item)

    async with outcomes_of(range(1000), run, ordered=True) as outcomes:
        await anyio.wait_all_tasks_blocked()
        assert started == WINDOW_PER_SLOT * 4
        release.set()
        assert [o.value async for o in outcomes] == list(range(1000))


async def test_unordered_outcomes_come_as_they_are_done() -> None:
    """A straggler holds no other item back where the order does not matter."""
    release = anyio.Event()

    async def run(item: BatchItem) -> Done[Any]:
        if item.messages == 0:
            await release.wait()
        return await echo(item)

    async with outcomes_of(range(10), run) as outcomes:
        first = [(await anext(outcomes)).value for _ in range(9)]
        release.set()
        assert 0 not in first
        assert (await anext(outcomes)).value == 0


async def test_leaving_early_closes_the_sources() -> None:
    """A batch that is left ends its workers and closes generators, so that files behind them are closed."""
    closed: list[str] = []

    def rows() -> Iterator[int]:
        try:
            yield from range(100)
        finally:
            closed.append("sync")

    async def arows() -> AsyncIterator[int]:
        try:
            for number in range(100):
                yield number
        finally:
            closed.append("async")

    for source in (rows(), arows()):
        async with outcomes_of(source) as outcomes:
            async for _ in outcomes:
                break
    assert closed == ["sync", "async"]


async def test_leaving_early_cancels_what_is_in_flight(llm: AsyncLLM, simulator: Simulator) -> None:
    """The provider's connections close when the block is left."""
    simulator.faults(Fault("stall", contains="slow"))
    with anyio.fail_after(20):
        async with llm.map(["slow one", "quick one"], max_concurrency=2) as outcomes:
            assert "quick one" in (await anext(outcomes)).text
    await simulator.seen.wait_async(lambda seen: seen.in_flight == 0)
    assert llm.stats().in_flight == 0


async def test_an_error_of_the_source_is_the_batches() -> None:
    """An input that cannot be read on ends the batch with its own error."""

    def rows() -> Iterator[int]:
        yield 1
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"), anyio.fail_after(20):
        await gather(outcomes_of(rows()))


async def test_an_error_of_the_consumer_stays_itself() -> None:
    """What the consumer's own code raises leaves the block unchanged."""

    async def consume() -> None:
        async with outcomes_of(range(100)) as outcomes:
            async for _ in outcomes:
                raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await consume()


async def test_a_batch_runs_in_its_block() -> None:
    """Iterating without the block is a mistake that says so."""
    with pytest.raises(RuntimeError, match=r"async with llm\.map"):
        await anext(outcomes_of([1]))


async def test_429s_cost_an_item_nothing(options: dict[str, Any], simulator: Simulator) -> None:
    """In a batch a 429 sends the item back to the queue, however often: no item is lost to the limit."""
    simulator.limits(Limit("requests", per_second=200, burst=2, retry_after="ms"))
    async with AsyncLLM(**options, num_retries=0) as llm:
        outcomes = await llm.gather([f"question {n}" for n in range(40)], max_concurrency=20)
    assert [o.ok for o in outcomes] == [True] * 40
    assert simulator.seen.rejected > 0


async def test_other_failures_are_retried_as_in_a_call(options: dict[str, Any], simulator: Simulator) -> None:
    """A 500 counts against `num_retries` of its item."""
    simulator.faults(Fault("status", code=500))
    async with AsyncLLM(**options, num_retries=1) as llm:
        outcomes = await llm.gather(["a", "b"])
    assert [len(o.attempts) for o in outcomes] == [2, 2]
    assert simulator.seen.requests == 4


async def test_a_batch_that_gets_nothing_through_is_stalled() -> None:
    """429s alone for longer than the limit end the batch as a whole, by the clock that is passed in."""
    now = 0.0
    stall = Stall(300.0, clock=lambda: now)

    async def run(item: BatchItem) -> Done[Any]:
        nonlocal now
        now += 100.0
        stall.throttled(RateLimitError("slow down"))
        return await echo(item)

    with pytest.raises(StalledError, match=r"nothing has got through for 400 s; the last 429 was: slow down"):
        await gather(outcomes_of(range(10), run, max_concurrency=1))


async def test_a_success_starts_the_stall_anew() -> None:
    """As long as something gets through now and then, a batch goes on."""
    now = 0.0
    stall = Stall(300.0, clock=lambda: now)
    for _ in range(10):
        now += 299.0
        stall.throttled(RateLimitError("slow down"))
        stall.succeeded()


async def test_cancelling_a_batch_cancels_its_calls(llm: AsyncLLM, simulator: Simulator) -> None:
    """A cancelled gather leaves nothing in flight."""
    simulator.faults(Fault("stall"))
    async with anyio.create_task_group() as group:
        group.start_soon(llm.gather, [f"{n}" for n in range(5)])
        await simulator.seen.wait_async(lambda seen: seen.in_flight == 5)
        group.cancel_scope.cancel()
    await simulator.seen.wait_async(lambda seen: seen.in_flight == 0)
    assert llm.stats().in_flight == 0


async def test_parameters_of_the_batch_and_of_an_item(llm: AsyncLLM, simulator: Simulator) -> None:
    """Parameters hold for every request, and a request's own come first."""
    await llm.gather([Request("a", temperature=0.9), Request("b")], temperature=0.1, max_concurrency=1)
    assert sorted(body["temperature"] for body in simulator.seen.bodies) == [0.1, 0.9]


async def test_a_misspelt_parameter_is_refused_before_anything_is_sent(llm: AsyncLLM, simulator: Simulator) -> None:
    """A wrong parameter of the batch is the caller's mistake, not every item's."""
    with pytest.raises(TypeError, match="did you mean 'temperature'"):
        await llm.gather(["a"], temprature=1)  # type: ignore[call-overload]
    assert simulator.seen.requests == 0
