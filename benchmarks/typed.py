"""CPU of a typed call, against instructor over litellm and asyncllm's own plain call; and of typed streams.

    python -m benchmarks.typed [--rounds 5] [--json FILE]

The provider (`benchmarks.replay`) runs in a process of its own; figures are CPU time of this one, the median of
interleaved rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
os.environ.setdefault("LITELLM_MODE", "PRODUCTION")

from pydantic import BaseModel, create_model

from asyncllm import AsyncLLM
from asyncllm.transports.litellm.importing import import_litellm

CONCURRENCY = 20
TEXT = "I am Jane Miller, jane@example.com"
# Beyond a median's noise on a machine that others use as well; the targets themselves are printed beside the figures.
TARGETS = {
    "two fields: instructor over litellm / asyncllm": (">=", 25.0),
    "forty fields: instructor over litellm / asyncllm": (">=", 15.0),
    "two fields: asyncllm / its own plain call": ("<=", 1.4),
    "stream_partial: 40 KB / 10 KB": ("<=", 5.0),
    "40 KB: stream_partial / create_partial": ("<=", 0.1),
}


class Person(BaseModel):
    """Two fields."""

    name: str
    email: str


class Address(BaseModel):
    """A nested model."""

    street: str
    city: str
    country: Literal["de", "fr", "us"]
    numbers: list[int]


_FIELDS: dict[str, Any] = {
    **{f"text_{n}": (str, ...) for n in range(15)},
    **{f"count_{n}": (int, ...) for n in range(10)},
    **{f"ratio_{n}": (float | None, None) for n in range(5)},
    **{f"address_{n}": (Address, ...) for n in range(5)},
    **{f"addresses_{n}": (list[Address], ...) for n in range(5)},
}
Forty: type[BaseModel] = create_model("Forty", **_FIELDS)


class Report(BaseModel):
    """The type of the streams."""

    title: str
    lines: list[Address]
    body: str


def report(size: int) -> str:
    """Make an answer of a size in characters: half a list of objects, half a string."""
    line = {"street": "Long Street 1", "city": "Berlin", "country": "de", "numbers": [1, 22, 333]}
    lines = [line] * (size // 2 // len(json.dumps(line)))
    return json.dumps({"title": "A report", "lines": lines, "body": "All is well. " * (size // 26)})


async def cpu_us(call: Callable[[], Awaitable[Any]], count: int, concurrency: int = CONCURRENCY) -> float:
    """Run a call many times and return the CPU time of one, in microseconds."""
    left = iter(range(count))

    async def work() -> None:
        for _ in left:
            await call()

    gc.collect()
    began = time.process_time()
    await asyncio.gather(*(work() for _ in range(min(concurrency, count))))
    return (time.process_time() - began) / count * 1e6


async def medians(calls: dict[str, tuple[Callable[[], Awaitable[Any]], int]], rounds: int) -> dict[str, list[float]]:
    """Measure calls in interleaved rounds, after a warm-up."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for round_ in range(rounds + 1):
        for name, (call, count) in calls.items():
            figure = await cpu_us(call, count if round_ else max(1, count // 10))
            if round_:
                taken[name].append(figure)
    return taken


async def measure(url: str, streams_url: str, rounds: int) -> dict[str, list[float]]:
    """Measure every scenario.

    Args:
        url: The provider of whole answers.
        streams_url: The provider of streams.
        rounds: How often each scenario is measured.
    """
    import instructor

    litellm: Any = import_litellm()
    key = "simulated"
    messages: Any = [{"role": "user", "content": TEXT}]
    theirs: Any = instructor.from_litellm(litellm.acompletion, mode=instructor.Mode.TOOLS)
    common = {"model": "openai/gpt-4o-mini", "api_base": url, "api_key": key, "_skip_mcp_handler": True}
    options: Any = {"model": "openai/gpt-4o-mini", "api_key": key, "structured_mode": "tools", "transport": "wire"}
    async with AsyncLLM(base_url=url, **options) as llm, AsyncLLM(base_url=streams_url, **options) as streaming:

        async def streamed(size: int) -> None:
            script = {"simulator": {"text": report(size), "chunk_chars": 4}}
            async with streaming.stream_partial(Report, TEXT, structured_mode="json", extra_body=script) as stream:
                async for _ in stream:
                    pass
                await stream.final()

        async def theirs_streamed(size: int) -> None:
            # With the same wire underneath, so that what is compared is the reading of the answer.
            script = {"simulator": {"text": report(size), "chunk_chars": 4}}
            client = streaming.with_options(structured_mode="json").instructor()
            async for _ in client.create_partial(messages=messages, response_model=Report, extra_body=script):
                pass

        small = {
            "plain call": (lambda: llm.acompletion(TEXT), 600),
            "two fields": (lambda: llm.extract(Person, TEXT), 600),
            "two fields, json_schema": (lambda: llm.extract(Person, TEXT, structured_mode="json_schema"), 600),
            "forty fields": (lambda: llm.extract(Forty, TEXT), 300),
            "two fields, instructor": (
                lambda: theirs.create(messages=messages, response_model=Person, **common),
                60,
            ),
            "forty fields, instructor": (
                lambda: theirs.create(messages=messages, response_model=Forty, **common),
                30,
            ),
            "stream_partial, 10 KB": (lambda: streamed(10_000), 4),
            "stream_partial, 40 KB": (lambda: streamed(40_000), 2),
        }
        taken = await medians(small, rounds)
        taken["create_partial, 40 KB"] = [await cpu_us(lambda: theirs_streamed(40_000), 1)]
    return taken


def ratios(taken: dict[str, list[float]]) -> dict[str, float]:
    """Return the ratios of the medians."""
    us = {name: statistics.median(figures) for name, figures in taken.items()}
    found = (
        us["two fields, instructor"] / us["two fields"],
        us["forty fields, instructor"] / us["forty fields"],
        us["two fields"] / us["plain call"],
        us["stream_partial, 40 KB"] / us["stream_partial, 10 KB"],
        us["stream_partial, 40 KB"] / us["create_partial, 40 KB"],
    )
    return dict(zip(TARGETS, found, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    with subprocess.Popen([sys.executable, "-m", "benchmarks.replay"], stdin=-1, stdout=-1, text=True) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        try:
            url, streams_url = server.stdout.readline().split()
            taken = asyncio.run(measure(url, streams_url, options.rounds))
        finally:
            server.stdin.close()
    for name, figures in taken.items():
        print(f"{name:28}{statistics.median(figures):12,.0f} us  ({min(figures):,.0f} to {max(figures):,.0f})")
    print()
    for name, value in ratios(taken).items():
        sign, target = TARGETS[name]
        met = value >= target if sign == ">=" else value <= target
        print(f"{name:52}{value:8.2f}  {sign} {target:g}  {'met' if met else 'NOT met'}")
    if options.json is not None:
        options.json.write_text(json.dumps({"us": taken, "ratios": ratios(taken)}, indent=2))


if __name__ == "__main__":
    main()
