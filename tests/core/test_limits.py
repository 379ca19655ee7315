"""Rates and places: what is admitted when, by a clock that the test holds, and by many at once."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncllm import AsyncLLM, DeadlineExceededError, RequestTooLargeError
from asyncllm.limits import Admission, Bucket, Places, Waiter, admit, shared_bucket
from asyncllm.limits.rates import Rate
from asyncllm.retry import Deadline
from asyncllm.simulator import Fault, Latency, Simulator

MINUTE = 60.0


class Clock:
    """A monotonic clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def taken(bucket: Bucket, tokens: int = 0) -> float:
    """Take what a request needs, and return 0; or the seconds until it may be tried again, without a claim."""
    waiter = Waiter(Places(1), bucket, tokens)
    _, pause = bucket.take(waiter)
    bucket.withdraw(waiter)
    return pause


async def reserve(bucket: Bucket, tokens: int = 0) -> None:
    """Wait until a request of a client with many places may be sent, and never end it."""
    await admit(Places(1000), bucket, tokens, Deadline(None))


def drain(rate: Rate, amounts: list[float]) -> list[tuple[float, float]]:
    """Take amounts one after the other, each as soon as it may be, and return when each was taken."""
    now, taken = 0.0, []
    for amount in amounts:
        now = max(now, rate.available_at(amount, now))
        rate.take(amount, now)
        taken.append((now, amount))
    return taken


@given(per_minute=st.integers(1, 5000), count=st.integers(1, 400))
def test_no_minute_has_more_requests_than_allowed(per_minute: int, count: int) -> None:
    """Taken as fast as they are let, requests never exceed the limit in any window of a minute."""
    taken = drain(Rate(per_minute, 0.0), [1.0] * count)
    for start, _ in taken:
        assert sum(n for at, n in taken if start <= at < start + MINUTE) <= max(1, per_minute)


@given(
    per_minute=st.integers(1_000, 1_000_000),
    shares=st.lists(st.floats(0.0001, 0.015), min_size=1, max_size=300),
)
def test_no_minute_has_more_tokens_than_allowed(per_minute: int, shares: list[float]) -> None:
    """Requests that are small beside the limit never exceed it in any window of a minute."""
    taken = drain(Rate(per_minute, 0.0), [share * per_minute for share in shares])
    for start, _ in taken:
        assert sum(n for at, n in taken if start <= at < start + MINUTE) <= per_minute


def test_a_steady_rate_uses_what_is_allowed() -> None:
    """Over ten minutes at least 95 % of the limit gets through."""
    taken = drain(Rate(600, 0.0), [1.0] * 6000)
    assert taken[-1][0] <= 10 * MINUTE / 0.95


@given(per_minute=st.integers(100, 100_000), share=st.floats(0.02, 1.0))
def test_a_large_request_is_let_in_and_paid_back(per_minute: int, share: float) -> None:
    """A request larger than the burst is admitted when the bucket is full, and the next one waits for it."""
    rate = Rate(per_minute, 0.0)
    assert rate.available_at(share * per_minute, 0.0) == 0.0
    rate.take(share * per_minute, 0.0)
    assert rate.available_at(1.0, 0.0) > 0.0


def test_what_was_not_used_is_given_back() -> None:
    """An answer that was shorter than reserved lets others in earlier, and a longer one later."""
    less, more, same = Rate(6000, 0.0), Rate(6000, 0.0), Rate(6000, 0.0)
    for rate, back in ((less, 80.0), (more, -80.0), (same, 0.0)):
        rate.take(90.0, 0.0)
        rate.give_back(back, 0.0)
    wait = {name: rate.available_at(50.0, 0.0) for name, rate in (("less", less), ("more", more), ("same", same))}
    assert wait["less"] < wait["same"] < wait["more"]


def test_the_lowest_of_all_owners_limits_holds() -> None:
    """Two clients with different limits share the lower one, until its owner is gone."""
    clock = Clock()
    bucket = Bucket(clock)
    bucket.configure(1, 6000, None)
    bucket.configure(2, 60, None)
    assert taken(bucket) == 0
    assert taken(bucket) == pytest.approx(1 / 0.98, rel=0.01)
    bucket.forget(2)
    assert taken(bucket) == 0


def test_a_closed_bucket_admits_nobody_until_then() -> None:
    """After a refusal everybody waits until the provider's time, and a shorter one does not shorten it."""
    clock = Clock()
    bucket = Bucket(clock)
    assert bucket.close(10.0) == 10.0
    assert bucket.close(2.0) == 10.0
    assert taken(bucket) == 10.0
    clock.now += 10.0
    assert taken(bucket) == 0


@pytest.mark.parametrize("asked", [None, 0.0])
def test_unasked_pauses_grow_and_start_again(asked: float | None) -> None:
    """Refusals that name no time pause for longer each time; a burst counts as one, and a success forgets them."""
    clock = Clock()
    bucket = Bucket(clock)
    first = bucket.close(asked)
    assert bucket.close(asked) == first  # the others of the same burst
    clock.now += first
    second = bucket.close(asked)
    assert second == 2 * first
    clock.now += second
    bucket.succeeded()
    assert bucket.close(asked) == first


@pytest.mark.anyio
async def test_first_come_first_served() -> None:
    """Waiting requests are admitted in the order in which they came, the large ones too."""
    bucket = Bucket()
    bucket.configure(1, None, 6_000_000)
    await reserve(bucket, 100_000)
    order: list[int] = []

    async def one(number: int, tokens: int) -> None:
        await reserve(bucket, tokens)
        order.append(number)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            for number, tokens in enumerate([2_000, 1, 3_000, 1, 1]):
                group.start_soon(one, number, tokens)
                await anyio.wait_all_tasks_blocked()
    assert order == [0, 1, 2, 3, 4]


@pytest.mark.anyio
async def test_who_leaves_the_queue_lets_the_next_one_move_up() -> None:
    """A cancelled waiter at the head of the line does not hold up those behind it."""
    bucket = Bucket()
    bucket.close(0.1)
    admitted = anyio.Event()

    async def behind() -> None:
        await reserve(bucket)
        admitted.set()

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            async with anyio.create_task_group() as first:
                first.start_soon(reserve, bucket)
                await anyio.wait_all_tasks_blocked()
                group.start_soon(behind)
                await anyio.wait_all_tasks_blocked()
                first.cancel_scope.cancel()
            await admitted.wait()


@pytest.mark.anyio
async def test_a_request_that_can_never_fit_is_refused_at_once(options: dict[str, Any], simulator: Simulator) -> None:
    """More tokens than a minute allows is an error that says so, and nothing is sent."""
    async with AsyncLLM(**options, tokens_per_minute=100) as llm:
        with pytest.raises(RequestTooLargeError, match="tokens_per_minute is 100"):
            await llm.acompletion("hi", max_tokens=1000)
        assert llm.stats().in_flight == 0
    assert simulator.seen.requests == 0


@pytest.mark.anyio
async def test_an_answer_without_a_limit_fits_a_usual_rate(options: dict[str, Any]) -> None:
    """A model whose longest answer exceeds tokens_per_minute can be used without max_tokens."""
    async with AsyncLLM(**{**options, "model": "openai/gpt-5-mini"}, tokens_per_minute=30_000) as llm:
        assert (await llm.acompletion("hi")).text


@pytest.mark.anyio
async def test_an_admission_is_released_once() -> None:
    """Giving a place back twice does not make two of it."""
    places, bucket = Places(1), Bucket()
    admission = await admit(places, bucket, 0, Deadline(None))
    assert isinstance(admission, Admission)
    assert places.in_use == 1
    admission.release()
    admission.release()
    assert places.in_use == 0


@pytest.mark.anyio
async def test_an_admission_that_comes_too_late_holds_nothing() -> None:
    """When the deadline comes while the rate is awaited, the place is given back."""
    places, bucket = Places(1), Bucket()
    bucket.close(60.0)
    with pytest.raises(DeadlineExceededError):
        await admit(places, bucket, 0, Deadline(0.02))
    assert places.in_use == 0


def test_a_bucket_is_shared_by_provider_endpoint_and_key() -> None:
    """The same three give the same bucket; another key or endpoint another, and none is kept for nobody."""
    one = shared_bucket("openai", "http://a", "k1")
    assert shared_bucket("openai", "http://a", "k1") is one
    assert shared_bucket("openai", "http://a", "k2") is not one
    assert shared_bucket("openai", "http://b", "k1") is not one
    assert shared_bucket("groq", "http://a", "k1") is not one


@pytest.mark.anyio
async def test_the_places_bound_what_is_in_flight(options: dict[str, Any], simulator: Simulator) -> None:
    """The provider never sees more requests at a time than there are places, streams included."""
    simulator.latency(Latency(first_token_s=0.02))
    async with AsyncLLM(**options, max_concurrency=3) as llm, anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(partial(llm.acompletion, "hi") if number % 2 else llm.stream("hi").collect)
    assert 1 < simulator.seen.max_in_flight <= 3
    assert simulator.seen.requests == 20


@pytest.mark.anyio
async def test_a_refusal_of_one_client_holds_back_another(options: dict[str, Any], simulator: Simulator) -> None:
    """A 429 closes the bucket for every client with the same provider, endpoint and key; other keys go on."""
    other_key = {**options, "api_key": "sk-another-key"}
    async with AsyncLLM(**options) as one, AsyncLLM(**options) as two, AsyncLLM(**other_key) as stranger:
        simulator.faults(Fault("status", code=429, retry_after=60, times=1))
        with pytest.raises(DeadlineExceededError):
            await one.acompletion("hi", deadline=5.0)
        with pytest.raises(DeadlineExceededError, match="rate limits"):
            await two.acompletion("hi", deadline=0.05)
        assert simulator.seen.requests == 1
        await stranger.acompletion("hi")


@pytest.mark.parametrize("backends", [("asyncio", "asyncio"), ("asyncio", "trio")])
def test_two_threads_share_one_rate(backends: tuple[str, str]) -> None:
    """Two loops on two threads take from one bucket, and together never more than it gives."""
    bucket = shared_bucket("openai", "http://two-threads", "sk-shared")
    bucket.configure(1, 6000, None)
    taken: list[float] = []

    async def take() -> None:
        await reserve(shared_bucket("openai", "http://two-threads", "sk-shared"))
        taken.append(time.monotonic())

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(60):
                group.start_soon(take)

    started = time.monotonic()
    threads = [threading.Thread(target=anyio.run, args=(main,), kwargs={"backend": name}) for name in backends]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 120
    # 90 go at once as the burst; the other 30 cannot come faster than 98 a second, however slow the machine.
    assert max(taken) - started >= 29 / 98
