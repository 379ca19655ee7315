"""A budget a month for each customer, which outlives the process.

python examples/recipes/customer_budget.py CUSTOMER [QUESTION]
"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime

import anyio

from asyncllm import AsyncLLM, BudgetExceededError, Completion

SCHEMA = "CREATE TABLE IF NOT EXISTS spent (customer TEXT, month TEXT, usd REAL, PRIMARY KEY (customer, month))"
ADD = "INSERT INTO spent VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET usd = usd + excluded.usd"


class Accounts:
    """What each customer has spent this month."""

    def __init__(self, database: sqlite3.Connection, monthly_usd: float) -> None:
        database.execute(SCHEMA)
        self._database = database
        self._monthly_usd = monthly_usd

    def spent(self, customer: str) -> float:
        """Return what a customer has spent this month, in US dollars."""
        query = "SELECT usd FROM spent WHERE customer = ? AND month = ?"
        row = self._database.execute(query, (customer, this_month())).fetchone()
        return 0.0 if row is None else row[0]

    def add(self, customer: str, usd: float) -> None:
        """Add what a call cost."""
        with self._database:
            self._database.execute(ADD, (customer, this_month(), usd))

    async def ask(self, llm: AsyncLLM, customer: str, question: str) -> Completion:
        """Answer a question of a customer who has money left.

        Raises:
            BudgetExceededError: The customer has spent this month's budget.
        """
        spent = self.spent(customer)
        if spent >= self._monthly_usd:
            raise BudgetExceededError(f"{customer} has spent ${spent:.4f} of ${self._monthly_usd:.4f} this month.")
        answer = await llm.acompletion(question, tenant=customer)
        if answer.cost_usd is None:
            raise ValueError(f"{answer.model} has no known price: set input_cost_per_token and output_cost_per_token")
        self.add(customer, answer.cost_usd)
        return answer


def this_month() -> str:
    """Return the month of now, as in 2025-03."""
    return datetime.now(UTC).strftime("%Y-%m")


async def main(customer: str, question: str = "Name a colour.") -> int:
    """Ask for a customer, and print what is spent."""
    # The client's own budget bounds what one customer can spend with calls at the same time, and in one process.
    async with AsyncLLM(max_output_tokens=500, tenant_budget_usd=0.01) as llm:
        with closing(sqlite3.connect("accounts.sqlite")) as database:
            accounts = Accounts(database, monthly_usd=0.01)
            try:
                print((await accounts.ask(llm, customer, question)).text)
            except BudgetExceededError as error:
                print(f"error: {error}", file=sys.stderr)
                return 1
            print(f"{customer} has spent ${accounts.spent(customer):.6f} this month", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(anyio.run(lambda: main(*sys.argv[1:])))
