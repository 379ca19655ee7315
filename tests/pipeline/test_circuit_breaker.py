"""The circuit breaker of an endpoint that keeps failing."""

from __future__ import annotations

import pytest

from asyncllm.pipeline.circuit_breaker import CircuitBreaker


class Clock:
    """A monotonic clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(clock)


def fail(breaker: CircuitBreaker, times: int) -> None:
    for _ in range(times):
        breaker.failed()


def pause_before_next_trial(breaker: CircuitBreaker, clock: Clock) -> float:
    """Move the clock in steps of a second until the endpoint is tried again; return the seconds that took."""
    began = clock.now
    while not breaker.admits():
        clock.now += 1.0
        assert clock.now - began < 1000, "the endpoint is never tried again"
    return clock.now - began


def test_two_failures_in_a_row_may_be_chance(breaker: CircuitBreaker) -> None:
    """An endpoint is passed over after its third failure in a row, not before."""
    fail(breaker, 2)
    assert breaker.admits()
    fail(breaker, 1)
    assert not breaker.admits()


def test_a_success_between_failures_starts_the_count_again(breaker: CircuitBreaker) -> None:
    """Failures count when they follow each other; one that served a call has none."""
    fail(breaker, 2)
    breaker.succeeded()
    fail(breaker, 2)
    assert breaker.admits()


def test_the_pause_doubles_up_to_four_minutes(breaker: CircuitBreaker, clock: Clock) -> None:
    """The first pause is 15 s; each trial that fails makes the next twice as long, and 240 s is the longest."""
    fail(breaker, 3)
    pauses = []
    for _ in range(7):
        pauses.append(pause_before_next_trial(breaker, clock))
        breaker.failed()
    assert pauses == [15.0, 30.0, 60.0, 120.0, 240.0, 240.0, 240.0]


def test_a_success_makes_the_next_pause_short_again(breaker: CircuitBreaker, clock: Clock) -> None:
    """An endpoint that recovered and fails anew is passed over for 15 s, not for as long as the last time."""
    fail(breaker, 3)
    for _ in range(3):
        pause_before_next_trial(breaker, clock)
        breaker.failed()
    breaker.succeeded()
    assert [breaker.admits() for _ in range(3)] == [True, True, True]
    fail(breaker, 3)
    assert pause_before_next_trial(breaker, clock) == 15.0


def test_calls_that_were_on_their_way_do_not_extend_the_pause(breaker: CircuitBreaker, clock: Clock) -> None:
    """Calls that began before the third failure may fail during the pause; it ends when it would have."""
    fail(breaker, 3)
    clock.now += 10.0
    fail(breaker, 5)
    assert pause_before_next_trial(breaker, clock) == 5.0


def test_a_trial_that_never_ends_is_followed_by_another(breaker: CircuitBreaker, clock: Clock) -> None:
    """A trial that was cancelled reports neither failure nor success; the next one comes 30 s after it."""
    fail(breaker, 3)
    clock.now += 15.0
    assert breaker.admits()
    assert pause_before_next_trial(breaker, clock) == 30.0
