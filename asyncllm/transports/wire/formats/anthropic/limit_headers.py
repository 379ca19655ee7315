"""Conversion of Anthropic's rate-limit headers to `x-ratelimit-*`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

_PREFIX = "anthropic-ratelimit-"
_KINDS = ("requests", "tokens", "input-tokens", "output-tokens")
_COPIED = tuple(
    (f"{_PREFIX}{kind}-{figure}", f"x-ratelimit-{figure}-{kind}")
    for kind in _KINDS
    for figure in ("limit", "remaining")
)
_RESETS = tuple((f"{_PREFIX}{kind}-reset", f"x-ratelimit-reset-{kind}") for kind in _KINDS)


def limit_headers(headers: Mapping[str, str], now: datetime | None = None) -> dict[str, str]:
    """Return `x-ratelimit-*` headers for Anthropic's own.

    `anthropic-ratelimit-*-reset`, the time at which a limit is fully replenished, becomes a duration (`59.700s`).

    Args:
        headers: The response headers, lower case.
        now: The time with its zone; the clock's when not given.
    """
    found = {name: headers[own] for own, name in _COPIED if own in headers}
    for own, name in _RESETS:
        left_s = _seconds_until(headers[own], now) if own in headers else None
        if left_s is not None:
            found[name] = f"{left_s:.3f}s"
    return found


def _seconds_until(text: str, now: datetime | None) -> float | None:
    """Return the seconds until an RFC 3339 time, at least 0; None when it is invalid."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    if at.tzinfo is None:
        return None
    return max(0.0, (at - (now or datetime.now(UTC))).total_seconds())
