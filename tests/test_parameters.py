"""Parameters of a call: known names, suggestions, merging, and results cached for fixed ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from asyncllm import LLMConfig
from asyncllm.parameters import (
    KNOWN,
    NO_PARAMS,
    CallOptions,
    FixedParams,
    FoundOnce,
    check,
    merge,
    output_limit,
    profile_params,
)

LIMITS = ("max_tokens", "max_output_tokens", "max_completion_tokens")


def refusal(name: str, options: frozenset[str] = frozenset()) -> str:
    """Return the message with which a parameter is refused."""
    with pytest.raises(TypeError) as caught:
        check([name], options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("temprature", "temperature"),
        ("Temperature", "temperature"),
        ("maxtokens", "max_tokens"),
        ("max_output_token", "max_output_tokens"),
        ("top_logprob", "top_logprobs"),
        ("tool_choise", "tool_choice"),
        ("respose_format", "response_format"),
    ],
)
def test_a_misspelt_name_is_refused_with_a_suggestion(wrong: str, meant: str) -> None:
    """The message has the name that was meant, and the way to send the name as it is."""
    assert refusal(wrong) == (
        f"{wrong!r} is not a known parameter; did you mean {meant!r}? (If not, send it in extra_body.)"
    )


def test_a_function_is_not_sent() -> None:
    """An argument of another call, such as a callback, is refused at once; no server takes a function."""
    with pytest.raises(TypeError, match="'on_progress' is not a known parameter, and its value is a function"):
        check({"on_progress": print})
    check({"min_p": 0.1, "temperature": 0.0})


def test_a_misspelt_option_of_a_call_is_refused() -> None:
    """Options of a call are suggested too, where a call has them."""
    options = frozenset({"on_interrupt"})
    assert "did you mean 'on_interrupt'?" in refusal("on_interupt", options)
    check(["on_interupt"])  # resembles nothing without these options


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_known_names_are_accepted(name: str) -> None:
    """Every chat-completions parameter passes the check."""
    check([name])


@pytest.mark.parametrize(
    "name",
    [
        "best_of",
        "min_p",
        "min_tokens",
        "repetition_penalty",
        "stop_token_ids",
        "top_a",
        "typical_p",
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
        "guided_json",
    ],
)
def test_names_of_servers_and_of_litellm_are_accepted(name: str) -> None:
    """Names that resemble known ones, but are parameters of a server or of litellm, are passed through."""
    check([name])


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("api_base", "set base_url in the profile, or AsyncLLM(base_url=...)"),
        ("fallbacks", "name profiles of the config.toml, in a profile or by with_options(fallbacks=[...])"),
        ("max_retries", "set num_retries"),
        ("messages", "pass messages as the first argument"),
        ("response_model", "for a typed answer, call extract(response_model, messages)"),
        ("request_timeout", "set timeout"),
        ("stream", "call stream(), or acompletion(..., stream=True)"),
    ],
)
def test_a_name_with_a_replacement_is_refused_with_it(name: str, remedy: str) -> None:
    """Parameters that would bypass retries, limits or accounting are refused with what to use instead."""
    assert refusal(name) == f"{name!r} is not a parameter of a call: {remedy}."


@pytest.mark.parametrize("name", ["api_key", "base_url", "max_concurrency", "timeout"])
def test_an_option_of_the_client_is_refused(name: str) -> None:
    """A field of the profile is an option of the client, unless a call can override it."""
    assert refusal(name) == (
        f"{name!r} is an option of a client, not of a call; use with_options({name}=...) or a profile."
    )
    check([name], frozenset({name}))


def test_every_name_is_checked() -> None:
    """One wrong name among good ones is enough."""
    with pytest.raises(TypeError, match="temprature"):
        check(["seed", "min_p", "temprature", "top_p"])


def test_the_options_of_a_call_are_parameters_and_fields() -> None:
    """`CallOptions` has every known parameter, fields of the profile, and whose turn it is."""
    options = set(CallOptions.__annotations__)
    assert options >= KNOWN
    assert options - KNOWN - {"tenant", "priority"} <= set(LLMConfig.model_fields)


def test_the_call_overrides_the_profile() -> None:
    """A parameter of the call replaces the profile's, and None unsets it; neither argument is changed."""
    profile, params = {"temperature": 0.5, "seed": 1, "stop": ["a"]}, {"temperature": 0, "seed": None, "top_p": 1}
    assert merge(profile, params) == {"temperature": 0, "stop": ["a"], "top_p": 1}
    assert (profile, params) == (
        {"temperature": 0.5, "seed": 1, "stop": ["a"]},
        {"temperature": 0, "seed": None, "top_p": 1},
    )


def test_none_for_an_unset_parameter_is_nothing() -> None:
    """None for a parameter that the profile does not set sends nothing."""
    assert merge({}, {"seed": None}) == {}


@pytest.mark.parametrize("name", ["extra_body", "metadata"])
def test_objects_are_merged_key_by_key(name: str) -> None:
    """The call's keys win over the profile's; without an object of the profile, the call's is sent as it is."""
    profile = {name: {"a": 1, "b": {"x": 1}}}
    assert merge(profile, {name: {"b": {"y": 2}, "c": 3}}) == {name: {"a": 1, "b": {"y": 2}, "c": 3}}
    assert merge({}, {name: {"c": 3}}) == {name: {"c": 3}}
    assert profile == {name: {"a": 1, "b": {"x": 1}}}


def test_other_objects_are_replaced() -> None:
    """Any other mapping of the call replaces the profile's as a whole."""
    assert merge({"thinking": {"type": "enabled"}}, {"thinking": {"budget": 1}}) == {"thinking": {"budget": 1}}


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("profile", [{}, {"max_tokens": 100}, {"max_completion_tokens": 100}])
def test_one_output_limit_is_sent(profile: dict[str, int], name: str) -> None:
    """The limit of the call replaces the profile's under any name; `max_output_tokens` is sent as `max_tokens`."""
    merged = merge({**profile, "seed": 1}, {name: 7})
    assert merged == {"seed": 1, "max_tokens" if name == "max_output_tokens" else name: 7}
    assert output_limit(merged) == 7


def test_none_unsets_the_limit_of_the_profile() -> None:
    """`max_tokens=None` sends no limit."""
    assert merge({"max_tokens": 100}, {"max_tokens": None}) == {}


@pytest.mark.parametrize(
    ("params", "limit"),
    [
        ({}, None),
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 6}, 6),
        ({"max_tokens": 5, "max_completion_tokens": 6}, 6),
        ({"max_output_tokens": 5}, None),
        ({"max_tokens": "many"}, None),
    ],
)
def test_the_output_limit_of_parameters(params: dict[str, Any], limit: int | None) -> None:
    """`max_completion_tokens` wins over `max_tokens`; without a number there is no limit."""
    assert output_limit(params) == limit


def test_the_parameters_of_a_profile() -> None:
    """Set fields are sent under litellm's names, as plain lists and dicts; others are not sent."""
    config = LLMConfig(
        model="openai/a",
        temperature=0.0,
        top_p=0.5,
        top_k=3,
        seed=0,
        stop="END",
        reasoning_effort="low",
        safety_settings={"HARM": "NONE"},
        extra_body={"a": {"b": [1, {"c": 2}]}},
        max_output_tokens=9,
        timeout=5,
        num_retries=1,
    )
    assert profile_params(config) == {
        "temperature": 0.0,
        "top_p": 0.5,
        "top_k": 3,
        "seed": 0,
        "stop": ["END"],
        "reasoning_effort": "low",
        "safety_settings": [{"category": "HARM", "threshold": "NONE"}],
        "extra_body": {"a": {"b": [1, {"c": 2}]}},
        "max_tokens": 9,
    }
    assert profile_params(LLMConfig(model="openai/a")) == {}


def test_results_are_cached_for_fixed_parameters_only() -> None:
    """The function is called once for fixed parameters, and each time for others and for a result of None."""
    seen: list[Mapping[str, object]] = []

    def find(params: Mapping[str, object]) -> int | None:
        seen.append(params)
        return len(params) or None

    found, fixed, plain = FoundOnce(find), FixedParams(seed=1), {"seed": 1}
    assert [found(fixed), found(fixed), found(plain), found(plain)] == [1, 1, 1, 1]
    assert [found(NO_PARAMS), found(NO_PARAMS)] == [None, None]
    assert seen == [fixed, plain, plain, NO_PARAMS, NO_PARAMS]


def test_equal_fixed_parameters_have_a_result_each() -> None:
    """Results are cached by the identity of the parameters, as their values may have no hash."""
    seen: list[Mapping[str, object]] = []

    def find(params: Mapping[str, object]) -> int:
        seen.append(params)
        return len(seen)

    found, one, other = FoundOnce(find), FixedParams(tools=[{}]), FixedParams(tools=[{}])
    assert [found(one), found(other), found(one)] == [1, 2, 1]


def test_the_cache_of_results_is_bounded() -> None:
    """The oldest of 256 results is dropped for a new one."""
    calls: list[int] = []

    def find(params: Mapping[str, object]) -> bool:
        calls.append(int(str(params["n"])))
        return True

    found, all_params = FoundOnce(find), [FixedParams(n=n) for n in range(257)]
    for params in all_params:
        found(params)
    found(all_params[1])
    assert len(calls) == 257
    found(all_params[0])
    assert calls[257:] == [0]
