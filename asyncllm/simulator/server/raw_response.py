"""An HTTP response written byte by byte, so that every way of answering wrongly is possible too."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from time import time
from typing import TYPE_CHECKING, Literal

from .latency import Pace
from .request_log import LoggedRequest
from .request_recorder import RequestRecorder

if TYPE_CHECKING:
    from aiohttp.web import BaseRequest

# Zero seconds of lingering turn the close of a socket into a reset.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
# The query of a request that was redirected already, and is answered.
REDIRECTED = "redirected"
# The events of one write, where no pace is set: as many as a busy network would deliver in one read.
_EVENTS_PER_WRITE = 32
# What a socket takes without waiting for the reader: asyncio's own high-water mark.
_AT_ONCE_BYTES = 65_536


@dataclass(slots=True)
class Reply:
    """An answer ready to be sent: a body, or the events of a stream and what ends it.

    Attributes:
        tokens: The tokens of the answer, for its pace.
        event_tokens: The tokens in one event, for its pace.
        events_per_write: Events in one write where there is no pace to keep.
    """

    status: int = 200
    content_type: bytes = b"application/json"
    body: bytes = b""
    events: Iterable[bytes] | None = None
    done: bytes = b""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    tokens: int = 0
    event_tokens: int = 1
    events_per_write: int = _EVENTS_PER_WRITE


class RawResponse:
    """Writes the answer to one request, and counts its bytes.

    Attributes:
        keep_alive: Whether the connection stays open afterwards.
        fresh: Whether this is the first request on its connection.
        request_id_header: The header that carries the id of the request.
    """

    def __init__(self, request: BaseRequest, logged: LoggedRequest, recorder: RequestRecorder) -> None:
        self._request = request
        self._writer = request.writer
        self._logged = logged
        self._recorder = recorder
        self._chunked = False
        self.keep_alive = request.keep_alive
        self.fresh = True
        self.request_id_header = b"x-request-id"

    @property
    def redirected(self) -> bool:
        """Whether the client comes from a redirect."""
        return REDIRECTED in self._request.query

    async def send(self, reply: Reply, pace: Pace | None = None) -> None:
        """Send a whole answer at its pace."""
        if reply.events is None:
            if pace is not None:
                await asyncio.sleep(pace.whole_s(reply.tokens))
            await self._write(self.head(reply, len(reply.body)) + reply.body, last=True)
            return
        await self.begin(reply)
        await self.send_events(reply, pace)
        await self.end(reply.done)

    async def begin(self, reply: Reply, *, framed: bool = True) -> None:
        """Send the head alone; without `framed`, the body ends with the connection."""
        if reply.events is None and framed:
            await self._write(self.head(reply, len(reply.body)))
            return
        self._chunked = framed and self._request.version >= (1, 1)
        await self._write(self.head(reply, None))

    async def send_events(self, reply: Reply, pace: Pace | None = None, limit: int | None = None) -> None:
        """Send the events of a stream, `limit` of them at most; of a body, its first half."""
        if reply.events is None:
            await self.send_piece(reply.body[: max(1, len(reply.body) // 2)])
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + pace.first_s if pace else 0.0
        batch: list[bytes] = []
        for number, event in enumerate(reply.events):
            if limit is not None and number >= limit:
                break
            if pace is not None:
                if (wait := due - loop.time()) > 0:
                    await asyncio.sleep(wait)
                due += pace.per_token_s * reply.event_tokens
                await self.send_piece(event)
                continue
            batch.append(event)
            if len(batch) >= reply.events_per_write:
                await self.send_piece(b"".join(batch))
                batch.clear()
                # A long stream must leave the loop to other answers, and its events must not arrive in one read.
                await asyncio.sleep(0)
        if batch:
            await self.send_piece(b"".join(batch))

    async def send_piece(self, data: bytes) -> None:
        """Send a piece of the body, framed as the head announced."""
        if data:
            await self._write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    async def end(self, last: bytes = b"") -> None:
        """Send the last piece and what ends the body."""
        if self._chunked:
            await self._write((b"%x\r\n%b\r\n" % (len(last), last) if last else b"") + b"0\r\n\r\n", last=True)
        else:
            self.keep_alive = False
            await self._write(last, last=True)

    def head(self, reply: Reply, length: int | None) -> bytes:
        """Build the status line and the headers; without a length the body is chunked or ends with the connection."""
        self._logged.status = reply.status
        lines = [_status_line(reply.status, int(time())), b"Content-Type: ", reply.content_type, b"\r\n"]
        lines.append(b"%b: req_sim%d\r\n" % (self.request_id_header, self._logged.number))
        if length is not None:
            lines.append(b"Content-Length: %d\r\n" % length)
        elif self._chunked:
            lines.append(b"Transfer-Encoding: chunked\r\n")
        else:
            self.keep_alive = False
        if not self.keep_alive:
            lines.append(b"Connection: close\r\n")
        elif self._request.version < (1, 1):
            lines.append(b"Connection: keep-alive\r\n")
        lines += [part for name, value in reply.headers for part in (name, b": ", value, b"\r\n")]
        lines.append(b"\r\n")
        return b"".join(lines)

    async def redirect(self, status: int, to: str) -> None:
        """Redirect the client to the same host, to another name of it, or (`loop`) to the address that it asked."""
        url = self._request.url
        here = url.with_query(None)
        there = here.with_host("127.0.0.1" if url.host == "localhost" else "localhost") if to == "other" else here
        location = here if to == "loop" else there.with_query({REDIRECTED: "1"})
        await self.send(Reply(status=status, headers=[(b"location", str(location).encode())]))

    async def hang(self) -> None:
        """Send nothing more, until the client leaves or the simulator stops."""
        await asyncio.get_running_loop().create_future()

    def break_off(self, how: Literal["reset", "cut"]) -> None:
        """Close the connection: with a reset, which drops what is not sent yet, or cleanly after it."""
        self.keep_alive = False
        transport = self._request.transport
        self._recorder.end(self._logged)
        if transport is None:
            return
        if how == "cut":
            transport.close()
            return
        raw_socket = transport.get_extra_info("socket")
        raw_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()

    async def _write(self, data: bytes, *, last: bool = False) -> None:
        self._recorder.sent(self._logged, len(data))
        # Counted before it is sent, so that a client that has received the end of an answer finds it counted.
        if last and len(data) <= _AT_ONCE_BYTES:
            self._recorder.end(self._logged)
        # The writer raises when the client has left, and waits while it does not read.
        await self._writer.write(data)
        await self._writer.drain()


@lru_cache(maxsize=64)
def _status_line(status: int, now: int) -> bytes:
    """Return the first lines, with the date, which is the same for a second."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Overloaded" if status == 529 else "Unknown"
    return (
        f"HTTP/1.1 {status} {phrase}\r\nDate: {formatdate(now, usegmt=True)}\r\nServer: asyncllm-simulator\r\n".encode()
    )
