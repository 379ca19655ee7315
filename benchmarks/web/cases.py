"""The cases: throughput, streams, leaving clients, a slow reader, tenants, overload."""

from __future__ import annotations

import asyncio
import json
import random
import socket
from collections import Counter
from collections.abc import Callable, Coroutine
from urllib.parse import quote

from asyncllm.testing import Latency, simulated_provider

from ..limits.rows import Row
from .running import Stopwatch, application, session, share, state
from .tracing import tracing

PEERS = ("asyncllm", "openai", "litellm")
CLIENTS, STREAMS, LEAVING = 200, 500, 1000
REQUESTS = 3000


async def plain() -> list[Row]:
    """Plain calls of 200 clients: requests a second, p99, and the server's CPU of each."""
    rows: list[Row] = []
    cpu: dict[str, float] = {}
    with simulated_provider(record=False) as provider:
        for peer in PEERS:
            with application(peer, provider.url) as url:
                count = REQUESTS if peer == "asyncllm" else REQUESTS // 3
                await _requests(url, CLIENTS)
                rate, p99, cpu[peer] = await _requests(url, count)
            rows.append(Row(f"plain calls, {peer}", "requests/s, all on this machine", rate))
            rows.append(Row(f"plain calls, {peer}", "p99", p99 * 1000, unit="ms"))
            rows.append(Row(f"plain calls, {peer}", "CPU of the server a request", cpu[peer] * 1e6, unit="us"))
    rows.append(Row("plain calls", "requests a second of CPU, x openai", cpu["openai"] / cpu["asyncllm"], ">=", 3, "x"))
    rows.append(
        Row("plain calls", "requests a second of CPU, x litellm", cpu["litellm"] / cpu["asyncllm"], ">=", 6, "x")
    )
    return rows


async def _requests(url: str, count: int) -> tuple[float, float, float]:
    left, times = iter(range(count)), list[float]()
    async with session() as client:

        async def work() -> None:
            for _ in left:
                watch = Stopwatch()
                async with client.get(f"{url}/plain") as answer:
                    assert answer.status == 200
                    await answer.read()
                times.append(watch.seconds)

        before, watch = await state(client, url), Stopwatch()
        await asyncio.gather(*(work() for _ in range(CLIENTS)))
        seconds, after = watch.seconds, await state(client, url)
    return count / seconds, share(times, 0.99), (after["cpu_s"] - before["cpu_s"]) / count


async def streams() -> list[Row]:
    """500 streams at a token every 20 ms: CPU of the server, of one core."""
    rows: list[Row] = []
    cpu: dict[str, float] = {}
    with simulated_provider(latency=Latency(tokens_per_s=50), record=False) as provider:
        for peer in PEERS:
            with application(peer, provider.url) as url:
                cpu[peer] = await _streams(url)
            rows.append(Row(f"{STREAMS} streams, {peer}", "CPU of the server a chunk", cpu[peer] * 1e6, unit="us"))
    for peer in PEERS[1:]:
        rows.append(Row(f"{STREAMS} streams", f"CPU, share of {peer}", cpu["asyncllm"] / cpu[peer], "<=", 0.5))
    return rows


async def _streams(url: str) -> float:
    chunks = 0
    async with session() as client:

        async def read() -> None:
            nonlocal chunks
            async with client.get(f"{url}/stream") as answer:
                async for line in answer.content:
                    chunks += line.startswith(b"data: {")

        await read()
        chunks, before = 0, await state(client, url)
        await asyncio.gather(*(read() for _ in range(STREAMS)))
        return ((await state(client, url))["cpu_s"] - before["cpu_s"]) / chunks


async def leaving() -> list[Row]:
    """1,000 clients that leave at a random moment of their stream, five times: what is left after a second."""
    draw = random.Random(7)
    held: list[dict[str, float]] = []
    open_after = 0
    latency = Latency(first_token_s=0.1, tokens_per_s=50)
    with simulated_provider(latency=latency, record=False) as provider, application("asyncllm", provider.url) as url:
        async with session() as client:
            for _ in range(6):
                await asyncio.gather(*(_leave(url, draw.uniform(0.0, 2.0)) for _ in range(LEAVING)))
                await asyncio.sleep(1.0)
                open_after = max(open_after, provider.seen.in_flight)
                held.append(await state(client, url))
    first, last = held[1], held[-1]  # the first round makes what is kept
    case = f"{LEAVING} clients leave, 5 rounds"
    return [
        Row(case, "answers under way after 1 s", open_after, "<=", 0),
        Row(case, "tasks more than after the first", last["tasks"] - first["tasks"], "<=", 0),
        Row(case, "memory more than after the first", last["rss_mb"] - first["rss_mb"], "<=", 2, "MB"),
    ]


async def _leave(url: str, after_s: float) -> None:
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
    try:
        async with asyncio.timeout(after_s):
            while await reader.read(65536):
                pass
    except TimeoutError:
        pass
    writer.transport.abort()


async def slow() -> list[Row]:
    """A reader that takes nothing of an answer of 20 MB: the memory of the server."""
    script = quote(json.dumps({"answer_tokens": 5_000_000, "chunk_chars": 4000}))
    with simulated_provider(record=False) as provider, application("asyncllm", provider.url) as url:
        async with session() as client:
            async with client.get(f"{url}/stream") as answer:
                await answer.read()
            before = await state(client, url)
            host, port = url.removeprefix("http://").split(":")
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)  # before it connects, as a phone's
            connection.connect((host, int(port)))
            connection.setblocking(False)
            _, writer = await asyncio.open_connection(sock=connection, limit=1024)
            writer.write(f"GET /stream?script={script} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            most = before["rss_mb"]
            for _ in range(20):
                await asyncio.sleep(0.25)
                most = max(most, (await state(client, url))["rss_mb"])
            sent = provider.seen.bytes_sent / 2**20
            writer.transport.abort()
    return [
        Row("a slow reader of 20 MB", "memory of the server more", most - before["rss_mb"], "<=", 2, "MB"),
        Row("a slow reader of 20 MB", "sent by the provider meanwhile", sent, unit="MB"),
    ]


async def fairness() -> list[Row]:
    """One tenant floods with 2,000 requests, ten send one a second: the p95 of these, with the flood and without."""
    waits: dict[bool, float] = {}
    with simulated_provider(latency=Latency(first_token_s=0.2), record=False) as provider:
        for flood in (False, True):
            with application("asyncllm", provider.url, max_concurrency=20) as url:
                waits[flood] = await _fairness(url, flood=flood)
    case = "a flood of 2,000, and ten tenants"
    return [
        Row(case, "p95 without the flood", waits[False] * 1000, unit="ms"),
        Row(case, "p95 with it", waits[True] * 1000, unit="ms"),
        Row(case, "ratio", waits[True] / waits[False], "<=", 2, "x"),
    ]


async def _fairness(url: str, *, flood: bool) -> float:
    times: list[float] = []
    async with session() as client, asyncio.TaskGroup() as group:

        async def ask(tenant: str, *, counts: bool) -> None:
            watch = Stopwatch()
            async with client.get(f"{url}/plain", params={"tenant": tenant}) as answer:
                await answer.read()
            if counts:
                times.append(watch.seconds)

        flooding = [group.create_task(ask("flood", counts=False)) for _ in range(2000 if flood else 0)]
        await asyncio.sleep(1.0)
        for _ in range(10):
            for tenant in range(10):
                group.create_task(ask(str(tenant), counts=True))
                await asyncio.sleep(0.1)
        await asyncio.sleep(1.0)
        for task in flooding:
            task.cancel()
    return share(times, 0.95)


async def overload() -> list[Row]:
    """Five times as many requests as there is room for, for a minute: goodput, refusals, none that hangs."""
    capacity, seconds = 100, 60  # 20 slots of 0.2 s each
    outcomes: Counter[tuple[int, bool]] = Counter()
    refusals: list[float] = []
    with (
        simulated_provider(latency=Latency(first_token_s=0.2), record=False) as provider,
        application("asyncllm", provider.url, max_concurrency=20, max_queue=20) as url,
    ):
        async with session() as client, asyncio.TaskGroup() as group:

            async def ask() -> None:
                watch = Stopwatch()
                async with client.get(f"{url}/plain") as answer:
                    await answer.read()
                    outcomes[answer.status, "retry-after" in answer.headers] += 1
                if answer.status == 503:
                    refusals.append(watch.seconds)

            watch, sent = Stopwatch(), 0
            while watch.seconds < seconds:
                while sent < watch.seconds * capacity * 5:
                    group.create_task(ask())
                    sent += 1
                await asyncio.sleep(0.01)
    case = "overload at 5 x capacity"
    return [
        Row(case, "goodput, share of capacity", outcomes[200, False] / (capacity * seconds), ">=", 0.95),
        Row(case, "refusals with Retry-After, share", outcomes[503, True] / max(1, len(refusals)), ">=", 1),
        Row(case, "p95 of a refusal", share(refusals, 0.95) * 1000, unit="ms"),
        Row(case, "neither answered nor refused", sent - outcomes.total(), "<=", 0),
    ]


CASES: dict[str, Callable[[], Coroutine[None, None, list[Row]]]] = {
    "plain": plain,
    "streams": streams,
    "leaving": leaving,
    "slow": slow,
    "fairness": fairness,
    "overload": overload,
    "tracing": tracing,
}
