"""The client that litellm is handed, as releases of litellm use it that are not the one that is installed."""

from __future__ import annotations

from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletion

from asyncllm.simulator import Simulator
from asyncllm.transports.litellm.importing import import_litellm

BODY = {"model": "any", "messages": [{"role": "user", "content": "Name a colour."}]}


@pytest.fixture
def anyio_backend() -> str:
    """litellm runs on asyncio alone."""
    return "asyncio"


@pytest.mark.anyio
async def test_it_posts_as_the_sdk_and_as_the_handler(simulator: Simulator) -> None:
    """Some releases call the SDK's method of this name, which takes `cast_to`; others their own handler's."""

    def sdk(client: httpx.AsyncClient) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(api_key="any", base_url=simulator.url, http_client=client)

    import_litellm()  # which clients must find imported: by itself litellm downloads its map of models
    from asyncllm.transports.litellm.clients import HandedClient

    pool: Any = httpx.AsyncHTTPTransport()
    client = HandedClient(pool, httpx.Timeout(10.0), sdk)
    as_sdk = await client.post("/chat/completions", cast_to=ChatCompletion, body=BODY)
    assert as_sdk.choices[0].message.content
    as_handler = await client.post(
        f"{simulator.url}/chat/completions", json=BODY, headers={"Authorization": "Bearer any"}
    )
    assert as_handler.json()["choices"][0]["message"]["content"] == as_sdk.choices[0].message.content
    await client.close()
