"""Journals written by hand, for tests of their contents rather than of the batch that fills them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asyncllm import Completion, Request
from asyncllm.batch.journal.answer_row import AnswerRow
from asyncllm.batch.journal.entry import encode
from asyncllm.batch.journal.fingerprint import Fingerprint, Fingerprinter
from asyncllm.batch.journal.journal_file import Durability, open_to_write
from asyncllm.batch.journal.store import JournalStore, Registered
from asyncllm.batch.outcome import Outcome
from asyncllm.completions.call_record import Attempt, CallRecord
from asyncllm.completions.usage import Usage

MODEL = "openai/gpt-4o-mini"
USAGE = Usage(12, 7, basis="known")


def completion(text: str = "an answer", *, finish_reason: str = "stop") -> Completion:
    """Return an answer of a provider."""
    record = CallRecord("default", MODEL, "openai", "wire", attempts=[Attempt("default", MODEL, elapsed_s=0.5)])
    message = {"role": "assistant", "content": text}
    return Completion(
        {"id": "answer-1", "model": "gpt-4o-mini", "choices": [{"message": message, "finish_reason": finish_reason}]},
        record,
        usage=USAGE,
        price=lambda _: 0.25,
    )


def outcome(text: str = "an answer", index: int = 0, **fields: Any) -> Outcome[str]:
    """Return the outcome of an item that succeeded."""
    return Outcome(index, None, None, text, completion(text), None, 0.25, USAGE, **fields)


def row_of(registered: Registered, fingerprint: Fingerprint, ended: Outcome[Any], run: int = 1) -> AnswerRow:
    """Return the row of an item that ended."""
    entry = encode(ended, run, started_at=100.0, elapsed_s=0.5)
    return AnswerRow.of(registered.number, registered.occurrence, fingerprint, ended, entry)


def open_store(path: Path | None, durability: Durability = "normal") -> JournalStore:
    """Open a journal for writing, without its lock."""
    return JournalStore(open_to_write(path, durability), path)


def write_run(
    path: Path | None,
    requests: Sequence[Request],
    outcomes: Sequence[Outcome[Any] | None],
    *,
    identify: Fingerprinter | None = None,
    ended: str | None = "done",
) -> list[Registered]:
    """Write a run with these outcomes, None for items without one; `ended=None` is a run that was killed."""
    identify = identify or Fingerprinter(MODEL, {}, {})
    store = open_store(path)
    store.begin(identify.base.parts, {}, 100.0)
    fingerprints = [identify(request) for request in requests]
    store.transaction()
    registered = store.register(list(enumerate(fingerprints)))
    for item, fingerprint, how in zip(registered, fingerprints, outcomes, strict=True):
        if how is not None and item.entry is None:
            store.record(row_of(item, fingerprint, how, store.run), fingerprint.settings, was_sent=True)
    if ended is not None:
        store.end(ended, {}, {}, 200.0)
    store.commit()
    store.close()
    return registered
