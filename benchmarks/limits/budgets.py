"""A dollar, 200 requests in flight, and more to do than it pays for."""

from __future__ import annotations

import random
from collections.abc import Iterator

import anyio

from asyncllm import AsyncLLM, BudgetExceededError, Request

from .provider import LimitedProvider, Seen
from .rows import Row

BUDGET_USD, IN_FLIGHT, ITEMS = 1.0, 200, 5000
_INPUT_USD, _OUTPUT_USD = 1e-6, 4e-6
_MAX_TOKENS = 200
_PROMPT_TOKENS = 9  # of "item", as the simulator counts it


def _requests() -> Iterator[Request]:
    dice = random.Random(5)
    for _ in range(ITEMS):
        yield Request("item", extra_body={"simulator": {"answer_tokens": dice.randint(20, _MAX_TOKENS)}})


async def budget() -> list[Row]:
    """Spend a budget in one run, and in two of which the first is cut short."""
    return [*await _runs(None), *await _runs(1000)]


async def _runs(cut_after: int | None) -> list[Row]:
    with LimitedProvider(latency={"first_token_s": 0.05, "tokens_per_s": 400, "spread": 0.5}) as provider:
        spent = 0.0
        refused = 0
        for stop in (None,) if cut_after is None else (cut_after, None):
            options = provider.options(
                max_concurrency=IN_FLIGHT,
                max_output_tokens=_MAX_TOKENS,
                input_cost_per_token=_INPUT_USD,
                output_cost_per_token=_OUTPUT_USD,
                budget_usd=BUDGET_USD - spent,
            )
            async with AsyncLLM(**options) as llm:
                done = 0
                async with llm.map(_requests()) as outcomes:
                    async for outcome in outcomes:
                        done += 1
                        refused += isinstance(outcome.error, BudgetExceededError)
                        if done == stop:
                            break
                spent += llm.stats().budget_spent_usd or 0.0
            await anyio.sleep(0.1)
        truth = _cost(provider.seen())
    case = f"${BUDGET_USD:.2f} budget, {'one run' if cut_after is None else 'two runs'}"
    return [
        Row(case, "spent at the provider", truth, "<=", BUDGET_USD, " $"),
        Row(case, "spent at the provider ", truth, ">=", 0.95 * BUDGET_USD, " $"),
        Row(case, "refused before sending", refused, ">=", 1),
    ]


def _cost(seen: Seen) -> float:
    """Return what the provider would charge for all that arrived, whoever left before the answer."""
    output: int = sum(row["answer_tokens"] for row in seen.rows)
    return len(seen.rows) * _PROMPT_TOKENS * _INPUT_USD + output * _OUTPUT_USD
