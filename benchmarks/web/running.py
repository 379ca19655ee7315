"""The processes of a case: a simulator, an application, and the clients in this one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import aiohttp

ROOT = Path(__file__).parents[2]


@contextmanager
def application(peer: str, provider: str, **options: Any) -> Iterator[str]:
    """Serve an application over a peer; yield its address."""
    command = [sys.executable, "-m", "benchmarks.web.server", peer, provider, json.dumps(options)]
    environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}  # or it asks for prices on the internet
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        if not port:
            raise RuntimeError(f"the application over {peer} did not start")
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.stdin.close()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def session(**options: Any) -> aiohttp.ClientSession:
    """Return a client with any number of connections."""
    timeout = aiohttp.ClientTimeout(total=None)
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout, **options)


async def state(client: aiohttp.ClientSession, url: str) -> dict[str, float]:
    """Return what an application holds, and has used."""
    async with client.get(f"{url}/state") as answer:
        return cast(dict[str, float], await answer.json())


def share(values: list[float], quantile: float) -> float:
    """Return the value that such a share of all does not exceed."""
    return sorted(values)[min(len(values) - 1, int(quantile * len(values)))]


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return time.perf_counter() - self._started
