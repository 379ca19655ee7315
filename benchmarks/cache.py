"""What the cache of answers and the log of calls cost, and what a kill costs them.

    python -m benchmarks.cache [--calls 300] [--rounds 9] [--mixed 10000]

Prints processor time as ratios of plain calls, measured in turns in one process; the requests of 200 equal calls, and
of those of four processes over Redis, where there is one; what four processes on one file find while they are killed at
random; and the calls that a killed process leaves out of its log. The simulator runs in this process, the clients in
others. Exit code 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio

from asyncllm import AsyncLLM
from asyncllm.call_log.database import CallDatabase, Selection
from asyncllm.simulator import Latency, Simulator

_PROMPTS = 400
_PROCESSES = 4
_LOG_KILLS = 5
_LOGGED_CALLS = 10_000

Row = tuple[str, str, str, bool]


def main() -> int:
    """Measure; 1 when a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cache", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calls", type=int, default=300, help="calls in each turn")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--mixed", type=int, default=10_000, help="calls of the processes that are killed")
    parser.add_argument("--work", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        kind, *arguments = given.work
        anyio.run(_WORK[kind], *arguments)
        return 0
    missed = 0
    for what, found, target, is_met in _rows(given.calls, given.rounds, given.mixed):
        print(f"{what:<58}{found:>24}   {target:<12}{'' if is_met else 'MISSED'}", flush=True)
        missed += not is_met
    return 1 if missed else 0


def _rows(calls: int, rounds: int, mixed: int) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name, Simulator() as simulator:
        folder = Path(name)
        yield from _costs(simulator, folder, calls, rounds)
        yield _equal_calls(folder)
        if (binary := shutil.which("redis-server")) is not None:
            yield from _over_redis(binary, folder)
        yield from _killed_processes(simulator, folder, mixed)
        yield _killed_logs(simulator, folder)


def _costs(simulator: Simulator, folder: Path, calls: int, rounds: int) -> Iterator[Row]:
    worker = _start("costs", simulator.url, str(folder), str(calls), str(rounds))
    out, _ = worker.communicate()
    found: dict[str, list[float]] = json.loads(out)
    # The best turn of each: what else runs on the machine only ever adds to a turn.
    us = {mode: min(times) * 1e6 for mode, times in found.items()}
    for what, mode, target in (
        ("CPU of a cached call / of a plain one", "hit", 0.8),
        ("CPU of a call that misses / of one without a cache", "miss", 1.6),
        ("CPU of a call with the log on / off", "log", 1.4),
        # Their index of words costs as much again; it is there for those who ask for it.
        ("CPU of a call with the log and prompts on / off", "log_prompts", None),
    ):
        value = us[mode] / us["plain"]
        shown = f"{value:.2f} ({us[mode]:.0f} / {us['plain']:.0f} us)"
        yield what, shown, "" if target is None else f"<= {target}", target is None or value <= target


async def _measure_costs(url: str, folder: str, calls: str, rounds: str) -> None:
    files = {"cache": f"{folder}/costs.sqlite", "call_log": f"{folder}/calls.sqlite"}
    modes: dict[str, dict[str, Any]] = {
        "plain": {},
        "hit": {"cache": files["cache"]},
        "miss": {"cache": files["cache"]},
        "log": {"call_log": files["call_log"]},
        "log_prompts": {"call_log": files["call_log"], "log_prompts": True},
    }
    found: dict[str, list[float]] = {mode: [] for mode in modes}
    for number in range(int(rounds) + 1):
        for mode, options in modes.items():
            name = "kept" if mode == "hit" else f"{mode} {number}"
            seconds = await _turn(_client(url, **options), name, int(calls))
            if number:  # the first warms up, and fills the cache
                found[mode].append(seconds)
    print(json.dumps(found))


async def _turn(llm: AsyncLLM, name: str, calls: int) -> float:
    """Return the processor time of a call, the writing of what is left included."""
    async with llm:
        await llm.acompletion("Warm up.", cache=False)
        began = time.process_time()
        for number in range(calls):
            await llm.acompletion(f"Question {number} of {name}.")
    return (time.process_time() - began) / calls


def _equal_calls(folder: Path) -> Row:
    with Simulator(latency=Latency(first_token_s=0.2)) as simulator:
        anyio.run(_ask_at_once, simulator.url, str(folder / "equal.sqlite"))
        requests = simulator.seen.requests
    return "200 tasks ask the same at once", f"{requests} request", "1", requests == 1


async def _ask_at_once(url: str, cache: str, tasks: str = "200") -> None:
    async with _client(url, cache=cache) as llm, anyio.create_task_group() as group:
        for _ in range(int(tasks)):
            group.start_soon(llm.acompletion, "The same.")


def _over_redis(binary: str, folder: Path) -> Iterator[Row]:
    path = folder / "redis.sock"
    server = subprocess.Popen(
        [binary, "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
    )
    cache = f"unix://{path}"
    try:
        while not path.exists():
            time.sleep(0.01)
        with Simulator(latency=Latency(first_token_s=1.0)) as simulator:
            workers = [_start("at_once", simulator.url, cache, "50") for _ in range(_PROCESSES)]
            for worker in workers:
                worker.communicate()
            requests = simulator.seen.requests
            out, _ = _start("hits", simulator.url, cache).communicate()
        what = f"{_PROCESSES} processes with 50 tasks each ask the same over Redis"
        yield what, f"{requests} request", "1", requests == 1
        cpu_us, elapsed_us = json.loads(out)
        yield "an answer from Redis, processor time and time", f"{cpu_us:.0f}, {elapsed_us:.0f} us", "", True
    finally:
        server.terminate()
        server.wait()


async def _measure_hits(url: str, cache: str) -> None:
    async with _client(url, cache=cache) as llm:
        cpu, began, calls = time.process_time(), time.perf_counter(), 1_000
        for _ in range(calls):
            await llm.acompletion("The same.", cache="only")
        print(json.dumps([(time.process_time() - cpu) / calls * 1e6, (time.perf_counter() - began) / calls * 1e6]))


def _killed_processes(simulator: Simulator, folder: Path, mixed: int) -> Iterator[Row]:
    file = folder / "shared.sqlite"
    totals = {"calls": 0, "kills": 0, "wrong": 0}
    lock = threading.Lock()

    def run(seed: int) -> None:
        """Run a process until its calls are made, and start it again whenever it has been killed."""
        chance, left = random.Random(seed), mixed // _PROCESSES
        while left > 0:
            worker = _start("mixed", simulator.url, str(file), str(left), str(chance.random()))
            assert worker.stdout is not None
            dies_after = chance.randrange(100, 800)
            lines = _lines_until_death(worker, dies_after)
            with lock:
                totals["calls"] += len(lines)
                totals["wrong"] += sum(line != "right" for line in lines)
                totals["kills"] += worker.returncode != 0
            left -= len(lines)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(_PROCESSES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with closing(sqlite3.connect(file)) as connection:
        whole = connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        kept = [row[0] for row in connection.execute("SELECT answer FROM answers")]
    damaged = sum("Simulated answer to" not in json.loads(one)["choices"][0]["message"]["content"] for one in kept)
    shown = f"{totals['calls']:,} mixed calls of {_PROCESSES} processes, {totals['kills']} kills"
    yield f"{shown}: wrong answers", f"{totals['wrong']}", "0", totals["wrong"] == 0 and totals["kills"] > 0
    yield f"the file, with {len(kept)} answers: damaged", f"{damaged + (not whole)}", "0", whole and not damaged


def _lines_until_death(worker: subprocess.Popen[str], dies_after: int) -> list[str]:
    assert worker.stdout is not None
    lines: list[str] = []
    for line in worker.stdout:
        if line.endswith("\n"):
            lines.append(line.strip())
        if len(lines) == dies_after:
            worker.kill()
    worker.stdout.close()
    worker.wait()
    return lines


async def _mixed_calls(url: str, file: str, calls: str, seed: str) -> None:
    """Make plain calls, streams and refreshed calls, and say of each answer whether it is that of its question."""
    chance = random.Random(seed)
    async with _client(url, cache=file) as llm:
        for _ in range(int(calls)):
            prompt, kind = f"Question {chance.randrange(_PROMPTS)}, please.", chance.random()
            if kind < 0.3:
                completion = await llm.stream(prompt).collect()
            else:
                completion = await llm.acompletion(prompt, cache="refresh" if kind > 0.95 else True)
            print("right" if prompt in completion.text else "wrong", flush=True)


def _killed_logs(simulator: Simulator, folder: Path) -> Row:
    chance, worst_s, lost_calls = random.Random(1), 0.0, 0
    for number in range(_LOG_KILLS):
        file = folder / f"killed-{number}.sqlite"
        worker = _start("logged", simulator.url, str(file))
        times = [float(line) for line in _lines_until_death(worker, chance.randrange(2_000, 6_000))]
        with closing(CallDatabase(file)) as log:
            kept = sum(1 for _ in log.calls(Selection()))
        lost = times[kept:]
        lost_calls += len(lost)
        worst_s = max(worst_s, lost[-1] - lost[0] if lost else 0.0)
    what = f"kill -9 in {_LOG_KILLS} runs with a log: {lost_calls:,} calls lost, at most of the last"
    return what, f"{worst_s:.2f} s", "<= 1 s", worst_s <= 1.0


async def _logged_calls(url: str, file: str) -> None:
    async with _client(url, call_log=file) as llm:
        for number in range(_LOGGED_CALLS):
            await llm.acompletion(f"Question {number}.")
            print(time.time(), flush=True)


def _client(url: str, **options: Any) -> AsyncLLM:
    return AsyncLLM(model="openai/gpt-4o-mini", base_url=url, api_key="any", **options)


def _start(*work: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.cache", "--work", *work]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


_WORK: dict[str, Callable[..., Any]] = {
    "costs": _measure_costs,
    "at_once": _ask_at_once,
    "hits": _measure_hits,
    "mixed": _mixed_calls,
    "logged": _logged_calls,
}


if __name__ == "__main__":
    sys.exit(main())
