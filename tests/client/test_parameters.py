"""The parameters of a call: which are taken, which are meant, and what is sent."""

from __future__ import annotations

from typing import Any

import pytest

from asyncllm import AsyncLLM, ContextWindowExceededError, LLMConfig, Request, UnsupportedError
from asyncllm.client import PER_CALL
from asyncllm.parameters import KNOWN, check, merge, output_limit
from asyncllm.simulator import Simulator

TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}]


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("temprature", "temperature"),
        ("max_token", "max_tokens"),
        ("reponse_format", "response_format"),
        ("tool", "tools"),
    ],
)
def test_a_misspelt_name_is_refused_with_the_one_that_was_meant(wrong: str, meant: str) -> None:
    """A typing error is told before anything is sent, and never sent along."""
    with pytest.raises(TypeError, match=f"did you mean '{meant}'"):
        check([wrong], PER_CALL)


@pytest.mark.parametrize(
    "name", ["top_a", "min_p", "repetition_penalty", "guided_json", "chat_template_kwargs", "prompt_id"]
)
def test_another_servers_parameter_goes_through(name: str) -> None:
    """A name that resembles no known one is the provider's business."""
    check([name], PER_CALL)


@pytest.mark.parametrize("name", ["max_retries", "api_base", "stream", "messages", "response_model", "request_timeout"])
def test_what_would_defeat_the_pipeline_is_refused(name: str) -> None:
    """Parameters of litellm that would retry, redirect or stream behind its back are refused with a remedy."""
    with pytest.raises(TypeError, match=name):
        check([name], PER_CALL)


@pytest.mark.parametrize("name", sorted(set(LLMConfig.model_fields) - PER_CALL - KNOWN))
def test_a_field_of_the_client_is_no_parameter_of_a_call(name: str) -> None:
    """A field that says where requests go or how many there may be belongs to the client, or to a view of it."""
    with pytest.raises(TypeError, match="with_options"):
        check([name], PER_CALL)


def test_the_calls_parameters_come_over_the_profiles() -> None:
    """What a call gives wins, None takes back what the profile sets, and objects are merged."""
    profile = {"temperature": 0.5, "seed": 1, "extra_body": {"a": 1, "b": 1}}
    assert merge(profile, {"temperature": 0.1, "seed": None, "extra_body": {"b": 2}}) == {
        "temperature": 0.1,
        "extra_body": {"a": 1, "b": 2},
    }
    assert profile == {"temperature": 0.5, "seed": 1, "extra_body": {"a": 1, "b": 1}}


@pytest.mark.parametrize("name", ["max_tokens", "max_output_tokens", "max_completion_tokens"])
def test_one_token_limit_is_sent(name: str) -> None:
    """The three spellings of the longest answer replace each other."""
    merged = merge({"max_tokens": 100}, {name: 7})
    assert list(merged.values()) == [7]
    assert output_limit(merged) == 7


@pytest.mark.anyio
async def test_parameters_reach_the_provider(llm: AsyncLLM, simulator: Simulator) -> None:
    """What is given is what is sent, over both transports, with the provider's own extras."""
    await llm.acompletion(
        [{"role": "system", "content": "be brief"}, "hi"],
        temperature=0.3,
        max_output_tokens=50,
        stop=["END"],
        tools=TOOLS,
        tool_choice="none",
        extra_body={"min_p": 0.1},
        extra_headers={"x-trace": "t1"},
    )
    (body,) = simulator.seen.bodies
    assert body["messages"] == [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]
    sent = {name: body[name] for name in ("temperature", "max_tokens", "stop", "tools", "tool_choice", "min_p")}
    assert sent == {
        "temperature": 0.3,
        "max_tokens": 50,
        "stop": ["END"],
        "tools": TOOLS,
        "tool_choice": "none",
        "min_p": 0.1,
    }
    assert simulator.seen.headers[0]["x-trace"] == "t1"
    assert body["model"] == "gpt-4o-mini"


@pytest.mark.anyio
async def test_the_options_of_a_call_are_not_sent(llm: AsyncLLM, simulator: Simulator) -> None:
    """Timeouts and retries of one call are the SDK's own, and change nothing for the next."""
    await llm.acompletion("hi", timeout=5.0, num_retries=0, deadline=20.0)
    assert simulator.seen.bodies[0].keys() == {"model", "messages"}
    assert llm.config.num_retries == 3


@pytest.mark.anyio
async def test_a_request_brings_its_own_parameters(llm: AsyncLLM, simulator: Simulator) -> None:
    """A Request's parameters are sent, and those of the call come over them."""
    request = Request("hi", temperature=0.9, seed=3)
    await llm.acompletion(request, temperature=0.1)
    assert (simulator.seen.bodies[0]["temperature"], simulator.seen.bodies[0]["seed"]) == (0.1, 3)


@pytest.mark.anyio
async def test_messages_are_not_changed(llm: AsyncLLM) -> None:
    """What the caller holds is the same after the call."""
    messages: list[Any] = [{"role": "user", "content": [{"type": "text", "text": "hi"}], "name": None}]
    await llm.acompletion(messages)
    assert messages == [{"role": "user", "content": [{"type": "text", "text": "hi"}], "name": None}]


@pytest.mark.anyio
async def test_a_prompt_that_is_clearly_too_long_is_not_sent(llm: AsyncLLM, simulator: Simulator) -> None:
    """The model's window is known; a prompt far beyond it is refused here, with the numbers."""
    with pytest.raises(ContextWindowExceededError, match="nothing was sent"):
        await llm.acompletion("word " * 400_000)
    assert simulator.seen.requests == 0


@pytest.mark.anyio
async def test_an_image_is_refused_where_it_is_not_wanted(llm: AsyncLLM, simulator: Simulator) -> None:
    """`disable_vision` and models that see nothing refuse images before anything is sent."""
    image = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]}
    with pytest.raises(UnsupportedError, match="disable_vision"):
        await llm.with_options(disable_vision=True).acompletion([image])
    assert simulator.seen.requests == 0
    await llm.acompletion([image])
    assert simulator.seen.requests == 1


@pytest.mark.anyio
async def test_the_clients_own_options_have_no_view(llm: AsyncLLM) -> None:
    """Places are shared by all views, so a view cannot have another number of them."""
    with pytest.raises(TypeError, match="max_concurrency belongs to the client"):
        llm.with_options(max_concurrency=5)
