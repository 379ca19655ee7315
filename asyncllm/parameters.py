"""Parameters of a call: known names, suggestions for misspelt ones, and merging with those of the profile."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, Literal, TypedDict, TypeVar

from .config.fields import CacheMode, Fields
from .errors import nearest
from .messages import Priority
from .narrowing import is_list, is_mapping

if TYPE_CHECKING:
    from .config import LLMConfig


T = TypeVar("T")


class ChatParams(TypedDict, total=False):
    """The chat-completions parameters of litellm; any other name is passed to the provider through litellm."""

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


CacheUse = bool | Literal["refresh", "only"]
"""A call's use of the profile's cache: read and write it, or not at all; ask again and replace; never ask."""

_CACHE_MODES: Mapping[object, CacheMode] = {True: "use", False: "off", "refresh": "refresh", "only": "only"}


class CallOptions(ChatParams, total=False):
    """`ChatParams`, and the fields of the profile that one call can override."""

    model: str
    num_retries: int
    timeout: float
    first_token_timeout: float
    idle_timeout: float
    deadline: float
    drop_params: bool
    cache: CacheUse
    tenant: str
    priority: Priority
    caching_prompt: bool
    structured_mode: str
    max_reasks: int


WITHOUT_EFFECT = frozenset(
    (
        "extra_headers",
        "metadata",
        "prompt_cache_key",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "stream_options",
        "user",
    )
)
"""Parameters that do not change the answer: who is billed, what is cached or kept, how it is delivered.

Headers are among them: they change from one day to the next, and hold keys.
"""

KNOWN: frozenset[str] = frozenset(ChatParams.__annotations__)
# Sampling parameters of some servers that are similar enough to a known name to be taken for a misspelt one.
_LOOKALIKES = frozenset({"min_tokens", "top_a"})
# Results kept for fixed parameters: as many as there are prepared types.
_KEPT = 256
# The least similarity of a misspelt name: one wrong, missing or doubled letter in five.
_MISSPELT = 0.8
# Passed to litellm, these would defeat the SDK's own retries, limits or accounting.
_REFUSED = {
    "api_base": "set base_url in the profile, or AsyncLLM(base_url=...)",
    "fallbacks": "name profiles of the config.toml, in a profile or by with_options(fallbacks=[...])",
    "max_retries": "set num_retries",
    "messages": "pass messages as the first argument",
    "response_model": "for a typed answer, call extract(response_model, messages)",
    "request_timeout": "set timeout",
    "stream": "call stream(), or acompletion(..., stream=True)",
}
_FROM_PROFILE = ("temperature", "top_p", "top_k", "seed", "stop", "reasoning_effort", "safety_settings", "extra_body")


class FixedParams(dict[str, Any]):
    """Parameters that many requests share and that never change, so that `FoundOnce` can cache results for them."""

    # By identity, as the values may have no hash; equal parameters merely get a result each.
    __hash__ = object.__hash__  # type: ignore[assignment]


NO_PARAMS = FixedParams()
"""The parameters of most calls: none but those of the profile."""


class FoundOnce(Generic[T]):
    """A function of parameters whose result is cached for `FixedParams`.

    Args:
        find: The function; a result of None is not cached.
    """

    __slots__ = ("_find", "_found")

    def __init__(self, find: Callable[[Mapping[str, object]], T]) -> None:
        self._find = find
        self._found: dict[FixedParams, T] = {}

    def __call__(self, params: Mapping[str, object]) -> T:
        if type(params) is not FixedParams:
            return self._find(params)
        found = self._found.get(params)
        if found is None:
            while len(self._found) >= _KEPT:
                self._found.pop(next(iter(self._found)))
            found = self._found[params] = self._find(params)
        return found


def check(names: Iterable[str], options: frozenset[str] = frozenset()) -> None:
    """Raise for a misspelt parameter, or one that a call does not accept.

    Args:
        names: The names, or the parameters themselves.
        options: The fields of the profile that a call can override.

    Raises:
        TypeError: The message has the name that was meant, or the alternative.
    """
    for name in names:
        if name not in KNOWN and name not in options:
            _check_unknown(name, options)
            if is_mapping(names) and callable(names[name]):
                raise TypeError(
                    f"{name!r} is not a known parameter, and its value is a function, which cannot be sent."
                )


def cache_mode(use: object) -> CacheMode:
    """Return the profile's `cache_mode` for a call's `cache`.

    Raises:
        TypeError: It is neither True, False, "refresh" nor "only".
    """
    mode = _CACHE_MODES.get(use) if isinstance(use, bool | str) else None
    if mode is None:
        raise TypeError(
            f'cache is True, False, "refresh" or "only" for a call, not {use!r}; the file is an option of the client.'
        )
    return mode


def merge(profile: Mapping[str, object], params: Mapping[str, object]) -> dict[str, object]:
    """Return the profile's parameters overridden by the call's, without nulls, under litellm's names."""
    merged = dict(profile)
    for name, value in params.items():
        if value is None:
            merged.pop(name, None)  # None unsets the profile's
        elif name in ("max_tokens", "max_output_tokens", "max_completion_tokens"):
            _drop_token_limits(merged)
            merged["max_tokens" if name == "max_output_tokens" else name] = value
        elif name in ("extra_body", "metadata") and is_mapping(own := merged.get(name)) and is_mapping(value):
            merged[name] = {**own, **value}
        else:
            merged[name] = value
    return merged


def profile_params(config: LLMConfig) -> dict[str, object]:
    """Return the parameters that a profile sets, under litellm's names."""
    pairs = ((name, getattr(config, name)) for name in _FROM_PROFILE)
    params = {name: _plain(value) for name, value in pairs if value is not None}
    if config.max_output_tokens is not None:
        params["max_tokens"] = config.max_output_tokens
    return params


def output_limit(params: Mapping[str, object]) -> int | None:
    """Return the limit of output tokens that parameters set; None when they set none."""
    limit = params.get("max_completion_tokens", params.get("max_tokens"))
    return limit if isinstance(limit, int) else None


def _drop_token_limits(params: dict[str, object]) -> None:
    params.pop("max_tokens", None)
    params.pop("max_completion_tokens", None)


@lru_cache(maxsize=256)  # Names that servers add; comparing one with the known names takes longer than a whole call.
def _check_unknown(name: str, options: frozenset[str]) -> None:
    if name in _REFUSED:
        raise TypeError(f"{name!r} is not a parameter of a call: {_REFUSED[name]}.")
    if name in Fields.model_fields:
        # Of these, an endpoint would even receive the profile's key.
        raise TypeError(f"{name!r} is an option of a client, not of a call; use with_options({name}=...) or a profile.")
    if name in _LOOKALIKES:
        return
    near = nearest(name, KNOWN | options, cutoff=_MISSPELT)
    if near is not None:
        raise TypeError(f"{name!r} is not a known parameter; did you mean {near!r}? (If not, send it in extra_body.)")


def _plain(value: object) -> object:
    """Convert the frozen containers of a config to the lists and dicts that litellm expects."""
    if is_mapping(value):
        return {key: _plain(item) for key, item in value.items()}
    if is_list(value):
        return [_plain(item) for item in value]
    return value
