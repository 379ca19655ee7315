"""Fallbacks: who is tried, how often, who serves, and what the record says of it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from asyncllm import (
    AsyncLLM,
    AuthenticationError,
    BadRequestError,
    DeadlineExceededError,
    ServerError,
    StreamInterruptedError,
    load_config,
)
from asyncllm.pipeline.circuit_breaker import FAILURES_TO_OPEN, FIRST_PAUSE_S, CircuitBreaker
from asyncllm.simulator import Fault, Simulator
from tests.support.clients import TRANSPORTS
from tests.support.secrets import SECRET

pytestmark = pytest.mark.anyio

FIRST, SECOND = "gpt-4o-mini", "gpt-4o"


class Clock:
    """A monotonic clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Setup:
    """A config.toml with two profiles at the simulator, of which the first names the second."""

    def __init__(self, folder: Path, url: str, transport: str) -> None:
        self._path = folder / "config.toml"
        self.first_url = self._second_url = url
        self.second = SECOND
        self._transport = transport

    def client(self, **options: Any) -> AsyncLLM:
        """Make a client of the first profile."""
        self._path.write_text(
            f"""
            [llm]
            model = "openai/{FIRST}"
            base_url = "{self.first_url}"
            api_key = "{SECRET}-first"
            retry_min_wait = 0.001
            retry_max_wait = 0.002
            transport = "{TRANSPORTS[self._transport].get("transport")}"
            fallbacks = ["second"]
            [llm.second]
            model = "openai/{self.second}"
            base_url = "{self._second_url}"
            api_key = "{SECRET}-second"
            """
        )
        return AsyncLLM(load_config(path=self._path, env={}, **options))


@pytest.fixture
def setup(tmp_path: Path, simulator: Simulator, transport: str) -> Setup:
    """Two targets at one simulator, with a key each."""
    return Setup(tmp_path, simulator.url, transport)


def asked(simulator: Simulator) -> list[str]:
    """Return the models that were asked, in order."""
    return [exchange.model for exchange in simulator.seen.exchanges]


@contextmanager
def refusing_port() -> Iterator[str]:
    """Return an address at which no server listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/v1"


@pytest.mark.parametrize(
    ("fault", "requests", "error"),
    [
        pytest.param(Fault("status", code=500, model=FIRST), 2, "ServerError", id="500"),
        pytest.param(Fault("status", code=429, model=FIRST), 2, "RateLimitError", id="429"),
        pytest.param(
            Fault("status", code=429, retry_after=60, model=FIRST), 1, "RateLimitError", id="429 for a minute"
        ),
        pytest.param(Fault("status", reason="quota", model=FIRST), 1, "QuotaExceededError", id="quota"),
        pytest.param(Fault("status", code=401, model=FIRST), 1, "AuthenticationError", id="401"),
        pytest.param(Fault("status", code=404, model=FIRST), 1, "NotFoundError", id="404"),
        pytest.param(
            Fault("status", reason="context_window", model=FIRST), 1, "ContextWindowExceededError", id="context"
        ),
        pytest.param(Fault("status", reason="content_policy", model=FIRST), 1, "ContentPolicyError", id="policy"),
        pytest.param(Fault("reset", model=FIRST), 2, "ProviderConnectionError", id="reset"),
    ],
)
@pytest.mark.parametrize("kind", ["plain", "stream", "typed"])
async def test_the_next_target_serves(
    setup: Setup, simulator: Simulator, fault: Fault, requests: int, error: str, kind: str
) -> None:
    """What a retry may mend is retried once, anything else goes on at once; the record says who served, and why."""
    simulator.faults(fault)
    async with setup.client() as llm:
        if kind == "stream":
            completion = await llm.stream("hi").collect()
        elif kind == "typed":
            completion = (await llm.extract_with_completion(int, "How many are 3 apples?")).completion
        else:
            completion = await llm.acompletion("hi")
        assert llm.stats().calls == llm.stats().succeeded == 1
    assert asked(simulator) == [FIRST] * requests + [SECOND]
    record = completion.record
    assert (record.profile, record.model) == ("default", f"openai/{SECOND}")
    assert [(one.profile, one.error) for one in record.attempts] == [("default", error)] * requests + [("second", None)]
    assert completion.cost_usd is not None


async def test_a_target_that_stalls(setup: Setup, simulator: Simulator) -> None:
    """A target that says nothing is left after its timeout and one retry."""
    simulator.faults(Fault("stall", model=FIRST))
    async with setup.client(timeout=0.3) as llm:
        completion = await llm.acompletion("hi", timeout=0.3)
    assert asked(simulator) == [FIRST, FIRST, SECOND]
    assert [one.error for one in completion.record.attempts] == ["ProviderTimeoutError", "ProviderTimeoutError", None]
    assert [one.billed for one in completion.record.attempts] == ["possibly", "possibly", "yes"]


async def test_a_target_that_is_not_there(setup: Setup, simulator: Simulator) -> None:
    """A refused connection is tried once more, and then the next target serves."""
    with refusing_port() as url:
        setup.first_url = url
        async with setup.client() as llm:
            completion = await llm.acompletion("hi")
    assert [one.error for one in completion.record.attempts] == ["ProviderConnectionError"] * 2 + [None]
    assert asked(simulator) == [SECOND]


async def test_no_retries_is_one_request_for_each_target(setup: Setup, simulator: Simulator) -> None:
    """`num_retries = 0` of the call holds for the fallback too."""
    simulator.faults(Fault("status", code=500))
    async with setup.client() as llm:
        with pytest.raises(ServerError) as caught:
            await llm.acompletion("hi", num_retries=0)
    assert asked(simulator) == [FIRST, SECOND]
    assert [one.profile for one in caught.value.attempts] == ["default", "second"]


async def test_the_last_target_has_all_its_retries(setup: Setup, simulator: Simulator) -> None:
    """When all fail, the error is the last one's, has every attempt, and says who was tried before."""
    simulator.faults(Fault("status", code=503))
    async with setup.client(num_retries=3) as llm:
        with pytest.raises(ServerError, match=r"tried before: default \(ServerError\)") as caught:
            await llm.acompletion("hi")
        assert (llm.stats().calls, llm.stats().failed) == (1, 1)
    assert asked(simulator) == [FIRST] * 2 + [SECOND] * 4
    assert (caught.value.profile, len(caught.value.attempts)) == ("second", 6)


async def test_a_bad_request_stays_one(setup: Setup, simulator: Simulator) -> None:
    """A request that the provider does not accept is not sent elsewhere."""
    simulator.faults(Fault("status", code=400, model=FIRST))
    async with setup.client() as llm:
        with pytest.raises(BadRequestError):
            await llm.acompletion("hi")
    assert asked(simulator) == [FIRST]


async def test_a_deadline_encloses_all_targets(setup: Setup, simulator: Simulator) -> None:
    """The deadline ends the call at whatever target it is."""
    simulator.faults(Fault("stall"))
    async with setup.client() as llm:
        with pytest.raises(DeadlineExceededError):
            await llm.acompletion("hi", deadline=0.3)
    assert asked(simulator) == [FIRST]


async def test_a_missing_key_goes_on(tmp_path: Path, simulator: Simulator) -> None:
    """A target without a key gets no request; the record says that it was left out, and why."""
    path = tmp_path / "config.toml"
    path.write_text(
        f"""
        [llm]
        model = "groq/llama-3.1-8b-instant"
        fallbacks = ["second"]
        [llm.second]
        model = "openai/{SECOND}"
        base_url = "{simulator.url}"
        api_key = "{SECRET}"
        """
    )
    async with AsyncLLM(load_config(path=path, env={})) as llm:
        completion = await llm.acompletion("hi")
    assert asked(simulator) == [SECOND]
    assert completion.record.profile == "default"
    assert completion.record.skipped == {"default": "AuthenticationError: there is no key for groq; nothing was sent."}


async def test_a_prompt_too_long_for_the_first(setup: Setup, simulator: Simulator) -> None:
    """A prompt that the first model clearly cannot take is sent to the next one alone."""
    async with setup.client(max_input_tokens=10) as llm:
        completion = await llm.acompletion("many words " * 500)
    assert asked(simulator) == [SECOND]
    assert completion.record.skipped["default"].startswith("ContextWindowExceededError")


async def test_nothing_falls_back_after_the_first_chunk(setup: Setup, simulator: Simulator) -> None:
    """A stream that breaks off in the middle is an interruption; what was read came from one target."""
    simulator.faults(Fault("reset", model=FIRST, after_chunks=2))
    async with setup.client() as llm:
        with pytest.raises(StreamInterruptedError):
            await llm.stream("Say something long.").collect()
    assert asked(simulator) == [FIRST]


async def test_a_target_that_keeps_failing_is_passed_over(setup: Setup, simulator: Simulator) -> None:
    """After a few failed calls the next target is asked at once."""
    simulator.faults(Fault("status", code=500, model=FIRST))
    async with setup.client(num_retries=0) as llm:
        completions = [await llm.acompletion("hi") for _ in range(FAILURES_TO_OPEN + 2)]
    assert asked(simulator) == [FIRST, SECOND] * FAILURES_TO_OPEN + [SECOND] * 2
    assert completions[-1].record.skipped == {"default": "it failed the last calls"}


async def test_a_target_closed_for_long_is_passed_over(setup: Setup, simulator: Simulator) -> None:
    """While a provider's Retry-After lasts longer than a retry would wait, calls go to the next target at once."""
    simulator.faults(Fault("status", code=429, retry_after=60, model=FIRST, times=1))
    async with setup.client() as llm:
        await llm.acompletion("hi")
        completion = await llm.acompletion("hi")
    assert asked(simulator) == [FIRST, SECOND, SECOND]
    assert completion.record.skipped == {"default": "the provider asked for a longer pause than retry_max_wait"}


async def test_batches_fall_back(setup: Setup, simulator: Simulator) -> None:
    """Each item of a batch, typed or not, is served by whoever can."""
    simulator.faults(Fault("status", code=401, model=FIRST))
    async with setup.client() as llm:
        outcomes = await llm.gather([f"How many are {n} apples?" for n in range(5)], response_model=int)
    assert all(outcome.ok for outcome in outcomes)
    assert {attempt.profile for outcome in outcomes for attempt in outcome.attempts} >= {"second"}


async def test_a_cancelled_call_goes_nowhere(setup: Setup, simulator: Simulator) -> None:
    """Cancelling a call at the first target asks no other."""
    simulator.faults(Fault("stall"))
    async with setup.client() as llm:
        with anyio.move_on_after(0.2) as scope:
            await llm.acompletion("hi")
    assert scope.cancelled_caught
    assert asked(simulator) in ([], [FIRST])


@pytest.mark.parametrize(("second", "asked_by"), [(SECOND, "response_format"), ("gpt-3.5-turbo", "tools")])
async def test_typed_answers_are_asked_for_so_that_all_targets_understand(
    setup: Setup, simulator: Simulator, second: str, asked_by: str
) -> None:
    """A model that follows schemas is asked by a tool when the one that stands in for it knows only tools."""
    setup.second = second
    simulator.faults(Fault("status", code=401, model=FIRST))
    async with setup.client() as llm:
        assert await llm.extract(int, "How many are 3 apples?") == 3
    assert all(asked_by in body for body in simulator.seen.bodies)


async def test_an_error_without_fallbacks_is_as_before(options: dict[str, Any], simulator: Simulator) -> None:
    """A client without fallbacks raises what its target said, in its own words."""
    simulator.faults(Fault("status", code=401))
    async with AsyncLLM(**options) as llm:
        with pytest.raises(AuthenticationError) as caught:
            await llm.acompletion("hi")
    assert "tried before" not in str(caught.value)


def test_a_breaker_tries_again_after_a_pause() -> None:
    """One call at a time is let through after each pause, which doubles until one succeeds."""
    clock = Clock()
    breaker = CircuitBreaker(clock)
    for _ in range(FAILURES_TO_OPEN):
        assert breaker.admits()
        breaker.failed()
    assert not breaker.admits()
    clock.now += FIRST_PAUSE_S
    assert [breaker.admits(), breaker.admits()] == [True, False]
    breaker.failed()
    clock.now += FIRST_PAUSE_S
    assert not breaker.admits()
    clock.now += FIRST_PAUSE_S
    assert breaker.admits()
    breaker.succeeded()
    assert breaker.admits()
    assert breaker.admits()
