"""Adaptive control: the limits of a provider that announces none, found and followed; pure, the time is passed in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .concurrency_window import ConcurrencyWindow
from .parameters import AdaptiveParameters
from .rate_limit_headers import RateLimitHeaders
from .rate_search import RateSearch

# A provider that throttles by the number in flight never serves as many as it throttled before. So many bursts of 429s
# in a row must show it, each after so many answers, because any one of them may show it by chance.
BURSTS, ANSWERS = 3, 20


@dataclass(slots=True, eq=False)
class Flight:
    """A request that the adaptive control admitted.

    Attributes:
        controller: That control.
        sent_at: The time of its admission.
        in_flight: The requests in flight at that time, itself included.
    """

    controller: AdaptiveController
    sent_at: float
    in_flight: int


class AdaptiveController:
    """The rate and the number in flight that a provider allows, found by using it.

    A limit of the rate shows in 429s, one of the number in flight in latency. Both start unknown: the number in flight
    grows with every answer, until a 429 comes or a queue shows.

    Args:
        cpu: Returns the CPU time of this process in seconds.
        parameters: What it is tuned by.

    Attributes:
        rate: The search for the rate.
        window: The bound on the number in flight.
    """

    def __init__(self, cpu: Callable[[], float], parameters: AdaptiveParameters | None = None) -> None:
        parameters = parameters or AdaptiveParameters()
        self.rate = RateSearch(parameters)
        self.window = ConcurrencyWindow(cpu, parameters)
        self._headers = RateLimitHeaders()
        self._answers = 0  # since the last burst of 429s
        self._served = 0  # the most in flight when one of those was sent
        self._bursts = 0  # in a row whose first 429 had more in flight than that

    @property
    def has_room(self) -> bool:
        """Whether a request may go at once without a closer look; False says nothing."""
        return self.rate.per_s is None and self.window.has_room

    def available_at(self, now: float) -> float:
        """Return when a request may go; now or earlier: at once; infinity: when another has ended."""
        free_at = self.window.free_at(now)
        if free_at > now:
            return free_at
        at = self.rate.available_at(now)
        if at > now:
            self.window.paced()
        return at

    def take(self, now: float) -> Flight:
        """Count a request that goes now."""
        flight = Flight(self, now, self.window.in_flight.number + 1)
        self.window.sent(flight, now)
        self.rate.take(now)
        return flight

    def ended(self, flight: Flight, *, sent: bool) -> None:
        """Count a request that has ended, or was not sent after all."""
        self.window.ended(flight)
        if not sent:
            self.rate.returned(flight.sent_at)

    def throttled(self, flight: Flight, now: float, cooldown_s: float) -> None:
        """Note the 429 of a request, after which nothing is sent for some seconds."""
        self.rate.returned(flight.sent_at)
        if flight.sent_at > self.rate.throttled_at:  # else it belongs to the burst before
            self._burst(flight.in_flight, now, cooldown_s)
        self.rate.pause(now + cooldown_s)

    def answered(self, flight: Flight, now: float, headers: Mapping[str, str], output_tokens: int | None) -> None:
        """Note an answer.

        Args:
            flight: Its request.
            now: The time.
            headers: Its `x-ratelimit-*` headers, lower case.
            output_tokens: Its length; None where that is unknown or its reader set the pace.
        """
        self._answers += 1
        self._served = max(self._served, flight.in_flight)
        if output_tokens:
            self.window.answered(flight.sent_at, now, output_tokens)
        if headers and (per_s := self._headers.read(headers, flight.sent_at)) is not None:
            self.rate.declared(per_s, now)

    def _burst(self, in_flight: int, now: float, cooldown_s: float) -> None:
        if self._answers >= ANSWERS:
            self._bursts = self._bursts + 1 if in_flight > self._served else 0
        if self._bursts >= BURSTS:
            self.window.throttled(self._served, now)
            self.rate.forget(now)
        else:
            if self._answers >= ANSWERS and not self._bursts:
                self.window.rate_throttled()
            self.rate.throttled(now, cooldown_s, answered=self._answers > 0)
        self._served = self._answers = 0
