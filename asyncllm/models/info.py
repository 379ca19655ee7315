"""Facts about one model: limits, abilities and prices."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import date
from functools import lru_cache
from typing import Any

from ..narrowing import list_or_empty, mapping_or_empty
from . import catalog
from .name_resolution import ResolvedModel, resolve_provider
from .prices import Prices, Rates, parse_prices
from .providers import SIMULATED


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Facts about a model; None where a fact is unknown.

    Attributes:
        name: The model without the provider's prefix.
        provider: litellm's name of the provider.
        known: Whether the model is in litellm's map. If not, its abilities may come from litellm's rules for its
            family; its prices are unknown.
        context_window: The most tokens of a prompt.
        max_output_tokens: The most tokens of an answer.
        vision: Whether it accepts images.
        pdf: Whether it accepts PDF files.
        audio_input: Whether it accepts audio.
        audio_output: Whether it can answer in audio.
        tools: Whether it can call tools.
        parallel_tools: Whether it can call several tools at once.
        response_schema: Whether its output can be constrained to a JSON Schema.
        json_mode: Whether its output can be constrained to JSON; true with `response_schema`.
        reasoning: Whether it reasons before it answers.
        prompt_caching: Whether its provider caches prompts.
        mode: Its endpoint: `chat`, `completion`, `responses`, `embedding`, ...
        deprecated_on: The day from which the provider may retire it.
        prices: Its prices.

    Example:
        ```python
        model = AsyncLLM(model="openai/gpt-5-mini").model_info
        print(model.context_window, model.vision, model.reasoning)
        ```
    """

    name: str
    provider: str
    known: bool = False
    context_window: int | None = None
    max_output_tokens: int | None = None
    vision: bool | None = None
    pdf: bool | None = None
    audio_input: bool | None = None
    audio_output: bool | None = None
    tools: bool | None = None
    parallel_tools: bool | None = None
    response_schema: bool | None = None
    json_mode: bool | None = None
    reasoning: bool | None = None
    prompt_caching: bool | None = None
    mode: str | None = None
    deprecated_on: date | None = None
    prices: Prices | None = None


def model_info(
    model: str,
    *,
    custom_llm_provider: str | None = None,
    base_url: str | None = None,
    prices: Prices | None = None,
) -> ModelInfo:
    """Return the facts about a model in litellm's map. The first call for a model takes 1 to 10 ms, later ones 1 us.

    Args:
        model: The model's name, with or without the provider's prefix.
        custom_llm_provider: The provider, when the name contains none or another one.
        base_url: The endpoint of the profile.
        prices: Prices that replace those of the map.

    Raises:
        ConfigError: The provider cannot be derived from the name, or litellm's map is missing.
    """
    info = _info(model, custom_llm_provider, base_url)
    return info if prices is None else replace(info, prices=prices)


def parse_proxy_model_info(answer: Mapping[str, object]) -> dict[str, ModelInfo]:
    """Parse the answer of a LiteLLM proxy to `GET /model/info`.

    Args:
        answer: The decoded body, `{"data": [{"model_name": ..., "litellm_params": ..., "model_info": ...}]}`.

    Returns:
        The facts about each model, under the name that the proxy's users ask for. Where several deployments share a
        name, the proxy picks one for each call: a fact counts only if all agree on it, a limit is the lowest.
    """
    found: dict[str, ModelInfo] = {}
    for row in map(mapping_or_empty, list_or_empty(answer.get("data"))):
        name = row.get("model_name")
        if not isinstance(name, str) or not name:
            continue
        details = _proxy_details(row)
        info = _parse(ResolvedModel("litellm_proxy", name), details, known=bool(details.get("key")))
        found[name] = _common(found[name], info) if name in found else info
    return found


@lru_cache(maxsize=512)  # One for each model and endpoint that a process uses.
def _info(model: str, custom_llm_provider: str | None, base_url: str | None) -> ModelInfo:
    resolved = resolve_provider(model, custom_llm_provider, base_url)
    if resolved.provider == SIMULATED:
        return _simulated(resolved.name)
    candidates = tuple(dict.fromkeys(_candidates(model, resolved)))
    # All candidates as written before any in another case: looking that up reads all keys of the map.
    for spell in (str, catalog.spelling):
        for key in filter(None, map(spell, candidates)):
            entry = catalog.entry(key)
            if entry is None:
                continue
            # A name that is a key of the map, without provider and endpoint beside it, means that entry.
            verbatim = key == model and custom_llm_provider is None and base_url is None
            if verbatim or _belongs_to(entry.get("litellm_provider"), resolved.provider):
                return _parse(resolved, entry, known=True)
    if any(catalog.entry(key) is not None for key in candidates):
        return ModelInfo(resolved.name, resolved.provider)
    return _parse(resolved, _by_family(candidates), known=False)


def _parse(resolved: ResolvedModel, entry: catalog.ModelEntry, *, known: bool) -> ModelInfo:
    schema = _flag(entry, "supports_response_schema")
    return ModelInfo(
        name=resolved.name,
        provider=resolved.provider,
        known=known,
        context_window=_count(entry, "max_input_tokens"),
        # `max_tokens` is an older name of the output limit.
        max_output_tokens=_count(entry, "max_output_tokens") or _count(entry, "max_tokens"),
        vision=_flag(entry, "supports_vision"),
        pdf=_flag(entry, "supports_pdf_input"),
        audio_input=_flag(entry, "supports_audio_input"),
        audio_output=_flag(entry, "supports_audio_output"),
        tools=_flag(entry, "supports_function_calling"),
        parallel_tools=_flag(entry, "supports_parallel_function_calling"),
        response_schema=schema,
        json_mode=True if schema else None,
        reasoning=_flag(entry, "supports_reasoning"),
        prompt_caching=_flag(entry, "supports_prompt_caching"),
        mode=_string(entry, "mode"),
        deprecated_on=_day(entry.get("deprecation_date")),
        prices=parse_prices(entry),
    )


def _candidates(model: str, resolved: ResolvedModel) -> Iterable[str]:
    """Return the keys that a model may have in the map, in litellm's order.

    Source: litellm/utils.py, get_model_info_helper.
    """
    provider, name = resolved.provider, resolved.name
    if provider == "vertex_ai_beta":
        provider = "vertex_ai"
    if provider in _BEDROCK:
        name = _strip_bedrock_route(name)
    base = _base_name(provider, name)
    yield f"{provider}/{name}"
    yield model
    yield name
    if provider == "vertex_ai":
        # Partner models on Vertex are listed with their maker, or with a version.
        yield f"vertex_ai/meta/{name}"
        yield f"vertex_ai/{name}@latest"
    yield f"{provider}/{base}"
    yield base
    yield from _OTHER_NAMES.get(model, ())
    if provider == "fireworks_ai":
        kind = "routers/" if name.endswith("-fast") or name in _FIREWORKS_ROUTERS else "models/"
        yield f"fireworks_ai/accounts/fireworks/{'' if name.startswith(('routers/', 'models/')) else kind}{name}"
    # Some model names of a provider begin with the provider's name.
    yield f"{provider}/{provider}/{name}"


def _base_name(provider: str, name: str) -> str:
    """Return a name without the parts that the map leaves out: a region, a version, a date, an owner."""
    if provider in _BEDROCK:
        region, _, rest = name.partition(".")
        if region in _BEDROCK_GEOGRAPHIES:
            return rest
        region, slash, rest = name.partition("/")
        return rest if slash and _AWS_REGION.fullmatch(region) else name
    if provider in ("vertex_ai", "gemini", "databricks"):
        return re.sub(r"-\d+$", "", name)
    if "ft:" in name:
        return re.sub(r"(:[^:]*){3}$", "", name)
    return re.sub(r"-\d{4}-\d{2}-\d{2}$", "", name)


def _strip_bedrock_route(name: str) -> str:
    for route in _BEDROCK_ROUTES:
        name = name.removeprefix(route)
    return name


def _belongs_to(listed: object, provider: str) -> bool:
    """Return whether litellm applies an entry listed for one provider to another."""
    if not isinstance(listed, str) or listed == provider or provider in _FORWARDING:
        return True
    if provider == "azure_ai":
        return listed in ("azure", "openai")
    family = provider.removesuffix("_beta")
    return (family in ("vertex_ai", "fireworks_ai") and listed.startswith(family)) or (
        provider.startswith("bedrock") and listed.startswith("bedrock")
    )


def _by_family(candidates: Iterable[str]) -> catalog.ModelEntry:
    """Return the details of all family rules that match a name, for the first name that any of them matches."""
    for name in candidates:
        found: dict[str, object] = {}
        for rule in catalog.family_rules():
            if "litellm_provider" not in rule.details and rule.pattern.search(name):
                found |= rule.details
        if found:
            return found
    return {}


def _proxy_details(row: Mapping[str, object]) -> dict[str, object]:
    details = {key: value for key, value in mapping_or_empty(row.get("model_info")).items() if value is not None}
    params = mapping_or_empty(row.get("litellm_params"))
    own_prices = {key: value for key, value in params.items() if "cost_per" in key and value}
    costs = ("input_cost_per_token", "output_cost_per_token")
    if "key" in details and not any(details.get(key) for key in costs) and not details.get("tiered_pricing"):
        # The proxy answers 0 for a price that its map lacks; a 0 of its operator comes without a key of the map.
        details = {key: value for key, value in details.items() if key not in costs}
    return details | own_prices


def _common(one: ModelInfo, other: ModelInfo) -> ModelInfo:
    """Return the facts that two deployments agree on, and the lower of their limits."""

    def lowest(mine: int | None, theirs: int | None) -> int | None:
        return None if mine is None or theirs is None else min(mine, theirs)

    names = (f.name for f in fields(ModelInfo))
    changes: dict[str, Any] = dict.fromkeys(name for name in names if getattr(one, name) != getattr(other, name))
    changes["known"] = one.known and other.known
    changes["context_window"] = lowest(one.context_window, other.context_window)
    changes["max_output_tokens"] = lowest(one.max_output_tokens, other.max_output_tokens)
    return replace(one, **changes)


def _simulated(name: str) -> ModelInfo:
    """Return the facts about a simulated model, which can do everything at invented prices."""
    return ModelInfo(
        name,
        SIMULATED,
        known=True,
        context_window=128_000,
        max_output_tokens=16_384,
        vision=True,
        pdf=True,
        audio_input=True,
        audio_output=True,
        tools=True,
        parallel_tools=True,
        response_schema=True,
        json_mode=True,
        reasoning=True,
        prompt_caching=True,
        mode="chat",
        # A dollar for a million tokens in, four for a million out: the proportions of real prices.
        prices=Prices(Rates(input=1e-6, output=4e-6, cached_input=1e-7, cache_write=1.25e-6)),
    )


def _flag(entry: Mapping[str, object], key: str) -> bool | None:
    value = entry.get(key)
    return value if isinstance(value, bool) else None


def _string(entry: Mapping[str, object], key: str) -> str | None:
    value = entry.get(key)
    return value if isinstance(value, str) else None


def _count(entry: Mapping[str, object], key: str) -> int | None:
    value = entry.get(key)
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else None


def _day(text: object) -> date | None:
    try:
        return date.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None


_BEDROCK = ("bedrock", "bedrock_converse")
_BEDROCK_ROUTES = ("bedrock/", "chat_completions/", "converse/", "invoke/", "openai/", "mantle/", "nova-2/", "nova/")
# Bedrock's cross-region profiles. Source: llms/bedrock/common_utils.py, get_bedrock_cross_region_inference_regions.
_BEDROCK_GEOGRAPHIES = frozenset({"global", "us", "eu", "apac", "jp", "au", "us-gov"})
# The regions of AWS in all their forms: us-east-1, us-gov-west-1, ap-southeast-2.
_AWS_REGION = re.compile(r"[a-z]{2}(-gov)?-[a-z]+-\d")
_FIREWORKS_ROUTERS = ("firerouter", "auto", "auto-instant")
# Providers that forward to others, whose entries therefore apply to them.
_FORWARDING = ("litellm_proxy", "github", "nadir")
# Azure's names for OpenAI's models. Source: litellm/__init__.py, azure_llms.
_OTHER_NAMES = {
    "gpt-35-turbo": ("azure/gpt-35-turbo",),
    "gpt-35-turbo-16k": ("azure/gpt-35-turbo-16k",),
    "gpt-35-turbo-instruct": ("azure/gpt-35-turbo-instruct",),
    "azure/gpt-41": ("azure/gpt-4.1",),
    "azure/gpt-41-mini": ("azure/gpt-4.1-mini",),
    "azure/gpt-41-nano": ("azure/gpt-4.1-nano",),
}
