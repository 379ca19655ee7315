"""The parameters of a request: sent as they are, renamed, left out, or left to litellm."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from asyncllm import telemetry
from asyncllm.transports.json_values import is_object

from ..formats.format import Unserved


class ParameterVerdict(enum.Enum):
    """The verdict on one parameter."""

    SENT = enum.auto()
    DROPPED = enum.auto()  # the model does not take it: left out and reported, or refused
    OMITTED = enum.auto()  # left out without report, since it means nothing without another one
    ELSEWHERE = enum.auto()  # litellm would do more to it than the wire does


def names(text: str) -> frozenset[str]:
    """Return the names in a text, which blanks separate."""
    return frozenset(text.split())


Judge = Callable[[object, Mapping[str, object]], ParameterVerdict]
"""Decides by the value of a parameter and by the other parameters."""

DECIDED = names(
    """
    audio context_management frequency_penalty function_call functions include_server_side_tool_invocations logit_bias
    logprobs max_completion_tokens max_tokens metadata modalities n parallel_tool_calls prediction presence_penalty
    prompt_cache_key prompt_cache_retention reasoning_effort response_format safety_identifier seed service_tier stop
    store stream_options temperature thinking tool_choice tools top_logprobs top_p user verbosity web_search_options
    """
)
"""The parameters that litellm drops where a provider or model does not take them."""

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
    """The parameters of a body.

    Attributes:
        params: The members of the body.
        dropped: The names of those that the model does not take.
        head: The body but for its messages, encoded; empty unless the parameters are fixed.
    """

    params: Mapping[str, object]
    dropped: tuple[str, ...]
    head: bytes = b""


@dataclass(frozen=True, slots=True)
class ParameterRules:
    """The rules of one model at one endpoint.

    Attributes:
        supported: Those of `DECIDED` that it takes.
        renamed: The names of some of them there.
        judged: Those whose value matters, or what other parameters there are.
        added: Further members of the body, unless the request sets them.
    """

    supported: frozenset[str]
    renamed: Mapping[str, str] = field(default_factory=dict[str, str])
    judged: Mapping[str, Judge] = field(default_factory=dict[str, Judge])
    added: Mapping[str, object] = field(default_factory=dict[str, object])
    _passed: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        passed = (self.supported | PASSED_ON) - self.renamed.keys() - self.judged.keys()
        object.__setattr__(self, "_passed", passed)

    def apply(self, params: Mapping[str, object]) -> Mapped | Unserved:
        """Return what is sent for the parameters of a request, or why litellm has to serve it."""
        if params.keys() <= self._passed and not self.added:
            return Mapped(params, ())
        sent: dict[str, object] = {}
        dropped: list[str] = []
        for name, value in params.items():
            verdict = ParameterVerdict.SENT if name in self._passed else self._verdict(name, value, params)
            if verdict is ParameterVerdict.SENT:
                sent[self.renamed.get(name, name)] = value
            elif verdict is ParameterVerdict.DROPPED:
                dropped.append(name)
            elif verdict is ParameterVerdict.ELSEWHERE:
                return Unserved(f"{name} is left to litellm here, as it may change more than a name")
        extra = params.get("extra_body")
        if is_object(extra):
            sent.update((name, value) for name, value in extra.items() if name not in _NEVER_EXTRA)
        elif extra:
            return Unserved("extra_body is no object")
        return Mapped({**self.added, **sent}, tuple(dropped))

    def _verdict(self, name: str, value: object, params: Mapping[str, object]) -> ParameterVerdict:
        judge = self.judged.get(name)
        if judge is not None:
            return judge(value, params)
        if name in self.renamed:
            return ParameterVerdict.SENT
        if name in _BESIDE_THE_BODY:
            return ParameterVerdict.OMITTED
        return ParameterVerdict.DROPPED if name in DECIDED else ParameterVerdict.ELSEWHERE


def report_dropped(model: str, names: str, *, again: bool) -> None:
    """Emit the event of dropped parameters, once as a warning for each model and set of them."""
    # A batch of a million would repeat it as often.
    telemetry.emit(telemetry.DEBUG if again else telemetry.WARNING, "call.params_dropped", model=model, params=names)


def elsewhere(_value: object, _params: Mapping[str, object]) -> ParameterVerdict:
    """Leave a parameter to litellm."""
    return ParameterVerdict.ELSEWHERE


def with_tools(_value: object, params: Mapping[str, object]) -> ParameterVerdict:
    """Send a parameter about tools when there are tools."""
    return ParameterVerdict.SENT if params.get("tools") else ParameterVerdict.OMITTED


def if_mapping(value: object, _params: Mapping[str, object]) -> ParameterVerdict:
    """Send an object; litellm turns anything else (a pydantic class) into one."""
    return ParameterVerdict.SENT if isinstance(value, Mapping) else ParameterVerdict.ELSEWHERE


def if_text(value: object, _params: Mapping[str, object]) -> ParameterVerdict:
    """Send a text; litellm turns anything else (an object) into one."""
    return ParameterVerdict.SENT if isinstance(value, str) else ParameterVerdict.ELSEWHERE
