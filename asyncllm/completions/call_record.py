"""The record of a call: its attempts, waits and durations."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Literal

from ..errors import AsyncLLMError, DeadlineExceededError, ProviderError


@dataclass(slots=True)
class Attempt:
    """One request to a provider, and how it ended.

    Attributes:
        profile: The profile it was sent for.
        model: The model it was sent to.
        queued_s: Seconds spent waiting for a slot and for the rate limits.
        elapsed_s: Seconds from sending to the end of the answer (a stream: to its first chunk).
        error: The name of the error class; None when it succeeded.
        message: The message of the error.
        status_code: The HTTP status on the wire; None when there was no answer.
        retry_after: Seconds the provider asked to wait.
        waited_s: Seconds waited after this attempt, before the next.
        billed: Whether the provider may have charged for it: `no`, `possibly` or `yes`.
    """

    profile: str
    model: str
    queued_s: float = 0.0
    elapsed_s: float = 0.0
    error: str | None = None
    message: str | None = None
    status_code: int | None = None
    retry_after: float | None = None
    waited_s: float = 0.0
    billed: Literal["no", "possibly", "yes"] = "no"


@dataclass(slots=True)
class CallRecord:
    """The record of one call.

    Attributes:
        profile: The requested profile.
        model: The model that served the call, or was tried last.
        provider: litellm's name of its provider.
        transport: `litellm` or `wire`; `cache` for an answer that was not asked for again.
        request_id: The provider's id of the answer.
        attempts: Every attempt, in order; the last one is the answer's.
        skipped: The profiles, among the requested one and its fallbacks, that were sent nothing, and why.
        first_token_s: Seconds from the start of the call to the first chunk; None for a plain call.
        elapsed_s: Seconds from the start of the call to its end, waits included.
        rate_limits: The provider's `x-ratelimit-*` headers, lower case.
        started_at: Unix time in seconds.
        cached: Whether the answer comes from the cache.
        saved_usd: What an answer of the cache cost when it was asked for, or what a deferred one would have cost more
            live, in US dollars; None when unknown.

    Example:
        ```python
        answer = await llm.acompletion("Name a colour.")
        for attempt in answer.record.attempts:
            print(attempt.model, attempt.status_code, attempt.error, f"{attempt.elapsed_s:.2f} s")
        ```
    """

    profile: str
    model: str
    provider: str
    transport: str
    request_id: str | None = None
    attempts: list[Attempt] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    first_token_s: float | None = None
    elapsed_s: float = 0.0
    rate_limits: dict[str, str] = field(default_factory=dict)
    started_at: float = field(default_factory=time.time)
    cached: bool = False
    saved_usd: float | None = None

    @property
    def queued_s(self) -> float:
        """Seconds spent waiting for slots and rate limits, all attempts together."""
        return sum(attempt.queued_s for attempt in self.attempts)

    @property
    def waited_s(self) -> float:
        """Seconds spent between attempts."""
        return sum(attempt.waited_s for attempt in self.attempts)

    def complete_error(self, error: AsyncLLMError, profile: str) -> None:
        """Add to an error of this call what only the record knows; what the error says itself stays.

        Args:
            error: The error.
            profile: The profile of the endpoint that it came from.
        """
        if isinstance(error, ProviderError):
            error.model = error.model or self.model
            error.provider = error.provider or self.provider
            error.profile = error.profile or profile
            error.request_id = error.request_id or self.request_id
        if isinstance(error, ProviderError | DeadlineExceededError):
            error.attempts = tuple(self.attempts)
