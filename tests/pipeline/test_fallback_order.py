"""The endpoint that serves a call, and the report of those that did not."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from asyncllm import errors, telemetry
from asyncllm.completions.call_record import Attempt, CallRecord
from asyncllm.pipeline.circuit_breaker import CircuitBreaker
from asyncllm.pipeline.fallback import FallbackTurn, goes_on, in_turn

pytestmark = pytest.mark.anyio

PAUSE = "the provider asked for a longer pause than retry_max_wait"
DOWN = errors.ServerError("the provider failed at X.", status_code=500)


@dataclass
class Provider:
    """An endpoint that answers or fails as it is told.

    Attributes:
        profile: The name of its profile.
        failure: What its calls fail with; None to answer with the name of the profile.
        sends: Whether a failing call is an attempt, rather than refused before.
        paused: Whether its provider asked for a long pause.
        turns: The turns in which it was asked, each with whether another endpoint remained.
    """

    profile: str
    failure: errors.AsyncLLMError | None = None
    sends: bool = True
    paused: bool = False
    breaker: CircuitBreaker = field(default_factory=lambda: CircuitBreaker(lambda: 1000.0))
    turns: list[bool] = field(default_factory=list)

    def cooling_down_too_long(self) -> bool:
        return self.paused

    async def send(self, turn: FallbackTurn) -> str:
        self.turns.append(turn.more)
        if turn.record is None:
            turn.record = CallRecord(turn.profile, "model", "openai", "wire", skipped=turn.skipped)
        if self.failure is None or self.sends:
            turn.record.attempts.append(Attempt(self.profile, "model"))
        if self.failure is not None:
            raise self.failure
        return self.profile


class Events(logging.Handler):
    """The events that were emitted, with their fields."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, str, dict[str, Any]]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append((record.levelno, record.event, record.fields))  # type: ignore[attr-defined]


@pytest.fixture
def events() -> Iterator[Events]:
    """A listener to warnings of the package."""
    events = Events()
    telemetry.LOGGER.addHandler(events)
    yield events
    telemetry.LOGGER.removeHandler(events)


class Call:
    """A call to some endpoints, with the turn that it ended in."""

    def __init__(self, *providers: Provider, unmade: dict[str, errors.AsyncLLMError] | None = None) -> None:
        self._providers = providers
        self._unmade = unmade or {}
        self.turn = FallbackTurn("unused")

    async def run(self) -> str:
        return await in_turn([one.profile for one in self._providers], self._candidate, self._send)

    async def _candidate(self, index: int) -> Provider:
        provider = self._providers[index]
        if provider.profile in self._unmade:
            raise self._unmade[provider.profile]
        return provider

    async def _send(self, provider: Provider, turn: FallbackTurn) -> str:
        self.turn = turn
        return await provider.send(turn)


def opened() -> CircuitBreaker:
    """Return the breaker of an endpoint that has failed the last calls."""
    breaker = CircuitBreaker(lambda: 1000.0)
    for _ in range(3):
        breaker.failed()
    return breaker


async def test_the_first_endpoint_serves_while_it_can() -> None:
    """No other is asked; the record belongs to the profile that was asked for, and nothing was skipped."""
    first, second = Provider("first"), Provider("second")
    call = Call(first, second)
    assert await call.run() == "first"
    assert (first.turns, second.turns) == ([True], [])
    assert (call.turn.profile, call.turn.skipped) == ("first", {})


async def test_each_endpoint_knows_whether_another_remains() -> None:
    """The last one has all its retries, since nothing comes after it."""
    providers = [Provider("first", DOWN), Provider("second", DOWN), Provider("third")]
    assert await Call(*providers).run() == "third"
    assert [one.turns for one in providers] == [[True], [True], [False]]


@pytest.mark.parametrize(
    ("error", "another"),
    [
        (errors.ServerError("down", status_code=500), True),
        (errors.RateLimitError("slow down"), True),
        (errors.ContextWindowExceededError("too long"), True),
        (errors.ContentPolicyError("refused"), True),
        (errors.AuthenticationError("no key"), True),
        (errors.PermissionDeniedError("not yours"), True),
        (errors.QuotaExceededError("no credit"), True),
        (errors.NotFoundError("no such model"), True),
        (errors.BadRequestError("no"), False),
        (errors.UnsupportedError("no images"), False),
        (errors.BudgetExceededError("too dear"), False),
        (errors.DeadlineExceededError("late"), False),
    ],
)
async def test_an_error_that_another_endpoint_would_not_change_is_raised(
    error: errors.AsyncLLMError, another: bool
) -> None:
    """What is wrong with the request, or with this side, is raised by the first endpoint."""
    second = Provider("second")
    call = Call(Provider("first", error), second)
    assert goes_on(error) is another
    if another:
        assert await call.run() == "second"
    else:
        with pytest.raises(type(error)) as caught:
            await call.run()
        assert str(caught.value) == str(error)
    assert bool(second.turns) is another


@pytest.mark.parametrize(
    ("error", "counts"),
    [
        (DOWN, True),
        (errors.AuthenticationError("no key"), True),
        (errors.ContextWindowExceededError("too long"), False),
        (errors.ContentPolicyError("refused"), False),
        (errors.BadRequestError("no"), False),
    ],
)
async def test_only_failures_of_the_endpoint_count_against_it(error: errors.AsyncLLMError, counts: bool) -> None:
    """A request that is too long, refused or wrong says nothing of the endpoint."""
    first = Provider("first", error)
    for _ in range(3):
        with suppress(errors.BadRequestError):
            await Call(first, Provider("second")).run()
    assert first.breaker.admits() is not counts


async def test_an_answer_clears_the_failures_before_it() -> None:
    """Three failures with an answer between them are not three in a row."""
    first = Provider("first")
    for failure in (DOWN, DOWN, None, DOWN):
        first.failure = failure
        await Call(first, Provider("second")).run()
    assert first.breaker.admits()


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (Provider("first", paused=True), PAUSE),
        (Provider("first", breaker=opened()), "it failed the last calls"),
        (Provider("first", paused=True, breaker=opened()), PAUSE),
    ],
    ids=["paused", "failing", "both"],
)
async def test_an_endpoint_that_is_passed_over_is_reported(first: Provider, reason: str, events: Events) -> None:
    """It is not asked; the record and an event have the reason, and the next endpoint's name."""
    call = Call(first, Provider("second"), Provider("third"))
    assert await call.run() == "second"
    assert first.turns == []
    assert call.turn.skipped == {"first": reason}
    assert events.seen == [
        (logging.WARNING, "call.fallback", {"profile": "first", "next_profile": "second", "message": reason})
    ]


async def test_the_last_endpoint_is_asked_whatever_it_did_before() -> None:
    """Where nothing remains, an endpoint that failed or is paused is still better than none."""
    last = Provider("second", paused=True, breaker=opened())
    assert await Call(Provider("first", DOWN), last).run() == "second"


async def test_a_failed_endpoint_is_reported(events: Events) -> None:
    """The event has the class, the status and the words of the error; the attempts are in the record."""
    call = Call(Provider("first", DOWN), Provider("second"), Provider("third"))
    await call.run()
    assert events.seen == [
        (
            logging.WARNING,
            "call.fallback",
            {
                "profile": "first",
                "next_profile": "second",
                "error": "ServerError",
                "status_code": 500,
                "message": "the provider failed at X.",
            },
        )
    ]
    assert call.turn.skipped == {}


async def test_an_endpoint_that_sent_nothing_is_skipped_with_its_error() -> None:
    """An endpoint that could not be made, or refused before sending, has no attempt; the record says why."""
    unmade = Provider("first")
    refused = Provider("second", errors.ContextWindowExceededError("too long."), sends=False)
    call = Call(
        unmade, refused, Provider("third"), unmade={"first": errors.AuthenticationError("there is no key.", hint="x")}
    )
    assert await call.run() == "third"
    assert call.turn.skipped == {
        "first": "AuthenticationError: there is no key.",
        "second": "ContextWindowExceededError: too long.",
    }


async def test_the_last_error_names_the_endpoints_before_it() -> None:
    """Those that failed are named by their errors, those that were passed over by the reason; the last one is not."""
    error = errors.NotFoundError("no such model as X.", hint="Check the name.")
    call = Call(Provider("first", DOWN), Provider("second", paused=True), Provider("third", error))
    with pytest.raises(errors.NotFoundError) as caught:
        await call.run()
    assert str(caught.value) == (
        f"no such model as X; tried before: first (ServerError), second ({PAUSE}). Check the name."
    )
    assert caught.value.args == (caught.value.message,)


async def test_a_single_endpoint_fails_in_its_own_words() -> None:
    """Without another endpoint the error is as the endpoint raised it."""
    with pytest.raises(errors.ServerError) as caught:
        await Call(Provider("only", errors.ServerError("down."))).run()
    assert str(caught.value) == "down."
