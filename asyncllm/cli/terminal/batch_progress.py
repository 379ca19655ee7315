"""How far a batch is: a few lines on stderr where that is a terminal, and a line now and then where it is not."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from asyncllm.batch.formatting import reason

from .output import dollars, draws, note, printable, terminal
from .time_left import TimeLeft

if TYPE_CHECKING:
    from rich.console import RenderableType

# Twice a second is alive and can still be read.
_DRAWN_PER_S = 2
# Between the lines of a log: a night's run stays on a few screens.
_LINE_EVERY_S = 30.0
_READ_EVERY_S = 1.0
# Kinds of errors that are named, the most frequent ones, so that the line stays one.
_NAMED_KINDS = 3


class BatchProgress:
    """Counts the items of a batch, and shows how far it is while its block runs.

    Args:
        total: How much there is to do, in the unit of `advance`; None when nobody knows.
        budget_usd: What may be spent.
        clock: Tells the seconds.

    Attributes:
        done: Items that succeeded, those that the journal had included.
        failed: Items that did not.
        replayed: Items that the journal had.
        cost_usd: What the items of this run cost, as far as it is known.
        unpriced: Items of this run that succeeded at a cost that is not known.
        spent_before_usd: What earlier runs cost.
        state: What the run says of itself: what is in flight, and what holds it back.
    """

    def __init__(
        self,
        total: int | None = None,
        *,
        budget_usd: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.done = self.failed = self.replayed = self.unpriced = self.tokens = 0
        self.cost_usd = self.spent_before_usd = 0.0
        self.kinds: Counter[str] = Counter()
        self.state: Any = None
        self._last_errors: deque[str] = deque(maxlen=2)
        self._total = total
        self._budget_usd = budget_usd
        self._passed = self._passed_sending = 0
        self._clock = clock
        self._began = clock()
        self._sending_since: float | None = None
        self._time_left = TimeLeft()
        self._live: Any = None
        self._open = ExitStack()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._began = self._clock()
        if draws(sys.stderr):
            from rich.live import Live

            self._live = Live(
                get_renderable=self._drawing,
                console=terminal(stderr=True),
                # Gone at the end: whoever ran the batch says what became of it.
                transient=True,
                refresh_per_second=_DRAWN_PER_S,
                vertical_overflow="crop",
            )
            self._open.enter_context(_ctrl_c_not_shown())
            self._live.start()
        self._thread = threading.Thread(target=self._tick, name="asyncllm progress", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        if self._live is not None:
            self._live.stop()
        self._open.close()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the block was entered."""
        return self._clock() - self._began

    @property
    def sent(self) -> int:
        """Items that were not in the journal, and have ended."""
        return self.done + self.failed - self.replayed

    @property
    def counts(self) -> str:
        """The counts and the rate, in words."""
        failed = f", {self.failed:,} failed" if self.failed else ""
        return f"{self.done:,} done{failed}, {self._rate()}"

    def advance(
        self,
        *,
        ok: bool,
        by: int = 1,
        replayed: bool = False,
        tokens: int = 0,
        cost_usd: float | None = 0.0,
        error: tuple[str, str] | None = None,
    ) -> None:
        """Count one item.

        Args:
            ok: Whether it succeeded.
            by: How much of the total it is.
            replayed: Whether the journal had it.
            tokens: What it took.
            cost_usd: What it cost; None when unknown.
            error: The kind of its error, and what it says.
        """
        if not replayed and self._sending_since is None:
            self._sending_since = self._clock()
        self.done += ok
        self.failed += not ok
        self.replayed += replayed
        self._passed += by
        self._passed_sending += 0 if replayed else by
        if not replayed:
            self.tokens += tokens
            self.cost_usd += cost_usd or 0.0
            self.unpriced += cost_usd is None and ok
        if error is not None:
            self.kinds[error[0]] += 1
            self._last_errors.append(": ".join(error))

    def read(self) -> None:
        """Note how far it is, for the time that is left; to be called about once a second."""
        # What the journal had went by in a moment, and says nothing of the rate.
        self._time_left.read(self._clock(), self._passed_sending)

    def line(self) -> str:
        """Say how far it is in a line."""
        share = f"{self._share:.0%}, " if self._share is not None else ""
        left = f", {self._left()} left" if self._share is not None else ""
        failed = f", {self.failed:,} failed{self._named_kinds()}" if self.failed else ""
        return f"{share}{self.done:,} done{failed}, {self._rate()}, {self._money()}{left}"

    @property
    def _share(self) -> float | None:
        return min(self._passed / self._total, 1.0) if self._total else None

    def _tick(self) -> None:
        reads = 0
        while not self._ended.wait(_READ_EVERY_S):
            self.read()
            reads += 1
            if self._live is None and reads % round(_LINE_EVERY_S / _READ_EVERY_S) == 0:
                note(self.line())

    def _rate(self) -> str:
        sending_s = self._clock() - self._sending_since if self._sending_since is not None else 0.0
        return f"{self.sent / sending_s:,.3g}/s" if sending_s > 0 else "-/s"

    def _left(self) -> str:
        assert self._total is not None
        return self._time_left.words(max(self._total - self._passed, 0))

    def _money(self) -> str:
        if self.unpriced and not self.cost_usd:
            return "cost unknown"
        spent = dollars(self.cost_usd + self.spent_before_usd)
        return spent if self._budget_usd is None else f"{spent} of {dollars(self._budget_usd)}"

    def _named_kinds(self) -> str:
        if not self.kinds:
            return ""
        named = ", ".join(f"{kind} {count:,}" for kind, count in self.kinds.most_common(_NAMED_KINDS))
        return f" ({named}{', ...' if len(self.kinds) > _NAMED_KINDS else ''})"

    def _drawing(self) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        bar = Table.grid(padding=(0, 1), expand=True)
        bar.add_column(ratio=1)
        bar.add_column(justify="right", no_wrap=True)
        share = self._share
        words = f"{share:.0%}, {self._left()} left" if share is not None else f"{self.elapsed_s:,.0f} s"
        bar.add_row(ProgressBar(total=1.0, completed=share or 0.0, pulse=share is None), Text(words))
        lines = [self._counted(), self._spent(), f"failed{self._named_kinds()}" if self.kinds else ""]
        errors = [f"last error: {printable(error)}" for error in self._last_errors]
        # Always as many lines, each as long as the screen is wide: what jumps cannot be read.
        texts = [Text(line, no_wrap=True, overflow="ellipsis") for line in (*lines, *errors, "", "")[:5]]
        return Group(bar, *texts)

    def _counted(self) -> str:
        replayed = f" ({self.replayed:,} from the journal)" if self.replayed else ""
        return f"{self.done:,} done{replayed}, {self.failed:,} failed, {self._rate()}"

    def _spent(self) -> str:
        state = self.state
        flight = f", {state.in_flight:,} in flight" if state is not None else ""
        limited = f", limited by {reason(state.limited_by)}" if state is not None and state.limited_by else ""
        return f"{self._money()}, {self.tokens:,} tokens{flight}{limited}"


@contextmanager
def _ctrl_c_not_shown() -> Iterator[None]:
    """Keep the terminal from writing ^C, which would shift what is drawn and leave a piece of it behind."""
    try:
        import termios

        descriptor = sys.stdin.fileno()
        before = termios.tcgetattr(descriptor)
    except (ImportError, AttributeError, OSError, ValueError, termios.error):
        yield  # no terminal, or a system that has another kind
        return
    quiet = [*before[:3], before[3] & ~termios.ECHOCTL, *before[4:]]
    termios.tcsetattr(descriptor, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSANOW, before)
