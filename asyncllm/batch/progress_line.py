"""The progress of a batch on stderr: drawn and redrawn at a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from .formatting import dollars, draws, duration, limit_name, number, printable
from .progress import Progress
from .time_left import TimeLeft

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

# Twice a second looks alive, and can still be read.
_DRAWN_PER_S = 2
# Seconds between the lines of a log: a night's run stays on a few screens.
BETWEEN_LINES_S = 30.0
# Kinds of errors that are named, the most frequent ones, so that they fit on a line.
_NAMED_KINDS = 3
# What is drawn has always as many lines below the bar: what jumps cannot be read.
_LINES = 4

# A terminal can be drawn on by one batch at a time.
_terminal = threading.Lock()


def _to_stderr(line: str) -> None:
    with suppress(OSError):  # a closed pipe is no failure
        print(printable(line), file=sys.stderr, flush=True)


class ProgressLine:
    """Shows the progress of one batch, by the reports that `show` is called with.

    Args:
        budget_usd: What may be spent, in all runs of its journal.
        share: Returns the share of the input that has ended; None for that of the reports, which know it where the
            input has a length.
    """

    def __init__(
        self,
        *,
        budget_usd: float | None = None,
        share: Callable[[], float | None] | None = None,
        stays: bool = True,
        write: Callable[[str], object] = _to_stderr,
    ) -> None:
        self._budget_usd = budget_usd
        self._share = share
        self._stays = stays
        self._write = write
        self._progress = Progress()
        self._announced = False
        self._next_line_s = BETWEEN_LINES_S
        self._time_left = TimeLeft()
        self._live: Live | None = None

    def show(self, progress: Progress) -> None:
        """Show a report."""
        self._progress = progress
        resumed = progress.resumed
        if resumed is not None and resumed.run > 1 and not self._announced:
            self._announced = True
            self._write(resumed.in_words())
        ended, share = progress.done + progress.failed, self._share_done()
        if share is not None and ended:
            # What the journal had went by in a moment, and says nothing about the pace.
            self._time_left.read(progress.elapsed_s, share * (ended - progress.from_journal) / ended)
        if progress.finished:
            self._stop()
            if self._stays:
                self._write(self.line())
        elif progress.taken:
            self.start()
            if self._live is None and progress.elapsed_s >= self._next_line_s:
                self._next_line_s = progress.elapsed_s + BETWEEN_LINES_S
                self._write(self.line())

    def start(self) -> None:
        """Begin to draw, if stderr is a terminal that no other batch draws on."""
        if self._live is not None or not draws(sys.stderr) or not _terminal.acquire(blocking=False):
            return
        from rich.console import Console
        from rich.live import Live

        self._live = Live(
            get_renderable=self.drawing,
            console=Console(stderr=True, highlight=False, markup=False, emoji=False),
            transient=True,
            refresh_per_second=_DRAWN_PER_S,
            vertical_overflow="crop",
            # What is printed meanwhile goes above it; but what goes to a file or a pipe stays there.
            redirect_stdout=sys.stdout.isatty(),
        )
        self._live.start()

    def line(self) -> str:
        """Return the progress as a line."""
        now, share = self._progress, self._share_done()
        end = [f"in {duration(now.elapsed_s)}"] if now.finished else []
        return ", ".join([*([] if share is None else [self._shown(share)]), *self._counts(), *end])

    def drawing(self) -> RenderableType:
        """Return the progress as rich draws it: a bar, and lines as long as the screen is wide."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        now, share = self._progress, self._share_done()
        bar = Table.grid(padding=(0, 1), expand=True)
        bar.add_column(ratio=1)
        bar.add_column(justify="right", no_wrap=True)
        beside = duration(round(now.elapsed_s)) if share is None else self._shown(share)
        bar.add_row(ProgressBar(total=1.0, completed=share or 0.0, pulse=share is None), Text(beside))
        lines = [*self._counts(), *(f"last error: {printable(error)}" for error in now.last_errors), "", ""]
        return Group(bar, *(Text(line, no_wrap=True, overflow="ellipsis") for line in lines[:_LINES]))

    def _counts(self) -> tuple[str, str]:
        """Return what has ended, and what it takes."""
        now = self._progress
        sources = (("the journal", now.from_journal), ("the cache", now.cached))
        known = ", ".join(f"{count:,} from {name}" for name, count in sources if count)
        known = f" ({known})" if known else ""
        limited = f", limited by {limit_name(now.limited_by)}" if now.limited_by else ""
        flight = "" if now.finished else f", {self._under_way()}"
        return (
            f"{now.done:,} done{known}, {now.failed:,} failed{self._kinds()}, {number(now.per_s)}/s",
            f"{self._money()}, {now.input_tokens + now.output_tokens:,} tokens{flight}{limited}",
        )

    def _under_way(self) -> str:
        now, deferred = self._progress, self._progress.deferred
        if deferred is None:
            return f"{now.in_flight:,} in flight"
        time_s = time.time()
        states = {"not sent yet": deferred.waiting, "sent": deferred.sent, "ended": deferred.ended}
        parts = [f"batches: {', '.join(f'{count:,} {state}' for state, count in states.items() if count) or 'none'}"]
        if deferred.sent:
            age_s = max(time_s - deferred.oldest_at, 0.0)
            parts.append(f"{deferred.at_provider:,} requests sent {duration(age_s)} ago")
            if deferred.window_ends_at > time_s:
                parts.append(f"the window ends in {duration(deferred.window_ends_at - time_s)}")
        return ", ".join(parts)

    def _shown(self, share: float) -> str:
        left = None if self._progress.finished else self._time_left.shown(1.0 - share)
        return f"{share:.0%}" + (f", {left} left" if left else "")

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
            _terminal.release()

    def _share_done(self) -> float | None:
        now = self._progress
        if self._share is not None:
            return self._share()
        return min((now.done + now.failed) / now.total, 1.0) if now.total else None

    def _money(self) -> str:
        now = self._progress
        if now.unpriced and not now.cost_usd:
            return "cost unknown"
        spent = dollars(now.cost_usd + (now.resumed.spent_usd if now.resumed is not None else 0.0))
        limit = f" of {dollars(self._budget_usd)}" if self._budget_usd is not None else ""
        return f"{spent}{limit}" + (f" and {now.unpriced:,} unpriced" if now.unpriced else "")

    def _kinds(self) -> str:
        kinds = Counter(self._progress.errors)
        named = ", ".join(f"{kind} {count:,}" for kind, count in kinds.most_common(_NAMED_KINDS))
        return f" ({named}{', ...' if len(kinds) > _NAMED_KINDS else ''})" if kinds else ""
