"""Batches that the journal did not create, in each format."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncllm import AsyncLLM, NotFoundError, ProviderTimeoutError
from asyncllm.simulator import Simulator

from .conftest import POLL_S

pytestmark = pytest.mark.anyio

PROMPTS = ("first", "second", "third")


@pytest.fixture
def other(path: Path) -> Path:
    """The journal of another job, whose batch is adopted."""
    return path.with_name("other.journal")


async def created(llm: AsyncLLM, journal: Path) -> str:
    """Create a batch, and return the provider's id."""
    job = await llm.submit(PROMPTS, journal=journal)
    (batch,) = job.status.batches
    assert batch.id is not None
    return batch.id


async def test_a_batch_is_adopted_by_its_id(llm: AsyncLLM, simulator: Simulator, path: Path, other: Path) -> None:
    """Its results are outcomes by their ids, nothing is created, and another day needs the journal alone."""
    simulator.batches.takes_s = 1000
    id = await created(llm, other)
    status = await llm.deferred(path, batch=id).refresh()
    assert ([b.id for b in status.batches], status.waiting, status.has_ended) == ([id], 3, False)
    simulator.batches.advance(1000)
    for _ in range(2):
        async with llm.deferred(path, poll_s=POLL_S).outcomes(ordered=True) as outcomes:
            done = [((o.id or "").rpartition("-")[2], o.error, o.text) async for o in outcomes]
        assert [(number, error) for number, error, _ in done] == [("1", None), ("2", None), ("3", None)]
        assert all(prompt in text for prompt, (_, _, text) in zip(PROMPTS, done, strict=True))
    assert llm.deferred(path).status.has_ended
    assert sum(simulator.batches.billed.values()) == 3


async def test_what_expires_of_an_adopted_batch_is_sent_again_where_its_requests_are_shown(
    llm: AsyncLLM, provider: str, simulator: Simulator, path: Path, other: Path
) -> None:
    """OpenAI, Azure and Mistral show the file of the requests; of the others they end with an error."""
    simulator.batches.takes_s = 500_000
    id = await created(llm, other)
    simulator.batches.advance(400_000)
    simulator.batches.takes_s = 0
    job = llm.deferred(path, batch=id, poll_s=POLL_S)
    if provider == "gemini":  # which has no result for them either
        async with job.outcomes() as outcomes:
            with pytest.raises(ProviderTimeoutError, match="window of the batch ended"):
                await anext(outcomes)
    else:
        async with job.outcomes() as outcomes:
            errors = [type(o.error) async for o in outcomes]
        assert errors == [ProviderTimeoutError if provider == "anthropic" else type(None)] * 3
    assert llm.deferred(path).status.has_ended


async def test_a_batch_that_does_not_exist_is_not_adopted(llm: AsyncLLM, provider: str, path: Path) -> None:
    """The error is the provider's, and the journal has no batch."""
    with pytest.raises(NotFoundError):
        await llm.deferred(path, batch="batches/none" if provider == "gemini" else "batch_none").refresh()
    assert not llm.deferred(path).status.batches
