"""Budgets: nothing is sent that could exceed them, and nearly all of them can be spent."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncllm import AsyncLLM, BudgetExceededError, ConfigError, Request, StreamInterruptedError
from asyncllm.batch.stall import Stall
from asyncllm.limits import Budget, Needs, ProviderLimits, Slots, Waiter, admit
from asyncllm.pipeline.deadline import Deadline
from asyncllm.simulator import Fault, Latency, Simulator
from tests.support.waiting import until

# A dollar for a million tokens in, four for a million out.
PRICES = {"input_cost_per_token": 1e-6, "output_cost_per_token": 4e-6}
ANSWER_USD = 100 * 4e-6


def asked(tokens: int = 100, **params: Any) -> Request:
    """A request with an answer of so many tokens."""
    return Request("item", extra_body={"simulator": {"answer_tokens": tokens}}, **params)


@pytest.fixture
def priced(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a client whose answers cost up to $0.0004 each."""
    return {**options, **PRICES, "max_output_tokens": 100}


@given(
    requests=st.lists(st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0)), max_size=60),
    order=st.randoms(use_true_random=False),
)
def test_a_budget_is_never_exceeded(requests: list[tuple[float, float]], order: Any) -> None:
    """Whatever is reserved and settled in whatever order, what is spent stays within the limit."""
    budget = Budget(3.0, 0.5)
    open_: list[tuple[float, float]] = []
    for worst, share in requests:
        if budget.fits(worst):
            budget.check(worst)
            budget.reserve(worst)
            open_.append((worst, worst * share))
        if open_ and order.random() < 0.5:
            budget.settle(*open_.pop(order.randrange(len(open_))))
        assert budget.spent_usd + budget.reserved_usd <= 3.0 + 1e-6
    for worst, cost in open_:
        budget.settle(worst, cost)
    assert budget.reserved_usd == pytest.approx(0.0, abs=1e-9)


def test_an_unknown_cost_counts_as_the_worst() -> None:
    """Nobody knows what a lost answer has cost, and so it may have cost all that was reserved."""
    budget = Budget(1.0)
    budget.reserve(0.4)
    budget.settle(0.4, None)
    assert budget.spent_usd == 0.4


@pytest.mark.parametrize("amounts", [(-1.0, 0.0), (1.0, -1.0), (float("nan"), 0.0), (float("inf"), 0.0)])
def test_impossible_amounts(amounts: tuple[float, float]) -> None:
    """A budget is a finite number of dollars."""
    with pytest.raises(ValueError, match="must be 0 or more"):
        Budget(*amounts)


def waiter(slots: Slots, *budgets: Budget, worst_usd: float) -> Waiter:
    """A request that is paid from budgets."""
    return Waiter(slots, ProviderLimits(), Needs(budgets=budgets, worst_usd=worst_usd))


def test_what_may_fit_later_waits_and_what_cannot_is_refused() -> None:
    """Beside open reservations a request waits; when what is spent leaves no room, it is refused."""
    slots, budget = Slots(10), Budget(1.0)
    first = waiter(slots, budget, worst_usd=0.7)
    assert slots.try_admit(first)
    second = waiter(slots, budget, worst_usd=0.7)
    assert not slots.try_admit(second)
    slots.release(first, None, 0.2)
    assert slots.try_admit(second)
    slots.release(second, None, 0.7)
    with pytest.raises(BudgetExceededError, match=r"\$0\.9 of the budget of \$1 are spent"):
        slots.try_admit(waiter(slots, budget, worst_usd=0.2))
    assert slots.in_use == 0


def test_both_budgets_hold() -> None:
    """A request is paid from the client's and the batch's budget, and must fit into each."""
    slots, client, batch = Slots(10), Budget(1.0), Budget(0.5)
    one = waiter(slots, client, batch, worst_usd=0.4)
    assert slots.try_admit(one)
    slots.release(one, None, 0.4)
    assert (client.spent_usd, batch.spent_usd) == (0.4, 0.4)
    with pytest.raises(BudgetExceededError):
        slots.try_admit(waiter(slots, client, batch, worst_usd=0.4))
    assert slots.try_admit(waiter(slots, client, worst_usd=0.4))


@pytest.mark.anyio
async def test_small_requests_do_not_pass_over_a_large_one() -> None:
    """A request that waits for money is not kept waiting by cheaper ones for another bucket that come later."""
    slots, budget = Slots(10), Budget(1.0)
    buckets = ProviderLimits(), ProviderLimits()
    first = await admit(slots, buckets[0], Needs(budgets=(budget,), worst_usd=0.5), Deadline(None))
    order: list[str] = []

    async def one(name: str, bucket: ProviderLimits, worst_usd: float) -> None:
        await admit(slots, bucket, Needs(budgets=(budget,), worst_usd=worst_usd), Deadline(None))
        order.append(name)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(one, "large", buckets[0], 0.6)
            await anyio.wait_all_tasks_blocked()
            group.start_soon(one, "small", buckets[1], 0.1)
            await anyio.wait_all_tasks_blocked()
            assert (order, slots.limited_by) == ([], "budget")
            first.release(0, 0.0)
    assert sorted(order) == ["large", "small"]


@pytest.mark.anyio
async def test_a_batch_spends_its_client_s_budget_and_no_more(priced: dict[str, Any], simulator: Simulator) -> None:
    """Items that no longer fit are refused before they are sent; what was sent costs no more than the budget."""
    budget_usd = 30.5 * ANSWER_USD
    async with AsyncLLM(**priced, budget_usd=budget_usd, max_concurrency=20) as llm:
        outcomes = await llm.gather([asked() for _ in range(60)])
        stats = llm.stats()
    sent = [outcome for outcome in outcomes if outcome.ok]
    assert all(isinstance(outcome.error, BudgetExceededError) for outcome in outcomes if not outcome.ok)
    assert len(sent) == simulator.seen.requests
    assert sum(outcome.cost_usd or 0.0 for outcome in sent) == pytest.approx(stats.budget_spent_usd)
    assert 0.95 * budget_usd <= (stats.budget_spent_usd or 0.0) <= budget_usd


@pytest.mark.anyio
async def test_waiting_for_open_reservations(priced: dict[str, Any], simulator: Simulator) -> None:
    """With room for one worst case at a time, short answers go one after the other, and all are sent."""
    async with AsyncLLM(**priced, budget_usd=1.5 * ANSWER_USD) as llm:
        outcomes = await llm.gather([asked(5) for _ in range(8)])
    assert all(outcome.ok for outcome in outcomes)
    assert simulator.seen.max_in_flight == 1


@pytest.mark.anyio
async def test_a_view_spends_of_the_same_budget(priced: dict[str, Any], simulator: Simulator) -> None:
    """A budget belongs to the client as a whole."""
    async with AsyncLLM(**priced, budget_usd=1.5 * ANSWER_USD) as llm:
        await llm.acompletion(asked())
        with pytest.raises(BudgetExceededError):
            await llm.with_options(temperature=0.5).acompletion(asked())
        with pytest.raises(TypeError, match="budget_usd belongs to the client"):
            llm.with_options(budget_usd=5.0)
    assert simulator.seen.requests == 1


@pytest.mark.anyio
async def test_a_batch_s_own_budget(priced: dict[str, Any], simulator: Simulator) -> None:
    """What an earlier run has spent counts, and a batch's budget is not the client's."""
    async with AsyncLLM(**priced) as llm:
        terms = Stall(budget=Budget(3.5 * ANSWER_USD, spent_usd=ANSWER_USD))
        for _ in range(2):
            await llm._complete(asked(), Deadline(None), terms)
        with pytest.raises(BudgetExceededError):
            await llm._complete(asked(), Deadline(None), terms)
        await llm.acompletion(asked())
    assert simulator.seen.requests == 3


@pytest.mark.anyio
async def test_what_was_not_done_costs_nothing(priced: dict[str, Any], simulator: Simulator) -> None:
    """A refusal gives back what was reserved for it."""
    simulator.faults(Fault("status", code=500, times=2))
    async with AsyncLLM(**priced, budget_usd=1.5 * ANSWER_USD) as llm:
        await llm.acompletion(asked(5))
        assert (llm.stats().budget_spent_usd or 0.0) < 0.1 * ANSWER_USD


@pytest.mark.anyio
async def test_a_cancelled_call_counts_as_its_worst_case(priced: dict[str, Any], simulator: Simulator) -> None:
    """The provider may have made the whole answer for a caller who left."""
    simulator.latency(Latency(first_token_s=60.0))
    async with AsyncLLM(**priced, budget_usd=10 * ANSWER_USD) as llm:
        async with anyio.create_task_group() as group:
            group.start_soon(llm.acompletion, asked(5))
            await until(lambda: simulator.seen.in_flight == 1)
            group.cancel_scope.cancel()
        assert (llm.stats().budget_spent_usd or 0.0) >= ANSWER_USD


@pytest.mark.anyio
async def test_a_stream_that_is_cut_counts_as_its_worst_case(priced: dict[str, Any], simulator: Simulator) -> None:
    """Of an interrupted stream only the provider knows the length; of a whole one the cost is known."""
    async with AsyncLLM(**priced, budget_usd=10 * ANSWER_USD) as llm:
        await llm.stream(asked(5)).collect()
        whole = llm.stats().budget_spent_usd or 0.0
        simulator.faults(Fault("cut", at="body", after_chunks=1))
        with pytest.raises(StreamInterruptedError):
            await llm.stream(asked(50)).collect()
        assert whole < 0.1 * ANSWER_USD
        assert (llm.stats().budget_spent_usd or 0.0) >= whole + ANSWER_USD


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("more", "remedy"),
    [
        ({"max_output_tokens": 100}, "input_cost_per_token"),
        (PRICES, "max_output_tokens"),
    ],
)
async def test_what_cannot_be_priced_is_refused(
    options: dict[str, Any], simulator: Simulator, more: dict[str, Any], remedy: str
) -> None:
    """Without a price, or a bound on the answer, nothing is sent, and the error says what to set."""
    async with AsyncLLM(**dict(options, model="openai/nobody-knows", **more), budget_usd=1.0) as llm:
        with pytest.raises(ConfigError, match=remedy):
            await llm.acompletion("hi")
    assert simulator.seen.requests == 0


@pytest.mark.anyio
async def test_the_model_s_own_limit_bounds_the_answer(options: dict[str, Any], simulator: Simulator) -> None:
    """Without max_output_tokens the longest answer that the model gives is the worst case."""
    async with AsyncLLM(**options, budget_usd=0.001) as llm:  # the longest answer of it costs ten times as much
        with pytest.raises(BudgetExceededError, match="max_output_tokens"):
            await llm.acompletion("hi")
    assert simulator.seen.requests == 0
