"""Prices of models: rates per token, long-context steps, service tiers and off-peak hours."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime

from ..narrowing import is_list, is_mapping, list_or_empty, mapping_or_empty
from .off_peak import OffPeak, parse_off_peak


@dataclass(frozen=True, slots=True)
class Rates:
    """US dollars per token. A kind of token without a rate is charged at the rate in brackets.

    Attributes:
        input: Tokens of the prompt; None when unknown.
        output: Tokens of the answer; None when unknown.
        cached_input: Tokens read from the provider's cache (`input`).
        cache_write: Tokens written to the provider's cache, for five minutes where that matters (`input`).
        cache_write_1h: Tokens written to the provider's cache for an hour (`cache_write`).
        reasoning: Tokens of hidden reasoning (`output`).
        audio_input: Tokens of audio in the prompt (`input`).
        audio_output: Tokens of audio in the answer (`output`).
    """

    input: float | None = None
    output: float | None = None
    cached_input: float | None = None
    cache_write: float | None = None
    cache_write_1h: float | None = None
    reasoning: float | None = None
    audio_input: float | None = None
    audio_output: float | None = None


@dataclass(frozen=True, slots=True)
class Prices:
    """The prices of one model.

    Attributes:
        standard: The rates of a plain request.
        long_context: Steps (tokens, rates), ascending: for a prompt of at least so many tokens, these rates apply to
            all of its tokens and to those of the answer.
        service_tiers: The prices of other service tiers by name: `batch`, `flex`, `priority`, ...
        off_peak: The hours in which `off_peak_rates` apply; None when there are none.
        off_peak_rates: The rates of these hours; where one is None, the usual rate applies.
        web_search: US dollars for a search that the provider makes; None when unknown.
        per_unit: Other prices under litellm's names, for an image, a second, a character or a request
            (`input_cost_per_image`). `cost_usd` ignores them, since a usage does not count these units.

    Example:
        ```python
        prices = AsyncLLM(model="openai/gpt-5-mini").model_info.prices
        print(prices.rates(10_000).input, prices.rates(10_000, service_tier="flex").input)
        ```
    """

    standard: Rates
    long_context: tuple[tuple[int, Rates], ...] = ()
    service_tiers: Mapping[str, Prices] = field(default_factory=dict[str, "Prices"], hash=False)
    off_peak: OffPeak | None = None
    off_peak_rates: Rates = Rates()
    web_search: float | None = None
    per_unit: Mapping[str, float] = field(default_factory=dict[str, float], hash=False)

    def rates(self, input_tokens: int, *, service_tier: str | None = None, when: datetime | None = None) -> Rates:
        """Return the rates of a request.

        Args:
            input_tokens: All tokens of the prompt, cached ones included.
            service_tier: The tier that served the request; without prices of its own it has the standard ones.
            when: The time of the request, with a time zone; None: no off-peak rates.
        """
        if service_tier is not None:
            tier = self.service_tiers.get(_TIER_NAMES.get(service_tier, service_tier))
            if tier is not None:
                return tier.rates(input_tokens, when=when)
        found = self.standard
        for from_tokens, rates in self.long_context:
            if input_tokens < from_tokens:
                break
            found = rates
        if self.off_peak is None or when is None or not self.off_peak.applies(when):
            return found
        return _overlay(found, self.off_peak_rates)


def own_prices(
    input_cost_per_token: float | None = None,
    output_cost_per_token: float | None = None,
    cached_input_cost_per_token: float | None = None,
    *,
    base: Prices | None = None,
) -> Prices | None:
    """Return the prices of a profile, some of which it may set itself.

    A price that is set applies at any length, tier and hour, and to all tokens of its side without a set price of
    their own: `input_cost_per_token` also to cached, cache-write and audio tokens, `output_cost_per_token` also to
    reasoning and audio. The others stay as in `base`.

    Args:
        input_cost_per_token: US dollars for a token of the prompt.
        output_cost_per_token: US dollars for a token of the answer.
        cached_input_cost_per_token: US dollars for a token read from the provider's cache.
        base: The model's own prices; None when unknown.

    Returns:
        The prices; None when none is set or known.
    """

    def override(rates: Rates) -> Rates:
        if input_cost_per_token is not None:
            rates = replace(rates, **_side("input", input_cost_per_token))
        if cached_input_cost_per_token is not None:
            rates = replace(rates, cached_input=cached_input_cost_per_token)
        return rates if output_cost_per_token is None else replace(rates, **_side("output", output_cost_per_token))

    own = (input_cost_per_token, output_cost_per_token, cached_input_cost_per_token)
    if all(price is None for price in own):
        return base
    return _map_rates(base if base is not None else Prices(Rates()), override)


def batch_prices(prices: Prices) -> tuple[Prices, bool]:
    """Return the prices of a provider's batch API, and whether they are known rather than its usual half."""
    known = prices.service_tiers.get("batch")
    if known is not None:
        return known, True
    # OpenAI, Azure, Anthropic, Gemini, Mistral and Groq charge half, by their price lists.

    def half(rates: Rates) -> Rates:
        return Rates(**{f.name: None if (rate := getattr(rates, f.name)) is None else rate / 2 for f in fields(Rates)})

    return _map_rates(prices, half), False


def parse_prices(entry: Mapping[str, object]) -> Prices | None:
    """Parse the prices of an entry of litellm's map, as litellm applies them.

    Returns:
        The prices; None when the entry has none.
    """
    entry = _as_provider_charges(entry)
    unit_prices = {key: price for key in _PER_UNIT if (price := _number(entry, key)) is not None}
    standard = _parse_tier(entry, "")
    if standard is None:
        return Prices(Rates(), per_unit=unit_prices) if unit_prices else None
    tiers = {name: _parse_tier(entry, f"_{suffix}") for name, suffix in _TIERS.items()}
    pricing = entry.get("off_peak_pricing")
    off_peak = pricing if is_mapping(pricing) and pricing else None
    return replace(
        standard,
        service_tiers={name: prices for name, prices in tiers.items() if prices is not None},
        off_peak=parse_off_peak(off_peak) if off_peak is not None else None,
        off_peak_rates=_flat_rates(off_peak, "") if off_peak is not None else Rates(),
        # Where the price depends on how much is searched, litellm charges the middle.
        web_search=_number(mapping_or_empty(entry.get("search_context_cost_per_query")), "search_context_size_medium"),
        per_unit=unit_prices,
    )


def _parse_tier(entry: Mapping[str, object], suffix: str) -> Prices | None:
    """Parse the prices of a service tier, "" for the standard one; None when the entry does not list the tier."""
    if suffix and all(
        _number(entry, key + suffix) is None for key in ("input_cost_per_token", "output_cost_per_token")
    ):
        return None
    rates = _flat_rates(entry, suffix)
    steps = () if suffix else tuple(_range_steps(entry, rates))
    if steps:
        # Only an empty prompt is below the first step: it costs nothing at any rate.
        return Prices(steps[0][1] if rates.input is None else rates, steps)
    if rates.input is None and rates.output is None:
        return None
    return Prices(rates, tuple(_steps(entry, suffix, rates)))


def _flat_rates(entry: Mapping[str, object], suffix: str) -> Rates:
    def rate(key: str) -> float | None:
        found = _number(entry, key + suffix)
        return _number(entry, key) if found is None else found

    output = rate("output_cost_per_token")
    reasoning = _number(entry, f"output_cost_per_reasoning_token{suffix}")
    # A tier with its own output price charges reasoning at that price, unless it has a reasoning price too.
    if reasoning is None and (not suffix or _number(entry, f"output_cost_per_token{suffix}") is None):
        reasoning = _number(entry, "output_cost_per_reasoning_token")
    return Rates(
        input=rate("input_cost_per_token"),
        # Models that answer in images list only the price of an image token.
        output=output or _number(entry, "output_cost_per_image_token") or output,
        cached_input=rate("cache_read_input_token_cost"),
        cache_write=rate("cache_creation_input_token_cost"),
        cache_write_1h=_number(entry, "cache_creation_input_token_cost_above_1hr"),
        reasoning=reasoning,
        audio_input=rate("input_cost_per_audio_token"),
        audio_output=_number(entry, "output_cost_per_audio_token"),
    )


def _steps(entry: Mapping[str, object], suffix: str, rates: Rates) -> Iterable[tuple[int, Rates]]:
    """Yield the rates of prompts above a length, each step based on the one before."""
    labels = {
        match["tokens"]
        for key in entry
        if (match := _ABOVE.fullmatch(key)) is not None and match["tier"] in ("", suffix)
    }
    for label in sorted(labels, key=_token_count):

        def above(prefix: str, label: str = label) -> float | None:
            key = f"{prefix}_above_{label}_tokens"
            found = _number(entry, key + suffix)
            # A batch has its own flat price, not the standard one for long prompts.
            return _number(entry, key) if found is None and suffix != _BATCHES else found

        rates = _overlay(
            rates,
            Rates(
                input=above("input_cost_per_token"),
                output=above("output_cost_per_token"),
                cached_input=above("cache_read_input_token_cost"),
                cache_write=above("cache_creation_input_token_cost"),
                cache_write_1h=above("cache_creation_input_token_cost_above_1hr"),
            ),
        )
        yield _token_count(label) + (0 if entry.get("litellm_provider") in _INCLUSIVE_STEPS else 1), rates


def _range_steps(entry: Mapping[str, object], flat: Rates) -> Iterable[tuple[int, Rates]]:
    """Yield the steps of a `tiered_pricing` table, ascending."""
    rows: list[tuple[int, Mapping[str, object]]] = []
    for row in filter(is_mapping, list_or_empty(entry.get("tiered_pricing"))):
        bounds = row.get("range")
        if is_list(bounds) and bounds and isinstance(bounds[0], int | float):
            rows.append((int(bounds[0]), row))
    for above, row in sorted(rows, key=lambda step: step[0]):
        yield above + 1, _range_rates(row, flat)


def _range_rates(row: Mapping[str, object], flat: Rates) -> Rates:
    """Return the rates of one row of a `tiered_pricing` table; without an output price, that of the entry applies."""
    has_output = "output_cost_per_token" in row
    return Rates(
        input=_number(row, "input_cost_per_token"),
        output=_number(row, "output_cost_per_token") if has_output else flat.output,
        cached_input=_number(row, "cache_read_input_token_cost"),
        cache_write=_number(row, "cache_creation_input_token_cost"),
        cache_write_1h=_number(row, "cache_creation_input_token_cost_above_1hr"),
        reasoning=_number(row, "output_cost_per_reasoning_token") if has_output else flat.reasoning,
        audio_input=flat.audio_input,
        audio_output=flat.audio_output,
    )


def _as_provider_charges(entry: Mapping[str, object]) -> Mapping[str, object]:
    """Apply litellm's exceptions: providers whose models it charges differently from their entries."""
    provider = entry.get("litellm_provider")
    ignored = _IGNORED_KEYS.get(provider) if isinstance(provider, str) else None
    if ignored is not None:
        entry = {key: value for key, value in entry.items() if not ignored.match(key)}
    price = _number(entry, "input_cost_per_token")
    if provider == "fireworks_ai" and price is not None and entry.get("cache_read_input_token_cost") is None:
        entry = {**entry, "cache_read_input_token_cost": price * _FIREWORKS_CACHED}
    return entry


def _map_rates(prices: Prices, change: Callable[[Rates], Rates]) -> Prices:
    return replace(
        prices,
        standard=change(prices.standard),
        long_context=tuple((tokens, change(rates)) for tokens, rates in prices.long_context),
        service_tiers={name: _map_rates(tier, change) for name, tier in prices.service_tiers.items()},
        # A price that is set applies at any hour, in place of the off-peak rate.
        off_peak_rates=change(prices.off_peak_rates) if prices.off_peak is not None else prices.off_peak_rates,
    )


def _side(name: str, price: float) -> dict[str, float | None]:
    """Return the rates of one side of a request at a single price."""
    others = _INPUT_RATES if name == "input" else _OUTPUT_RATES
    return {name: price, **dict.fromkeys(others)}


def _overlay(rates: Rates, over: Rates) -> Rates:
    known = {f.name: value for f in fields(Rates) if (value := getattr(over, f.name)) is not None}
    return replace(rates, **known) if known else rates


def _number(entry: Mapping[str, object], key: str) -> float | None:
    value = entry.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _token_count(label: str) -> int:
    return int(label.removesuffix("k")) * (1000 if label.endswith("k") else 1)


_INPUT_RATES = ("cached_input", "cache_write", "cache_write_1h", "audio_input")
_OUTPUT_RATES = ("reasoning", "audio_output")

_BATCHES = "_batches"
# Our names of the service tiers, and the suffix of their keys in the map.
_TIERS = {
    "batch": "batches",
    "flex": "flex",
    "balanced": "balanced",
    "priority": "priority",
    "ultrafast": "ultrafast",
}
# Other names of the tiers in requests and answers.
_TIER_NAMES = {"batches": "batch", "fast": "priority"}

_ABOVE = re.compile(
    r"(?:input_cost_per_token|output_cost_per_token|cache_read_input_token_cost|cache_creation_input_token_cost)"
    r"(?:_above_1hr)?_above_(?P<tokens>\d+k?)_tokens(?P<tier>(?:_[a-z]+)?)"
)

# xAI's long-context price applies from the threshold on, that of all others above it.
# Source: litellm_core_utils/llm_cost_calc/utils.py, _INCLUSIVE_THRESHOLD_PROVIDERS.
_INCLUSIVE_STEPS = frozenset({"xai"})

# Fireworks charges half the input price for cached tokens where a model has no price for them.
# Source: litellm/constants.py, FIREWORKS_AI_DEFAULT_CACHE_READ_RATE_RATIO.
_FIREWORKS_CACHED = 0.5

# Keys that litellm ignores for a provider. Source: llms/{xai,perplexity,dashscope}/cost_calculator.py.
_ALIBABA = re.compile(r"(input|output)_cost_per_audio|.*_above_")
_IGNORED_KEYS = {
    "xai": re.compile(r"output_cost_per_(reasoning|audio)_token"),
    "perplexity": re.compile(r"cache_|.*_above_|.*_cost_per_audio"),
    "dashscope": _ALIBABA,
    "qwencloud": _ALIBABA,
    "qwen_ai_platform": _ALIBABA,
}

# The keys of `Prices.per_unit`.
_UNIT_KEYS = """
citation_cost_per_token cost_per_second input_cost_per_audio_per_second input_cost_per_character input_cost_per_image
input_cost_per_image_token input_cost_per_request input_cost_per_second input_cost_per_video_per_second
output_cost_per_character output_cost_per_image output_cost_per_image_token output_cost_per_second
output_cost_per_video_token
"""
_PER_UNIT = tuple(_UNIT_KEYS.split())
