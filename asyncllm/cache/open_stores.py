"""The open stores of the process: one for each file, shared by the clients that use it."""

from __future__ import annotations

import threading
from pathlib import Path

from .answer_store import AnswerStore

# The stores by their file, each with the number of its users.
_stores: dict[Path, tuple[AnswerStore, int]] = {}
_lock = threading.Lock()


def open_store(path: Path, max_bytes: int) -> AnswerStore:
    """Return the store of a file; each user closes it with `close_store`.

    Args:
        path: The file, made when it is missing.
        max_bytes: The bound of its answers; the one that was asked for last holds.
    """
    path = path.resolve()
    with _lock:
        store, users = _stores.get(path, (None, 0))
        if store is None:
            store = AnswerStore(path, max_bytes)
        store.max_bytes = max_bytes
        _stores[path] = (store, users + 1)
    return store


def close_store(store: AnswerStore) -> None:
    """Close a store when this was its last user."""
    with _lock:
        users = _stores[store.path][1]
        if users > 1:
            _stores[store.path] = (store, users - 1)
            return
        del _stores[store.path]
        store.close()
