"""The same conversation in the format of each kind of provider."""

from __future__ import annotations

import pytest

from asyncllm import AsyncLLM, Message
from asyncllm.simulator import Limit, Simulator

pytestmark = pytest.mark.anyio

CONVERSATION = [
    Message.system("Answer in one sentence."),
    Message.user("My name is Ada."),
    Message("assistant", "Hello, Ada."),
    Message.user("What is my name?"),
]
# The model, whether its address ends in /v1, where its requests go, and whether its price is known.
FORMATS = {
    "openai": ("openai/gpt-4o", True, "/v1/chat/completions", True),
    "anthropic": ("anthropic/claude-sonnet-4-5", False, "/v1/messages", True),
    "ollama": ("ollama_chat/llama3.2", False, "/api/chat", False),
    "proxy": ("litellm_proxy/asyncllm-simulator", True, "/v1/chat/completions", True),
}


@pytest.mark.parametrize("format", FORMATS)
async def test_a_conversation_in_each_format(simulator: Simulator, format: str) -> None:
    """Text, usage, cost, limits and the request's id come back alike, plain and streamed."""
    model, versioned, path, priced = FORMATS[format]
    simulator.limits(Limit(per_minute=1_000))
    base_url = simulator.url if versioned else simulator.root_url
    async with AsyncLLM(model=model, base_url=base_url, api_key="key") as llm:
        completion = await llm.acompletion(CONVERSATION, max_tokens=50)
        async with llm.stream(CONVERSATION, max_tokens=50) as stream:
            streamed = await stream.collect()
    assert "What is my name?" in completion.text
    assert streamed.text == completion.text
    assert list(simulator.seen.paths).count(path) == 2
    for answer in (completion, streamed):
        usage = answer.usage
        assert usage.basis == "known"
        assert usage.input_tokens
        assert usage.output_tokens
        assert (answer.cost_usd is not None) == priced
        assert answer.cost_basis == ("known" if priced else "unknown")
    assert completion.record.request_id
    if format != "ollama":  # which sends no such headers
        assert any("ratelimit" in name for name in completion.record.rate_limits)
