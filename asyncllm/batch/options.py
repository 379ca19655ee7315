"""What `gather` and `map` take beside the input: how much at once, what a failure does, what is kept and spent."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sized
from dataclasses import dataclass
from typing import Any, Self, get_args

from ..limits import Budget
from ..parameters import CallOptions
from .engine import Done, OnError, OutcomeStream
from .input import Requests
from .item import BatchItem
from .journal.fingerprint import Fingerprinter
from .journal.journal import Journal
from .journal.journal_file import Durability
from .journal.resumption import Resumed
from .journal.session import JournalSession, Restore
from .progress import Meter, Progress
from .progress_line import Display
from .stall import ItemPolicy, Stall

JournalLike = Journal | str | os.PathLike[str]
Report = Callable[[Progress], object]


class BatchOptions(CallOptions, total=False):
    """`CallOptions` for every request of a batch, and the options of the batch itself.

    Attributes:
        max_concurrency: How many may be in flight; the client's slots when not given.
        on_error: `return` puts an error into its outcome; `raise` ends the batch with the first one.
        stop_after_errors: End the batch with the error that makes it so many.
        journal: A `Journal`, or the path of one: what is in it is not sent again.
        durability: Of a journal given by its path: `normal`, or `full` to wait for the disk.
        deduplicate: Send identical requests once; the others share its answer, and cost nothing.
        progress: True for a display on stderr; or a function that is told about once a second, and before anything is
            sent, in the loop of the batch.
        budget_usd: What the batch may spend, all runs of its journal together. A request that may cost more than what
            is left is not sent, and fails with BudgetExceededError.
        adaptive: Find and follow the provider's limit.
    """

    max_concurrency: int | None
    on_error: OnError
    stop_after_errors: int | None
    journal: JournalLike | None
    durability: Durability | None
    deduplicate: bool
    progress: bool | Report
    budget_usd: float | None
    adaptive: bool


OF_THE_BATCH = frozenset(BatchOptions.__annotations__) - frozenset(CallOptions.__annotations__)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSettings:
    """The options of a batch, checked; see `BatchOptions`."""

    max_concurrency: int | None = None
    on_error: OnError = "return"
    stop_after_errors: int | None = None
    journal: JournalLike | None = None
    durability: Durability | None = None
    deduplicate: bool = False
    progress: bool | Report = False
    budget_usd: float | None = None
    adaptive: bool = True

    @classmethod
    def split(cls, options: Mapping[str, Any]) -> tuple[Self, dict[str, Any]]:
        """Take the settings of a batch from what was given to it, and return them with the parameters of its requests.

        Raises:
            TypeError: An option is of another type.
            ValueError: An option has an impossible value.
        """
        own = {name: value for name, value in options.items() if name in OF_THE_BATCH}
        return cls(**own), {name: value for name, value in options.items() if name not in OF_THE_BATCH}

    def __post_init__(self) -> None:
        for name in ("max_concurrency", "stop_after_errors"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise ValueError(f"{name} must be at least 1, not {number}")
        if self.on_error not in get_args(OnError):
            raise ValueError(f"on_error is 'return' or 'raise', not {self.on_error!r}")
        if self.budget_usd is not None and self.budget_usd < 0:
            raise ValueError(f"budget_usd must not be negative, and is {self.budget_usd}")
        if self.durability is not None and (self.journal is None or isinstance(self.journal, Journal)):
            raise TypeError("durability belongs to a journal that is given by its path; a Journal has its own")
        if self.journal is not None and not isinstance(self.journal, Journal | str | os.PathLike):
            raise TypeError(f"journal is a Journal or a path, not {type(self.journal).__name__}")
        if self.progress is not True and self.progress is not False and not callable(self.progress):
            raise TypeError(f"progress is True, False or a function, not {self.progress!r}")

    def open_journal(self) -> Journal | None:
        """Return the journal, of its path where that was given."""
        if self.journal is None or isinstance(self.journal, Journal):
            return self.journal
        return Journal(self.journal, durability=self.durability or "normal")


def batch(
    settings: BatchSettings,
    requests: Requests,
    run: Callable[[BatchItem, ItemPolicy], Awaitable[Done[Any]]],
    *,
    ordered: bool,
    slots: int,
    fingerprint_of: Callable[[], Fingerprinter],
    restore: Restore,
    limited_by: Callable[[], str | None],
) -> OutcomeStream[Any]:
    """Put a batch together.

    Args:
        settings: Its options.
        requests: Its input.
        run: Sends one request, with the policy of the batch.
        ordered: Give outcomes in input order, rather than as they complete.
        slots: How many may be in flight, where the settings do not say.
        fingerprint_of: Makes what tells its requests from each other; asked only where that matters.
        restore: Makes an answer of a journal's entry.
        limited_by: Says what keeps the client's calls from going faster.
    """
    stall = Stall(adaptive=settings.adaptive)
    total = len(requests) if isinstance(requests, Sized) else None
    report = Display().show if settings.progress is True else settings.progress or None
    meter = Meter(total, report, limited_by=limited_by)

    spent_before = 0.0

    def opened(resumed: Resumed) -> None:
        nonlocal spent_before
        if settings.budget_usd is not None:
            spent_before = resumed.spent_usd
            stall.budget = Budget(settings.budget_usd, spent_before)
        meter.opened(resumed)

    def charged() -> float:
        return 0.0 if stall.budget is None else stall.budget.spent_usd - spent_before

    journal = settings.open_journal()
    session: JournalSession | None = None
    if journal is not None or settings.deduplicate:
        session = JournalSession(
            journal,
            fingerprint_of(),
            restore,
            requests=requests,
            deduplicate=settings.deduplicate,
            opened=opened,
            charged=charged,
        )
        if journal is not None:
            meter.sample = session.sample
    else:
        opened(Resumed())
    return OutcomeStream(
        requests,
        lambda item: run(item, ItemPolicy(stall, session, item)),
        max_concurrency=settings.max_concurrency or slots,
        ordered=ordered,
        on_error=settings.on_error,
        stop_after_errors=settings.stop_after_errors,
        session=session,
        meter=meter,
    )
