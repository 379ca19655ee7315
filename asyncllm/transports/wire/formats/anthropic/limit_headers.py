"""Conversion of Anthropic's rate-limit headers to `x-ratelimit-*`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

_PREFIX = "anthropic-ratelimit-"
_KINDS = ("requests", "tokens", "input-tokens", "output-tokens")
_FIGURES = ("limit", "remaining")


def limit_headers(headers: Mapping[str, str], now: datetime | None = None) -> dict[str, str]:
    """Return `x-ratelimit-*` headers for Anthropic's own.

    `anthropic-ratelimit-*-reset`, the time at which a limit is fully replenished, becomes a duration (`59.700s`).

    Args:
        headers: The response headers, lower case.
        now: The time with its zone; the clock's when not given.
    """
    found: dict[str, str] = {}
    for kind in _KINDS:
        for figure in _FIGURES:
            value = headers.get(f"{_PREFIX}{kind}-{figure}")
            if value is not None:
                found[f"x-ratelimit-{figure}-{kind}"] = value
        left_s = _seconds_until(headers.get(f"{_PREFIX}{kind}-reset"), now)
        if left_s is not None:
            found[f"x-ratelimit-reset-{kind}"] = f"{left_s:.3f}s"
    return found


def _seconds_until(text: str | None, now: datetime | None) -> float | None:
    """Return the seconds until an RFC 3339 time, at least 0; None when it is invalid."""
    try:
        at = datetime.fromisoformat(text) if text is not None else None
    except ValueError:
        return None
    if at is None or at.tzinfo is None:
        return None
    return max(0.0, (at - (now or datetime.now(UTC))).total_seconds())
