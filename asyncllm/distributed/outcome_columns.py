"""The columns of outcomes beside those of a batch of rows, as Arrow tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from ..batch.files import RowResult, error_record
from ..batch.files.columns import AnswerColumns, as_kind
from .arrow_shapes import StructAnswers
from .packages import arrow

_TYPES = {"int": arrow.int64(), "float": arrow.float64(), "bool": arrow.bool_()}


def as_table(batch: Any) -> Any:
    """Return a batch of Ray's, in any of its formats, as an Arrow table."""
    if isinstance(batch, arrow.Table):
        return batch
    from ray.data.block import BlockAccessor

    blocks: Any = BlockAccessor  # its types are incomplete
    return blocks.for_block(blocks.batch_to_block(batch)).to_arrow()


def rows_of(table: Any) -> list[dict[str, object]]:
    """Return the rows of a table as plain data."""
    return [{name: _plain(value) for name, value in row.items()} for row in table.to_pylist()]


def with_outcomes(table: Any, results: Sequence[RowResult], answers: StructAnswers | None) -> Any:
    """Return a table with the columns of outcomes: `answer`, `ok`, `error`, `finish_reason`, `model`, tokens and cost.

    Args:
        answers: The type of the answers; None for texts.
    """
    columns = AnswerColumns(None, table.column_names)
    names = list(columns.kinds)
    if answers is not None:
        results = [*_fitting(results, answers)]
    cells = [columns.cells(result) for result in results]
    for number, (name, kind) in enumerate(columns.kinds.items()):
        if number == 0 and answers is not None:
            table = table.append_column(name, arrow.array([cell[name] for cell in cells], type=answers.shape.type))
            continue
        values = [as_kind(cell[name], kind) for cell in cells]
        table = table.append_column(names[number], arrow.array(values, type=_TYPES.get(kind, arrow.string())))
    return table


def _fitting(results: Sequence[RowResult], answers: StructAnswers) -> Iterator[RowResult]:
    """Yield results whose values fit the type of the column; one that does not is a failed row."""
    for result in results:
        if result.value is None:
            yield result
            continue
        try:
            yield replace(result, value=answers.shape.fit(result.value))
        except (TypeError, ValueError, AttributeError, OverflowError) as error:
            yield replace(result, ok=False, value=None, error=error_record(error))


def _plain(value: Any) -> object:
    """Return a cell without types of numpy's."""
    return value.tolist() if hasattr(value, "tolist") else value
