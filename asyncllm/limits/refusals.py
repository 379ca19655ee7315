"""Refusals with 429 of one provider endpoint: their event, and the remedy for a configured rate that is too high."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping

from .. import telemetry
from ..errors import RateLimitError
from .adaptive.rate_limit_headers import duration_s

# Seconds between two events of a kind: limits may alternate quickly, and a storm has hundreds of refusals a second.
TOLD_EVERY_S = 1.0
# Refusals within a minute after which a configured rate is wrong rather than unlucky.
ENOUGH, MINUTE_S = 10, 60.0


class Refusals:
    """Logs the 429s of an endpoint, at most once a second, and once that a configured rate is too high; thread-safe.

    Args:
        clock: Returns the monotonic time in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._unlogged = 0
        self._logged_at = -math.inf
        self._counted = 0
        self._counted_from = -math.inf
        self._is_explained = False

    def add(self, error: RateLimitError, model: str, rates: Mapping[str, float]) -> None:
        """Note a 429.

        Args:
            error: The refusal.
            model: The model that was asked.
            rates: The configured rates, by the names of their fields.
        """
        now = self._clock()
        with self._lock:
            self._unlogged += 1
            unlogged = self._unlogged
            is_due = now - self._logged_at >= TOLD_EVERY_S
            if is_due:
                self._logged_at, self._unlogged = now, 0
            if now - self._counted_from > MINUTE_S:
                self._counted, self._counted_from = 0, now
            self._counted += 1
            explanation = None
            if rates and self._counted >= ENOUGH and not self._is_explained:
                explanation = _explanation(rates, error.rate_limits, self._counted)
                self._is_explained = explanation is not None
        if is_due:
            telemetry.emit(
                telemetry.INFO,
                "limits.throttled",
                model=model,
                status_code=error.status_code,
                message=error.message,
                retry_after=error.retry_after,
                count=unlogged,
            )
        if explanation is not None:
            telemetry.emit(
                telemetry.WARNING,
                "limits.rate_too_high",
                model=model,
                **rates,
                message=explanation,
                remedy="Lower it to the account's limit; or leave it out, and a batch finds the limit.",
            )


def refusal_remedy(error: RateLimitError, rates: Mapping[str, float], *, is_adaptive: bool) -> str:
    """Return the remedy for a 429 that ends a call.

    Args:
        error: The refusal.
        rates: The configured rates, by the names of their fields.
        is_adaptive: Whether the adaptive control is asked for, which a configured rate replaces.
    """
    if too_high := _too_high(rates, error.rate_limits):
        return f"{too_high} Lower it."
    if rates:
        return f"Lower {' or '.join(rates)}, or leave it out and set adaptive = true, which finds the limit."
    if is_adaptive:
        return "Come back later, or ask the provider for a higher limit."
    return "Set requests_per_minute or tokens_per_minute to the account's limit, or adaptive = true, which finds it."


def _explanation(rates: Mapping[str, float], headers: Mapping[str, str], count: int) -> str | None:
    """Return why configured rates do not prevent 429s; None where the provider declares that it allows as much."""
    if too_high := _too_high(rates, headers):
        return too_high
    if all(_declared(headers, name) is not None for name in rates):
        return None
    shown = " and ".join(f"{name} = {rate:.15g}" for name, rate in rates.items())
    return f"{count} requests within a minute were refused with 429 at {shown}: the provider allows less."


def _too_high(rates: Mapping[str, float], headers: Mapping[str, str]) -> str | None:
    """Return which configured rate exceeds what headers declare, as a sentence."""
    for name, rate in rates.items():
        limit = _declared(headers, name)
        if limit is not None and rate > limit[1]:
            return f"{name} = {rate:.15g} is more than the provider's limit: its headers say {limit[0]}."
    return None


def _declared(headers: Mapping[str, str], rate: str) -> tuple[int, int] | None:
    """Return the limit that headers declare for a rate, and the most that it may be in a minute; None without one."""
    kind = rate.removesuffix("_per_minute")
    text = headers.get(f"x-ratelimit-limit-{kind}") or headers.get(f"anthropic-ratelimit-{kind}-limit") or ""
    if not (text.isascii() and text.isdigit()) or not int(text):
        return None
    # What is used up and back within a second may be the limit of a second.
    reset_s = duration_s(headers.get(f"x-ratelimit-reset-{kind}", ""))
    return int(text), int(text) * (60 if reset_s is not None and reset_s <= 1.0 else 1)
