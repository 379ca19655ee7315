"""Full disks, and disks that cannot be written: a clear error, nothing lost, and a run that continues later."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asyncllm import Journal
from asyncllm.testing import Simulator

from .child import Task, number_of
from .figures import Figure, at_most, skipped

ITEMS = 3_000
SLOTS = 20
SMALL, LARGE = "size=2m", "size=64m"


def disk(quick: bool) -> Iterator[Figure]:
    """Fill a small file system of memory, make it read-only, and make room again."""
    items = 1_000 if quick else ITEMS
    if os.geteuid() != 0 or sys.platform != "linux":
        skipped("a full disk, and a read-only one", "needs root on Linux, to mount a small file system")
        return
    with tempfile.TemporaryDirectory() as directory, Simulator() as simulator, _mounted(Path(directory)) as small:
        journal, handed = small / "journal", Path(directory).with_suffix(".handed")
        task = Task(simulator.url, str(journal), str(handed), items, SLOTS, text=" And a text of some length." * 20)
        said = _run(task)
        yield Figure(
            "a full disk", said.partition(".")[0][-34:], "JournalError: ... is full", "is full. Make room" in said
        )
        kept = {entry.id for entry in Journal(journal).outcomes()}
        given = handed.read_text().split()
        yield at_most(f"a full disk: of {len(given):,} outcomes handed over, lost", len(set(given) - kept), 0)
        subprocess.run(("mount", "-o", f"remount,{LARGE},ro", str(small)), check=True)
        said = _run(task)
        found = "read-only" in said or "cannot be written: Read-only" in said
        yield Figure("a read-only disk", said.partition(":")[0][-34:], "JournalError: ... read-only", found)
        subprocess.run(("mount", "-o", f"remount,{LARGE},rw", str(small)), check=True)
        before = len(simulator.seen.bodies)
        said = _run(task)
        yield Figure("with room again", said or "ran to its end", "runs to its end", said == "")
        first = {number_of(body["messages"]) for body in simulator.seen.bodies[:before]}
        again = sum(number_of(body["messages"]) in first for body in simulator.seen.bodies[before:])
        yield at_most("with room again: sent again", again, SLOTS)
        entries = sorted(int(entry.id or -1) for entry in Journal(journal).outcomes() if entry.ok)
        yield at_most("with room again: items not in the journal once", len(set(range(items)) ^ set(entries)), 0)
        handed.unlink()


def _run(task: Task) -> str:
    """Run a child, and return what it said was wrong."""
    command = (sys.executable, "-m", "benchmarks.batch.child", task.to_json())
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return ended.stdout.removeprefix("ready\n").strip() + (ended.stderr if ended.returncode not in (0, 3) else "")


@contextmanager
def _mounted(directory: Path) -> Iterator[Path]:
    small = directory / "small"
    small.mkdir()
    subprocess.run(("mount", "-t", "tmpfs", "-o", SMALL, "tmpfs", str(small)), check=True)
    try:
        yield small
    finally:
        subprocess.run(("umount", str(small)), check=True)
