"""The limit of requests answered at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress


class ConcurrencyLimit:
    """A number of slots, with or without a queue before them.

    Args:
        number: Requests answered at a time; None for any number.
        queue: Let further requests wait, first come first served, instead of refusing them.
    """

    def __init__(self, number: int | None = None, *, queue: bool = False) -> None:
        if number is not None and number < 1:
            raise ValueError("max_in_flight must be at least 1")
        self.number = number
        self.queue = queue
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> bool:
        """Take a slot, waiting for one when there is a queue; return False when there is neither."""
        if self.number is None or (self._taken < self.number and not self._waiting):
            self._taken += 1
            return True
        if not self.queue:
            return False
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                # It may have been dropped from the queue already.
                with suppress(ValueError):
                    self._waiting.remove(waiter)
            else:
                self.leave()
            raise
        return True

    def leave(self) -> None:
        """Release the slot to the first in the queue."""
        self._taken -= 1
        self._admit_waiting()

    def change(self, to: ConcurrencyLimit) -> None:
        """Take over another number and way of waiting; requests that have a slot keep it."""
        self.number, self.queue = to.number, to.queue
        self._admit_waiting()

    def _admit_waiting(self) -> None:
        while self._waiting and (self.number is None or self._taken < self.number):
            waiter = self._waiting.popleft()
            # The waiter of a client that has left is cancelled, but may not have run to leave the queue.
            if not waiter.done():
                self._taken += 1
                waiter.set_result(None)
