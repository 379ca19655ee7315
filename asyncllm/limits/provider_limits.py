"""A bucket: the rates and closures of one provider, endpoint and key, shared by the process's threads and loops."""

from __future__ import annotations

import hashlib
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Literal, Protocol

from ..errors import RequestTooLargeError
from .adaptive.controller import AdaptiveController
from .token_bucket import REQUESTS_BURST_S, TOKENS_BURST_S, TokenBucket

# A request whose time has come and that has not gone by so many seconds later belongs to a loop that is held up; others
# go before it.
GRACE_S = 0.05
# The pause after a 429 that names none: it doubles with each in a row, between these, in seconds.
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0

Reason = Literal["slots", "requests", "tokens", "closed", "adaptive", "budget"]
"""What a request waits for."""


class Claim(Protocol):
    """A request that has all it needs but what a bucket gives.

    Attributes:
        arrival: Its number in the order of arrival.
        tokens: What it needs at the most, input and output.
        adaptive: Whether it follows the adaptive control where no rate is set.
        parked: Whether that control alone holds it up.
        due: When it will try again by itself.
        followed: The control that let it go; None when none did.
        sent_at: When that was.
        in_flight: How many were on their way then.
    """

    arrival: int
    tokens: int
    adaptive: bool
    parked: bool
    due: float
    followed: AdaptiveController | None
    sent_at: float
    in_flight: int

    def wake(self) -> None:
        """Let it try again, from any thread."""
        ...


class ProviderLimits:
    """The rates and closures of one provider, endpoint and key; thread-safe.

    Of all who could go but for the bucket, it serves the one that came first, whichever thread and client it belongs
    to. Those that only wait for the adaptive control do not hold up those that do not follow it.

    Args:
        clock: Gives the monotonic time in seconds.
        cpu: Gives the seconds for which this process has computed.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, cpu: Callable[[], float] = time.process_time
    ) -> None:
        self.clock = clock
        self._cpu = cpu
        self._lock = threading.Lock()
        self._limits: dict[int, tuple[float | None, float | None]] = {}
        self._requests: TokenBucket | None = None
        self._tokens: TokenBucket | None = None
        self._closed_until = 0.0
        self._refusals = 0
        self._control: AdaptiveController | None = None
        self._claims: list[Claim] = []
        self._reason: Reason = "requests"  # what the first of them waits for

    def configure(self, owner: int, requests_per_minute: float | None, tokens_per_minute: float | None) -> None:
        """Set one owner's limits; of all owners' the lowest holds."""
        with self._lock:
            self._limits[owner] = (requests_per_minute, tokens_per_minute)
            self._apply()

    def forget(self, owner: int) -> None:
        """Drop one owner's limits."""
        with self._lock:
            self._limits.pop(owner, None)
            self._apply()

    def close(self, seconds: float | None, refused: Claim | None = None) -> float:
        """Admit nobody for some time.

        Args:
            seconds: What the provider asked for; None, or 0, for a pause that grows with each refusal in a row.
            refused: The request that the provider refused, not settled yet.

        Returns:
            The seconds for which it is closed.
        """
        with self._lock:
            now = self.clock()
            pause = self._close(seconds, now)
            if refused is not None and refused.followed is not None:
                refused.followed.refused(refused.sent_at, refused.in_flight, now, pause)
            return pause

    def succeeded(self) -> None:
        """Note that the provider answered; the next refusal starts with a short pause again."""
        self._refusals = 0

    def learn(self, claim: Claim, headers: Mapping[str, str], output_tokens: int | None) -> None:
        """Let the adaptive control learn from an answer.

        Args:
            claim: The request.
            headers: The answer's `x-ratelimit-*` headers, lower case.
            output_tokens: The length of the answer; None where it is not known, or where its reader decided how long it
                took.
        """
        if claim.followed is not None:
            with self._lock:
                now = self.clock()
                claim.followed.answered(claim.sent_at, claim.in_flight, now, output_tokens)
                if headers:
                    claim.followed.told(headers, claim.sent_at, now)

    def take(self, claim: Claim) -> tuple[Reason | None, float]:
        """Take what a request needs if it is there and nobody came before it; else keep its claim.

        Returns:
            None and 0 when it was taken; else what it waits for, and the seconds until it may be tried again
            (infinity: until it is woken).
        """
        with self._lock:
            now = self.clock()
            if self._claims and (turn := self._turn(claim, now)) > now:
                self._keep(claim, turn)
                return self._reason, turn - now
            reason, at = (None, now) if self._has_room(claim, now) else self._available(claim, now)
            claim.parked = reason == "adaptive"
            if reason is not None:
                self._reason = reason
                self._keep(claim, at)
                return reason, at - now
            self._take(claim, now)
            if self._claims:
                self._drop(claim)
            return None, 0.0

    def withdraw(self, claim: Claim) -> None:
        """Drop a claim: its request waits for something else, or no more."""
        if self._claims:
            with self._lock:
                self._drop(claim)

    def settle(self, claim: Claim, used_tokens: int | None, *, sent: bool = True) -> None:
        """Correct what was reserved by what was used; unknown usage counts as reserved.

        Args:
            claim: The request, which has ended.
            used_tokens: What it used, input and output.
            sent: Whether it was sent; what was taken for one that was not is returned.
        """
        if self._tokens is None and self._requests is None and claim.followed is None:
            return
        with self._lock:
            if self._tokens is not None and used_tokens is not None:
                self._tokens.give_back(claim.tokens - used_tokens, self.clock())
            if self._requests is not None and not sent:
                self._requests.give_back(1, self.clock())
            if claim.followed is not None:
                claim.followed.left(claim, sent=sent)
                claim.followed = None
            if self._claims:
                self._wake_first()

    @property
    def counts_tokens(self) -> bool:
        """Whether tokens are limited here."""
        return self._tokens is not None

    @property
    def is_free(self) -> bool:
        """Whether nothing is limited here, and nobody has to wait."""
        return (
            self._requests is None and self._tokens is None and not self._claims and self._closed_until <= self.clock()
        )

    @property
    def found(self) -> tuple[float | None, int | None]:
        """What the adaptive control has found: requests a second, and how many at a time; None for nothing yet."""
        control = self._control
        return (None, None) if control is None else (control.rate.per_s, int(control.window.size))

    @property
    def closed_s(self) -> float:
        """Seconds for which it is still closed."""
        return max(0.0, self._closed_until - self.clock())

    def check_size(self, tokens: int) -> None:
        """Refuse what can never be admitted.

        Raises:
            RequestTooLargeError: It needs more tokens than a minute has.
        """
        rate = self._tokens
        if rate is not None and tokens > rate.per_minute:
            raise RequestTooLargeError(
                f"the request needs about {tokens:,} tokens, and tokens_per_minute is {rate.per_minute:,.0f}.",
                hint="Shorten the prompt, lower max_output_tokens, or raise tokens_per_minute.",
            )

    def _close(self, seconds: float | None, now: float) -> float:
        if not seconds:
            if self._closed_until > now:
                return self._closed_until - now  # one burst of refusals is one refusal
            seconds = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**self._refusals)
            self._refusals += 1
        self._closed_until = max(self._closed_until, now + seconds)
        return self._closed_until - now

    def _has_room(self, claim: Claim, now: float) -> bool:
        """Tell whether a request may go at once, as nearly all of a batch may; the closer look takes twice as long."""
        control = self._control
        return control is not None and control.has_room and self._closed_until <= now and self._follows(claim)

    def _available(self, claim: Claim, now: float) -> tuple[Reason | None, float]:
        """Return what a request waits for and until when; None when for nothing."""
        reason: Reason | None = None
        at = now
        if self._closed_until > at:
            reason, at = "closed", self._closed_until
        if self._requests is not None and (then := self._requests.available_at(1, now)) > at:
            reason, at = "requests", then
        if self._tokens is not None and (then := self._tokens.available_at(claim.tokens, now)) > at:
            reason, at = "tokens", then
        if reason is None and self._follows(claim):
            assert self._control is not None
            if (then := self._control.available_at(now)) > at:
                reason, at = "adaptive", then
        return reason, at

    def _follows(self, claim: Claim) -> bool:
        """Tell whether a request follows the adaptive control, which looks for what nobody has said."""
        if not claim.adaptive or self._requests is not None or self._tokens is not None:
            return False
        if self._control is None:
            self._control = AdaptiveController(self._cpu)
        return True

    def _take(self, claim: Claim, now: float) -> None:
        if self._requests is not None:
            self._requests.take(1, now)
        if self._tokens is not None:
            self._tokens.take(claim.tokens, now)
        if self._follows(claim):
            assert self._control is not None
            claim.followed, claim.sent_at = self._control, now
            claim.in_flight = self._control.take(claim, now)

    def _turn(self, claim: Claim, now: float) -> float:
        """Return when it is a claim's turn unless it is woken before: when those before it should have gone."""
        before = [
            other.due
            for other in self._claims
            if other.arrival < claim.arrival and (claim.adaptive or not other.parked)
        ]
        return max((due + GRACE_S for due in before), default=now)

    def _keep(self, claim: Claim, due: float) -> None:
        claim.due = due
        if claim not in self._claims:
            self._claims.append(claim)

    def _drop(self, claim: Claim) -> None:
        if claim in self._claims:
            self._claims.remove(claim)
            self._wake_first()

    def _wake_first(self) -> None:
        """Wake whoever may be next: the first of all, and the first who is not held up by the adaptive control."""
        first = min(self._claims, key=_arrival, default=None)
        if first is None:
            return
        first.wake()
        if first.parked:
            other = min((claim for claim in self._claims if not claim.parked), key=_arrival, default=None)
            if other is not None:
                other.wake()

    def _apply(self) -> None:
        now = self.clock()
        requests = min((r for r, _ in self._limits.values() if r is not None), default=None)
        tokens = min((t for _, t in self._limits.values() if t is not None), default=None)
        self._requests = _rate(self._requests, requests, now, REQUESTS_BURST_S)
        self._tokens = _rate(self._tokens, tokens, now, TOKENS_BURST_S)
        self._wake_first()


_buckets: weakref.WeakValueDictionary[tuple[str, str, bytes], ProviderLimits] = weakref.WeakValueDictionary()
_buckets_lock = threading.Lock()


def shared_provider_limits(provider: str, endpoint: str | None, key: str | None) -> ProviderLimits:
    """Return the bucket of a provider, endpoint and key; the same one for everybody in the process."""
    digest = hashlib.blake2b((key or "").encode(), digest_size=16).digest()  # the key itself is not kept
    name = (provider, endpoint or "", digest)
    with _buckets_lock:
        bucket = _buckets.get(name)
        if bucket is None:
            bucket = _buckets[name] = ProviderLimits()
        return bucket


def _rate(current: TokenBucket | None, per_minute: float | None, now: float, burst_s: float) -> TokenBucket | None:
    if per_minute is None:
        return None
    unchanged = current is not None and current.per_minute == per_minute
    return current if unchanged else TokenBucket(per_minute, now, burst_s)


def _arrival(claim: Claim) -> int:
    return claim.arrival
