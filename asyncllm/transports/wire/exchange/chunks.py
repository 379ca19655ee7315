"""Event streams, unframed as their chunks arrive."""

from __future__ import annotations

import asyncio
import re

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import RawResponseMessage

from .interface import Body

# Held for a slow reader before the connection is no longer read; one more read of the socket may come on top.
HELD_BYTES = 2 * 2**16
_LINE_END = b"\r\n"
_HEAD_END = b"\r\n\r\n"
_LAST_CHUNK = b"0\r\n\r\n"
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked\r\n", re.IGNORECASE)
# The size of a chunk that has no extension (RFC 9112, section 7.1); more digits would be more than any stream has.
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})\r\n")
_LONGEST_SIZE = 9  # bytes of one that still lacks its line feed


class EventBody(asyncio.Protocol):
    """The body of an event stream, between the connection and aiohttp's parser while it arrives.

    aiohttp's parser is given the head. Of a chunked body without compression it is then given only what ends the data:
    the last chunk, or whatever is not a plain chunk, with all that follows. So the parser decides on every end and
    error, and the data skip its stream, which takes more CPU for each chunk than decoding it. Any other body goes to
    the parser whole.
    """

    def __init__(self, protocol: ResponseHandler, transport: asyncio.Transport) -> None:
        self._protocol = protocol
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._content: aiohttp.StreamReader | None = None  # aiohttp's; None until the head has been read
        self._held = b""  # what came after the head before it was read, and then the start of a chunk's size
        self._has_head = False
        self._passed = False  # everything goes to aiohttp's parser
        self._left = 0  # bytes of the chunk that are still to come, with the line end after it
        self._pieces: list[bytes] = []
        self._size = 0
        self._is_paused = False
        self._waiter: asyncio.Future[None] | None = None
        transport.set_protocol(self)

    def begin(self, message: RawResponseMessage, content: aiohttp.StreamReader) -> Body:
        """Go on behind the head of the answer, and return what the body is read from."""
        kind = message.headers.get("Content-Type", "").partition(";")[0].rstrip().lower()
        is_plain = message.code == 200 and message.chunked and not message.compression and kind == "text/event-stream"
        if self._passed or not is_plain:
            self.pass_on()
            return content
        self._content = content
        self._unframe(b"")
        return self

    def pass_on(self, data: bytes = b"") -> None:
        """Give the connection back to aiohttp's parser, with what came last."""
        if self._passed:
            return
        data, self._held = self._held + data, b""
        self.detach()
        if data:
            self._protocol.data_received(data)
            error = self._protocol.exception()
            if error is not None and self._content is not None and not self._content.is_eof():
                # aiohttp's parser tells the connection alone of a chunk that is none, and its reader would wait.
                self._content.set_exception(aiohttp.ClientPayloadError(str(error)), error)

    def detach(self) -> None:
        """Give the connection back to aiohttp's parser; what has come of a chunk's size is lost."""
        if not self._passed:
            self._passed = True
            self._transport.set_protocol(self._protocol)
            self._resume()
        self._wake()

    async def readany(self) -> bytes:
        """Return what has come, at least one byte; nothing at the end."""
        while not self._pieces:
            if self._passed:
                assert self._content is not None
                return await self._content.readany()
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        pieces = self._pieces
        piece = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._size = 0
        self._resume()
        return piece

    def at_eof(self) -> bool:
        """Return whether the body has come to its end and been read."""
        return not self._pieces and self._passed and self._content is not None and self._content.at_eof()

    def data_received(self, data: bytes) -> None:
        """Take what the connection brings; called by the loop."""
        if self._content is not None:
            self._unframe(data)
        elif self._has_head:
            self._held += data  # until the task that waits for the head has its turn
        elif (end := data.find(_HEAD_END)) < 0 or not _CHUNKED.search(data, 0, end + len(_LINE_END)):
            self.pass_on(data)  # heads come in one packet; one that does not is the parser's with its body
        else:
            end += len(_HEAD_END)
            self._has_head = True
            self._held = data[end:]
            self._protocol.data_received(data[:end])

    def eof_received(self) -> None:
        """Take the end of what the server sends; called by the loop."""
        self._protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the end of the connection; called by the loop."""
        self.pass_on()  # what is still held comes before the end
        self._protocol.connection_lost(exc)
        self._wake()

    def pause_writing(self) -> None:
        """Take note of a full send buffer; called by the loop."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Take note of room in the send buffer; called by the loop."""
        self._protocol.resume_writing()

    def _unframe(self, data: bytes) -> None:
        if self._held:
            data, self._held = self._held + data, b""
        at = 0 if self._left else self._take_whole(data)
        while at < len(data) and not self._passed:
            if self._left:
                at = self._go_on(data, at)
                continue
            found = _SIZE.match(data, at)
            size = int(found[1], 16) if found else 0
            if found is None or not size:
                self._end(data[at:])
                break
            start, stop = found.end(), found.end() + size
            if data[stop : stop + 2] == _LINE_END:  # nearly always: a chunk in one packet
                self._add(data[start:stop])
                at = stop + 2
            else:
                self._left, at = size + 2, start
        if self._pieces:
            if self._size > HELD_BYTES and not self._is_paused and not self._passed:
                self._is_paused = True
                self._transport.pause_reading()
            self._wake()

    def _take_whole(self, data: bytes) -> int:
        """Take chunks that came whole, as nearly all do, and return where the rest begins.

        Data that hold line ends of HTTP themselves, and sizes that are written in another way, are left to be looked at
        one by one: what stands between two line ends has the size that stands before it, or nothing is taken.
        """
        end = len(data) - len(_LAST_CHUNK) if data.endswith(_LAST_CHUNK) else len(data)
        sizes = data[:end].split(_LINE_END)
        pieces = sizes[1::2]
        del sizes[1::2]
        if sizes.pop() or sizes != [b"%x" % len(piece) for piece in pieces] or b"0" in sizes:
            return 0
        self._pieces += pieces
        self._size += sum(map(len, pieces))
        return end

    def _go_on(self, data: bytes, at: int) -> int:
        """Take more of a chunk, or the line end after it, and return where the rest begins."""
        if self._left > len(_LINE_END):
            stop = min(at + self._left - len(_LINE_END), len(data))
            self._add(data[at:stop])
            self._left -= stop - at
            return stop
        line_end = data[at : at + len(_LINE_END)]
        if line_end == _LINE_END:
            self._left = 0
        elif line_end == _LINE_END[:1]:
            self._held = line_end
        else:
            # An empty size in front: the parser refuses it as it would have refused what is no line end.
            self.pass_on(_LINE_END + data[at:])
        return at + len(_LINE_END)

    def _end(self, rest: bytes) -> None:
        """Keep the start of a size, or give the last chunk and all that is no plain one to the parser."""
        if len(rest) <= _LONGEST_SIZE and b"\n" not in rest:
            self._held = rest
        else:
            self.pass_on(rest)

    def _add(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)

    def _resume(self) -> None:
        if self._is_paused:
            self._is_paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
