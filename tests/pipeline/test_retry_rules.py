"""Rules of retries: retried errors, errors that may have cost money, and waits."""

from __future__ import annotations

import random
from itertools import islice

import pytest

from asyncllm import errors
from asyncllm.pipeline.retry import is_retryable, may_be_billed, wait_before_retry, waits


@pytest.fixture(params=[0, 1], ids=["the shortest draw", "the longest draw"])
def drawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Draw the lower or the upper bound wherever a wait is drawn at random."""
    bound: int = request.param
    monkeypatch.setattr(random, "uniform", lambda *bounds: bounds[bound])
    return bound


@pytest.mark.parametrize(
    ("minimum", "maximum", "multiplier", "longest"),
    [
        (1.0, 100.0, 2.0, [2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 100.0, 100.0]),
        (0.5, 30.0, 3.0, [1.5, 4.5, 13.5, 30.0, 30.0, 30.0, 30.0, 30.0]),
        (2.0, 9.0, 1.0, [2.0] * 8),
        (5.0, 2.0, 2.0, [5.0] * 8),  # the floor outweighs a ceiling below it
    ],
)
def test_waits_are_drawn_between_the_minimum_and_a_growing_ceiling(
    drawn: int, minimum: float, maximum: float, multiplier: float, longest: list[float]
) -> None:
    """Retry n waits uniform(min, min(max, min * multiplier**n))."""
    assert list(islice(waits(minimum, maximum, multiplier), 8)) == [[minimum] * 8, longest][drawn]


@pytest.mark.parametrize(
    ("asked_s", "shortest", "longest"),
    [(8.0, 8.0, 8.8), (100.0, 100.0, 101.0), (0.1, 0.5, 0.5), (0.0, 0.5, 0.5), (0.49, 0.5, 0.539), (None, 0.5, 0.5)],
)
def test_a_requested_wait_is_extended_by_a_tenth_and_at_most_a_second(
    drawn: int, asked_s: float | None, shortest: float, longest: float
) -> None:
    """Callers that were asked to wait equally long come back spread out; a longer wait of the schedule stands."""
    error = errors.RateLimitError("slow down", retry_after=asked_s)
    assert wait_before_retry(iter([0.5]), error) == pytest.approx([shortest, longest][drawn])


def test_an_error_without_a_requested_wait_follows_the_schedule() -> None:
    """Errors that cannot hold one take the next wait of the schedule, one after the other."""
    schedule = iter([0.5, 0.7])
    assert wait_before_retry(schedule, errors.DeadlineExceededError("late")) == 0.5
    assert wait_before_retry(schedule, errors.DeadlineExceededError("late")) == 0.7


@pytest.mark.parametrize(
    "error",
    [
        errors.ProviderConnectionError("refused"),
        errors.ProviderTimeoutError("late", timeout="timeout"),
        errors.RateLimitError("slow down", status_code=429),
        errors.ServerError("down", status_code=500),
        errors.MalformedResponseError("not JSON", status_code=200),
        errors.StreamInterruptedError("cut"),
        errors.ProviderError("request timeout", status_code=408),
        errors.ProviderError("locked", status_code=409),
    ],
    ids=lambda error: f"{type(error).__name__} {error.status_code}",
)
def test_what_may_pass_is_retried(error: errors.ProviderError) -> None:
    """Failures of the connection, of the server and of the moment may be gone the next time."""
    assert is_retryable(error)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 407, 410, 413, 422, None])
def test_other_statuses_are_not_retried(status: int | None) -> None:
    """A status that says something of the request or the account stays what it is."""
    assert not is_retryable(errors.ProviderError("no", status_code=status))


@pytest.mark.parametrize(
    ("error", "billed"),
    [
        (errors.ProviderConnectionError("reset", request_sent=True), True),
        (errors.ProviderConnectionError("refused", request_sent=False), False),
        (errors.ProviderTimeoutError("late", timeout="timeout"), True),
        (errors.ProviderTimeoutError("late", timeout="first_token_timeout"), True),
        (errors.ProviderTimeoutError("late", timeout="connect_timeout"), False),
        (errors.ServerError("gateway", status_code=504), True),
        (errors.ServerError("gateway", status_code=524), True),
        (errors.ServerError("down", status_code=500), False),
        (errors.ServerError("overloaded", status_code=529), False),
        (errors.StreamInterruptedError("cut"), True),
        (errors.MalformedResponseError("not JSON", status_code=200), True),
        (errors.RateLimitError("slow down", status_code=429), False),
        (errors.BadRequestError("no", status_code=400), False),
        (ValueError("no"), False),
    ],
)
def test_what_may_have_cost_money(error: Exception, billed: bool) -> None:
    """A lost answer may be billed where the provider may have made it; a refusal and a request not sent are not."""
    assert may_be_billed(error) is billed
