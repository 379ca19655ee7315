"""The rate that a provider declares in its `x-ratelimit-*` headers, read until it can be believed; pure."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

# Rates are counted over one of these in seconds; a limit a day is a quota, and going by it evenly would be slow for
# nothing.
WINDOWS_S = (1.0, 60.0)
TOLERANCE = 0.1
# Readings that must agree, and how much of the limit is used in them; with less, rounding hides everything.
READINGS = 5
LEAST_USED = 10
SPREAD = 1.5  # between the least and the most used of them: the same number over and over proves nothing

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")


@dataclass(frozen=True, slots=True)
class HeaderReading:
    """What one answer said.

    Attributes:
        limit: Requests in a window.
        used: Those used of it.
        reset_s: Seconds until all of it is there again.
        at: When the request was sent, which is when the provider counted it.
    """

    limit: int
    used: int
    reset_s: float
    at: float


class RateLimitHeaders:
    """Believes a limit when several readings agree on it, under one of the two ways in which providers count.

    Where a bucket fills steadily, the time until it is full is the same for each request used. Where windows start
    anew, the end of the window stands still while more and more is used, and moves by a window at once.
    """

    def __init__(self) -> None:
        self._readings: deque[HeaderReading] = deque(maxlen=READINGS)
        self._limit: str | None = None
        self._believed = False
        self._ended_at: float | None = None

    def read(self, headers: Mapping[str, str], at: float) -> float | None:
        """Read an answer's headers.

        Args:
            headers: The `x-ratelimit-*` headers, lower case.
            at: When the request was sent, in monotonic seconds.

        Returns:
            The rate in requests a second when it has just become believable; else None.
        """
        limit = headers.get("x-ratelimit-limit-requests")
        if limit is None or (self._believed and limit == self._limit):
            return None
        if limit != self._limit:
            self._limit, self._believed, self._ended_at = limit, False, None
            self._readings.clear()
        reading = _reading(headers, at)
        if reading is None:
            self._readings.clear()
            return None
        self._readings.append(reading)
        window_s = self._steady() or self._renewed()
        if window_s is None:
            return None
        self._believed = True
        return reading.limit / window_s

    def _steady(self) -> float | None:
        readings = self._readings
        if len(readings) < READINGS or not _spread([reading.used for reading in readings]):
            return None
        windows = {_window(reading.limit * reading.reset_s / reading.used) for reading in readings}
        return windows.pop() if len(windows) == 1 else None

    def _renewed(self) -> float | None:
        readings = self._readings
        if len(readings) < READINGS or not _spread([reading.used for reading in readings]):
            return None
        ends = [reading.at + reading.reset_s for reading in readings]
        if max(ends) - min(ends) > TOLERANCE * WINDOWS_S[0]:
            return None
        before, self._ended_at = self._ended_at, sum(ends) / len(ends)
        window_s = None if before is None else _window(self._ended_at - before)
        readings.clear()
        return window_s


def _reading(headers: Mapping[str, str], at: float) -> HeaderReading | None:
    """Return what headers say; None when a part is missing, or they contradict themselves."""
    try:
        limit = int(headers["x-ratelimit-limit-requests"])
        remaining = int(headers["x-ratelimit-remaining-requests"])
        reset_s = duration_s(headers["x-ratelimit-reset-requests"])
    except (KeyError, ValueError):
        return None
    used = limit - remaining
    if limit <= 0 or remaining < 0 or used < min(LEAST_USED, limit / 4) or used <= 0 or not reset_s:
        return None
    return HeaderReading(limit, used, reset_s, at)


def duration_s(text: str) -> float | None:
    """Read `6m0s`, `120ms` or `59.7`, as seconds; None for anything else."""
    try:
        return float(text)
    except ValueError:
        found = _DURATION.fullmatch(text.strip())
    if found is None or not text.strip():
        return None
    hours, minutes, seconds, milliseconds = (float(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000


def _window(seconds: float) -> float | None:
    return next((known for known in WINDOWS_S if abs(seconds / known - 1) <= TOLERANCE), None)


def _spread(values: list[int]) -> bool:
    return max(values) >= SPREAD * min(values)
