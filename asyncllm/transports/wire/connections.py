"""The wire's connections in one loop: their pool, their proxies, and the requests that are sent on them."""

from __future__ import annotations

import asyncio
import io
import os
import ssl
import urllib.request
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, cast

import aiohttp
import yarl

from asyncllm.errors import AsyncLLMError, ConfigError
from asyncllm.threads import run_in_own_thread

from ..base import Call, Connection
from ..errors import connection_failure, cut_failure, redact, timeout_failure, unreadable_failure
from ..headers import with_headers
from .exchange import LOST, READ_BUFFER_BYTES, DirectExchange, Response, is_supported
from .formats.format import FormatRequest
from .timeouts import Timers
from .tls import bound_receive_buffer, tls_context

_DNS_CACHE_S = 300  # as long as the load balancers of the large providers keep their addresses
_HEADERS = {"Content-Type": "application/json", "User-Agent": "asyncllm"}
# Above it aiohttp warns of a body given as bytes, and writes one given as a file piece by piece.
_LARGE_BODY_BYTES = 1024 * 1024

_on_kept_connection: ContextVar[bool] = ContextVar("_on_kept_connection", default=False)


class Connections:
    """The session of one loop.

    Args:
        loop: The running loop.
        given: A session to use instead of one of its own, with its certificates; its owner closes it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, given: aiohttp.ClientSession | None) -> None:
        self.timers = Timers(loop)
        self._loop = loop
        self._own = given is None
        self._session = _own_session() if given is None else given
        self._targets: dict[tuple[str, Connection], _Target] = {}
        self._tls: ssl.SSLContext | None = None
        self._reading_tls = asyncio.Lock()
        self._closing: asyncio.Task[None] | None = None

    def post(self, call: Call, body: bytes, *, streams: bool = False) -> Awaitable[Response]:
        """Post a body to where the request of a call goes, and return the head of the response.

        A request on a kept connection that the server closed before any answer is sent again, once. On a new connection
        that is the provider's failure.

        Args:
            call: The call.
            body: The bytes to send.
            streams: Whether an event stream is asked for.
        """
        request = call.request
        assert request is not None, "the wire is given requests that it serves"
        target = self._targets.get((request.url, call.connection))
        if target is not None and (exchange := target.direct(request.headers, body)) is not None:
            return exchange.post(body, target.complete(request.headers), streams=streams)
        return self._post(request, call.connection, body, streams=streams)

    async def request(
        self,
        method: str,
        url: str,
        connection: Connection,
        headers: Mapping[str, str],
        body: Callable[[], bytes | AsyncIterator[bytes] | None],
    ) -> Response:
        """Send a request that is no call of a model, and return the head of the response.

        On a kept connection that was closed before any answer it is sent again, once, unless it may change something.
        """
        tls = await self.trust() if url.startswith("https:") else None
        looks_for_proxy = self._own and not connection.is_embedded
        target = _Target(url, connection.connect_timeout_s, tls, looks_for_proxy=looks_for_proxy)
        _on_kept_connection.set(False)
        for again in (True, False):
            try:
                response: Any = await self._session.request(
                    method,
                    target.url,
                    data=body(),
                    headers={"User-Agent": _HEADERS["User-Agent"], **headers},
                    timeout=target.timeout,
                    proxy=target.proxy,
                    ssl=target.tls,
                    allow_redirects=False,
                )
                return cast("Response", response)
            except LOST:
                if not (again and method == "GET" and _on_kept_connection.get()):
                    raise
        raise AssertionError("the second request is answered or raises")

    async def trust(self) -> ssl.SSLContext | None:
        """Read the trusted certificates, once; None where a session was given, which has its own."""
        # A batch begins with many calls at once; reading the certificates for each of them would take seconds.
        async with self._reading_tls:
            if self._tls is None and self._own:
                self._tls = await run_in_own_thread(tls_context)
        return self._tls

    def is_closed(self) -> bool:
        """Return whether the loop is closed, and all connections with it."""
        return self._loop.is_closed()

    async def aclose(self) -> None:
        """Close the connections."""
        self.timers.close()
        if self._own:
            await self._session.close()

    def drop(self) -> None:
        """Close the connections without waiting, from any thread."""
        with suppress(RuntimeError):  # the loop is closed, and the connections with it
            self._loop.call_soon_threadsafe(self._drop_here)

    def _drop_here(self) -> None:
        self._closing = self._loop.create_task(self.aclose())  # kept, so that it is not collected before its end

    async def _post(self, request: FormatRequest, connection: Connection, body: bytes, *, streams: bool) -> Response:
        target = self._targets.get((request.url, connection)) or await self._prepare(request.url, connection)
        headers = target.complete(request.headers)
        if (exchange := target.direct(request.headers, body)) is not None:
            return await exchange.post(body, headers, streams=streams)
        _on_kept_connection.set(False)
        try:
            return await self._by_session(target, headers, body)
        except LOST:
            if not _on_kept_connection.get():
                raise
        return await self._by_session(target, headers, body)

    async def _prepare(self, url: str, connection: Connection) -> _Target:
        # Plain HTTP needs no certificates, which take longer to read than a local server to answer.
        tls = await self.trust() if url.startswith("https:") else None
        key = (url, connection)
        if key not in self._targets:  # another call may have been here meanwhile
            looks_for_proxy = self._own and not connection.is_embedded
            target = _Target(url, connection.connect_timeout_s, tls, looks_for_proxy=looks_for_proxy)
            pool = self._session.connector
            if isinstance(pool, _Connector) and is_supported() and target.url.raw_user is None:
                target.exchange = DirectExchange(pool, target.url, target.tls, target.timeout, target.proxy)
            self._targets[key] = target
        return self._targets[key]

    def _by_session(self, target: _Target, headers: Mapping[str, str], body: bytes) -> Awaitable[Response]:
        return self._session.post(  # pyright: ignore[reportReturnType]  # aiohttp's own kind of property
            target.url,
            data=body if len(body) < _LARGE_BODY_BYTES else io.BytesIO(body),
            headers=headers,
            timeout=target.timeout,
            proxy=target.proxy,
            ssl=target.tls,
            allow_redirects=False,  # aiohttp would take `api-key` along to another host
        )


class _Target:
    """The parts that all requests to one address have in common."""

    __slots__ = ("_completed", "_of", "exchange", "proxy", "timeout", "tls", "url")

    def __init__(
        self, url: str, connect_timeout_s: float, tls: ssl.SSLContext | None, *, looks_for_proxy: bool
    ) -> None:
        self.url = yarl.URL(url)
        self.timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_s)
        self.proxy = proxy_for(self.url) if looks_for_proxy else None
        self.tls = tls or True  # with True, the session's own; certificates are always checked
        self.exchange: DirectExchange | None = None  # without one, the session sends the requests
        self._of: Mapping[str, str] | None = None
        self._completed: Mapping[str, str] = {}

    def complete(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Return a request's headers with those of every request; what was made of the last ones is kept."""
        if headers is not self._of:
            self._completed, self._of = with_headers(_HEADERS, headers), headers
        return self._completed

    def direct(self, headers: Mapping[str, str], body: bytes) -> DirectExchange | None:
        """Return the exchange that sends a request without the session; None where the session has to."""
        exchange = self.exchange
        if exchange is None or len(body) >= _LARGE_BODY_BYTES or not exchange.is_able(self.complete(headers)):
            return None
        return exchange


class _Connector(aiohttp.TCPConnector):
    """A pool that notes whether a request is sent on a kept connection."""

    def __init__(self) -> None:
        super().__init__(limit=0, ttl_dns_cache=_DNS_CACHE_S)  # pyright: ignore[reportUnknownMemberType]
        self._used: weakref.WeakSet[Any] = weakref.WeakSet()
        self._pid = os.getpid()

    def __del__(self, *arguments: Any) -> None:
        # A forked child shares its parent's epoll instance: closing the connections there would remove them from the
        # parent's loop.
        if self._pid == os.getpid():
            super().__del__(*arguments)

    async def take(
        self, request: aiohttp.ClientRequest, timeout: aiohttp.ClientTimeout
    ) -> tuple[aiohttp.connector.Connection, bool]:
        """Return a connection for a request, and whether it had been kept."""
        connection = await super().connect(request, [], timeout)
        while (protocol := connection.protocol) is not None and protocol.should_close:
            # What came while it was kept answers no request, and would be taken for the answer to this one.
            connection.close()
            connection = await super().connect(request, [], timeout)
        kept = protocol in self._used
        if not kept:
            self._used.add(protocol)
            bound_receive_buffer(connection.transport)
        return connection, kept

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Any] | Sequence[Any], timeout: aiohttp.ClientTimeout
    ) -> Any:
        connection, kept = await self.take(req, timeout)  # its own session traces nothing
        # The session asks in the task of the request, so that the request can read it.
        _on_kept_connection.set(kept)
        return connection


def proxy_for(url: yarl.URL) -> str | None:
    """Return the proxy that the environment names for an address.

    aiohttp's own look-up costs 0.2 ms for every request; this one is made once for an address.

    Raises:
        ConfigError: It is a proxy of a kind that aiohttp does not speak.
    """
    if urllib.request.proxy_bypass(url.host or "") or urllib.request.proxy_bypass(f"{url.host}:{url.port}"):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if proxy and yarl.URL(proxy).scheme not in ("http", "https"):
        raise ConfigError(
            f"The environment names a {yarl.URL(proxy).scheme} proxy for {url.host}, which the wire transport does not "
            "speak.",
            hint='Name an HTTP proxy, put the host into NO_PROXY, or set transport = "litellm".',
        )
    return proxy


def exchange_failure(error: BaseException, call: Call, timeout: str) -> AsyncLLMError:
    """Make the error of an exchange that aiohttp or a timeout ended.

    Args:
        error: What was raised.
        call: The call.
        timeout: The name of the timeout that bounds it.
    """
    error.__traceback__ = None  # aiohttp keeps the error, and its traceback the frames that hold the one made here
    if isinstance(error, aiohttp.ServerTimeoutError):
        return timeout_failure("connect_timeout", call.connection.connect_timeout_s, "no connection was opened")
    if isinstance(error, TimeoutError):
        return timeout_failure(timeout, call.timeout_s, "no whole answer had arrived")
    if isinstance(error, aiohttp.ClientPayloadError):
        return cut_failure(error, call.secrets())
    if isinstance(error, aiohttp.ClientResponseError):
        # aiohttp's own, of a head that is not HTTP or that has no end.
        return unreadable_failure(redact(error.message, call.secrets()))
    return connection_failure(error, call.secrets())


def _own_session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=_Connector(),
        timeout=aiohttp.ClientTimeout(total=None),
        cookie_jar=aiohttp.DummyCookieJar(),
        raise_for_status=False,
        read_bufsize=READ_BUFFER_BYTES,
    )
