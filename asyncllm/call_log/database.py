"""The log in a SQLite file: its tables, its bounds, and what is asked of it."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .entry import FIELDS, LoggedCall

_APPLICATION_ID = 0x6C6C6D6C  # "llml"
_JSON_FIELDS = frozenset(("params", "messages", "answer"))
_COLUMNS = ", ".join(FIELDS)
_SCHEMA = (
    f"CREATE TABLE calls (id INTEGER PRIMARY KEY, {_COLUMNS}, size INTEGER NOT NULL)",
    "CREATE INDEX calls_by_time ON calls (at)",
    "CREATE VIRTUAL TABLE words USING fts5(prompt, answer)",
    "CREATE TABLE total (bytes INTEGER NOT NULL)",
    "INSERT INTO total VALUES (0)",
    "CREATE TRIGGER added AFTER INSERT ON calls BEGIN UPDATE total SET bytes = bytes + new.size; END",
    "CREATE TRIGGER removed AFTER DELETE ON calls BEGIN "
    "UPDATE total SET bytes = bytes - old.size; DELETE FROM words WHERE rowid = old.id; END",
)
_BUSY_S = 5.0
_DAY_S = 86_400.0
# What a row takes beside its texts.
_ROW_BYTES = 250
# Room that is made at a time when the file is full, as a share of its bound.
_REMOVED_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Selection:
    """Which calls are meant; None for any.

    Attributes:
        words: Words of the prompt or the answer, in the syntax of SQLite's FTS5.
        model: A part of the model's name.
        profile: The profile.
        tenant: The tenant.
        status: `answered`, `failed`, `interrupted` or `cancelled`.
        since: Unix time in seconds.
    """

    words: str | None = None
    model: str | None = None
    profile: str | None = None
    tenant: str | None = None
    status: str | None = None
    since: float | None = None

    def where(self) -> tuple[str, list[object]]:
        """Return the condition in SQL, and its values."""
        conditions: list[str] = []
        values: list[object] = []
        for condition, value in (
            ("id IN (SELECT rowid FROM words WHERE words MATCH ?)", self.words),
            ("instr(model, ?)", self.model),
            ("profile = ?", self.profile),
            ("tenant = ?", self.tenant),
            ("status = ?", self.status),
            ("at >= ?", self.since),
        ):
            if value is not None:
                conditions.append(condition)
                values.append(value)
        return (f"WHERE {' AND '.join(conditions)}" if conditions else ""), values


@dataclass(frozen=True, slots=True)
class Total:
    """Calls added up.

    Attributes:
        key: What they have in common: a day, a model, a profile or a tenant; None for calls without a tenant.
        calls: Their number.
        failed: How many of them were not answered.
        cached: How many of them were answered from the cache.
        input_tokens: Tokens sent.
        output_tokens: Tokens received.
        cost_usd: Their cost in US dollars, of those whose cost is known.
        saved_usd: What answers of the cache cost when they were asked for, in US dollars.
        elapsed_s: The mean of their seconds.
    """

    key: str | None
    calls: int
    failed: int
    cached: int
    input_tokens: int
    output_tokens: int
    cost_usd: float
    saved_usd: float
    elapsed_s: float


TOTALS = {
    "day": "date(at, 'unixepoch', 'localtime')",
    "model": "model",
    "profile": "profile",
    "tenant": "tenant",
}
"""What calls are added up by, with its expression in SQL."""
# Answers of the cache took no tokens.
_SENT = "CASE WHEN transport = 'cache' THEN 0 ELSE {} END"


class CallDatabase:
    """The log in one SQLite file, which several processes may write.

    Args:
        path: The file.
        create: Make it when it is missing.

    Raises:
        FileNotFoundError: It is missing, and is not to be made.
        sqlite3.Error: It is another database, damaged, or cannot be opened.
    """

    def __init__(self, path: Path, *, create: bool = False) -> None:
        if not create and not path.is_file():
            raise FileNotFoundError(f"there is no call log {path}")
        self._connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def add(self, calls: Iterable[LoggedCall], *, max_bytes: int, max_age_days: float | None) -> None:
        """Add calls, and remove the oldest where they would not fit or are too old."""
        connection = self._connection
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            for call in calls:
                row = [_stored(call, name) for name in FIELDS]
                size = _ROW_BYTES + sum(len(value) for value in row if isinstance(value, str))
                marks = ", ".join("?" * (len(row) + 1))
                added = connection.execute(f"INSERT INTO calls ({_COLUMNS}, size) VALUES ({marks})", [*row, size])
                if call.messages is not None:
                    texts = (added.lastrowid, call.prompt_text, call.answer_text)
                    connection.execute("INSERT INTO words (rowid, prompt, answer) VALUES (?, ?, ?)", texts)
            self._keep_within(max_bytes, max_age_days)

    def calls(self, selection: Selection, limit: int | None = None) -> Iterator[LoggedCall]:
        """Yield calls, the newest first."""
        where, values = selection.where()
        query = f"SELECT {_COLUMNS}, id FROM calls {where} ORDER BY id DESC LIMIT ?"
        for row in self._connection.execute(query, [*values, -1 if limit is None else limit]):
            yield _loaded(row)

    def call(self, id: int) -> LoggedCall | None:
        """Return the call of a number; None when there is none."""
        row = self._connection.execute(f"SELECT {_COLUMNS}, id FROM calls WHERE id = ?", (id,)).fetchone()
        return None if row is None else _loaded(row)

    def totals(self, selection: Selection, by: str) -> list[Total]:
        """Return calls added up by one of `TOTALS`: days in order, others by cost."""
        where, values = selection.where()
        order = "1" if by == "day" else "total(cost_usd) DESC, count(*) DESC, 1"
        query = (
            f"SELECT {TOTALS[by]}, count(*), sum(status != 'answered'), sum(transport = 'cache'), "
            f"sum({_SENT.format('ifnull(input_tokens, 0)')}), sum({_SENT.format('ifnull(output_tokens, 0)')}), "
            f"total(cost_usd), total(saved_usd), avg(elapsed_s) FROM calls {where} GROUP BY 1 ORDER BY {order}"
        )
        return [Total(*row) for row in self._connection.execute(query, values)]

    def _prepare(self) -> None:
        connection = self._connection
        (id,) = connection.execute("PRAGMA application_id").fetchone()
        if id == 0 and not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            connection.execute("PRAGMA journal_mode = wal")
            connection.execute("BEGIN IMMEDIATE")
            # Another process may have been first.
            if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                for statement in _SCHEMA:
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            connection.execute("COMMIT")
        elif id != _APPLICATION_ID:
            raise sqlite3.DatabaseError("it is another database")
        connection.execute("PRAGMA synchronous = normal")

    def _keep_within(self, max_bytes: int, max_age_days: float | None) -> None:
        connection = self._connection
        if max_age_days is not None:
            connection.execute("DELETE FROM calls WHERE at < ?", (time.time() - max_age_days * _DAY_S,))
        (size,) = connection.execute("SELECT bytes FROM total").fetchone()
        surplus = size - max_bytes * (1 - _REMOVED_SHARE) if size > max_bytes else 0.0
        if surplus > 0:
            removed: list[tuple[int]] = []
            for id, row_size in connection.execute("SELECT id, size FROM calls ORDER BY id"):
                if surplus <= 0:
                    break
                surplus -= row_size
                removed.append((id,))
            connection.executemany("DELETE FROM calls WHERE id = ?", removed)


def _stored(call: LoggedCall, name: str) -> object:
    value: object = getattr(call, name)
    return json.dumps(value, ensure_ascii=True, default=repr) if name in _JSON_FIELDS and value is not None else value


def _loaded(row: Sequence[object]) -> LoggedCall:
    values: list[object] = [
        json.loads(value) if name in _JSON_FIELDS and isinstance(value, str) else value
        for name, value in zip((*FIELDS, "id"), row, strict=True)
    ]
    return LoggedCall(*values)  # type: ignore[arg-type]  # as they were stored
