"""OpenAI's own SDK at the simulator's batches, and with a batch that was made here."""

from __future__ import annotations

import json
from pathlib import Path

import openai
import pytest

from asyncllm import AsyncLLM
from asyncllm.simulator import Simulator

from .conftest import options_of

pytestmark = pytest.mark.anyio


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
