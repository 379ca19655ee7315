"""The report of the journal that a run resumes, before anything is sent."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from asyncllm import AsyncLLM, Request, ServerError, telemetry
from asyncllm.batch.journal.fingerprint import Fingerprinter
from asyncllm.batch.journal.resumption import Resumed, look_ahead, look_back
from asyncllm.batch.outcome import Outcome
from asyncllm.simulator import Fault, Simulator

from .journals import MODEL, completion, open_store, outcome, write_run


@pytest.mark.parametrize(
    ("resumed", "words"),
    [
        (Resumed(run=2), "run 2: 0 done; 0 to be sent again"),
        (Resumed(run=2, done=1234), "run 2: 1,234 done; 0 to be sent again"),
        (
            Resumed(run=3, done=1, again={"failed": 1500, "changed": 2}),
            "run 3: 1 done; 1,502 to be sent again (2 changed, 1,500 failed)",
        ),
        (Resumed(run=2, new=4321), "run 2: 0 done; 0 to be sent again; 4,321 new"),
        (
            Resumed(run=2, unknown=1000),
            "run 2: 0 done; 0 to be sent again; 1,000 were in flight when the previous run ended (perhaps paid for)",
        ),
        (
            Resumed(run=2, changed={"model": "a → b", "seed": "1 → 2"}),
            "run 2: 0 done; 0 to be sent again; model a → b; seed 1 → 2",
        ),
    ],
)
def test_what_is_resumed_fits_a_line(resumed: Resumed, words: str) -> None:
    """Counts have separators, reasons are in order, and what is 0 is left out."""
    assert resumed.in_words() == words


def test_a_first_run_has_nothing() -> None:
    """Without an earlier run nothing is done, changed or spent."""
    assert Resumed() == Resumed(run=1, done=0, again={}, new=0, unknown=0, spent_usd=0.0, changed={})


@pytest.mark.anyio
async def test_a_resumed_run_is_an_event(llm: AsyncLLM, simulator: Simulator, path: Path) -> None:
    """The event comes once, before anything is sent, and has the counts and the reason as fields."""
    seen: list[tuple[str, dict[str, Any], int]] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.event.startswith("batch."):  # type: ignore[attr-defined]
                seen.append((record.event, record.fields, simulator.seen.requests))  # type: ignore[attr-defined]

    listener = Listener()
    telemetry.LOGGER.addHandler(listener)
    previous = telemetry.LOGGER.level
    telemetry.LOGGER.setLevel(logging.INFO)
    try:
        simulator.faults(Fault("status", code=400, contains="second"))
        requests = [Request("first", id="1"), Request("second", id="2")]
        await llm.gather(requests, journal=path)
        assert [event for event, _, _ in seen if event == "batch.resumed"] == []
        await llm.gather(requests, journal=path)
    finally:
        telemetry.LOGGER.setLevel(previous)
        telemetry.LOGGER.removeHandler(listener)
    ((_, fields, requests_before),) = (each for each in seen if each[0] == "batch.resumed")
    spent = fields.pop("spent_usd")
    assert fields == {
        "journal": str(path),
        "run": 2,
        "done": 1,
        "again": 1,
        "unknown": 0,
        "why": "run 2: 1 done; 1 to be sent again (1 failed)",
    }
    assert spent > 0
    assert requests_before == 2


def begun(path: Path, identify: Fingerprinter) -> Any:
    """Open a journal for the next run of a batch."""
    store = open_store(path)
    store.begin(identify.base.parts, {}, 300.0)
    return store


IDENTIFY = Fingerprinter(MODEL, {}, {})


def test_looking_ahead_counts_every_item_of_the_input(path: Path) -> None:
    """Done, failed, cut, changed and new items are told apart; each repetition counts by itself."""
    cut = Outcome(2, None, None, "cu", completion("cu", finish_reason="length"), None, 0.25)
    requests = [Request("done"), Request("done"), Request("failed"), Request("changed", id="c")]
    write_run(path, requests, [outcome("1"), outcome("2"), Outcome(2, error=ServerError("no")), outcome("3")])
    write_run(path, [Request("cut")], [cut], ended="stopped")
    store = begun(path, IDENTIFY)
    coming = [
        *[Request("done")] * 3,
        Request("failed"),
        Request("changed", id="c", temperature=0.5),
        Request("new"),
    ]
    counts = look_ahead(store, map(IDENTIFY, coming))
    assert counts == {"done": 2, "new": 2, "failed": 1, "temperature changed": 1}
    store.close()


def test_looking_back_counts_the_items_of_the_run_before(path: Path) -> None:
    """Where the input cannot be read ahead, the batch's own settings decide what is sent again."""
    requests = [Request("a"), Request("b", temperature=0.1), Request("c")]
    write_run(path, requests, [outcome("1"), outcome("2"), Outcome(2, error=ServerError("no"))])
    store = begun(path, IDENTIFY)
    assert look_back(store, IDENTIFY.base.parts) == {"done": 2, "failed": 1}
    warmer = Fingerprinter(MODEL, {}, {"temperature": 0.9})
    assert look_back(store, warmer.base.parts) == {"temperature changed": 1, "done": 1, "failed": 1}
    other = Fingerprinter("another", {}, {"seed": 1})
    assert look_back(store, other.base.parts) == {"model changed and seed changed": 2, "failed": 1}
    store.close()


def test_looking_back_leaves_out_what_an_earlier_input_had(path: Path) -> None:
    """Items that the last run to come to its end did not have any more are not counted."""
    requests = [Request("a"), Request("b"), Request("c")]
    write_run(path, requests, [outcome("1"), outcome("2"), outcome("3")])
    write_run(path, requests[:1], [None])
    store = begun(path, IDENTIFY)
    assert look_back(store, IDENTIFY.base.parts) == {"done": 1}
    store.close()


def test_items_that_were_in_flight_are_counted_as_unknown(path: Path) -> None:
    """An item whose request was never answered is neither done nor new."""
    store = open_store(path)
    store.begin(IDENTIFY.base.parts, {}, 100.0)
    store.transaction()
    (lost, _) = store.register([(0, IDENTIFY(Request("lost"))), (1, IDENTIFY(Request("waiting")))])
    store.commit()
    store.close()
    store = open_store(path)
    assert store.begin(IDENTIFY.base.parts, {lost.number: 0.5}, 200.0) == 1
    assert look_ahead(store, map(IDENTIFY, [Request("lost"), Request("waiting")])) == {"unknown": 1, "new": 1}
    assert look_back(store, IDENTIFY.base.parts) == {"unknown": 1}
    assert store.spent_usd == 0.5
    store.close()
