"""Results of rows, as data that any format can hold; and how typed values become such data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from ..outcome import Outcome

if TYPE_CHECKING:
    from ..journal.entry import JournalEntry


class AnswerSchema:
    """The type of typed answers, as JSON Schema and as JSON data.

    Args:
        response_model: Any type that pydantic validates, or a JSON Schema.
    """

    def __init__(self, response_model: Any) -> None:
        from pydantic import TypeAdapter

        self.schema: Mapping[str, object]
        if isinstance(response_model, Mapping):
            self.schema = cast(Mapping[str, object], response_model)
            self._adapter: TypeAdapter[object] = TypeAdapter(object)  # values are JSON data already
        else:
            self._adapter = TypeAdapter(response_model)
            self.schema = self._adapter.json_schema()

    def dump(self, value: object) -> object:
        """Return a value as JSON data."""
        return self._adapter.dump_python(value, mode="json")


@dataclass(frozen=True, slots=True)
class RowResult:
    """The result of one row.

    Attributes:
        index: The row's index among the rows of the input, from 0.
        typed: Whether answers are typed values rather than texts.
        error: The `type` and `message` of the error, and its `status_code` where it has one.
        file: The file of the row, where the input has several.
    """

    index: int
    id: str | None
    ok: bool
    typed: bool = False
    text: str | None = None
    value: object = None
    error: Mapping[str, object] | None = None
    finish_reason: str | None = None
    model: str | None = None
    usage: Mapping[str, object] | None = None
    cost_usd: float | None = None
    file: str | None = None

    @classmethod
    def of(
        cls, index: int, outcome: Outcome[object], answers: AnswerSchema | None = None, file: str | None = None
    ) -> RowResult:
        """Return the result of an outcome."""
        completion = outcome.completion
        return cls(
            index,
            outcome.id,
            outcome.ok,
            typed=answers is not None,
            text=outcome.text if outcome.ok else outcome.text or None,
            value=answers.dump(outcome.value) if answers is not None and outcome.ok else None,
            error=None if outcome.error is None else error_record(outcome.error),
            finish_reason=None if completion is None else completion.finish_reason,
            model=None if completion is None else completion.model,
            usage=None if outcome.usage is None else outcome.usage.to_dict(),
            cost_usd=outcome.cost_usd,
            file=file,
        )

    @classmethod
    def of_entry(cls, index: int, entry: JournalEntry, *, typed: bool, file: str | None = None) -> RowResult:
        """Return the result of an entry of a journal."""
        return cls(
            index,
            entry.id,
            entry.ok,
            typed=typed,
            text=entry.text if entry.ok else entry.text or None,
            value=entry.value if typed else None,
            error=None if entry.error is None else {"type": entry.error, "message": entry.message},
            finish_reason=entry.finish_reason,
            model=entry.model,
            usage=entry.usage.to_dict(),
            cost_usd=entry.cost_usd,
            file=file,
        )

    def record(self, data: Mapping[str, object] | None) -> dict[str, object]:
        """Return the object of a JSON line, with the fields of the row."""
        return {
            "index": self.index,
            **({"file": self.file} if self.file is not None else {}),
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


def error_record(error: Exception) -> dict[str, object]:
    """Return an error as JSON data."""
    record: dict[str, object] = {"type": type(error).__name__, "message": str(getattr(error, "message", error))}
    status = getattr(error, "status_code", None)
    return record if status is None else {**record, "status_code": status}
