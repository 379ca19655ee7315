"""A dollar, 200 requests in flight, and more to do than it pays for."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import islice

import anyio

from asyncllm import AsyncLLM, BudgetExceededError, Request

from .provider import LimitedProvider
from .rows import Row

BUDGET_USD, IN_FLIGHT, ITEMS = 1.0, 200, 5000
_INPUT_USD, _OUTPUT_USD = 1e-6, 4e-6
_MAX_TOKENS = 200


@dataclass(slots=True)
class _Ledger:
    """What several runs make of one budget.

    Attributes:
        counted_usd: What the clients counted as spent.
        refused: Requests refused before they were sent.
        prompt_tokens: The length of a prompt, the same for all.
    """

    counted_usd: float = 0.0
    refused: int = 0
    prompt_tokens: int = 0


async def budget() -> list[Row]:
    """Spend a budget in one run, and in two: the first at its end, or cut short with 200 in flight."""
    one, two, cut = [await _runs(*stops) for stops in ((), (1000, False), (1000, True))]
    dollar = f"${BUDGET_USD:.2f} budget, {IN_FLIGHT} in flight"
    rows = []
    for case, (truth, ledger) in ((f"{dollar}, one run", one), (f"{dollar}, two runs", two)):
        rows += [
            Row(case, "spent at the provider", truth, "<=", BUDGET_USD, " $"),
            Row(case, "spent at the provider ", truth, ">=", 0.95 * BUDGET_USD, " $"),
            Row(case, "refused before sending", ledger.refused, ">=", 1),
        ]
    truth, ledger = cut
    case = f"{dollar}, first run cut short"
    # Those in flight when it was cut count as their worst case, which is more than they took.
    return [
        *rows,
        Row(case, "spent at the provider", truth, "<=", BUDGET_USD, " $"),
        Row(case, "counted as spent", ledger.counted_usd, ">=", 0.95 * BUDGET_USD, " $"),
    ]


async def _runs(first: int | None = None, cut: bool = False) -> tuple[float, _Ledger]:
    """Run once, or a first time for some items before; returns what the provider would charge, and the ledger."""
    ledger = _Ledger()
    with LimitedProvider(latency={"first_token_s": 0.05, "tokens_per_s": 400, "spread": 0.5}) as provider:
        if first is not None:
            await _run(provider, ledger, ITEMS if cut else first, stop=first if cut else None)
        await _run(provider, ledger, ITEMS, stop=None)
        rows = provider.seen().rows
    output: int = sum(row["answer_tokens"] for row in rows)
    return len(rows) * ledger.prompt_tokens * _INPUT_USD + output * _OUTPUT_USD, ledger


async def _run(provider: LimitedProvider, ledger: _Ledger, items: int, stop: int | None) -> None:
    options = provider.options(
        max_concurrency=IN_FLIGHT,
        max_output_tokens=_MAX_TOKENS,
        input_cost_per_token=_INPUT_USD,
        output_cost_per_token=_OUTPUT_USD,
        budget_usd=BUDGET_USD - ledger.counted_usd,
    )
    dice = random.Random(5)
    sizes = iter(lambda: dice.randint(20, _MAX_TOKENS), None)
    requests = (Request("item", extra_body={"simulator": {"answer_tokens": size}}) for size in islice(sizes, items))
    done = 0
    async with AsyncLLM(**options) as llm:
        async with llm.map(requests) as outcomes:
            async for outcome in outcomes:
                done += 1
                ledger.refused += isinstance(outcome.error, BudgetExceededError)
                if outcome.completion is not None:
                    ledger.prompt_tokens = outcome.completion.usage.input_tokens or 0
                if done == stop:
                    break
        ledger.counted_usd += llm.stats().budget_spent_usd or 0.0
    await anyio.sleep(0.1)  # the provider sees that those who were cut are gone
