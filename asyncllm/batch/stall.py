"""Batch-wide handling of 429s: they are waited out, and nothing getting through ends the batch."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import AuthenticationError, NotFoundError, QuotaExceededError, RateLimitError, StalledError
from ..limits import Budget
from .item import BatchItem

if TYPE_CHECKING:
    from .journal.session import JournalSession

# No provider's limit is counted over more than a minute without letting something through: a batch in which nothing
# succeeds for this long is not slow but stuck.
STALL_S = 300.0
# The failures before the first success, for a reason that holds for every item, that end a run. One may be odd.
_HOPELESS = 5


class Stall:
    """The policy that all items of a batch share.

    Args:
        limit_s: Seconds without a success that end the batch.
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

    def throttled(self, error: RateLimitError) -> None:
        """Note a 429.

        Raises:
            StalledError: Nothing has succeeded for too long.
        """
        waited = self._clock() - self._last_success
        if waited > self._limit_s:
            raise StalledError(
                f"nothing has got through for {waited:.0f} s; the last 429 was: {error.message}",
                hint="Check the account's limits, or set requests_per_minute to what it allows.",
            )

    def cooling_down(self, seconds: float) -> None:
        """Note a cooldown that the provider asked for.

        Raises:
            StalledError: At its end nothing will have succeeded for too long.
        """
        waited = self._clock() - self._last_success
        if waited + seconds > self._limit_s:
            raise StalledError(
                f"nothing has got through for {waited:.0f} s, and the provider asks to wait {seconds:.0f} s more.",
                hint="Come back then; if that is too late, ask the provider for a higher limit.",
            )

    def succeeded(self) -> None:
        """Note a success."""
        self._last_success = self._clock()

    def sending(self, worst_usd: float) -> None:
        """Note that a request is about to be sent; nothing to do without a journal."""


class ItemPolicy:
    """The policy of one item: that of its batch, and a note in the journal before it is sent."""

    __slots__ = ("_item", "_session", "adaptive", "budget", "cooling_down", "succeeded", "throttled")

    def __init__(self, stall: Stall, session: JournalSession[Any] | None, item: BatchItem) -> None:
        self.budget, self.adaptive = stall.budget, stall.adaptive
        self.cooling_down, self.throttled, self.succeeded = stall.cooling_down, stall.throttled, stall.succeeded
        self._session = session
        self._item = item

    def sending(self, worst_usd: float) -> None:
        """Note that the item is about to be sent, and the most that it may cost where a budget asks for it."""
        if self._session is not None:
            self._session.sending(self._item, worst_usd)


def is_hopeless(done: int, failed: int, error: Exception) -> bool:
    """Return whether every item will fail with an error, such as a wrong key.

    Args:
        done: The items that have succeeded.
        failed: The items that have failed.
        error: The last failure.
    """
    return (
        not done and failed >= _HOPELESS and isinstance(error, AuthenticationError | NotFoundError | QuotaExceededError)
    )
