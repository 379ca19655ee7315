"""A queue that is fair to tenants: first come, first served within one, and in turn over all of them."""

from __future__ import annotations

import math
from collections import deque
from heapq import heapify, heappop, heappush

from .waiter import Line, Rank, Waiter


class Turns:
    """The ranks of waiting requests, by start-time fair queueing with a weight of one.

    A request's turn is the one after its line's last, and no earlier than that of the request that was admitted last:
    of requests that wait, each line has one in every turn. Live calls come before those of the priority `batch`.

    Source: Goyal, Vin and Cheng, "Start-time Fair Queuing", SIGCOMM 1996.
    """

    __slots__ = ("_admitted", "_last")

    def __init__(self) -> None:
        self._admitted = [0, 0]  # by priority
        self._last: dict[Line, int] = {}

    def next_rank(self, waiter: Waiter) -> Rank:
        """Return the rank of a request that begins to wait."""
        line = waiter.line
        turn = max(self._admitted[line[1]], self._last.get(line, 0) + 1)
        self._last[line] = turn
        return line[1], turn, waiter.arrival

    def admitted(self, waiter: Waiter) -> None:
        """Note that a request that waited was admitted."""
        priority, turn, _ = waiter.rank
        self._admitted[priority] = max(self._admitted[priority], turn)

    def forget(self, line: Line) -> None:
        """Note that none of a line waits any more; its turns that were not used are free for it again."""
        self._last.pop(line, None)


class FairQueue:
    """Requests that wait for the same limits, in lines of tenants."""

    __slots__ = ("_heads", "_held", "_lines", "_next_at", "_size")

    def __init__(self) -> None:
        self._lines: dict[Line, deque[Waiter]] = {}
        self._heads: list[tuple[Rank, Waiter]] = []  # a heap: the first of each line that is not held
        self._held: dict[Line, float] = {}  # until when a line waits for a limit of its tenant
        self._next_at = math.inf
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def first(self) -> Waiter | None:
        """The request whose turn it is; None while all lines are held."""
        return self._heads[0][1] if self._heads else None

    @property
    def held(self) -> Waiter | None:
        """The first request of a line that is held; None when there is none."""
        return self._lines[next(iter(self._held))][0] if self._held else None

    def push(self, waiter: Waiter) -> None:
        """Add a request at the end of its line."""
        self._size += 1
        line = self._lines.get(waiter.line)
        if line is None:
            self._lines[waiter.line] = deque((waiter,))
            heappush(self._heads, (waiter.rank, waiter))
        else:
            line.append(waiter)

    def remove(self, waiter: Waiter) -> bool:
        """Remove a request, and return whether its line is empty now; does nothing when it is not in the queue."""
        line = self._lines.get(waiter.line)
        if line is None or waiter not in line:
            return line is None
        self._size -= 1
        is_head = line[0] is waiter
        line.remove(waiter)
        if not line:
            del self._lines[waiter.line]
        if is_head and self._held.pop(waiter.line, None) is None:
            self._replace(waiter, line[0] if line else None)
        elif is_head and line:
            heappush(self._heads, (line[0].rank, line[0]))  # what the other waited for may not hold for this one
        return not line

    def hold(self, waiter: Waiter, until: float) -> None:
        """Set the line of the first request aside until a time, or until its tenant is `ready`."""
        self._replace(waiter, None)
        self._held[waiter.line] = until
        self._next_at = min(self._next_at, until)

    def ready(self, tenant: str | None) -> None:
        """Take back the lines of a tenant that has ended a request."""
        for line in ((tenant, 0), (tenant, 1)):
            if self._held.pop(line, None) is not None:
                head = self._lines[line][0]
                heappush(self._heads, (head.rank, head))

    def all_ready(self) -> None:
        """Take back the lines of all tenants, whose limits were renewed."""
        for line in list(self._held):
            self.ready(line[0])

    def pass_time(self, now: float) -> None:
        """Take back the lines whose time has come."""
        if now < self._next_at:
            return
        for line in [line for line, at in self._held.items() if at <= now]:
            del self._held[line]
            head = self._lines[line][0]
            heappush(self._heads, (head.rank, head))
        self._next_at = min(self._held.values(), default=math.inf)

    def _replace(self, head: Waiter, other: Waiter | None) -> None:
        if self._heads and self._heads[0][1] is head:
            heappop(self._heads)
        else:
            self._heads = [entry for entry in self._heads if entry[1] is not head]
            heapify(self._heads)
        if other is not None:
            heappush(self._heads, (other.rank, other))
