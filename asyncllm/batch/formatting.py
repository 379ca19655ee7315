"""Figures in words, short enough for an axis or a table."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Say a duration with the units that count: `20 ms`, `45 s`, `12 min`, `3 h 20 min`, `2 d 4 h`."""
    if seconds == 0:
        return "0"
    if seconds < 0.9995:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 100:
        return f"{seconds:.3g} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h" + (f" {minutes % 60} min" if minutes % 60 else "")
    hours = round(minutes / 60)
    return f"{hours // 24} d" + (f" {hours % 24} h" if hours % 24 else "")


def reason(name: str) -> str:
    """Say what held a run back, by its name in the journal."""
    return _REASONS.get(name, name)


_REASONS = {
    "adaptive": "the provider's limit, as found",
    "budget": "the budget",
    "closed": "the provider asked to wait",
    "consumer": "writing the results",
    "input": "reading the input",
    "slots": "max_concurrency",
    "requests": "requests_per_minute",
    "tokens": "tokens_per_minute",
}


def number(value: float) -> str:
    """Say a number with three digits that count, or all of it where it is larger."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def dollars(cost: float | None) -> str:
    """Say what something cost."""
    if cost is None:
        return "unknown"
    # Single calls cost fractions of a cent: as many digits as it takes to see three that count.
    if cost >= 1 or cost == 0:
        return f"${cost:,.2f}"
    return f"${cost:.3g}" if cost >= 1e-4 else f"${cost:.7f}"
