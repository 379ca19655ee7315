"""Retries: of which errors, how often and when."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest

from asyncllm import (
    AsyncLLM,
    MalformedResponseError,
    ProviderConnectionError,
    ProviderError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
    errors,
)
from asyncllm.pipeline.deadline import Deadline
from asyncllm.pipeline.retry import is_retryable, wait_before_retry, waits
from asyncllm.simulator import Fault, Script, Simulator
from asyncllm.transports.waits import asked_wait

pytestmark = pytest.mark.anyio

PASSING = (408, 409, 429, 500, 502, 503, 504, 529)
LASTING = (400, 401, 402, 403, 404, 405, 413, 418, 422)


async def test_a_500_is_tried_three_times_with_two_retries(llm: AsyncLLM, simulator: Simulator) -> None:
    """`num_retries = 2` against a provider that keeps failing is exactly three requests."""
    simulator.faults(Fault("status", code=500))
    with pytest.raises(ServerError) as caught:
        await llm.acompletion("hi", num_retries=2)
    assert simulator.seen.requests == 3
    assert [attempt.status_code for attempt in caught.value.attempts] == [500, 500, 500]


async def test_no_retries_is_one_request(llm: AsyncLLM, simulator: Simulator) -> None:
    """`num_retries = 0` sends one request; nothing underneath retries on its own."""
    simulator.faults(Fault("status", code=503))
    with pytest.raises(ServerError):
        await llm.acompletion("hi", num_retries=0)
    assert simulator.seen.requests == 1


@pytest.mark.parametrize("status", PASSING)
async def test_what_passes_by_itself_is_retried(llm: AsyncLLM, simulator: Simulator, status: int) -> None:
    """A status that may pass by itself is retried, and the second answer is the call's."""
    simulator.faults(Fault("status", code=status, times=1, retry_after=0.001, retry_after_form="fraction"))
    completion = await llm.acompletion("hi", num_retries=2)
    assert simulator.seen.requests == 2
    assert [attempt.status_code for attempt in completion.record.attempts] == [status, None]


@pytest.mark.parametrize("status", LASTING)
async def test_what_does_not_pass_is_not_retried(llm: AsyncLLM, simulator: Simulator, status: int) -> None:
    """A status that another try would not change is exactly one request."""
    simulator.faults(Fault("status", code=status))
    with pytest.raises(ProviderError) as caught:
        await llm.acompletion("hi", num_retries=2)
    assert simulator.seen.requests == 1
    assert caught.value.status_code == status


async def test_a_429_that_means_no_credit_is_not_retried(llm: AsyncLLM, simulator: Simulator) -> None:
    """A 429 whose body says that the quota is used up is an error at once, and has its own class."""
    simulator.faults(Fault("status", reason="quota", code=429))
    with pytest.raises(QuotaExceededError) as caught:
        await llm.acompletion("hi", num_retries=2)
    assert (simulator.seen.requests, caught.value.status_code) == (1, 429)


async def test_a_stream_that_fails_before_its_first_chunk_is_retried(llm: AsyncLLM, simulator: Simulator) -> None:
    """Before the first chunk a stream is retried like any call."""
    simulator.faults(Script([Fault("status", code=500), Fault("reset", at="after_headers")]))
    async with llm.stream("hi", num_retries=2) as stream:
        completion = await stream.collect()
    assert completion.finish_reason == "stop"
    assert simulator.seen.requests == 3
    assert len(completion.record.attempts) == 3


async def test_a_refused_connection_is_retried_as_not_sent(options: dict[str, Any]) -> None:
    """A port where nobody listens is a connection error that says that nothing was sent, after all retries."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: every connection is refused
        options["base_url"] = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        async with AsyncLLM(**options) as llm:
            with pytest.raises(ProviderConnectionError) as caught:
                await llm.acompletion("hi", num_retries=1)
    assert caught.value.request_sent is False
    assert [attempt.billed for attempt in caught.value.attempts] == ["no", "no"]
    assert caught.value.status_code is None


@pytest.mark.parametrize("at", ["before_headers", "after_headers", "body"])
async def test_a_reset_is_retried_as_possibly_billed(llm: AsyncLLM, simulator: Simulator, at: Any) -> None:
    """A connection that breaks after the request was sent may have cost money, and is retried."""
    simulator.faults(Fault("reset", at=at, times=1))
    completion = await llm.acompletion("hi", num_retries=1)
    first = completion.record.attempts[0]
    assert (first.error, first.billed) == ("ProviderConnectionError", "possibly")
    assert simulator.seen.requests == 2


@pytest.mark.parametrize("what", ["html", "invalid_json", "empty", "wrong_shape"])
async def test_a_200_that_is_no_answer_is_malformed(llm: AsyncLLM, simulator: Simulator, what: str) -> None:
    """A 200 with something else than an answer is retried, and then an error that says so."""
    simulator.faults(Fault("garbage", what=what))
    with pytest.raises(MalformedResponseError):
        await llm.acompletion("hi", num_retries=1)
    assert simulator.seen.requests == 2


@pytest.mark.parametrize("form", ["seconds", "fraction", "date", "ms"])
async def test_retry_after_reaches_the_error_in_every_form(llm: AsyncLLM, simulator: Simulator, form: str) -> None:
    """Whole seconds, a fraction, an HTTP date and milliseconds all become `retry_after` in seconds."""
    simulator.faults(Fault("status", code=429, retry_after=2, retry_after_form=form))
    with pytest.raises(RateLimitError) as caught:
        await llm.acompletion("hi", num_retries=0)
    assert caught.value.retry_after == pytest.approx(2, abs=1.1)  # a date has whole seconds


@pytest.mark.parametrize("form", ["fraction", "ms"])
async def test_the_next_request_waits_as_long_as_asked(llm: AsyncLLM, simulator: Simulator, form: str) -> None:
    """After a 429 the next request does not arrive before the time that the provider asked for."""
    simulator.faults(Fault("status", code=429, retry_after=0.05, retry_after_form=form, times=1))
    completion = await llm.acompletion("hi", num_retries=1)
    first, second = simulator.seen.exchanges
    assert second.started_s - first.ended_s >= 0.045
    assert completion.record.attempts[0].retry_after == pytest.approx(0.05)


async def test_an_attempt_says_how_it_ended(llm: AsyncLLM, simulator: Simulator) -> None:
    """The record has every attempt with its error, its message, its wait, and whether it may have cost money."""
    simulator.faults(Fault("status", code=500, message="the engine coughed", times=1))
    record = (await llm.acompletion("hi", num_retries=1)).record
    failed, answered = record.attempts
    assert (failed.error, failed.status_code, failed.billed) == ("ServerError", 500, "no")
    assert "the engine coughed" in (failed.message or "")
    assert 0.001 <= failed.waited_s <= 0.002
    assert (answered.error, answered.billed) == (None, "yes")
    assert record.waited_s == failed.waited_s


async def test_retries_are_counted(llm: AsyncLLM, simulator: Simulator) -> None:
    """`stats()` tells calls from the tries that they took."""
    simulator.faults(Fault("status", code=500, times=2))
    await llm.acompletion("hi", num_retries=2)
    stats = llm.stats()
    assert (stats.calls, stats.succeeded, stats.failed, stats.retries, stats.in_flight) == (1, 1, 0, 2, 0)


def test_waits_grow_between_the_floor_and_the_ceiling() -> None:
    """Retry n waits between the minimum and minimum * multiplier**n, and never more than the maximum."""
    schedule = waits(1.0, 6.0, 2.0)
    drawn = [next(schedule) for _ in range(5)]
    for wait, ceiling in zip(drawn, [2.0, 4.0, 6.0, 6.0, 6.0], strict=True):
        assert 1.0 <= wait <= ceiling


def test_the_issue_of_a_long_schedule() -> None:
    """The waits of a profile with 15 s, 120 s and a factor of 2 stay within those bounds for eight retries."""
    schedule = waits(15, 120, 2)
    drawn = [next(schedule) for _ in range(8)]
    assert all(15 <= wait <= 120 for wait in drawn)
    assert drawn[0] <= 30


def test_a_wait_is_never_less_than_asked() -> None:
    """Retry-After outweighs the schedule, and so does the schedule a smaller Retry-After."""
    assert wait_before_retry(iter([0.5]), RateLimitError("slow", retry_after=8)) >= 8
    assert wait_before_retry(iter([0.5]), RateLimitError("slow", retry_after=0.1)) == 0.5
    assert wait_before_retry(iter([0.5]), ServerError("down")) == 0.5


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:37 GMT"}, 10.0),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:00 GMT"}, 0.0),  # already past
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "20", "retry-after": "1"}, 0.02),  # the finer one
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "86400"}, 86_400.0),  # a quota of a day
        ({"retry-after": "1795000000"}, None),  # a time stamp
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read(headers: dict[str, str], seconds: float | None) -> None:
    """The four forms are read, nonsense is no wait, and a date that is past is no wait either."""
    assert asked_wait(429, headers, now=784111767.0) == seconds  # 1994-11-06 08:49:27


@pytest.mark.parametrize(
    "error",
    [
        errors.BudgetExceededError("x"),
        errors.RequestTooLargeError("x"),
        errors.UnsupportedError("x"),
        errors.DeadlineExceededError("x"),
        errors.ContextWindowExceededError("x", status_code=400),
        errors.ContentPolicyError("x", status_code=400),
        errors.ProviderError("litellm could not make the call"),
        ValueError("x"),
    ],
)
def test_what_another_try_would_not_change(error: Exception) -> None:
    """Errors of this side, of the request itself, and litellm's own bugs are final."""
    assert not is_retryable(error)


def test_a_deadline_clips_and_ends() -> None:
    """A deadline shortens what would take longer, and admits no wait that would end after it."""
    open_end, soon, past = Deadline(None), Deadline(100), Deadline(0)
    assert (open_end.clip(5), open_end.remaining(), open_end.admits(1e9)) == (5, None, True)
    assert 99 < soon.clip(1000) <= 100
    assert soon.admits(50)
    assert not soon.admits(101)
    assert (past.clip(5), past.remaining(), past.admits(0)) == (0, 0, False)
    assert soon.at is not None
    assert soon.at > time.monotonic()
