"""The open stores of the process: one for each file or server, shared by the clients that use it."""

from __future__ import annotations

import threading
from pathlib import Path

from ..config.redis_connection import is_redis_url
from .answer_store import AnswerStore
from .stored_answer import Store

# The stores by their file or URL, each with the number of its users.
_stores: dict[str, tuple[Store, int]] = {}
_lock = threading.Lock()


def open_store(location: str, max_bytes: int) -> Store:
    """Return the store of a file, or of a URL of Redis; each user closes it with `close_store`.

    Args:
        location: The file, made when it is missing, or the URL.
        max_bytes: The bound of its answers; the one that was asked for last holds.

    Raises:
        ConfigError: The package that speaks to Redis is not installed.
    """
    with _lock:
        location = _key(location)
        store, users = _stores.get(location, (None, 0))
        if store is None:
            store = _opened(location, max_bytes)
        store.max_bytes = max_bytes
        _stores[location] = (store, users + 1)
    return store


def close_store(store: Store) -> None:
    """Close a store when this was its last user."""
    with _lock:
        location, users = next((key, users) for key, (one, users) in _stores.items() if one is store)
        if users > 1:
            _stores[location] = (store, users - 1)
            return
        del _stores[location]
        store.close()


def _key(location: str) -> str:
    return location if is_redis_url(location) else str(Path(location).resolve())


def _opened(location: str, max_bytes: int) -> Store:
    if not is_redis_url(location):
        return AnswerStore(Path(location), max_bytes)
    from .redis_answers import RedisAnswers

    return RedisAnswers(location, max_bytes)
