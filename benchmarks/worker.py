"""The work of every worker: read a command from stdin, measure this process, and write the figures to stdout.

A worker hands its client to `serve`; the code that asks and checks is the same for all of them.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, cast

from .exchange import CONTACT, HELLO_TEXT, TOKENS, WAIT, counting

OnText = Callable[[str], None]
Job = Callable[[], Coroutine[Any, Any, None]]

# Calls and chunks before the clock starts, at least two calls or streams in every task: connections are open then, and
# what is made once is made. With one, whoever is slow to begin finds connections that the others have done with.
_WARM_CALLS = 50
_WARM_CHUNKS = 250
# Streams that are opened at a time on the way to a thousand; more would measure the queue of the server's socket.
_OPENING = 50
_HEARTBEAT_S = 0.001


class WrongAnswerError(Exception):
    """An answer is not what the provider sent."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a plain call brought: its text and its total tokens."""

    text: str
    tokens: int


class Client(Protocol):
    """A way to call the provider. A worker implements what its peer is asked for."""

    async def plain(self) -> Answer:
        """Say hello to MODEL."""

    async def reasoning(self) -> Answer:
        """Say hello to REASONING_MODEL, with at most MAX_TOKENS."""

    async def typed(self) -> tuple[str, str]:
        """Ask for a contact, and return its name and address as they were validated."""

    async def stream(self, prompt: str, on_text: OnText) -> int:
        """Hand over each text as it comes, and return the total tokens."""

    async def aclose(self) -> None:
        """Close what is open."""


class WarmingClient(Client, Protocol):
    """A client that can do ahead of time what its first call would wait for."""

    async def warm_up(self) -> None:
        """Do it."""


class Loop(Protocol):
    """The event loop that a worker runs on."""

    def run(self, job: Callable[[], Awaitable[Any]]) -> Any:
        """Run a coroutine function to its end."""

    async def together(self, jobs: Sequence[Job]) -> None:
        """Run coroutine functions at the same time."""


class AsyncioLoop:
    """One asyncio loop for the life of the worker, as a server has it; uvloop's where its peer says so."""

    def __init__(self) -> None:
        factory: Callable[[], asyncio.AbstractEventLoop] | None = None
        if os.environ.get("BENCHMARK_LOOP") == "uvloop":
            factory = import_module("uvloop").new_event_loop  # an extra, which a type checker may not find
        self._runner = asyncio.Runner(loop_factory=factory)

    def run(self, job: Callable[[], Awaitable[Any]]) -> Any:
        async def main() -> Any:
            return await job()

        return self._runner.run(main())

    async def together(self, jobs: Sequence[Job]) -> None:
        async with asyncio.TaskGroup() as group:
            for job in jobs:
                group.create_task(job())


def serve(make: Callable[[str], Client], loop: Loop | None = None) -> None:
    """Answer commands until stdin ends.

    Args:
        make: Makes a client for the URL of a provider.
        loop: What to run on; asyncio when not given.
    """
    on = loop or AsyncioLoop()
    # Peers print; what they say belongs on stderr, and stdout to the figures.
    figures_out = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(4096, hard)), hard))  # for a thousand connections
    for line in sys.stdin:
        command = json.loads(line)
        try:
            figures = on.run(lambda: _obey(command, make, on))  # noqa: B023  # it runs at once
        except Exception as error:
            figures = {"error": _explained(error)}
        print(json.dumps(figures), file=figures_out, flush=True)


async def _obey(command: dict[str, Any], make: Callable[[str], Client], loop: Loop) -> dict[str, Any]:
    client = make(command["url"])
    try:
        if command["do"] == "calls":
            return await _calls(client, loop, command["kind"], command["concurrency"], command["seconds"])
        if command["do"] == "streams":
            return await _streams(client, loop, command["prompt"], command["concurrency"], command["seconds"])
        if command["do"] == "open_streams":
            return await _open_streams(client, command["number"])
        if command["do"] == "heartbeat":
            return await _heartbeat(cast(WarmingClient, client))
        assert command["do"] == "first"
        await _ask(client, "plain")
        return {"requests": 1, "rss_mib": _rss_bytes() / 2**20}
    finally:
        await client.aclose()


async def _calls(client: Client, loop: Loop, kind: str, concurrency: int, seconds: float) -> dict[str, Any]:
    async def ask() -> None:
        await _ask(client, kind)

    counted, used_s, elapsed_s, requests = await _repeat(ask, loop, concurrency, seconds, _WARM_CALLS)
    return {"requests": requests, "cpu_us": used_s / counted * 1e6, "per_s": counted / elapsed_s}


async def _streams(client: Client, loop: Loop, prompt: str, concurrency: int, seconds: float) -> dict[str, Any]:
    told, firsts = counting(prompt), []

    async def read() -> None:
        texts: list[str] = []
        started = time.perf_counter()
        first_at = 0.0

        def on_text(text: str) -> None:
            nonlocal first_at
            if not first_at:
                first_at = time.perf_counter()
            texts.append(text)

        tokens = await client.stream(prompt, on_text)
        if tuple(texts) != told.pieces or tokens != TOKENS:
            raise WrongAnswerError(f"{len(texts)} chunks and {tokens} tokens: {''.join(texts)[:100]!r}")
        firsts.append((first_at - started) * 1000)

    warm = _WARM_CHUNKS // len(told.pieces)
    counted, used_s, _, requests = await _repeat(read, loop, concurrency, seconds, warm)
    chunks = counted * len(told.pieces)
    return {"requests": requests, "cpu_us": used_s / chunks * 1e6, "first_ms": statistics.median(firsts[-counted:])}


async def _repeat(job: Job, loop: Loop, concurrency: int, seconds: float, warm: int) -> tuple[int, float, float, int]:
    """Do a job over and over in several tasks, each at least once, after so many together that do not count.

    Returns:
        How often it was done while it was measured, the seconds of CPU, the seconds, and how often in all.
    """
    counted = 0
    each_warm = max(2, warm // concurrency) if seconds else 1

    async def warm_up() -> None:
        for _ in range(each_warm):
            await job()

    async def measured() -> None:
        nonlocal counted
        while True:
            await job()
            counted += 1
            if time.perf_counter() >= end:
                return

    await loop.together([warm_up] * concurrency)
    gc.collect()
    started, used = time.perf_counter(), time.process_time()
    end = started + seconds
    await loop.together([measured] * concurrency)
    return counted, time.process_time() - used, time.perf_counter() - started, counted + each_warm * concurrency


async def _open_streams(client: Client, number: int) -> dict[str, Any]:
    """Measure the memory of streams that are open and have brought their first text."""
    await client.stream("Count to 1.", lambda _: None)
    opening = asyncio.Semaphore(_OPENING)
    opened = 0
    all_open = asyncio.Event()

    async def hold() -> None:
        await opening.acquire()

        def on_text(_: str) -> None:
            nonlocal opened
            opened += 1
            opening.release()
            if opened == number:
                all_open.set()

        await client.stream(WAIT, on_text)
        raise WrongAnswerError("a stream ended that has no end")

    gc.collect()
    before = _rss_bytes()
    tasks = [asyncio.create_task(hold()) for _ in range(number)]
    waiting = asyncio.create_task(all_open.wait())
    done, _ = await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
    if waiting not in done:
        done.pop().result()
    gc.collect()
    each = (_rss_bytes() - before) / number
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return {"requests": number + 1, "kib_each": each / 1024}


async def _heartbeat(client: WarmingClient) -> dict[str, Any]:
    """Measure for how long warming up, and then the first call, keep another task of the loop from running."""
    gaps: list[float] = []

    async def beat() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(_HEARTBEAT_S)
            now = time.perf_counter()
            gaps.append(now - last)
            last = now

    beating = asyncio.create_task(beat())
    await asyncio.sleep(0.1)  # what the loop itself does at its start is not the client's
    gaps.clear()
    await client.warm_up()
    await asyncio.sleep(2 * _HEARTBEAT_S)
    warm_up_gap_s = max(gaps)
    gaps.clear()
    await _ask(client, "plain")
    beating.cancel()
    return {"requests": 1, "warm_up_gap_ms": warm_up_gap_s * 1000, "longest_gap_ms": max(gaps) * 1000}


async def _ask(client: Client, kind: str) -> None:
    if kind == "typed":
        got: object = await client.typed()
        wanted: object = (CONTACT["name"], CONTACT["email"])
    else:
        got = await (client.plain() if kind == "plain" else client.reasoning())
        wanted = Answer(HELLO_TEXT, TOKENS)
    if got != wanted:
        raise WrongAnswerError(f"got {got!r}")


def _rss_bytes() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def _explained(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"[:500]
