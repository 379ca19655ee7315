"""What becomes of a request's parameters: sent as they are, under another name, left out, or litellm's to handle."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class ParameterVerdict(enum.Enum):
    """What becomes of one parameter."""

    SENT = enum.auto()
    DROPPED = enum.auto()  # the model does not take it: left out and told, or refused
    OMITTED = enum.auto()  # it means nothing without another one, and nobody needs to be told
    ELSEWHERE = enum.auto()  # litellm would do more to it than the wire does


def names(text: str) -> frozenset[str]:
    """Read names that are separated by blanks."""
    return frozenset(text.split())


Judge = Callable[[Any, Mapping[str, Any]], ParameterVerdict]
"""Decides by the value of a parameter and by the other parameters."""

DECIDED = names(
    """
    audio context_management frequency_penalty function_call functions include_server_side_tool_invocations logit_bias
    logprobs max_completion_tokens max_tokens metadata modalities n parallel_tool_calls prediction presence_penalty
    prompt_cache_key prompt_cache_retention reasoning_effort response_format safety_identifier seed service_tier stop
    store stream_options temperature thinking tool_choice tools top_logprobs top_p user verbosity web_search_options
    """
)
"""The parameters that litellm decides about by provider and model; what a provider does not take, it drops."""

PASSED_ON = names(
    """
    add_generation_prompt best_of chat_template chat_template_kwargs guided_choice guided_grammar guided_json
    guided_regex ignore_eos include_reasoning include_stop_str_in_output length_penalty min_p min_tokens mirostat_eta
    mirostat_tau models plugins priority provider reasoning repetition_penalty route skip_special_tokens
    stop_token_ids structured_outputs top_a top_k transforms truncate_prompt_tokens typical_p use_beam_search
    """
)
"""Parameters of servers of OpenAI's format, which litellm does not know and puts into the body as they are. It does so
with any name but its own; those it takes for itself are many, so that a name outside of this list is left to it."""

# No part of the body by their own name.
_BESIDE_THE_BODY = frozenset(("extra_body", "extra_headers"))
# The model is what the profile says; litellm takes it out of extra_body as well.
_NEVER_EXTRA = frozenset(("model",))


class Mapped(NamedTuple):
    """The parameters of a body, and the names of those that the model does not take."""

    params: Mapping[str, Any]
    dropped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ParameterRules:
    """The rules of one model at one endpoint.

    Attributes:
        supported: Those of `DECIDED` that it takes.
        renamed: What some of them are called there.
        judged: Those whose value, or whose company, matters.
        added: What the body has beside them, unless the request sets it.
    """

    supported: frozenset[str]
    renamed: Mapping[str, str] = field(default_factory=dict)
    judged: Mapping[str, Judge] = field(default_factory=dict)
    added: Mapping[str, Any] = field(default_factory=dict)
    _passed: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        passed = (self.supported | PASSED_ON) - self.renamed.keys() - self.judged.keys()
        object.__setattr__(self, "_passed", passed)

    def apply(self, params: Mapping[str, Any]) -> Mapped | None:
        """Return what is sent for the parameters of a request; None when litellm has to do it."""
        if params.keys() <= self._passed and not self.added:
            return Mapped(params, ())
        sent: dict[str, Any] = {}
        dropped: list[str] = []
        for name, value in params.items():
            verdict = ParameterVerdict.SENT if name in self._passed else self._verdict(name, value, params)
            if verdict is ParameterVerdict.SENT:
                sent[self.renamed.get(name, name)] = value
            elif verdict is ParameterVerdict.DROPPED:
                dropped.append(name)
            elif verdict is ParameterVerdict.ELSEWHERE:
                return None
        extra = params.get("extra_body") or {}
        sent.update((name, value) for name, value in extra.items() if name not in _NEVER_EXTRA)
        return Mapped({**self.added, **sent}, tuple(dropped))

    def _verdict(self, name: str, value: Any, params: Mapping[str, Any]) -> ParameterVerdict:
        judge = self.judged.get(name)
        if judge is not None:
            return judge(value, params)
        if name in self.renamed:
            return ParameterVerdict.SENT
        if name in _BESIDE_THE_BODY:
            return ParameterVerdict.OMITTED
        return ParameterVerdict.DROPPED if name in DECIDED else ParameterVerdict.ELSEWHERE


def elsewhere(_value: Any, _params: Mapping[str, Any]) -> ParameterVerdict:
    """Leave a parameter to litellm, whatever its value."""
    return ParameterVerdict.ELSEWHERE


def with_tools(_value: Any, params: Mapping[str, Any]) -> ParameterVerdict:
    """Send a parameter about tools when there are tools."""
    return ParameterVerdict.SENT if params.get("tools") else ParameterVerdict.OMITTED


def if_mapping(value: Any, _params: Mapping[str, Any]) -> ParameterVerdict:
    """Send a table; litellm turns anything else (a pydantic class) into one."""
    return ParameterVerdict.SENT if isinstance(value, Mapping) else ParameterVerdict.ELSEWHERE


def if_text(value: Any, _params: Mapping[str, Any]) -> ParameterVerdict:
    """Send a text; litellm turns anything else (a table) into one."""
    return ParameterVerdict.SENT if isinstance(value, str) else ParameterVerdict.ELSEWHERE
