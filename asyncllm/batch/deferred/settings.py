"""Settings of a deferred batch."""

from __future__ import annotations

from dataclasses import dataclass

from ..options import OnExpired, Reasks


@dataclass(frozen=True, slots=True, kw_only=True)
class DeferredSettings:
    """The settings of a deferred batch.

    Attributes:
        on_expired: What becomes of a request for which the provider's window ended.
        reask: Where a typed answer that is not valid is asked for again.
        poll_s: Seconds between two questions; None for pauses that grow from seconds to minutes.
        budget_usd: What all runs of the journal may spend.
        deduplicates: Whether identical requests are sent once.
        batch: A batch that something else created, to be read into the journal.
        is_mixed: Whether what the limits of live calls leave free is sent live.
    """

    on_expired: OnExpired = "resubmit"
    reask: Reasks = "live"
    poll_s: float | None = None
    budget_usd: float | None = None
    deduplicates: bool = False
    batch: str | None = None
    is_mixed: bool = False
