"""The worker processes of the Ray that a process has started."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path


def worker_pids(name: str, of: int) -> list[int]:
    """Return the processes of actors whose name contains a text, among the descendants of a process."""
    parents = dict(_parents())
    found: list[int] = []
    for pid in parents:
        try:
            title = (Path("/proc") / str(pid) / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if title.startswith("ray::") and name in title and _descends(pid, of, parents):
            found.append(pid)
    return sorted(found)


def kill_worker(name: str, of: int) -> int | None:
    """Kill the first such process, and return its id; None when there is none."""
    pids = worker_pids(name, of)
    if not pids:
        return None
    os.kill(pids[0], signal.SIGKILL)
    return pids[0]


def _parents() -> Iterator[tuple[int, int]]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            yield int(folder.name), int(fields[1])


def _descends(pid: int, of: int, parents: dict[int, int]) -> bool:
    while pid > 1:
        if pid == of:
            return True
        pid = parents.get(pid, 0)
    return False
