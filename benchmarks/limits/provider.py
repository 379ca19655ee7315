"""The provider of a case, as the measuring process sees it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from benchmarks.environments import ROOT, clean_env

KEY = "sk-limits"
MODEL = "openai/gpt-4o-mini"


@dataclass(frozen=True, slots=True)
class Seen:
    """What arrived, by the clock that all processes of the machine share.

    Attributes:
        accepted: When each request that was let in arrived, in order.
        refused: When each that was refused arrived.
        rows: All that the simulator says of each.
    """

    accepted: Sequence[float]
    refused: Sequence[float]
    rows: Sequence[Mapping[str, Any]]

    @property
    def refused_share(self) -> float:
        """Refused requests as a share of all."""
        return len(self.refused) / max(1, len(self.rows))

    def rate(self, start: float, end: float) -> float:
        """Return the requests let in a second between two moments."""
        return sum(start <= at < end for at in self.accepted) / (end - start)

    def refusals(self, start: float, end: float) -> int:
        """Return the requests refused between two moments."""
        return sum(start <= at < end for at in self.refused)


class LimitedProvider:
    """A simulator in a process of its own; use it in `with`.

    Args:
        limits: Its limits, as options of `Limit`.
        latency: Its latency, as options of `Latency`.

    Attributes:
        url: Where it answers.
    """

    def __init__(self, *limits: Mapping[str, Any], latency: Mapping[str, Any] | None = None) -> None:
        self._process = subprocess.Popen(
            (sys.executable, "-m", "benchmarks.limits.server"),
            cwd=ROOT,
            env=clean_env(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.url = self._line()
        self.limits(*limits)
        if latency is not None:
            self._ask({"do": "latency", **latency})

    def limits(self, *limits: Mapping[str, Any]) -> None:
        """Replace the limits; counting starts anew."""
        self._ask({"do": "limits", "limits": limits})

    def faults(self, *faults: Mapping[str, Any]) -> None:
        """Replace the faults."""
        self._ask({"do": "faults", "faults": faults})

    def slots(self, number: int, *, queue: bool) -> None:
        """Serve so many at a time; let the others wait, or refuse them."""
        self._ask({"do": "slots", "number": number, "queue": queue})

    def seen(self) -> Seen:
        """Return what arrived so far."""
        rows = self._ask({"do": "seen"})
        return Seen(
            [row["at"] for row in rows if row["status"] == 200 or row["outcome"] in ("open", "aborted")],
            [row["at"] for row in rows if row["status"] in (429, 503)],
            rows,
        )

    def options(self, **more: Any) -> dict[str, Any]:
        """Return the options of a client of it."""
        return {"model": MODEL, "base_url": self.url, "api_key": KEY, "timeout": 60.0, **more}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=10)
        self._process.stdout.close()

    def _ask(self, command: Mapping[str, Any]) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return json.loads(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            raise RuntimeError(f"the simulator ended with {self._process.wait()}")
        return line
