"""HTTP headers: names in one case, and what a response's headers say of waits, limits and its request."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Mapping

# Quotas are renewed every month at the latest; more is a time stamp or nonsense, and would never pass.
_LONGEST_WAIT_S = 31 * 86_400


def lower_case(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers with their names in lower case."""
    return {name.lower(): value for name, value in headers.items()}


def with_headers(headers: Mapping[str, str], others: Mapping[str, str] | None) -> Mapping[str, str]:
    """Return headers with others over them, whatever the case of their names."""
    if not others:
        return headers
    replaced = {name.lower() for name in others}
    return {**{name: value for name, value in headers.items() if name.lower() not in replaced}, **others}


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Return the seconds that the headers ask to wait; None when they do not, or not sensibly.

    `retry-after-ms` in milliseconds, `retry-after` as seconds, a fraction of them, or an HTTP date.
    Source: RFC 9110, section 10.2.3; the milliseconds are OpenAI's and Azure's.

    Args:
        headers: The response headers, lower case.
        now: Unix time in seconds; the clock's when not given.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return _sensible(milliseconds / 1000)
    value = headers.get("retry-after")
    if value is None:
        return None
    seconds = _number(value)
    if seconds is not None:
        return _sensible(seconds)
    try:
        at = email.utils.parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError):
        return None
    return _sensible(max(0.0, at.timestamp() - (time.time() if now is None else now)))


def wait_in_seconds(text: str) -> float | None:
    """Return the seconds of a wait that a body names (`34.5s`, as Google's do); None when they are not sensible."""
    return _sensible(_number(text.removesuffix("s")))


def request_id(headers: Mapping[str, str]) -> str | None:
    """Return the provider's id of a request from its response headers."""
    for name in ("x-request-id", "request-id", "apim-request-id", "x-amzn-requestid"):
        if name in headers:
            return headers[name]
    return None


def rate_limits(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the rate-limit headers, lower case."""
    return {name: value for name, value in headers.items() if "ratelimit" in name}


def _sensible(seconds: float | None) -> float | None:
    return seconds if seconds is not None and seconds <= _LONGEST_WAIT_S else None


def _number(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else -1.0
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None  # nor is NaN a wait
