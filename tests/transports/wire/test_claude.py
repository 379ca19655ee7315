"""Claude by wire, through the whole client: tool loops with thinking, typed answers, costs, limits, errors, imports."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from asyncllm import AsyncLLM, RefusalError, UnsupportedError
from asyncllm.models import model_info
from asyncllm.simulator import Limit, Simulator
from tests.support.secrets import SECRET
from tests.transports.wire.format_clients import CALLING, TOOL, City, ask, asyncio_alone, first_call, format_client

pytestmark = pytest.mark.anyio

NATIVE, OLDER = "claude-sonnet-4-5", "claude-3-7-sonnet-20250219"


def client(simulator: Simulator, model: str = NATIVE, **options: Any) -> AsyncLLM:
    """Make a client of Claude that takes the wire or nothing."""
    return format_client(simulator, f"anthropic/{model}", **options)


@pytest.fixture
async def llm(simulator: Simulator, anyio_backend: str) -> AsyncIterator[AsyncLLM]:
    async with client(simulator) as made:
        yield made


def test_a_first_call_imports_no_sdk(simulator: Simulator, tmp_path: Path) -> None:
    """A call and a stream of a Claude profile, thinking and price included, import no module of litellm."""
    assert first_call(simulator, "anthropic/claude-sonnet-4-5", tmp_path) == "wire wire True True\n[]\n"


@pytest.mark.parametrize("stream", [False, True])
async def test_thinking_goes_back_with_its_calls(llm: AsyncLLM, simulator: Simulator, stream: bool) -> None:
    """The answer's message is what the next request needs: thinking with its signature, then the call."""
    messages: list[Any] = [{"role": "user", "content": "Weather in Bonn?"}]
    params: dict[str, Any] = {"tools": [TOOL], "reasoning_effort": "low"}
    first = await ask(llm, messages, stream=stream, extra_body=CALLING, **params)
    assert (first.reasoning, first.finish_reason) == ("I need the weather.", "tool_calls")
    (call,) = first.tool_calls
    messages += [first.message, {"role": "tool", "tool_call_id": call.id, "content": "No.", "is_error": True}]
    assert (await ask(llm, messages, stream=stream, **params)).text
    said, result = simulator.seen.bodies[1]["messages"][1:]
    assert [block["type"] for block in said["content"]] == ["thinking", "tool_use"]
    assert said["content"][0]["signature"] == "simulated"
    assert result["content"][0] == {
        "type": "tool_result",
        "tool_use_id": call.id,
        "content": "No.",
        "is_error": True,
    }


@asyncio_alone
@pytest.mark.parametrize(
    ("model", "field"), [(NATIVE, "output_format"), (OLDER, "tool_choice")], ids=["native", "by a tool"]
)
@pytest.mark.parametrize("how", ["extract", "partial"])
async def test_a_typed_answer(simulator: Simulator, model: str, field: str, how: str) -> None:
    """It is asked for natively where the model has that, and by a forced tool elsewhere."""
    async with client(simulator, model) as llm:
        if how == "extract":
            city = await llm.extract(City, "Paris is in France.")
        else:
            async with llm.stream_partial(City, "Paris is in France.") as stream:
                city = await stream.final()
    assert isinstance(city, City)
    assert field in simulator.seen.bodies[0]
    assert ("tools" in simulator.seen.bodies[0]) is (model == OLDER)


@asyncio_alone
@pytest.mark.parametrize("mode", ["tools", "json_schema", "json", "md_json"])
@pytest.mark.parametrize("model", [NATIVE, OLDER])
async def test_a_typed_answer_in_every_mode_while_it_thinks(simulator: Simulator, model: str, mode: str) -> None:
    """No tool is forced then, which the API would refuse."""
    value = {"name": "Paris", "country": "France"}
    script: dict[str, Any] = {"text": json.dumps(value)}
    if mode == "tools":
        script = {"tool_calls": [{"name": "City", "arguments": value}]}
    async with client(simulator, model, structured_mode=mode) as llm:
        city = await llm.extract(City, "Paris is in France.", reasoning_effort="low", extra_body={"simulator": script})
    assert city == City(**value)
    assert simulator.seen.bodies[0]["thinking"]["type"] == "enabled"
    assert simulator.seen.bodies[0].get("tool_choice", {}).get("type") in (None, "auto")


async def test_a_re_ask_carries_the_thinking(llm: AsyncLLM, simulator: Simulator) -> None:
    """Calls of a thinking model go back with their thinking, also when asyncllm answers them."""
    wrong = {"simulator": {"reasoning": "Hm.", "tool_calls": [{"name": "City", "arguments": {"name": 7}}]}}
    with pytest.raises(Exception, match="name"):
        await llm.extract(
            City, "Paris", reasoning_effort="low", structured_mode="tools", max_reasks=1, extra_body=wrong
        )
    assert [block["type"] for block in simulator.seen.bodies[1]["messages"][1]["content"]] == ["thinking", "tool_use"]


async def test_a_refusal_is_one(llm: AsyncLLM) -> None:
    """A typed answer that Claude refuses is a RefusalError."""
    with pytest.raises(RefusalError):
        await llm.extract(City, "Paris", extra_body={"simulator": {"refusal": "I cannot help with that."}})


@pytest.mark.parametrize("stream", [False, True])
async def test_the_cache_is_billed_as_it_is_kept(llm: AsyncLLM, stream: bool) -> None:
    """Writes cost 1.25 times the input, for an hour twice, and reads a tenth."""
    known = model_info(f"anthropic/{NATIVE}").prices
    assert known is not None
    prices = known.rates(0)
    for ttl, times in (("5m", 1.25), ("1h", 2.0)):
        mark = {"type": "ephemeral", "ttl": ttl}
        text = f"Be brief, for {ttl}. " * 200
        system = {"role": "system", "content": [{"type": "text", "text": text, "cache_control": mark}]}
        messages: list[Any] = [system, {"role": "user", "content": "Hello"}]
        for is_read in (False, True):
            answer = await (llm.stream(messages).collect() if stream else llm.acompletion(messages))
            usage, cost = answer.usage, answer.cost_usd
            assert usage.input_tokens is not None
            assert usage.output_tokens is not None
            cached = usage.cached_tokens if is_read else usage.cache_write_tokens
            assert cached
            assert (usage.cache_write_1h_tokens or 0) == (cached if ttl == "1h" and not is_read else 0)
            assert prices.input is not None
            assert prices.output is not None
            fresh = usage.input_tokens - cached
            expected = prices.input * (fresh + cached * (0.1 if is_read else times))
            assert cost == pytest.approx(expected + prices.output * usage.output_tokens)


async def test_limit_headers_are_followed(simulator: Simulator) -> None:
    """What `anthropic-ratelimit-*` say of the requests is known to the limits, as `x-ratelimit-*` would be."""
    simulator.limits(Limit(per_minute=120))
    async with client(simulator, adaptive=True) as llm:
        plain = await llm.acompletion("hi")
        streamed = await llm.stream("hi").collect()
    for answer in (plain, streamed):
        limits = answer.record.rate_limits
        assert limits["x-ratelimit-limit-requests"] == limits["anthropic-ratelimit-requests-limit"] == "120"
        assert limits["x-ratelimit-reset-requests"].endswith("s")


async def test_the_reason_is_given_where_the_wire_is_asked_for(simulator: Simulator) -> None:
    """`transport = "wire"` names what is left to litellm, of a request and of a connection."""
    async with client(simulator) as llm:
        with pytest.raises(UnsupportedError, match="web_search_options is mapped by litellm"):
            await llm.acompletion("hi", web_search_options={})
    async with AsyncLLM(model="bedrock/anthropic.claude-v2", transport="wire") as llm:
        with pytest.raises(UnsupportedError, match="litellm serves the provider bedrock"):
            await llm.acompletion("hi")
    assert simulator.seen.requests == 0


async def test_a_server_of_another_maker(simulator: Simulator) -> None:
    """Servers that speak Anthropic's format take models of any name, and sampling parameters of their own."""
    async with client(simulator, "kimi-k2-0905-preview") as llm:
        own: Any = {"min_p": 0.1}
        answer = await llm.acompletion("hi", **own)
    assert answer.record.transport == "wire"
    assert simulator.seen.bodies[0]["min_p"] == 0.1
    assert simulator.seen.paths == ("/v1/messages",)


async def test_a_bare_name_goes_to_anthropic(simulator: Simulator) -> None:
    """A name without a provider is Claude's; the response is litellm's on demand."""
    async with AsyncLLM(
        model="claude-sonnet-4-5", base_url=simulator.root_url, api_key=SECRET, custom_llm_provider="anthropic"
    ) as llm:
        answer = await llm.acompletion("hi")
    assert answer.record.transport == "wire"
    response: Any = answer.response
    assert response["choices"][0]["message"]["content"] == answer["choices"][0]["message"]["content"] == answer.text
    assert json.loads(response.model_dump_json())["model"] == "claude-sonnet-4-5"
