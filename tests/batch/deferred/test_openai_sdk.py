"""OpenAI's own SDK at the simulator's batches, and with a batch that was made here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from asyncllm import AsyncLLM, NotFoundError
from asyncllm.simulator import Simulator

from .conftest import POLL_S, options_of

pytestmark = pytest.mark.anyio


class City(BaseModel):
    name: str
    people: int


def test_the_sdk_sends_a_batch_and_reads_its_results(simulator: Simulator, secret_key: str) -> None:
    """Files, batches, lists and results have the forms that the SDK reads."""
    simulator.batches.takes_s = 100
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
    line = {"custom_id": "one", "method": "POST", "url": "/v1/chat/completions", "body": body}
    with openai.OpenAI(base_url=simulator.url, api_key=secret_key) as client:
        file = client.files.create(file=("in.jsonl", json.dumps(line).encode()), purpose="batch")
        batch = client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"job": "1"}
        )
        assert (batch.status, batch.metadata) == ("in_progress", {"job": "1"})
        simulator.batches.advance(100)
        batch = client.batches.retrieve(batch.id)
        assert batch.status == "completed"
        assert batch.output_file_id is not None
        result = json.loads(client.files.content(batch.output_file_id).text)
        assert result["custom_id"] == "one"
        assert "hello" in result["response"]["body"]["choices"][0]["message"]["content"]
        assert [one.id for one in client.batches.list()] == [batch.id]


def made_by_the_sdk(simulator: Simulator, key: str, *prompts: str, **params: Any) -> str:
    """Create a batch with the SDK, and return its id."""
    lines: list[str] = []
    for number, prompt in enumerate(prompts):
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": prompt}], **params}
        line = {"custom_id": f"one/{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}
        lines.append(json.dumps(line))
    with openai.OpenAI(base_url=simulator.url, api_key=key) as client:
        file = client.files.create(file=("in.jsonl", "\n".join(lines).encode()), purpose="batch")
        batch = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    return batch.id


async def test_a_batch_of_the_sdk_is_adopted(
    simulator: Simulator, secret_key: str, path: Path, anyio_backend: str
) -> None:
    """Its requests are those of the file, its outcomes are in order, and another day needs the journal alone."""
    simulator.batches.takes_s = 1000
    id = made_by_the_sdk(simulator, secret_key, "first", "second", "third")
    async with AsyncLLM(**options_of("openai", simulator, secret_key)) as llm:
        job = llm.deferred(path, batch=id, poll_s=POLL_S)
        status = await job.refresh()
        assert ([b.id for b in status.batches], status.waiting) == ([id], 3)
        simulator.batches.advance(1000)
        async with llm.deferred(path, poll_s=POLL_S).outcomes(ordered=True) as outcomes:
            done = [(o.id, o.ok, o.text) async for o in outcomes]
        async with llm.deferred(path, batch=id, poll_s=POLL_S).outcomes(ordered=True) as outcomes:
            assert [(o.id, o.ok, o.text) async for o in outcomes] == done
    assert [(id, ok) for id, ok, _ in done] == [("one/0", True), ("one/1", True), ("one/2", True)]
    assert ["first" in done[0][2], "third" in done[2][2]] == [True, True]
    assert sum(simulator.batches.billed.values()) == 3
    assert simulator.seen.paths.count("/v1/batches") == 1


async def test_what_expires_of_an_adopted_batch_is_sent_again(
    simulator: Simulator, secret_key: str, path: Path, anyio_backend: str
) -> None:
    """A batch of the SDK is continued as one of ours: what its window ended for goes into another."""
    simulator.batches.takes_s = 100_000
    id = made_by_the_sdk(simulator, secret_key, "first", "second", max_tokens=50)
    simulator.batches.advance(90_000)
    simulator.batches.takes_s = 0
    async with AsyncLLM(**options_of("openai", simulator, secret_key)) as llm:
        async with llm.deferred(path, batch=id, poll_s=POLL_S).outcomes() as outcomes:
            assert sorted([(o.id, o.error) async for o in outcomes]) == [("one/0", None), ("one/1", None)]
        batches = llm.deferred(path).status.batches
    assert [b.status for b in batches] == ["expired", "completed"]


async def test_an_adopted_batch_has_typed_answers(
    simulator: Simulator, secret_key: str, path: Path, anyio_backend: str
) -> None:
    """Answers that the SDK asked for by a schema are read into the type, and asked for again if they are not valid."""
    schema = {"name": "City", "schema": City.model_json_schema()}
    form = {"type": "json_schema", "json_schema": schema}
    id = made_by_the_sdk(simulator, secret_key, "first", response_format=form)
    async with AsyncLLM(**options_of("openai", simulator, secret_key)) as llm:
        job = llm.deferred(path, batch=id, response_model=City, poll_s=POLL_S)
        async with job.outcomes() as outcomes:
            assert [type(o.value) async for o in outcomes] == [City]
        with pytest.raises(NotFoundError):
            await llm.deferred(path.with_name("other.journal"), batch="batch_none").refresh()


async def test_the_sdk_reads_a_batch_that_was_made_here(
    simulator: Simulator, secret_key: str, path: Path, anyio_backend: str
) -> None:
    """A batch of a job is an ordinary batch of the account."""
    async with AsyncLLM(**options_of("openai", simulator, secret_key)) as llm:
        job = await llm.submit(["first", "second"], journal=path)
    (made,) = job.status.batches
    with openai.OpenAI(base_url=simulator.url, api_key=secret_key) as client:
        batch = client.batches.retrieve(str(made.id))
        assert batch.request_counts is not None
        assert batch.request_counts.completed == 2
        lines = client.files.content(str(batch.output_file_id)).text.splitlines()
    texts = [json.loads(line)["response"]["body"]["choices"][0]["message"]["content"] for line in lines]
    assert ["first" in texts[0], "second" in texts[1]] == [True, True]
