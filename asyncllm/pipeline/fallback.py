"""Fallbacks: endpoints in order, of which the next one serves a call that this one cannot."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from .. import telemetry
from ..completions.call_record import CallRecord
from ..errors import (
    AsyncLLMError,
    AuthenticationError,
    ContentPolicyError,
    ContextWindowExceededError,
    NotFoundError,
    ProviderError,
    QuotaExceededError,
)
from .circuit_breaker import CircuitBreaker
from .retry import is_retryable

T = TypeVar("T")

# Errors that another endpoint may not have: it is tried at once, because a retry here would fail again.
_OF_THE_REQUEST = (ContextWindowExceededError, ContentPolicyError)
_OF_THE_ENDPOINT = (AuthenticationError, QuotaExceededError, NotFoundError)


class Candidate(Protocol):
    """An endpoint that may serve a call."""

    @property
    def profile(self) -> str:
        """The name of its profile."""
        ...

    @property
    def breaker(self) -> CircuitBreaker:
        """Its circuit breaker."""
        ...

    def cooling_down_too_long(self) -> bool:
        """Return whether it is cooling down for longer than a retry would wait."""
        ...


C = TypeVar("C", bound=Candidate)


@dataclass(slots=True)
class FallbackTurn:
    """The state of a call on its way through its endpoints.

    Attributes:
        profile: The profile that was asked for.
        more: Whether another endpoint remains after this one.
        record: The record of the call; made by the first endpoint that is tried.
        skipped: The profiles that were not tried, and why.
    """

    profile: str
    more: bool = True
    record: CallRecord | None = None
    skipped: dict[str, str] = field(default_factory=dict)


async def in_turn(
    profiles: Sequence[str],
    candidate: Callable[[int], Awaitable[C]],
    send: Callable[[C, FallbackTurn], Awaitable[T]],
) -> T:
    """Send a call to the first endpoint that can serve it.

    Args:
        profiles: The names of the endpoints' profiles, in order; the first is the one that was asked for.
        candidate: Returns the endpoint of an index.
        send: Sends the call to an endpoint.

    Raises:
        AsyncLLMError: The error of the last endpoint, or one that no other endpoint would change.
    """
    turn = FallbackTurn(profiles[0])
    failed: dict[str, AsyncLLMError] = {}
    for index, profile in enumerate(profiles):
        turn.more = index < len(profiles) - 1
        try:
            endpoint = await candidate(index)
            if turn.more and (reason := _passed_over(endpoint)):
                turn.skipped[profile] = reason
                _emit_fallback(profile, profiles[index + 1], reason)
                continue
            return await _observed(endpoint, send, turn)
        except AsyncLLMError as error:
            failed[profile] = error
            if not turn.more or not goes_on(error):
                _name_failed_endpoints(error, failed, turn)
                raise
            if turn.record is None or not any(one.profile == profile for one in turn.record.attempts):
                turn.skipped[profile] = f"{type(error).__name__}: {error.message}"
            _emit_fallback(profile, profiles[index + 1], error.message, error)
    raise AssertionError("the last endpoint serves the call or raises")


def goes_on(error: AsyncLLMError) -> bool:
    """Return whether another endpoint may serve a call that failed with this error."""
    return is_retryable(error) or isinstance(error, _OF_THE_REQUEST + _OF_THE_ENDPOINT)


def _passed_over(endpoint: Candidate) -> str | None:
    if endpoint.cooling_down_too_long():
        return "the provider asked for a longer pause than retry_max_wait"
    return None if endpoint.breaker.admits() else "it failed the last calls"


async def _observed(endpoint: C, send: Callable[[C, FallbackTurn], Awaitable[T]], turn: FallbackTurn) -> T:
    """Send a call, and tell the circuit breaker how it ended."""
    try:
        result = await send(endpoint, turn)
    except AsyncLLMError as error:
        if goes_on(error) and not isinstance(error, _OF_THE_REQUEST):
            endpoint.breaker.failed()
        raise
    endpoint.breaker.succeeded()
    return result


def _name_failed_endpoints(error: AsyncLLMError, failed: dict[str, AsyncLLMError], turn: FallbackTurn) -> None:
    """Add to the last error how the endpoints before it failed."""
    if turn.skipped:
        error.skipped = dict(turn.skipped)
    before = [f"{name} ({type(one).__name__})" for name, one in failed.items() if one is not error]
    before += [f"{name} ({why})" for name, why in turn.skipped.items() if name not in failed]
    if before:
        error.message = f"{error.message.rstrip('.')}; tried before: {', '.join(before)}."
        error.args = (error.message,)


def _emit_fallback(profile: str, next_profile: str, message: str, error: AsyncLLMError | None = None) -> None:
    telemetry.emit(
        telemetry.WARNING,
        "call.fallback",
        profile=profile,
        next_profile=next_profile,
        error=None if error is None else type(error).__name__,
        status_code=error.status_code if isinstance(error, ProviderError) else None,
        message=message,
    )
