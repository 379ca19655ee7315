"""The hook by which tests record, replay or forbid calls; empty in production."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

from ..transports.base import Transport


class Interceptor(Protocol):
    """Stands before the transports of all clients of the process.

    Attributes:
        replays: Whether it answers calls itself: retries do not wait.
        needs_keys: Whether a call without a key fails before it is reached.
    """

    replays: bool
    needs_keys: bool

    def wrap(self, transport: Transport) -> Transport:
        """Return a transport that is used instead of another."""
        ...


class _Current:
    """The interceptor of the process."""

    interceptor: Interceptor | None = None


def intercepted(transport: Transport) -> Transport:
    """Return the transport that serves instead of one: itself, outside of tests."""
    interceptor = _Current.interceptor
    return transport if interceptor is None else interceptor.wrap(transport)


def is_replaying() -> bool:
    """Return whether calls are answered without a provider."""
    return _Current.interceptor is not None and _Current.interceptor.replays


def needs_keys() -> bool:
    """Return whether a call without a key fails before it is sent."""
    return _Current.interceptor is None or _Current.interceptor.needs_keys


@contextmanager
def intercepting(interceptor: Interceptor) -> Generator[None]:
    """Have an interceptor stand before the transports for the length of a block, in place of an outer one."""
    outer = _Current.interceptor
    _Current.interceptor = interceptor
    try:
        yield
    finally:
        _Current.interceptor = outer
