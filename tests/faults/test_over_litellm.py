"""What is watched and bounded of litellm's own HTTP, and what is left alone."""

from __future__ import annotations

import subprocess
import sys
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
from asyncllm.transports.litellm.transport import import_litellm
from tests.support.secrets import SECRET

pytestmark = pytest.mark.anyio

MODELS = {
    "openai": {"model": "openai/gpt-4o-mini"},
    "azure": {"model": "azure/gpt-4o", "api_version": "2024-10-21"},
    "anthropic": {"model": "anthropic/claude-sonnet-4-5"},
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
    async with AsyncLLM(
        model="anthropic/claude-sonnet-4-5", base_url=simulator.root_url, api_key=SECRET, num_retries=0
    ) as llm:
        with pytest.raises(ServerError, match="Overloaded") as caught:
            await llm.stream("hi").collect()
    assert caught.value.status_code is None
    assert "HTTP" not in str(caught.value)


async def test_a_programs_own_calls_are_left_alone(simulator: Simulator, anyio_backend: str) -> None:
    """Whoever calls litellm beside this package has its redirects followed as ever."""
    if anyio_backend == "trio":
        pytest.skip("litellm works on asyncio alone")
    litellm = import_litellm()
    simulator.faults(Fault("redirect"))
    answer = await litellm.acompletion(
        model="openai/gpt-4o-mini",
        messages=[{"role": "user", "content": "hi"}],
        api_base=simulator.url,
        api_key=SECRET,
        max_retries=0,
    )
    assert answer.choices[0].message.content
    assert simulator.seen.requests == 2
    await litellm.close_litellm_async_clients()
    litellm.in_memory_llm_clients_cache.flush_cache()


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


def test_nothing_is_wrapped_before_litellm_is_used() -> None:
    """The wire does not touch litellm's transports: the module that does is imported with litellm's transport."""
    module = "asyncllm.transports.litellm.http_client"
    code = f"import sys, asyncllm.transports.wire.transport; print({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
