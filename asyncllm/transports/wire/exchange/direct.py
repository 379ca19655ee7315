"""One request on a connection of aiohttp's pool."""

from __future__ import annotations

import asyncio
import inspect
import re
import ssl
from collections.abc import Iterable, Mapping
from functools import cache

import aiohttp
import yarl
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import RawResponseMessage
from aiohttp.http_exceptions import HttpProcessingError

from ...headers import with_headers
from .chunks import EventBody
from .interface import Body

# The releases whose connections work as this module uses them: [from, before).
KNOWN_RELEASES = ((3, 10), (3, 15))
READ_BUFFER_BYTES = 2**16  # a reader that takes nothing makes the connection pause at twice as much
_JOINED_BYTES = 2**16  # above it, joining head and body would cost more than a second write
_BREAKS = re.compile("[\r\n\0]")
# Headers that change how a body is sent, which the session knows to do.
_OF_THE_SESSION = frozenset(("connection", "content-length", "expect", "te", "trailer", "transfer-encoding", "upgrade"))


@cache
def is_supported() -> bool:
    """Return whether the installed aiohttp is one whose connections work as this module uses them."""
    release = tuple(int(part) for part in aiohttp.__version__.split(".")[:2] if part.isdecimal())
    return KNOWN_RELEASES[0] <= release < KNOWN_RELEASES[1] and _works_as_known(ResponseHandler, Connection)


def is_sendable(headers: Iterable[str]) -> bool:
    """Return whether a request with headers of these names needs nothing of the session."""
    return _OF_THE_SESSION.isdisjoint(name.lower() for name in headers)


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

    @property
    def content_type(self) -> str:
        """The media type without its parameters, lower case."""
        return self.headers.get("Content-Type", "application/octet-stream").partition(";")[0].strip().lower()

    @property
    def content_length(self) -> int | None:
        """The announced size of the body in bytes, before it is unpacked; None when there is none."""
        length = self.headers.get("Content-Length", "")
        return int(length) if length.isdecimal() else None

    async def read(self) -> bytes:
        """Read the whole body."""
        piece = await self.content.readany()
        if self.content.at_eof():  # nearly always: it came with the head
            return piece
        pieces = [piece]
        while piece := await self.content.readany():
            pieces.append(piece)
        return b"".join(pieces)

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
    """The requests of one route: their address, and the bytes that are the same for all of them.

    Args:
        connector: The pool.
        loop: The running loop.
        url: The address that requests are posted to.
        headers: Their headers.
        tls: The certificates to trust; True for the connector's own.
        timeout: The time that opening a connection may take.
        proxy: The proxy to go through.
    """

    __slots__ = ("_address", "_connector", "_head", "_headers", "_target", "_timeout")

    def __init__(
        self,
        connector: aiohttp.BaseConnector,
        loop: asyncio.AbstractEventLoop,
        url: yarl.URL,
        headers: Mapping[str, str],
        tls: ssl.SSLContext | bool,
        timeout: aiohttp.ClientTimeout,
        proxy: str | None,
    ) -> None:
        self._connector = connector
        self._timeout = timeout
        # Never sent: the connector reads from it where to connect, and it knows the headers of every request.
        self._address = aiohttp.ClientRequest(
            "POST", url, loop=loop, headers=headers, ssl=tls, proxy=yarl.URL(proxy) if proxy else None
        )
        is_forwarded = proxy is not None and url.scheme == "http"
        self._target = str(url) if is_forwarded else url.raw_path_qs
        # Of a request that a proxy forwards, the connector adds the proxy's credentials with the first connection.
        self._head = None if is_forwarded else _head(self._target, self._request_headers())

    async def post(self, body: bytes, extra: Mapping[str, str] | None, *, streams: bool) -> DirectResponse:
        """Send a body and return the beginning of the answer.

        Args:
            body: The bytes to send.
            extra: Headers over those of the route.
            streams: Whether an event stream is asked for.

        Raises:
            aiohttp.ClientError: The request could not be sent, or the answer is not HTTP.
            ValueError: A header holds a line break.
        """
        try:
            connection = await self._connector.connect(self._address, [], self._timeout)
        except TimeoutError as error:
            raise aiohttp.ServerTimeoutError(f"Connection timeout to host {self._address.url}") from error
        try:
            return await self._exchange(connection, body, extra, streams=streams)
        except HttpProcessingError as error:
            close(connection)
            raise aiohttp.ClientResponseError(
                self._address.request_info, (), status=error.code, message=error.message, headers=error.headers
            ) from error
        except BaseException:
            close(connection)
            raise

    async def _exchange(
        self, connection: Connection, data: bytes, extra: Mapping[str, str] | None, *, streams: bool
    ) -> DirectResponse:
        head = self._head
        if head is None or extra:
            head = _head(self._target, with_headers(self._request_headers(), extra))
        protocol, transport = connection.protocol, connection.transport
        if protocol is None or transport is None or transport.is_closing():
            raise aiohttp.ServerDisconnectedError
        protocol.set_response_params(read_until_eof=True, read_bufsize=READ_BUFFER_BYTES)
        events = EventBody(protocol, transport) if streams else None
        if len(data) < _JOINED_BYTES:
            transport.write(b"%b%d\r\n\r\n%b" % (head, len(data), data))
        else:
            transport.write(b"%b%d\r\n\r\n" % (head, len(data)))
            transport.write(data)
        message, content = await protocol.read()
        while 100 <= message.code < 200 and message.code != 101:  # the final answer is still to come
            if events is not None:
                events.pass_on()
            message, content = await protocol.read()
        body = content if events is None else events.begin(message, content)
        return DirectResponse(connection, message, content, body)

    def _request_headers(self) -> dict[str, str]:
        return {name: value for name, value in self._address.headers.items() if name != "Content-Length"}


def close(connection: Connection) -> None:
    """Close a connection without waiting for what has not been sent yet."""
    transport = connection.transport
    if transport is not None and transport.get_write_buffer_size():
        transport.abort()
    connection.close()


def _head(target: str, headers: Mapping[str, str]) -> bytes:
    """Return the request line and the headers, up to the number of bytes of the body."""
    lines = [f"POST {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if any(_BREAKS.search(line) for line in lines):
        raise ValueError("a header holds a line break or a null, which could smuggle in another request")
    return "\r\n".join([*lines, "Content-Length: "]).encode()
