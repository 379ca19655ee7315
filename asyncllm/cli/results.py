"""The results of a batch, as they are written."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any

from asyncllm.batch.files import BadRow, JsonlWriter, Row, bad_row_record, outcome_record

if TYPE_CHECKING:
    from asyncllm import Outcome


class Results:
    """Writes outcomes and bad rows, one line each, whole and at once.

    Args:
        file: Where to.
        dump: Turns a typed value into JSON data; None when the answers are texts.
        ordered: Bad rows wait for their turn among outcomes that come in input order.

    Attributes:
        cost_usd: The cost of the outcomes, as far as it is known.
        unpriced: Outcomes whose cost is not known.
    """

    def __init__(self, file: IO[bytes], dump: Callable[[Any], Any] | None = None, *, ordered: bool = False) -> None:
        self._writer = JsonlWriter(file)
        self._dump = dump
        self._ordered = ordered
        self._waiting: deque[BadRow] = deque()
        self.cost_usd = 0.0
        self.unpriced = 0

    def add(self, outcome: Outcome[Any]) -> None:
        """Write an outcome whose `data` is its row."""
        row: Row = outcome.data
        while self._waiting and self._waiting[0].index < row.index:
            self._write_bad(self._waiting.popleft())
        self._writer.write(outcome_record(row, outcome, self._dump))
        self.cost_usd += outcome.cost_usd or 0.0
        self.unpriced += outcome.cost_usd is None and outcome.ok

    def add_bad(self, row: BadRow) -> None:
        """Write a row that was not sent."""
        if self._ordered:
            self._waiting.append(row)
        else:
            self._write_bad(row)

    def close(self) -> None:
        """Write the bad rows that still wait; the file itself stays open."""
        while self._waiting:
            self._write_bad(self._waiting.popleft())

    def _write_bad(self, row: BadRow) -> None:
        self._writer.write(bad_row_record(row, typed=self._dump is not None))
