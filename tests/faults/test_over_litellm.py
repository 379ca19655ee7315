"""Bounds on litellm's own HTTP, and the parts of it that are left alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from asyncllm import (
    AsyncLLM,
    MalformedResponseError,
    ProviderError,
    ProviderTimeoutError,
    ServerError,
    UnsupportedError,
)
from asyncllm.simulator import Fault, Simulator
from asyncllm.transports import size_limits
from asyncllm.transports.base import Call, Connection
from asyncllm.transports.litellm.errors import CLASSES, translate
from asyncllm.transports.litellm.importing import import_litellm
from tests.support.secrets import SECRET

pytestmark = pytest.mark.anyio

MODELS = {
    "openai": {"model": "openai/gpt-4o-mini"},
    "azure": {"model": "azure/gpt-4o", "api_version": "2024-10-21"},
    "anthropic": {"model": "anthropic/claude-sonnet-4-5"},
}


# One for each way in which litellm takes an HTTP client, or finds one.
WAYS: dict[str, dict[str, Any]] = {
    "OpenAI's SDK": {"model": "deepinfra/some-model"},
    "Azure's client": {"model": "azure/gpt-4o", "api_version": "2024-10-21"},
    "Azure's client, o-series": {"model": "azure/o3-mini", "api_version": "2024-10-21"},
    "Azure without versions": {"model": "azure/gpt-4o", "api_version": "v1"},
    "handler": {"model": "mistral/mistral-small-latest"},
    "handler, Anthropic": {"model": "anthropic/claude-sonnet-4-5"},
    "handler, Gemini": {"model": "gemini/gemini-2.5-flash"},
    "handler, Ollama": {"model": "ollama_chat/llama3.2"},
    "handler, Bedrock": {
        "model": "bedrock/converse/anthropic.claude-3-haiku-20240307-v1:0",
        "aws_access_key_id": "AKIA0123456789ABCDEF",
        "aws_secret_access_key": SECRET,
        "aws_region_name": "us-east-1",
    },
    "litellm's cache": {"model": "cloudflare/@cf/meta/llama-2-7b-chat-int8"},
}


@pytest.fixture(params=list(MODELS))
async def llm(request: pytest.FixtureRequest, simulator: Simulator, anyio_backend: str) -> AsyncIterator[AsyncLLM]:
    url = simulator.url if request.param == "openai" else simulator.root_url
    options: dict[str, Any] = MODELS[request.param]
    async with AsyncLLM(base_url=url, api_key=SECRET, transport="litellm", num_retries=0, **options) as client:
        yield client


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_no_key_goes_along_with_a_redirect(llm: AsyncLLM, simulator: Simulator, stream: bool, code: int) -> None:
    """httpx would follow to another host, with the key in a header that it does not know for one."""
    simulator.faults(Fault("redirect", to="other", code=code))
    with pytest.raises(ProviderError, match="redirects to http://localhost") as caught:
        await (llm.stream("hi").collect() if stream else llm.acompletion("hi"))
    assert (type(caught.value), caught.value.status_code) == (ProviderError, code)
    assert simulator.seen.requests == 1


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_of_an_error_only_the_beginning_is_read(llm: AsyncLLM, simulator: Simulator, stream: bool) -> None:
    """A page of megabytes with an error status is left where the reason has been said."""
    page = "<p>the engine coughed</p>" + "x" * 4_000_000
    simulator.faults(Fault("garbage", code=502, text=page))
    with pytest.raises(ServerError, match="the engine coughed") as caught:
        await (llm.stream("hi").collect() if stream else llm.acompletion("hi"))
    assert (caught.value.status_code, len(caught.value.message) < 1000) == (502, True)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_an_answer_has_a_bound(
    llm: AsyncLLM, simulator: Simulator, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On every way that litellm takes, an answer that does not end is given up, also a compressed one."""
    for name in ("MAX_ANSWER_BYTES", "MAX_EVENT_BYTES"):
        monkeypatch.setattr(size_limits, name, 100_000)
    for gzipped in (False, True):
        simulator.faults(Fault("huge_body", size_bytes=1_000_000, gzipped=gzipped))
        with pytest.raises(MalformedResponseError, match=r"(larger|longer) than 100,000 bytes"):
            await (llm.stream("hi").collect() if stream else llm.acompletion("hi"))
    await simulator.seen.wait_async(lambda seen: not seen.in_flight)


async def test_an_error_event_has_no_status_of_litellms_making(simulator: Simulator) -> None:
    """Anthropic says in a stream that it is overloaded; the 500 that litellm makes of it was never sent."""
    simulator.faults(Fault("error_event", after_chunks=0))
    options: dict[str, Any] = {"model": "anthropic/claude-sonnet-4-5", "base_url": simulator.root_url}
    async with AsyncLLM(api_key=SECRET, transport="litellm", num_retries=0, **options) as llm:
        with pytest.raises(ServerError, match="Overloaded") as caught:
            await llm.stream("hi").collect()
    assert caught.value.status_code is None
    assert "HTTP" not in str(caught.value)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("way", WAYS)
async def test_every_way_is_watched(simulator: Simulator, way: str, stream: bool) -> None:
    """By whatever way litellm reaches a provider, its redirect is reported and not followed."""
    simulator.faults(Fault("redirect", to="other", path="*"))
    options: dict[str, Any] = WAYS[way]
    async with AsyncLLM(
        base_url=simulator.root_url, api_key=SECRET, transport="litellm", num_retries=0, **options
    ) as client:
        with pytest.raises(ProviderError, match="redirects to http://localhost"):
            await (client.stream("hi").collect() if stream else client.acompletion("hi"))
    assert simulator.seen.requests == 1


async def test_a_text_completion_is_watched_and_does_not_stream(simulator: Simulator) -> None:
    """litellm makes a chat of a text completion's whole answer, but not of its stream."""
    simulator.faults(Fault("redirect", to="other", path="*"))
    options: dict[str, Any] = {"model": "text-completion-openai/davinci-002", "base_url": simulator.url}
    async with AsyncLLM(api_key=SECRET, transport="litellm", num_retries=0, **options) as client:
        with pytest.raises(ProviderError, match="redirects to http://localhost"):
            await client.acompletion("hi")
        with pytest.raises(UnsupportedError, match="does not stream"):
            await client.stream("hi").collect()


@pytest.mark.parametrize("model", ["openai", "anthropic"])
async def test_clients_of_one_endpoint_share_connections(simulator: Simulator, model: str) -> None:
    """Two clients with the same endpoint and key use one pool, which is closed with the last of them."""
    url = simulator.url if model == "openai" else simulator.root_url
    options: dict[str, Any] = {"base_url": url, "api_key": SECRET, "transport": "litellm", **MODELS[model]}
    async with AsyncLLM(**options) as one, AsyncLLM(**options) as other:
        for client in (one, other, one):
            await client.acompletion("hi")
        assert simulator.seen.connections_opened == 1
    await simulator.seen.wait_async(lambda seen: seen.connections_open == 0)


async def test_it_is_watched_without_aiohttp(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where litellm is told to do without aiohttp, its other transport is watched as well."""
    monkeypatch.setenv("DISABLE_AIOHTTP_TRANSPORT", "True")
    options: dict[str, Any] = {"base_url": simulator.url, "api_key": SECRET, **MODELS["openai"]}
    async with AsyncLLM(transport="litellm", num_retries=0, **options) as client:
        assert (await client.acompletion("hi")).text
        assert (await client.stream("hi").collect()).text
        simulator.faults(Fault("redirect", to="other"))
        with pytest.raises(ProviderError, match="redirects to http://localhost"):
            await client.acompletion("hi")
    await simulator.seen.wait_async(lambda seen: seen.connections_open == 0)


async def ask_litellm(base_url: str) -> str:
    """Call litellm as a program does that has nothing to do with this package."""
    answer = await import_litellm().acompletion(
        model="openai/gpt-4o-mini",
        messages=[{"role": "user", "content": "hi"}],
        api_base=base_url,
        api_key=SECRET,
        max_retries=0,
    )
    return str(answer.choices[0].message.content)


@pytest.fixture
async def programs_own(anyio_backend: str) -> AsyncIterator[None]:
    """Close the clients that litellm made for the test itself."""
    if anyio_backend == "trio":
        pytest.skip("litellm works on asyncio alone")
    yield
    litellm = import_litellm()
    await litellm.close_litellm_async_clients()
    litellm.in_memory_llm_clients_cache.flush_cache()


@pytest.mark.usefixtures("programs_own")
async def test_a_programs_own_calls_are_left_alone(simulator: Simulator) -> None:
    """Whoever calls litellm beside this package has its redirects followed as ever."""
    options: dict[str, Any] = {"base_url": simulator.url, "api_key": SECRET, **MODELS["openai"]}
    async with AsyncLLM(transport="litellm", **options) as ours:
        await ours.acompletion("hi")
        simulator.faults(Fault("redirect"))
        assert await ask_litellm(simulator.url)
    assert simulator.seen.requests == 3


@pytest.mark.usefixtures("programs_own")
async def test_closing_a_client_leaves_a_programs_own_open(simulator: Simulator) -> None:
    """What litellm keeps for the program's own calls is still connected when the last client here is closed."""
    assert await ask_litellm(simulator.url)
    options: dict[str, Any] = {"base_url": simulator.url, "api_key": SECRET, **MODELS["openai"]}
    async with AsyncLLM(transport="litellm", **options) as ours:
        await ours.acompletion("hi")
    assert simulator.seen.connections_opened == 2
    assert await ask_litellm(simulator.url)
    assert simulator.seen.connections_opened == 2


@pytest.mark.parametrize("name", CLASSES)
def test_each_class_of_litellm_becomes_one_of_ours(name: str) -> None:
    """Without anything on the wire, the class alone decides; the hint says that the call was not made."""
    litellm = import_litellm()
    kind = getattr(litellm.exceptions, name)
    error = kind.__new__(kind)
    vars(error).update(message="what litellm says", num_retries=None, max_retries=None, original_exception=None)
    ours = translate(error, Call(Connection("openai", SECRET), "openai/gpt-4o-mini", [], {}, 10.0))
    special = {"Timeout": ProviderTimeoutError, "UnsupportedParamsError": UnsupportedError}
    assert type(ours) is special.get(name, CLASSES[name])


def test_a_package_that_is_missing_is_named() -> None:
    """litellm brings none of the packages that clouds need for their credentials, and says so with a traceback."""
    kind = import_litellm().exceptions.APIConnectionError
    said = "No module named 'google.auth'\nTraceback (most recent call last):\n  ..."
    error = kind(message=said, llm_provider="vertex_ai", model="gemini-2.5-flash")
    ours = translate(error, Call(Connection("vertex_ai"), "vertex_ai/gemini-2.5-flash", [], {}, 10.0))
    assert type(ours) is UnsupportedError
    assert str(ours).endswith("needs the module google.auth for this model. Install it: pip install google-auth")
