"""The request log of a simulator: counters, requests and connections, readable from any thread."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import anyio


@dataclass(slots=True)
class LoggedRequest:
    """One request and its outcome.

    Attributes:
        number: Its number in the order of arrival, from 1.
        method: The HTTP method.
        path: The path with its query.
        model: The model that was asked for; empty until it is read.
        stream: Whether a stream was asked for.
        status: The status that was sent; 0 while none was.
        bytes_sent: Bytes handed to the socket, headers included.
        fault: The kind of the fault that was played; empty for none.
        outcome: `open`, `answered`, `faulted` (a fault was played), `rejected` (by a limit), `aborted` (by the client)
            or `stopped` (with the simulator).
        started_s: When it arrived, on the monotonic clock.
        ended_s: When it ended; 0 while it is open.
    """

    number: int
    method: str
    path: str
    model: str = ""
    stream: bool = False
    status: int = 0
    bytes_sent: int = 0
    fault: str = ""
    outcome: str = "open"
    started_s: float = field(default_factory=time.monotonic)
    ended_s: float = 0.0
    key: str = field(default="", repr=False)
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)


class RequestLog:
    """Counts and records; every attribute may be read from any thread at any time.

    Attributes:
        requests: Requests that arrived.
        rejected: Requests that a limit refused.
        faults_played: Requests that met a fault.
        in_flight: Requests that are being answered now.
        max_in_flight: The most there were at a time.
        connections_open: Connections that are open now.
        connections_opened: Connections that were ever opened.
        connections_aborted: Connections that the client closed in the middle of an answer.
        bytes_sent: Bytes handed to sockets.

    Example:
        ```python
        from asyncllm.simulator import Simulator

        with Simulator() as simulator, LLM(model="openai/any", base_url=simulator.url, api_key="any") as client:
            client.completion("Name a colour.", temperature=0.2)
        assert simulator.seen.bodies[0]["temperature"] == 0.2
        print([(request.path, request.status, request.outcome) for request in simulator.seen.exchanges])
        ```
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting = 0
        self._wake_ups: set[Callable[[], None]] = set()
        self.connections_open = self.in_flight = 0
        self._clear()

    def __repr__(self) -> str:
        return (
            f"RequestLog(requests={self.requests}, in_flight={self.in_flight}, rejected={self.rejected}, "
            f"faults_played={self.faults_played}, connections_open={self.connections_open}, "
            f"connections_opened={self.connections_opened}, connections_aborted={self.connections_aborted})"
        )

    @property
    def exchanges(self) -> tuple[LoggedRequest, ...]:
        """The last requests, in the order of arrival; empty without `record`."""
        with self._changed:
            return tuple(self._kept)

    @property
    def bodies(self) -> tuple[Any, ...]:
        """The bodies of the last requests, decoded; one that is not JSON as bytes."""
        return tuple(_decoded(logged.body) for logged in self.exchanges)

    @property
    def headers(self) -> tuple[Mapping[str, str], ...]:
        """The headers of the last requests, with names in lower case and keys masked."""
        return tuple(logged.headers for logged in self.exchanges)

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of the last requests."""
        return tuple(logged.path for logged in self.exchanges)

    @property
    def statuses(self) -> Counter[int]:
        """The number of answers with each status."""
        with self._changed:
            return Counter(self._statuses)

    @property
    def per_key(self) -> Counter[str]:
        """The number of requests with each key, in the clear; '' stands for none."""
        with self._changed:
            return Counter(self._per_key)

    @property
    def keys(self) -> set[str]:
        """Every key that arrived, in the clear, so that a test can check where a key must not go."""
        return set(self.per_key) - {""}

    def wait(self, condition: Callable[[RequestLog], object], timeout: float = 5.0) -> None:
        """Block this thread until a condition holds.

        Args:
            condition: Called with this object after every change, in this thread.
            timeout: Seconds.

        Raises:
            TimeoutError: The condition did not hold in time; the message shows the counters.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            self._waiting += 1
            try:
                while not condition(self):
                    if not self._changed.wait(deadline - time.monotonic()) and not condition(self):
                        raise self._timed_out(timeout)
            finally:
                self._waiting -= 1

    async def wait_async(self, condition: Callable[[RequestLog], object], timeout: float = 5.0) -> None:
        """Wait like `wait`, without blocking the loop, under asyncio and trio."""
        import anyio

        try:
            with anyio.fail_after(timeout):
                while True:
                    event = anyio.Event()
                    wake_up = setter_for_this_loop(event)
                    self._wake_ups.add(wake_up)
                    try:
                        if condition(self):
                            return
                        await event.wait()
                    finally:
                        self._wake_ups.discard(wake_up)
        except TimeoutError:
            raise self._timed_out(timeout) from None

    def _timed_out(self, timeout: float) -> TimeoutError:
        return TimeoutError(f"the simulator did not see what was waited for within {timeout:g} s: {self!r}")

    def _clear(self) -> None:
        with self._changed:
            self.requests = self.rejected = self.faults_played = self.bytes_sent = 0
            self.max_in_flight = self.in_flight
            self.connections_opened = self.connections_open
            self.connections_aborted = 0
            self._statuses: Counter[int] = Counter()
            self._per_key: Counter[str] = Counter()
            self._kept: deque[LoggedRequest] = deque()
            self._kept_bytes = 0
            self._notify()

    def _notify(self) -> None:
        """Wake those that wait; called with the lock held."""
        if self._waiting:
            self._changed.notify_all()
        if self._wake_ups:
            for wake_up in tuple(self._wake_ups):
                wake_up()


def setter_for_this_loop(event: anyio.Event) -> Callable[[], None]:
    """Return a function that sets an event of the running loop from any thread and returns at once."""
    post: Callable[[Callable[[], None]], object]
    try:
        post = asyncio.get_running_loop().call_soon_threadsafe
    except RuntimeError:
        # No loop of asyncio runs here, so it is trio's.
        from trio.lowlevel import current_trio_token

        post = current_trio_token().run_sync_soon

    def wake_up() -> None:
        # A loop that has ended meanwhile has nothing left to wake.
        with suppress(RuntimeError):
            post(event.set)

    return wake_up


def _decoded(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError:
        return body
