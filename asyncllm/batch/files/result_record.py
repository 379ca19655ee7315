"""How one row of a batch ended, as data that any kind of file can hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..outcome import Outcome


@dataclass(frozen=True, slots=True)
class RowResult:
    """How one row ended.

    Attributes:
        index: The row's index among the rows of the input, from 0.
        id: Its id; None when it had none.
        ok: Whether it succeeded.
        typed: Whether answers are values rather than texts.
        text: The text; None when there is none.
        value: The typed value, as JSON data.
        error: The `type` and `message` of the error, and its `status_code` where it has one.
        finish_reason: Why the model stopped.
        model: The model that answered.
        usage: The tokens it took.
        cost_usd: What it cost; None when unknown.
    """

    index: int
    id: str | None
    ok: bool
    typed: bool = False
    text: str | None = None
    value: Any = None
    error: Mapping[str, Any] | None = None
    finish_reason: str | None = None
    model: str | None = None
    usage: Mapping[str, Any] | None = None
    cost_usd: float | None = None

    @classmethod
    def of(cls, index: int, outcome: Outcome[Any], dump: Callable[[Any], Any] | None = None) -> RowResult:
        """Make an answer of an outcome.

        Args:
            index: The row's index.
            outcome: How it ended.
            dump: Turns a typed value into JSON data; None when the answers are texts.
        """
        completion = outcome.completion
        return cls(
            index,
            outcome.id,
            outcome.ok,
            typed=dump is not None,
            text=outcome.text if outcome.ok else outcome.text or None,
            value=dump(outcome.value) if dump is not None and outcome.ok else None,
            error=None if outcome.error is None else error_record(outcome.error),
            finish_reason=None if completion is None else completion.finish_reason,
            model=None if completion is None else completion.model,
            usage=None if outcome.usage is None else outcome.usage.to_dict(),
            cost_usd=outcome.cost_usd,
        )

    def record(self, data: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return it as a line of JSON, with the fields of its row."""
        return {
            "index": self.index,
            "id": self.id,
            "data": data,
            "ok": self.ok,
            **({"value": self.value} if self.typed else {"text": self.text}),
            "error": self.error,
            "finish_reason": self.finish_reason,
            "model": self.model,
            "usage": self.usage,
            "cost_usd": self.cost_usd,
        }


def error_record(error: Exception) -> dict[str, Any]:
    """Return an error as JSON data."""
    record: dict[str, Any] = {"type": type(error).__name__, "message": str(getattr(error, "message", error))}
    status = getattr(error, "status_code", None)
    return record if status is None else {**record, "status_code": status}
