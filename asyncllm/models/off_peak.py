"""Off-peak hours, in which a provider charges less."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, tzinfo

from ..narrowing import is_list, is_mapping, list_or_empty


@dataclass(frozen=True, slots=True)
class DailyHours:
    """A span of hours on some days of the week.

    Attributes:
        start: Its start, UTC.
        end: Its end, UTC, exclusive; at or before `start` it is on the next day.
        weekdays: The days it applies to, 1 (Monday) to 7; None for every day.
    """

    start: time
    end: time
    weekdays: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class OffPeak:
    """The hours in which a model is cheaper.

    Attributes:
        windows: The spans; one that matches is enough.
        timezone: The time zone of the weekdays; the hours themselves are UTC.
    """

    windows: tuple[DailyHours, ...]
    timezone: str = "UTC"

    def applies(self, when: datetime) -> bool:
        """Return whether `when`, which must have a time zone, is off-peak."""
        weekday = when.astimezone(_calendar(self.timezone)).isoweekday()
        now = when.astimezone(UTC).time()
        return any(
            (window.weekdays is None or weekday in window.weekdays) and _contains(window, now)
            for window in self.windows
        )


def parse_off_peak(block: Mapping[str, object]) -> OffPeak:
    """Parse the `off_peak_pricing` of litellm's map: hours as "HH:MM-HH:MM" in UTC, for all days or for some."""
    rules = [{"hours_utc": block.get("hours_utc")}, *filter(is_mapping, list_or_empty(block.get("windows")))]
    windows = tuple(window for rule in rules for window in _windows(rule))
    return OffPeak(windows, str(block.get("weekday_timezone", "UTC")))


def _calendar(name: str) -> tzinfo:
    # Few models need it, and its import takes a fifth as long as that of this package.
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except ZoneInfoNotFoundError:
        # A machine without the time zone database; litellm falls back the same way.
        return UTC


def _windows(rule: Mapping[str, object]) -> Iterable[DailyHours]:
    hours = rule.get("hours_utc")
    days = rule.get("weekdays")
    weekdays = frozenset(day for day in days if isinstance(day, int)) if is_list(days) else None
    for span in (hours,) if isinstance(hours, str) else list_or_empty(hours):
        start, _, end = str(span).partition("-")
        yield DailyHours(_time(start), _time(end), weekdays)


def _time(text: str) -> time:
    hour, _, minute = text.strip().partition(":")
    return time(int(hour), int(minute))


def _contains(window: DailyHours, now: time) -> bool:
    if window.start < window.end:
        return window.start <= now < window.end
    return now >= window.start or now < window.end
