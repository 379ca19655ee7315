"""The cache of answers: a SQLite file that several processes share, and the fingerprints of what was asked.

It knows nothing of clients and pipelines; `pipeline.cached_pipeline` puts it before a provider.
"""

from .answer_store import AnswerStore, StoredAnswer
from .fingerprint import fingerprint
from .open_stores import close_store, open_store
from .replay import ReplayedStream
from .single_flight import Flight

__all__ = ["AnswerStore", "Flight", "ReplayedStream", "StoredAnswer", "close_store", "fingerprint", "open_store"]
