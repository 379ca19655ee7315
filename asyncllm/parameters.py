"""The parameters of a call: which there are, which were meant, and how a profile's and a call's become one set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypedDict, TypeVar

from .config.fields import Fields
from .suggestions import nearest

if TYPE_CHECKING:
    from .config import LLMConfig


T = TypeVar("T")


class ChatParams(TypedDict, total=False):
    """The chat-completions parameters that litellm takes; any other name goes to the provider by way of litellm."""

    audio: Mapping[str, Any]
    extra_body: Mapping[str, Any]
    extra_headers: Mapping[str, str]
    frequency_penalty: float
    function_call: str | Mapping[str, Any]
    functions: Sequence[Mapping[str, Any]]
    logit_bias: Mapping[str, float]
    logprobs: bool
    max_completion_tokens: int
    max_output_tokens: int
    max_tokens: int
    metadata: Mapping[str, Any]
    modalities: Sequence[str]
    n: int
    parallel_tool_calls: bool
    prediction: Mapping[str, Any]
    presence_penalty: float
    prompt_cache_key: str
    prompt_cache_retention: str
    reasoning_effort: str
    response_format: Any
    safety_identifier: str
    safety_settings: Sequence[Mapping[str, Any]]
    seed: int
    service_tier: str
    stop: str | Sequence[str]
    store: bool
    stream_options: Mapping[str, Any]
    temperature: float
    thinking: Mapping[str, Any]
    tool_choice: str | Mapping[str, Any]
    tools: Sequence[Mapping[str, Any]]
    top_k: int
    top_logprobs: int
    top_p: float
    user: str
    verbosity: str
    web_search_options: Mapping[str, Any]


class CallOptions(ChatParams, total=False):
    """`ChatParams`, and the fields of the profile that may be overridden for one call."""

    model: str
    num_retries: int
    timeout: float
    first_token_timeout: float
    idle_timeout: float
    deadline: float
    drop_params: bool
    caching_prompt: bool
    structured_mode: str
    max_reasks: int


KNOWN: frozenset[str] = frozenset(ChatParams.__annotations__)
# What litellm also takes by name; they are let through as they are.
_LITELLM_OPTIONS = frozenset(
    (
        "additional_drop_params",
        "allowed_openai_params",
        "cache_control_injection_points",
        "context_management",
        "deployment_id",
        "enable_json_schema_validation",
        "include_server_side_tool_invocations",
        "merge_reasoning_content_in_choices",
        "mock_response",
        "organization",
    )
)
# Sampling parameters of servers that look like misspelt ones of the above.
_LOOKALIKES = frozenset(
    ("best_of", "min_p", "min_tokens", "repetition_penalty", "stop_token_ids", "top_a", "typical_p")
)
# Fixed parameters of which it is kept what was found out: as many as there are prepared types.
_KEPT = 256
# A typing error leaves a name this much alike: one wrong, missing or doubled letter in five.
_MISSPELT = 0.8
# These are the SDK's own business; given to litellm, they would defeat retries, limits or accounting.
_REFUSED = {
    "api_base": "set base_url in the profile, or AsyncLLM(base_url=...)",
    "max_retries": "set num_retries",
    "messages": "messages is the first argument",
    "response_model": "for a typed answer call extract(response_model, messages)",
    "request_timeout": "set timeout",
    "stream": "call stream(), or acompletion(..., stream=True)",
}
_FROM_PROFILE = (
    "temperature",
    "top_p",
    "top_k",
    "seed",
    "stop",
    "reasoning_effort",
    "safety_settings",
    "extra_body",
)


class FixedParams(dict[str, Any]):
    """Parameters that many requests share and nobody changes: what is found out about them is found out once."""

    # By identity, as the values have no hash; that equal ones differ in it costs no more than finding out twice.
    __hash__ = object.__hash__  # type: ignore[assignment]


NO_PARAMS = FixedParams()
"""What nearly every call has: no parameters but those of its profile."""


class FoundOnce(Generic[T]):
    """A function of parameters that is called once for fixed ones, and every time for others.

    Args:
        find: The function; None is found again each time.
    """

    __slots__ = ("_find", "_found")

    def __init__(self, find: Callable[[Mapping[str, Any]], T]) -> None:
        self._find = find
        self._found: dict[FixedParams, T] = {}

    def __call__(self, params: Mapping[str, Any]) -> T:
        if type(params) is not FixedParams:
            return self._find(params)
        found = self._found.get(params)
        if found is None:
            while len(self._found) >= _KEPT:
                self._found.pop(next(iter(self._found)))
            found = self._found[params] = self._find(params)
        return found


def check(names: Iterable[str], options: frozenset[str] = frozenset()) -> None:
    """Refuse names that are misspelt or that a call does not take.

    Args:
        names: The names that were given.
        options: The names of the profile's fields that a call may override.

    Raises:
        TypeError: With the name that was meant, or what to do instead.
    """
    for name in names:
        if name not in KNOWN and name not in options:
            _check_unknown(name, options)


def merge(profile: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters to send: the profile's with the call's over them, without nulls, in litellm's spelling."""
    merged = dict(profile)
    for name, value in params.items():
        if value is None:
            merged.pop(name, None)  # None takes back what the profile sets
        elif name in ("max_tokens", "max_output_tokens", "max_completion_tokens"):
            _drop_token_limits(merged)
            merged["max_tokens" if name == "max_output_tokens" else name] = value
        elif name in ("extra_body", "metadata") and isinstance(merged.get(name), Mapping):
            merged[name] = {**merged[name], **value}
        else:
            merged[name] = value
    return merged


def profile_params(config: LLMConfig) -> Mapping[str, Any]:
    """Return the parameters that a profile sets, in litellm's spelling."""
    pairs = ((name, getattr(config, name)) for name in _FROM_PROFILE)
    params = {name: _plain(value) for name, value in pairs if value is not None}
    if config.max_output_tokens is not None:
        params["max_tokens"] = config.max_output_tokens
    return params


def output_limit(params: Mapping[str, Any]) -> int | None:
    """Return the most tokens that the answer may have, by its parameters; None when they set no limit."""
    limit: int | None = params.get("max_completion_tokens", params.get("max_tokens"))
    return limit


def _drop_token_limits(params: dict[str, Any]) -> None:
    params.pop("max_tokens", None)
    params.pop("max_completion_tokens", None)


def _check_unknown(name: str, options: frozenset[str]) -> None:
    if name in _REFUSED:
        raise TypeError(f"{name!r} is not a parameter of a call: {_REFUSED[name]}.")
    if name in Fields.model_fields:
        # Above all those that say where a request goes: the profile's key would go there with it.
        raise TypeError(f"{name!r} belongs to a client, not to a call: use with_options({name}=...), or a profile.")
    if name in _LITELLM_OPTIONS or name in _LOOKALIKES:
        return
    near = nearest(name, KNOWN | options, cutoff=_MISSPELT)
    if near is not None:
        raise TypeError(f"{name!r} is not a known parameter; did you mean {near!r}? (If not, send it in extra_body.)")


def _plain(value: Any) -> Any:
    """Turn the frozen containers of a config into the lists and dicts that litellm expects."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
