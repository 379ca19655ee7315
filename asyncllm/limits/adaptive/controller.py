"""Adaptive control: find and follow what a provider allows, when nobody has said it; pure, the time is passed in."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .concurrency_window import ConcurrencyWindow
from .rate_limit_headers import RateLimitHeaders
from .rate_search import RateSearch

# A provider that refuses by the number in flight never serves as many as it refused before. So many bursts of refusals
# in a row must show it, each with so many answers before, because any one of them may show it by chance.
BURSTS, ANSWERS = 3, 20


class AdaptiveController:
    """The rate and the number in flight that a provider bears, found by using it.

    A rate shows in refusals, a number in flight in latency. Both start unknown: what is in flight grows from a few with
    every answer, until something is refused or throughput grows no more.

    Args:
        cpu: Gives the seconds for which this process has computed.
    """

    def __init__(self, cpu: Callable[[], float]) -> None:
        self.rate = RateSearch()
        self.window = ConcurrencyWindow(cpu)
        self._declared = RateLimitHeaders()
        self._most = 0  # in flight, when one that was answered since the last burst of refusals was sent
        self._answers = 0  # since then
        self._suspicions = 0  # bursts in a row that refused more in flight than were served

    def available_at(self, now: float) -> float:
        """Return when a request may go; now or earlier: at once; infinity: when another has come back."""
        free_at = self.window.free_at(now)
        if free_at > now:
            self.window.pressed()
            return free_at
        at = self.rate.available_at(now)
        if at > now:
            self.window.paced()
        return at

    @property
    def has_room(self) -> bool:
        """Whether a request may go at once without a closer look; False says nothing."""
        return self.rate.per_s is None and self.window.has_room

    def take(self, request: object, now: float) -> int:
        """Count a request that goes now; returns how many are in flight with it."""
        self.window.sent(request, now)
        self.rate.take(now)
        return self.window.in_flight

    def left(self, request: object, *, sent: bool) -> None:
        """Count a request that has come back, or was not sent after all."""
        self.window.left(request)
        if not sent:
            self.rate.returned()

    def throttled(self, sent_at: float, in_flight: int, now: float, cooldown_s: float) -> None:
        """Note a refusal.

        Args:
            sent_at: When the refused request was let go.
            in_flight: How many were in flight then.
            now: The time.
            cooldown_s: How long nothing is sent now.
        """
        if not self.rate.is_news(sent_at):
            self.rate.pause(now + cooldown_s)
            return
        if self._answers >= ANSWERS:
            self._suspicions = self._suspicions + 1 if in_flight > self._most else 0
        if self._suspicions >= BURSTS:
            self.window.throttled(self._most, now)
            self.rate.forget(now)
        else:
            if self._answers >= ANSWERS and not self._suspicions:
                self.window.unbound()
            self.rate.throttled(now, cooldown_s)
        self.rate.pause(now + cooldown_s)
        self._most = self._answers = 0

    def answered(self, sent_at: float, in_flight: int, now: float, output_tokens: int | None) -> None:
        """Note an answer.

        Args:
            sent_at: When its request was let go.
            in_flight: How many were in flight then.
            now: The time.
            output_tokens: Its length; None where that is not known or says nothing of the provider's speed.
        """
        self._answers += 1
        self._most = max(self._most, in_flight)
        if output_tokens:
            self.window.answered(sent_at, now, output_tokens)

    def told(self, headers: Mapping[str, str], sent_at: float, now: float) -> None:
        """Read what an answer's `x-ratelimit-*` headers say, and follow it where it can be believed."""
        per_s = self._declared.read(headers, sent_at)
        if per_s is not None:
            self.rate.told(per_s, now)
