"""One request on a connection of aiohttp's pool."""

from __future__ import annotations

import asyncio
import inspect
import re
import ssl
from collections.abc import Mapping
from functools import cache, cached_property

import aiohttp
import yarl
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import Connection
from aiohttp.http import RawResponseMessage
from aiohttp.http_exceptions import HttpProcessingError

from ...headers import with_headers
from .chunks import EventBody
from .interface import Body, Pool

# The releases whose connections work as this module uses them: [from, before).
KNOWN_RELEASES = ((3, 10), (3, 15))
READ_BUFFER_BYTES = 2**16  # a reader that takes nothing makes the connection pause at twice as much
_JOINED_BYTES = 2**16  # above it, joining head and body would cost more than a second write
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f]")  # all but the tab
# What a kept connection raises that the server has closed.
LOST = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionResetError)
# Headers that change how a body is sent, which the session knows to do.
_OF_THE_SESSION = frozenset(("connection", "content-length", "expect", "te", "trailer", "transfer-encoding", "upgrade"))


@cache
def is_supported() -> bool:
    """Return whether the installed aiohttp is one whose connections work as this module uses them."""
    release = tuple(int(part) for part in aiohttp.__version__.split(".")[:2] if part.isdecimal())
    return KNOWN_RELEASES[0] <= release < KNOWN_RELEASES[1] and _works_as_known(ResponseHandler, Connection)


def _works_as_known(handler: type, connection: type) -> bool:
    set_params = getattr(handler, "set_response_params", None)
    return (
        set_params is not None
        and {"read_until_eof", "read_bufsize"} <= inspect.signature(set_params).parameters.keys()
        and all(hasattr(handler, name) for name in ("read", "data_received", "connection_lost", "should_close"))
        and all(hasattr(connection, name) for name in ("protocol", "transport", "release", "close"))
        and {"req", "traces", "timeout"} <= inspect.signature(aiohttp.TCPConnector.connect).parameters.keys()
        and {"loop", "headers", "proxy", "ssl"} <= inspect.signature(aiohttp.ClientRequest).parameters.keys()
    )


class DirectResponse:
    """The beginning of an answer, and its body to be read.

    Attributes:
        status: The HTTP status.
        headers: The headers, case-insensitive.
        content: The body as it arrives.
    """

    __slots__ = ("_connection", "_reader", "content", "headers", "status")

    def __init__(
        self, connection: Connection, message: RawResponseMessage, reader: aiohttp.StreamReader, content: Body
    ) -> None:
        self._connection: Connection | None = connection
        self._reader = reader
        self.status = message.code
        self.headers: Mapping[str, str] = message.headers
        self.content = content
        reader.on_eof(self._release)

    @property
    def closed(self) -> bool:
        """Whether the connection is closed, or back in the pool."""
        return self._connection is None

    def close(self) -> None:
        """Close the connection at once, unless the body has come to its end."""
        connection, self._connection = self._connection, None
        if connection is not None:
            if self._reader.exception() is None:
                self._reader.set_exception(aiohttp.ClientConnectionError("Connection closed"))
            if isinstance(self.content, EventBody):
                self.content.detach()
            close(connection)

    def _release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if connection.transport is not None and connection.transport.get_write_buffer_size():
            close(connection)  # answered before the request was sent: its rest would stand before the next one
        else:
            connection.release()  # which closes it where the answer or a left-over asks for that


class DirectExchange:
    """The requests to one address.

    Args:
        pool: The pool.
        url: The address that requests are posted to.
        tls: The certificates to trust; True for the connector's own.
        timeout: The time that opening a connection may take.
        proxy: The proxy to go through.
    """

    __slots__ = ("_address", "_head", "_is_able", "_of", "_pool", "_target", "_timeout")

    def __init__(
        self,
        pool: Pool,
        url: yarl.URL,
        tls: ssl.SSLContext | bool,
        timeout: aiohttp.ClientTimeout,
        proxy: str | None,
    ) -> None:
        self._pool = pool
        self._timeout = timeout
        # Never sent: the connector reads from it where to connect, and it knows the headers that aiohttp adds.
        self._address = _Address(
            "POST", url, loop=asyncio.get_running_loop(), ssl=tls, proxy=yarl.URL(proxy) if proxy else None
        )
        self._target = str(url) if self._address.proxy and url.scheme == "http" else url.raw_path_qs
        self._of: Mapping[str, str] | None = None
        self._head = b""
        self._is_able = False

    def is_able(self, headers: Mapping[str, str]) -> bool:
        """Return whether a request with these headers needs nothing of the session; found once for an object."""
        if headers is not self._of:
            self._of, self._head = headers, b""
            self._is_able = _OF_THE_SESSION.isdisjoint(name.lower() for name in headers)
        return self._is_able

    async def post(
        self, body: bytes, headers: Mapping[str, str], *, streams: bool, again: bool = False
    ) -> DirectResponse:
        """Send a body and return the beginning of the answer.

        Args:
            body: The bytes to send.
            headers: Those of the request, for which `is_able` was true.
            streams: Whether an event stream is asked for.
            again: Whether it is sent for the second time, after a kept connection that the server had closed.

        Raises:
            aiohttp.ClientError: The request could not be sent, or the answer is not HTTP.
            ValueError: A header holds a control character.
        """
        try:
            connection, kept = await self._pool.take(self._address, self._timeout)
        except TimeoutError as error:
            raise aiohttp.ServerTimeoutError(f"Connection timeout to host {self._address.url}") from error
        try:
            if not kept and self._address.is_ssl():
                # Once what ended the handshake has been read, OpenSSL's buffers are free: 10 KiB less for as long as
                # the connection is open than with a request that is written before.
                await asyncio.sleep(0)
            events = self._send(connection, body, headers, streams=streams)
            protocol = connection.protocol
            assert protocol is not None, "the connection is open"
            message, content = await protocol.read()
            while 100 <= message.code < 200 and message.code != 101:  # the final answer is still to come
                if events is not None:
                    events.pass_on()
                message, content = await protocol.read()
            return DirectResponse(
                connection, message, content, content if events is None else events.begin(message, content)
            )
        except HttpProcessingError as error:
            close(connection)
            raise aiohttp.ClientResponseError(
                self._address.request_info, (), status=error.code, message=error.message, headers=error.headers
            ) from error
        except BaseException as error:
            close(connection)
            if again or not kept or not isinstance(error, LOST):
                raise
        return await self.post(body, headers, streams=streams, again=True)

    def _send(
        self, connection: Connection, body: bytes, headers: Mapping[str, str], *, streams: bool
    ) -> EventBody | None:
        head = self._head_of(headers)
        protocol, transport = connection.protocol, connection.transport
        if protocol is None or transport is None or transport.is_closing():
            raise aiohttp.ServerDisconnectedError
        protocol.set_response_params(read_until_eof=True, read_bufsize=READ_BUFFER_BYTES)
        events = EventBody(protocol, transport) if streams else None
        if len(body) < _JOINED_BYTES:
            transport.write(b"%b%d\r\n\r\n%b" % (head, len(body), body))
        else:
            transport.write(b"%b%d\r\n\r\n" % (head, len(body)))
            transport.write(body)
        return events

    def _head_of(self, headers: Mapping[str, str]) -> bytes:
        """Return the request line and the headers, up to the number of bytes of the body."""
        if headers is self._of and self._head:
            return self._head
        added = {name: value for name, value in self._address.headers.items() if name != "Content-Length"}
        lines = [f"POST {self._target} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in with_headers(added, headers).items()]
        if any(map(_CONTROL.search, lines)):
            raise ValueError("a header holds a control character, by which another request could be smuggled in")
        head = "\r\n".join([*lines, "Content-Length: "]).encode()
        # The connector may add a proxy's credentials with each connection.
        if headers is self._of and self._address.proxy is None:
            self._head = head
        return head


class _Address(aiohttp.ClientRequest):
    """A request whose connections are all the same."""

    @cached_property
    def connection_key(self) -> ConnectionKey:  # pyright: ignore[reportIncompatibleMethodOverride]  # made once
        """What the pool knows its connections by."""
        return super().connection_key


def close(connection: Connection) -> None:
    """Close a connection without waiting for what has not been sent yet."""
    transport = connection.transport
    if transport is not None and transport.get_write_buffer_size():
        transport.abort()
    connection.close()
