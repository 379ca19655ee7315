"""The tables of a journal that hold deferred batches: what is with the provider, and what will be.

They are beside the tables of every journal, and only in those of deferred batches. What a request needs to be sent
again, or to be asked for live, is kept until it has ended.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Literal, NamedTuple

State = Literal["filling", "ready", "sending", "adopted", "open", "closed"]
"""`filling` takes requests; `ready` is complete; `sending` may exist at the provider; `open` does; `closed` is read.
Of a batch that something else created, `adopted` is one whose requests are being read."""

Database = sqlite3.Connection

LIVE, DUPLICATES = 0, -1
"""The batches of items that are sent live, and of those that share the answer of an identical one."""

_TABLES = (
    """CREATE TABLE IF NOT EXISTS deferred_batches (
    batch INTEGER PRIMARY KEY, mark TEXT NOT NULL, state TEXT NOT NULL, requests INTEGER NOT NULL DEFAULT 0,
    size_bytes INTEGER NOT NULL DEFAULT 0, headers TEXT NOT NULL DEFAULT '{}', provider_id TEXT,
    status TEXT NOT NULL DEFAULT '', answered INTEGER NOT NULL DEFAULT 0, created_at REAL NOT NULL DEFAULT 0,
    expires_at REAL NOT NULL DEFAULT 0, noted_at REAL NOT NULL DEFAULT 0, reasks INTEGER NOT NULL DEFAULT 0,
    round INTEGER NOT NULL DEFAULT 1, ended_at REAL NOT NULL DEFAULT 0, saved_usd REAL NOT NULL DEFAULT 0
)""",
    """CREATE TABLE IF NOT EXISTS deferred_items (
    number INTEGER PRIMARY KEY, batch INTEGER NOT NULL, occurrence INTEGER NOT NULL, sent BLOB NOT NULL,
    prompt BLOB NOT NULL, terms BLOB NOT NULL, round INTEGER NOT NULL DEFAULT 1, fate TEXT, worst_usd REAL NOT NULL,
    reading TEXT NOT NULL, request BLOB NOT NULL, body BLOB NOT NULL
)""",
    "CREATE INDEX IF NOT EXISTS deferred_items_by_batch ON deferred_items (batch, number)",
)


class BatchRow(NamedTuple):
    """A batch; the fields are the columns, in their order.

    Attributes:
        mark: The text by which it is found at the provider; empty for one that something else created.
        size_bytes: The bytes of its bodies, and what stands around them.
        headers: Headers that it is created with, as JSON.
        status: How it is, or how it ended.
        noted_at: When its creation was begun, in Unix time.
        reasks: How often the answers to its requests were refused before.
        round: In which round of batches it is, from 1.
        ended_at: When its results were read, in Unix time; 0 before.
        saved_usd: What its answers would have cost more live.
    """

    batch: int
    mark: str
    state: State
    requests: int
    size_bytes: int
    headers: str
    provider_id: str | None
    status: str
    answered: int
    created_at: float
    expires_at: float
    noted_at: float
    reasks: int
    round: int
    ended_at: float
    saved_usd: float


class NewItem(NamedTuple):
    """A request that is packed into a batch.

    Attributes:
        headers: Headers that its batch has to be created with.
        reading: What has to be known to read its answer.
        request: The request as it was made, for a re-ask; see `requests`.
        body: The body in the provider's format.
    """

    number: int
    occurrence: int
    sent: bytes
    prompt: bytes
    settings: bytes
    worst_usd: float
    reading: str
    headers: Mapping[str, str]
    request: bytes
    body: bytes


class ItemRow(NamedTuple):
    """A request that has not ended.

    Attributes:
        position: Its index in the input.
        run: The run whose input had it last.
        key: Its key in the journal.
        round: How often it was put into a batch.
        fate: Why the provider did not answer it.
        worst_usd: What is held for it of the budget.
    """

    number: int
    batch: int
    position: int
    run: int
    key: bytes
    occurrence: int
    sent: bytes
    prompt: bytes
    settings: bytes
    round: int
    fate: str | None
    worst_usd: float
    reading: str
    request: bytes


def create_tables(database: Database) -> None:
    """Add the tables to a journal that has none."""
    for statement in _TABLES:
        database.execute(statement)


def index_duplicates(database: Database) -> None:
    """Add the index by which identical requests are found."""
    database.execute("CREATE INDEX IF NOT EXISTS deferred_items_by_sent ON deferred_items (sent)")
