"""Provider limits that processes share: the limiter of one process over the leases of an account."""

from __future__ import annotations

from ..provider_limits import ProviderLimits, Reason
from ..token_bucket import TokenBucket
from ..waiter import Waiter
from .account import SharedAccount
from .leased_rate import LeasedRate


class SharedProviderLimits(ProviderLimits):
    """The rates and cooldowns of one provider, endpoint and key, shared by processes; thread-safe.

    Args:
        account: The account in the store.
    """

    def __init__(self, account: SharedAccount) -> None:
        super().__init__(account.clock)
        self.account = account
        account.on_renewal(self._renewed)

    @property
    def is_free(self) -> bool:
        """Whether nothing is limited and no request waits."""
        self.account.use()
        return super().is_free

    def take(self, waiter: Waiter) -> tuple[Reason | None, float]:
        """Take what a request needs, of what is leased; as `ProviderLimits.take`."""
        self.account.use()
        return super().take(waiter)

    def cool_down(self, seconds: float | None, throttled: Waiter | None = None) -> float:
        """Admit no request for some time, in any process; as `ProviderLimits.cool_down`."""
        pause = super().cool_down(seconds, throttled)
        self.account.cool_down(self.clock() + pause)
        return pause

    def _rate(
        self, name: str, current: TokenBucket | None, per_minute: float | None, now: float, burst_s: float
    ) -> TokenBucket | None:
        if current is not None and current.per_minute == per_minute:
            return current
        if isinstance(current, LeasedRate):
            current.release(now)
            self.account.renew(current)
        return None if per_minute is None else self.account.rate(name, per_minute, burst_s)

    def _renewed(self, cooldown_until: float) -> None:
        with self._lock:
            self._cooldown_until = max(self._cooldown_until, cooldown_until)
            self._wake_first()
