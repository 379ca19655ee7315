"""What a deferred batch costs beside a live one, and what a kill costs: nothing.

    python -m benchmarks.deferred [--items 100000] [--kills 100] [--formats openai,anthropic,gemini]

For each format: the outcomes, the processor time for an item and the highest memory of a deferred batch, and of the
same requests by `map` with a journal. Then a job that is killed at random moments until it has ended, and how many of
its requests were lost or paid for twice. The simulator runs in this process, the client in one of its own.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio

from asyncllm import AsyncLLM, Request
from asyncllm.batch.deferred import run as deferred_run
from asyncllm.simulator import Simulator

FORMATS = {
    "openai": "openai/gpt-4o-mini",
    "azure": "azure/gpt-4o-mini",
    "anthropic": "anthropic/claude-sonnet-4-5",
    "gemini": "gemini/gemini-2.5-flash",
    "mistral": "mistral/mistral-small-latest",
}
_PATHS = {"openai": "/v1", "mistral": "/v1", "gemini": "/v1beta"}
_POLL_S = 0.05
_KILLED_ITEMS = 200
# From the first request on; a job that is left alone takes about as long.
_LONGEST_LIFE_S = 0.5


def main() -> int:
    """Measure; 1 when anything was lost or paid for twice."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.deferred", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--formats", default=",".join(FORMATS), help="some of them, with commas")
    parser.add_argument("--work", nargs=4, metavar=("FORMAT", "MODE", "URL", "JOURNAL"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        print(json.dumps(anyio.run(_work, given.work, given.items)))
        return 0
    formats = given.formats.split(",")
    right = [_compare(format_, given.items) for format_ in formats if given.items]
    right += [_killed(format_, given.kills) for format_ in formats if given.kills]
    return 0 if all(right) else 1


def _compare(format_: str, items: int) -> bool:
    found: dict[str, dict[str, Any]] = {}
    for mode in ("live", "deferred"):
        with tempfile.TemporaryDirectory() as directory, Simulator(record=False) as simulator:
            journal = str(Path(directory) / "batch.journal")
            ran = subprocess.run(_command(format_, mode, simulator, journal, items), check=True, stdout=subprocess.PIPE)
            found[mode] = json.loads(ran.stdout.splitlines()[-1])
            once = mode == "live" or set(simulator.batches.billed.values()) == {1}
    live, deferred = found["live"], found["deferred"]
    right = once and deferred["answered"] == live["answered"] == items
    print(
        f"{format_:10} {items:,} items: {deferred['cpu_us']:.0f} us an item deferred, {live['cpu_us']:.0f} live "
        f"({deferred['cpu_us'] / live['cpu_us']:.2f} x); {deferred['memory_mb']:.0f} MB, {live['memory_mb']:.0f} live, "
        f"{deferred['start_mb']:.0f} before; {deferred['answered']:,} answered, "
        f"{'each once' if right else 'WRONG'}"
    )
    return right


def _killed(format_: str, kills: int) -> bool:
    draw = random.Random(format_)
    with tempfile.TemporaryDirectory() as directory, Simulator(record=False) as simulator:
        simulator.batches.takes_s = 0.2
        counts = {"lost": 0, "twice": 0}
        done = job = 0
        while done < kills:
            job += 1
            simulator.batches.billed.clear()
            journal = str(Path(directory) / f"{job}.journal")
            command = _command(format_, "deferred", simulator, journal, _KILLED_ITEMS)
            ended = False
            while done < kills and not ended:
                with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
                    assert process.stdout is not None
                    process.stdout.readline()
                    time.sleep(draw.uniform(0, _LONGEST_LIFE_S))
                    process.kill()
                    ended = bool(process.stdout.read())
                done += not ended
            if not ended:
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            counts["lost"] += _KILLED_ITEMS - len(simulator.batches.billed)
            counts["twice"] += sum(count > 1 for count in simulator.batches.billed.values())
    print(f"{format_:10} {kills} kills in {job} jobs: {counts['lost']} lost, {counts['twice']} paid for twice")
    return not any(counts.values())


def _command(format_: str, mode: str, simulator: Simulator, journal: str, items: int) -> list[str]:
    url = f"{simulator.root_url}{_PATHS.get(format_, '')}"
    work = [format_, mode, url, journal]
    return [sys.executable, "-m", "benchmarks.deferred", "--items", str(items), "--work", *work]


async def _work(work: tuple[str, str, str, str], items: int) -> dict[str, float]:
    format_, mode, url, journal = work
    deferred_run.SETTLE_S = 0.3
    options: dict[str, Any] = {"journal": journal}
    if mode == "deferred":
        options |= {"deferred": True, "poll_s": _POLL_S}
    async with AsyncLLM(model=FORMATS[format_], base_url=url, api_key="benchmark") as llm:
        await llm.warm_up()
        print("begins", flush=True)
        before, answered = _used(), 0
        async with llm.map(_requests(items), ordered=True, **options) as outcomes:
            async for outcome in outcomes:
                assert outcome.index == answered, "in order"
                answered += outcome.ok
        after = _used()
    return {
        "answered": answered,
        "cpu_us": (after[0] - before[0]) / items * 1e6,
        "memory_mb": after[1],
        "start_mb": before[1],
    }


def _requests(items: int) -> Iterator[Request]:
    for n in range(items):
        yield Request(f"Name a river in country {n}.", id=f"q-{n}")


def _used() -> tuple[float, float]:
    """Return the processor time in seconds, and the highest memory in MB."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    # Linux counts the memory of the process that started this one in ru_maxrss.
    status = Path("/proc/self/status")
    peak_kb = int(status.read_text().partition("VmHWM:")[2].split()[0]) if status.exists() else usage.ru_maxrss
    return usage.ru_utime + usage.ru_stime, peak_kb / 1024


if __name__ == "__main__":
    sys.exit(main())
