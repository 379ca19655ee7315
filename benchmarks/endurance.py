"""Endurance runs: cancellation storms, hundreds of clients, paused readers, early ends; a figure is printed for each.

    python benchmarks/endurance.py [storm] [runs] [paused] [ends]     # all of them without a name

Each check runs on asyncio and on trio, against a simulator in this process; where they differ, over the wire in every
format, also by aiohttp's session, and over litellm. The exit code is 1 when a figure is outside of its bound.
"""

from __future__ import annotations

import gc
import os
import random
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import anyio

import asyncllm
from asyncllm import AsyncLLM, CompletionStream
from asyncllm.testing import Latency, Simulator, simulated_provider
from asyncllm.transports.wire import connections
from asyncllm.transports.wire.exchange import is_supported

BACKENDS = ("asyncio", "trio")


@dataclass(frozen=True, slots=True)
class Way:
    """One way to the provider.

    Attributes:
        name: Its name in the figures.
        model: The model, whose provider decides the format.
        transport: The transport.
        by_session: Whether the wire's requests go by aiohttp's session.
        storm_within_s: Within which a call is cancelled: some before they have a place, some on their way, some not at
            all.
    """

    name: str
    model: str
    transport: Literal["wire", "litellm"] = "wire"
    by_session: bool = False
    storm_within_s: float = 0.1


WAYS = (
    Way("wire", "openai/gpt-4o"),
    Way("wire by session", "openai/gpt-4o", by_session=True),
    Way("wire to Claude", "anthropic/claude-sonnet-4-5"),
    Way("wire to Gemini", "gemini/gemini-2.5-flash"),
    Way("litellm", "openai/gpt-4o", "litellm", storm_within_s=1.0),
)
STORM_CALLS = 2_000
STORM_AT_ONCE = 100
RUNS = 500
PAUSED_ANSWER_BYTES = 50_000_000
PAUSE_S = 5.0
ENDS_MS = 100.0

failed = False


def main() -> int:
    """Run the checks that are named, or all."""
    checks: dict[str, Callable[[], None]] = {"storm": storm, "runs": runs, "paused": paused, "ends": ends}
    warnings.simplefilter("error")
    for name in sys.argv[1:] or checks:
        checks[name]()
    return int(failed)


def storm() -> None:
    """Cancel thousands of calls and streams at random moments; nothing must be left, and the next call must work."""
    for way in WAYS:
        for backend in BACKENDS:
            with simulated_provider(latency=Latency(first_token_s=0.01, tokens_per_s=2000), record=False) as provider:
                anyio.run(_cancel_some, provider, way, 20, backend=backend)  # imports, thread pools, caches
                before = _held()
                began = time.perf_counter()
                cancelled = anyio.run(_cancel_some, provider, way, STORM_CALLS, backend=backend)
                provider.seen.wait(lambda seen: seen.connections_open == 0)
                left = _held() - before
                _report(
                    f"storm, {way.name} on {backend}",
                    f"{cancelled} of {STORM_CALLS} cancelled in {time.perf_counter() - began:.1f} s; open connections "
                    f"{provider.seen.connections_open}, descriptors and threads left {left}",
                    ok=left <= 0 and provider.seen.connections_open == 0,
                )


async def _cancel_some(provider: Simulator, way: Way, count: int) -> int:
    cancelled = 0
    chance = random.Random(count)
    at_once = anyio.CapacityLimiter(STORM_AT_ONCE)
    tasks = len(anyio.get_running_tasks())
    async with _client(provider, way) as llm:

        async def one(number: int) -> None:
            nonlocal cancelled
            async with at_once:
                with anyio.move_on_after(chance.uniform(0, way.storm_within_s)) as scope:
                    if number % 2:
                        await llm.acompletion(f"call {number}")
                    else:
                        async with llm.stream(f"stream {number}") as stream:
                            await stream.collect()
                cancelled += scope.cancelled_caught

        async with anyio.create_task_group() as group:
            for number in range(count):
                group.start_soon(one, number)
        await llm.acompletion("and the next call works")
        assert llm.stats().in_flight == 0
        assert llm.stats().waiting == 0
    assert len(anyio.get_running_tasks()) == tasks, "a task is left"
    return cancelled


def runs() -> None:
    """Make one-off blocking calls, and open and close clients; memory, descriptors and threads must stay flat."""
    with tempfile.TemporaryDirectory() as folder, simulated_provider(record=False) as provider:
        config = Path(folder) / "config.toml"
        config.write_text(f'[llm]\nmodel = "openai/gpt-4o"\nbase_url = "{provider.url}"\napi_key = "key"\n')
        os.environ["ASYNCLLM_CONFIG"] = str(config)
        _flat("runs of asyncllm.completion()", lambda: asyncllm.completion("Hello!"))
        for backend in BACKENDS:
            _flat(f"clients opened and closed on {backend}", partial(anyio.run, _one_client, backend=backend))


async def _one_client() -> None:
    async with AsyncLLM() as llm:
        await llm.acompletion("Hello!")


def _flat(name: str, once: Callable[[], object]) -> None:
    for _ in range(50):
        once()
    gc.collect()
    held, memory = _held(), _memory_bytes()
    for _ in range(RUNS):
        once()
    gc.collect()
    left, grown = _held() - held, (_memory_bytes() - memory) / 1e6
    _report(
        f"{RUNS} {name}", f"descriptors and threads left {left}, memory {grown:+.1f} MB", ok=left <= 0 and grown < 10
    )


def paused() -> None:
    """Stop reading a large stream for a while; the provider must stop sending, and memory must not grow."""
    for way in WAYS:
        for backend in BACKENDS:
            with simulated_provider(record=False) as provider:
                grown, sent = anyio.run(_pause, provider, way, backend=backend)
                _report(
                    f"reader paused for {PAUSE_S:.0f} s, {way.name} on {backend}",
                    f"memory {grown / 1e6:+.1f} MB, {sent / 1e6:.2f} MB sent meanwhile",
                    ok=grown < 4e6 and sent < 8e6,
                )


async def _pause(provider: Simulator, way: Way) -> tuple[int, int]:
    script = {"answer_tokens": PAUSED_ANSWER_BYTES // 4, "chunk_chars": 4096}
    async with (
        _client(provider, way) as llm,
        llm.stream("Write at length.", extra_body={"simulator": script}) as stream,
    ):
        for _ in range(50):
            await anext(stream)
        gc.collect()
        memory, sent = _memory_bytes(), provider.seen.bytes_sent
        await anyio.sleep(PAUSE_S)
        return _memory_bytes() - memory, provider.seen.bytes_sent - sent


def ends() -> None:
    """End streams early in every way; the provider must lose its client at once."""
    for way in WAYS:
        for backend in BACKENDS:
            for end in (_by_leaving, _by_breaking, _by_an_exception, _by_cancelling, _by_closing, _by_dropping):
                with simulated_provider(latency=Latency(tokens_per_s=50), record=False) as provider:
                    took_ms = anyio.run(_ended, provider, way, end, backend=backend)
                name = end.__name__.removeprefix("_").replace("_", " ")
                _report(f"ended {name}, {way.name} on {backend}", f"{took_ms:.1f} ms", ok=took_ms < ENDS_MS)


async def _ended(provider: Simulator, way: Way, end: Callable[[AsyncLLM], Awaitable[float]]) -> float:
    async with _client(provider, way) as llm:
        await llm.acompletion("warm up")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # the one that drops a stream means to
            at = await end(llm)
        await provider.seen.wait_async(lambda seen: seen.connections_aborted == 1)
        return (time.perf_counter() - at) * 1000


async def _by_leaving(llm: AsyncLLM) -> float:
    async with _long(llm) as stream:
        await anext(stream)
        return time.perf_counter()


async def _by_breaking(llm: AsyncLLM) -> float:
    at = 0.0
    async with _long(llm) as stream:
        async for _ in stream:
            at = time.perf_counter()
            break
    return at


async def _by_an_exception(llm: AsyncLLM) -> float:
    at = 0.0
    try:
        async with _long(llm) as stream:
            await anext(stream)
            at = time.perf_counter()
            raise KeyError
    except KeyError:
        return at


async def _by_cancelling(llm: AsyncLLM) -> float:
    at = 0.0
    with anyio.CancelScope() as scope:
        async with _long(llm) as stream:
            await anext(stream)
            at = time.perf_counter()
            scope.cancel()
            await anyio.sleep_forever()
    return at


async def _by_closing(llm: AsyncLLM) -> float:
    stream = await _long(llm).open()
    await anext(stream)
    at = time.perf_counter()
    await stream.aclose()
    return at


async def _by_dropping(llm: AsyncLLM) -> float:
    stream = await _long(llm).open()
    await anext(stream)
    at = time.perf_counter()
    del stream  # it is in no cycle, and freed without the garbage collector
    return at


def _long(llm: AsyncLLM) -> CompletionStream:
    return llm.stream("Write at length.", extra_body={"simulator": {"answer_tokens": 5_000, "chunk_chars": 8}})


def _client(provider: Simulator, way: Way) -> AsyncLLM:
    url = provider.url if way.model.startswith("openai/") else provider.root_url
    # As with a release of aiohttp whose connections are not known.
    connections.__dict__["is_supported"] = (lambda: False) if way.by_session else is_supported
    return AsyncLLM(model=way.model, base_url=url, api_key="key", max_concurrency=50, transport=way.transport)


def _held() -> int:
    """Return how many descriptors and threads this process has."""
    gc.collect()
    return len(os.listdir("/proc/self/fd")) + threading.active_count()


def _memory_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _report(name: str, figure: str, *, ok: bool) -> None:
    global failed
    failed = failed or not ok
    print(f"{'ok    ' if ok else 'FAILED'}  {name}: {figure}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
