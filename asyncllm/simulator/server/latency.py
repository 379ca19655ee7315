"""The latency of answers."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Latency:
    """The speed of the simulated model.

    Args:
        first_token_s: Seconds to the first token.
        tokens_per_s: Tokens a second after it; None for all at once.
        spread: The variation between requests: 0.2 makes each up to 20 % slower or faster, drawn from the seed.

    Example:
        ```python
        from asyncllm.testing import Latency, Simulator

        simulator = Simulator(latency=Latency(first_token_s=0.4, tokens_per_s=80, spread=0.2))
        ```
    """

    first_token_s: float = 0.0
    tokens_per_s: float | None = None
    spread: float = 0.0

    def __post_init__(self) -> None:
        if self.first_token_s < 0:
            raise ValueError("first_token_s must not be negative")
        if self.tokens_per_s is not None and self.tokens_per_s <= 0:
            raise ValueError("tokens_per_s must be greater than 0")
        if not 0 <= self.spread <= 1:
            raise ValueError("spread must be between 0 and 1")

    def pace(self, random: Random) -> Pace | None:
        """Draw the pace of one request; return None when there is nothing to wait for."""
        if not self.first_token_s and self.tokens_per_s is None:
            return None
        factor = random.uniform(1 - self.spread, 1 + self.spread) if self.spread else 1.0
        return Pace(self.first_token_s * factor, factor / self.tokens_per_s if self.tokens_per_s else 0.0)


@dataclass(frozen=True, slots=True)
class Pace:
    """The speed of one answer, in seconds to its first token and per token."""

    first_s: float
    per_token_s: float

    def whole_s(self, tokens: int) -> float:
        """Return the seconds that a plain answer takes."""
        return self.first_s + self.per_token_s * tokens
