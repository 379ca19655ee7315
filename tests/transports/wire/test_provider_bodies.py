"""Errors in each provider's own words mean the same over both transports."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from aiohttp import web

from asyncllm import AsyncLLM, ProviderError
from asyncllm.simulator import Fault, Simulator
from tests.support.secrets import SECRET

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("litellm_imported")]

PROVIDERS = ("openai", "hosted_vllm", "groq", "openrouter", "deepseek", "together_ai", "mistral", "litellm_proxy")

BODIES: Mapping[str, tuple[int, Any]] = {
    "openai quota": (429, {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}),
    "azure filter": (400, {"error": {"message": "Filtered", "code": "content_filter"}}),
    "azure limit": (429, {"error": {"code": "429", "message": "Requests have exceeded call rate limit"}}),
    "vllm length": (400, {"object": "error", "message": "This model's maximum context length is 10", "code": 400}),
    "vllm missing": (404, {"object": "error", "message": "The model `x` does not exist.", "type": "NotFoundError"}),
    "openrouter credit": (402, {"error": {"message": "Insufficient credits", "code": 402}}),
    "openrouter flagged": (403, {"error": {"code": 403, "message": "Flagged", "metadata": {"reasons": ["x"]}}}),
    "mistral invalid": (422, {"object": "error", "message": {"detail": [{"loc": ["body"], "msg": "bad"}]}}),
    "mistral key": (401, {"message": "Unauthorized", "request_id": "r"}),
    "xai argument": (400, {"code": "invalid argument", "error": "Wrong argument"}),
    "deepseek balance": (402, {"error": {"message": "Insufficient Balance", "type": "unknown_error"}}),
    "fastapi": (500, {"detail": "boom"}),
    "proxy page": (502, "<html><body>Bad Gateway</body></html>"),
    "overloaded": (529, {"error": {"message": "Overloaded", "type": "overloaded_error"}}),
    "conflict": (409, {"error": {"message": "Conflict"}}),
    "timeout": (408, {"error": {"message": "Timed out"}}),
    "too large": (413, {"error": {"message": "Too large"}}),
    "nothing": (503, ""),
}


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio alone, where the server of these tests lives."""
    return "asyncio"


@pytest.fixture
async def server(anyio_backend: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """A server that answers with the status and body that it is told."""
    told: dict[str, Any] = {}

    async def answer(request: web.BaseRequest) -> web.Response:
        body = told["body"]
        text = body if isinstance(body, str) else json.dumps(body)
        kind = "text/html" if isinstance(body, str) else "application/json"
        # Else the calls after a 429 would wait for a cooldown of half a second or more.
        return web.Response(status=told["status"], text=text, content_type=kind, headers={"retry-after-ms": "1"})

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1", told
    await runner.cleanup()


async def failed(llm: AsyncLLM, *, stream: bool) -> tuple[str, int | None]:
    with pytest.raises(ProviderError) as caught:
        await (llm.stream("hi").collect() if stream else llm.acompletion("hi"))
    return type(caught.value).__name__, caught.value.status_code


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_error_body_means_the_same(provider: str, server: tuple[str, dict[str, Any]]) -> None:
    """Class and status do not depend on the transport, in whatever form the provider says what went wrong."""
    url, told = server
    differences = {}
    model = f"{provider}/gpt-4o"
    async with (
        AsyncLLM(model=model, base_url=url, api_key=SECRET, num_retries=0, transport="litellm") as litellm,
        AsyncLLM(model=model, base_url=url, api_key=SECRET, num_retries=0, transport="wire") as wire,
    ):
        for place, (name, (told["status"], told["body"])) in enumerate(BODIES.items()):
            # A stream's error is read by the same code; every other one shows that it is reached.
            pair = await failed(litellm, stream=bool(place % 2)), await failed(wire, stream=bool(place % 2))
            if pair[0] != pair[1]:
                differences[name] = pair
    assert differences == {}


@pytest.mark.parametrize("reason", ["context_window", "content_policy", "quota", "tokens"])
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_reason_means_the_same(provider: str, reason: str, simulator: Simulator) -> None:
    """What OpenAI's codes say beside the status is understood over both transports."""
    simulator.faults(Fault("status", reason=reason, retry_after=0.001, retry_after_form="ms"))
    results = []
    for transport in ("litellm", "wire"):
        async with AsyncLLM(
            model=f"{provider}/gpt-4o",
            base_url=simulator.url,
            api_key=SECRET,
            num_retries=0,
            transport=transport,
        ) as llm:
            results.append(await failed(llm, stream=False))
    assert results[0] == results[1]
