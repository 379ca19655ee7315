"""What a run writes into its journal, one transaction for many items; used by one thread at a time."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .entries import JournalEntry, decode
from .identity import Identity, id_of
from .journal_file import DONE, FAILED, TRUNCATED, UNKNOWN, WAITING, damaged, failures

# Requests that occur more than once, of which the ledger knows by heart how often they have; the others are looked up.
_KEPT_COUNTS = 100_000

STATES = {DONE: "done", TRUNCATED: "truncated", FAILED: "failed"}


@dataclass(frozen=True, slots=True)
class Enrolled:
    """An item that has been entered into the ledger.

    Attributes:
        number: Its number there.
        entry: How it ended in an earlier run; None when it has to be sent.
        why: Why it has to be sent: `new`, `failed`, `truncated`, `unknown`, or what of it has changed.
    """

    number: int
    entry: JournalEntry | None
    why: str | None


@dataclass(frozen=True, slots=True)
class Answered:
    """What is written down of an item that has ended.

    Attributes:
        number: Its number in the ledger.
        identity: What was sent.
        state: DONE, TRUNCATED or FAILED.
        error: The name of the error class.
        input_tokens: Of all its answers, where they are known.
        output_tokens: Likewise.
        cost_usd: Of all its answers; None when unknown.
        entry: The rest, encoded.
        share: Whether identical requests shall find it.
        reached_provider: Whether a request was sent for it.
    """

    number: int
    identity: Identity
    state: int
    error: str | None
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    entry: bytes
    share: bool = False
    reached_provider: bool = True


class Ledger:
    """The writing side of a journal, for one run.

    Args:
        connection: The database.
        path: Where it is, for messages; None for one that is gone with the run.
    """

    def __init__(self, connection: sqlite3.Connection, path: Any) -> None:
        self._connection = connection
        self._path = path
        self._counts: OrderedDict[bytes, int] = OrderedDict()
        self._terms: set[bytes] = set()
        self._version = 0
        self.run = 0

    def begin(self, base: Mapping[str, str], in_flight: Iterable[int], now: float) -> int:
        """Begin a run.

        Args:
            base: The terms of the batch.
            in_flight: The items that the last run had in flight when it ended.
            now: The time.

        Returns:
            How many of these were never answered.
        """
        one = self._connection.execute
        with failures(self._path):
            one("BEGIN IMMEDIATE")
            self._version = one("SELECT coalesce(max(version), 0) FROM answers").fetchone()[0]
            last = one("SELECT max(run) FROM runs").fetchone()[0]
            unknown = self.lose(in_flight)
            # A run that was killed could not say so itself.
            one("UPDATE runs SET ended = 'killed' WHERE run = ? AND ended IS NULL", (last,))
            terms = json.dumps(dict(base))
            self.run = one("INSERT INTO runs (started_at, terms) VALUES (?, ?)", (now, terms)).lastrowid or 0
            one("COMMIT")
        return unknown

    def lose(self, in_flight: Iterable[int]) -> int:
        """Note of the items that the latest run had in flight which were never answered, and return their number."""
        latest = self._connection.execute("SELECT max(run) FROM runs").fetchone()[0]
        rows = [(UNKNOWN, number, WAITING, latest) for number in set(in_flight)]
        lost = self._connection.executemany(
            "UPDATE items SET state = ? WHERE number = ? AND state = ? AND run = ?", rows
        ).rowcount
        self._connection.execute("UPDATE runs SET unknown = unknown + ? WHERE run = ?", (max(lost, 0), latest))
        return max(lost, 0)

    def transaction(self) -> None:
        """Begin to write."""
        self._connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Make what was written last."""
        self._connection.execute("COMMIT")

    def roll_back(self) -> None:
        """Take back what was written since the last commit."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def enrol(self, items: Sequence[tuple[int, Identity]]) -> list[Enrolled]:
        """Enter items of the input, given with their positions, and return what is known of each."""
        return [self._enrol(position, identity) for position, identity in items]

    def answered(self, answers: Sequence[Answered]) -> None:
        """Write down how items ended."""
        many = self._connection.executemany
        many("UPDATE items SET state = ? WHERE number = ?", [(a.state, a.number) for a in answers])
        many(
            "INSERT OR REPLACE INTO answers SELECT number, ?, ?, stem, occurrence, ?, ?, ?, ?, ?, ?, ?, ?, ? "
            "FROM items WHERE number = ?",
            [self._row(answer) for answer in answers],
        )
        for answer in answers:
            self._note_terms(answer.identity)
            if answer.share and answer.state != FAILED:
                self._connection.execute(
                    "INSERT OR REPLACE INTO shared VALUES (?, ?)", (answer.identity.sent, answer.number)
                )
        self._add_up([answer for answer in answers if answer.reached_provider])

    def shared(self, sent: bytes) -> tuple[JournalEntry, int] | None:
        """Return how an identical request ended that was answered, and its position; None when there is none."""
        row = self._connection.execute(
            "SELECT i.position, i.stem, a.entry, a.checksum FROM shared s JOIN answers a USING (number) "
            "JOIN items i USING (number) WHERE s.sent = ? AND a.sent = s.sent AND a.state = ? AND i.run = ?",
            (sent, DONE, self.run),
        ).fetchone()
        if row is None:
            return None
        position, stem, entry, checksum = row
        self._check(entry, checksum)
        return decode(entry, position, id_of(stem)), position

    def sample(self, values: Sequence[Any]) -> None:
        """Add to the time series of the run."""
        self._connection.execute("INSERT INTO samples VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)

    def note_again(self, again: Mapping[str, int]) -> None:
        """Note how many items are sent again, by reason."""
        self._connection.execute("UPDATE runs SET again = ? WHERE run = ?", (json.dumps(dict(again)), self.run))

    def end(self, how: str, in_flight: Iterable[int], now: float) -> None:
        """Note how the run ended, and which items it had in flight."""
        self.lose(in_flight)
        self._connection.execute("UPDATE runs SET ended_at = ?, ended = ? WHERE run = ?", (now, how, self.run))

    def close(self) -> None:
        """Close the database; what was not committed is gone."""
        self._connection.close()

    def _enrol(self, position: int, identity: Identity) -> Enrolled:
        one = self._connection.execute
        row = self._known(identity.stem, 0)
        occurrence = 0
        if row is not None and row[1] == self.run:
            occurrence = self._count(identity.stem)
            row = self._known(identity.stem, occurrence)
        if row is None:
            number = one(
                "INSERT INTO items (stem, occurrence, run, position, state) VALUES (?, ?, ?, ?, ?)",
                (identity.stem, occurrence, self.run, position, WAITING),
            ).lastrowid
            assert number is not None
            return Enrolled(number, None, "new")
        number, _, item_state, state, sent, prompt, terms, entry, checksum = row
        done = state == DONE and sent == identity.sent
        one(
            "UPDATE items SET run = ?, position = ?, state = ? WHERE number = ?",
            (self.run, position, DONE if done else WAITING, number),
        )
        if done:
            self._check(entry, checksum)
            return Enrolled(number, decode(entry, position, id_of(identity.stem)), None)
        if item_state == UNKNOWN:
            return Enrolled(number, None, "unknown")
        if state is None:
            return Enrolled(number, None, "new")
        if sent != identity.sent:
            return Enrolled(number, None, self._change(identity, prompt, terms))
        return Enrolled(number, None, STATES[state])

    def _known(self, stem: bytes, occurrence: int) -> Any:
        return self._connection.execute(
            "SELECT i.number, i.run, i.state, a.state, a.sent, a.prompt, a.terms, a.entry, a.checksum "
            "FROM items i LEFT JOIN answers a USING (number) WHERE i.stem = ? AND i.occurrence = ?",
            (stem, occurrence),
        ).fetchone()

    def _count(self, stem: bytes) -> int:
        """Return how often a request has occurred in this run, of one that has, and count it once more."""
        count = self._counts.pop(stem, None)
        if count is None:
            last = self._connection.execute(
                "SELECT occurrence FROM items WHERE stem = ? AND run = ? ORDER BY occurrence DESC LIMIT 1",
                (stem, self.run),
            ).fetchone()
            count = last[0] + 1
        self._counts[stem] = count + 1
        if len(self._counts) > _KEPT_COUNTS:
            self._counts.popitem(last=False)
        return int(count)

    def _change(self, identity: Identity, prompt: bytes, terms: bytes) -> str:
        changed = [] if prompt == identity.prompt else ["prompt"]
        if terms != identity.terms.digest:
            row = self._connection.execute("SELECT parts FROM terms WHERE digest = ?", (terms,)).fetchone()
            changed += changes(json.loads(row[0]) if row else {}, identity.terms.parts)
        return " and ".join(f"{name} changed" for name in changed) or "changed"

    def _note_terms(self, identity: Identity) -> None:
        terms = identity.terms
        if terms.digest in self._terms:
            return
        if len(self._terms) >= _KEPT_COUNTS:
            self._terms.clear()
        self._terms.add(terms.digest)
        self._connection.execute(
            "INSERT OR IGNORE INTO terms VALUES (?, ?, ?)",
            (terms.digest, json.dumps(dict(terms.parts)), json.dumps(sorted(terms.own))),
        )

    def _row(self, answer: Answered) -> tuple[Any, ...]:
        self._version += 1
        identity = answer.identity
        return (
            checksum(answer.entry),
            self._version,
            identity.sent,
            identity.prompt,
            identity.terms.digest,
            answer.state,
            answer.error,
            answer.input_tokens,
            answer.output_tokens,
            answer.cost_usd,
            answer.entry,
            answer.number,
        )

    def _add_up(self, answers: Sequence[Answered]) -> None:
        self._connection.execute(
            "UPDATE runs SET answered = answered + ?, failed = failed + ?, input_tokens = input_tokens + ?, "
            "output_tokens = output_tokens + ?, cost_usd = cost_usd + ?, unpriced = unpriced + ? WHERE run = ?",
            (
                sum(a.state != FAILED for a in answers),
                sum(a.state == FAILED for a in answers),
                sum(a.input_tokens or 0 for a in answers),
                sum(a.output_tokens or 0 for a in answers),
                sum(a.cost_usd or 0.0 for a in answers),
                sum(a.cost_usd is None and a.state != FAILED for a in answers),
                self.run,
            ),
        )

    def _check(self, entry: bytes, expected: int) -> None:
        if checksum(entry) != expected:
            raise damaged(self._path, "an answer in it is not what was written")


def checksum(entry: bytes) -> int:
    """Return what tells an answer as it was written from one that a broken disk gives back."""
    return zlib.crc32(entry)


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Name the terms that differ."""
    return [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
