"""What a call costs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from .info import ModelInfo
from .prices import Prices, Rates

if TYPE_CHECKING:
    from ..completions.usage import Usage


def cost_usd(
    usage: Usage,
    prices: Prices | ModelInfo | None,
    *,
    service_tier: str | None = None,
    cache_write_1h_tokens: int | None = None,
    when: datetime | None = None,
) -> float | None:
    """Return what a usage costs, as litellm computes it.

    Args:
        usage: The tokens; a part of them that is None counts as none.
        prices: The prices, or the model that has them.
        service_tier: The tier the request was served at (`flex`, `priority`, `batch`, ...).
        cache_write_1h_tokens: How many of the tokens written to the cache are kept for an hour rather than minutes;
            None: those that the usage has.
        when: When the request was made, with a time zone; None: now. It matters where nights are cheaper.

    Returns:
        US dollars; None when the tokens are unknown, or a price that they need is. Never 0 for an unknown.
    """
    prices = prices.prices if isinstance(prices, ModelInfo) else prices
    if prices is None or usage.input_tokens is None or usage.output_tokens is None:
        return None
    if prices.off_peak is not None and when is None:
        when = datetime.now(UTC)
    rates = prices.rates(usage.input_tokens, service_tier=service_tier, when=when)
    kept = usage.cache_write_1h_tokens if cache_write_1h_tokens is None else cache_write_1h_tokens
    parts = (*_input_parts(usage, rates, kept or 0), *_output_parts(usage, rates))
    return _sum((*parts, (usage.web_searches, prices.web_search)) if usage.web_searches else parts)


def worst_case_cost(
    prices: Prices | ModelInfo | None,
    *,
    input_tokens: int,
    max_output_tokens: int,
    service_tier: str | None = None,
    writes_cache: bool = False,
    audio: bool = False,
) -> float | None:
    """Return the most that a request can cost: nothing cached, the answer as long as it may be, no cheap hours.

    Args:
        prices: The prices, or the model that has them.
        input_tokens: The tokens of the prompt, at the upper end of an estimate.
        max_output_tokens: The most tokens of the answer, reasoning included.
        service_tier: The tier that the request asks for.
        writes_cache: Whether the request asks the provider to cache the prompt, which may cost more than the prompt.
        audio: Whether there may be audio in the prompt or the answer.

    Returns:
        US dollars; None when no price is known.
    """
    prices = prices.prices if isinstance(prices, ModelInfo) else prices
    if prices is None:
        return None
    rates = prices.rates(input_tokens, service_tier=service_tier)
    cached = (rates.cache_write, rates.cache_write_1h) if writes_cache else ()
    heard, spoken = (rates.audio_input, rates.audio_output) if audio else (None, None)
    return _sum(
        (
            (input_tokens, _dearest(rates.input, heard, *cached)),
            (max_output_tokens, _dearest(rates.output, rates.reasoning, spoken)),
        )
    )


_Part = tuple[int, float | None]


def _input_parts(usage: Usage, rates: Rates, cache_write_1h_tokens: int) -> tuple[_Part, ...]:
    if not (usage.cached_tokens or usage.cache_write_tokens or usage.audio_input_tokens):
        return ((usage.input_tokens or 0, rates.input),)  # nearly every answer
    cached = usage.cached_tokens or 0
    written = usage.cache_write_tokens or 0
    kept = min(cache_write_1h_tokens, written)
    fresh = max((usage.input_tokens or 0) - cached - written, 0)
    # What the cache covers is charged once, as cached, whichever kind of token it is.
    audio = min(usage.audio_input_tokens or 0, fresh)
    cache_write = _or(rates.cache_write, rates.input)
    return (
        (fresh - audio, rates.input),
        (audio, _or(rates.audio_input, rates.input)),
        (cached, _or(rates.cached_input, rates.input)),
        (written - kept, cache_write),
        (kept, _or(rates.cache_write_1h, cache_write)),
    )


def _output_parts(usage: Usage, rates: Rates) -> tuple[_Part, ...]:
    if not (usage.reasoning_tokens or usage.audio_output_tokens):
        return ((usage.output_tokens or 0, rates.output),)
    reasoning = usage.reasoning_tokens or 0
    audio = usage.audio_output_tokens or 0
    return (
        (max((usage.output_tokens or 0) - reasoning - audio, 0), rates.output),
        (reasoning, _or(rates.reasoning, rates.output)),
        (audio, _or(rates.audio_output, rates.output)),
    )


def _sum(parts: tuple[_Part, ...]) -> float | None:
    total = 0.0
    for tokens, rate in parts:
        if tokens and rate is None:
            return None
        total += tokens * (rate or 0.0)
    return total


def _or(rate: float | None, fallback: float | None) -> float | None:
    return fallback if rate is None else rate


def _dearest(needed: float | None, *others: float | None) -> float | None:
    """Return the highest of the rates; None when the one that is always needed is unknown."""
    return None if needed is None else max(rate for rate in (needed, *others) if rate is not None)
