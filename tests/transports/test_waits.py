"""Waits that providers ask for, in headers, bodies and messages; and whether they want a retry at all."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from asyncllm import RateLimitError
from asyncllm.pipeline.retry import is_retryable
from asyncllm.transports.errors import failure
from asyncllm.transports.waits import asked_wait

NOW = 1_700_000_000.0  # 2023-11-14T22:13:20Z


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Rate limit reached. Limit 500, Used 499. Please try again in 1m42.653s. Visit us.", 102.653),
        ("Please try again in 653ms.", 0.653),
        ("Please try again in 6m0s", 360.0),
        ("The model is loading, try again in 0.8s", 0.8),
        ("Requests have exceeded the limit. Please retry after 2 seconds.", 2.0),
        ("Please retry after 1 second.", 1.0),
        ("Please wait 10 seconds and try again", 10.0),
        ("Your quota resets in 2 hours", 7200.0),
        ("available in about 3 minutes", 180.0),
        ("Try again later", None),
        ("the limit of 3s was exceeded", None),
        ("try again in 3 steps", None),
        ("try again in 90000 hours", None),
    ],
)
def test_a_wait_in_the_message_is_read(message: str, seconds: float | None) -> None:
    """Durations and numbers with their unit are read behind the words that announce a wait."""
    found = asked_wait(429, {}, message=message, now=NOW)
    assert found == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m2.5s"}, 62.5),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "20ms"}, 0.02),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "7"}, 7.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(NOW + 9)}, 9.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW * 1000) + 900)}, 0.9),
        (
            {
                "anthropic-ratelimit-requests-remaining": "0",
                "anthropic-ratelimit-requests-reset": "2023-11-14T22:13:21.500Z",
            },
            1.5,
        ),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "2023-11-14T22:13:00Z"}, 0.0),
        ({"x-ratelimit-remaining-requests": "5", "x-ratelimit-reset-requests": "30s"}, None),
        ({"x-ratelimit-reset-requests": "30s"}, None),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "soon"}, None),
        (
            {
                "x-ratelimit-remaining-requests": "99",
                "x-ratelimit-reset-requests": "1h2m3s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "1.1s",
            },
            1.1,
        ),
    ],
)
def test_a_reset_counts_where_nothing_remains(headers: dict[str, str], seconds: float | None) -> None:
    """Durations, seconds, epochs and RFC 3339 are read, of the limit that is used up."""
    assert asked_wait(429, headers, now=NOW) == (None if seconds is None else pytest.approx(seconds))
    assert asked_wait(500, headers, now=NOW) is None


def test_the_strongest_source_wins() -> None:
    """Headers come before the body, and the body before resets and words."""
    reset = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "4"}
    inner = {"headers": {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "3"}}
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "2s"}]
    words = "try again in 5s"
    everything: dict[str, Any] = {"details": details, "metadata": inner, "message": words, "now": NOW}
    assert asked_wait(429, {"retry-after-ms": "500", "retry-after": "1", **reset}, **everything) == 0.5
    assert asked_wait(429, {"retry-after": "1", **reset}, **everything) == 1.0
    assert asked_wait(429, reset, **everything) == 2.0
    assert asked_wait(429, reset, metadata=inner, message=words, now=NOW) == 3.0
    assert asked_wait(429, reset, message=words, now=NOW) == 4.0
    assert asked_wait(429, {}, message=words, now=NOW) == 5.0


@pytest.mark.parametrize("odd", [None, 7, "text", [1], {"headers": 3}, {"headers": {"x": None}}, [{"retryDelay": {}}]])
def test_odd_bodies_ask_for_nothing(odd: object) -> None:
    """A body of another shape is no wait and no failure."""
    assert asked_wait(429, {}, details=odd, metadata=odd, now=NOW) is None


@pytest.mark.parametrize(
    ("status", "said", "retried"),
    [
        (503, "false", False),
        (429, "false", False),
        (400, "true", True),
        (503, "perhaps", True),
        (400, "perhaps", False),
    ],
)
def test_x_should_retry_decides(status: int, said: str, retried: bool) -> None:
    """What the provider says about a retry comes before the rule of its status, also after pickling."""
    error = failure(status, b"", {"x-should-retry": said})
    assert is_retryable(error) is retried
    assert is_retryable(pickle.loads(pickle.dumps(error))) is retried


def test_the_wait_is_on_the_error() -> None:
    """An error carries the wait of its message, and what the provider says about a retry."""
    body = b'{"error": {"message": "Please try again in 1.5s.", "code": "rate_limit_exceeded"}}'
    error = failure(429, body, {"x-should-retry": "true"})
    assert (type(error), error.retry_after, error.should_retry) == (RateLimitError, 1.5, True)
    assert failure(429, b"", {}).retry_after is None
