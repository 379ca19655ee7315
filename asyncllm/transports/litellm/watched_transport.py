"""The HTTP transport under the clients that are handed to litellm: litellm's own, watched and bounded.

litellm reads a body of any size into memory, follows redirects with the key in a header, and raises the same class for
an answer that it cannot read as for its own bugs. Its calls for the rest of the program do not use this transport.
"""

# litellm has no stubs.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator
from contextlib import aclosing

import aiohttp
import httpx
from litellm.llms.custom_httpx.aiohttp_transport import LiteLLMAiohttpTransport
from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler, get_ssl_configuration

from .. import size_limits
from ..errors import unreadable_failure
from .exchange import Exchange, current_exchange
from .openai_bodies import BodyReader, asks_stream, is_openai


class WatchedTransport(httpx.AsyncBaseTransport):
    """Sends requests by litellm's transport, and notes each in the `Exchange` of its context.

    It is a connection pool of one loop. litellm closes clients when it sees fit: that leaves it open.
    """

    def __init__(self) -> None:
        self._sender = _litellm_transport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return its response, whose body is bounded, and whose redirect leads nowhere."""
        exchange = current_exchange()
        try:
            response = await self._sender.handle_async_request(request)
        except httpx.RequestError as error:
            # aiohttp's own, of a head that is no HTTP or has no end; it holds the request, with the key in it.
            if not isinstance(error.__cause__, aiohttp.ClientResponseError):
                raise
            failure = exchange.failure = unreadable_failure(error.__cause__.message)
        else:
            return _watched(request, response, exchange)
        raise failure

    async def close(self) -> None:
        """Close the connections."""
        await self._sender.aclose()


class _BoundedResponse(httpx.Response):
    exchange: Exchange
    reader: BodyReader | None = None

    async def aiter_bytes(self, chunk_size: int | None = None) -> AsyncGenerator[bytes, None]:
        exchange, reader = self.exchange, self.reader
        source: AsyncGenerator[bytes, None] = super().aiter_bytes(chunk_size)  # type: ignore[assignment]  # it is one
        async with aclosing(source) as pieces:
            async for piece in pieces:
                exchange.receive(piece)
                over = exchange.received_bytes - size_limits.MAX_LITELLM_ERROR_BYTES
                if exchange.is_cut and over >= 0:
                    yield piece[: len(piece) - over]
                    break
                if reader is None:
                    yield piece
                elif piece:
                    for rewritten in reader.feed(piece):
                        yield rewritten
        if reader is not None:
            for rewritten in reader.feed(b""):
                yield rewritten
        await self.aclose()


def _watched(request: httpx.Request, response: httpx.Response, exchange: Exchange) -> _BoundedResponse:
    exchange.begin(response.status_code, response.headers.get("content-type", ""))
    if response.has_redirect_location:
        # Without an address there is nothing to follow, and the status is an error like any other.
        exchange.location = response.headers.pop("location")
    bounded = _BoundedResponse(
        response.status_code, headers=response.headers, stream=response.stream, extensions=response.extensions
    )
    bounded.exchange = exchange
    if response.status_code == 200 and not exchange.is_cut and is_openai(request):
        bounded.reader = BodyReader(exchange, stream=asks_stream(request))
    return bounded


def _litellm_transport() -> httpx.AsyncBaseTransport:
    """Make the transport that litellm makes for itself, with its settings of certificates, proxies and pools."""
    tls = get_ssl_configuration()
    # Its name without the underscore is newer than the oldest litellm that is supported.
    made = AsyncHTTPHandler._create_async_transport(  # pyright: ignore[reportPrivateUsage]
        ssl_context=tls if isinstance(tls, ssl.SSLContext) else None, ssl_verify=tls if isinstance(tls, bool) else None
    )
    return made if isinstance(made, LiteLLMAiohttpTransport) else _ClientTransport()


class _ClientTransport(httpx.AsyncBaseTransport):
    """A client of litellm's as a transport: without aiohttp, proxies and certificates are the client's business."""

    def __init__(self) -> None:
        self._handler = AsyncHTTPHandler()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._handler.client.send(request, stream=True, follow_redirects=False)

    async def aclose(self) -> None:
        await self._handler.close()  # type: ignore[no-untyped-call]
