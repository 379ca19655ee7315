"""Costs of calls, actual and worst case."""

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
    """Return the cost of a usage, as litellm computes it.

    Args:
        usage: The tokens; a kind that is None counts as 0.
        prices: The prices, or the model that has them.
        service_tier: The tier that served the request (`flex`, `priority`, `batch`, ...).
        cache_write_1h_tokens: How many of the tokens written to the cache are kept for an hour rather than minutes;
            None for those that the usage has.
        when: The time of the request, with a time zone; None: now. Off-peak prices depend on it.

    Returns:
        US dollars; None when the tokens, or a price that they need, are unknown. Never 0 for an unknown cost.
    """
    prices = prices.prices if isinstance(prices, ModelInfo) else prices
    if prices is None or usage.input_tokens is None or usage.output_tokens is None:
        return None
    if prices.off_peak is not None and when is None:
        when = datetime.now(UTC)
    rates = prices.rates(usage.input_tokens, service_tier=service_tier, when=when)
    if (
        not (usage.cached_tokens or usage.cache_write_tokens or usage.reasoning_tokens or usage.web_searches)
        and not (usage.audio_input_tokens or usage.audio_output_tokens)
        and rates.input is not None
        and rates.output is not None
    ):
        return usage.input_tokens * rates.input + usage.output_tokens * rates.output  # nearly every answer
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
    """Return the most that a request can cost: nothing cached, the longest answer, peak prices.

    Args:
        prices: The prices, or the model that has them.
        input_tokens: The tokens of the prompt, at the upper end of an estimate.
        max_output_tokens: The most tokens of the answer, reasoning included.
        service_tier: The tier that the request asks for.
        writes_cache: Whether the prompt is written to the provider's cache, which may cost more than the prompt.
        audio: Whether the prompt or the answer may contain audio.

    Returns:
        US dollars; None when no price is known.
    """
    prices = prices.prices if isinstance(prices, ModelInfo) else prices
    if prices is None:
        return None
    rates = prices.rates(input_tokens, service_tier=service_tier)
    cached = (rates.cache_write, rates.cache_write_1h) if writes_cache else ()
    audio_input, audio_output = (rates.audio_input, rates.audio_output) if audio else (None, None)
    return _sum(
        (
            (input_tokens, _highest(rates.input, audio_input, *cached)),
            (max_output_tokens, _highest(rates.output, rates.reasoning, audio_output)),
        )
    )


_Part = tuple[int, float | None]  # tokens and their rate


def _input_parts(usage: Usage, rates: Rates, cache_write_1h_tokens: int) -> tuple[_Part, ...]:
    cached = usage.cached_tokens or 0
    written = usage.cache_write_tokens or 0
    kept = min(cache_write_1h_tokens, written)
    fresh = max((usage.input_tokens or 0) - cached - written, 0)
    # Cached tokens are charged once, as cached, of any kind.
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


def _highest(needed: float | None, *others: float | None) -> float | None:
    """Return the highest of the rates; None when the needed one is unknown."""
    return None if needed is None else max(rate for rate in (needed, *others) if rate is not None)
