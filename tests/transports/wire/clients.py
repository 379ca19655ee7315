"""A client of the wire, for tests of its connections."""

from __future__ import annotations

import aiohttp

from asyncllm import AsyncLLM
from tests.support.secrets import SECRET


def client(url: str, num_retries: int = 0, session: aiohttp.ClientSession | None = None) -> AsyncLLM:
    """Make a client that takes the wire or nothing."""
    return AsyncLLM(
        model="openai/gpt-4o-mini",
        base_url=url,
        api_key=SECRET,
        num_retries=num_retries,
        transport="wire",
        http_session=session,
    )
