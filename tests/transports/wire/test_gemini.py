"""Gemini by wire, through the whole client: tool loops with signatures, typed answers, errors, imports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from asyncllm import AsyncLLM, AuthenticationError, RefusalError, UnsupportedError
from asyncllm.simulator import Fault, Simulator
from asyncllm.simulator.formats.gemini import SIGNATURE
from tests.transports.wire.format_clients import CALLING, TOOL, City, ask, asyncio_alone, first_call, format_client

pytestmark = pytest.mark.anyio

BY_BUDGET, BY_LEVEL, SUBSET = "gemini-2.5-flash", "gemini-3-flash-preview", "gemini-flash-latest"


def client(simulator: Simulator, model: str = BY_BUDGET, **options: Any) -> AsyncLLM:
    """Make a client of Gemini that takes the wire or nothing."""
    return format_client(simulator, f"gemini/{model}", **options)


@pytest.fixture
async def llm(simulator: Simulator, anyio_backend: str) -> AsyncIterator[AsyncLLM]:
    async with client(simulator) as made:
        yield made


def test_a_first_call_imports_no_sdk(simulator: Simulator, tmp_path: Path) -> None:
    """A call and a stream of a Gemini profile, thoughts and price included, import no module of litellm."""
    assert first_call(simulator, "gemini/gemini-2.5-flash", tmp_path) == "wire wire True True\n[]\n"


@pytest.mark.parametrize("model", [BY_BUDGET, BY_LEVEL])
@pytest.mark.parametrize("stream", [False, True])
async def test_signatures_go_back_with_their_calls(simulator: Simulator, model: str, stream: bool) -> None:
    """The answer's message is what the next request needs: the call with its signature."""
    async with client(simulator, model) as llm:
        messages: list[Any] = [{"role": "user", "content": "Weather in Bonn?"}]
        params: dict[str, Any] = {"tools": [TOOL], "reasoning_effort": "low"}
        first = await ask(llm, messages, stream=stream, extra_body=CALLING, **params)
        assert (first.reasoning, first.finish_reason) == ("I need the weather.", "tool_calls")
        (call,) = first.tool_calls
        messages += [first.message, {"role": "tool", "tool_call_id": call.id, "content": "Rain."}]
        assert (await ask(llm, messages, stream=stream, **params)).text
    said, result = simulator.seen.bodies[1]["contents"][1:]
    (part,) = said["parts"]
    assert (part["functionCall"]["name"], part["thoughtSignature"]) == ("get_weather", SIGNATURE)
    response = result["parts"][0]["functionResponse"]
    assert (response["name"], response["response"]) == ("get_weather", {"content": "Rain."})


async def test_the_signature_of_a_text_goes_back(simulator: Simulator) -> None:
    """Newer models sign their texts as well; the answer's message has it, in every form."""
    async with client(simulator, BY_LEVEL) as llm:
        for stream in (False, True):
            simulator.reset()
            first = await (llm.stream("hi").collect() if stream else llm.acompletion("hi"))
            for said in (first["choices"][0]["message"], first.message, first.message.to_dict()):
                await llm.acompletion([{"role": "user", "content": "hi"}, said, {"role": "user", "content": "on"}])
                sent = simulator.seen.bodies[-1]["contents"][1]
                assert sent["parts"] == [{"text": first.text, "thoughtSignature": SIGNATURE}]


@asyncio_alone
@pytest.mark.parametrize("model", [BY_BUDGET, BY_LEVEL, SUBSET])
@pytest.mark.parametrize("how", ["extract", "partial"])
async def test_a_typed_answer(simulator: Simulator, model: str, how: str) -> None:
    """It is asked for by JSON Schema, or by the API's subset, and never by a tool."""
    async with client(simulator, model) as llm:
        if how == "extract":
            city = await llm.extract(City, "Paris is in France.")
        else:
            async with llm.stream_partial(City, "Paris is in France.") as stream:
                city = await stream.final()
    assert isinstance(city, City)
    config = simulator.seen.bodies[0]["generationConfig"]
    assert ("responseSchema" if model == SUBSET else "responseJsonSchema") in config
    assert "tools" not in simulator.seen.bodies[0]


@asyncio_alone
@pytest.mark.parametrize("mode", ["tools", "json_schema", "json", "md_json"])
async def test_a_typed_answer_in_every_mode(simulator: Simulator, mode: str) -> None:
    """A re-ask included, whose calls go back with their signature."""
    async with client(simulator, BY_LEVEL, structured_mode=mode) as llm:
        assert isinstance(await llm.extract(City, "Paris is in France.", reasoning_effort="low"), City)
        wrong = {"text": '{"name": 7}', "tool_calls": [{"name": "City", "arguments": {"name": 7}}]}
        script = {"simulator": {name: wrong[name] for name in wrong if (name == "text") is not (mode == "tools")}}
        with pytest.raises(Exception, match="name"):
            await llm.extract(City, "Paris", max_reasks=1, extra_body=script)
    assert simulator.seen.requests == 3


async def test_a_refusal_is_one(llm: AsyncLLM) -> None:
    """A typed answer that was stopped by a filter is a RefusalError."""
    with pytest.raises(RefusalError):
        await llm.extract(City, "Paris", extra_body={"simulator": {"refusal": "No."}})


async def test_a_wrong_key_and_a_wait() -> None:
    """A key is refused with 400; the wait of a limit is followed."""
    with Simulator(keys=["another"]) as simulator:
        async with client(simulator) as llm:
            with pytest.raises(AuthenticationError) as caught:
                await llm.acompletion("hi")
            assert caught.value.status_code == 400
    with Simulator() as simulator:
        simulator.faults(Fault("status", code=429, times=1))
        async with client(simulator) as llm:
            answer = await llm.acompletion("hi", num_retries=1)
    assert [attempt.status_code for attempt in answer.record.attempts] == [429, None]


async def test_the_reason_is_given_where_the_wire_is_asked_for(simulator: Simulator) -> None:
    """`transport = "wire"` names what is left to litellm, of a request and of a connection."""
    async with client(simulator) as llm:
        with pytest.raises(UnsupportedError, match="litellm chooses between search and functions"):
            await llm.acompletion("hi", web_search_options={})
    async with AsyncLLM(model="vertex_ai/gemini-2.5-flash", transport="wire") as llm:
        with pytest.raises(UnsupportedError, match="litellm serves the provider vertex_ai"):
            await llm.acompletion("hi")
    assert simulator.seen.requests == 0


async def test_the_response_is_litellms_on_demand(llm: AsyncLLM) -> None:
    """It reads as before."""
    answer = await llm.acompletion("hi")
    response: Any = answer.response
    assert response["choices"][0]["message"]["content"] == answer["choices"][0]["message"]["content"] == answer.text
    assert response["model"] == BY_BUDGET
