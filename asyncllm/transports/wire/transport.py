"""The transport that makes the HTTP exchange itself, over aiohttp.

It serves the requests that a provider's format can express as litellm would (`formats`), for a small part of the cost,
and never imports litellm. On asyncio it runs in the caller's own loop, otherwise behind the bridge.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING

import aiohttp

from asyncllm.errors import AsyncLLMError, UnsupportedError

from ..base import Answer, Call, Connection
from ..litellm.importing import model_response
from .api_requests import ApiRequest, ApiResponse, exchange
from .connections import Connections, exchange_failure
from .responses import read_body, refused
from .stream import WireStream

if TYPE_CHECKING:
    from ..bridge import Bridge, CrossingStream


class WireTransport:
    """Posts requests and reads answers itself.

    Args:
        session: A session to use instead of one of its own; it stays the caller's to close, and works in its own loop
            alone.
    """

    name = "wire"

    def __init__(self, session: aiohttp.ClientSession | None = None) -> None:
        self._given = session
        self._clients: dict[asyncio.AbstractEventLoop, Connections] = {}
        self._bridge: Bridge | None = None

    def complete(self, call: Call) -> Awaitable[Answer]:
        """Send a request and return the whole answer."""
        if _in_asyncio():
            return self._complete(call)
        return self._bridged().call(lambda: self._complete(call))

    async def open_stream(self, call: Call) -> WireStream | CrossingStream:
        """Send a request and return its stream once the provider has accepted it."""
        if _in_asyncio():
            return await self._open_stream(call)
        bridge = self._bridged()
        return await bridge.call(lambda: self._open_bridged(call), undo=lambda stream: stream.abandon())

    async def exchange(self, request: ApiRequest) -> ApiResponse:
        """Send a request that is no call of a model; see `api_requests`."""
        if _in_asyncio():
            return await exchange(self._client(), request)
        return await self._bridged().call(lambda: exchange(self._client(), request))

    async def warm_up(self, connection: Connection) -> None:
        """Make the session and read the certificates; its connections open with the first call."""
        if _in_asyncio():
            await self._warm_up(connection)
        else:
            await self._bridged().call(lambda: self._warm_up(connection))

    async def aclose(self) -> None:
        """Close the connections; returns when they are closed."""
        bridge, self._bridge = self._bridge, None
        if bridge is not None:
            await bridge.call(self._close_here)
            await bridge.release()
        if _in_asyncio():
            await self._close_here()
        self.drop()

    def drop(self) -> None:
        """Close what is open without waiting; for an unclosed client, or one whose loop is gone."""
        for client in self._clients.values():
            client.drop()
        self._clients.clear()
        bridge, self._bridge = self._bridge, None
        if bridge is not None:
            bridge.drop()

    def _bridged(self) -> Bridge:
        if self._given is not None:
            raise UnsupportedError(
                "http_session belongs to an asyncio loop, and this call does not run in one.",
                hint="Make the client without http_session.",
            )
        if self._bridge is None:
            from ..bridge import Bridge  # a call in asyncio needs none

            self._bridge = Bridge()
        return self._bridge

    def _client(self) -> Connections:
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            for gone in [other for other in self._clients if other.is_closed()]:
                self._clients.pop(gone).drop()
            client = self._clients[loop] = Connections(loop, self._given)
        return client

    async def _warm_up(self, connection: Connection) -> None:
        client = self._client()
        if not str(connection.options.get("base_url") or "").startswith("http:"):
            await client.trust()

    async def _close_here(self) -> None:
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    async def _complete(self, call: Call) -> Answer:
        client = self._client()
        request = call.request
        assert request is not None, "the wire is given requests that it serves"
        caught: AsyncLLMError
        try:
            with client.timers.limit(call.timeout_s):
                response = await client.post(call, request.encode())
                body = await read_body(response)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            caught = exchange_failure(error, call, "timeout")
        else:
            headers = call.read_headers(response.headers)
            if response.status == 200:
                return Answer(request.read_answer(body, call.secrets()), headers, model_response)
            caught = refused(response, body, headers, call)
        raise caught

    async def _open_stream(self, call: Call) -> WireStream:
        client = self._client()
        request = call.request
        assert request is not None, "the wire is given requests that it serves"
        caught: AsyncLLMError
        try:
            with client.timers.limit(call.timeout_s):
                response = await client.post(call, request.encode(), streams=True)
                if response.status == 200:
                    return WireStream(response, client.timers, call)
                body = await read_body(response)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            caught = exchange_failure(error, call, "first_token_timeout")
        else:
            caught = refused(response, body, call.read_headers(response.headers), call)
        raise caught

    async def _open_bridged(self, call: Call) -> CrossingStream:
        from ..bridge import CrossingStream

        stream = await self._open_stream(call)
        return CrossingStream(stream.headers, stream.build_response, stream.read_to_end())


def _in_asyncio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
