"""How far a batch is: one line on stderr that changes in place; where that is no terminal, a line now and then."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from .progress import Progress

# A line that stays is enough this often: a log of ten hours has a few hundred of them.
BETWEEN_LINES_S = 60.0


class Display:
    """Shows the progress of one batch.

    Args:
        file: Where to; stderr when not given.
    """

    def __init__(self, file: TextIO | None = None) -> None:
        self._file = sys.stderr if file is None else file
        self._in_place = self._file.isatty()
        self._next_line = 0.0
        self._width = 0

    def show(self, progress: Progress) -> None:
        """Show how far the batch is."""
        resumed = progress.resumed
        if resumed is not None and resumed.run > 1 and not progress.taken:
            self._stay(resumed.in_words())
        if self._in_place:
            line = in_words(progress)
            self._write("\r" + line.ljust(self._width) + ("\n" if progress.finished else ""))
            self._width = len(line)
        elif progress.finished or time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + BETWEEN_LINES_S
            self._write(in_words(progress) + "\n")

    def _stay(self, line: str) -> None:
        self._write(line + "\n")

    def _write(self, text: str) -> None:
        self._file.write(text)
        self._file.flush()


def in_words(progress: Progress) -> str:
    """Say how far a batch is."""
    ended = progress.done + progress.failed
    of = f" of {progress.total:,}" if progress.total is not None else ""
    parts = [f"{ended:,}{of}"]
    if progress.failed:
        parts.append(f"{progress.failed:,} failed")
    if progress.from_journal:
        parts.append(f"{progress.from_journal:,} from the journal")
    if not progress.finished:
        parts.append(f"{progress.in_flight:,} in flight")
    parts.append(f"{progress.per_s:,.1f}/s")
    parts.append(f"${progress.cost_usd:,.4f}" + (f" and {progress.unpriced:,} unpriced" if progress.unpriced else ""))
    if progress.remaining_s is not None and not progress.finished:
        parts.append(f"{_duration(progress.remaining_s)} left")
    elif progress.finished:
        parts.append(f"in {_duration(progress.elapsed_s)}")
    if progress.limited_by:
        parts.append(f"limited by {progress.limited_by}")
    return ", ".join(parts)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
