"""What a simulator saw: counters, requests and connections, readable from any thread."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

# Enough for any test to look back on; a bulk run must not fill memory with what nobody reads.
_MAX_KEPT = 10_000
_MAX_KEPT_BYTES = 64 * 1024 * 1024
_SECRET_HEADERS = frozenset(("authorization", "x-api-key", "api-key"))


@dataclass(slots=True)
class LoggedRequest:
    """One request and what became of it.

    Attributes:
        number: Its number in the order of arrival, from 1.
        method: The HTTP method.
        path: The path with its query.
        model: The model that was asked for; empty until it is read.
        stream: Whether a stream was asked for.
        status: The status that was sent; 0 while none was.
        bytes_sent: How much was handed to the socket, headers included.
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
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


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
    """

    def __init__(self, *, record: bool = True) -> None:
        self._record = record
        self._changed = threading.Condition()
        self._waiting = 0
        self._wake_ups: set[Callable[[], None]] = set()
        self.connections_open = 0
        self.in_flight = 0
        self._exchanges: deque[LoggedRequest]
        self._clear()

    def __repr__(self) -> str:
        names = (
            "requests",
            "in_flight",
            "rejected",
            "faults_played",
            "connections_open",
            "connections_opened",
            "connections_aborted",
        )
        return f"RequestLog({', '.join(f'{name}={getattr(self, name)}' for name in names)})"

    @property
    def exchanges(self) -> tuple[LoggedRequest, ...]:
        """The last requests, in the order of arrival; empty without `record`."""
        with self._changed:
            return tuple(self._exchanges)

    @property
    def bodies(self) -> tuple[Any, ...]:
        """The bodies of the last requests, decoded; one that is not JSON as bytes."""
        return tuple(_decoded(exchange.body) for exchange in self.exchanges)

    @property
    def headers(self) -> tuple[Mapping[str, str], ...]:
        """The headers of the last requests, with names in lower case and keys masked."""
        return tuple(exchange.headers for exchange in self.exchanges)

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of the last requests."""
        return tuple(exchange.path for exchange in self.exchanges)

    @property
    def statuses(self) -> Counter[int]:
        """How many answers had which status."""
        with self._changed:
            return Counter(self._statuses)

    @property
    def per_key(self) -> Counter[str]:
        """How many requests came with which key, in the clear; '' stands for none."""
        with self._changed:
            return Counter(self._per_key)

    @property
    def keys(self) -> set[str]:
        """Every key that arrived, in the clear, so that a test can say where a key must not go."""
        return set(self.per_key) - {""}

    def wait(self, condition: Callable[[RequestLog], object], timeout: float = 5.0) -> None:
        """Block this thread until a condition holds.

        Args:
            condition: Called with this object whenever something changed, in this thread.
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
            self._exchanges = deque()
            self._kept_bytes = 0
            self._tell()

    def _tell(self) -> None:
        """Wake whoever waits; called with the lock held."""
        if self._waiting:
            self._changed.notify_all()
        if self._wake_ups:
            for wake_up in tuple(self._wake_ups):
                wake_up()

    # What follows is called by the server, on its own thread.

    def _connected(self) -> None:
        with self._changed:
            self.connections_open += 1
            self.connections_opened += 1
            self._tell()

    def _disconnected(self, exchange: LoggedRequest | None) -> None:
        with self._changed:
            self.connections_open -= 1
            if exchange is not None:
                self._aborted(exchange)
            self._tell()

    def _aborted(self, exchange: LoggedRequest) -> None:
        with self._changed:
            if exchange.outcome == "open":
                exchange.outcome = "aborted"
                self.connections_aborted += 1

    def _begin(self, method: str, path: str, key: str, headers: Mapping[str, str]) -> LoggedRequest:
        with self._changed:
            self.requests += 1
            self.in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self.in_flight)
            self._per_key[key] += 1
            exchange = LoggedRequest(self.requests, method, path, key=key)
            if self._record:
                lower = ((name.lower(), value) for name, value in headers.items())
                exchange.headers = {name: "***" if name in _SECRET_HEADERS else value for name, value in lower}
                self._exchanges.append(exchange)
                if len(self._exchanges) > _MAX_KEPT:
                    self._kept_bytes -= len(self._exchanges.popleft().body)
            self._tell()
        return exchange

    def _received(self, exchange: LoggedRequest, body: bytes) -> None:
        if not self._record:
            return
        with self._changed:
            exchange.body = body
            self._kept_bytes += len(body)
            while self._kept_bytes > _MAX_KEPT_BYTES and len(self._exchanges) > 1:
                self._kept_bytes -= len(self._exchanges.popleft().body)
            self._tell()

    def _sent(self, exchange: LoggedRequest, size: int) -> None:
        exchange.bytes_sent += size
        self.bytes_sent += size
        if self._waiting or self._wake_ups:
            with self._changed:
                self._tell()

    def _end(self, exchange: LoggedRequest) -> None:
        with self._changed:
            if exchange.ended_s:
                return
            exchange.ended_s = time.monotonic()
            if exchange.outcome == "open":
                exchange.outcome = "faulted" if exchange.fault else "answered"
            self.in_flight -= 1
            self.rejected += exchange.outcome == "rejected"
            self.faults_played += bool(exchange.fault)
            self._statuses[exchange.status] += 1
            self._tell()


def setter_for_this_loop(event: Any) -> Callable[[], None]:
    """Give a function that sets an anyio event of the running loop from any thread and returns at once."""
    post: Callable[[Callable[[], None]], object]
    try:
        post = asyncio.get_running_loop().call_soon_threadsafe
    except RuntimeError:
        # No loop of asyncio runs here, so it is trio's.
        from trio.lowlevel import current_trio_token

        post = current_trio_token().run_sync_soon

    def wake_up() -> None:
        # A loop that has ended meanwhile has nobody left to wake.
        with suppress(RuntimeError):
            post(event.set)

    return wake_up


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body
