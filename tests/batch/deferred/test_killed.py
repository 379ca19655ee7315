"""A deferred batch that is killed at any moment: nothing is lost, and nothing is paid for twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from asyncllm import Journal
from asyncllm.batch.deferred.status import read_status
from asyncllm.simulator import Simulator

from .conftest import options_of

# As many as keep the test short; the benchmark kills a hundred times.
_KILLS = 6
_COUNT = 60
# Imports once; a line of its input runs the job in a fork, and another waits for its end.
_JOB = """
import os
import sys
import traceback
import anyio
from asyncllm import AsyncLLM, Request
from asyncllm.batch.deferred import run
from asyncllm.batch.deferred.providers import limits
from dataclasses import replace

model, base_url, journal, count, provider = sys.argv[1:]
limits.LIMITS[provider] = replace(limits.LIMITS[provider], requests=25)
run.SETTLE_S = 0.2

async def main():
    async with AsyncLLM(model=model, base_url=base_url, api_key="key") as llm:
        requests = [Request(f"question {n}", id=f"q-{n}") for n in range(int(count))]
        done = await llm.gather(requests, deferred=True, journal=journal, poll_s=0.02)
        assert all(o.ok for o in done), done

while sys.stdin.readline():
    pid = os.fork()
    if not pid:
        try:
            anyio.run(main)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    print(pid, flush=True)
    sys.stdin.readline()
    print(os.waitpid(pid, 0)[1], flush=True)
"""


@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini"])
def test_nothing_is_paid_for_twice_when_the_process_is_killed(provider: str, simulator: Simulator, path: Path) -> None:
    """Killed at random moments of sending, waiting and reading, the job ends with each request answered once."""
    draw = random.Random(provider)
    options = options_of(provider, simulator, "key")
    arguments = [sys.executable, "-c", _JOB, options["model"], options["base_url"], str(path), str(_COUNT), provider]
    simulator.batches.takes_s = 0.1
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(_KILLS):
            print(file=process.stdin, flush=True)
            pid = int(process.stdout.readline())
            time.sleep(draw.uniform(0, 0.3))  # a moment of the run, not a wait for anything
            os.kill(pid, signal.SIGKILL)
            print(file=process.stdin, flush=True)
            process.stdout.readline()
        print("\n", file=process.stdin, flush=True)
        process.stdout.readline()
        assert int(process.stdout.readline()) == 0
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert set(simulator.batches.billed.values()) == {1}
    assert len(simulator.batches.billed) == _COUNT
    assert [(entry.id, entry.ok) for entry in Journal(path).outcomes()] == [(f"q-{n}", True) for n in range(_COUNT)]
    assert read_status(path).has_ended
