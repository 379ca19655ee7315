"""Adaptive control: find and follow what a provider allows, when nobody has said it; pure, the time is passed in."""

from __future__ import annotations

import math
from collections.abc import Mapping

from .declared import Declared
from .search import RateSearch
from .window import Window


class Control:
    """The rate and the number in flight that a provider bears, found by using it.

    A rate shows in refusals, a number in flight in latency. Both start unknown: what is in flight grows from a few with
    every answer, until something is refused or throughput grows no more.
    """

    def __init__(self) -> None:
        self.rate = RateSearch()
        self.window = Window()
        self._declared = Declared()

    def available_at(self, now: float) -> float:
        """Return when a request may go; now or earlier: at once; infinity: when another has come back."""
        if self.window.is_full:
            self.window.pressed()
            return math.inf
        return self.rate.available_at(now)

    def take(self, now: float) -> None:
        """Count a request that goes now."""
        self.window.sent(now)
        self.rate.take(now)

    def left(self, *, sent: bool) -> None:
        """Count a request that has come back, or was not sent after all."""
        self.window.in_flight -= 1
        if not sent:
            self.rate.returned()

    def refused(self, sent_at: float, now: float, closed_s: float) -> bool:
        """Note a refusal of one that is still counted; returns whether the rate was changed."""
        self.window.refused(now)
        return self.rate.refused(sent_at, now, closed_s)

    def answered(self, sent_at: float, now: float, output_tokens: int | None) -> None:
        """Note an answer; None for a length that is not known or says nothing of the provider's speed."""
        if output_tokens:
            self.window.answered(sent_at, now, output_tokens)

    def told(self, headers: Mapping[str, str], sent_at: float, now: float) -> None:
        """Read what an answer's `x-ratelimit-*` headers say, and follow it where it can be believed."""
        per_s = self._declared.read(headers, sent_at)
        if per_s is not None:
            self.rate.told(per_s, now)
