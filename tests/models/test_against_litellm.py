"""Comparisons with the installed litellm: providers, names, keys, endpoints and costs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import pytest

from asyncllm.completions.usage import Usage
from asyncllm.config import LLMConfig
from asyncllm.errors import ConfigError
from asyncllm.models import PROVIDERS, ModelInfo, cost_usd, key_variables, model_info, resolve_provider
from asyncllm.models import base_url_variables as url_variables
from asyncllm.models.name_resolution import _ENDPOINTS

# pydantic warns about some types that litellm builds on first use.
pytestmark = pytest.mark.filterwarnings("ignore:.*ReadOnly:UserWarning")

# To resolve these litellm starts a login in the browser.
LOGIN = ("github_copilot", "chatgpt")

# Endpoints that litellm lists without a provider; here they belong to the owner of the host.
OWNERLESS = {
    "https://api.clarifai.com/v2/ext/openai/v1": "clarifai",
    "https://api.featherless.ai/v1": "featherless_ai",
    "https://api.galadriel.ai/v1": "galadriel",
    "https://api.llama.com/compat/v1": "meta_llama",
    "https://api.moonshot.ai/v1": "moonshot",
    "https://api.morphllm.com/v1": "morph",
    "https://api.sambanova.ai/v1": "sambanova",
    "https://api.studio.nebius.ai/v1": "nebius",
    "https://api.x.ai/v1": "xai",
    "https://dashscope-intl.aliyuncs.com/compatible-mode/v1": "dashscope",
    "https://dashscope.aliyuncs.com/compatible-mode/v1": "dashscope",
    "https://inference.api.nscale.com/v1": "nscale",
}

# Seven usages that cover every rate; the last exceeds every long-context threshold.
USAGES = {
    "plain": Usage(1_000, 200),
    "cached": Usage(1_000, 200, cached_tokens=600),
    "cache write": Usage(1_000, 200, cached_tokens=100, cache_write_tokens=500),
    "cache for an hour": Usage(1_000, 200, cached_tokens=100, cache_write_tokens=500, cache_write_1h_tokens=200),
    "reasoning": Usage(1_000, 900, reasoning_tokens=600),
    "audio": Usage(1_000, 300, audio_input_tokens=400, audio_output_tokens=100),
    "long": Usage(600_000, 200, cached_tokens=50_000),
}

# A Saturday: off-peak for the models that have off-peak hours.
NOW = datetime(2024, 1, 6, 12, tzinfo=UTC)


def test_the_providers_are_litellms(litellm: ModuleType):
    """The providers are those of litellm's code and of its JSON file."""
    from litellm.llms.openai_like.json_loader import JSONProviderRegistry

    assert {provider.value for provider in litellm.LlmProviders} | set(
        JSONProviderRegistry.list_providers()
    ) == PROVIDERS


@pytest.mark.usefixtures("parsed_catalog")
def test_every_model_of_the_map_resolves_alike(litellm: ModuleType, whole_map):
    """Each name of the map resolves as in litellm; what litellm refuses is refused, or resolves by its family."""
    different = {
        model: (ours, theirs)
        for model in whole_map
        if not model.startswith(LOGIN) and (ours := _resolved(model)) != (theirs := _resolved_by(litellm, model))
        if theirs is not None or resolve_provider(model).read_by != "family"
    }
    assert different == {}


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("gpt-4o", "azure"),
        ("azure/gpt-4o", "azure"),
        ("openrouter/auto", "openrouter"),
        ("openrouter/openai/gpt-4", "openrouter"),
        ("openai/gpt-4", "openrouter"),
        ("command-r", "cohere"),
        ("claude-2", "anthropic"),
        ("foo/bar", "hosted_vllm"),
        ("jamba-1.5", "ai21"),
    ],
)
def test_a_given_provider_resolves_alike(litellm: ModuleType, model: str, provider: str):
    """custom_llm_provider resolves as in litellm."""
    assert _resolved(model, provider) == _resolved_by(litellm, model, provider)


@pytest.mark.parametrize(
    "model",
    [
        "gpt-image-9",
        "ft:gpt-4o:org:suffix:id",
        "anthropic/claude-2",
        "claude-opus-9",
        "us.anthropic.claude-opus-9",
        "replicate/llama-2-70b-chat:" + "0" * 64,
        "meta/llama-2-70b-chat:" + "0" * 64,
        "azure/command-r-plus",
        "cohere/command-r",
        "bytez/a/b",
        "amazon_nova-x",
        "*",
    ],
)
def test_names_that_are_not_in_the_map_resolve_alike(litellm: ModuleType, model: str):
    """Deployments, fine-tuned, dated and future models resolve as in litellm."""
    assert _resolved(model) == _resolved_by(litellm, model)


def test_every_endpoint_of_litellms_resolves_alike(litellm: ModuleType):
    """A base_url resolves as in litellm, or to the owner of the host where litellm has no provider."""
    urls = [url if "://" in url else f"https://{url}" for url in litellm.openai_compatible_endpoints]
    different = {}
    for url in urls:
        theirs = litellm.get_llm_provider("some-model", api_base=url)[1] or OWNERLESS.get(url.rstrip("/"))
        ours = resolve_provider("some-model", base_url=url).provider
        if ours != theirs:
            different[url] = (ours, theirs)
    assert different == {}
    assert len(_ENDPOINTS) == len(urls)


@pytest.mark.parametrize(
    "provider", sorted(PROVIDERS - {*LOGIN, "azure", "openai", "mistral", "ragflow", "vercel_ai_gateway"})
)
def test_keys_are_found_where_litellm_finds_them(litellm: ModuleType, monkeypatch: pytest.MonkeyPatch, provider: str):
    """litellm reads the listed variables in the listed order.

    Left out: azure and openai read theirs later, in the call; for mistral an Azure key comes first, which is not
    listed here; ragflow has no simple name; vercel's second variable is a token.
    """
    for variable in key_variables(provider):
        monkeypatch.setenv(variable, f"value of {variable}")
    for variable in key_variables(provider):
        found = litellm.get_llm_provider(f"{provider}/m/n")[2]
        if not isinstance(found, str) or not found.startswith("value of"):
            return  # litellm reads this provider's key in the call
        assert found == f"value of {variable}"
        monkeypatch.delenv(variable)


@pytest.mark.parametrize(
    ("model", "missing"),
    [
        ("openai/x", "OPENAI_API_KEY"),
        ("anthropic/x", "ANTHROPIC_API_KEY"),
        ("azure/x", "AZURE_API_KEY"),
        ("gemini/x", "GEMINI_API_KEY"),
        ("gemini/x", "GOOGLE_API_KEY"),
        ("cohere/x", "COHERE_API_KEY"),
        ("replicate/x", "REPLICATE_API_KEY"),
        ("openrouter/x", "OPENROUTER_API_KEY"),
        ("together_ai/x", "TOGETHERAI_API_KEY"),
        ("huggingface/x", "HUGGINGFACE_API_KEY"),
        ("fireworks_ai/x", "FIREWORKS_AI_API_KEY"),
        ("perplexity/x", "PERPLEXITYAI_API_KEY"),
        ("datarobot/x", "DATAROBOT_API_TOKEN"),
    ],
)
def test_the_variable_that_litellm_asks_for_is_listed(litellm: ModuleType, model: str, missing: str):
    """The variable that litellm reports as missing is one of the listed ones."""
    assert missing in litellm.validate_environment(model)["missing_keys"]
    assert missing in key_variables(model.partition("/")[0])


def test_every_way_into_aws_is_a_field(litellm: ModuleType):
    """Everything that litellm signs a request with is a field, except tags: a list of tables, which a call may pass."""
    from litellm.llms.bedrock.base_aws_llm import BaseAWSLLM

    assert set(BaseAWSLLM().aws_authentication_params) - {"aws_session_tags"} <= set(LLMConfig.model_fields)


@pytest.mark.parametrize(
    "provider", ["azure_ai", "groq", "litellm_proxy", "hosted_vllm", "ollama", "together_ai", "xai"]
)
def test_endpoints_are_found_where_litellm_finds_them(
    litellm: ModuleType, monkeypatch: pytest.MonkeyPatch, provider: str
):
    """The variable of a provider's endpoint is the one litellm reads."""
    (variable,) = url_variables(provider)
    monkeypatch.setenv(variable, "https://proxy.example/v1")
    assert litellm.get_llm_provider(f"{provider}/m")[3] == "https://proxy.example/v1"


@pytest.mark.usefixtures("parsed_catalog")
def test_costs_are_litellms(litellm: ModuleType, whole_map):
    """For each kind of price list, six usages cost the same as in litellm, apart from listed exceptions.

    ASYNCLLM_WHOLE_MAP=1 compares all 3,000 models rather than one of each kind, which takes 15 to 30 s.
    """
    whole = os.environ.get("ASYNCLLM_WHOLE_MAP") == "1"
    from litellm._internal_context import pinned_billing_time

    theirs = {name: _usage_for(litellm, usage) for name, usage in USAGES.items()}
    different: dict[str, set[str]] = {}
    compared = 0
    with pinned_billing_time(NOW):
        for info, model in _chat_models(whole_map, whole):
            for name, usage in USAGES.items():
                ours = cost_usd(usage, info, when=NOW)
                expected = _cost_by(litellm, info, theirs[name])
                compared += 1
                if ours != expected and (ours is None or expected is None or ours != pytest.approx(expected, rel=1e-9)):
                    different.setdefault(_reason(whole_map[model], ours, expected), set()).add(model)
    counted = {reason: len(models) for reason, models in different.items()}
    assert counted == EXCEPTIONS if whole else counted.keys() <= EXCEPTIONS.keys(), different
    assert compared > (15_000 if whole else 1_500)


# The number of models whose cost differs from litellm's, by reason.
EXCEPTIONS = {
    "the map has no price, which litellm takes for 0 and asyncllm for unknown": 83,
    "the map has a price for the answer alone, so that litellm charges nothing for the prompt": 7,
    "litellm does not find the model's own entry again, once it has taken off the prefix": 25,
    "litellm guesses a price from the size in the model's name": 1,
    "litellm takes off the prefix twice and finds another model": 1,
}


def _reason(entry: dict[str, Any], ours: float | None, theirs: float | None) -> str:
    input_price, output_price = entry.get("input_cost_per_token"), entry.get("output_cost_per_token")
    if theirs is None and ours is not None:
        return "litellm does not find the model's own entry again, once it has taken off the prefix"
    if input_price is None and output_price is None:
        if theirs == 0:
            return "the map has no price, which litellm takes for 0 and asyncllm for unknown"
        return "litellm guesses a price from the size in the model's name"
    if input_price is None:
        return "the map has a price for the answer alone, so that litellm charges nothing for the prompt"
    return "litellm takes off the prefix twice and finds another model" if ours is not None else "a bug of asyncllm's"


def _chat_models(whole_map: dict[str, dict[str, Any]], whole: bool) -> Iterator[tuple[ModelInfo, str]]:
    """Yield all chat models, or one for each provider and set of listed prices."""
    seen = set()
    for model, entry in whole_map.items():
        if entry.get("mode") not in ("chat", "completion", "responses") or model.startswith(LOGIN):
            continue
        prices = frozenset(key for key in entry if "cost" in key or "pricing" in key)
        kind = (entry.get("litellm_provider"), model.partition("/")[0] if "/" in model else "", prices)
        if not whole and kind in seen:
            continue
        seen.add(kind)
        try:
            info = model_info(model)
        except ConfigError:
            continue  # a price without a provider, for litellm too: see the test of the names
        yield info, model


def _usage_for(litellm: ModuleType, usage: Usage) -> Any:
    return litellm.Usage(
        prompt_tokens=usage.input_tokens,
        completion_tokens=usage.output_tokens,
        total_tokens=usage.total_tokens,
        prompt_tokens_details={
            "cached_tokens": usage.cached_tokens or 0,
            "audio_tokens": usage.audio_input_tokens or 0,
            "cache_creation_tokens": usage.cache_write_tokens or 0,
            "cache_creation_token_details": _kept(usage),
        },
        completion_tokens_details={
            "reasoning_tokens": usage.reasoning_tokens or 0,
            "audio_tokens": usage.audio_output_tokens or 0,
        },
    )


def _kept(usage: Usage) -> dict[str, int] | None:
    """Return how long the tokens that a usage wrote to the cache are kept, where it says so."""
    if usage.cache_write_1h_tokens is None:
        return None
    rest = (usage.cache_write_tokens or 0) - usage.cache_write_1h_tokens
    return {"ephemeral_5m_input_tokens": rest, "ephemeral_1h_input_tokens": usage.cache_write_1h_tokens}


def _cost_by(litellm: ModuleType, info: ModelInfo, usage: Any) -> float | None:
    answer = litellm.ModelResponse(model=info.name, usage=usage)
    try:
        cost: float = litellm.completion_cost(answer, model=info.name, custom_llm_provider=info.provider)
    except Exception:  # litellm raises bare Exceptions for a model without a price
        return None
    return cost


def _resolved(model: str, provider: str | None = None) -> tuple[str, str] | None:
    try:
        resolved = resolve_provider(model, provider)
    except ConfigError:
        return None
    return resolved.provider, resolved.name


def _resolved_by(litellm: ModuleType, model: str, provider: str | None = None) -> tuple[str, str] | None:
    try:
        name, found, _, _ = litellm.get_llm_provider(model, provider)
    except litellm.BadRequestError:
        return None
    return found, name
