"""Leak checks: threads and descriptors of a process, compared before and after."""

from __future__ import annotations

import gc
import os
import threading
import time
from dataclasses import dataclass

# A closed thread or socket may need a moment to be gone; a leak is still there after this many seconds.
SETTLE_TIMEOUT_S = 2.0

# trio keeps a finished worker thread for ten seconds to use it again, under this name; a working one has another.
_IDLE_TRIO_THREAD = "Trio thread "

_FD_DIRECTORIES = ("/proc/self/fd", "/dev/fd")  # Linux, macOS


@dataclass(frozen=True)
class Held:
    """A snapshot of what the process holds."""

    threads: frozenset[tuple[int | None, str]]
    descriptors: frozenset[tuple[str, str]]

    @classmethod
    def now(cls) -> Held:
        """Take a snapshot, after a garbage collection."""
        gc.collect()
        alive = (thread for thread in threading.enumerate() if not thread.name.startswith(_IDLE_TRIO_THREAD))
        return cls(frozenset((thread.ident, thread.name) for thread in alive), frozenset(_descriptors()))

    def more_than(self, before: Held) -> list[str]:
        """Name what is held now and was not held before."""
        threads = [f"thread {name}" for _, name in sorted(self.threads - before.threads, key=str)]
        return threads + [f"descriptor {fd} {target}" for fd, target in sorted(self.descriptors - before.descriptors)]


def left_since(before: Held, timeout_s: float = SETTLE_TIMEOUT_S) -> list[str]:
    """Name what is held now and was not held before, once what is ending has had time to end."""
    until = time.monotonic() + timeout_s
    while left := Held.now().more_than(before):
        if time.monotonic() >= until:
            return left
        time.sleep(0.01)
    return []


def _descriptors() -> list[tuple[str, str]]:
    directory = next(path for path in _FD_DIRECTORIES if os.path.isdir(path))
    found = []
    for fd in os.listdir(directory):
        try:
            found.append((fd, os.readlink(os.path.join(directory, fd))))
        except OSError:
            continue  # the descriptor of the listing itself is closed by now
    return found
