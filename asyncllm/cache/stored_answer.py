"""Stored answers, what a cache holds of them, and the protocol of the places that keep them."""

from __future__ import annotations

import json
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic_core import from_json

from .single_flight import PendingCall, SingleFlight

# What an answer takes beside its text: key, indexes and the overhead of the store.
_OVERHEAD_BYTES = 150


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An answer as it is kept.

    Attributes:
        data: The answer in the chat-completions form, encoded.
        model: The model as litellm names it.
        cost_usd: What it cost; None when unknown.
        made_at: Unix time in seconds.
    """

    data: bytes
    model: str
    cost_usd: float | None
    made_at: float

    @property
    def size(self) -> int:
        """The bytes that it takes in the store."""
        return len(self.data) + _OVERHEAD_BYTES

    def is_younger(self, max_age_s: float | None) -> bool:
        """Return whether it was made within so many seconds; None for any time."""
        return max_age_s is None or time.time() - self.made_at <= max_age_s

    def decoded(self) -> dict[str, Any]:
        """Return the answer in the chat-completions form."""
        try:
            answer: dict[str, Any] = from_json(self.data)
        except ValueError:
            answer = json.loads(self.data)  # a lone surrogate
        return answer


@dataclass(frozen=True, slots=True)
class CacheFigures:
    """What a cache holds.

    Attributes:
        answers: The number of answers.
        size_bytes: The bytes that they take.
        cost_usd: What they cost, those with a known price.
        oldest_at: Unix time in seconds of the oldest; None when there is none.
        models: The number of answers by model, the most frequent first.
    """

    answers: int
    size_bytes: int
    cost_usd: float
    oldest_at: float | None
    models: dict[str, int]


class Claim(Protocol):
    """Waits while another process sends an equal request."""

    def __call__(self, key: bytes, *, max_age_s: float | None) -> Coroutine[object, object, bool]: ...


class Store(Protocol):
    """Where answers are kept. It never fails a call: it warns once, and finds nothing while it cannot be used.

    Attributes:
        name: Its name in messages.
        max_bytes: The size of the answers above which those that were not used for longest are removed.
        single_flight: The calls of this process that are under way.
    """

    name: str
    max_bytes: int
    single_flight: SingleFlight

    async def find(self, key: bytes, *, max_age_s: float | None) -> StoredAnswer | None:
        """Return the answer of a request; None when there is none, or it is older than `max_age_s` seconds."""
        ...

    def put(self, key: bytes, answer: StoredAnswer, *, max_age_s: float | None) -> bool:
        """Store the answer of a request, for so many seconds at least; return whether it is."""
        ...

    @property
    def claim(self) -> Claim | None:
        """Returns whether a request has to be sent here, as `RedisAnswers.claim`; None where processes do not wait."""
        ...

    def land(self, key: bytes, flight: PendingCall) -> None:
        """Wake those who wait for a call that has ended, here and in other processes."""
        ...

    def close(self) -> None:
        """Write what is left; returns when it is written."""
        ...
