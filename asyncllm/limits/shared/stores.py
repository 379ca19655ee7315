"""The stores of shared limits by URL, and the sessions of this process with them."""

from __future__ import annotations

import os
import threading
from functools import partial

from ...config.redis_connection import is_redis_url, redis_problem, shown_url
from ...errors import ConfigError
from .redis_store import open_redis_store
from .session import LimitsSession, OpenStore

_registered: dict[str, OpenStore] = {}
# By process: a child that was forked has none of its parent's threads.
_sessions: dict[tuple[int, str], tuple[LimitsSession, int]] = {}
_lock = threading.Lock()


def register_store(url: str, opens: OpenStore) -> None:
    """Have a URL stand for a store other than Redis, in this process.

    Args:
        url: The value of `limits_url`, such as `ray://limits`.
        opens: Returns an async context manager of the store; entered on the session's thread, in a loop of asyncio.
    """
    _registered[url] = opens


def unregister_store(url: str) -> None:
    """Forget a URL again; sessions that use it go on."""
    _registered.pop(url, None)


def open_session(url: str) -> LimitsSession:
    """Return this process's session with a store, for one user more; blocks until the store has answered, or not.

    Raises:
        ConfigError: The URL stands for no store, coredis is not installed, or the store refuses this process.
    """
    key = (os.getpid(), url)
    with _lock:
        session, users = _sessions.get(key, (None, 0))
        if session is None:
            session = _new_session(url)
            session.start()
        _sessions[key] = (session, users + 1)
        return session


def close_session(url: str) -> None:
    """Give one use of a session back; the last one ends its thread, and returns when it has ended."""
    key = (os.getpid(), url)
    with _lock:
        held = _sessions.pop(key, None)
        if held is None:
            return  # of the parent process
        session, users = held
        if users > 1:
            _sessions[key] = (session, users - 1)
        else:
            session.close()


def _new_session(url: str) -> LimitsSession:
    if url in _registered:
        return LimitsSession(shown_url(url), _registered[url], lambda _: None)
    if not is_redis_url(url):
        raise ConfigError(
            f"limits_url: {shown_url(url)} stands for no store in this process.", hint="Use a URL such as redis://HOST."
        )
    return LimitsSession(shown_url(url), partial(open_redis_store, url), redis_problem)
