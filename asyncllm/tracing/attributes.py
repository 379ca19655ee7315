"""Attributes of the GenAI semantic conventions, from profiles, parameters, answers and errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from opentelemetry.util.types import AttributeValue

from ..completions.completion import Completion
from ..config import LLMConfig
from ..narrowing import is_list, is_mapping

# Values of gen_ai.provider.name for litellm's names of providers; the conventions have none for the others.
PROVIDERS = {
    "azure": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "bedrock": "aws.bedrock",
    "cohere_chat": "cohere",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "moonshot": "moonshot_ai",
    "vertex_ai": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}
# Where requests go when no base_url is configured.
_HOSTS = {
    "anthropic": "api.anthropic.com",
    "gemini": "generativelanguage.googleapis.com",
    "openai": "api.openai.com",
    "openrouter": "openrouter.ai",
}
_PORTS = {"http": 80, "https": 443}
_PARAMETERS = {
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "max_tokens": "gen_ai.request.max_tokens",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "seed": "gen_ai.request.seed",
    "temperature": "gen_ai.request.temperature",
    "top_k": "gen_ai.request.top_k",
    "top_p": "gen_ai.request.top_p",
}
_USAGE = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cached_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_write.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
    "audio_input_tokens": "gen_ai.usage.audio.input_tokens",
    "audio_output_tokens": "gen_ai.usage.audio.output_tokens",
}
# Names that were others before the conventions' own version 0.1.
_OLDER = {"gen_ai.usage.cache_write.input_tokens": "gen_ai.usage.cache_creation.input_tokens"}

Attributes = dict[str, AttributeValue]


def of_profile(config: LLMConfig, *, is_latest: bool) -> Attributes:
    """Return the attributes that all calls of a profile have in common, those of metrics too.

    Args:
        config: The profile.
        is_latest: Use the latest names rather than those of version 1.36.
    """
    provider = config.provider
    system = "gen_ai.provider.name" if is_latest else "gen_ai.system"
    found: Attributes = {
        "gen_ai.operation.name": "chat",
        system: PROVIDERS.get(provider, provider),
        "gen_ai.request.model": config.model.removeprefix(f"{provider}/"),
    }
    address = urlsplit(str(config.resolved_base_url() or ""))
    host = address.hostname or _HOSTS.get(provider)
    if host is not None:
        found["server.address"] = host
        found["server.port"] = address.port or _PORTS.get(address.scheme, 443)
    return found


def of_request(params: Mapping[str, object], *, is_stream: bool) -> Attributes:
    """Return the attributes of a request's parameters.

    Args:
        params: The profile's and the call's own, under litellm's names.
        is_stream: Whether a stream is asked for.
    """
    found: Attributes = {}
    for name, attribute in _PARAMETERS.items():
        value = params.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            found[attribute] = value
    stop, count = params.get("stop"), params.get("n")
    if isinstance(stop, str):
        found["gen_ai.request.stop_sequences"] = (stop,)
    elif is_list(stop):
        found["gen_ai.request.stop_sequences"] = tuple(str(one) for one in stop)
    if isinstance(effort := params.get("reasoning_effort"), str):
        found["gen_ai.request.reasoning.level"] = effort
    if isinstance(count, int) and count != 1:
        found["gen_ai.request.choice.count"] = count
    if (form := params.get("response_format")) is not None:
        kind = form.get("type") if is_mapping(form) else None
        found["gen_ai.output.type"] = "text" if kind == "text" else "json"
    if is_stream:
        found["gen_ai.request.stream"] = True
    return found


def of_answer(completion: Completion, *, is_latest: bool) -> Attributes:
    """Return the attributes of an answer: who gave it, why it ended, what it took and cost."""
    found: Attributes = {"gen_ai.response.model": completion.model}
    if completion.id:
        found["gen_ai.response.id"] = completion.id
    reasons = _finish_reasons(completion)
    if reasons:
        found["gen_ai.response.finish_reasons"] = reasons
    usage, record = completion.usage, completion.record
    if record.cached:  # without tokens, which those who read the spans would price
        found["asyncllm.cached"] = True
        if record.saved_usd is not None:
            found["asyncllm.saved_usd"] = record.saved_usd
    else:
        for name, attribute in _USAGE.items():
            value: int | None = getattr(usage, name)
            if value is not None:
                found[attribute if is_latest else _OLDER.get(attribute, attribute)] = value
        found["asyncllm.usage.basis"] = usage.basis
    if (cost := completion.cost_usd) is not None:
        found["asyncllm.cost_usd"] = cost
    found["asyncllm.transport"] = record.transport
    found["asyncllm.profile"] = record.profile
    if record.first_token_s is not None:
        found["gen_ai.response.time_to_first_chunk"] = record.first_token_s
    if record.request_id:
        found["asyncllm.request_id"] = record.request_id
    return found


def _finish_reasons(completion: Completion) -> Sequence[str]:
    choices = completion.get("choices")
    found = [one.get("finish_reason") for one in choices if is_mapping(one)] if is_list(choices) else []
    # A choice without its reason was cut short, for which the conventions have a word.
    return tuple(str(reason or "error") for reason in found)
