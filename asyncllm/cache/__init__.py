"""The cache of answers: in a SQLite file that processes share, or in Redis, by fingerprints of what was asked.

It knows nothing of clients and pipelines; `pipeline.cached_pipeline` puts it before a provider.
"""

from .fingerprint import fingerprint
from .open_stores import close_store, open_store
from .replay import ReplayedStream
from .single_flight import PendingCall
from .stored_answer import Store, StoredAnswer

__all__ = ["PendingCall", "ReplayedStream", "Store", "StoredAnswer", "close_store", "fingerprint", "open_store"]
