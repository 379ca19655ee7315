"""Facts about models, from litellm's map and from a proxy."""

from __future__ import annotations

import pickle
from datetime import date

import pytest

from asyncllm.models import Prices, Rates, model_info, parse_proxy_model_info


def test_a_model_of_the_map_is_known(whole_map):
    """Limits and abilities are those of the map's entry."""
    info, entry = model_info("openai/gpt-4o"), whole_map["gpt-4o"]
    assert (info.known, info.name, info.provider, info.mode) == (True, "gpt-4o", "openai", "chat")
    assert (info.context_window, info.max_output_tokens) == (entry["max_input_tokens"], entry["max_output_tokens"])
    assert (info.vision, info.tools, info.parallel_tools, info.json_mode) == (True, True, True, True)


def test_a_missing_fact_is_none():
    """An ability that the entry does not mention is unknown, not False."""
    assert model_info("groq/whisper-large-v3").vision is None


def test_a_deprecation_date_is_a_date(whole_map):
    """The deprecation date of the map is a date."""
    key = next(key for key, entry in whole_map.items() if key.startswith("gpt-") and "deprecation_date" in entry)
    assert model_info(key).deprecated_on == date.fromisoformat(whole_map[key]["deprecation_date"])


@pytest.mark.parametrize(
    ("model", "key"),
    [
        (
            "bedrock/converse/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        ),
        ("openai/GPT-4o", "gpt-4o"),
        ("litellm_proxy/gpt-4o", "gpt-4o"),
        ("azure/gpt-41-mini", "azure/gpt-4.1-mini"),
        ("ft:gpt-4o-2024-08-06:org::id", "ft:gpt-4o-2024-08-06"),
        ("gemini/gemini-2.5-flash-001", "gemini/gemini-2.5-flash"),
    ],
)
def test_an_entry_is_found_under_other_forms_of_the_name(whole_map, model: str, key: str):
    """Routes, regions, versions, owners and another case find the entry that litellm would take."""
    assert model_info(model).context_window == whole_map[key]["max_input_tokens"]


def test_an_unknown_model_is_not_known_and_has_no_price():
    """A private deployment has a provider and no other facts."""
    info = model_info("azure/my-deployment")
    assert (info.known, info.context_window, info.vision, info.prices) == (False, None, None, None)


def test_a_new_member_of_a_known_family_has_its_abilities_and_no_price():
    """An unlisted Claude has the abilities of litellm's rules, and no price."""
    info = model_info("anthropic/claude-someday-9-1")
    assert (info.known, info.tools, info.vision, info.prices) == (False, True, True, None)
    assert info.context_window is not None


def test_an_entry_of_another_provider_does_not_count():
    """gpt-4o at Groq does not have the price of OpenAI's."""
    assert model_info("groq/gpt-4o").prices is None


def test_own_prices_replace_the_models():
    """A profile's prices are in its own info only."""
    own = Prices(Rates(input=1.0, output=2.0))
    assert model_info("gpt-4o", prices=own).prices is own
    assert model_info("gpt-4o").prices != own


def test_a_simulated_model_has_plain_prices():
    """The simulator's model can do everything and costs a dollar for a million tokens."""
    info = model_info("simulated/demo")
    assert (info.known, info.provider, info.context_window, info.vision) == (True, "simulated", 128_000, True)
    assert info.prices is not None
    assert info.prices.standard.input == 1e-6


def test_an_info_pickles():
    """A ModelInfo survives a pickle."""
    info = model_info("gemini/gemini-2.5-pro")
    assert pickle.loads(pickle.dumps(info)) == info


def test_a_proxys_answer_is_read():
    """A LiteLLM proxy's models are found under the names of the proxy."""
    answer = {
        "data": [
            {
                "model_name": "fast",
                "litellm_params": {"model": "openai/gpt-5-mini"},
                "model_info": {
                    "key": "gpt-5-mini",
                    "litellm_provider": "openai",
                    "max_input_tokens": 1000,
                    "max_output_tokens": 100,
                    "input_cost_per_token": 1e-6,
                    "output_cost_per_token": 2e-6,
                    "supports_vision": None,
                    "supports_function_calling": True,
                },
            }
        ]
    }
    info = parse_proxy_model_info(answer)["fast"]
    assert (info.provider, info.name, info.known, info.context_window) == ("litellm_proxy", "fast", True, 1000)
    assert (info.tools, info.vision) == (True, None)
    assert info.prices is not None
    assert info.prices.standard == Rates(input=1e-6, output=2e-6)


def test_a_proxys_zero_for_an_unknown_price_is_no_price():
    """A 0 for a model of the proxy's map is an unknown price; a 0 of its operator is a price."""
    row = {"model_name": "a", "model_info": {"key": "x/a", "input_cost_per_token": 0, "output_cost_per_token": 0}}
    own = {"model_name": "b", "model_info": {"input_cost_per_token": 0, "output_cost_per_token": 0}}
    infos = parse_proxy_model_info({"data": [row, own]})
    assert infos["a"].prices is None
    assert infos["b"].prices == Prices(Rates(input=0, output=0))


def test_deployments_that_share_a_name_have_their_common_facts():
    """Limits are the lowest; facts that they do not agree on are unknown."""
    rows = [
        {"model_name": "a", "model_info": {"max_input_tokens": 10, "supports_vision": True, "mode": "chat"}},
        {"model_name": "a", "model_info": {"max_input_tokens": 20, "supports_vision": False, "mode": "chat"}},
    ]
    info = parse_proxy_model_info({"data": rows})["a"]
    assert (info.context_window, info.vision, info.mode) == (10, None, "chat")


@pytest.mark.parametrize("answer", [{}, {"data": None}, {"data": [{}]}])
def test_an_empty_answer_of_a_proxy_is_no_model(answer):
    """An answer without models is an empty dict."""
    assert parse_proxy_model_info(answer) == {}
