"""The providers that the wire serves: their addresses, their headers beside the key, and their rules."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from asyncllm.models import catalog

from .message_rules import MessageRules
from .openai_models import COMMON, LOST, RARE, common_rules, is_o_series, openai_rules
from .parameter_rules import Judge, ParameterRules, ParameterVerdict, elsewhere, if_mapping, if_text, names, with_tools
from .tool_rules import PlainTools


class EndpointRules(NamedTuple):
    """The rules of one model at one endpoint."""

    parameters: ParameterRules
    messages: MessageRules


@dataclass(frozen=True, slots=True)
class WireEndpoint:
    """A provider, as litellm reaches it.

    Attributes:
        base_url: Its address; None when the profile must name one.
        rules: Makes the rules of a model, by its name and the base URL; None where litellm has to serve the model.
        headers: Makes the headers that are sent beside the key.
        needs_key: Whether a request without a key is left to litellm, to be refused.
    """

    base_url: str | None
    rules: Callable[[str, str], EndpointRules | None]
    headers: Callable[[], Mapping[str, str]] = dict
    needs_key: bool = True


# Azure's version where nothing names one. Source: litellm's AZURE_DEFAULT_API_VERSION.
AZURE_API_VERSION = "2025-02-01-preview"
AZURE_MESSAGES = MessageRules(cache_control="kept", media=True)
# A model with one of these in its name takes marks for the cache inside of its parts. Source: litellm's OpenRouter.
_CACHING_AT_OPENROUTER = ("claude", "gemini", "glm", "minimax", "z-ai")
_LOCAL_REASONING = frozenset(("reasoning_content",))


def is_openai_host(base_url: str) -> bool:
    """Return whether an address is OpenAI's own."""
    host = urlsplit(base_url).hostname or ""
    return host == "openai.com" or host.endswith(".openai.com")


def _openai(name: str, base_url: str) -> EndpointRules | None:
    hosted = is_openai_host(base_url)
    entry = catalog.entry(name)
    if name.startswith("responses/") or (entry is not None and entry.get("mode") not in (None, "chat")):
        return None  # another endpoint, into which litellm translates
    roles = {"developer": "system"}
    if is_o_series(name):
        roles = {} if (entry or {}).get("supports_system_messages") else {"system": "user"}
    # litellm loses the mark of a message whose role it changes.
    kept: Literal["kept", "moved"] = "moved" if roles.get("system") else "kept"
    messages = MessageRules(
        roles,
        cache_control="removed" if hosted else kept,
        media=True,
        other_keys=frozenset(("audio", "reasoning_content", "refusal")),
    )
    return EndpointRules(openai_rules(name, hosted=hosted), messages)


def _openai_headers() -> Mapping[str, str]:
    named = {
        "OpenAI-Organization": os.environ.get("OPENAI_ORGANIZATION") or os.environ.get("OPENAI_ORG_ID"),
        "OpenAI-Project": os.environ.get("OPENAI_PROJECT_ID"),
    }
    return {name: value for name, value in named.items() if value}


def _hosted_vllm(name: str, _base_url: str) -> EndpointRules:
    # litellm takes these out of tools, because vLLM did not know them.
    tools = PlainTools(strict=False, closed=False)
    judged = {"reasoning_effort": if_text, "thinking": elsewhere}
    messages = MessageRules(other_keys=_LOCAL_REASONING | {"refusal"})
    return EndpointRules(common_rules(name, tools=tools, judged=judged), messages)


def _litellm_proxy(_name: str, _base_url: str) -> EndpointRules:
    # The proxy is another litellm: nothing is decided here that it decides better.
    judged: dict[str, Judge] = {**RARE, "response_format": if_mapping, "tools": PlainTools()}
    supported = COMMON | LOST | {"reasoning_effort", "thinking", "user", "verbosity"}
    keys = _LOCAL_REASONING | {"audio", "refusal", "thinking_blocks"}
    messages = MessageRules(cache_control="kept", media=True, other_keys=keys)
    return EndpointRules(ParameterRules(supported, judged=judged), messages)


def _openrouter(name: str, _base_url: str) -> EndpointRules:
    caching = any(mark in name.lower() for mark in _CACHING_AT_OPENROUTER)

    def effort(value: object, _params: Mapping[str, object]) -> ParameterVerdict:
        return ParameterVerdict.SENT if isinstance(value, str) and value != "max" else ParameterVerdict.ELSEWHERE

    parameters = common_rules(
        name,
        supported=COMMON | {"thinking"},
        tools=PlainTools(),
        judged={"reasoning_effort": effort},
        added={"usage": {"include": True}},  # asks for the cost
    )
    messages = MessageRules(
        cache_control="moved" if caching else "removed",
        media=True,
        other_keys=_LOCAL_REASONING | {"audio", "refusal"},
    )
    return EndpointRules(parameters, messages)


def _openrouter_headers() -> Mapping[str, str]:
    # OpenRouter shows the application by these; litellm's own are what it sends without the variables.
    return {
        "HTTP-Referer": os.environ.get("OR_SITE_URL") or "https://litellm.ai",
        "X-Title": os.environ.get("OR_APP_NAME") or "liteLLM",
    }


def _groq(name: str, _base_url: str) -> EndpointRules:
    reasons = (catalog.entry(f"groq/{name}") or {}).get("supports_reasoning")
    # A typed answer is made by way of a tool for some models, and a stream of it is a plain answer cut up.
    judged: dict[str, Judge] = {"response_format": elsewhere}
    if reasons:
        judged["reasoning_effort"] = if_text
    parameters = common_rules(name, tools=PlainTools(), judged=judged, renamed={"max_completion_tokens": "max_tokens"})
    return EndpointRules(parameters, MessageRules(other_keys=_LOCAL_REASONING))


def _deepseek(name: str, _base_url: str) -> EndpointRules:
    judged = {"reasoning_effort": elsewhere, "thinking": elsewhere}
    parameters = common_rules(name, tools=PlainTools(), judged=judged)
    # A list of parts becomes one text there.
    return EndpointRules(parameters, MessageRules(lists=False, other_keys=_LOCAL_REASONING))


def _together_ai(name: str, _base_url: str) -> EndpointRules:
    entry = catalog.entry(f"together_ai/{name}") or {}
    judged: dict[str, Judge] = {"reasoning_effort": elsewhere}
    # What the map says a model cannot do is left out; what it does not mention is Together's to judge.
    for flag, params in (
        ("supports_function_calling", ("tools", "tool_choice")),
        ("supports_response_schema", ("response_format",)),
    ):
        if entry.get(flag) is False:
            judged |= dict.fromkeys(params, elsewhere)
    return EndpointRules(
        common_rules(name, tools=PlainTools(), judged=judged), MessageRules(other_keys=_LOCAL_REASONING)
    )


def _mistral(name: str, base_url: str) -> EndpointRules | None:
    if "magistral" in name.lower() or not base_url.endswith("/v1"):
        return None  # its answers have parts that litellm takes apart
    supported = names(
        "max_completion_tokens max_tokens parallel_tool_calls response_format seed stop temperature tools top_p"
    )

    def tool_choice(value: object, params: Mapping[str, object]) -> ParameterVerdict:
        return with_tools(value, params) if value in ("auto", "none") else ParameterVerdict.ELSEWHERE

    judged: dict[str, Judge] = {
        "reasoning_effort": elsewhere,
        "response_format": if_mapping,
        "tool_choice": tool_choice,
        "tools": PlainTools(strict=False, closed=False, references=False),
    }
    renamed = {"max_completion_tokens": "max_tokens", "seed": "random_seed"}
    return EndpointRules(
        ParameterRules(supported, renamed=renamed, judged=judged), MessageRules(lists=False, names=False)
    )


ENDPOINTS: Mapping[str, WireEndpoint] = {
    "openai": WireEndpoint("https://api.openai.com/v1", _openai, _openai_headers),
    "hosted_vllm": WireEndpoint(None, _hosted_vllm, needs_key=False),
    "litellm_proxy": WireEndpoint(None, _litellm_proxy, needs_key=False),
    "openrouter": WireEndpoint("https://openrouter.ai/api/v1", _openrouter, _openrouter_headers),
    "groq": WireEndpoint("https://api.groq.com/openai/v1", _groq),
    "deepseek": WireEndpoint("https://api.deepseek.com/beta", _deepseek),
    "together_ai": WireEndpoint("https://api.together.ai/v1", _together_ai),
    "mistral": WireEndpoint("https://api.mistral.ai/v1", _mistral),
}
