"""How far a batch is: a bar on stderr where that is a terminal, and nothing elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Self

from .output import draws, terminal


class BatchProgress:
    """Counts the items of a batch, and draws a bar while its block runs.

    Args:
        total: How much there is to do, in the unit of `advance`; None when nobody knows.

    Attributes:
        done: Items that succeeded.
        failed: Items that did not.
    """

    def __init__(self, total: int | None) -> None:
        self.done = 0
        self.failed = 0
        self._total = total
        self._began = time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        if draws(sys.stderr):
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            bar = BarColumn(bar_width=None)
            counts = TextColumn("{task.fields[counts]}")
            # Gone at the end: whoever ran the batch says what became of it.
            self._bar = Progress(bar, counts, TimeRemainingColumn(), console=terminal(stderr=True), transient=True)
            self._task = self._bar.add_task("", total=self._total, counts=self.counts)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the block was entered."""
        return time.monotonic() - self._began

    @property
    def counts(self) -> str:
        """The counts and the rate, in words."""
        items = self.done + self.failed
        rate = f"{items / self.elapsed_s:,.0f}/s" if items and self.elapsed_s > 0 else "-/s"
        failed = f", {self.failed:,} failed" if self.failed else ""
        return f"{self.done:,} done{failed}, {rate}"

    def advance(self, *, ok: bool, by: int = 1) -> None:
        """Count one item, which is `by` of the total."""
        if ok:
            self.done += 1
        else:
            self.failed += 1
        if self._bar is not None:
            self._bar.update(self._task, advance=by, counts=self.counts)
