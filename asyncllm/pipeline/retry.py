"""The policy of retries: which errors are retried, and after how long."""

from __future__ import annotations

import random
from collections.abc import Iterator

from ..errors import (
    AsyncLLMError,
    MalformedResponseError,
    ProviderConnectionError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
)

# Request Timeout and Conflict (a lock that is held): the other 4xx that pass by themselves.
_PASSING_STATUSES = frozenset((408, 409))
# Gateway timeouts, the second one Cloudflare's: the server behind the gateway may still be at work.
_GATEWAY_TIMEOUTS = frozenset((504, 524))
_PASSING = (
    ProviderConnectionError,
    ProviderTimeoutError,
    RateLimitError,
    ServerError,
    MalformedResponseError,
    # One that reaches the retry was cut before its first chunk; a later cut belongs to the reader.
    StreamInterruptedError,
)


def is_retryable(error: BaseException) -> bool:
    """Return whether a retry may succeed."""
    if not isinstance(error, ProviderError):
        return False
    if error.should_retry is not None:
        return error.should_retry
    return isinstance(error, _PASSING) or error.status_code in _PASSING_STATUSES


def may_be_billed(error: BaseException) -> bool:
    """Return whether the provider may bill for an attempt whose answer was lost."""
    if isinstance(error, ProviderConnectionError):
        return error.request_sent
    if isinstance(error, ProviderTimeoutError):
        return error.timeout != "connect_timeout"
    if isinstance(error, ServerError):
        return error.status_code in _GATEWAY_TIMEOUTS
    return isinstance(error, StreamInterruptedError | MalformedResponseError)


def waits(minimum: float, maximum: float, multiplier: float) -> Iterator[float]:
    """Yield the seconds to wait before retry n = 1, 2, ...: uniform(min, min(max, min * multiplier**n)).

    The exponential ceiling relieves a struggling provider; the jitter keeps callers that failed together from
    returning together, and the minimum from returning at once.

    Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 (full jitter), with a floor.
    """
    import backoff  # it imports asyncio, which most processes have by the time they retry

    ceilings = backoff.expo(base=multiplier, factor=minimum, max_value=maximum)
    next(ceilings)  # backoff primes its generators with an empty value,
    next(ceilings)  # and begins at n = 0
    for ceiling in ceilings:
        yield minimum + backoff.full_jitter(max(0.0, ceiling - minimum))


def wait_before_retry(schedule: Iterator[float], error: AsyncLLMError) -> float:
    """Return the next wait of a schedule in seconds, never less than the provider asked for."""
    wait: float = next(schedule)
    asked: float | None = getattr(error, "retry_after", None)
    if asked is None:
        return wait
    # A little more than asked: all callers that were told the same would otherwise return in the same millisecond.
    return max(wait, asked + random.uniform(0, min(1.0, 0.1 * asked)))
