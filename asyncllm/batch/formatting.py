"""Formatting for people: durations, numbers, dollars, tokens, and texts that a terminal can show."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from ..completions.usage import Basis, Usage

# Control characters of terminals: a text from outside must not move the cursor or rename the window.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def duration(seconds: float) -> str:
    """Return a duration with the units that matter: `20 ms`, `45 s`, `12 min`, `3 h 20 min`, `2 d 4 h`."""
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


def number(value: float) -> str:
    """Return a number with three significant digits, or all of its integer part."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def dollars(cost: float | None, basis: Basis = "known") -> str:
    """Return a cost in US dollars; `unknown` for None."""
    if cost is None:
        return "unknown"
    # Single calls cost fractions of a cent: as many digits as it takes to see three significant ones.
    digits = ",.2f" if cost >= 1 or cost == 0 else ".3g" if cost >= 1e-4 else ".7f"
    return f"{'about ' if basis == 'estimated' else ''}${cost:{digits}}"


def tokens(usage: Usage) -> str:
    """Return the tokens of a call, in and out."""
    if usage.basis == "unknown":
        return "tokens unknown"
    about = "about " if usage.basis == "estimated" else ""
    return f"{about}{usage.input_tokens or 0:,} + {usage.output_tokens or 0:,} tokens"


def limit_name(name: str) -> str:
    """Return what limited the pace of a batch, from its name in the journal."""
    return _LIMITS.get(name, name)


def printable(text: str) -> str:
    """Replace the control characters of terminals; line breaks and tabs stay."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))


def draws(stream: TextIO) -> bool:
    """Return whether a stream is a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM", "") not in ("dumb", "")


_LIMITS = {
    "adaptive": "the provider's limit, as found",
    "budget": "the budget",
    "tenant": "the limits of its tenant",
    "cooldown": "the provider asked to wait",
    "consumer": "writing the results",
    "input": "reading the input",
    "slots": "max_concurrency",
    "requests": "requests_per_minute",
    "tokens": "tokens_per_minute",
}
