"""The figures that a journal adds up: items by how far they are, costs, tokens, and what may have been paid for."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from asyncllm import AuthenticationError, Journal, Request, ServerError
from asyncllm.batch.journal.fingerprint import Fingerprinter
from asyncllm.batch.journal.in_flight import InFlightFile, read_in_flight, remove_in_flight
from asyncllm.batch.journal.journal import JournalSummary, RunSummary, Sample
from asyncllm.batch.journal.lock import JournalLock
from asyncllm.batch.journal.store import JournalStore
from asyncllm.batch.outcome import Outcome
from asyncllm.completions.usage import Usage

from .journals import MODEL, USAGE, completion, open_store, outcome, row_of, write_run

IDENTIFY = Fingerprinter(MODEL, {}, {})
CUT = Outcome(0, None, None, "cu", completion("cu", finish_reason="length"), None, 0.25, USAGE)


def failure(error: Exception) -> Outcome[str]:
    """Return how an item ended with an error."""
    return Outcome(0, error=error)


def killed_run(path: Path, answered: int, lost: dict[int, float]) -> JournalStore:
    """Write a run that was killed, and begin the next.

    Args:
        path: The journal.
        answered: How many of its four items were answered.
        lost: The items that were in flight by their index, with what was reserved for each.
    """
    requests = [Request(f"{n}") for n in range(4)]
    registered = write_run(path, requests, [outcome(f"{n}") if n < answered else None for n in range(4)], ended=None)
    store = open_store(path)
    store.begin(IDENTIFY.base.parts, {registered[n].number: usd for n, usd in lost.items()}, 300.0)
    return store


def test_a_journal_without_items_has_nothing(path: Path) -> None:
    """Every figure of an empty run is 0, and none is missing."""
    write_run(path, [], [])
    run = RunSummary(
        run=1,
        started_at=100.0,
        ended_at=200.0,
        ended="done",
        answered=0,
        failed=0,
        unknown=0,
        input_tokens=0,
        output_tokens=0,
        cost_usd=0.0,
        unpriced=0,
        unknown_usd=0.0,
        again={},
    )
    assert Journal.read(path).summary() == JournalSummary(
        items=0,
        done=0,
        truncated=0,
        failed={},
        waiting=0,
        in_flight=0,
        unknown=0,
        input_tokens=0,
        output_tokens=0,
        cost_usd=0.0,
        unpriced=0,
        unknown_usd=0.0,
        running=False,
        runs=(run,),
    )
    assert list(Journal.read(path).outcomes()) == []
    assert list(Journal.read(path).samples()) == []


def test_every_item_is_counted_once(path: Path) -> None:
    """Answered, failed and waiting items add up to all of them; errors come by how many they are, then by name."""
    ends = [
        outcome("whole"),
        CUT,
        failure(ServerError("no")),
        failure(ServerError("no")),
        failure(AuthenticationError("no")),
        failure(ValueError("no")),
        None,
    ]
    write_run(path, [Request(f"{n}") for n in range(len(ends))], ends, ended="stopped")
    summary = Journal.read(path).summary()
    assert (summary.items, summary.done, summary.truncated, summary.waiting) == (7, 2, 1, 1)
    assert list(summary.failed.items()) == [("ServerError", 2), ("AuthenticationError", 1), ("ValueError", 1)]
    assert (summary.in_flight, summary.unknown, summary.running) == (0, 0, False)
    assert [entry.index for entry in Journal.read(path).outcomes()] == [0, 1, 2, 3, 4, 5]


def test_tokens_and_costs_are_as_far_as_they_are_known(path: Path) -> None:
    """An answer without a price counts as unpriced, an answer without tokens as none; failures are never unpriced."""
    ends = [
        outcome("known"),
        Outcome(0, None, None, "free", completion("free"), None, 0.0, Usage(1, 2, basis="estimated")),
        Outcome(0, None, None, "unpriced", completion("unpriced"), None, None, None),
        failure(ServerError("no")),
    ]
    write_run(path, [Request(f"{n}") for n in range(len(ends))], ends)
    summary = Journal.read(path).summary()
    (run,) = summary.runs
    assert (run.answered, run.failed, run.unpriced) == (3, 1, 1)
    assert (run.input_tokens, run.output_tokens, run.cost_usd) == (13, 9, 0.25)
    assert (summary.input_tokens, summary.output_tokens, summary.cost_usd, summary.unpriced) == (13, 9, 0.25, 1)


def test_what_shares_an_answer_is_not_counted_as_sent(path: Path) -> None:
    """An outcome for which nothing was sent is an item that is done, and no answer of the run."""
    store = open_store(path)
    store.begin(IDENTIFY.base.parts, {}, 100.0)
    store.transaction()
    fingerprints = [IDENTIFY(Request("a", id="1")), IDENTIFY(Request("a", id="2"))]
    registered = store.register(list(enumerate(fingerprints)))
    for one, fingerprint, was_sent in zip(registered, fingerprints, (True, False), strict=True):
        store.record(row_of(one, fingerprint, outcome()), fingerprint.settings, was_sent=was_sent)
    store.end("done", {}, {"failed": 2}, 200.0)
    store.commit()
    store.close()
    summary = Journal.read(path).summary()
    assert (summary.done, summary.runs[0].answered, summary.cost_usd) == (2, 1, 0.25)
    assert summary.runs[0].again == {"failed": 2}


def test_what_was_in_flight_may_have_cost_what_was_reserved(path: Path) -> None:
    """Each lost request counts with its reservation; without one, with what the run's answers cost on the average."""
    store = killed_run(path, answered=2, lost={2: 2.0, 3: 0.0})
    assert store.run == 2
    assert store.spent_usd == pytest.approx(2 * 0.25 + 2.0 + 0.25)
    store.close()
    summary = Journal.read(path).summary()
    first, second = summary.runs
    assert (first.ended, first.unknown, first.unknown_usd) == ("killed", 2, 2.25)
    assert (second.ended, second.unknown, second.unknown_usd) == ("killed", 0, 0.0)
    assert (summary.unknown, summary.unknown_usd, summary.waiting, summary.done) == (2, 2.25, 2, 2)


def test_what_was_answered_is_not_lost(path: Path) -> None:
    """The note of what was in flight may be older than the last commit."""
    store = killed_run(path, answered=4, lost={0: 2.0, 3: 0.0})
    assert store.spent_usd == 1.0
    store.close()
    assert Journal.read(path).summary().unknown == 0


def test_a_lost_request_without_any_price_costs_nothing_that_is_known(path: Path) -> None:
    """Where no answer had come there is no average either."""
    store = killed_run(path, answered=0, lost={0: 0.0})
    assert store.spent_usd == 0.0
    store.close()
    summary = Journal.read(path).summary()
    assert (summary.unknown, summary.unknown_usd) == (1, 0.0)


def test_a_budget_counts_what_was_charged(path: Path) -> None:
    """A run may have taken more out of its budget than its answers cost; the larger of the two was spent."""
    write_run(path, [Request("a")], [outcome()])
    store = open_store(path)
    store.begin(IDENTIFY.base.parts, {}, 300.0)
    assert store.spent_usd == 0.25
    store.transaction()
    store.charge(2.0)
    store.commit()
    assert store.spent_usd == 2.25
    store.close()
    assert Journal.read(path).summary().cost_usd == 0.25


def test_the_run_before_is_known(path: Path) -> None:
    """A run sees the settings of the one before, and how many requests that left without an answer."""
    store = open_store(path)
    assert store.begin({"model": "a"}, {}, 100.0) == 0
    assert store.before is None
    store.close()
    store = open_store(path)
    assert store.begin({"model": "b", "seed": "1"}, {}, 200.0) == 0
    assert store.before == {"model": "a"}
    store.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE runs SET unknown = 3 WHERE run = 2")
    store = open_store(path)
    assert store.begin({"model": "c"}, {}, 300.0) == 3
    assert store.before == {"model": "b", "seed": "1"}
    store.close()


def test_what_is_in_flight_is_counted_while_a_run_goes_on(path: Path) -> None:
    """While it goes on, requests are in flight; once it was killed, the same ones have an unknown outcome."""
    lock = JournalLock(path)
    registered = write_run(path, [Request("a"), Request("b"), Request("c")], [outcome(), None, None], ended=None)
    in_flight = InFlightFile(path, workers=4)
    for worker, item in enumerate(registered[:2]):
        in_flight.put(worker, item.number, 0.5)
    in_flight.put(3, 999)  # an item of which the journal knows nothing
    assert read_in_flight(path) == {registered[0].number: 0.5, registered[1].number: 0.5, 999: 0.0}
    summary = Journal.read(path).summary()
    assert (summary.running, summary.in_flight, summary.waiting, summary.unknown) == (True, 1, 2, 0)
    assert summary.runs[0].ended == "running"
    lock.release()
    summary = Journal.read(path).summary()
    assert (summary.running, summary.in_flight, summary.waiting, summary.unknown) == (False, 0, 2, 1)
    assert (summary.runs[0].ended, summary.runs[0].unknown) == ("killed", 1)
    in_flight.close()
    remove_in_flight(path)
    assert read_in_flight(path) == {}
    remove_in_flight(path)  # once more does no harm
    assert Journal.read(path).summary().unknown == 0


def test_a_worker_has_one_place_in_the_note(path: Path) -> None:
    """What it sends next replaces what it sent before; a note is as long as there are workers from the start."""
    in_flight = InFlightFile(path, workers=3)
    note = path.with_name(path.name + "-sent")
    assert note.read_bytes() == bytes(48)
    in_flight.put(1, 5, 0.25)
    in_flight.put(1, 6, 0.75)
    in_flight.put(2, 7)
    assert read_in_flight(path) == {6: 0.75, 7: 0.0}
    assert len(note.read_bytes()) == 48
    in_flight.close()
    InFlightFile(path, workers=2).close()  # of the next run: it begins anew
    assert note.read_bytes() == bytes(32)


def test_samples_come_as_they_were_taken(path: Path) -> None:
    """The time series of all runs, in order, with its fields by name."""
    store = open_store(path)
    store.begin(IDENTIFY.base.parts, {}, 100.0)
    store.transaction()
    store.add_sample((101.0, 1, 2, 3, 4, 5, 6, 0.5, "rate"))
    store.add_sample((102.0, 1, 0, 0, 9, 5, 7, 0.75, None))
    store.commit()
    store.close()
    assert list(Journal.read(path).samples()) == [
        Sample(at=101.0, run=1, in_flight=2, waiting=3, done=4, failed=5, tokens=6, cost_usd=0.5, limited_by="rate"),
        Sample(at=102.0, run=1, in_flight=0, waiting=0, done=9, failed=5, tokens=7, cost_usd=0.75, limited_by=None),
    ]


def test_only_what_the_latest_run_reached_is_given_on_request(path: Path) -> None:
    """A report of a run that goes on over another input leaves out the positions of the old one."""
    write_run(path, [Request(f"{n}") for n in range(4)], [outcome(f"{n}") for n in range(4)])
    write_run(path, [Request("3"), Request("new")], [None, outcome("new")], ended="stopped")
    journal = Journal(path)
    assert [(entry.index, entry.text) for entry in journal.outcomes(reached=True)] == [(0, "3"), (1, "new")]
    assert sorted(entry.text for entry in journal.outcomes()) == ["0", "1", "2", "3", "new"]


def test_a_journal_shows_its_path(path: Path) -> None:
    """The repr is enough to find the file."""
    assert repr(Journal(path)) == f"Journal({str(path)!r})"
