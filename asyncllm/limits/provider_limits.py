"""Provider limits: the rates and cooldowns of one provider, endpoint and key, shared by threads and loops."""

from __future__ import annotations

import hashlib
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Literal

from ..errors import RequestTooLargeError
from .refusals import Refusals
from .token_bucket import REQUESTS_BURST_S, TOKENS_BURST_S, TokenBucket

if TYPE_CHECKING:
    from .adaptive.controller import AdaptiveController
    from .shared.session import LimitsSession
    from .waiter import Waiter

# Seconds after its time at which a request that has not been sent is overtaken: its loop is held up.
GRACE_S = 0.05
# The cooldown in seconds after a 429 that names none: it doubles with each 429 in a row, between these.
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0

Reason = Literal["slots", "requests", "tokens", "cooldown", "adaptive", "budget", "tenant"]
"""The limit that a request waits for."""

_arrival = attrgetter("arrival")


class ProviderLimits:
    """The rates and cooldowns of one provider, endpoint and key; thread-safe.

    Requests of all threads and clients are served in order of arrival. Those that wait for the adaptive control
    alone do not hold up those that do not follow it.

    Attributes:
        refusals: The log of its 429s.

    Args:
        clock: Returns the monotonic time in seconds.
        cpu: Returns the CPU time of this process in seconds.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, cpu: Callable[[], float] = time.process_time
    ) -> None:
        self.clock = clock
        self.refusals = Refusals(clock)
        self._cpu = cpu
        self._lock = threading.Lock()
        self._limits: dict[int, tuple[float | None, float | None]] = {}
        self._requests: TokenBucket | None = None
        self._tokens: TokenBucket | None = None
        self._cooldown_until = 0.0
        self._throttles = 0
        self._control: AdaptiveController | None = None
        self._waiters: list[Waiter] = []
        self._reason: Reason = "requests"  # what the first of them waits for

    def configure(self, owner: int, requests_per_minute: float | None, tokens_per_minute: float | None) -> None:
        """Set the limits of one owner; the lowest of all owners holds."""
        with self._lock:
            self._limits[owner] = (requests_per_minute, tokens_per_minute)
            self._apply()

    def forget(self, owner: int) -> None:
        """Drop one owner's limits."""
        with self._lock:
            self._limits.pop(owner, None)
            self._apply()

    def cool_down(self, seconds: float | None, throttled: Waiter | None = None) -> float:
        """Admit no request for some time.

        Args:
            seconds: What the provider asked for; None, or 0, for a cooldown that grows with each 429 in a row.
            throttled: The request that got the 429, not settled yet.

        Returns:
            The length of the cooldown in seconds.
        """
        with self._lock:
            now = self.clock()
            pause = self._cool_down(seconds, now)
            if throttled is not None and throttled.flight is not None:
                throttled.flight.controller.throttled(throttled.flight, now, pause)
            return pause

    def succeeded(self) -> None:
        """Note an answer; the next 429 starts with a short cooldown again."""
        self._throttles = 0

    def learn(self, waiter: Waiter, headers: Mapping[str, str], output_tokens: int | None) -> None:
        """Pass an answer to the adaptive control.

        Args:
            waiter: The request.
            headers: The answer's `x-ratelimit-*` headers, lower case.
            output_tokens: The length of the answer; None where it is unknown, or where its reader set the pace.
        """
        if waiter.flight is not None:
            with self._lock:
                waiter.flight.controller.answered(waiter.flight, self.clock(), headers, output_tokens)

    def take(self, waiter: Waiter) -> tuple[Reason | None, float]:
        """Take what a request needs if it is available and no earlier request waits; else keep its turn.

        Returns:
            None and 0 when it was taken; else the limit that it waits for, and the seconds until its next try
            (infinity: until it is woken).
        """
        with self._lock:
            now = self.clock()
            if self._waiters and (turn := self._turn(waiter, now)) > now:
                self._keep(waiter, turn)
                return self._reason, turn - now
            reason, at = (None, now) if self._has_room(waiter, now) else self._available(waiter, now)
            waiter.parked = reason == "adaptive"
            if reason is not None:
                self._reason = reason
                self._keep(waiter, at)
                return reason, at - now
            self._take(waiter, now)
            if self._waiters:
                self._drop(waiter)
            return None, 0.0

    def withdraw(self, waiter: Waiter) -> None:
        """Drop the turn of a request that waits for another limit, or no longer."""
        if self._waiters:
            with self._lock:
                self._drop(waiter)

    def settle(self, waiter: Waiter, used_tokens: int | None, *, sent: bool = True) -> None:
        """Replace what was reserved by what was used; unknown usage counts as reserved.

        Args:
            waiter: The request, which has ended.
            used_tokens: What it used, input and output.
            sent: Whether it was sent; what was taken for one that was not is returned.
        """
        if self._tokens is None and self._requests is None and waiter.flight is None:
            return
        with self._lock:
            if self._tokens is not None and used_tokens is not None:
                self._tokens.give_back(waiter.needs.tokens - used_tokens, self.clock())
            if self._requests is not None and not sent:
                self._requests.give_back(1, self.clock())
            if waiter.flight is not None:
                waiter.flight.controller.ended(waiter.flight, sent=sent)
                waiter.flight = None
            if self._waiters:
                self._wake_first()

    @property
    def counts_tokens(self) -> bool:
        """Whether tokens are limited here."""
        return self._tokens is not None

    @property
    def rates(self) -> dict[str, float]:
        """The configured rates, by the names of their fields."""
        named = {"requests_per_minute": self._requests, "tokens_per_minute": self._tokens}
        return {name: rate.per_minute for name, rate in named.items() if rate is not None}

    @property
    def is_free(self) -> bool:
        """Whether nothing is limited and no request waits."""
        unlimited = self._requests is None and self._tokens is None and not self._waiters
        return unlimited and self._cooldown_until <= self.clock()

    @property
    def found(self) -> tuple[float | None, int | None]:
        """Requests a second and requests in flight, as the adaptive control has found them; None while unknown."""
        control = self._control
        return (None, None) if control is None else (control.rate.per_s, int(control.window.size))

    @property
    def cooldown_s(self) -> float:
        """Seconds that are left of the cooldown."""
        return max(0.0, self._cooldown_until - self.clock())

    def check_size(self, tokens: int) -> None:
        """Reject a request that can never be admitted.

        Raises:
            RequestTooLargeError: It needs more tokens than a minute has.
        """
        rate = self._tokens
        if rate is not None and tokens > rate.per_minute:
            raise RequestTooLargeError(
                f"the request needs about {tokens:,} tokens, and tokens_per_minute is {rate.per_minute:,.0f}.",
                hint="Shorten the prompt, lower max_output_tokens, or raise tokens_per_minute.",
            )

    def _cool_down(self, seconds: float | None, now: float) -> float:
        if not seconds:
            if self._cooldown_until > now:
                return self._cooldown_until - now  # one burst of 429s counts once
            seconds = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**self._throttles)
            self._throttles += 1
        self._cooldown_until = max(self._cooldown_until, now + seconds)
        return self._cooldown_until - now

    def _has_room(self, waiter: Waiter, now: float) -> bool:
        """Return whether a request may go at once, as nearly all of a batch may; `_available` takes twice as long."""
        control = self._control
        return control is not None and control.has_room and self._cooldown_until <= now and self._follows(waiter)

    def _available(self, waiter: Waiter, now: float) -> tuple[Reason | None, float]:
        """Return the limit that a request waits for, and until when; None when it need not wait."""
        reason: Reason | None = None
        at = now
        if self._cooldown_until > at:
            reason, at = "cooldown", self._cooldown_until
        if self._requests is not None and (then := self._requests.available_at(1, now)) > at:
            reason, at = "requests", then
        if self._tokens is not None and (then := self._tokens.available_at(waiter.needs.tokens, now)) > at:
            reason, at = "tokens", then
        if reason is None and self._follows(waiter):
            assert self._control is not None
            if (then := self._control.available_at(now)) > at:
                reason, at = "adaptive", then
        return reason, at

    def _follows(self, waiter: Waiter) -> bool:
        """Return whether a request follows the adaptive control, which finds limits that are not configured."""
        if not waiter.needs.adaptive or self._requests is not None or self._tokens is not None:
            return False
        if self._control is None:
            from .adaptive.controller import AdaptiveController  # most processes send no batch

            self._control = AdaptiveController(self._cpu)
        return True

    def _take(self, waiter: Waiter, now: float) -> None:
        if self._requests is not None:
            self._requests.take(1, now)
        if self._tokens is not None:
            self._tokens.take(waiter.needs.tokens, now)
        if self._follows(waiter):
            assert self._control is not None
            waiter.flight = self._control.take(now)

    def _turn(self, waiter: Waiter, now: float) -> float:
        """Return when it is a request's turn unless it is woken before: when those before it should have gone."""
        before = [
            other.due
            for other in self._waiters
            if other.arrival < waiter.arrival and (waiter.needs.adaptive or not other.parked)
        ]
        return max((due + GRACE_S for due in before), default=now)

    def _keep(self, waiter: Waiter, due: float) -> None:
        waiter.due = due
        if waiter not in self._waiters:
            self._waiters.append(waiter)

    def _drop(self, waiter: Waiter) -> None:
        if waiter in self._waiters:
            self._waiters.remove(waiter)
            self._wake_first()

    def _wake_first(self) -> None:
        """Wake the next requests: the first of all, and the first that does not wait for the adaptive control."""
        first = min(self._waiters, key=_arrival, default=None)
        if first is None:
            return
        first.slots.wake()
        if first.parked:
            other = min((other for other in self._waiters if not other.parked), key=_arrival, default=None)
            if other is not None:
                other.slots.wake()

    def _apply(self) -> None:
        now = self.clock()
        requests = min((r for r, _ in self._limits.values() if r is not None), default=None)
        tokens = min((t for _, t in self._limits.values() if t is not None), default=None)
        self._requests = self._rate("requests", self._requests, requests, now, REQUESTS_BURST_S)
        self._tokens = self._rate("tokens", self._tokens, tokens, now, TOKENS_BURST_S)
        self._wake_first()

    def _rate(
        self, name: str, current: TokenBucket | None, per_minute: float | None, now: float, burst_s: float
    ) -> TokenBucket | None:
        """Return the rate of a name with a limit: the current one, where the limit is the same."""
        if per_minute is None:
            return None
        unchanged = current is not None and current.per_minute == per_minute
        return current if unchanged else TokenBucket(per_minute, now, burst_s)


_known: weakref.WeakValueDictionary[tuple[object, ...], ProviderLimits] = weakref.WeakValueDictionary()
_known_lock = threading.Lock()


def account_name(provider: str, endpoint: str | None, key: str | None) -> str:
    """Return the name of a provider, endpoint and key: a hash, which shows none of them."""
    parts = "\0".join((provider, endpoint or "", key or ""))
    return hashlib.blake2b(parts.encode(), digest_size=16, person=b"asyncllm-limits").hexdigest()


def shared_provider_limits(
    provider: str, endpoint: str | None, key: str | None, session: LimitsSession | None = None
) -> ProviderLimits:
    """Return the limits of a provider, endpoint and key; the same object for the whole process.

    Args:
        provider: The name of the provider.
        endpoint: Its URL; None for its own.
        key: The key; None for none.
        session: The store that other processes share them in; None for limits of this process alone.
    """
    account = account_name(provider, endpoint, key)
    with _known_lock:
        limits = _known.get((account, session))
        if limits is None:
            if session is None:
                limits = ProviderLimits()
            else:
                from .shared.shared_limits import SharedProviderLimits

                limits = SharedProviderLimits(session.account(account))
            _known[account, session] = limits
        return limits
