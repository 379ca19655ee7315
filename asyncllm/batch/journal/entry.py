"""Entries of a journal, as JSON without keys and without fields that have their default."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from pydantic_core import PydanticSerializationError, from_json, to_json, to_jsonable_python

from asyncllm.completions.call_record import Attempt, CallRecord
from asyncllm.completions.completion import Completion
from asyncllm.completions.usage import UNKNOWN_USAGE, Basis, Usage

from ..outcome import Outcome


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """An item that has ended, as a journal has it.

    Attributes:
        index: Its position in the input of the latest run, from 0.
        id: The id that its `Request` had; None when it had none.
        ok: Whether it succeeded.
        text: The text of the answer; empty when there is none.
        value: The typed value as plain JSON data; the text of a plain call; None when it failed.
        error: The name of the error class; None when it succeeded.
        message: The message of the error.
        finish_reason: The reason why the model stopped.
        model: The model that served it, or was tried last.
        provider: litellm's name of its provider.
        profile: The profile of the call.
        usage: The tokens of all its answers together.
        cost_usd: The cost of all its answers in US dollars; None when unknown.
        cost_basis: Whether the cost is known, estimated or unknown.
        attempts: The requests that were sent for its last answer, in order.
        started_at: Unix time in seconds.
        queued_s: Seconds it waited for a slot and for the rate limits.
        waited_s: Seconds it waited between attempts.
        first_token_s: Seconds to the first chunk, of a stream.
        elapsed_s: Seconds from its start to its end.
        run: The run that ended it.
        duplicate_of: The index of the item whose answer it shares; None when it was sent itself.
        answer: The last answer in the chat-completions form; None when there was none.
        answer_usage: The tokens of that alone.
        answer_cost_usd: The cost of that alone.
        cached: Whether that comes from the cache of answers.
        saved_usd: What it cost when it was asked for, then.
        data: The `data` of its `Request`, where the journal keeps it.
        prompt: The messages, where the journal keeps them.

    Example:
        ```python
        await llm.gather(["Name a colour.", "Name a fruit."], journal="names.journal")
        for entry in Journal.read("names.journal").outcomes():
            print(entry.index, entry.text if entry.ok else entry.error)
        ```
    """

    index: int
    id: str | None
    ok: bool
    text: str
    value: Any
    error: str | None
    message: str | None
    finish_reason: str | None
    model: str | None
    provider: str | None
    profile: str | None
    usage: Usage
    cost_usd: float | None
    cost_basis: Basis
    attempts: tuple[Attempt, ...]
    started_at: float | None
    queued_s: float
    waited_s: float
    first_token_s: float | None
    elapsed_s: float | None
    run: int
    duplicate_of: int | None = None
    answer: dict[str, Any] | None = None
    answer_usage: Usage = UNKNOWN_USAGE
    answer_cost_usd: float | None = None
    cached: bool = False
    saved_usd: float | None = None
    data: Any = None
    prompt: Any = None

    def completion(self) -> Completion | None:
        """Return the answer as it was, but for litellm's own form of it; None when there was none."""
        if self.answer is None:
            return None
        record = CallRecord(
            self.profile or "",
            self.model or "",
            self.provider or "",
            "journal",
            attempts=list(self.attempts),
            first_token_s=self.first_token_s,
            elapsed_s=self.elapsed_s or 0.0,
            started_at=self.started_at or 0.0,
            cached=self.cached,
            saved_usd=self.saved_usd,
        )
        basis: Basis = "estimated" if self.cost_basis == "estimated" else "known"
        price = self.answer_cost_usd
        return Completion(self.answer, record, usage=self.answer_usage, price=lambda _: price, price_basis=basis)


def encode(
    outcome: Outcome[object],
    run: int,
    *,
    started_at: float,
    elapsed_s: float,
    data: object = None,
    prompt: object = None,
) -> bytes:
    """Return the JSON of how an item ended.

    Returns:
        JSON; what of `data` or of a typed value has no JSON form is its `str`.
    """
    completion, attempts = outcome.completion, outcome.attempts
    entry: dict[str, object] = {
        "run": run,
        "usage": _set_fields(outcome.usage, _USAGE) if outcome.usage is not None else None,
        "cost_usd": outcome.cost_usd,
        "duplicate_of": outcome.duplicate_of,
        "started_at": started_at,
        "elapsed_s": elapsed_s,
        "attempts": [_set_fields(attempt, _ATTEMPT) for attempt in attempts],
        "data": data,
        "prompt": prompt,
    }
    if outcome.error is not None:
        entry |= _error_fields(outcome.error, attempts[-1] if attempts else None)
    elif completion is None or outcome.value != completion.text:
        entry["value"] = outcome.value
    if completion is not None:
        record = completion.record
        entry |= {
            "answer": completion.to_dict(),
            "answer_usage": _set_fields(completion.usage, _USAGE) if completion.usage != outcome.usage else None,
            "answer_cost_usd": completion.cost_usd if completion.cost_usd != outcome.cost_usd else None,
            "model": record.model,
            "provider": record.provider,
            "profile": record.profile,
            "first_token_s": record.first_token_s,
            "cached": record.cached or None,
            "saved_usd": record.saved_usd,
            "cost_basis": "estimated" if outcome.cost_basis == "estimated" != completion.usage.basis else None,
        }
    return _to_json({name: value for name, value in entry.items() if value is not None})


def decode(entry: bytes, index: int, id: str | None) -> JournalEntry:
    """Return the entry of what `encode` returned."""
    known = _from_json(entry)
    answer, usage = known.get("answer"), Usage(**known.get("usage", {}))
    answer_usage = Usage(**known["answer_usage"]) if "answer_usage" in known else usage
    attempts = tuple(Attempt(**{**_NAMELESS, **attempt}) for attempt in known.get("attempts", ()))
    text, finish_reason = "", None
    if answer is not None:
        shown = Completion(answer, _NO_RECORD, usage=usage)
        text, finish_reason = shown.text, shown.finish_reason
    ok = "error" not in known
    cost = known.get("cost_usd")
    return JournalEntry(
        index=index,
        id=id,
        ok=ok,
        text=text,
        value=known.get("value", text if answer is not None else None) if ok else None,
        finish_reason=finish_reason,
        usage=usage,
        cost_usd=cost,
        cost_basis="unknown" if cost is None else known.get("cost_basis") or _known_unless(usage.basis),
        attempts=attempts,
        queued_s=sum(attempt.queued_s for attempt in attempts),
        waited_s=sum(attempt.waited_s for attempt in attempts),
        run=known["run"],
        answer=answer,
        answer_usage=answer_usage,
        answer_cost_usd=known.get("answer_cost_usd", cost),
        cached=known.get("cached", False),
        **{name: known.get(name) for name in _AS_WRITTEN},
    )


def _known_unless(basis: Basis) -> Basis:
    return "estimated" if basis == "estimated" else "known"


# Fields of an entry that are read as they were written.
_AS_WRITTEN = (
    *("error", "message", "model", "provider", "profile"),
    *("started_at", "first_token_s", "elapsed_s", "duplicate_of", "saved_usd", "data", "prompt"),
)
_NO_RECORD = CallRecord("", "", "", "journal", started_at=0.0)
_NAMELESS: Mapping[str, Any] = {"profile": "", "model": ""}
_USAGE: Mapping[str, object] = {field.name: field.default for field in fields(Usage)}
_ATTEMPT: Mapping[str, object] = {field.name: field.default for field in fields(Attempt)}


def _error_fields(error: Exception, last: Attempt | None) -> dict[str, object]:
    return {
        "error": type(error).__name__,
        "message": str(error),
        "model": getattr(error, "model", None) or (last.model if last else None),
        "provider": getattr(error, "provider", None),
        "profile": getattr(error, "profile", None) or (last.profile if last else None),
    }


def _set_fields(thing: Usage | Attempt, defaults: Mapping[str, object]) -> dict[str, object]:
    """Return the fields that differ from their defaults."""
    return {name: value for name, default in defaults.items() if (value := getattr(thing, name)) != default}


def _to_json(entry: Mapping[str, object]) -> bytes:
    try:
        return to_json(entry, inf_nan_mode="constants", serialize_unknown=True)
    except PydanticSerializationError:
        # A lone surrogate, which a provider may send, has an escape in JSON and no form in UTF-8.
        return json.dumps(to_jsonable_python(entry, serialize_unknown=True)).encode()


def _from_json(entry: bytes) -> dict[str, Any]:
    try:
        read: dict[str, Any] = from_json(entry)
    except ValueError:
        read = json.loads(entry)
    return read
