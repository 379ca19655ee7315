"""Rates and slots: what is admitted when, by a clock that the test holds, and by many at once."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from functools import partial
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncllm import AsyncLLM, DeadlineExceededError, OverloadedError, RequestTooLargeError, StalledError
from asyncllm.limits import Admission, Needs, ProviderLimits, Slots, Waiter, admit, shared_provider_limits
from asyncllm.limits.token_bucket import REQUESTS_BURST_S, TokenBucket
from asyncllm.pipeline.deadline import Deadline
from asyncllm.simulator import Fault, Latency, Simulator
from tests.support.waiting import until

from .virtual_provider import Clock

MINUTE = 60.0


def taken(bucket: ProviderLimits, tokens: int = 0) -> float:
    """Take what a request needs, and return 0; or the seconds until it may be tried again, without a claim."""
    waiter = Waiter(Slots(1), bucket, Needs(tokens))
    _, pause = bucket.take(waiter)
    bucket.withdraw(waiter)
    return pause


async def reserve(bucket: ProviderLimits, tokens: int = 0) -> None:
    """Wait until a request of a client with many slots may be sent, and never end it."""
    await admit(Slots(1000), bucket, Needs(tokens), Deadline(None))


def drain(rate: TokenBucket, amounts: list[float]) -> list[tuple[float, float]]:
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
    taken = drain(TokenBucket(per_minute, 0.0), [1.0] * count)
    for start, _ in taken:
        assert sum(n for at, n in taken if start <= at < start + MINUTE) <= max(1, per_minute)


@given(per_minute=st.integers(1, 6000), pauses=st.lists(st.floats(0.0, 3.0), max_size=20))
def test_no_second_has_more_requests_than_its_share(per_minute: int, pauses: list[float]) -> None:
    """From the first one on, no second carries more than 1.1 of its share and one request, whatever was idle before."""
    rate, now = TokenBucket(per_minute, 0.0, REQUESTS_BURST_S), 0.0
    sent: list[float] = []
    for pause in (0.0, *pauses):
        now += pause
        for _ in range(min(200, 2 + per_minute // 30)):
            now = max(now, rate.available_at(1.0, now))
            rate.take(1.0, now)
            sent.append(now)
    most = 1.1 * per_minute / 60 + 1
    ends = [bisect_left(sent, start + 1.0) for start in sent]
    assert max(end - begin for begin, end in enumerate(ends)) <= most + 1e-9


def test_a_configured_limit_is_met_by_the_second() -> None:
    """A provider that allows 50 requests a second throttles none of 2,700 a minute, in its first second either."""
    clock = Clock()
    bucket = ProviderLimits(clock)
    bucket.configure(1, 2700, None)
    begin, sent = clock.now, []
    while clock.now < begin + 3.0:
        pause = taken(bucket)
        if pause:
            clock.now += pause
        else:
            sent.append(clock.now)
    assert 43 <= sum(at < begin + 1 for at in sent) <= 50
    assert max(sum(start <= at < start + 1 for at in sent) for start in sent) <= 50


@given(
    per_minute=st.integers(1_000, 1_000_000),
    shares=st.lists(st.floats(0.0001, 0.015), min_size=1, max_size=300),
)
def test_no_minute_has_more_tokens_than_allowed(per_minute: int, shares: list[float]) -> None:
    """Requests that are small beside the limit never exceed it in any window of a minute."""
    taken = drain(TokenBucket(per_minute, 0.0), [share * per_minute for share in shares])
    for start, _ in taken:
        assert sum(n for at, n in taken if start <= at < start + MINUTE) <= per_minute


def test_a_steady_rate_uses_what_is_allowed() -> None:
    """Over ten minutes at least 95 % of the limit gets through."""
    taken = drain(TokenBucket(600, 0.0), [1.0] * 6000)
    assert taken[-1][0] <= 10 * MINUTE / 0.95


@given(per_minute=st.integers(100, 100_000), share=st.floats(0.02, 1.0))
def test_a_large_request_is_let_in_and_paid_back(per_minute: int, share: float) -> None:
    """A request larger than the burst is admitted when the bucket is full, and the next one waits for it."""
    rate = TokenBucket(per_minute, 0.0)
    assert rate.available_at(share * per_minute, 0.0) == 0.0
    rate.take(share * per_minute, 0.0)
    assert rate.available_at(1.0, 0.0) > 0.0


def test_what_was_not_used_is_given_back() -> None:
    """An answer that was shorter than reserved lets others in earlier, and a longer one later."""
    less, more, same = TokenBucket(6000, 0.0), TokenBucket(6000, 0.0), TokenBucket(6000, 0.0)
    for rate, back in ((less, 80.0), (more, -80.0), (same, 0.0)):
        rate.take(90.0, 0.0)
        rate.give_back(back, 0.0)
    wait = {name: rate.available_at(50.0, 0.0) for name, rate in (("less", less), ("more", more), ("same", same))}
    assert wait["less"] < wait["same"] < wait["more"]


def test_the_lowest_of_all_owners_limits_holds() -> None:
    """Two clients with different limits share the lower one, until its owner is gone."""
    clock = Clock()
    bucket = ProviderLimits(clock)
    bucket.configure(1, 6000, None)
    bucket.configure(2, 60, None)
    assert taken(bucket) == 0
    assert taken(bucket) == pytest.approx(1 / 0.98, rel=0.01)
    bucket.forget(2)
    assert taken(bucket) == 0


def test_a_closed_bucket_admits_nobody_until_then() -> None:
    """After a refusal everybody waits until the provider's time, and a shorter one does not shorten it."""
    clock = Clock()
    bucket = ProviderLimits(clock)
    assert bucket.cool_down(10.0) == 10.0
    assert bucket.cool_down(2.0) == 10.0
    assert taken(bucket) == 10.0
    clock.now += 10.0
    assert taken(bucket) == 0


@pytest.mark.parametrize("asked", [None, 0.0])
def test_unasked_pauses_grow_and_start_again(asked: float | None) -> None:
    """Refusals that name no time pause for longer each time; a burst counts as one, and a success forgets them."""
    clock = Clock()
    bucket = ProviderLimits(clock)
    first = bucket.cool_down(asked)
    assert bucket.cool_down(asked) == first  # the others of the same burst
    clock.now += first
    second = bucket.cool_down(asked)
    assert second == 2 * first
    clock.now += second
    bucket.succeeded()
    assert bucket.cool_down(asked) == first


@pytest.mark.anyio
async def test_first_come_first_served() -> None:
    """Waiting requests are admitted in the order in which they came, the large ones too."""
    bucket = ProviderLimits()
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
    bucket = ProviderLimits()
    bucket.cool_down(0.1)
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
    async with AsyncLLM(**dict(options, model="openai/gpt-5-mini"), tokens_per_minute=30_000) as llm:
        assert (await llm.acompletion("hi")).text


@pytest.mark.anyio
async def test_an_admission_is_released_once() -> None:
    """Giving a place back twice does not make two of it."""
    slots, bucket = Slots(1), ProviderLimits()
    admission = await admit(slots, bucket, Needs(), Deadline(None))
    assert isinstance(admission, Admission)
    assert slots.in_use == 1
    admission.release()
    admission.release()
    assert slots.in_use == 0


@pytest.mark.anyio
async def test_an_admission_that_comes_too_late_holds_nothing() -> None:
    """When the deadline comes while the rate is awaited, the place is given back."""
    slots, bucket = Slots(1), ProviderLimits()
    bucket.cool_down(60.0)
    with pytest.raises(DeadlineExceededError):
        await admit(slots, bucket, Needs(), Deadline(0.02))
    assert slots.in_use == 0


def test_a_bucket_is_shared_by_provider_endpoint_and_key() -> None:
    """The same three give the same bucket; another key or endpoint another, and none is kept for nobody."""
    one = shared_provider_limits("openai", "http://a", "k1")
    assert shared_provider_limits("openai", "http://a", "k1") is one
    assert shared_provider_limits("openai", "http://a", "k2") is not one
    assert shared_provider_limits("openai", "http://b", "k1") is not one
    assert shared_provider_limits("groq", "http://a", "k1") is not one


@pytest.mark.anyio
async def test_the_slots_bound_what_is_in_flight(options: dict[str, Any], simulator: Simulator) -> None:
    """The provider never sees more requests at a time than there are slots, streams included."""
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
    bucket = shared_provider_limits("openai", "http://two-threads", "sk-shared")
    bucket.configure(1, 6000, None)
    taken: list[float] = []

    async def take() -> None:
        await reserve(shared_provider_limits("openai", "http://two-threads", "sk-shared"))
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


@pytest.mark.anyio
async def test_a_closed_bucket_holds_no_slots(options: dict[str, Any], simulator: Simulator) -> None:
    """Callers that wait for one bucket leave the slots of their client to callers of another."""
    simulator.faults(Fault("status", code=429, retry_after=60, times=1))
    async with AsyncLLM(**options, max_concurrency=2) as llm, anyio.create_task_group() as group:
        other = llm.with_options(api_key="sk-another-key")
        with pytest.raises(DeadlineExceededError):
            await llm.acompletion("hi", deadline=5.0)
        for _ in range(10):
            group.start_soon(llm.acompletion, "hi")
        await until(lambda: llm.stats().waiting == 10)
        assert (llm.stats().in_flight, llm.stats().limited_by) == (0, "cooldown")
        for _ in range(5):
            assert (await other.acompletion("hi")).text
        group.cancel_scope.cancel()
    assert simulator.seen.requests == 6


@pytest.mark.parametrize("code", [429, 503, 529])
@pytest.mark.anyio
async def test_retry_after_closes_the_bucket(options: dict[str, Any], simulator: Simulator, code: int) -> None:
    """Whatever the status, a provider that names a time is left alone until then, by others as well."""
    simulator.faults(Fault("status", code=code, retry_after=60, times=1))
    async with AsyncLLM(**options, deadline=5.0) as llm:
        for _ in range(2):
            with pytest.raises(DeadlineExceededError):
                await llm.acompletion("hi", deadline=0.5)
    assert simulator.seen.requests == 1


@pytest.mark.anyio
async def test_a_client_without_a_place_holds_up_no_other() -> None:
    """Of two clients before one bucket, the later one goes when the earlier one has no place for its request."""
    bucket = ProviderLimits()
    full, free = Slots(1), Slots(1)
    held = await admit(full, bucket, Needs(), Deadline(None))
    bucket.cool_down(0.05)
    async with anyio.create_task_group() as group:
        group.start_soon(admit, full, bucket, Needs(), Deadline(None))
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(20):
            await admit(free, bucket, Needs(), Deadline(None))
        held.release()


def test_a_loop_that_is_held_up_holds_up_nobody_else() -> None:
    """Whose time has come and who does not go lets others go before it, after a moment."""
    clock = Clock()
    bucket = ProviderLimits(clock)
    bucket.cool_down(10.0)
    first, second = Waiter(Slots(1), bucket, Needs()), Waiter(Slots(1), bucket, Needs())
    assert bucket.take(first) == ("cooldown", 10.0)
    for seconds, reason in ((0.0, "cooldown"), (10.0, "cooldown"), (0.06, None)):
        clock.now += seconds
        assert bucket.take(second)[0] == reason


def test_clients_take_turns_before_one_bucket() -> None:
    """Across clients, too, who came first goes first, whoever asks first when the time has come."""
    clock = Clock()
    bucket = ProviderLimits(clock)
    bucket.cool_down(10.0)
    clients = Slots(10, clock=clock), Slots(10, clock=clock)
    waiters = [Waiter(clients[number % 2], bucket, Needs()) for number in range(6)]
    for waiter in waiters:
        assert bucket.take(waiter)[0] == "cooldown"
    clock.now += 10.0
    while waiters:
        for later in reversed(waiters[1:]):
            assert bucket.take(later)[0] is not None
        assert bucket.take(waiters.pop(0))[0] is None


@pytest.mark.anyio
async def test_too_many_callers_are_told_to_come_back(options: dict[str, Any], simulator: Simulator) -> None:
    """Beyond max_queue a caller is refused at once; those in line are served."""
    simulator.latency(Latency(first_token_s=0.05))
    async with AsyncLLM(**options, max_concurrency=1, max_queue=2) as llm:
        errors: list[OverloadedError] = []

        async def call() -> None:
            try:
                await llm.acompletion("hi")
            except OverloadedError as error:
                errors.append(error)

        async with anyio.create_task_group() as group:
            for _ in range(6):
                group.start_soon(call)
    assert len(errors) == 3
    assert simulator.seen.requests == 3
    assert "max_queue is 2" in str(errors[0])


@pytest.mark.anyio
async def test_an_overload_says_when_to_come_back(options: dict[str, Any], simulator: Simulator) -> None:
    """Where the bucket is closed, retry_after is at least the time until it opens."""
    simulator.faults(Fault("status", code=429, retry_after=60, times=1))
    async with AsyncLLM(**options, max_queue=1) as llm, anyio.create_task_group() as group:
        with pytest.raises(DeadlineExceededError):
            await llm.acompletion("hi", deadline=5.0)
        group.start_soon(llm.acompletion, "hi")
        await until(lambda: llm.stats().waiting == 1)
        with pytest.raises(OverloadedError) as caught:
            await llm.acompletion("hi")
        group.cancel_scope.cancel()
    assert 50 <= (caught.value.retry_after or 0.0) <= 60


@pytest.mark.anyio
async def test_a_batch_does_not_overload_itself(options: dict[str, Any], simulator: Simulator) -> None:
    """However short the queue, every item of a batch waits for its turn, and counts as no caller."""
    simulator.latency(Latency(first_token_s=0.02))
    async with AsyncLLM(**options, max_concurrency=2, max_queue=0) as llm:
        outcomes = await llm.gather(["hi"] * 12, max_concurrency=6)
    assert all(outcome.ok for outcome in outcomes)


@pytest.mark.anyio
async def test_what_limits_is_told(
    options: dict[str, Any], simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    """The client's figures and an event say what the first in line waits for; nobody in line, nothing limits."""
    simulator.latency(Latency(first_token_s=60.0))
    async with AsyncLLM(**options, max_concurrency=1) as llm, anyio.create_task_group() as group:
        assert llm.stats().limited_by is None
        group.start_soon(llm.acompletion, "hi")
        await until(lambda: simulator.seen.in_flight == 1)
        group.start_soon(llm.acompletion, "hi")
        await until(lambda: llm.stats().waiting == 1)
        assert llm.stats().limited_by == "slots"
        group.cancel_scope.cancel()
    assert llm.stats().limited_by is None
    assert [record.message for record in caplog.records if record.message.startswith("limits.")] == [
        "limits.waiting limited_by=slots waiting=1"
    ]


@pytest.mark.anyio
async def test_a_batch_told_to_wait_for_an_hour_has_stalled(options: dict[str, Any], simulator: Simulator) -> None:
    """A batch does not sleep through a pause in which nothing can succeed for longer than it would wait."""
    simulator.faults(Fault("status", code=429, retry_after=3600))
    async with AsyncLLM(**options) as llm:
        with anyio.fail_after(20), pytest.raises(StalledError, match="asks to wait 36"):
            await llm.gather(["hi"] * 5)


@given(
    arrivals=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 50)), min_size=1, max_size=40),
    slots=st.integers(1, 5),
)
def test_nobody_is_passed_over_or_forgotten(arrivals: list[tuple[str, int]], slots: int) -> None:
    """Whatever comes in whatever order and size, each line is served in order, and everybody is served."""
    clock = Clock()
    buckets = {"a": ProviderLimits(clock), "b": ProviderLimits(clock)}
    buckets["a"].configure(1, 600, 600)
    client = Slots(slots, clock=clock)
    waiting: dict[str, list[Waiter]] = {"a": [], "b": []}
    sent: list[Waiter] = []
    for name, tokens in arrivals:
        waiter = Waiter(client, buckets[name], Needs(tokens))
        if not waiting[name] and client.try_admit(waiter):
            sent.append(waiter)
        else:
            waiting[name].append(waiter)
        assert client.in_use <= slots
    while any(waiting.values()):
        if sent:
            client.release(sent.pop(0), None, None)
        clock.now += 1.0
        for line in waiting.values():
            while line and client.try_admit(line[0]):
                sent.append(line.pop(0))
        assert client.in_use == len(sent) <= slots
