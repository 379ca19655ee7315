"""aiohttp's server, with reports of connections, and for responses that are written byte by byte."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.web_protocol import RequestHandler

if TYPE_CHECKING:
    from .provider import Provider

# asyncio's own 256 KiB are a large block, which malloc may take from the system and give back for every request: that
# costs a fifth of the time of an answer.
_RECEIVE_BYTES = 65_536


class HttpServer(web.Server):
    """A server that reports when connections come and go."""

    def __init__(self, provider: Provider) -> None:
        # Limits far above any real header: refusing large requests is not what is simulated here.
        super().__init__(
            provider.handle,
            request_factory=self._request,
            handler_cancellation=True,
            access_log=None,
            max_line_size=65_536,
            max_field_size=65_536,
        )
        self._provider = provider
        self.stopping = False

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        with suppress(AttributeError):  # other loops than asyncio's may not have it
            setattr(transport, "max_size", _RECEIVE_BYTES)  # noqa: B010 (typeshed does not have it)
        self._provider.connected()

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self._provider.disconnected(handler, by_client=not self.stopping)

    def abort(self) -> None:
        """Close every connection at once."""
        self.stopping = True
        for handler in self.connections:
            if handler.transport is not None:
                handler.transport.abort()

    def _request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.BaseRequest:
        # 0 lifts aiohttp's bound of 1 MiB on a body, which images exceed.
        return web.BaseRequest(message, payload, protocol, writer, task, self._loop, client_max_size=0)


class _Written(web.StreamResponse):
    """A response that has been written already, for aiohttp."""

    def __init__(self, *, keep_alive: bool) -> None:
        super().__init__()
        if not keep_alive:
            self.force_close()
        else:
            self._keep_alive = True

    async def prepare(self, request: web.BaseRequest) -> None:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        return None


# What a handler returns after it has written a response, by whether the connection stays open.
WRITTEN: dict[bool, web.StreamResponse] = {keep: _Written(keep_alive=keep) for keep in (False, True)}
