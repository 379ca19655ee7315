"""Checks of parameter names, and the merging of a profile's parameters with a call's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from asyncllm import LLMConfig, Request
from asyncllm.batch.journal.fingerprint import Fingerprinter
from asyncllm.client import PER_CALL
from asyncllm.parameters import (
    KNOWN,
    FixedParams,
    FoundOnce,
    cache_mode,
    check,
    merge,
    output_limit,
    profile_params,
)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (
            "api_base",
            "'api_base' is not a parameter of a call: set base_url in the profile, or AsyncLLM(base_url=...).",
        ),
        ("max_retries", "'max_retries' is not a parameter of a call: set num_retries."),
        ("messages", "'messages' is not a parameter of a call: pass messages as the first argument."),
        (
            "response_model",
            "'response_model' is not a parameter of a call: for a typed answer, "
            "call extract(response_model, messages).",
        ),
        ("request_timeout", "'request_timeout' is not a parameter of a call: set timeout."),
        ("stream", "'stream' is not a parameter of a call: call stream(), or acompletion(..., stream=True)."),
        (
            "base_url",
            "'base_url' is an option of a client, not of a call; use with_options(base_url=...) or a profile.",
        ),
        (
            "temprature",
            "'temprature' is not a known parameter; did you mean 'temperature'? (If not, send it in extra_body.)",
        ),
        (
            "num_retry",
            "'num_retry' is not a known parameter; did you mean 'num_retries'? (If not, send it in extra_body.)",
        ),
    ],
)
def test_a_refused_name_comes_with_a_remedy(name: str, says: str) -> None:
    """The message names the parameter, and what to write instead."""
    with pytest.raises(TypeError, match=f"^{re.escape(says)}$"):
        check(["temperature", name], PER_CALL)


@pytest.mark.parametrize(
    "name",
    [
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
        "best_of",
        "min_p",
        "min_tokens",
        "repetition_penalty",
        "stop_token_ids",
        "top_a",
        "typical_p",
    ],
)
def test_names_that_only_look_misspelt_are_taken(name: str) -> None:
    """Options of litellm, and sampling parameters of other servers, resemble known names and are meant."""
    check([name], PER_CALL)


def test_every_known_name_is_taken() -> None:
    """Neither a parameter of chat completions nor a field of the profile that a call may override is refused."""
    check([*KNOWN, *PER_CALL], PER_CALL)


def test_an_option_is_known_where_it_may_be_given() -> None:
    """A field of the profile is no parameter where a call cannot override it."""
    check(["num_retries"], frozenset({"num_retries"}))
    with pytest.raises(TypeError, match="'num_retries' is an option of a client"):
        check(["num_retries"])


@pytest.mark.parametrize(
    ("profile", "call", "sent"),
    [
        ({"max_tokens": 9}, {"max_tokens": 5}, {"max_tokens": 5}),
        ({"max_tokens": 9}, {"max_output_tokens": 5}, {"max_tokens": 5}),
        ({"max_tokens": 9}, {"max_completion_tokens": 5}, {"max_completion_tokens": 5}),
        ({"max_completion_tokens": 9}, {"max_tokens": 5}, {"max_tokens": 5}),
        ({"max_completion_tokens": 9}, {"max_output_tokens": 5}, {"max_tokens": 5}),
        ({"max_tokens": 9}, {"max_tokens": None}, {}),
        ({"seed": 1}, {"seed": None, "top_p": None}, {}),
        ({"metadata": {"a": 1, "b": 1}}, {"metadata": {"b": 2}}, {"metadata": {"a": 1, "b": 2}}),
        ({"extra_body": {"a": 1}}, {"extra_body": {"b": 2}}, {"extra_body": {"a": 1, "b": 2}}),
        ({}, {"extra_body": {"b": 2}}, {"extra_body": {"b": 2}}),
        ({"stop": ["a"]}, {"stop": ["b"]}, {"stop": ["b"]}),
        ({"logit_bias": {"a": 1}}, {"logit_bias": {"b": 2}}, {"logit_bias": {"b": 2}}),
        ({"temperature": 0.5}, {}, {"temperature": 0.5}),
    ],
)
def test_a_call_comes_over_its_profile(profile: dict[str, Any], call: dict[str, Any], sent: dict[str, Any]) -> None:
    """One limit of tokens is sent, None takes back, the provider's own objects are merged, and the rest is replaced."""
    before = repr((profile, call))
    assert merge(profile, call) == sent
    assert repr((profile, call)) == before


@pytest.mark.parametrize(
    ("params", "limit"),
    [
        ({}, None),
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 7}, 7),
        ({"max_tokens": 5, "max_completion_tokens": 7}, 7),
    ],
)
def test_the_limit_of_an_answer_has_two_names(params: dict[str, Any], limit: int | None) -> None:
    """The newer name counts where both are there."""
    assert output_limit(params) == limit


def test_a_profile_sends_what_it_sets() -> None:
    """Sampling parameters are sent under their names, the limit under litellm's, and containers as lists and dicts."""
    config = LLMConfig(
        model="openai/gpt-4o-mini",
        temperature=0.0,
        top_p=0.5,
        top_k=3,
        seed=1,
        stop=["END", "STOP"],
        reasoning_effort="low",
        safety_settings=[{"category": "x", "threshold": "y"}],
        max_output_tokens=50,
        extra_body={"a": {"b": [1, 2]}},
        timeout=5.0,
    )
    params = profile_params(config)
    assert params == {
        "temperature": 0.0,
        "top_p": 0.5,
        "top_k": 3,
        "seed": 1,
        "stop": ["END", "STOP"],
        "reasoning_effort": "low",
        "safety_settings": [{"category": "x", "threshold": "y"}],
        "extra_body": {"a": {"b": [1, 2]}},
        "max_tokens": 50,
    }
    assert [type(params[name]) for name in ("stop", "safety_settings", "extra_body")] == [list, list, dict]
    body: Any = params["extra_body"]
    assert [type(value) for value in body.values()] == [dict]
    assert type(body["a"]["b"]) is list


def test_the_parameters_of_a_profile_are_a_copy() -> None:
    """What is changed in them on the way to the provider changes no profile, however deep it lies."""
    config = LLMConfig(model="openai/gpt-4o", extra_body={"a": {"b": [1]}})
    params: dict[str, Any] = profile_params(config)
    params["extra_body"]["a"]["b"].append(2)
    params["extra_body"]["c"] = 3
    assert config.extra_body == {"a": {"b": [1]}}


@pytest.mark.parametrize(
    ("use", "mode"), [(True, "use"), (False, "off"), ("refresh", "refresh"), ("only", "only")], ids=str
)
def test_a_call_chooses_how_the_cache_is_used(use: object, mode: str) -> None:
    """A switch or a word of the call stands for a mode of the profile."""
    assert cache_mode(use) == mode


@pytest.mark.parametrize("use", [1, 0, None, "use", "off", "answers.sqlite", ["only"]], ids=str)
def test_a_cache_that_is_no_choice_is_refused(use: object) -> None:
    """A number is no switch, and a file is set for the client."""
    with pytest.raises(TypeError) as caught:
        cache_mode(use)
    assert str(caught.value) == (
        f'cache is True, False, "refresh" or "only" for a call, not {use!r}; the file is an option of the client.'
    )


UNRELATED = {
    "extra_headers",
    "metadata",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "stream_options",
    "user",
}


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_a_parameter_that_changes_no_answer_makes_no_other_request(name: str) -> None:
    """Billing, storage and delivery leave an answer usable for the same question; anything else does not."""
    identify = Fingerprinter("openai/gpt-4o", {}, {})
    params: dict[str, Any] = {name: 1}
    is_same = identify(Request("a", **params)).sent == identify(Request("a")).sent
    assert is_same == (name in UNRELATED)


def test_a_profile_that_sets_nothing_sends_nothing() -> None:
    """Defaults are the provider's."""
    assert profile_params(LLMConfig(model="openai/gpt-4o-mini")) == {}


class Counted:
    """A function of parameters that counts its calls."""

    def __init__(self, result: Any = "found") -> None:
        self.calls: list[Mapping[str, Any]] = []
        self._result = result

    def __call__(self, params: Mapping[str, Any]) -> Any:
        self.calls.append(params)
        return self._result


def test_what_is_found_of_fixed_parameters_is_found_once() -> None:
    """Parameters that nobody changes are looked at with their first call; others with every one."""
    find = Counted()
    found_once = FoundOnce(find)
    fixed, plain = FixedParams(a=1), {"a": 1}
    assert [found_once(fixed), found_once(fixed)] == ["found", "found"]
    assert find.calls == [fixed]
    assert [found_once(plain), found_once(plain)] == ["found", "found"]
    assert find.calls == [fixed, plain, plain]
    found_once(FixedParams(a=1))  # equal, and another
    assert len(find.calls) == 4


def test_nothing_found_is_looked_for_again() -> None:
    """None is no result to keep."""
    find = Counted(None)
    found_once, fixed = FoundOnce(find), FixedParams()
    found_once(fixed)
    found_once(fixed)
    assert len(find.calls) == 2


def test_the_oldest_results_are_forgotten() -> None:
    """A program that makes new fixed parameters for ever does not fill the memory: 256 results are kept."""
    find = Counted()
    found_once = FoundOnce(find)
    many = [FixedParams(n=n) for n in range(257)]
    for params in many:
        found_once(params)
    for params in many[1:]:
        found_once(params)
    assert len(find.calls) == 257
    found_once(many[0])
    assert len(find.calls) == 258
