"""The writing side of a journal: many items to a transaction, by one thread at a time."""

from __future__ import annotations

import json
import sqlite3
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .answer_row import INSERT_ANSWER, AnswerRow
from .entry import JournalEntry, decode
from .fingerprint import Fingerprint, RequestSettings, changes, id_of, key_of, settings_of
from .journal_file import DONE, FAILED, TRUNCATED, UNKNOWN, WAITING, damaged, failures

# Of requests that occur more than once, how many have their count in memory; the others are looked up.
_KEPT_COUNTS = 100_000
# Of items with one id, how many are looked through for one that came elsewhere before.
_LOOKED_THROUGH = 100
# Where the columns of an item have the hash of its messages, behind its number, run and state.
_PROMPT = 3 + AnswerRow._fields.index("prompt")

NEW, FAILURE, CUT, LOST, REASON_UNKNOWN = "new", "failed", "truncated", "unknown", "changed"
STATES = {TRUNCATED: CUT, FAILED: FAILURE, UNKNOWN: LOST}
_LATEST = "(SELECT coalesce(max(run), 0) FROM runs WHERE ended = 'done')"

_Columns = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Registered:
    """An item that has been entered into a journal.

    Attributes:
        number: Its number there.
        occurrence: Its index among the items of its key.
        entry: How it ended in an earlier run; None when it has to be sent.
        why: Why it has to be sent: `new`, `failed`, `truncated`, `unknown`, or what of it has changed.
        duplicate: How an identical item ended, where that was asked for.
    """

    number: int
    occurrence: int
    entry: JournalEntry | None
    why: str | None
    duplicate: JournalEntry | None = None


class JournalStore:
    """The database of a journal, for the run that writes it."""

    def __init__(self, connection: sqlite3.Connection, path: Path | None, *, find_duplicates: bool = False) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._path = path
        self._find_duplicates = find_duplicates
        self._counts: OrderedDict[bytes, int] = OrderedDict()
        self._noted_settings: set[bytes] = set()
        self._version = 0
        self._before: Mapping[str, str] | None = None
        self.run = 0

    def begin(self, base: Mapping[str, str], in_flight: Mapping[int, float], now: float) -> int:
        """Begin a run.

        Args:
            in_flight: The items that the previous run had in flight when it ended, with what each may have cost.

        Returns:
            The number of requests that the previous run had in flight when it ended.
        """
        with failures(self._path):
            self.transaction()
            self._version = self._execute("SELECT coalesce(max(version), 0) FROM answers").fetchone()[0]
            # A run that was killed could not note its own end.
            self._lose(in_flight)
            self._execute("UPDATE runs SET ended = 'killed' WHERE ended IS NULL")
            before = self._execute("SELECT terms, unknown FROM runs ORDER BY run DESC LIMIT 1").fetchone()
            self._before = None if before is None else self._loaded(before[0])
            inserted = self._execute("INSERT INTO runs (started_at, terms) VALUES (?, ?)", (now, json.dumps({**base})))
            self.run = inserted.lastrowid or 0
            self.commit()
        return 0 if before is None else before[1]

    def look(self) -> None:
        """Read the settings of the latest run, of a journal that is opened for reading only."""
        row = self._execute("SELECT terms FROM runs ORDER BY run DESC LIMIT 1").fetchone()
        self._before = None if row is None else self._loaded(row[0])

    def resume(self, in_flight: Mapping[int, float]) -> bool:
        """Go on with the latest run, which has no input of its own this time; return False when there was none.

        Args:
            in_flight: What it had in flight when it was killed.
        """
        with failures(self._path):
            self.transaction()
            self._lose(in_flight)
            self._version = self._execute("SELECT coalesce(max(version), 0) FROM answers").fetchone()[0]
            self.run = self._execute("SELECT coalesce(max(run), 0) FROM runs").fetchone()[0]
            self._execute("UPDATE runs SET ended = NULL, ended_at = NULL WHERE run = ?", (self.run,))
            self.commit()
        return self.run > 0

    @property
    def connection(self) -> sqlite3.Connection:
        """The database, for tables beside those of this class."""
        return self._connection

    @property
    def before(self) -> Mapping[str, str] | None:
        """The settings of the previous run; None when there was none."""
        return self._before

    @property
    def spent_usd(self) -> float:
        """The cost of all runs, with what they had in flight when they ended."""
        spent: float = self._execute(
            "SELECT coalesce(sum(max(cost_usd, charged_usd) + unknown_usd), 0) FROM runs"
        ).fetchone()[0]
        return spent

    @property
    def taken_usd(self) -> float:
        """What this run has taken out of its budget, without what it had in flight when it was killed."""
        taken: float = self._execute(
            "SELECT max(cost_usd, charged_usd) FROM runs WHERE run = ?", (self.run,)
        ).fetchone()[0]
        return taken

    def transaction(self) -> None:
        """Begin a transaction."""
        self._execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Commit the transaction."""
        self._execute("COMMIT")

    def roll_back(self) -> None:
        """Roll the transaction back, if there is one."""
        if self._connection.in_transaction:
            self._execute("ROLLBACK")

    def register(self, items: Sequence[tuple[int, Fingerprint]]) -> list[Registered]:
        """Enter items, given with their positions in the input, and return what the journal has of each."""
        return [self._register(position, fingerprint) for position, fingerprint in items]

    def record(self, row: AnswerRow, settings: RequestSettings, *, was_sent: bool) -> None:
        """Write down how an item ended.

        Args:
            row: How; its version and checksum are added here.
            was_sent: Whether a request was sent for it, and counts.
        """
        self._version += 1
        row = row.sealed(self._version)
        self._set_state(row.number, row.state)
        self._execute(INSERT_ANSWER, row)
        self.note_settings(settings)
        if was_sent:
            self._add_up(row)
            if self._find_duplicates and row.state != FAILED:
                self._execute("INSERT OR REPLACE INTO shared VALUES (?, ?)", (row.sent, row.number))

    def charge(self, usd: float) -> None:
        """Note what the run has taken out of its budget, where that is more than its answers cost."""
        self._execute("UPDATE runs SET charged_usd = ? WHERE run = ?", (usd, self.run))

    def reopen(self, numbers: Iterable[int]) -> None:
        """Note that items that were done are sent again."""
        for number in numbers:
            self._set_state(number, WAITING)

    def add_sample(self, values: Sequence[float | str | None]) -> None:
        """Add to the time series of the run."""
        self._execute("INSERT INTO samples VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)

    def end(self, how: str, in_flight: Mapping[int, float], again: Mapping[str, int], now: float) -> None:
        """Note how the run ended, which items it had in flight, and how many it sent again, by reason."""
        self._lose(in_flight)
        self._execute(
            "UPDATE runs SET ended_at = ?, ended = ?, again = ? WHERE run = ?",
            (now, how, json.dumps({**again}), self.run),
        )

    def status(self, fingerprint: Fingerprint, occurrence: int) -> str | None:
        """Return why an item would be sent; None when it is done."""
        row = self._known(fingerprint.key, occurrence)
        return self._why_new(fingerprint) if row is None else self._why(fingerprint, row[2], row[3:])

    @property
    def answer_count(self) -> int:
        """The number of items that have an answer, in the latest input or in earlier ones."""
        count: int = self._execute(f"SELECT count(*) FROM answers WHERE state = {DONE}").fetchone()[0]
        return count

    def answers_by_settings(self) -> Iterator[tuple[int, bytes, int]]:
        """Count the items of the latest input by their state and the settings of their answers."""
        yield from self._execute(
            "SELECT i.state, a.terms, count(*) FROM items i LEFT JOIN answers a USING (number) "
            f"WHERE i.run >= {_LATEST} AND i.state != {WAITING} GROUP BY i.state, a.terms"
        )

    def settings(self, digest: bytes) -> tuple[Mapping[str, str], frozenset[str]]:
        """Return the settings of a digest, and the names of those that the request has itself."""
        row = self._execute("SELECT parts, own FROM terms WHERE digest = ?", (digest,)).fetchone()
        return ({}, frozenset()) if row is None else (self._loaded(row[0]), frozenset(self._loaded(row[1])))

    def close(self) -> None:
        """Close the database; what is not committed is lost."""
        self._connection.close()

    def _loaded(self, text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError:
            raise damaged(self._path, "what it says of its runs is not what was written") from None

    def _set_state(self, number: int, state: int) -> None:
        self._execute("UPDATE items SET state = ? WHERE number = ?", (state, number))

    def _register(self, position: int, fingerprint: Fingerprint) -> Registered:
        row = self._known(fingerprint.key, 0)
        occurrence = 0
        while row is not None and row[1] == self.run:  # one of them may have moved to where others of the id were
            occurrence = self._count(fingerprint.key)
            row = self._known(fingerprint.key, occurrence)
        if (row is None or row[_PROMPT] != fingerprint.prompt) and (moved := self._moved(fingerprint)) is not None:
            occurrence, row = moved
        if row is None:
            number = self._execute(
                "INSERT INTO items (stem, occurrence, run, position, state) VALUES (?, ?, ?, ?, ?)",
                (fingerprint.key, occurrence, self.run, position, WAITING),
            ).lastrowid
            assert number is not None
            why: str | None = self._why_new(fingerprint) if occurrence == 0 else NEW
        else:
            number, _, state, *answer = row
            why = self._why(fingerprint, state, answer)
            self._execute(
                "UPDATE items SET run = ?, position = ?, state = ? WHERE number = ?",
                (self.run, position, DONE if why is None else WAITING, number),
            )
            if why is None:
                if self._find_duplicates:
                    self._execute("INSERT OR IGNORE INTO shared VALUES (?, ?)", (fingerprint.sent, number))
                return Registered(number, occurrence, self._entry(answer, position), None)
        duplicate = self._duplicate(fingerprint.sent) if self._find_duplicates else None
        return Registered(number, occurrence, None, why, duplicate)

    def _known(self, key: bytes, occurrence: int) -> _Columns | None:
        """Return number, run and state of an item, and the columns of its answer; None when there is no such item."""
        row: _Columns | None = self._execute(
            "SELECT i.number, i.run, i.state, a.* FROM items i LEFT JOIN answers a USING (number) "
            "WHERE i.stem = ? AND i.occurrence = ?",
            (key, occurrence),
        ).fetchone()
        return row

    def _moved(self, fingerprint: Fingerprint) -> tuple[int, _Columns] | None:
        """Return the answer of a request whose id others have too, where it came elsewhere among them before."""
        if id_of(fingerprint.key) is None:
            return None
        found = self._execute(
            "SELECT i.occurrence FROM (SELECT number, occurrence FROM items WHERE stem = ? AND run < ? LIMIT ?) i "
            "JOIN answers a USING (number) WHERE a.prompt = ? LIMIT 1",
            (fingerprint.key, self.run, _LOOKED_THROUGH, fingerprint.prompt),
        ).fetchone()
        if found is None:
            return None
        occurrence: int = found[0]
        row = self._known(fingerprint.key, occurrence)
        return None if row is None else (occurrence, row)

    def _why(self, fingerprint: Fingerprint, state: int, columns: _Columns) -> str | None:
        """Return why a known item has to be sent; None when it is done."""
        answer = AnswerRow(*columns) if columns[0] is not None else None
        if answer is not None and answer.state == DONE and answer.sent == fingerprint.sent:
            return None
        if state == UNKNOWN:
            return LOST
        if answer is None:
            return NEW
        if answer.sent == fingerprint.sent:
            return STATES[answer.state]
        names = [] if answer.prompt == fingerprint.prompt else ["prompt"]
        if answer.settings != fingerprint.settings.digest:
            names += changes(self.settings(answer.settings)[0], fingerprint.settings.parts)
        return reason(names) or REASON_UNKNOWN

    def _why_new(self, fingerprint: Fingerprint) -> str:
        """Return why an item is not known: it is new, or has no id and was sent with other settings before."""
        before = self._before
        if before is None or id_of(fingerprint.key) is not None:
            return NEW
        now = fingerprint.settings
        parts = {name: value for name, value in before.items() if name not in now.own}
        parts |= {name: value for name, value in now.parts.items() if name in now.own}
        then = settings_of(parts, now.own)
        if then.digest == now.digest or self._known(key_of(None, fingerprint.prompt, then), 0) is None:
            return NEW
        return reason(changes(parts, now.parts)) or NEW

    def _count(self, key: bytes) -> int:
        """Return the number of occurrences in this run of a key that has one, and add another."""
        count = self._counts.pop(key, None)
        if count is None:
            count = self._execute(
                "SELECT occurrence + 1 FROM items WHERE stem = ? AND run = ? ORDER BY occurrence DESC LIMIT 1",
                (key, self.run),
            ).fetchone()[0]
        self._counts[key] = count + 1
        if len(self._counts) > _KEPT_COUNTS:
            self._counts.popitem(last=False)
        return count

    def _duplicate(self, sent: bytes) -> JournalEntry | None:
        row = self._execute(
            "SELECT i.position, a.* FROM shared s JOIN answers a USING (number) JOIN items i USING (number) "
            "WHERE s.sent = ? AND a.sent = s.sent AND a.state != ? AND i.run = ?",
            (sent, FAILED, self.run),
        ).fetchone()
        return None if row is None else self._entry(row[1:], row[0])

    def _entry(self, columns: _Columns, position: int) -> JournalEntry:
        row = AnswerRow(*columns)
        if not row.is_whole:
            raise damaged(self._path, "an answer in it is not what was written")
        return decode(row.entry, position, id_of(row.key))

    def note_settings(self, settings: RequestSettings) -> None:
        """Keep settings, so that their names can be told from the hash of them."""
        if settings.digest in self._noted_settings:
            return
        if len(self._noted_settings) >= _KEPT_COUNTS:
            self._noted_settings.clear()
        self._noted_settings.add(settings.digest)
        parts, own = json.dumps({**settings.parts}), json.dumps(sorted(settings.own))
        self._execute("INSERT OR IGNORE INTO terms VALUES (?, ?, ?)", (settings.digest, parts, own))

    def _add_up(self, row: AnswerRow) -> None:
        failed = row.state == FAILED
        self._execute(
            "UPDATE runs SET answered = answered + ?, failed = failed + ?, input_tokens = input_tokens + ?, "
            "output_tokens = output_tokens + ?, cost_usd = cost_usd + ?, unpriced = unpriced + ? WHERE run = ?",
            (
                not failed,
                failed,
                row.input_tokens or 0,
                row.output_tokens or 0,
                row.cost_usd or 0.0,
                row.cost_usd is None and not failed,
                self.run,
            ),
        )

    def _lose(self, in_flight: Mapping[int, float]) -> None:
        """Mark the items that the latest run had in flight and that were never answered."""
        latest, usual_usd = self._execute(
            "SELECT run, cost_usd / max(answered + failed, 1) FROM runs ORDER BY run DESC LIMIT 1"
        ).fetchone() or (0, 0.0)
        lost, usd = 0, 0.0
        for number, reserved_usd in in_flight.items():
            found = self._execute(
                "UPDATE items SET state = ? WHERE number = ? AND state = ? AND run = ?",
                (UNKNOWN, number, WAITING, latest),
            ).rowcount
            lost += found
            usd += found * (reserved_usd or usual_usd)
        self._execute(
            "UPDATE runs SET unknown = unknown + ?, unknown_usd = unknown_usd + ? WHERE run = ?", (lost, usd, latest)
        )


def reason(names: Sequence[str]) -> str | None:
    """Return the names of changed settings as a reason; None when there are none."""
    return " and ".join(f"{name} changed" for name in names) or None
