"""The HTTP clients that are handed to litellm, one for each endpoint and key.

litellm takes a client with each call. Its providers use either litellm's own handler or OpenAI's SDK; which of them
serves a call is decided inside litellm.
"""

# litellm has no stubs.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import cached_property
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib import import_module
from typing import Any

import httpx
import openai
from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler
from openai.resources import AsyncCompletions
from openai.resources.chat import AsyncChat

from ..base import Call, Connection
from .importing import import_litellm
from .openai_sdk import QuietAzureOpenAI, QuietOpenAI
from .watched_transport import WatchedTransport

# An application with a key for each of its users has many; making one again costs a millisecond.
_KEPT_CLIENTS = 256
_POOLS = 32  # more clients share them
_AZURE = frozenset(("azure", "azure_text"))
# The names of Azure's API that has no versions. Source: litellm's BaseAzureLLM.
_AZURE_V1 = frozenset(("latest", "preview", "v1"))
_CLOUDFLARE = "gateway.ai.cloudflare.com"  # its address holds the deployment, which litellm puts there by itself
# Providers that take no client from a call, but from litellm's cache for the running loop, and the keys there.
_CACHED_AS = {
    "anthropic_text": ("ssl_verify_Noneanthropic_text",),
    "azure": ("ssl_verify_Noneazure",),  # on its Responses API
    "cloudflare": ("ssl_verify_Nonecloudflare",),
    "cohere": ("ssl_verify_Nonecohere", "ssl_verify_Nonecohere_chat"),
    "cohere_chat": ("ssl_verify_Nonecohere_chat",),
    "gradient_ai": ("ssl_verify_Nonegradient_ai",),
    "replicate": ("timeout_600.0replicate",),
    "sagemaker": ("sagemaker",),
    "triton": ("ssl_verify_Nonetriton",),
}


class HandedClient(AsyncHTTPHandler):
    """litellm's handler with the attributes of OpenAI's SDK that litellm uses.

    Args:
        transport: Its connection pool.
        timeout: For requests to which litellm gives none.
        make_sdk: Makes the SDK's client, for the providers that litellm reaches by it.
    """

    def __init__(
        self,
        transport: WatchedTransport,
        timeout: httpx.Timeout,
        make_sdk: Callable[[httpx.AsyncClient], openai.AsyncOpenAI],
    ) -> None:
        self._transport = transport
        self._make_sdk = make_sdk
        super().__init__(timeout=timeout)  # pyright: ignore[reportUnknownMemberType]

    def create_client(
        self,
        timeout: float | httpx.Timeout | None,
        event_hooks: object,
        ssl_verify: object = None,
        shared_session: object = None,
    ) -> httpx.AsyncClient:
        """Make the HTTP client; litellm makes another one to send a request again."""
        headers: dict[str, str] = import_module(AsyncHTTPHandler.__module__).headers
        # A cookie that an answer sets must not be sent with the request of another user.
        cookies = CookieJar(DefaultCookiePolicy(allowed_domains=()))
        return httpx.AsyncClient(
            transport=self._transport, timeout=timeout, headers=headers, cookies=cookies, trust_env=False
        )

    # Some litellm releases call the SDK's method of this name, others their handler's: the SDK's alone takes `cast_to`.
    async def post(self, url: str, *arguments: Any, **named: Any) -> Any:
        """Send a request."""
        if "cast_to" in named:
            return await self.sdk.post(url, *arguments, **named)
        return await super().post(url, *arguments, **named)  # pyright: ignore[reportUnknownMemberType]

    @cached_property
    def sdk(self) -> openai.AsyncOpenAI:
        """The SDK's client."""
        return self._make_sdk(self.client)

    @property
    def chat(self) -> AsyncChat:
        """Chat completions."""
        return self.sdk.chat

    @property
    def completions(self) -> AsyncCompletions:
        """Text completions."""
        return self.sdk.completions

    @property
    def api_key(self) -> str:
        """The key."""
        return self.sdk.api_key

    @property
    def _base_url(self) -> httpx.URL:
        return self.sdk.base_url


class Clients:
    """The clients of one loop."""

    def __init__(self) -> None:
        self._pools: list[WatchedTransport] = []
        self._kept: dict[tuple[object, ...], HandedClient] = {}
        self._made = 0

    def client(self, call: Call, timeout: httpx.Timeout) -> HandedClient | openai.AsyncOpenAI | None:
        """Return the client to hand to litellm for a call; None where litellm has to make one.

        That is where it signs in without a key, at OpenAI and at Azure's API without versions, and at a gateway of
        Cloudflare.
        """
        connection = call.connection
        provider, options = connection.provider, connection.options
        if provider in _AZURE and _CLOUDFLARE in str(options.get("base_url")):
            return None
        if connection.api_key is None and (provider == "openai" or options.get("api_version") in _AZURE_V1):
            return None
        key = (
            provider,
            connection.api_key,
            options.get("base_url"),
            options.get("api_version"),
            options.get("custom_llm_provider"),
            connection.connect_timeout_s,
        )
        client = self._kept.get(key)
        if client is None:
            client = self._make(connection, call.model, timeout)
            while len(self._kept) >= _KEPT_CLIENTS:
                self._kept.pop(next(iter(self._kept)))
            self._kept[key] = client
        litellm = import_litellm()
        for name in _CACHED_AS.get(provider, ()):
            litellm.in_memory_llm_clients_cache.set_cache(f"async_httpx_client{name}", client)
        # Azure needs the SDK's own class; but for the o-series, litellm would keep that for other loops as well.
        if provider in _AZURE and not litellm.AzureOpenAIO1Config().is_o_series_model(call.model):
            return client.sdk
        return client

    async def aclose(self) -> None:
        """Close the connections, and the clients that litellm made for this loop by itself."""
        self._kept.clear()
        cache = import_litellm().in_memory_llm_clients_cache
        cached: dict[str, object] = cache.cache_dict
        of_this_loop = f"-{id(asyncio.get_running_loop())}"
        for name in [name for name in list(cached) if name.endswith(of_this_loop)]:
            client = cached.get(name)
            cache.delete_cache(name)
            if isinstance(client, AsyncHTTPHandler | openai.AsyncOpenAI):
                await client.close()
        for pool in self._pools:
            await pool.close()

    def _pool(self) -> WatchedTransport:
        """Return the connection pool of the next client.

        Clients have pools of their own while there are few: a retry must not find a stale connection of another one.
        """
        if len(self._pools) < _POOLS:
            self._pools.append(WatchedTransport())
        self._made += 1
        return self._pools[(self._made - 1) % _POOLS]

    def _make(self, connection: Connection, model: str, timeout: httpx.Timeout) -> HandedClient:
        sdk = _azure_sdk if connection.provider in _AZURE else _openai_sdk
        return HandedClient(self._pool(), timeout, lambda http_client: sdk(connection, model, http_client, timeout))


_of_loop: dict[asyncio.AbstractEventLoop, Clients] = {}


def clients() -> Clients:
    """Return the clients of the running loop."""
    # By the loop: a process that has forked must not touch those of its parent.
    loop = asyncio.get_running_loop()
    made = _of_loop.get(loop)
    if made is None:
        made = _of_loop[loop] = Clients()
    return made


async def close_clients() -> None:
    """Close the clients of the running loop."""
    made = _of_loop.pop(asyncio.get_running_loop(), None)
    if made is not None:
        await made.aclose()


def _openai_sdk(
    connection: Connection, model: str, http_client: httpx.AsyncClient, timeout: httpx.Timeout
) -> openai.AsyncOpenAI:
    """Make the SDK's client with the address and the key that litellm finds for a model."""
    litellm, options = import_litellm(), connection.options
    _, _, found_key, base_url = litellm.get_llm_provider(
        model=model,
        custom_llm_provider=options.get("custom_llm_provider"),
        api_base=options.get("base_url"),
        api_key=connection.api_key,
    )
    return QuietOpenAI(
        api_key=(connection.api_key if found_key is None else found_key) or litellm.api_key or litellm.openai_key,
        base_url=base_url or litellm.api_base,
        organization=litellm.organization or os.environ.get("OPENAI_ORGANIZATION"),
        http_client=http_client,
        max_retries=0,
        timeout=timeout,
    )


def _azure_sdk(
    connection: Connection, model: str, http_client: httpx.AsyncClient, timeout: httpx.Timeout
) -> openai.AsyncOpenAI:
    """Make the SDK's client of a resource at Azure, with the key or the login that litellm finds for it."""
    litellm, options = import_litellm(), connection.options
    version = options.get("api_version") or litellm.api_version or os.environ.get("AZURE_API_VERSION")
    base_url = options.get("base_url") or litellm.api_base or os.environ.get("AZURE_API_BASE")
    key = connection.api_key or litellm.api_key or litellm.azure_key
    if version in _AZURE_V1:
        return QuietOpenAI(
            api_key=key,
            base_url=f"{base_url}/openai/v1/",
            http_client=http_client,
            max_retries=0,
            timeout=timeout,
        )
    azure: Any = import_module("litellm.llms.azure.common_utils").BaseAzureLLM()
    settings: dict[str, Any] = azure.initialize_azure_sdk_client(
        {"max_retries": 0, "timeout": timeout}, key, base_url, model, version, True
    )
    settings["http_client"] = http_client
    return QuietAzureOpenAI(**settings)
