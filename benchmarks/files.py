"""`asyncllm batch` on files: a million rows, kills at any moment, and the job of another tool.

    python -m benchmarks.files [million] [kills] [cookbook] [--rows N] [--kills N] [--seed N]

`million` runs a file through `asyncllm batch` on the wire transport against the simulator, and compares its rate with
that of the client's own `map`, with the journal and without, in processes of their own. `kills` kills the command with
SIGKILL at random moments, for each kind of file, and reads the results. `cookbook` gives one file of requests to the
command and to a script as the OpenAI cookbook describes one. The exit code is 1 when a figure is outside of its bound.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TEMPLATE = "Summarise: {text}"
# Short answers: what is measured is not how quickly the simulator makes up words.
_SHORT = 'extra_body={"simulator": {"answer_tokens": 8}}'
# For each peer of the command: enough for a rate, and no third and fourth run of an hour.
_PEERS_ROWS = 20_000
# What the command may grow by between a tenth of its way and its end. A leak of 100 bytes a row would be 100 MB.
_MOST_GROWTH_MB = 40.0
_LEAST_SHARE = 0.8

_MAP = """
import sys, time, anyio
from asyncllm import AsyncLLM, Request
url, rows, journal = sys.argv[1], int(sys.argv[2]), sys.argv[3] or None
def requests():
    for n in range(rows):
        yield Request(f"Summarise: row {n} of a file that is long", id=f"r{n}")
async def main():
    async with AsyncLLM(model="openai/gpt-4o", base_url=url, api_key="any",
                        extra_body={"simulator": {"answer_tokens": 8}}) as llm:
        await llm.warm_up()
        began = time.perf_counter()
        async with llm.map(requests(), journal=journal) as outcomes:
            async for outcome in outcomes:
                assert outcome.ok, outcome.error
        print(rows / (time.perf_counter() - began))
anyio.run(main)
"""

failed = False


def main() -> int:
    """Run the cases that are named, or all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("cases", nargs="*", choices=[[], "million", "kills", "cookbook"], default=[])
    parser.add_argument("--rows", type=int, help="rows of the file, instead of a million; or 2,000 for kills")
    parser.add_argument("--kills", type=int, default=20, help="kills of each kind of file")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    given = parser.parse_args()
    for case in given.cases or ("million", "kills", "cookbook"):
        with tempfile.TemporaryDirectory(prefix="asyncllm-files-") as folder:
            if case == "million":
                million(Path(folder), given.rows or 1_000_000)
            elif case == "kills":
                kills(Path(folder), given.rows or 2_000, given.kills, random.Random(given.seed))
            else:
                from .cookbook import compare

                compare(Path(folder), report)
    return int(failed)


def report(name: str, figure: str, *, ok: bool = True) -> None:
    """Print one figure, and remember whether it is within its bound."""
    global failed
    failed = failed or not ok
    print(f"{'ok    ' if ok else 'FAILED'}  {name}: {figure}", flush=True)


@contextmanager
def simulator(*options: str) -> Iterator[str]:
    """Run a simulator in a process of its own, and yield its address."""
    command = [sys.executable, "-m", "asyncllm", "simulate", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def batch(source: str, output: str, url: str, *options: str) -> list[str]:
    """Return the command for one run."""
    asked = ["--model", "openai/gpt-4o", "--set", f"base_url={url}", "--set", "api_key=any", "--set", _SHORT]
    return [sys.executable, "-m", "asyncllm", "batch", source, "-o", output, "-t", _TEMPLATE, *asked, *options]


def write_rows(path: Path, rows: int) -> None:
    """Write a file of rows with ids."""
    with path.open("w") as file:
        for number in range(rows):
            file.write(json.dumps({"id": f"r{number}", "text": f"row {number} of a file that is long"}) + "\n")


@dataclass
class Watched:
    """The figures of a process.

    Attributes:
        seconds: From its start to its end.
        cpu_s: Its CPU time, which a busy machine changes less.
        memory_mb: Its resident memory, once a second.
    """

    seconds: float = 0.0
    cpu_s: float = 0.0
    memory_mb: list[float] = field(default_factory=list)


def watch(command: list[str], folder: Path) -> Watched:
    """Run a process to its end, and sample its memory every second."""
    watched = Watched()
    began, cpu_s = time.perf_counter(), _cpu_of_children_s()
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while process.poll() is None:
            try:
                pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
                watched.memory_mb.append(pages * _PAGE_BYTES / 1e6)
            except (OSError, IndexError):
                break
            time.sleep(1.0)
        told = process.stderr.read()
    watched.seconds, watched.cpu_s = time.perf_counter() - began, _cpu_of_children_s() - cpu_s
    if process.returncode:
        raise RuntimeError(told)
    print(f"        {told.splitlines()[-1]}", flush=True)
    return watched


def million(folder: Path, rows: int) -> None:
    """Measure the command on a long file, and its peers on a part of it."""
    with simulator() as url:
        few = min(rows, _PEERS_ROWS)
        bare, bare_ms = _own_rate(url, few, "")
        before, kept_ms = _own_rate(url, few, str(folder / "before.journal"))
        write_rows(folder / "rows.jsonl", rows)
        watched = watch(batch("rows.jsonl", "out.jsonl", url), folder)
        # Before and after, because a machine is not equally quick from one minute to the next.
        kept = (before + _own_rate(url, few, str(folder / "after.journal"))[0]) / 2
    report("map of the client, without a journal", f"{bare:,.0f} rows/s, {bare_ms:.2f} ms of CPU a row, {few:,} rows")
    report("map of the client, with a journal", f"{kept:,.0f} rows/s, {kept_ms:.2f} ms of CPU a row, {few:,} rows")
    rate, ms = rows / watched.seconds, watched.cpu_s / rows * 1000
    report(
        "the command, from its start to the last byte of its results",
        f"{rate:,.0f} rows/s, {ms:.2f} ms of CPU a row, {rows:,} rows; {rate / kept:.2f} of the rate of map with a "
        f"journal, {rate / bare:.2f} without",
        ok=rate >= _LEAST_SHARE * kept,
    )
    memory = watched.memory_mb
    early, most = memory[len(memory) // 10], max(memory)
    report(
        "memory",
        f"{early:.0f} MB after a tenth of the time, {most:.0f} MB at most",
        ok=most - early <= _MOST_GROWTH_MB,
    )
    wrong = sum(line != f"r{number}" for number, line in enumerate(_ids(folder / "out.jsonl")))
    report("rows out of order", f"{wrong:,} of {rows:,}", ok=not wrong)


def _own_rate(url: str, rows: int, journal: str) -> tuple[float, float]:
    """Return the rows a second of `map`, and the milliseconds of CPU that a row takes, its process and all."""
    command = [sys.executable, "-c", _MAP, url, str(rows), journal]
    cpu_s = _cpu_of_children_s()
    rate = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return rate, (_cpu_of_children_s() - cpu_s) / rows * 1000


def _cpu_of_children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def kills(folder: Path, rows: int, count: int, chance: random.Random) -> None:
    """Kill the command at random moments, for each kind of file, and read what there is afterwards."""
    for kind in ("jsonl", "csv", "parquet"):
        with simulator("--latency", "first_token_s=0.1,spread=0.5") as url:
            expected = [f"r{number}" for number in range(rows)]
            work = folder / kind
            work.mkdir()
            write_rows(work / "rows.jsonl", rows)
            # Half of these answers are there when the first kills come, and the last ones hit the end of runs, where
            # the results are written.
            command = batch("rows.jsonl", f"out.{kind}", url, "--max-concurrency", "50")
            whole_s = watch(batch("rows.jsonl", f"whole.{kind}", url, "--max-concurrency", "50"), work).seconds
            torn = killed = 0
            while killed < count:
                killed += _killed(command, work, chance.uniform(0.2, whole_s / 2))
                torn += not _is_consistent(work / f"out.{kind}")
            watch(command, work)
            found = _ids(work / f"out.{kind}")
            kept = "kept" if found == expected else "lost"
        left = [path.name for path in work.iterdir() if "partial" in path.name]
        report(
            f"{kind} killed {killed} times",
            f"{len(found):,} rows, {len(found) - len(set(found))} twice, {len(set(expected) - set(found))} missing, "
            f"order {kept}; {torn} times a torn file; left behind {left or 'nothing'}",
            ok=found == expected and not torn and not left,
        )


def _killed(command: list[str], folder: Path, after_s: float) -> bool:
    """Run the command, kill it after some time, and return whether it was still running."""
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL) as process:
        try:
            process.wait(after_s)
        except subprocess.TimeoutExpired:
            process.kill()
            return True
    return False


def _is_consistent(path: Path) -> bool:
    """Return whether a file of results does not exist, or is whole, in order, and has no row twice."""
    if not path.exists():
        return True
    try:
        numbers = [int(name[1:]) for name in _ids(path)]
    except (ValueError, KeyError, OSError):
        return False
    return numbers == sorted(set(numbers))


def _ids(path: Path) -> list[str]:
    """Return the ids in a file of results, each with an answer."""
    rows: list[dict[str, Any]]
    if path.suffix == ".parquet":
        import pyarrow.parquet

        table = pyarrow.parquet.read_table(path, columns=["id", "ok"])
        rows = table.to_pylist()
    elif path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            rows = [{"id": row["id"], "ok": row["ok"] == "true"} for row in csv.DictReader(file)]
    else:
        with path.open(encoding="utf-8") as file:
            rows = [{name: row[name] for name in ("id", "ok")} for row in map(json.loads, file)]
    if not all(row["ok"] for row in rows):
        raise ValueError(f"{path} has rows without an answer")
    return [row["id"] for row in rows]


if __name__ == "__main__":
    sys.exit(main())
