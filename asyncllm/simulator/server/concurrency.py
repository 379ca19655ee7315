"""How many requests are answered at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress


class ConcurrencyLimit:
    """A number of slots, with a queue before them or without.

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
        """Take a slot, waiting for one when there is a queue; False when there is neither."""
        if self.number is None or (self._taken < self.number and not self._waiting):
            self._taken += 1
            return True
        if not self.queue:
            return False
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                # The queue may have passed over it already.
                with suppress(ValueError):
                    self._waiting.remove(turn)
            else:
                self.leave()
            raise
        return True

    def leave(self) -> None:
        """Give the slot back, to the first in the queue."""
        self._taken -= 1
        self._let_in()

    def change(self, to: ConcurrencyLimit) -> None:
        """Take over another number and way of waiting; who is in stays in."""
        self.number, self.queue = to.number, to.queue
        self._let_in()

    def _let_in(self) -> None:
        while self._waiting and (self.number is None or self._taken < self.number):
            turn = self._waiting.popleft()
            # A request whose client has left is cancelled already, but may not have run to take itself out.
            if not turn.done():
                self._taken += 1
                turn.set_result(None)
