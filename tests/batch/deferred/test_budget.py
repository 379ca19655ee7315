"""The budget of a deferred job: it holds over batches and what goes out live, in this run and the next."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import BaseModel, field_validator

from asyncllm import AsyncLLM, BudgetExceededError, Journal, Outcome, Request
from asyncllm.limits.deferred_budget import DeferredBudget
from asyncllm.simulator import BatchFaults, Latency, Simulator
from tests.support.waiting import until

from .conftest import POLL_S, is_live, options_of

pytestmark = pytest.mark.anyio

# Of an answer of 100 tokens by gpt-4o-mini, live; half of it in a batch. What is sent costs a hundredth of that.
LIVE_USD = 100 * 6e-7


@pytest.fixture
async def llm(simulator: Simulator, secret_key: str, anyio_backend: str) -> AsyncIterator[AsyncLLM]:
    """A client whose answers cost up to LIVE_USD each."""
    async with AsyncLLM(
        **options_of("openai", simulator, secret_key), max_output_tokens=100, max_concurrency=2
    ) as client:
        yield client


def asked(count: int) -> list[Request]:
    """Requests whose answers are as long as they may be."""
    long = {"simulator": {"answer_tokens": 100}}
    return [Request(f"question {n}", id=f"q-{n}", extra_body=long) for n in range(count)]


def live_calls(simulator: Simulator) -> int:
    return sum(map(is_live, simulator.seen.paths))


def refused(outcomes: list[Outcome[Any]]) -> int:
    """Return the number of outcomes that the budget refused; every other one is an answer."""
    failed = [outcome.error for outcome in outcomes if not outcome.ok]
    assert all(isinstance(error, BudgetExceededError) for error in failed), failed
    return len(failed)


@pytest.mark.parametrize("on_expired", ["live", "resubmit"])
async def test_expired_requests_go_out_live_within_the_budget(
    llm: AsyncLLM, simulator: Simulator, path: Path, on_expired: str
) -> None:
    """What fits in batches, and not live, fails alone; no run of the journal spends more than the budget."""
    simulator.batches.faults = BatchFaults(expired=1.0)
    budget_usd = 2.6 * LIVE_USD
    options: dict[str, Any] = {"journal": path, "poll_s": POLL_S, "budget_usd": budget_usd, "on_expired": on_expired}
    done = await llm.gather(asked(4), deferred=True, **options)
    assert (refused(done), live_calls(simulator)) == (2, 2)
    assert 2 * LIVE_USD <= Journal(path).summary().cost_usd <= budget_usd
    again = await llm.gather(asked(4), deferred=True, **options)
    assert (refused(again), live_calls(simulator)) == (2, 2)


async def test_a_job_that_is_taken_up_holds_the_budget(llm: AsyncLLM, simulator: Simulator, path: Path) -> None:
    """Another process counts what is spent, and what is held for requests in batches."""
    simulator.batches.takes_s = 1000
    budget_usd = 2.6 * LIVE_USD
    done = await llm.gather(asked(1), journal=path)
    assert done[0].ok
    simulator.batches.faults = BatchFaults(expired=1.0)
    await llm.submit(asked(3), journal=path, budget_usd=budget_usd)
    simulator.batches.advance(1000)
    options: dict[str, Any] = {"poll_s": POLL_S, "budget_usd": budget_usd, "on_expired": "live"}
    async with llm.deferred(path, **options).outcomes(ordered=True) as outcomes:
        assert refused([outcome async for outcome in outcomes]) == 1
    assert live_calls(simulator) == 2


async def test_the_live_part_of_auto_is_paid_from_the_same_budget(
    llm: AsyncLLM, simulator: Simulator, path: Path
) -> None:
    """What is held for a request is free for it when it goes out live, and counted once."""
    budget_usd = 3.5 * LIVE_USD
    done = await llm.gather(asked(6), deferred="auto", journal=path, poll_s=POLL_S, budget_usd=budget_usd)
    assert refused(done) == 3
    assert (live_calls(simulator), sum(simulator.batches.billed.values())) == (2, 1)
    assert 2.5 * LIVE_USD <= Journal(path).summary().cost_usd <= budget_usd


class Refused(BaseModel):
    number: int

    @field_validator("number")
    @classmethod
    def is_refused(cls, value: int) -> int:
        raise ValueError("try again")


@pytest.mark.parametrize(("reask", "left_usd"), [("live", 0.9 * LIVE_USD), ("deferred", 0.8 * LIVE_USD)])
async def test_a_re_ask_that_does_not_fit_is_not_sent(
    llm: AsyncLLM, simulator: Simulator, path: Path, reask: str, left_usd: float
) -> None:
    """The answer of the batch is paid for, and what is left does not pay for another."""
    options: dict[str, Any] = {"journal": path, "poll_s": POLL_S, "budget_usd": left_usd, "reask": reask}
    (outcome,) = await llm.gather(["a"], response_model=Refused, deferred=True, **options)
    assert isinstance(outcome.error, BudgetExceededError), outcome.error
    assert (live_calls(simulator), sum(simulator.batches.billed.values())) == (0, 1)
    assert outcome.cost_usd is not None
    assert 0 < outcome.cost_usd <= left_usd


@pytest.mark.parametrize("takes_input", [True, False])
@pytest.mark.parametrize("is_killed", [True, False])
async def test_what_was_in_flight_when_a_run_ended_counts_as_spent(
    llm: AsyncLLM, simulator: Simulator, path: Path, *, takes_input: bool, is_killed: bool
) -> None:
    """A live call whose answer was lost may have been paid for: the next run has that much less."""
    simulator.batches.faults = BatchFaults(expired=1.0)
    simulator.latency(Latency(first_token_s=1000))
    options: dict[str, Any] = {"poll_s": POLL_S, "budget_usd": 1.5 * LIVE_USD, "on_expired": "live"}
    left = path.parent / "left"
    async with anyio.create_task_group() as group:
        group.start_soon(partial(llm.gather, asked(1), journal=path, deferred=True, **options))
        await until(lambda: live_calls(simulator) == 1)
        shutil.copytree(path.parent, left)  # as a process leaves them that is killed
        group.cancel_scope.cancel()
    journal = left / path.name if is_killed else path
    simulator.latency(Latency())
    if takes_input:
        assert refused(await llm.gather(asked(1), journal=journal, deferred=True, **options)) == 1
    else:
        async with llm.deferred(journal, **options).outcomes() as outcomes:
            assert refused([outcome async for outcome in outcomes]) == 1
    assert live_calls(simulator) == 1


def test_what_is_held_is_not_free_for_live_calls() -> None:
    """A live call waits for no batch: beside what is held, it fits or is refused."""
    budget = DeferredBudget(1.0, 0.1, 0.2)
    assert budget.hold(0.3, 0.0) == 0.3
    with pytest.raises(BudgetExceededError, match=r"of the budget \$0\.4000 is left"):
        budget.check(0.5)
    budget.check(0.4)
    budget.reserve(0.3)
    assert (budget.fits(0.1), budget.fits(0.2)) == (True, False)
    budget.settle(0.3, 0.3)
    budget.settle_held(0.3, 0.05)
    budget.settle_held(0.2, None)
    assert [budget.spent_usd, budget.held_usd] == pytest.approx([0.65, 0.0])
    assert budget.hold(0.1, 0.05) == pytest.approx(0.15)
    assert [budget.spent_usd, budget.held_usd] == pytest.approx([0.6, 0.15])
