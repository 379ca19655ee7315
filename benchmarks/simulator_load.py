"""The rate at which one simulator answers, so that no other benchmark measures the simulator by mistake.

    python benchmarks/simulator_load.py [--seconds 3]

The simulator runs in a process of its own, as with `asyncllm simulate`; lean aiohttp clients load it from this one.
The peer of the ratio is an aiohttp server that answers as many bytes without reading the request. On a busy machine the
CPU time of an answer is more telling than the rate.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

import aiohttp

CLIENT_TASKS = 32
WARM_UP_S = 0.5
# The rate that other benchmarks need to measure a client rather than the simulator.
REQUIRED_PER_S = 3000

_BARE_SERVER = """
import asyncio, sys
from aiohttp import web
BODY = b"x" * 700
async def handle(request):
    await request.read()
    return web.Response(body=BODY, content_type="application/json")
async def main():
    server = await asyncio.get_running_loop().create_server(web.Server(handle, access_log=None), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
_SIMULATOR = """
from asyncllm.simulator import Simulator
from asyncllm.simulator.server.foreground import serve
serve(Simulator(record=False), lambda simulator: print(simulator.url, flush=True))
"""
_REQUEST = {"model": "asyncllm-simulator", "messages": [{"role": "user", "content": "How many a second?"}]}


class Measured(NamedTuple):
    """One server under load; the CPU time includes its start."""

    per_s: float
    size: float
    cpu_us: float


def measure(arguments: Sequence[str], body: bytes, seconds: float) -> Measured:
    """Measure a server in another process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            answers, size = asyncio.run(load(url, body, seconds))
        finally:
            process.terminate()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Measured(answers / seconds, size / answers, cpu_s / (answers * (seconds + WARM_UP_S) / seconds) * 1e6)


async def load(url: str, body: bytes, seconds: float) -> tuple[int, int]:
    """Send requests for `seconds` after a warm-up; return the number of answers and their bytes."""
    answers = size = 0
    started = time.perf_counter() + WARM_UP_S
    end = started + seconds

    async def client(session: aiohttp.ClientSession) -> None:
        nonlocal answers, size
        while (now := time.perf_counter()) < end:
            async with session.post(f"{url}/chat/completions", data=body) as response:
                content = await response.read()
                if response.status != 200:
                    raise RuntimeError(f"status {response.status}: {content[:200]!r}")
            if now >= started:
                answers += 1
                size += len(content)

    connector = aiohttp.TCPConnector(limit=CLIENT_TASKS)
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session, asyncio.TaskGroup() as group:
        for _ in range(CLIENT_TASKS):
            group.create_task(client(session))
    return answers, size


def main() -> int:
    """Measure and print; return 1 when the simulator is too slow."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each measurement takes")
    seconds = parser.parse_args().seconds
    plain = json.dumps(_REQUEST).encode()
    stream = json.dumps({**_REQUEST, "stream": True, "simulator": {"answer_tokens": 100}}).encode()
    simulator = ("-c", _SIMULATOR)
    bare = measure(("-c", _BARE_SERVER), plain, seconds)
    rows = {
        "bare aiohttp server": bare,
        "simulator, plain": measure(simulator, plain, seconds),
        "simulator, stream of 100 tokens": measure(simulator, stream, seconds),
    }
    for name, row in rows.items():
        print(
            f"{name:32}{row.per_s:8,.0f} answers/s {row.size:8,.0f} bytes {row.cpu_us:6.0f} us of CPU each"
            f"  {row.cpu_us / bare.cpu_us:5.2f} x bare"
        )
    plain_rate = rows["simulator, plain"].per_s
    if plain_rate < REQUIRED_PER_S:
        print(
            f"fewer than {REQUIRED_PER_S:,} plain answers a second: the simulator would be a bottleneck",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
