"""The rules of OpenAI's models, by family, as litellm decides from their names and from its model map.

Source: litellm's llms/openai/chat (gpt_transformation, gpt_5_transformation, o_series_transformation) and llms/azure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from asyncllm.models import catalog

from .parameter_rules import Judge, ParameterRules, ParameterVerdict, elsewhere, if_mapping, if_text, names, with_tools
from .tool_rules import PlainTools

COMMON = names(
    """
    frequency_penalty logit_bias logprobs max_completion_tokens max_tokens modalities n parallel_tool_calls prediction
    presence_penalty prompt_cache_key response_format safety_identifier seed service_tier stop
    store stream_options temperature tool_choice tools top_logprobs top_p
    """
)
"""Parameters that litellm sends to every endpoint of OpenAI's format and for every model."""

LOST = names("metadata prompt_cache_retention")
"""Parameters of OpenAI's own that litellm takes for itself, or forgets; both transports send them on to OpenAI."""

# Functions are the old form of tools, and sound and search change the answer's shape: litellm knows how.
RARE: Mapping[str, Judge] = dict.fromkeys(("audio", "function_call", "functions", "web_search_options"), elsewhere)

_RENAMED = {"max_tokens": "max_completion_tokens"}
_SAMPLING = frozenset(("logprobs", "top_logprobs", "top_p"))
_NOT_GPT_5 = names("audio frequency_penalty logit_bias modalities prediction presence_penalty stop web_search_options")
_NOT_O_SERIES = _SAMPLING | {"frequency_penalty", "presence_penalty"}
_SEARCH = names(
    """
    max_completion_tokens max_tokens response_format safety_identifier service_tier store stream_options user verbosity
    """
)
_WITHOUT_RESPONSE_FORMAT = frozenset(("gpt-4", "gpt-3.5-turbo-16k"))
_O_SERIES = re.compile(r"o\d")
_VERSION = re.compile(r"gpt-(\d+)(?:\.(\d+))?(?=[.-]|$)")
# Since these, OpenAI refuses tools while the model reasons, except on its Responses API.
_NO_TOOLS_WHILE_REASONING = (5, 4)


def is_listed(name: str) -> bool:
    """Return whether litellm's map knows a model as one of OpenAI's."""
    # A fine-tuned model's entry with a single colon is a price, not a model.
    fine_tuned = name.startswith("ft:") and name.count(":") == 1
    entry = None if fine_tuned else catalog.entry(name)
    return entry is not None and entry.get("litellm_provider") in ("openai", "text-completion-openai")


def user_if_listed(name: str) -> Judge:
    """Make the judge of `user`, which litellm sends for the models of OpenAI alone, at any endpoint."""
    return lambda _value, _params: ParameterVerdict.SENT if is_listed(name) else ParameterVerdict.DROPPED


def is_gpt_5(name: str) -> bool:
    """Return whether litellm treats a model as one of the gpt-5 series, or a later one."""
    return ("gpt-5" in name or "gpt-6" in name) and "gpt-5-chat" not in name.rpartition("/")[2]


def is_o_series(name: str) -> bool:
    """Return whether litellm treats a model as one of the o-series."""
    return _O_SERIES.match(name.rpartition("/")[2]) is not None and is_listed(name.rpartition("/")[2])


def common_rules(
    name: str,
    *,
    tools: Judge,
    judged: Mapping[str, Judge] | None = None,
    supported: frozenset[str] = COMMON,
    renamed: Mapping[str, str] | None = None,
    added: Mapping[str, object] | None = None,
) -> ParameterRules:
    """Make the rules of a model without peculiarities, at any endpoint of OpenAI's format."""
    if name in _WITHOUT_RESPONSE_FORMAT:
        supported -= {"response_format"}
    judges: dict[str, Judge] = {**RARE, "user": user_if_listed(name), "tool_choice": with_tools, "tools": tools}
    if "response_format" in supported:
        judges["response_format"] = if_mapping
    return ParameterRules(supported, renamed=renamed or {}, judged={**judges, **(judged or {})}, added=added or {})


def openai_rules(name: str, *, hosted: bool) -> ParameterRules:
    """Make the rules of a model of the provider `openai`.

    Args:
        name: The model, without the provider's prefix.
        hosted: Whether OpenAI itself serves it, rather than an endpoint of the user's choice.
    """
    tools = PlainTools(regexes=False, combinators=not hosted)
    if is_o_series(name):
        return _o_series_rules(name, tools)
    if "gpt-5" in name and "search" in name:
        judged = {"response_format": if_mapping, "web_search_options": elsewhere}
        return ParameterRules(_SEARCH | LOST, renamed=_RENAMED, judged=judged)
    if is_gpt_5(name):
        return _gpt_5_rules(name, tools, hosted=hosted)
    # What litellm does not know may be anything behind a proxy, and is given the effort as it is.
    if is_listed(name):
        return common_rules(name, supported=COMMON | LOST, tools=tools)
    supported = COMMON | LOST | {"reasoning_effort"}
    return common_rules(name, supported=supported, tools=tools, judged={"reasoning_effort": if_text})


def _o_series_rules(name: str, tools: Judge) -> ParameterRules:
    entry = catalog.entry(name) or {}
    refused = _NOT_O_SERIES
    if not entry.get("supports_function_calling"):
        refused |= {"tools", "tool_choice", "functions", "function_call"}
    if not entry.get("supports_parallel_function_calling"):
        refused |= {"parallel_tool_calls"}
    if not entry.get("supports_response_schema"):
        refused |= {"response_format"}
    judged: dict[str, Judge] = {
        **RARE,
        "reasoning_effort": if_text,
        "response_format": if_mapping,
        "temperature": _only_one,
        "tool_choice": with_tools,
        "tools": tools,
        "user": user_if_listed(name),
    }
    return _without(refused, COMMON | LOST, judged)


class _Gpt5Judges:
    """The judges of a model of the gpt-5 series or a later one, by the flags of litellm's map."""

    def __init__(self, key: str, tools: Judge, *, hosted: bool) -> None:
        self._flags: Mapping[str, object] = (catalog.entry(key) if is_listed(key) else None) or {}
        self._tools = tools
        self._hosted = hosted
        self._reasons_beside_tools = not _is_later(key)
        self._takes_none = self._flags.get("supports_none_reasoning_effort") is True

    def refused(self) -> frozenset[str]:
        """Return the parameters that the model does not take."""
        refused = _NOT_GPT_5 if self._takes_none else _NOT_GPT_5 | _SAMPLING
        return refused if self._flags.get("supports_tool_choice") else refused | {"tool_choice"}

    def effort(self, value: object, _params: Mapping[str, object]) -> ParameterVerdict:
        if not isinstance(value, str):
            return ParameterVerdict.ELSEWHERE
        known = self._flags.get(f"supports_{value}_reasoning_effort")
        refuses = known is not True if value == "xhigh" else known is False
        return ParameterVerdict.DROPPED if refuses and value != "max" else ParameterVerdict.SENT

    def sampling(self, _value: object, params: Mapping[str, object]) -> ParameterVerdict:
        return ParameterVerdict.DROPPED if self._reasons(params) else ParameterVerdict.SENT

    def temperature(self, value: object, params: Mapping[str, object]) -> ParameterVerdict:
        is_taken = value == 1 or (self._takes_none and not self._reasons(params))
        return ParameterVerdict.SENT if is_taken else ParameterVerdict.DROPPED

    def tools(self, value: object, params: Mapping[str, object]) -> ParameterVerdict:
        asked = params.get("reasoning_effort")
        reasons = asked != "none" or self.effort(asked, params) is not ParameterVerdict.SENT
        if value and not self._reasons_beside_tools and reasons and (self._hosted or asked is not None):
            return ParameterVerdict.ELSEWHERE
        return self._tools(value, params)

    def _reasons(self, params: Mapping[str, object]) -> bool:
        asked = params.get("reasoning_effort")
        if asked is not None and self.effort(asked, params) is ParameterVerdict.SENT:
            return asked != "none"
        return self._flags.get("default_reasoning_effort") != "none"


def _gpt_5_rules(name: str, tools: Judge, *, hosted: bool) -> ParameterRules:
    key = name.rpartition("/")[2]
    judges = _Gpt5Judges(key, tools, hosted=hosted)
    judged: dict[str, Judge] = {
        **RARE,
        "reasoning_effort": judges.effort,
        "response_format": if_mapping,
        "temperature": judges.temperature,
        "tool_choice": with_tools,
        "tools": judges.tools,
        "user": user_if_listed(key),
        **dict.fromkeys(_SAMPLING, judges.sampling),
    }
    return _without(judges.refused(), COMMON | LOST | {"verbosity"}, judged)


def azure_rules(name: str, api_version: str) -> ParameterRules | None:
    """Make the rules of a deployment on Azure; None when litellm has to serve it."""
    year, _, rest = api_version.partition("-")
    if not (year.isdigit() and (int(year), rest) >= (2024, "08")):
        return None  # older versions lack parameters, and newer names are other endpoints
    if is_gpt_5(name) or re.search(r"o1|o3|o4|_series/", name):
        return None  # litellm decides by the deployment's name, and makes a stream of a plain answer for some
    supported = COMMON - {"safety_identifier", "service_tier"}
    judged: dict[str, Judge] = {
        **RARE,
        "response_format": if_mapping,
        "tool_choice": with_tools,
        "tools": PlainTools(regexes=False, combinators=False),
    }
    renamed = _RENAMED if "gpt-5" in name else {}
    if "gpt-35" in name or "gpt-3.5" in re.sub(r"(\d)-(\d)", r"\1.\2", name):
        judged["response_format"] = elsewhere
    return ParameterRules(supported | LOST | {"user"}, judged=judged, renamed=renamed)


def _without(refused: frozenset[str], supported: frozenset[str], judged: Mapping[str, Judge]) -> ParameterRules:
    """Make the rules of a reasoning model; what it does not take is dropped, with any value."""
    kept = {name: judge for name, judge in judged.items() if name not in refused}
    return ParameterRules(supported - refused, renamed=_RENAMED, judged=kept)


def _is_later(name: str) -> bool:
    match = _VERSION.match(name)
    return match is not None and (int(match[1]), int(match[2] or 0)) >= _NO_TOOLS_WHILE_REASONING


def _only_one(value: object, _params: Mapping[str, object]) -> ParameterVerdict:
    return ParameterVerdict.SENT if value == 1 else ParameterVerdict.DROPPED
