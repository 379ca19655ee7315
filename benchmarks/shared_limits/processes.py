"""The processes that share a limit, as the measuring one sees them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from benchmarks.environments import ROOT, clean_env


@dataclass(frozen=True, slots=True)
class Done:
    """What all processes did.

    Attributes:
        by_process: When each process got its answers, by the clock that all of the machine share.
        failed: The errors of calls that failed.
        tokens: Tokens used.
        cost: US dollars spent.
        refused: Calls that a budget refused.
        cpu_s: CPU time of all processes.
    """

    by_process: Sequence[Sequence[float]]
    failed: Sequence[str]
    tokens: int
    cost: float
    refused: int
    cpu_s: float

    @property
    def answered(self) -> list[float]:
        """When answers came."""
        return sorted(at for one in self.by_process for at in one)

    def unfairness(self, start: float, end: float) -> float:
        """Return how far a process was from an equal share between two moments, as a part of it."""
        counts = [sum(start <= at < end for at in one) for one in self.by_process]
        equal = sum(counts) / len(counts)
        return max(abs(count - equal) for count in counts) / equal


class Processes:
    """Workers that have started, and wait for `go`; use it in `with`."""

    def __init__(
        self, number: int, options: Mapping[str, Any], params: Mapping[str, Any] | None = None, concurrency: int = 100
    ) -> None:
        settings = {"options": options, "params": params or {}, "concurrency": concurrency}
        self._all = [
            subprocess.Popen(
                (sys.executable, "-m", "benchmarks.shared_limits.worker"),
                cwd=ROOT,
                env=clean_env(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(number)
        ]
        self._write(json.dumps(settings))
        for process in self._all:
            assert process.stdout is not None
            if process.stdout.readline().strip() != "ready":
                raise RuntimeError("a worker did not start")

    def go(self) -> None:
        """Let them begin."""
        self._write("go")

    def end(self) -> Done:
        """Have them finish what is in flight, and return what they did."""
        self._write("end")
        return self.result()

    def result(self) -> Done:
        """Return what they did, when they have ended by themselves."""
        rows = []
        for process in self._all:
            assert process.stdout is not None
            rows.append(json.loads(process.stdout.readline()))
        return Done(
            [row["answered"] for row in rows],
            [error for row in rows for error in row["failed"]],
            sum(row["tokens"] for row in rows),
            sum(row["cost"] for row in rows),
            sum(row["refused"] for row in rows),
            sum(row["cpu"] for row in rows),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._all:
            process.kill()
            process.communicate()

    def _write(self, line: str) -> None:
        for process in self._all:
            assert process.stdin is not None
            process.stdin.write(line + "\n")
            process.stdin.flush()
