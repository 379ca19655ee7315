"""Growth of memory and of the number of classes over many typed calls, through the whole pipeline.

    python benchmarks/typed_memory.py [--calls 10000]

One run asks for the same model, another for 200 generated ones in turn; the simulator runs in a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, create_model

from asyncllm import AsyncLLM

GENERATED = 200
CONCURRENCY = 20
MOST_GROWTH_MB = 5.0
_SERVER = """
import sys
from asyncllm.simulator import Simulator
with Simulator(record=False) as simulator:
    print(simulator.url, flush=True)
    sys.stdin.read()
"""


def resident_mb() -> float:
    """Return the resident memory of this process in MB."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def classes() -> int:
    """Count the classes that are alive."""
    gc.collect()
    return sum(issubclass(type(thing), type) for thing in gc.get_objects())


async def run(llm: AsyncLLM, models: Sequence[type[BaseModel]], calls: int) -> None:
    """Ask for the models in turn."""
    numbers = iter(range(calls))

    async def work() -> None:
        for number in numbers:
            await llm.extract(models[number % len(models)], "I am Jane Miller, jane@example.com, 41 years old")

    await asyncio.gather(*(work() for _ in range(CONCURRENCY)))


async def measure(url: str, calls: int) -> bool:
    """Run both scenarios and print their growth; return whether both stayed within the bound."""
    models = [
        create_model(f"Model{number}", name=(str, ...), email=(str, ...), age=(int, number))
        for number in range(GENERATED)
    ]
    fine = True
    async with AsyncLLM(model="openai/gpt-4o-mini", base_url=url, api_key="simulated", transport="wire") as llm:
        for name, wanted in (("the same model", models[:1]), (f"{GENERATED} generated models", models)):
            await run(llm, wanted, max(1000, 5 * GENERATED))
            memory, count = resident_mb(), classes()
            await run(llm, wanted, calls)
            grown, made = resident_mb() - memory, classes() - count
            fine = fine and grown < MOST_GROWTH_MB and not made
            print(f"{name:24}{calls:8,} calls: {grown:+6.2f} MB (< {MOST_GROWTH_MB:g}), {made:+d} classes (0)")
    return fine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=10_000)
    options = parser.parse_args()
    with subprocess.Popen([sys.executable, "-c", _SERVER], stdin=-1, stdout=-1, text=True) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        try:
            fine = asyncio.run(measure(server.stdout.readline().strip(), options.calls))
        finally:
            server.stdin.close()
    sys.exit(not fine)


if __name__ == "__main__":
    main()
