"""The policy of a batch: refusals for the rate are waited out, and nothing getting through ends it."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..errors import RateLimitError, StalledError
from ..limits import Budget
from .item import BatchItem
from .journal.session import JournalSession

# A batch in which nothing succeeds for this long is not slow but stuck: no provider's limit is counted over more than a
# minute without letting something through.
STALL_S = 300.0


class Stall:
    """The settings of a batch: refusals for the rate are waited out, and nothing getting through ends it.

    Args:
        limit_s: Seconds without a success that end the batch.
        clock: Gives the monotonic time in seconds.
        budget: What the batch may spend; None for no limit.
        adaptive: Whether its requests find and follow the provider's limit.
    """

    def __init__(
        self,
        limit_s: float = STALL_S,
        clock: Callable[[], float] = time.monotonic,
        *,
        budget: Budget | None = None,
        adaptive: bool = True,
    ) -> None:
        self.budget = budget
        self.adaptive = adaptive
        self._limit_s = limit_s
        self._clock = clock
        self._last_success = clock()

    def refused(self, error: RateLimitError) -> None:
        """Note a refusal.

        Raises:
            StalledError: When nothing has succeeded for too long.
        """
        waited = self._clock() - self._last_success
        if waited > self._limit_s:
            raise StalledError(
                f"nothing has got through for {waited:.0f} s; the last refusal was: {error.message}",
                hint="Check the account's limits, or set requests_per_minute to what it allows.",
            )

    def closed(self, seconds: float) -> None:
        """Note that nothing is sent for some time, because the provider asked for it.

        Raises:
            StalledError: When nothing will have succeeded for too long by then.
        """
        waited = self._clock() - self._last_success
        if waited + seconds > self._limit_s:
            raise StalledError(
                f"nothing has got through for {waited:.0f} s, and the provider asks to wait {seconds:.0f} s more.",
                hint="Come back then; if that is too late, ask the provider for a higher limit.",
            )

    def succeeded(self) -> None:
        """Note that something got through."""
        self._last_success = self._clock()

    def sending(self, worst_usd: float) -> None:
        """Note that a request is about to be sent, which is nothing to a batch that keeps no journal."""


class ItemPolicy:
    """Waits as the batch does, and notes in its journal that the item is about to be sent.

    Args:
        stall: What all items of the batch share.
        session: The journal; None without one.
        item: The item.
    """

    __slots__ = ("_item", "_session", "_stall")

    def __init__(self, stall: Stall, session: JournalSession | None, item: BatchItem) -> None:
        self._stall = stall
        self._session = session
        self._item = item

    @property
    def budget(self) -> Budget | None:
        """What the batch may spend."""
        return self._stall.budget

    @property
    def adaptive(self) -> bool:
        """Whether its requests find and follow the provider's limit."""
        return self._stall.adaptive

    def closed(self, seconds: float) -> None:
        """Note that nothing is sent for some time; raises StalledError when that is too long."""
        self._stall.closed(seconds)

    def refused(self, error: RateLimitError) -> None:
        """Note a refusal; raises StalledError when nothing has got through for too long."""
        self._stall.refused(error)

    def succeeded(self) -> None:
        """Note that something got through."""
        self._stall.succeeded()

    def sending(self, worst_usd: float) -> None:
        """Note that the item is about to be sent, and what that may cost where a budget asks for it."""
        if self._session is not None:
            self._session.sending(self._item, worst_usd)
