"""Costs of usages, actual and worst case."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from asyncllm.completions.usage import Usage
from asyncllm.models import Prices, Rates, cost_usd, model_info, own_prices, worst_case_cost
from asyncllm.models.prices import parse_prices

RATES = Rates(
    input=1.0,
    output=10.0,
    cached_input=0.1,
    cache_write=1.25,
    cache_write_1h=2.0,
    reasoning=20.0,
    audio_input=3.0,
    audio_output=30.0,
)


@pytest.mark.parametrize(
    ("usage", "dollars"),
    [
        (Usage(100, 10), 100 + 100),
        (Usage(100, 10, cached_tokens=50), 50 + 5 + 100),
        (Usage(100, 10, cache_write_tokens=40), 60 + 50 + 100),
        (Usage(100, 10, reasoning_tokens=4), 100 + 60 + 80),
        (Usage(100, 10, audio_input_tokens=20, audio_output_tokens=5), 80 + 60 + 50 + 150),
        (Usage(0, 0), 0),
    ],
)
def test_each_kind_of_token_is_charged_once_at_its_rate(usage: Usage, dollars: float):
    """Cached, cache-write, reasoning and audio tokens are parts of the totals, each at its own price."""
    assert cost_usd(usage, Prices(RATES)) == pytest.approx(dollars)


def test_tokens_kept_for_an_hour_have_their_own_rate():
    """Tokens written to the cache for an hour have their own price."""
    usage = Usage(100, 0, cache_write_tokens=40)
    dollars = pytest.approx(60 + 30 * 1.25 + 10 * 2.0)
    assert cost_usd(usage, Prices(RATES), cache_write_1h_tokens=10) == dollars
    assert cost_usd(replace(usage, cache_write_1h_tokens=10), Prices(RATES)) == dollars


def test_claude_charges_caches_by_how_long_they_are_kept():
    """Twice the input price for an hour, 1.25 times for minutes, a tenth to read."""
    written = {"ephemeral_5m_input_tokens": 1000, "ephemeral_1h_input_tokens": 500}
    usage = Usage.from_dict(
        {
            "prompt_tokens": 4500,
            "completion_tokens": 0,
            "cache_creation_input_tokens": 1500,
            "prompt_tokens_details": {"cached_tokens": 2000, "cache_creation_token_details": written},
        }
    )
    price = 3e-6  # of Claude Sonnet 4.5, for a token of the prompt
    expected = price * (1000 + 2000 * 0.1 + 1000 * 1.25 + 500 * 2)
    assert cost_usd(usage, model_info("anthropic/claude-sonnet-4-5")) == pytest.approx(expected)


def test_searches_are_charged_beside_the_tokens():
    """By their number; without a price for them the cost is unknown."""
    usage = Usage.from_dict(
        {"prompt_tokens": 100, "completion_tokens": 10, "server_tool_use": {"web_search_requests": 3}}
    )
    assert usage.web_searches == 3
    assert cost_usd(usage, Prices(RATES, web_search=0.01)) == pytest.approx(200.03)
    assert cost_usd(usage, Prices(RATES)) is None
    claude = model_info("anthropic/claude-sonnet-4-6").prices
    assert claude is not None
    assert claude.web_search == 0.01


def test_a_kind_without_a_rate_is_charged_as_plain():
    """With only input and output prices, these apply to every kind of token."""
    usage = Usage(100, 10, cached_tokens=50, cache_write_tokens=10, reasoning_tokens=5, audio_input_tokens=5)
    assert cost_usd(usage, Prices(Rates(input=1.0, output=10.0))) == pytest.approx(200)


@pytest.mark.parametrize("usage", [Usage(), Usage(100), Usage(output_tokens=100)])
def test_unknown_tokens_have_no_cost(usage: Usage):
    """Without both totals the cost is unknown, not 0."""
    assert cost_usd(usage, Prices(RATES)) is None


@pytest.mark.parametrize("prices", [None, Prices(Rates()), Prices(Rates(output=1.0)), Prices(Rates(input=1.0))])
def test_an_unknown_price_has_no_cost(prices: Prices | None):
    """The cost is unknown, not 0, when a price that the tokens need is."""
    assert cost_usd(Usage(100, 10), prices) is None


def test_a_free_model_costs_nothing():
    """A known price of 0 is a cost of 0."""
    assert cost_usd(Usage(100, 10), model_info("ollama/llama2")) == 0


def test_a_long_prompt_pays_the_step_it_reached():
    """Above a threshold the higher rates apply to every token of the request; the threshold itself is below it."""
    prices = parse_prices(
        {
            "input_cost_per_token": 1.0,
            "output_cost_per_token": 2.0,
            "input_cost_per_token_above_128k_tokens": 3.0,
            "input_cost_per_token_above_200k_tokens": 5.0,
            "output_cost_per_token_above_200k_tokens": 7.0,
        }
    )
    costs = [cost_usd(Usage(tokens, 1), prices) for tokens in (128_000, 128_001, 200_001)]
    assert costs == [128_000 + 2, 128_001 * 3 + 2, 200_001 * 5 + 7]


def test_a_service_tier_pays_its_own_rates():
    """A listed tier has its own rates; any other has the standard rates."""
    prices = parse_prices(
        {
            "input_cost_per_token": 4.0,
            "output_cost_per_token": 8.0,
            "cache_read_input_token_cost": 1.0,
            "input_cost_per_token_flex": 2.0,
            "output_cost_per_token_flex": 4.0,
            "input_cost_per_token_batches": 1.0,
        }
    )
    usage = Usage(10, 10, cached_tokens=5)
    costs = {tier: cost_usd(usage, prices, service_tier=tier) for tier in (None, "flex", "batch", "priority", "auto")}
    assert costs == {None: 105, "flex": 55, "batch": 90, "priority": 105, "auto": 105}


def test_off_peak_hours_are_cheaper():
    """In its hours, on its days, the off-peak rates apply."""
    prices = parse_prices(
        {
            "input_cost_per_token": 2.0,
            "output_cost_per_token": 2.0,
            "off_peak_pricing": {
                "input_cost_per_token": 1.0,
                "weekday_timezone": "Asia/Shanghai",
                "windows": [
                    {"hours_utc": ["22:00-02:00"], "weekdays": [1, 2, 3, 4, 5]},
                    {"hours_utc": "00:00-00:00", "weekdays": [6, 7]},
                ],
            },
        }
    )
    moments = {
        "monday 23:00": datetime(2024, 1, 1, 23, tzinfo=UTC),
        "monday 02:00": datetime(2024, 1, 1, 2, tzinfo=UTC),
        # Already Saturday in Shanghai.
        "friday 17:00": datetime(2024, 1, 5, 17, tzinfo=UTC),
    }
    costs = {name: cost_usd(Usage(10, 10), prices, when=when) for name, when in moments.items()}
    assert costs == {"monday 23:00": 30, "monday 02:00": 40, "friday 17:00": 30}


def test_prices_by_the_unit_are_kept_and_not_charged():
    """The price of an image is kept, but not charged: a usage does not count images."""
    prices = parse_prices({"input_cost_per_image": 0.5})
    assert prices is not None
    assert (dict(prices.per_unit), cost_usd(Usage(1, 1), prices)) == ({"input_cost_per_image": 0.5}, None)


def test_own_prices_hold_for_all_lengths_and_tiers():
    """A set price applies at any length and tier, in place of cached rates too."""
    base = parse_prices(
        {
            "input_cost_per_token": 4.0,
            "output_cost_per_token": 8.0,
            "cache_read_input_token_cost": 1.0,
            "input_cost_per_token_above_200k_tokens": 6.0,
            "output_cost_per_token_above_200k_tokens": 9.0,
            "input_cost_per_token_flex": 2.0,
        }
    )
    prices = own_prices(input_cost_per_token=3.0, base=base)
    assert cost_usd(Usage(10, 1, cached_tokens=5), prices) == 38
    assert cost_usd(Usage(300_000, 1), prices) == 900_009
    assert cost_usd(Usage(10, 1), prices, service_tier="flex") == 38


def test_own_prices_need_no_model():
    """A profile can set the prices of an unknown model."""
    assert cost_usd(Usage(10, 2, cached_tokens=4), own_prices(1.0, 5.0, 0.5)) == 6 + 2 + 10


def test_half_an_own_price_is_no_price_for_the_rest():
    """With only an input price, the cost of an answer is unknown."""
    assert cost_usd(Usage(10, 2), own_prices(input_cost_per_token=1.0)) is None


def test_nothing_named_leaves_the_models_prices():
    """A profile without prices has the model's."""
    base = Prices(RATES)
    assert own_prices(base=base) is base


def test_the_worst_case_has_no_discount():
    """The worst case is the full prompt and the longest answer, at the highest rates that may apply."""
    assert worst_case_cost(Prices(RATES), input_tokens=100, max_output_tokens=10) == 100 + 200
    assert worst_case_cost(Prices(RATES), input_tokens=100, max_output_tokens=10, writes_cache=True) == 200 + 200
    assert worst_case_cost(Prices(RATES), input_tokens=100, max_output_tokens=10, audio=True) == 300 + 300


def test_the_worst_case_of_an_unknown_price_is_unknown():
    """A model without a price has no worst case."""
    assert worst_case_cost(model_info("azure/my-deployment"), input_tokens=1, max_output_tokens=1) is None


@pytest.mark.parametrize("usage", [Usage(300_000, 500, cached_tokens=100), Usage(10, 50, reasoning_tokens=50)])
def test_the_worst_case_is_never_below_the_cost(usage: Usage):
    """No usage within the limits costs more than the worst case."""
    for model in ("gemini/gemini-2.5-pro", "gpt-5-mini", "claude-sonnet-4-5", "xai/grok-4.3"):
        info = model_info(model)
        assert usage.input_tokens is not None
        assert usage.output_tokens is not None
        worst = worst_case_cost(info, input_tokens=usage.input_tokens, max_output_tokens=usage.output_tokens)
        cost = cost_usd(usage, info)
        assert worst is not None
        assert cost is not None
        assert worst >= cost > 0
