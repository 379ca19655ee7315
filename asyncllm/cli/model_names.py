"""How the model of a profile was read, and until when its provider serves it, for people."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from ..models import ModelInfo, ResolvedModel, model_info, resolve_provider

if TYPE_CHECKING:
    from .. import LLMConfig

# How long before its date the end of a model is reported: enough to try its successor.
_SOON = timedelta(days=90)


def resolved_model(config: LLMConfig) -> ResolvedModel:
    """Return the provider of a profile's model, and how it was found."""
    return resolve_provider(config.model, config.custom_llm_provider, config.base_url)


def facts(config: LLMConfig) -> ModelInfo:
    """Return what litellm's map has about a profile's model."""
    return model_info(config.model, custom_llm_provider=config.custom_llm_provider, base_url=config.base_url)


def how_read(resolved: ResolvedModel, info: ModelInfo) -> str:
    """Return what named the provider of a model, such as `by litellm's map`."""
    if resolved.read_by == "litellm":
        return "by litellm's map" if info.known else "by litellm's rules for its family"
    if resolved.read_by == "family":
        return f"by its family ({resolved.name.partition('-')[0]}), as litellm's map lacks it"
    if resolved.read_by == "server":
        return "a model of the OpenAI-compatible server at base_url"
    return "by its prefix" if resolved.read_by == "prefix" else f"by {resolved.read_by}"


def retirement(info: ModelInfo) -> str | None:
    """Return when the provider retires a model, where that is past or near; None otherwise."""
    today, day = date.today(), info.deprecated_on
    if day is None or day > today + _SOON:
        return None
    if day <= today:
        return f"the provider may have retired it on {day}"
    return f"the provider retires it on {day}, in {(day - today).days} days"
