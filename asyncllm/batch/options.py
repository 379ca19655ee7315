"""The options of `gather` and `map`: concurrency, failures, journal, progress and budget."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sized
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, get_args

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
from .progress_line import ProgressLine
from .stall import ItemPolicy, Stall

if TYPE_CHECKING:
    # Names for type checkers: live batches need nothing of deferred ones.
    from .deferred.requests import DeferredCalls
    from .deferred.run import DeferredSettings

T = TypeVar("T")
JournalLike = Journal | str | os.PathLike[str]
_JOURNAL_LIKE: tuple[type, ...] = (Journal, str, os.PathLike)
Report = Callable[[Progress], object]
OnExpired = Literal["resubmit", "live", "fail"]
Reasks = Literal["live", "deferred"]


class DeferredOptions(CallOptions, total=False):
    """`CallOptions` for the requests of a deferred batch that go out live, and options of the batch itself.

    Attributes:
        on_expired: What becomes of a request for which the provider's window ends: `resubmit` it once and then send it
            live, send it `live`, or let it `fail`.
        reask: How a typed answer that is not valid is asked for again: `live` at once, or in another `deferred` batch.
        poll_s: Seconds between two questions; None for pauses that grow from seconds to minutes.
        budget_usd: What all runs of the journal may spend together, in batches and live.
    """

    on_expired: OnExpired
    reask: Reasks
    poll_s: float | None
    budget_usd: float | None


class BatchOptions(DeferredOptions, total=False):
    """`CallOptions` for every request of a batch, and the options of the batch itself.

    Attributes:
        max_concurrency: The most that may be in flight; by default the client's slots.
        on_error: `return` puts an error into its outcome; `raise` ends the batch with the first one.
        stop_after_errors: The number of errors that ends the batch, with the last of them.
        journal: A `Journal`, or the path of one: what is in it is not sent again.
        durability: Of a journal given by its path: `normal`, or `full` to wait for the disk.
        deduplicate: Send identical requests once; the others share the answer, and cost nothing.
        progress: True for a display on stderr; or a function that is called about once a second, and before anything
            is sent, in the loop of the batch.
        budget_usd: What the batch may spend, all runs of its journal together. A request that may cost more than what
            is left is not sent, and fails with BudgetExceededError.
        adaptive: Find and follow the provider's limit.
        deferred: Send it by the provider's batch API, which answers within a day at half the price; needs a journal.
            `auto` sends live what the limits leave free, and the rest so.
        on_expired: Of a deferred batch; as in `DeferredOptions`, with `reask` and `poll_s`.
    """

    max_concurrency: int | None
    on_error: OnError
    stop_after_errors: int | None
    journal: JournalLike | None
    durability: Durability | None
    deduplicate: bool
    progress: bool | Report
    adaptive: bool
    deferred: bool | Literal["auto"]


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
    deferred: bool | Literal["auto"] = False
    on_expired: OnExpired = "resubmit"
    reask: Reasks = "live"
    poll_s: float | None = None

    @classmethod
    def split(cls, options: Mapping[str, Any]) -> tuple[Self, dict[str, Any]]:
        """Return the settings of a batch among its options, and the parameters of its requests.

        Raises:
            TypeError: An option is of the wrong type.
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
        if self.journal is not None and not isinstance(self.journal, _JOURNAL_LIKE):
            raise TypeError(f"journal is a Journal or a path, not {type(self.journal).__name__}")
        self._check_deferred()
        if self.progress is not True and self.progress is not False and not callable(self.progress):
            raise TypeError(f"progress is True, False or a function, not {self.progress!r}")

    def _check_deferred(self) -> None:
        for name, kind in (("on_expired", OnExpired), ("reask", Reasks)):
            if getattr(self, name) not in get_args(kind):
                raise ValueError(f"{name} is one of {', '.join(get_args(kind))}, not {getattr(self, name)!r}")
        if self.poll_s is not None and self.poll_s <= 0:
            raise ValueError(f"poll_s must be more than 0 seconds, and is {self.poll_s}")
        if not self.deferred:
            return
        if self.deferred not in (True, "auto"):
            raise ValueError(f"deferred is True, False or 'auto', not {self.deferred!r}")
        if self.journal is None:
            raise ValueError("deferred needs journal=: without one, a batch would be paid for again after a crash")

    def open_journal(self) -> Journal | None:
        """Return the journal, from its path where that was given."""
        if self.journal is None or isinstance(self.journal, Journal):
            return self.journal
        return Journal(self.journal, durability=self.durability or "normal")

    def of_deferred(self, batch: str | None = None) -> DeferredSettings:
        """Return the settings of a deferred batch; with the id of one that something else created."""
        from .deferred.run import DeferredSettings

        return DeferredSettings(
            on_expired=self.on_expired,
            reask=self.reask,
            poll_s=self.poll_s,
            budget_usd=self.budget_usd,
            deduplicates=self.deduplicate,
            batch=batch,
            is_mixed=self.deferred == "auto",
        )

    def meter(self, requests: Requests, limited_by: Callable[[], str | None]) -> Meter:
        """Return what measures and reports the progress."""
        report = ProgressLine(budget_usd=self.budget_usd).show if self.progress is True else self.progress or None
        return Meter(len(requests) if isinstance(requests, Sized) else None, report, limited_by=limited_by)


class _Start:
    """The start of a batch, once its journal says what earlier runs have done and spent."""

    def __init__(self, budget_usd: float | None, stall: Stall, meter: Meter) -> None:
        self._budget_usd = budget_usd
        self._stall = stall
        self._meter = meter
        self._spent_before = 0.0

    def opened(self, resumed: Resumed) -> None:
        """Set the budget, and report, before anything is sent."""
        if self._budget_usd is not None:
            self._spent_before = resumed.spent_usd
            self._stall.budget = Budget(self._budget_usd, self._spent_before)
        self._meter.opened(resumed)

    def charged(self) -> float:
        """Return what this run has taken out of the budget."""
        return 0.0 if self._stall.budget is None else self._stall.budget.spent_usd - self._spent_before


def batch(
    settings: BatchSettings,
    requests: Requests,
    run: Callable[[BatchItem, ItemPolicy], Awaitable[Done[T]]],
    *,
    ordered: bool,
    slots: int,
    fingerprint_of: Callable[[], Fingerprinter],
    restore: Restore[T],
    limited_by: Callable[[], str | None],
) -> OutcomeStream[T]:
    """Assemble a batch."""
    stall = Stall(adaptive=settings.adaptive)
    meter = settings.meter(requests, limited_by)
    start = _Start(settings.budget_usd, stall, meter)
    journal = settings.open_journal()
    session: JournalSession[T] | None = None
    if journal is None and not settings.deduplicate:
        start.opened(Resumed())
    else:
        session = JournalSession(
            journal,
            fingerprint_of(),
            restore,
            requests=requests,
            deduplicate=settings.deduplicate,
            opened=start.opened,
            charged=start.charged,
        )
        if journal is not None:
            meter.sample = session.add_sample
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


def deferred_batch(
    settings: BatchSettings, requests: Requests, calls: DeferredCalls[T], *, ordered: bool
) -> OutcomeStream[T]:
    """Assemble a deferred batch."""
    from .deferred.run import DeferredRun
    from .deferred.stream import DeferredOutcomes

    journal = settings.open_journal()
    assert journal is not None, "a deferred batch has been checked for one"
    meter = settings.meter(requests, lambda: None)
    run = DeferredRun(calls, journal, settings.of_deferred(), requests=requests, ordered=ordered)
    run.opened = meter.opened
    most_errors = 1 if settings.on_error == "raise" else settings.stop_after_errors
    return DeferredOutcomes(run, meter, most_errors)
