"""Single flight: equal calls at the same time are one call, across tasks, threads and loops of the process."""

from __future__ import annotations

import threading

from ..threads import ThreadEvent


class PendingCall:
    """One call that others wait for.

    Attributes:
        is_answered: Whether its answer is stored. If not, and it was not merely cancelled, those who waited send their
            own.
        is_cancelled: Whether it was cancelled; another of those who wait takes its place.
        waiting: The events of those who wait.
    """

    __slots__ = ("is_answered", "is_cancelled", "waiting")

    def __init__(self) -> None:
        self.is_answered = False
        self.is_cancelled = False
        self.waiting: list[ThreadEvent] = []


class SingleFlight:
    """The calls that are under way, by their fingerprints."""

    def __init__(self) -> None:
        self._flights: dict[bytes, PendingCall] = {}
        self._lock = threading.Lock()

    def take_off(self, key: bytes) -> PendingCall | None:
        """Return a new flight for a call that has to be sent; None while an equal one is under way."""
        with self._lock:
            if key in self._flights:
                return None
            flight = self._flights[key] = PendingCall()
            return flight

    async def wait(self, key: bytes) -> PendingCall | None:
        """Wait until the call that is under way has ended, and return its flight; None when there is none any more."""
        event = ThreadEvent()
        with self._lock:
            flight = self._flights.get(key)
            if flight is None:
                return None
            flight.waiting.append(event)
        await event.wait()
        return flight

    def answered(self, key: bytes) -> None:
        """Note that an answer has been stored: a call for it that is under way leaves it to those who wait."""
        with self._lock:
            flight = self._flights.get(key)
            if flight is not None:
                flight.is_answered = True

    def land(self, key: bytes, flight: PendingCall) -> None:
        """Wake those who wait for a call that has ended."""
        with self._lock:
            del self._flights[key]
        for event in flight.waiting:
            event.set()
