"""Batches over the workers of Ray, on this machine.

    python -m benchmarks.distributed speed|overhead|kills|limits [--rows N]

`speed`: rows a second at 100 ms beside the HTTP stage of `ray.data.llm`. `overhead`: one worker beside `asyncllm
batch`.
`kills`: a job whose workers are killed twice and whose driver is killed once; which rows are lost, doubled, or sent
again; the memory of driver and workers. `limits`: four workers under a limit of 100 requests a second. A pace is that
between the first request and the end of the last answer, so that the start of Ray counts for nobody.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from asyncllm.simulator import Latency, Simulator
from asyncllm.simulator.server.rate_limits import Limit
from tests.support.ray_processes import worker_pids

_MODEL = "openai/gpt-4o-mini"
_KEY = "ASYNCLLM_BENCHMARK_KEY"
_TEMPLATE = "Say {text}"
_IN_FLIGHT = 200
_LATENCY_S = 0.1


def main() -> int:
    """Run a case; 1 when its figure is missed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.distributed", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("case", choices=sorted(_CASES))
    parser.add_argument("--rows", type=int)
    given = parser.parse_args()
    os.environ.update({_KEY: "sk-benchmark", "RAY_USAGE_STATS_ENABLED": "0", "RAY_DATA_LOG_LEVEL": "CRITICAL"})
    case, rows = _CASES[given.case]
    return 0 if case(given.rows or rows) else 1


def _speed(rows: int) -> bool:
    with _ray(), Simulator(latency=Latency(_LATENCY_S)) as provider:
        own = _answered(provider, rows, workers=2)
        peer = _http_stage(provider, max(rows // 20, 200))
    print(f"{own:,.0f} rows/s, the HTTP stage {peer:,.0f}: {own / peer:.1f} x (wanted: 20)")
    return own >= 20 * peer


def _overhead(rows: int) -> bool:
    with tempfile.TemporaryDirectory() as folder, Simulator(record=True) as provider:
        source = _source(Path(folder), rows)
        paces: dict[str, float] = {}
        for name, more in (("asyncllm batch", ("-o", "out.jsonl")), ("one worker", ("-o", "out", "--workers", "1"))):
            provider.reset()
            _command(provider, source, *more).wait()
            paces[name] = _pace(provider)
            print(f"{name}: {paces[name]:,.0f} rows/s")
    ratio = paces["one worker"] / paces["asyncllm batch"]
    print(f"{ratio:.2f} of it (wanted: 0.7)")
    return ratio >= 0.7


def _kills(rows: int) -> bool:
    with tempfile.TemporaryDirectory() as folder, Simulator(latency=Latency(0.05), record=False) as provider:
        source = _source(Path(folder), rows)
        arguments = ("-o", "out", "--workers", "2", "--max-concurrency", str(_IN_FLIGHT))
        began = time.monotonic()
        marks = [rows * share // 100 for share in (15, 35, 55)]
        running = _command(provider, source, *arguments)
        memory: list[str] = []
        for number, mark in enumerate(marks):
            _until(lambda mark=mark: provider.seen.requests >= mark, running)  # type: ignore[misc]
            _until(lambda: bool(worker_pids("FileAnswerer", running.pid)), running)  # one may be starting again
            workers = worker_pids("FileAnswerer", running.pid)
            memory.append(f"driver {_rss_mb(running.pid)} MB, workers {[_rss_mb(pid) for pid in workers]} MB")
            if number < 2:
                os.kill(workers[0], signal.SIGKILL)
            else:
                _end(running)
        running = _command(provider, source, *arguments)
        _until(lambda: provider.seen.requests >= rows * 95 // 100, running)
        workers = worker_pids("FileAnswerer", running.pid)
        memory.append(f"driver {_rss_mb(running.pid)} MB, workers {[_rss_mb(pid) for pid in workers]} MB")
        running.wait()
        ids = Counter(_ids(Path(folder) / "out"))
    sent_again = provider.seen.requests - rows
    lost, doubled = rows - len(ids), sum(count > 1 for count in ids.values())
    in_flight = 4 * _IN_FLIGHT  # one worker twice, and then the driver with two
    print(f"{rows:,} rows in {time.monotonic() - began:.0f} s: {lost} lost, {doubled} doubled, {sent_again} sent again")
    print(f"at most in flight where something was killed: {in_flight}")
    print(*memory, sep="\n")
    return not lost and not doubled and sent_again <= in_flight


def _limits(rows: int) -> bool:
    per_s = 100
    limit = Limit(per_second=per_s)
    with tempfile.TemporaryDirectory() as folder, _ray(), Simulator(limits=[limit], latency=Latency(0.05)) as provider:
        _answered(provider, rows, 4, {"requests_per_minute": per_s * 60}, results=folder, run_id="run")
        # Between the first quarter and the third: the start of workers one after the other and their end count for
        # nobody.
        ends = sorted(one.ended_s for one in provider.seen.exchanges if one.status == 200)
        quarter = len(ends) // 4
        used = (len(ends) - 2 * quarter) / (ends[-quarter] - ends[quarter]) / per_s
        refused = provider.seen.statuses[429] / provider.seen.requests
        shares = _shares(Path(folder) / "run")
    spread = max(shares) / (sum(shares) / len(shares)) - 1, 1 - min(shares) / (sum(shares) / len(shares))
    print(f"{used:.1%} of the limit used, {refused:.2%} refused, rows of the workers {shares}")
    return used >= 0.95 and refused <= 0.001 and max(spread) <= 0.2


_CASES: dict[str, tuple[Callable[[int], bool], int]] = {
    "speed": (_speed, 20_000),
    "overhead": (_overhead, 10_000),
    "kills": (_kills, 20_000),
    "limits": (_limits, 4_000),
}


def _ray() -> Any:
    import ray

    return ray.init("local", num_cpus=8, include_dashboard=False, object_store_memory=100 * 2**20, log_to_driver=False)


def _rows(number: int) -> Any:
    import ray.data

    ray.data.DataContext.get_current().enable_progress_bars = False
    return ray.data.from_items([{"text": f"row {n}"} for n in range(number)], override_num_blocks=max(number // 50, 8))


def _answered(
    provider: Simulator, rows: int, workers: int, options: dict[str, Any] | None = None, **more: Any
) -> float:
    """Answer rows over workers and return the pace."""
    from asyncllm.distributed import answer

    settings = {"model": _MODEL, "base_url": provider.url, "api_key_env": _KEY, **(options or {})}
    provider.reset()
    out = answer(_rows(rows), template=_TEMPLATE, options=settings, workers=workers, max_concurrency=_IN_FLIGHT, **more)
    counted = sum(len(batch["ok"]) for batch in out.iter_batches(batch_size=None) if all(batch["ok"]))
    assert counted == rows, f"{rows - counted} rows are missing or failed"
    return _pace(provider)


def _http_stage(provider: Simulator, rows: int) -> float:
    """Answer rows by the HTTP stage of Ray's own, with two workers, and return the pace."""
    from ray.data.llm import HttpRequestProcessorConfig, build_processor

    config: Any = HttpRequestProcessorConfig(
        url=f"{provider.url}/chat/completions", headers={"Authorization": "Bearer sk-benchmark"}, concurrency=2
    )
    processor: Any = build_processor(
        config,
        preprocess=lambda row: {
            "payload": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": f"Say {row['text']}"}]}
        },
        postprocess=lambda row: {"answer": row["http_response"]["choices"][0]["message"]["content"]},
    )
    provider.reset()
    assert len(processor(_rows(rows)).take_all()) == rows
    return _pace(provider)


def _pace(provider: Simulator) -> float:
    seen = provider.seen.exchanges
    return len(seen) / (max(one.ended_s for one in seen) - min(one.started_s for one in seen))


def _source(folder: Path, rows: int) -> Path:
    source = folder / "rows.jsonl"
    source.write_text("".join(json.dumps({"id": str(n), "text": f"row {n}"}) + "\n" for n in range(rows)))
    return source


def _command(provider: Simulator, source: Path, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "asyncllm", "batch", str(source), "-t", _TEMPLATE, "--model", _MODEL, *more]
    command += ["--set", f"base_url={provider.url}", "--set", f"api_key_env={_KEY}"]
    root = str(Path(__file__).parents[1])
    # In a group of its own, so that a driver can be killed with all that it has started.
    return subprocess.Popen(command, cwd=source.parent, env={**os.environ, "PYTHONPATH": root}, start_new_session=True)


def _until(condition: Callable[[], bool], running: subprocess.Popen[bytes]) -> None:
    while not condition() and running.poll() is None:
        time.sleep(0.05)


def _end(running: subprocess.Popen[bytes]) -> None:
    """Kill a driver, and wait until the Ray that it has started has noticed."""
    workers = worker_pids("FileAnswerer", running.pid)
    running.kill()
    running.wait()
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        time.sleep(0.1)


def _rss_mb(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20


def _ids(folder: Path) -> list[str]:
    parts = sorted(folder.glob("part-*.jsonl"))
    return [json.loads(line)["id"] for part in parts for line in part.read_text().splitlines()]


def _shares(folder: Path) -> list[int]:
    """Return the rows that each worker has begun while all of them were at work.

    Files are named by execution, worker and number.
    """
    import pyarrow.parquet

    began: dict[str, list[float]] = {}
    for path in folder.glob("*.parquet"):
        entries = pyarrow.parquet.read_table(path, columns=["entry"])["entry"].to_pylist()
        began.setdefault(path.stem.split("-")[1], []).extend(json.loads(entry)["started_at"] for entry in entries)
    first, last = max(map(min, began.values())), min(map(max, began.values()))
    return sorted(sum(first <= at <= last for at in times) for times in began.values())


if __name__ == "__main__":
    sys.exit(main())
