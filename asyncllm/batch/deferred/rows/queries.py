"""Operations on the tables of deferred batches."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ..providers.limits import BatchLimits
from ..providers.provider import ProviderBatch
from .tables import DUPLICATES, LIVE, BatchRow, Database, ItemRow, NewItem, State

Operation = Callable[[Database], object]

_UNSENT = "('filling', 'ready')"
_ITEM = (
    "SELECT d.number, d.batch, i.position, i.run, i.stem, d.occurrence, d.sent, d.prompt, d.terms, d.round, d.fate, "
    "d.worst_usd, d.reading, d.request FROM deferred_items d JOIN items i USING (number)"
)


def drop_unsent(database: Database) -> None:
    """Forget batches that were never sent: their requests come again with the input, without the answers of re-asks."""
    unsent = f"WHERE state IN {_UNSENT} AND reasks = 0"
    database.execute(f"DELETE FROM deferred_items WHERE batch IN (SELECT batch FROM deferred_batches {unsent})")
    database.execute(f"DELETE FROM deferred_batches {unsent}")
    database.execute(
        f"DELETE FROM deferred_items WHERE batch = {DUPLICATES} AND sent NOT IN "
        f"(SELECT sent FROM deferred_items WHERE batch != {DUPLICATES})"
    )


def under_way(database: Database, sent: Sequence[bytes]) -> set[bytes]:
    """Return those of the hashes of what is sent of which a request is under way."""
    found = database.execute(f"SELECT DISTINCT sent FROM deferred_items WHERE sent IN ({_marks(sent)})", sent)
    return {one for (one,) in found}


def duplicates_of(database: Database, sent: Sequence[bytes]) -> list[ItemRow]:
    """Return the items that share the answers of requests, by the hashes of what is sent."""
    if not count_items(database, DUPLICATES, most=1):
        return []
    found = database.execute(f"{_ITEM} WHERE d.batch = {DUPLICATES} AND d.sent IN ({_marks(sent)})", sent)
    return [ItemRow(*row) for row in found]


def reserved_usd(database: Database) -> float:
    """Return the most that the requests may cost that have not ended."""
    reserved: float = database.execute("SELECT coalesce(sum(worst_usd), 0) FROM deferred_items").fetchone()[0]
    return reserved


def waiting_among(database: Database, items: Sequence[tuple[int, bytes]]) -> set[int]:
    """Return the numbers of the items, given with what is sent for them, that are with the provider already."""
    found = database.execute(
        f"SELECT number, sent FROM deferred_items WHERE number IN ({_marks(items)})", [number for number, _ in items]
    )
    sent = dict(items)
    return {number for number, as_sent in found if sent[number] == as_sent}


def pack(
    database: Database, items: Sequence[NewItem], limits: BatchLimits, around_bytes: int, after: BatchRow | None = None
) -> None:
    """Put requests into batches, and begin a new one where a limit is reached.

    Args:
        around_bytes: The bytes that stand around each body.
        after: The batch in which their answers were refused.
    """
    reasks, round = (0, 1) if after is None else (after.reasks + 1, after.round + 1)
    filling = (row for row in batches(database, "filling") if (row.reasks, row.round) == (reasks, round))
    row = next(filling, None) or _begin(database, reasks, round)
    requests, size, headers = row.requests, row.size_bytes, json.loads(row.headers)
    for item in items:
        item_bytes = len(item.body) + around_bytes
        if requests >= limits.requests or (requests and size + item_bytes > limits.size_bytes):
            _save(database, row.batch, requests, size, headers)
            set_state(database, row.batch, "ready")
            row, requests, size, headers = _begin(database, reasks, round), 0, 0, {}
        requests, size = requests + 1, size + item_bytes
        headers = _with(headers, item.headers)
        insert(database, row.batch, item)
    _save(database, row.batch, requests, size, headers)


def insert(database: Database, batch: int, item: NewItem) -> None:
    """Put a request into a batch."""
    database.execute(
        "INSERT OR REPLACE INTO deferred_items (number, batch, occurrence, sent, prompt, terms, worst_usd, "
        "reading, request, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (item.number, batch, *item[1:7], *item[8:]),
    )


def adopt(database: Database, found: ProviderBatch) -> int | None:
    """Begin to adopt a batch that something else created, and return it; None when that is done."""
    for row in batches(database):
        if row.provider_id == found.id and row.state != "adopted":
            return None
    for row in batches(database, "adopted"):  # the run before has not come to the end of its requests
        database.execute("DELETE FROM deferred_items WHERE batch = ?", (row.batch,))
        database.execute("DELETE FROM deferred_batches WHERE batch = ?", (row.batch,))
    return database.execute(
        "INSERT INTO deferred_batches (mark, state, requests, provider_id, created_at, expires_at) "
        "VALUES ('', 'adopted', ?, ?, ?, ?)",
        (found.requests, found.id, found.created_at, found.expires_at),
    ).lastrowid


def numbers_of(database: Database, keys: Sequence[bytes]) -> dict[bytes, int]:
    """Return the numbers of the items that a journal has, by their keys."""
    found = database.execute(f"SELECT stem, number FROM items WHERE stem IN ({_marks(keys)})", keys)
    return dict(found)


def count_all(database: Database) -> int:
    """Return the number of all items."""
    count: int = database.execute("SELECT count(*) FROM items").fetchone()[0]
    return count


def waiting(database: Database) -> int:
    """Return the number of requests without an outcome; of an adopted batch, also of those that are not known yet."""
    count: int = database.execute(
        "SELECT (SELECT count(*) FROM deferred_items) + coalesce(sum(requests), 0) FROM deferred_batches "
        "WHERE mark = '' AND state = 'open' AND batch NOT IN (SELECT batch FROM deferred_items)"
    ).fetchone()[0]
    return count


def finish_packing(database: Database) -> None:
    """Note that no more requests come."""
    database.execute("UPDATE deferred_batches SET state = 'ready' WHERE state = 'filling' AND requests > 0")
    database.execute("DELETE FROM deferred_batches WHERE state = 'filling'")


def batches(database: Database, *states: State) -> Iterator[BatchRow]:
    """Yield the batches of some states, or all, in order."""
    where = f"WHERE state IN ({_marks(states)})" if states else ""
    for row in database.execute(f"SELECT * FROM deferred_batches {where} ORDER BY batch", states).fetchall():
        yield BatchRow(*row)


def set_state(database: Database, batch: int, state: State, **columns: object) -> None:
    """Change a batch."""
    names = "".join(f", {name} = ?" for name in columns)
    database.execute(f"UPDATE deferred_batches SET state = ?{names} WHERE batch = ?", (state, *columns.values(), batch))


def send_again(database: Database, batch: int) -> None:
    """Make a batch that the provider refused one that was never sent, of the requests that it still has."""
    requests = count_items(database, batch)
    if not requests:
        set_state(database, batch, "closed")
        return
    set_state(database, batch, "ready", mark=new_mark(), provider_id=None, status="", requests=requests)


def take_live(database: Database, most: int) -> None:
    """Put the first requests that are not with the provider among those that are sent live."""
    unsent = "SELECT batch FROM deferred_batches WHERE state = 'ready' AND reasks = 0"
    first = f"SELECT number FROM deferred_items WHERE batch IN ({unsent}) ORDER BY number LIMIT ?"
    if database.execute(f"UPDATE deferred_items SET batch = {LIVE} WHERE number IN ({first})", (most,)).rowcount:
        left = "(SELECT count(*) FROM deferred_items d WHERE d.batch = deferred_batches.batch)"
        database.execute(f"UPDATE deferred_batches SET requests = {left} WHERE state = 'ready' AND reasks = 0")
        database.execute("DELETE FROM deferred_batches WHERE state = 'ready' AND requests = 0")


def split(database: Database, batch: int) -> bool:
    """Divide a batch that was never sent into two; return False where it has one request."""
    requests = count_items(database, batch)
    if requests < 2:
        return False
    row = next(BatchRow(*row) for row in database.execute("SELECT * FROM deferred_batches WHERE batch = ?", (batch,)))
    other, half = _begin(database, row.reasks, row.round), requests // 2
    at: int = database.execute(
        "SELECT number FROM deferred_items WHERE batch = ? ORDER BY number LIMIT 1 OFFSET ?", (batch, half)
    ).fetchone()[0]
    database.execute("UPDATE deferred_items SET batch = ? WHERE batch = ? AND number >= ?", (other.batch, batch, at))
    _save(database, batch, half, row.size_bytes, json.loads(row.headers))
    _save(database, other.batch, requests - half, row.size_bytes, json.loads(row.headers))
    set_state(database, other.batch, "ready")
    return True


def count_items(database: Database, batch: int, *, most: int = -1) -> int:
    """Return the number of requests of a batch that have not ended; at most so many."""
    counted = "SELECT count(*) FROM (SELECT 1 FROM deferred_items WHERE batch = ? LIMIT ?)"
    count: int = database.execute(counted, (batch, most)).fetchone()[0]
    return count


def mean_bytes(database: Database) -> float:
    """Return the mean size of the requests that are not with the provider; 0 where there are none."""
    count, size = database.execute(
        "SELECT sum(requests), sum(size_bytes) FROM deferred_batches WHERE state = 'ready'"
    ).fetchone()
    return size / count if count else 0.0


def bodies(database: Database, batch: int, after: int, most: int) -> list[tuple[int, bytes]]:
    """Return the next bodies of a batch, with their numbers, in order."""
    return database.execute(
        "SELECT number, body FROM deferred_items WHERE batch = ? AND number > ? ORDER BY number LIMIT ?",
        (batch, after, most),
    ).fetchall()


def items_of(database: Database, batch: int, numbers: Sequence[int]) -> dict[int, ItemRow]:
    """Return items of a batch that have not ended, by their numbers."""
    found = database.execute(f"{_ITEM} WHERE d.batch = ? AND d.number IN ({_marks(numbers)})", (batch, *numbers))
    return {row[0]: ItemRow(*row) for row in found}


def next_items(database: Database, batch: int, most: int, *, leaving: str = "0") -> list[ItemRow]:
    """Return the first items of a batch that have not ended, without those of a condition."""
    found = database.execute(f"{_ITEM} WHERE d.batch = ? AND NOT ({leaving}) ORDER BY d.number LIMIT ?", (batch, most))
    return [ItemRow(*row) for row in found]


def item_at(database: Database, batch: int, line: int) -> ItemRow | None:
    """Return the item of a line of a batch, from 0."""
    row = database.execute(f"{_ITEM} WHERE d.batch = ? ORDER BY d.number LIMIT 1 OFFSET ?", (batch, line)).fetchone()
    return None if row is None else ItemRow(*row)


def expired(status: str) -> str:
    """Return the condition of items that have expired, of a batch that ended so, and that can be sent again."""
    return f"coalesce(fate, '{'expired' if status == 'expired' else ''}') = 'expired' AND body != x''"


def note_fates(database: Database, fates: Sequence[tuple[str, int]]) -> None:
    """Note why items were not answered."""
    database.executemany("UPDATE deferred_items SET fate = ? WHERE number = ?", fates)


def close_batch(database: Database, row: BatchRow, status: str, again: int) -> None:
    """Note that a batch is read, and put its expired items into another batch, or among those that are sent live.

    Batches of its re-asks take no more requests.

    Args:
        again: How many rounds an item may have in batches.
    """
    found = f"batch = ? AND {expired(status)}"
    count: int = database.execute(
        f"SELECT count(*) FROM deferred_items WHERE {found} AND round < ?", (row.batch, again)
    ).fetchone()[0]
    if count:
        other = _begin(database, row.reasks, row.round + 1)
        database.execute(
            f"UPDATE deferred_items SET batch = ?, round = round + 1, fate = NULL WHERE {found} AND round < ?",
            (other.batch, row.batch, again),
        )
        _save(database, other.batch, count, row.size_bytes, json.loads(row.headers))
        set_state(database, other.batch, "ready")
    database.execute(f"UPDATE deferred_items SET batch = {LIVE} WHERE {found}", (row.batch,))
    set_state(database, row.batch, "closed", status=status, ended_at=time.time())
    finish_packing(database)


def add_saving(database: Database, batch: int, saved_usd: float) -> None:
    """Add to what the answers of a batch would have cost more live."""
    database.execute("UPDATE deferred_batches SET saved_usd = saved_usd + ? WHERE batch = ?", (saved_usd, batch))


def drop_items(database: Database, numbers: Sequence[int]) -> None:
    """Forget items that have ended."""
    database.executemany("DELETE FROM deferred_items WHERE number = ?", [(number,) for number in numbers])


def new_mark() -> str:
    """Return a text that no other batch has."""
    return os.urandom(10).hex()


def _begin(database: Database, reasks: int, round: int) -> BatchRow:
    values = (new_mark(), reasks, round)
    number = database.execute(
        "INSERT INTO deferred_batches (mark, state, reasks, round) VALUES (?, 'filling', ?, ?)", values
    ).lastrowid
    return BatchRow(*database.execute("SELECT * FROM deferred_batches WHERE batch = ?", (number,)).fetchone())


def _save(database: Database, batch: int, requests: int, size: int, headers: Mapping[str, str]) -> None:
    database.execute(
        "UPDATE deferred_batches SET requests = ?, size_bytes = ?, headers = ? WHERE batch = ?",
        (requests, size, json.dumps({**headers}), batch),
    )


def _with(headers: dict[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """Return headers with others, whose values are lists."""
    for name, value in more.items():
        named = [*headers.get(name, "").split(","), *value.split(",")]
        headers = {**headers, name: ",".join(dict.fromkeys(one.strip() for one in named if one.strip()))}
    return headers


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))
