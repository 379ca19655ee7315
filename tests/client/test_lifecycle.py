"""Clients come and go, and nothing of them stays behind."""

from __future__ import annotations

import gc
import logging
import os
import subprocess
import sys
import weakref
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest

from asyncllm import AsyncLLM, ProviderError
from asyncllm.limits import provider_limits
from asyncllm.simulator import Fault, Latency, Simulator
from tests.support.leaks import Held, left_since
from tests.support.secrets import SECRET
from tests.support.waiting import collect

HEAVY = ("litellm", "instructor", "openai", "aiohttp")
# What a client needs with its first call, its first batch or its first typed answer.
LATER = ("asyncio", "backoff", "dotenv", "sqlite3", "asyncllm.batch", "asyncllm.structured")


@pytest.mark.anyio
async def test_a_closed_client_does_not_disturb_another(options: dict[str, Any], simulator: Simulator) -> None:
    """While one client streams, another of the same provider is opened, used and closed; the stream goes on."""
    simulator.latency(Latency(tokens_per_s=400))
    async with AsyncLLM(**options) as streaming, streaming.stream("hi") as stream:
        await anext(stream)
        async with AsyncLLM(**options) as other:
            await other.acompletion("in between")
        completion = await stream.collect()
    assert completion.finish_reason == "stop"
    assert completion.usage.basis == "known"


@pytest.mark.anyio
async def test_closing_twice_is_harmless_and_final(options: dict[str, Any]) -> None:
    """A closed client stays closed, and says so."""
    llm = AsyncLLM(**options)
    await llm.acompletion("hi")
    await llm.aclose()
    await llm.aclose()
    with pytest.raises(RuntimeError, match="this client is closed"):
        await llm.acompletion("hi")


@pytest.mark.anyio
async def test_a_view_is_closed_with_its_client(options: dict[str, Any]) -> None:
    """A view shares the client's connections and ends with them."""
    async with AsyncLLM(**options) as llm:
        view = llm.with_options(temperature=0.5)
        await view.acompletion("hi")
        assert llm.stats().calls == view.stats().calls == 1
    with pytest.raises(RuntimeError, match="this client is closed"):
        await view.acompletion("hi")


@pytest.mark.anyio
@pytest.mark.leaks
async def test_an_unclosed_client_warns_and_lets_go(options: dict[str, Any], simulator: Simulator) -> None:
    """A client that was not closed gives up its connections when it is collected, with a ResourceWarning."""
    clients: list[Any] = [AsyncLLM(**options)]
    await clients[0].acompletion("hi")
    with pytest.warns(ResourceWarning, match="a client was never closed"):
        collect(clients)
    await simulator.seen.wait_async(lambda seen: seen.connections_open == 0)


@pytest.mark.anyio
async def test_a_client_that_was_never_used_need_not_be_closed(options: dict[str, Any]) -> None:
    """Making a client opens nothing, so forgetting it warns of nothing."""
    AsyncLLM(**options)
    gc.collect()


@pytest.mark.anyio
async def test_a_stream_that_outlives_its_client_ends(options: dict[str, Any], simulator: Simulator) -> None:
    """Reading on after the client closed is an error or an end, never a hang, and leaving is quiet."""
    simulator.faults(Fault("stall", after_chunks=3))
    llm = AsyncLLM(**options)
    stream = await llm.acompletion("hi", stream=True)
    await llm.aclose()
    with anyio.fail_after(20), pytest.raises(Exception):  # noqa: B017, PT011  # each transport has its own
        await stream.collect()
    await stream.aclose()
    await simulator.seen.wait_async(lambda seen: seen.in_flight == 0)


@pytest.mark.anyio
async def test_the_embedded_simulator_lives_with_its_client() -> None:
    """A `simulated/...` model starts a provider for the client's life; tasks that begin together share it."""
    async with AsyncLLM(model="simulated/demo") as llm:
        outcomes = await llm.gather(["a", "b", "c"])
        assert [outcome.ok for outcome in outcomes] == [True] * 3
        assert outcomes[0].completion is not None
        assert outcomes[0].completion.record.provider == "simulated"


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Leave what is in a cycle uncollected during a test."""
    sdk = logging.getLogger("openai")  # a captured record of its keeps the error, and so the frames
    level = sdk.level
    sdk.setLevel(logging.WARNING)
    gc.collect()
    gc.disable()
    yield
    gc.enable()
    sdk.setLevel(level)


@pytest.mark.anyio
@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize(
    "fault", [Fault("status", code=429, retry_after=30), Fault("cut", at="body")], ids=["429", "cut"]
)
async def test_an_error_keeps_no_closed_client(
    options: dict[str, Any], simulator: Simulator, fault: Fault, stream: bool
) -> None:
    """A closed client is gone at once with its cooldown, whatever error its last call had: no cycle holds it."""
    simulator.faults(fault)
    llm: AsyncLLM | None = AsyncLLM(**options, num_retries=0)
    assert llm is not None
    client = weakref.ref(llm)
    with suppress(ProviderError):
        await (llm.stream("hi").collect() if stream else llm.acompletion("hi"))
    assert len(provider_limits._known) == 1
    await llm.aclose()
    llm = None
    assert client() is None
    assert not provider_limits._known


# Each of the ways once in full would take a minute; a leak of one descriptor a client shows in 30 as well.
@pytest.mark.parametrize(
    ("backend", "transport", "clients"),
    [("asyncio", "auto", 200), ("asyncio", "litellm", 30), ("trio", "auto", 30), ("trio", "litellm", 30)],
)
def test_clients_on_as_many_loops(simulator: Simulator, backend: str, transport: str, clients: int) -> None:
    """Clients opened, used and closed, each on a loop of its own, leave no task, no descriptor and no thread."""

    async def one() -> None:
        tasks = set(anyio.get_running_tasks())
        async with AsyncLLM(
            model="openai/gpt-4o-mini",
            base_url=simulator.url,
            api_key=SECRET,
            transport=transport,  # type: ignore[arg-type]
        ) as llm:
            await llm.acompletion("hi")
        assert set(anyio.get_running_tasks()) == tasks

    anyio.run(one, backend=backend)  # what the process keeps for good is there after the first
    before = Held.now()
    for _ in range(clients):
        anyio.run(one, backend=backend)
    assert left_since(before) == []
    assert simulator.seen.requests == clients + 1
    simulator.seen.wait(lambda seen: seen.connections_open == 0)


def python(code: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script as its user would, warnings as errors, in a folder of its own."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{Path(__file__).parents[2]}:{os.environ['PYTHONPATH']}", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_client_is_made_without_anything_heavy(tmp_path: Path) -> None:
    """Importing the package and making a client import none of the heavy libraries, nor what only some clients use."""
    code = f"""
import sys
before = set(sys.modules)  # a measurement of coverage imports some of them itself
import asyncllm
asyncllm.AsyncLLM(model="openai/gpt-5-mini", api_key="sk-0")
print([name for name in {HEAVY + LATER} if name in sys.modules.keys() - before])
"""
    ran = python(code, tmp_path)
    assert (ran.stdout, ran.stderr) == ("[]\n", "")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_loop_goes_on_while_a_transport_is_imported(backend: str, tmp_path: Path, simulator: Simulator) -> None:
    """The first call leaves the import to a thread, so that its loop goes on serving."""
    code = f"""
import sys, threading, anyio, asyncllm

class Watching:
    def find_spec(self, name, path=None, target=None):
        if name == "aiohttp":
            print(threading.current_thread() is threading.main_thread())

sys.meta_path.insert(0, Watching())

async def main():
    async with asyncllm.AsyncLLM(model="openai/gpt-5-mini", base_url="{simulator.url}", api_key="sk-0") as llm:
        outcomes = await llm.gather(["a", "b", "c"])
        print([outcome.ok for outcome in outcomes])

anyio.run(main, backend="{backend}")
"""
    ran = python(code, tmp_path)
    assert (ran.stdout, ran.stderr) == ("False\n[True, True, True]\n", "")


def test_the_script_of_the_blocking_client(tmp_path: Path, simulator: Simulator) -> None:
    """`LLM(load_config())` without `with` works as it stands, prints its answer alone, and exits by itself."""
    (tmp_path / "config.toml").write_text(
        f"""
        [llm]
        model = "openai/gpt-4o-mini"
        api_key = "{SECRET}"
        temperature = 0.0
        max_output_tokens = 4096
        num_retries = 8
        retry_min_wait = 15
        retry_max_wait = 120
        retry_multiplier = 2
        """
    )
    code = """
from asyncllm import LLM, Message, load_config
llm = LLM(load_config())
answer = llm.completion(messages=[Message(role="user", content="Hello!").to_dict()])
print(answer["choices"][0]["message"]["content"])
"""
    ran = python(code, tmp_path, LLM_API_KEY="sk-from-environment", LLM_BASE_URL=simulator.url)
    assert ran.stdout.startswith('Simulated answer to: "Hello!"')
    assert (ran.stdout.count("\n"), ran.stderr, ran.returncode) == (1, "", 0)
    assert simulator.seen.keys == {"sk-from-environment"}
    assert simulator.seen.bodies[0]["max_tokens"] == 4096
