"""The wait that a provider asks for: one parser of headers, error bodies and messages.

In this order:

1. `retry-after-ms`: milliseconds (OpenAI, Azure).
2. `retry-after`: seconds, a fraction of them, or an HTTP date (RFC 9110, section 10.2.3).
3. `error.details` with a `retryDelay` such as `34.5s` (google.rpc.RetryInfo).
4. Reset headers in `error.metadata.headers` (OpenRouter), read as those of the response.
5. `x-ratelimit-reset*` and `anthropic-ratelimit-*-reset` whose remaining is 0: durations (`1m2.5s`), seconds, epoch
   seconds or milliseconds, RFC 3339.
6. The message: `try again in 1m42.653s`, `retry after 2 seconds` (OpenAI, Groq, Azure).
"""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Mapping
from datetime import datetime

from asyncllm.narrowing import is_list, is_mapping

from .headers import lower_case

# Quotas are renewed every month at the latest; more is a time stamp or nonsense, and would never pass.
_LONGEST_WAIT_S = 31 * 86_400
# Numbers from here on are moments: September 2001 in seconds, and in milliseconds.
_EPOCH_S, _EPOCH_MS = 1e9, 1e12
# Statuses whose waits may stand elsewhere than in `retry-after`: throttled, unavailable, overloaded.
_THROTTLED = frozenset((429, 503, 529))

_UNITS_S = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_WORDS_S = {"milli": 0.001, "sec": 1.0, "min": 60.0, "hour": 3_600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|[dhms])")
_IN_WORDS = re.compile(
    r"(?:(?:try again|retry|available|resets?)(?: \w+){0,2}? (?:in|after)|wait(?: for)?) (?:about )?"
    r"(?:(?P<duration>(?:\d+(?:\.\d+)?(?:ms|[dhms]))+)(?![a-z])"
    r"|(?P<number>\d+(?:\.\d+)?) ?(?P<unit>millisecond|sec|min|hour))",
    re.IGNORECASE,
)


def asked_wait(
    status: int,
    headers: Mapping[str, str],
    details: object = None,
    metadata: object = None,
    message: str = "",
    now: float | None = None,
) -> float | None:
    """Return the seconds that a provider asks to wait; None when it asks for none, or for more than a month.

    Args:
        status: The status on the wire. Resets and messages count for 429, 503 and 529 alone.
        headers: The response headers, lower case.
        details: `error.details` of the body.
        metadata: `error.metadata` of the body.
        message: The message of the error.
        now: Unix time in seconds; the clock's when not given.
    """
    now = time.time() if now is None else now
    wait = _retry_after(headers, now)
    if wait is None and status in _THROTTLED:
        inner = metadata.get("headers") if is_mapping(metadata) else None
        texts = {str(name): str(value) for name, value in inner.items()} if is_mapping(inner) else {}
        found = (retry_delay(details), _reset(lower_case(texts), now), _reset(headers, now), _in_words(message))
        wait = next((one for one in found if one is not None), None)
    return wait if wait is not None and wait <= _LONGEST_WAIT_S else None


def should_retry(headers: Mapping[str, str]) -> bool | None:
    """Return what `x-should-retry` says; None when it is missing. Source: the SDKs of OpenAI and Anthropic."""
    return {"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower())


def retry_delay(details: object) -> float | None:
    """Return the delay in the details of a Google error; None for none, or for a quota of the whole day."""
    objects = [detail for detail in details if is_mapping(detail)] if is_list(details) else []
    if "PerDay" in str([detail.get("violations") for detail in objects]):
        return None
    return next((_duration_s(str(detail["retryDelay"])) for detail in objects if "retryDelay" in detail), None)


def _retry_after(headers: Mapping[str, str], now: float) -> float | None:
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after", "")
    seconds = _number(value)
    return _until(value, now) if seconds is None else seconds


def _reset(headers: Mapping[str, str], now: float) -> float | None:
    """Return the longest of the resets whose remaining is 0."""
    waits = [
        _moment_or_duration_s(value, now)
        for name, value in headers.items()
        if "ratelimit" in name and "reset" in name and _number(headers.get(name.replace("reset", "remaining"), "")) == 0
    ]
    return max((wait for wait in waits if wait is not None), default=None)


def _moment_or_duration_s(text: str, now: float) -> float | None:
    number = _number(text)
    if number is None:
        duration = _duration_s(text.strip())
        return _until(text.strip(), now) if duration is None else duration
    if number >= _EPOCH_MS:
        return max(0.0, number / 1000 - now)
    return max(0.0, number - now) if number >= _EPOCH_S else number


def _in_words(message: str) -> float | None:
    found = _IN_WORDS.search(message)
    if found is None:
        return None
    if found["duration"] is not None:
        return _duration_s(found["duration"].lower())
    unit = found["unit"].lower()
    return float(found["number"]) * next(seconds for word, seconds in _WORDS_S.items() if unit.startswith(word))


def _duration_s(text: str) -> float | None:
    """Read `1h2m3s`, `20ms` or `34.5s` as seconds; None for anything else."""
    parts: list[tuple[str, str]] = _DURATION.findall(text)
    if not parts or "".join(map("".join, parts)) != text:
        return None
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts)


def _until(text: str, now: float) -> float | None:
    """Return the seconds until a moment in RFC 3339 or in the form of an HTTP date; None for anything else."""
    try:
        moment = datetime.fromisoformat(text) if text[:4].isdecimal() else email.utils.parsedate_to_datetime(text)
        return max(0.0, moment.timestamp() - now)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None  # nor is NaN a wait
