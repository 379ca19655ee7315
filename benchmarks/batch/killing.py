"""Batches that are killed or interrupted again and again, and resumed to their end: what is lost or sent twice."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from asyncllm import Journal
from asyncllm.testing import Latency, Simulator

from .child import Task, number_of, prompt
from .figures import Figure, at_most

LATENCY = Latency(first_token_s=0.02, spread=1.0)
_TIMEOUT_S = 120.0
# So that a batch is also ended between two outcomes, and before the first.
_JITTER_S = 0.05


@dataclass(slots=True)
class Found:
    """The figures of such a batch.

    Attributes:
        lost: Outcomes that were handed over, and are not in the journal as they were then.
        doubled: Items that are in the journal more or less than once, or that the last run handed over so.
        resent: For each end of a run, how many of the items that it had sent were sent again later.
        unknown: For each, how many requests the journal says were in flight.
        wrong: Entries that are not the answer to their prompt.
        took_s: For each, the seconds from the signal to the end of the process.
    """

    lost: int = 0
    doubled: int = 0
    resent: list[int] = field(default_factory=list)
    unknown: list[int] = field(default_factory=list)
    wrong: int = 0
    took_s: list[float] = field(default_factory=list)

    def figures(self, name: str, slots: int) -> list[Figure]:
        """Return the rows."""
        covered = all(unknown >= resent for unknown, resent in zip(self.unknown, self.resent, strict=True))
        return [
            at_most(f"{name}: committed outcomes lost", self.lost, 0),
            at_most(f"{name}: duplicates", self.doubled, 0),
            at_most(f"{name}: wrong answers", self.wrong, 0),
            at_most(f"{name}: most sent again after an end ({sum(self.resent)} in all)", max(self.resent), slots),
            Figure(
                f"{name}: reported as perhaps paid for",
                f"{sum(self.unknown)} in all, {max(self.unknown)} at the most",
                f"what was sent again, <= {slots} each",
                covered and max(self.unknown) <= slots,
            ),
        ]


def end_again_and_again(
    directory: Path,
    *,
    items: int,
    slots: int,
    ends: int,
    seed: int,
    backend: str = "asyncio",
    how: signal.Signals = signal.SIGKILL,
    after_s: float | None = None,
) -> Found:
    """Run a batch, end it at random moments so many times, resume it to its end, and return what came of it.

    Args:
        directory: Where the journal is made.
        items: How many there are.
        slots: How many may be in flight.
        ends: How often the process is ended.
        seed: Of the moments.
        backend: Of the batch.
        how: By which signal.
        after_s: The seconds after which it is ended; None for as many new outcomes as chance will have it.
    """
    moments = random.Random(seed)
    found, run, done = Found(resent=[0] * ends), 0, 0
    sent_in: dict[int, int] = {}
    journal = directory / f"{backend}-{seed}.journal"
    with Simulator(latency=LATENCY) as simulator:
        for end in range(ends + 1):
            before = len(simulator.seen.bodies)
            handed = directory / f"handed-{backend}-{seed}-{end}"
            task = Task(simulator.url, str(journal), str(handed), items, slots, backend)
            moment: tuple[int, float] | None = (0, after_s or 0.0)
            if after_s is None:
                moment = (done + moments.randint(0, items // (2 * ends)), moments.uniform(0, _JITTER_S))
            took_s = _run(task, None if end == ends else moment, how)
            for body in simulator.seen.bodies[before:]:
                number = number_of(body["messages"])
                if number in sent_in:
                    found.resent[sent_in[number]] += 1
                sent_in[number] = end
            summary = Journal(journal).summary() if journal.exists() else None
            if end < ends:
                found.took_s.append(took_s)
                # A run that was killed before it began is none.
                began = summary is not None and len(summary.runs) > run
                found.unknown.append(summary.runs[-1].unknown if summary is not None and began else 0)
            run, done = (len(summary.runs), summary.done) if summary is not None else (0, 0)
            found.lost += _lost(journal, handed, run)
        found.doubled += abs(len(_handed(handed)) - items) + abs(len(set(_handed(handed))) - items)
    entries = Counter(entry.id for entry in Journal(journal).outcomes())
    found.doubled += sum(entries[f"{number}"] != 1 for number in range(items))
    found.wrong = sum(
        not entry.ok or prompt(int(entry.id or -1)) not in entry.text for entry in Journal(journal).outcomes()
    )
    return found


def _run(task: Task, moment: tuple[int, float] | None, how: signal.Signals) -> float:
    """Run a child, end it so many outcomes and then seconds after it began, and return how long that took."""
    command = (sys.executable, "-m", "benchmarks.batch.child", task.to_json())
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        if child.stdout.readline() != "ready\n":
            raise RuntimeError("the child did not begin")
        try:
            if moment is not None:
                _wait(child, Path(task.handed), *moment)
                child.send_signal(how)
            began = time.monotonic()
            child.wait(_TIMEOUT_S)
        finally:
            child.kill()
        if moment is None and child.returncode:
            raise RuntimeError(f"the last run ended with {child.returncode}")
        return time.monotonic() - began


def _wait(child: subprocess.Popen[str], handed: Path, outcomes: int, seconds: float) -> None:
    until = time.monotonic() + _TIMEOUT_S
    while len(_handed(handed)) < outcomes and time.monotonic() < until:
        time.sleep(0.002)
    with suppress(subprocess.TimeoutExpired):
        child.wait(seconds)
        raise RuntimeError("the batch came to its end before it could be ended; give it more items")


def _handed(file: Path) -> list[int]:
    return [int(line) for line in file.read_text().split("\n")[:-1]] if file.exists() else []


def _lost(journal: Path, handed: Path, run: int) -> int:
    """Count the outcomes that a run handed over, and that the journal does not have from it or an earlier one."""
    numbers = _handed(handed)
    if not numbers:
        return 0
    known = {entry.id: entry.run for entry in Journal(journal).outcomes() if entry.ok}
    return sum(known.get(f"{number}", run + 1) > run for number in numbers)
