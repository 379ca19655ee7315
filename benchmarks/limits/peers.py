"""Peers at the same provider: litellm's Router, and openai's SDK behind a semaphore."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import anyio

from asyncllm import AsyncLLM
from benchmarks.environments import ROOT, clean_env, install, python_of

from .provider import KEY, LimitedProvider
from .rows import Row

ITEMS, PER_S, CONCURRENCY = 1000, 50, 100
_PROGRAMS = {"litellm Router": ("litellm", "router"), "openai SDK, semaphore": ("openai", "semaphore")}


async def peers() -> list[Row]:
    """Send a thousand items to a provider of 50 requests a second, each as its documentation shows it."""
    rows = []
    for algorithm in ("token_bucket", "fixed_window"):
        with _provider(algorithm) as provider:
            started = time.monotonic()
            async with AsyncLLM(**provider.options(max_concurrency=CONCURRENCY)) as llm:
                outcomes = await llm.gather(["item"] * ITEMS)
            ours = sum(outcome.ok for outcome in outcomes)
            rows += _rows(f"asyncllm, {algorithm}", provider, ours, time.monotonic() - started)
        for name, (environment, program) in _PROGRAMS.items():
            await anyio.to_thread.run_sync(install, environment)
            with _provider(algorithm) as provider:
                command = (python_of(environment), "-m", f"benchmarks.limits.{program}")
                given = (provider.url, KEY, str(ITEMS), str(CONCURRENCY))
                done = await anyio.to_thread.run_sync(_run, (*command, *given), ROOT)
                rows += _rows(f"{name}, {algorithm}", provider, done["answered"], done["seconds"])
    return rows


def _provider(algorithm: str) -> LimitedProvider:
    return LimitedProvider({"per_second": PER_S, "algorithm": algorithm}, latency={"first_token_s": 0.2, "spread": 0.3})


def _run(command: Sequence[str], directory: Path) -> dict[str, float]:
    done = subprocess.run(command, cwd=directory, env=clean_env(), check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _rows(case: str, provider: LimitedProvider, answered: float, seconds: float) -> list[Row]:
    seen = provider.seen()
    return [
        Row(case, "lost, of 1,000", ITEMS - answered),
        Row(case, "429s, of all requests", 100 * seen.refused_share, unit=" %"),
        Row(case, "seconds (ideal 20)", seconds, unit=" s"),
    ]
