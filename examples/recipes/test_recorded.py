"""Tests of what a real model answers: recorded once, replayed from then on without network and key.

pytest examples/recipes/test_recorded.py
"""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import BaseModel

from asyncllm import AsyncLLM


class Ticket(BaseModel):
    """A message to a shop."""

    topic: Literal["delivery", "refund", "other"]
    order: str | None


async def read_ticket(text: str) -> Ticket:
    """Return what a message is about; the code under test."""
    async with AsyncLLM(model="openai/gpt-5-mini") as llm:
        return await llm.extract(Ticket, f"Read this message to a shop:\n\n{text}")


@pytest.fixture
def anyio_backend() -> str:
    """Run the tests on asyncio alone; without this, anyio runs them on trio too where it is installed."""
    return "asyncio"


@pytest.mark.anyio
@pytest.mark.asyncllm_recorded
async def test_a_refund_is_recognised() -> None:
    """The recording is cassettes/test_recorded/test_a_refund_is_recognised.jsonl, which belongs into the repository."""
    ticket = await read_ticket("Please refund ORD-013455, the backpack smells of smoke.")
    assert (ticket.topic, ticket.order) == ("refund", "ORD-013455")
