"""Rows of files as Ray moves them: read in tasks, answered by workers, written as parts.

Rows have fields of their own, and values that Arrow has no type for; between processes of one job they are pickled.
"""

from __future__ import annotations

import pickle
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ..batch.files import (
    AnswerSchema,
    BadRow,
    FileInput,
    JsonlWriter,
    Layout,
    Row,
    RowResult,
    rejected_record,
    result_writer,
)
from ..batch.progress import Progress
from ..batch.prompt_template import RowProblem
from ..batch.prompts import OpenAIRows, Prompt
from ..messages import Request
from .worker_settings import WorkerSettings

if TYPE_CHECKING:
    from .row_stream import RowBatch, RowStream

# Rows that a task hands over at once.
_ROWS = 500
Columns: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class AnsweredRow:
    """A row with its result; a row that cannot be used has none.

    Attributes:
        restored: Whether the result is of an earlier run.
    """

    row: Row | BadRow
    result: RowResult | None = None
    restored: bool = False


@dataclass(slots=True)
class PartSummary:
    """A part of the output, and what its rows came to.

    Attributes:
        first: The numbers of the file and of the row that it begins with.
        name: The file of the results; None where all rows cannot be used.
        rejected: The file of rows that cannot be used; None where there is none.
        cost_usd: The cost of the rows that were sent in this run, as far as it is known.
    """

    first: tuple[int, int]
    name: str | None = None
    rejected: str | None = None
    done: int = 0
    failed: int = 0
    restored: int = 0
    bad: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0
    escaped: int = 0
    errors: dict[str, int] = field(default_factory=dict[str, int])

    def add(self, answered: AnsweredRow) -> None:
        """Count a row."""
        result = answered.result
        if result is None:
            self.bad += 1
            return
        self.done += result.ok
        self.failed += not result.ok
        if result.error is not None:
            kind = str(result.error["type"])
            self.errors[kind] = self.errors.get(kind, 0) + 1
        if answered.restored:
            self.restored += 1
        elif result.cost_usd is not None:
            self.cost_usd += result.cost_usd
        else:
            self.unpriced += result.ok


def read_rows(batch: Columns, files: Sequence[FileInput]) -> Iterator[Columns]:
    """Yield the rows of the files whose numbers a batch has; the index of a row is that within its file."""
    for number in batch["file"]:
        file = files[int(number)]
        named = file.name if len(files) > 1 else None
        rows: list[bytes] = []
        with file.open() as reader:
            for row in reader.rows():
                rows.append(pickle.dumps((int(number), replace(row, file=named))))
                if len(rows) == _ROWS:
                    yield {"row": rows}
                    rows = []
        if rows:
            yield {"row": rows}


class FileAnswerer:
    """Answers rows of files; a callable class for `map_batches`.

    Args:
        requests: Builds the request of a row.
        answers: The type of the answers; None for texts.
        board: The actor that collects the progress of all workers.
        files: The files, beside which the pictures of their rows are.
    """

    def __init__(
        self,
        requests: Prompt | OpenAIRows,
        settings: WorkerSettings,
        answers: AnswerSchema | None,
        board: Any,
        files: Sequence[FileInput],
    ) -> None:
        self._requests = requests
        self._settings = settings
        self._answers = answers
        self._board = board
        self._directories = [None if file.path is None else file.path.parent for file in files]
        self._name = uuid.uuid4().hex
        self._passed = WorkerPassed()
        self._stream: RowStream | None = None

    async def __call__(self, batch: Columns) -> Columns:
        """Return the rows with their results."""
        numbered: list[tuple[int, Row | BadRow]] = [pickle.loads(row) for row in batch["row"]]
        made = [self._request(number, row) for number, row in numbered]
        try:
            answered = await self._answer([request for request in made if isinstance(request, Request)])
        except Exception as error:
            await self._board.failed.remote(error)
            raise
        results = enumerate(answered.results)
        out: list[bytes] = []
        for (number, row), request in zip(numbered, made, strict=True):
            self._passed.size_bytes += row.size_bytes
            if isinstance(request, BadRow):
                out.append(pickle.dumps((number, AnsweredRow(request))))
                continue
            at, result = next(results)
            restored = at in answered.restored
            self._passed.restored += restored
            placed = replace(result, index=row.index, file=row.file)
            out.append(pickle.dumps((number, AnsweredRow(row, placed, restored))))
        return {"row": out}

    async def _answer(self, requests: Sequence[Request]) -> RowBatch:
        from .row_stream import RowStream

        if self._stream is None:
            self._stream = RowStream(self._settings, self._answers, self._report)
        return await self._stream.answer(requests)

    def _request(self, number: int, row: Row | BadRow) -> Request | BadRow:
        if isinstance(row, BadRow):
            return row
        requests = self._requests
        if isinstance(requests, Prompt) and requests.image_field is not None:
            requests = replace(requests, directory=self._directories[number])
        try:
            return requests.request(row.data)
        except RowProblem as problem:
            return BadRow(row.index, row.line, str(problem), row.size_bytes, row.data, file=row.file)

    def _report(self, progress: Progress) -> None:
        self._board.report.remote(self._name, progress, self._passed)


@dataclass(slots=True)
class WorkerPassed:
    """What has passed through a worker, besides its progress."""

    restored: int = 0
    size_bytes: int = 0


def write_part(batch: Columns, folder: str, layout: Layout, columns: Sequence[str] | None) -> Columns:
    """Write the rows of a block as a part, and return its summary."""
    numbered: list[tuple[int, AnsweredRow]] = [pickle.loads(row) for row in batch["row"]]
    numbered.sort(key=lambda pair: (pair[0], pair[1].row.index))
    first = (numbered[0][0], numbered[0][1].row.index)
    summary = PartSummary(first)
    path = Path(folder) / f"{first[0]:05}-{first[1]:010}"
    rows = [answered for _, answered in numbered]
    for answered in rows:
        summary.add(answered)
    if summary.bad < len(rows):
        summary.name = f"{path.name}.results"
        _write_results(path.with_name(summary.name), rows, layout, columns, summary)
    if summary.bad:
        summary.rejected = f"{path.name}.rejected"
        _write_rejected(path.with_name(summary.rejected), rows)
    return {"summary": [pickle.dumps(summary)]}


def _write_results(
    path: Path, rows: Sequence[AnsweredRow], layout: Layout, columns: Sequence[str] | None, summary: PartSummary
) -> None:
    with path.open("wb") as file:
        with result_writer(file, layout) as writer:
            for answered in rows:
                row, result = answered.row, answered.result
                if result is not None and row.data is not None:
                    writer.write(_kept(row.data, columns), result)
        summary.escaped = writer.escaped


def _write_rejected(path: Path, rows: Sequence[AnsweredRow]) -> None:
    with path.open("wb") as file:
        writer = JsonlWriter(file)
        for answered in rows:
            if isinstance(answered.row, BadRow):
                writer.write(rejected_record(answered.row))


def _kept(data: Mapping[str, object], columns: Sequence[str] | None) -> Mapping[str, object]:
    return data if columns is None else {name: data[name] for name in columns if name in data}
