"""Deadlines: what is left of one, and the error of one that has passed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from asyncllm import ServerError
from asyncllm.pipeline import deadline as module
from asyncllm.pipeline.deadline import Deadline


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The monotonic clock of deadlines: it stands at `now` until a test moves it."""
    clock = SimpleNamespace(now=1000.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_the_time_left_shrinks_to_nothing(clock: SimpleNamespace) -> None:
    """What is left is counted from the moment the deadline was made, and is never negative."""
    deadline = Deadline(10.0)
    assert (deadline.at, deadline.seconds, deadline.remaining()) == (1010.0, 10.0, 10.0)
    clock.now += 4.0
    assert deadline.remaining() == 6.0
    clock.now += 100.0
    assert deadline.remaining() == 0.0


def test_a_timeout_is_cut_to_the_time_left(clock: SimpleNamespace) -> None:
    """The shorter of the two is taken, and nothing once the deadline has passed."""
    deadline = Deadline(10.0)
    assert (deadline.clip(3.0), deadline.clip(30.0)) == (3.0, 10.0)
    clock.now += 100.0
    assert deadline.clip(3.0) == 0.0


def test_a_wait_that_ends_at_the_deadline_is_not_admitted(clock: SimpleNamespace) -> None:
    """A wait must leave time to send something after it."""
    deadline = Deadline(10.0)
    assert deadline.admits(9.99)
    assert not deadline.admits(10.0)
    assert not deadline.admits(10.01)


def test_no_deadline_ends_nothing(clock: SimpleNamespace) -> None:
    """Without one, every wait is admitted and no timeout is cut."""
    deadline = Deadline(None)
    assert (deadline.at, deadline.remaining(), deadline.clip(1e9)) == (None, None, 1e9)
    assert deadline.admits(1e9)


def test_the_error_names_the_deadline_and_what_the_call_was_doing() -> None:
    """Without a failed attempt the message ends with what the call was doing; the hint names the fields to change."""
    error = Deadline(0.5).error("waiting for a slot")
    assert str(error) == (
        "the call took longer than its deadline of 0.5 s (it was waiting for a slot). "
        "Raise deadline, or lower timeout and num_retries so that more attempts fit."
    )
    assert error.last_error is None


def test_the_error_names_the_last_failure() -> None:
    """The class and the words of the last error follow, with one full stop at the end."""
    last = ServerError("the provider failed at X.")
    error = Deadline(20).error("waiting to retry", last)
    assert error.message == (
        "the call took longer than its deadline of 20 s (it was waiting to retry) "
        "after ServerError: the provider failed at X."
    )
    assert error.last_error is last
