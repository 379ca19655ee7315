"""Journals made by hand: for tests of what is in them, rather than of the batch that fills them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asyncllm import Completion, Request
from asyncllm.batch.entries import encode
from asyncllm.batch.identity import Identifier
from asyncllm.batch.journal_file import DONE, FAILED, Durability, open_to_write
from asyncllm.batch.ledger import Answered, Enrolled, Ledger
from asyncllm.batch.outcome import Outcome
from asyncllm.record import Attempt, CallRecord, Usage

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
    """Return how an item ended well."""
    return Outcome(index, None, None, text, completion(text), None, 0.25, USAGE, **fields)


def answered(enrolled: Enrolled, identity: Any, ended: Outcome[Any], run: int = 1, **kept: Any) -> Answered:
    """Return what is written down of an item that ended."""
    usage = ended.completion.usage if ended.completion is not None else Usage()
    return Answered(
        enrolled.number,
        identity,
        DONE if ended.ok else FAILED,
        None if ended.ok else type(ended.error).__name__,
        usage.input_tokens,
        usage.output_tokens,
        ended.cost_usd,
        encode(ended, run, started_at=100.0, elapsed_s=0.5, **kept),
    )


def open_ledger(path: Path | None, durability: Durability = "normal") -> Ledger:
    """Open a journal for writing, without the right to."""
    return Ledger(open_to_write(path, durability), path)


def write_run(
    path: Path | None,
    requests: Sequence[Request],
    outcomes: Sequence[Outcome[Any] | None],
    *,
    identify: Identifier | None = None,
    ended: str | None = "done",
) -> list[Enrolled]:
    """Write a run whose items ended as given, those with None not at all; `ended=None` is a run that was killed."""
    identify = identify or Identifier(MODEL, {}, {})
    ledger = open_ledger(path)
    ledger.begin(identify.base.parts, {}, 100.0)
    identities = [identify(request) for request in requests]
    ledger.transaction()
    enrolled = ledger.enrol(list(enumerate(identities)))
    ended_items = [
        answered(enrolled[n], identities[n], how, ledger.run)
        for n, how in enumerate(outcomes)
        if how is not None and enrolled[n].entry is None
    ]
    ledger.answered(ended_items)
    if ended is not None:
        ledger.end(ended, {}, {}, 200.0)
    ledger.commit()
    ledger.close()
    return enrolled
