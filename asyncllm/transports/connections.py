"""The wire's connections in one loop: their pool, proxies and certificates, and the request that goes out on one."""

from __future__ import annotations

import asyncio
import io
import os
import ssl
import urllib.request
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

import aiohttp
import yarl

from asyncllm.errors import ConfigError

from .base import Call
from .eligibility import Route, with_headers
from .timers import Timers

_DNS_CACHE_S = 300  # as long as the load balancers of the large providers keep their addresses
_USER_AGENT = "asyncllm"
# Above it aiohttp warns of a body given as bytes, and writes one given as a file piece by piece.
_LARGE_BODY_BYTES = 1024 * 1024
# Variables that name trusted certificates, as curl, requests and OpenSSL know them; the first that is set counts.
_CERTIFICATES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")

_on_kept_connection: ContextVar[bool] = ContextVar("_on_kept_connection", default=False)


class Connections:
    """The session of one loop.

    Args:
        loop: The running loop.
        given: A session to use instead of one of its own; it stays its owner's to close.
        tls: What is trusted; None for a given session, which brings its own.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, given: aiohttp.ClientSession | None, tls: ssl.SSLContext | None
    ) -> None:
        self.timers = Timers(loop)
        self._loop = loop
        self._own = given is None
        self._session = _own_session(tls) if given is None else given
        self._requests: dict[Route, _Request] = {}
        self._closing: asyncio.Task[None] | None = None

    async def post(self, call: Call, body: bytes) -> aiohttp.ClientResponse:
        """Post a body to where a call goes and return the answer's beginning.

        A kept connection that the server closed just as the request went out is nobody's failure: nothing was answered,
        and the request is sent again, once. On a fresh connection it is the provider's.
        """
        route = call.route
        assert route is not None, "the wire is given requests that it serves"
        request = self._requests.get(route)
        if request is None:
            request = self._requests[route] = _Request(route, call.connection.connect_timeout_s, self._own)
        headers = with_headers(request.headers, call.params.get("extra_headers"))
        _on_kept_connection.set(False)
        try:
            return await self._send(request, headers, body)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionResetError):
            if not _on_kept_connection.get():
                raise
        return await self._send(request, headers, body)

    def is_closed(self) -> bool:
        """Tell whether the loop is closed, and all connections with it."""
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

    async def _send(self, request: _Request, headers: Mapping[str, str], body: bytes) -> aiohttp.ClientResponse:
        return await self._session.post(
            request.url,
            data=body if len(body) < _LARGE_BODY_BYTES else io.BytesIO(body),
            headers=headers,
            timeout=request.timeout,
            proxy=request.proxy,
            allow_redirects=False,  # aiohttp would take `api-key` along to another host
        )


class _Request:
    """What is the same for every request of a route."""

    __slots__ = ("headers", "proxy", "timeout", "url")

    def __init__(self, route: Route, connect_timeout_s: float, looks_for_proxy: bool) -> None:
        self.url = yarl.URL(route.url)
        self.headers = with_headers({"Content-Type": "application/json", "User-Agent": _USER_AGENT}, route.headers)
        self.timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_s)
        self.proxy = proxy_for(self.url) if looks_for_proxy else None


class _Connector(aiohttp.TCPConnector):
    """A pool that tells whether a request went out on a connection that had been kept."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        super().__init__(limit=0, ssl=tls or True, ttl_dns_cache=_DNS_CACHE_S)
        self._used: weakref.WeakSet[Any] = weakref.WeakSet()

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Any] | Sequence[Any], timeout: aiohttp.ClientTimeout
    ) -> Any:
        connection = await super().connect(req, traces, timeout)  # type: ignore[arg-type]  # its type varies by version
        # The session asks in the task of the request, so that the request can read it.
        _on_kept_connection.set(connection.protocol in self._used)
        self._used.add(connection.protocol)
        return connection


def proxy_for(url: yarl.URL) -> str | None:
    """Return the proxy that the environment names for an address.

    aiohttp's own look-up costs every request 0.2 ms; this one is made once for an address.

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


def tls_context() -> ssl.SSLContext:
    """Trust the certificates that the environment names, else the system's, else those that come with certifi.

    Raises:
        ConfigError: What the environment names cannot be read.
    """
    variable = next((name for name in _CERTIFICATES if os.environ.get(name)), None)
    named = os.environ[variable] if variable else None
    is_directory = named is not None and os.path.isdir(named)
    try:
        context = ssl.create_default_context(
            cafile=None if is_directory else named, capath=named if is_directory else None
        )
    except OSError as error:
        raise ConfigError(
            f"{variable} names {named}, from which no certificates can be read: {error}.",
            hint=f"Correct {variable}, or unset it.",
        ) from None
    if named is None and not context.cert_store_stats()["x509_ca"]:
        try:
            import certifi
        except ImportError:
            return context  # nothing is trusted then, and every certificate refused
        context.load_verify_locations(certifi.where())
    return context


def _own_session(tls: ssl.SSLContext | None) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=_Connector(tls),
        timeout=aiohttp.ClientTimeout(total=None),
        cookie_jar=aiohttp.DummyCookieJar(),
        raise_for_status=False,
    )
