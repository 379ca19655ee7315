"""The writing side of the request log, for the server's thread."""

from __future__ import annotations

import time
from collections.abc import Mapping

from .request_log import LoggedRequest, RequestLog

# Enough for any test to look back on; a bulk run must not fill memory with what is never read.
_MAX_KEPT = 10_000
_MAX_KEPT_BYTES = 64 * 1024 * 1024
_SECRET_HEADERS = frozenset(("authorization", "x-api-key", "api-key"))


class RequestRecorder(RequestLog):
    """A request log that the server writes into.

    Args:
        record: Keep the last requests with their headers and bodies.
    """

    def __init__(self, *, record: bool) -> None:
        super().__init__()
        self._record = record

    def clear(self) -> None:
        """Start counting anew; open connections and running requests stay counted."""
        self._clear()

    def connected(self) -> None:
        """Count a new connection."""
        with self._changed:
            self.connections_open += 1
            self.connections_opened += 1
            self._notify()

    def disconnected(self, aborted: LoggedRequest | None) -> None:
        """Count a connection that is gone, and the request whose answer it cut short."""
        with self._changed:
            self.connections_open -= 1
            if aborted is not None:
                self.abort(aborted)
            self._notify()

    def abort(self, logged: LoggedRequest) -> None:
        """Count a request whose client left before the end of the answer."""
        with self._changed:
            if logged.outcome == "open":
                logged.outcome = "aborted"
                self.connections_aborted += 1

    def begin(self, method: str, path: str, key: str, headers: Mapping[str, str]) -> LoggedRequest:
        """Count and record a request that arrives."""
        with self._changed:
            self.requests += 1
            self.in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self.in_flight)
            self._per_key[key] += 1
            logged = LoggedRequest(self.requests, method, path, key=key)
            if self._record:
                lower = ((name.lower(), value) for name, value in headers.items())
                logged.headers = {name: "***" if name in _SECRET_HEADERS else value for name, value in lower}
                self._kept.append(logged)
                if len(self._kept) > _MAX_KEPT:
                    self._kept_bytes -= len(self._kept.popleft().body)
            self._notify()
        return logged

    def received(self, logged: LoggedRequest, body: bytes) -> None:
        """Record the body of a request."""
        if not self._record:
            return
        with self._changed:
            logged.body = body
            self._kept_bytes += len(body)
            while self._kept_bytes > _MAX_KEPT_BYTES and len(self._kept) > 1:
                self._kept_bytes -= len(self._kept.popleft().body)
            self._notify()

    def sent(self, logged: LoggedRequest, size: int) -> None:
        """Count bytes of an answer."""
        logged.bytes_sent += size
        self.bytes_sent += size
        if self._waiting or self._wake_ups:
            with self._changed:
                self._notify()

    def end(self, logged: LoggedRequest) -> None:
        """Count a request whose answer is complete or broken off; does nothing the second time."""
        with self._changed:
            if logged.ended_s:
                return
            logged.ended_s = time.monotonic()
            if logged.outcome == "open":
                logged.outcome = "faulted" if logged.fault else "answered"
            self.in_flight -= 1
            self.rejected += logged.outcome == "rejected"
            self.faults_played += bool(logged.fault)
            self._statuses[logged.status] += 1
            self._notify()
