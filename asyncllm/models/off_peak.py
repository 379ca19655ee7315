"""The hours in which a provider charges less."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, tzinfo
from typing import Any


@dataclass(frozen=True, slots=True)
class DailyHours:
    """A span of hours on some days of the week.

    Attributes:
        start: When it opens, UTC.
        end: When it closes, UTC; at or before `start` it closes on the next day.
        weekdays: The days on which it holds, 1 for Monday to 7; None for every day.
    """

    start: time
    end: time
    weekdays: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class OffPeak:
    """The windows in which a model is cheaper.

    Attributes:
        windows: The open hours; one that matches is enough.
        timezone: The calendar on which weekdays are read; the hours themselves are UTC.
    """

    windows: tuple[DailyHours, ...]
    timezone: str = "UTC"

    def applies(self, when: datetime) -> bool:
        """Tell whether `when`, which must carry a time zone, falls into a window."""
        weekday = when.astimezone(_calendar(self.timezone)).isoweekday()
        now = when.astimezone(UTC).time()
        return any(
            (window.weekdays is None or weekday in window.weekdays) and _contains(window, now)
            for window in self.windows
        )


def parse_off_peak(block: Mapping[str, Any]) -> OffPeak:
    """Read the `off_peak_pricing` of litellm's map: hours as "HH:MM-HH:MM" in UTC, for all days or named ones."""
    rules = [{"hours_utc": block.get("hours_utc", ())}, *block.get("windows", ())]
    windows = tuple(window for rule in rules for window in _windows(rule))
    return OffPeak(windows, block.get("weekday_timezone", "UTC"))


def _calendar(name: str) -> tzinfo:
    # A handful of models need it, and its import is a fifth of this package's.
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except ZoneInfoNotFoundError:
        # A machine without the time zone database; litellm falls back alike.
        return UTC


def _windows(rule: Mapping[str, Any]) -> Iterable[DailyHours]:
    hours = rule["hours_utc"]
    days = rule.get("weekdays")
    for span in (hours,) if isinstance(hours, str) else hours:
        start, _, end = span.partition("-")
        yield DailyHours(_time(start), _time(end), None if days is None else frozenset(days))


def _time(text: str) -> time:
    hour, _, minute = text.strip().partition(":")
    return time(int(hour), int(minute))


def _contains(window: DailyHours, now: time) -> bool:
    if window.start < window.end:
        return window.start <= now < window.end
    return now >= window.start or now < window.end
