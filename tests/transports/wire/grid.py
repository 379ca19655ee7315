"""The grid of the differential test: which requests both transports are given."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

PNG = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nG"
    "NgYGD4DwABBAEAX+XDSwAAAABJRU5ErkJggg=="
)

MODELS: Mapping[str, Sequence[str]] = {
    "openai": (
        "gpt-4o",
        "gpt-5-mini",
        "gpt-5.1",
        "o3",
        "my-own-model",
        "gpt-4o-mini",
        "gpt-4.1",
        "gpt-4",
        "gpt-3.5-turbo",
        "gpt-4o-audio-preview",
        "gpt-4o-search-preview",
        "gpt-5",
        "gpt-5-nano",
        "gpt-5-chat-latest",
        "gpt-5.2",
        "gpt-5.4",
        "gpt-5-pro",
        "gpt-5-codex",
        "gpt-5-search-api",
        "o1",
        "o3-mini",
        "o4-mini",
        "gpt-4o-2024-08-06",
        "ft:gpt-4o-mini-2024-07-18:acme::abc",
        "gpt-5-of-mine",
        "meta-llama/Llama-3.1-8B-Instruct",
    ),
    "azure": ("gpt-4o", "gpt-4.1", "gpt-5-mini", "gpt-5.2", "o3", "o1", "gpt-35-turbo", "my-deployment"),
    "hosted_vllm": ("meta-llama/Llama-3.1-8B-Instruct", "gpt-5", "my-own-model"),
    "groq": ("llama-3.3-70b-versatile", "openai/gpt-oss-120b", "my-own-model", "compound"),
    "openrouter": (
        "openai/gpt-4o-mini",
        "openai/gpt-5-mini",
        "anthropic/claude-sonnet-4.5",
        "google/gemini-2.5-flash",
        "my-own/model",
    ),
    "deepseek": ("deepseek-chat", "deepseek-reasoner", "my-own-model"),
    "together_ai": ("meta-llama/Llama-3.3-70B-Instruct-Turbo", "openai/gpt-oss-120b", "my-own/model"),
    "fireworks_ai": (
        "accounts/fireworks/models/llama-v3p1-8b-instruct",
        "accounts/fireworks/models/gpt-oss-120b",
        "my-own",
    ),
    "mistral": ("mistral-small-latest", "magistral-medium-latest", "my-own-model"),
    "xai": ("grok-4", "grok-3-mini", "grok-3", "my-own-model"),
    "litellm_proxy": ("gpt-4o", "gpt-5-mini", "claude-sonnet-4-5", "my-own-model"),
}

PART = 6  # The models that do not meet every request meet every sixth.

_WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather somewhere.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
_STRICT = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
_PATTERN = {
    "type": "function",
    "function": {
        "name": "lookup",
        "parameters": {"type": "object", "properties": {"id": {"type": "string", "pattern": "^[a-z]+$"}}},
    },
}
_REFS = {
    "type": "function",
    "function": {
        "name": "lookup",
        "parameters": {
            "type": "object",
            "properties": {"id": {"$ref": "#/$defs/Id"}},
            "$defs": {"Id": {"type": "string"}},
        },
    },
}
_EITHER = {
    "type": "function",
    "function": {
        "name": "lookup",
        "parameters": {"anyOf": [{"type": "object", "properties": {"id": {"type": "string"}}}]},
    },
}
_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}

PARAMS: Mapping[str, Mapping[str, Any]] = {
    "none": {},
    "max_tokens": {"max_tokens": 64},
    "max_completion_tokens": {"max_completion_tokens": 64},
    "max_output_tokens": {"max_output_tokens": 64},
    "temperature_0": {"temperature": 0},
    "temperature_1": {"temperature": 1},
    "temperature_0.7": {"temperature": 0.7},
    "top_p": {"top_p": 0.9},
    "top_p_1": {"top_p": 1},
    "top_k": {"top_k": 20},
    "stop": {"stop": "END"},
    "stops": {"stop": ["END", "STOP"]},
    "seed": {"seed": 7},
    "n": {"n": 2},
    "n_1": {"n": 1},
    "user": {"user": "somebody"},
    "logprobs": {"logprobs": True, "top_logprobs": 2},
    "presence_penalty": {"presence_penalty": 0.5},
    "frequency_penalty": {"frequency_penalty": 0.5},
    "logit_bias": {"logit_bias": {"50256": -100}},
    "tools": {"tools": [_WEATHER]},
    "tools_auto": {"tools": [_WEATHER], "tool_choice": "auto"},
    "tools_none": {"tools": [_WEATHER], "tool_choice": "none"},
    "tools_required": {"tools": [_WEATHER], "tool_choice": "required"},
    "tools_named": {
        "tools": [_WEATHER],
        "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
    },
    "tools_parallel": {"tools": [_WEATHER], "parallel_tool_calls": False},
    "tools_strict": {"tools": [_STRICT]},
    "tools_pattern": {"tools": [_PATTERN]},
    "tools_refs": {"tools": [_REFS]},
    "tools_either": {"tools": [_EITHER]},
    "tools_empty": {"tools": []},
    "tool_choice_alone": {"tool_choice": "auto"},
    "parallel_alone": {"parallel_tool_calls": True},
    "json_object": {"response_format": {"type": "json_object"}},
    "json_schema": {
        "response_format": {"type": "json_schema", "json_schema": {"name": "c", "schema": _SCHEMA, "strict": True}}
    },
    "text_format": {"response_format": {"type": "text"}},
    "tools_and_schema": {
        "tools": [_WEATHER],
        "response_format": {"type": "json_schema", "json_schema": {"name": "c", "schema": _SCHEMA}},
    },
    "effort_low": {"reasoning_effort": "low"},
    "effort_high": {"reasoning_effort": "high"},
    "effort_none": {"reasoning_effort": "none"},
    "effort_minimal": {"reasoning_effort": "minimal"},
    "effort_xhigh": {"reasoning_effort": "xhigh"},
    "effort_temperature": {"reasoning_effort": "none", "temperature": 0.3, "top_p": 0.5},
    "effort_tools": {"reasoning_effort": "low", "tools": [_WEATHER]},
    "verbosity": {"verbosity": "low"},
    "service_tier": {"service_tier": "flex"},
    "store": {"store": True},
    "metadata": {"metadata": {"team": "blue"}},
    "store_metadata": {"store": True, "metadata": {"team": "blue"}},
    "prediction": {"prediction": {"type": "content", "content": "Hello"}},
    "modalities": {"modalities": ["text"]},
    "audio": {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}},
    "web_search": {"web_search_options": {"search_context_size": "low"}},
    "safety_identifier": {"safety_identifier": "u1"},
    "prompt_cache": {"prompt_cache_key": "k1"},
    "prompt_cache_retention": {"prompt_cache_retention": "24h"},
    "thinking": {"thinking": {"type": "enabled", "budget_tokens": 1024}},
    "extra_body": {"extra_body": {"min_p": 0.1, "chat_template_kwargs": {"enable_thinking": False}}},
    "extra_body_over": {"temperature": 0.5, "extra_body": {"temperature": 0.9}},
    "extra_body_model": {"extra_body": {"model": "another"}},
    "extra_headers": {"extra_headers": {"X-Request-Source": "grid"}},
    "unknown": {"repetition_penalty": 1.1, "min_p": 0.05},
    "unheard_of": {"zz_new_feature": {"on": True}},
    "functions": {"functions": [_WEATHER["function"]], "function_call": "auto"},
    "usual": {"max_tokens": 64, "temperature": 0, "seed": 3, "stop": ["END"], "user": "u"},
}

_CALL = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Bonn"}'}}
MESSAGES: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "plain": ({"role": "user", "content": "What is the capital of France?"},),
    "system": ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}),
    "developer": ({"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hello"}),
    "two_users": ({"role": "user", "content": "Hello"}, {"role": "user", "content": "there"}),
    "assistant": (
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi!"},
        {"role": "user", "content": "Go on"},
    ),
    "parts": ({"role": "user", "content": [{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}]},),
    "system_parts": (
        {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
        {"role": "user", "content": "Hello"},
    ),
    "vision": (
        {
            "role": "user",
            "content": [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": PNG}}],
        },
    ),
    "vision_detail": (
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": PNG, "detail": "low"}}]},
    ),
    "vision_format": (
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": PNG, "format": "image/png"}}]},
    ),
    "file": (
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Read."},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0=", "filename": "a.pdf"}},
            ],
        },
    ),
    "input_audio": (
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}]},
    ),
    "tool_result": (
        {"role": "user", "content": "Weather in Bonn?"},
        {"role": "assistant", "content": None, "tool_calls": [_CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "Rain."},
    ),
    "tool_result_empty_text": (
        {"role": "user", "content": "Weather in Bonn?"},
        {"role": "assistant", "content": "", "tool_calls": [_CALL]},
        {"role": "tool", "tool_call_id": "call_1", "name": "get_weather", "content": "Rain."},
    ),
    "tool_result_parts": (
        {"role": "user", "content": "Weather in Bonn?"},
        {"role": "assistant", "content": "Let me see.", "tool_calls": [_CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "Rain."}]},
    ),
    "name": ({"role": "user", "name": "ann", "content": "Hello"},),
    "cache_part": (
        {
            "role": "system",
            "content": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        },
        {"role": "user", "content": "Hello"},
    ),
    "cache_message": (
        {"role": "system", "content": "Be brief.", "cache_control": {"type": "ephemeral"}},
        {"role": "user", "content": "Hello"},
    ),
    "reasoning_back": (
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi!", "reasoning_content": "A greeting."},
        {"role": "user", "content": "Go on"},
    ),
    "thinking_back": (
        {"role": "user", "content": "Hello"},
        {
            "role": "assistant",
            "content": "Hi!",
            "reasoning_content": "A greeting.",
            "thinking_blocks": [{"type": "thinking", "thinking": "A greeting.", "signature": "sig1"}],
        },
        {"role": "user", "content": "Go on"},
    ),
    "unicode": ({"role": "user", "content": 'Grüße, 世界 🌍 \u2028 "quotes" \n'},),
    "empty": ({"role": "user", "content": ""},),
    "assistant_last": ({"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}),
    "refusal": (
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": None, "refusal": "No."},
        {"role": "user", "content": "Please"},
    ),
}

# What a stream may change besides adding `stream`: these are tried as streams for every model.
STREAMED = ("none", "max_tokens", "tools", "json_object", "json_schema", "effort_low", "stream_options")
_STREAM_OPTIONS = {"stream_options": {"stream_options": {"include_usage": False}}}


@dataclass(frozen=True)
class Case:
    """One request."""

    provider: str
    model: str
    params_name: str = "none"
    messages_name: str = "plain"
    stream: bool = False
    params: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    given: Sequence[Mapping[str, Any]] = field(default=MESSAGES["plain"], repr=False, compare=False)

    def __str__(self) -> str:
        stream = "-stream" if self.stream else ""
        return f"{self.provider}/{self.model}-{self.params_name}-{self.messages_name}{stream}"

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [dict(message) for message in self.given]

    @property
    def names(self) -> set[str]:
        return {self.model, *self.params_name.split("+"), self.messages_name, *(("stream",) if self.stream else ())}


class Difference(NamedTuple):
    """What the wire sends or gives otherwise than litellm, and why; docs/transports.md has the reasons, too.

    Attributes:
        names: Names of parameters and messages, or `stream`; empty for all.
        fields: Names of what differs in the body, the headers or the result; empty for anything.
        reason: Why.
        params: Parameters that a request must all have.
    """

    names: str
    fields: str
    reason: str
    params: str = ""

    def covers(self, case: Case) -> bool:
        is_named = not self.names or not case.names.isdisjoint(self.names.split())
        return is_named and case.params.keys() >= set(self.params.split())


@dataclass(frozen=True)
class Grid:
    """The requests that the models of one provider meet.

    Attributes:
        models: The models.
        leading: How many of them, the first ones, meet every request once. The others, which differ from them in
            little, meet a part of it, each another one.
        params: Parameters, each tried with plain messages.
        messages: Messages, each tried without parameters.
        pairs: Names of parameters and of messages that are tried together.
        streamed: Names of parameters that are tried in a stream.
        streamed_messages: Names of messages that are.
    """

    models: Sequence[str]
    leading: int = 1
    params: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: PARAMS)
    messages: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=lambda: MESSAGES)
    pairs: Sequence[tuple[str, str]] = ()
    streamed: Sequence[str] = STREAMED
    streamed_messages: Sequence[str] = ()

    def cases(self, provider: str, model: str, *, every: bool = False, sampled: bool = True) -> Iterator[Case]:
        """Return the requests for a model.

        Args:
            provider: Its provider.
            model: The model.
            every: Give all of them to all models, every parameter in a stream too, and pairs of them.
            sampled: Give only some of them to the models that are not leading.
        """
        place = self.models.index(model)
        alone = list(self._alone(provider, model))
        yield from alone if every or not sampled or place < self.leading else alone[place % PART :: PART]
        if every:
            for name in self.params.keys() - set(self.streamed):
                yield Case(provider, model, name, stream=True, params=self.params[name])
            for (one, first), (two, second) in itertools.combinations(self.params.items(), 2):
                if not first.keys() & second.keys():
                    yield Case(provider, model, f"{one}+{two}", params={**first, **second})

    def _alone(self, provider: str, model: str) -> Iterator[Case]:
        for name, params in self.params.items():
            yield Case(provider, model, name, params=params)
        for name, messages in self.messages.items():
            yield Case(provider, model, messages_name=name, given=messages)
        for params_name, name in self.pairs:
            params, messages = self.params[params_name], self.messages[name]
            yield Case(provider, model, params_name, name, params=params, given=messages)
        for name in self.streamed:
            yield Case(provider, model, name, stream=True, params={**self.params, **_STREAM_OPTIONS}[name])
        for name in self.streamed_messages:
            yield Case(provider, model, messages_name=name, stream=True, given=self.messages[name])


GRIDS: Mapping[str, Grid] = {
    provider: Grid(models, leading=5 if provider == "openai" else 1) for provider, models in MODELS.items()
}
