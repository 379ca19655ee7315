"""Anthropic's own SDK at the simulator's message batches, and batches of one side in the hands of the other."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from asyncllm import AsyncLLM, ProviderTimeoutError
from asyncllm.simulator import BatchFaults, Simulator

from .conftest import POLL_S, options_of

anthropic = pytest.importorskip("anthropic", reason="the SDK is a peer, and not needed for development")
pytestmark = pytest.mark.anyio


class City(BaseModel):
    name: str
    people: int


def made_by_the_sdk(simulator: Simulator, key: str, *prompts: str) -> str:
    """Create a batch with the SDK, and return its id."""
    with anthropic.Anthropic(base_url=simulator.root_url, api_key=key) as client:
        requests = [
            {
                "custom_id": f"one-{number}",
                "params": {
                    "model": "claude-sonnet-4-5",
                    "max_tokens": 100,
                    "messages": [{"role": "user", "content": prompt}],
                },
            }
            for number, prompt in enumerate(prompts)
        ]
        made = client.messages.batches.create(requests=requests)
        id: str = made.id
    return id


async def test_a_batch_of_the_sdk_is_adopted(
    simulator: Simulator, secret_key: str, path: Path, anyio_backend: str
) -> None:
    """Its results are outcomes by their ids, and another day needs the journal alone."""
    simulator.batches.takes_s = 1000
    id = made_by_the_sdk(simulator, secret_key, "first", "second", "third")
    async with AsyncLLM(**options_of("anthropic", simulator, secret_key)) as llm:
        status = await llm.deferred(path, batch=id).refresh()
        assert ([b.id for b in status.batches], status.waiting, status.has_ended) == ([id], 3, False)
        simulator.batches.advance(1000)
        for _ in range(2):
            async with llm.deferred(path, poll_s=POLL_S).outcomes(ordered=True) as outcomes:
                done = [(o.id, "first" in o.text) async for o in outcomes]
            assert done == [("one-0", True), ("one-1", False), ("one-2", False)]
        assert llm.deferred(path).status.has_ended


async def test_what_expires_of_an_adopted_batch_cannot_be_sent_again(
    simulator: Simulator, secret_key: str, path: Path, anyio_backend: str
) -> None:
    """The requests are not known, and each ends with an error."""
    simulator.batches.faults = BatchFaults(expired=1.0)
    id = made_by_the_sdk(simulator, secret_key, "first", "second")
    async with (
        AsyncLLM(**options_of("anthropic", simulator, secret_key)) as llm,
        llm.deferred(path, batch=id, poll_s=POLL_S).outcomes() as outcomes,
    ):
        errors = {o.id: type(o.error) async for o in outcomes}
    assert errors == {"one-0": ProviderTimeoutError, "one-1": ProviderTimeoutError}


async def test_the_sdk_reads_a_batch_that_was_made_here(
    simulator: Simulator, secret_key: str, path: Path, anyio_backend: str
) -> None:
    """A batch of a job is an ordinary batch of the account."""
    async with AsyncLLM(**options_of("anthropic", simulator, secret_key)) as llm:
        job = await llm.submit(["first", "second"], journal=path)
    (made,) = job.status.batches
    with anthropic.Anthropic(base_url=simulator.root_url, api_key=secret_key) as client:
        batch = client.messages.batches.retrieve(made.id)
        assert (batch.processing_status, batch.request_counts.succeeded) == ("ended", 2)
        texts = [line.result.message.content[0].text for line in client.messages.batches.results(made.id)]
        assert [one.id for one in client.messages.batches.list()] == [made.id]
    assert ["first" in texts[0], "second" in texts[1]] == [True, True]
