"""What a server may send, read the same by both exchanges: framings, encodings, interim answers, cuts and left-overs."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from asyncllm import MalformedResponseError, ProviderConnectionError, ProviderError, StreamInterruptedError
from asyncllm.transports.wire.exchange import direct
from tests.transports.wire.clients import client

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("exchange")]

ANSWER = b'{"choices": [{"message": {"role": "assistant", "content": "here"}, "finish_reason": "stop"}]}'
EVENTS = [
    b'data: {"choices": [{"index": 0, "delta": {"content": "he"}}]}\n\n',
    b'data: {"choices": [{"index": 0, "delta": {"content": "re"}, "finish_reason": "stop"}]}\n\n',
    b"data: [DONE]\n\n",
]
JSON, SSE = b"application/json", b"text/event-stream; charset=utf-8"
Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio alone, where the servers of these tests live."""
    return "asyncio"


@asynccontextmanager
async def serve(handle: Handle) -> AsyncIterator[tuple[str, list[int]]]:
    """Serve raw connections, and list the number of each."""
    opened: list[int] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(len(opened) + 1)
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                await handle(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", opened
    finally:
        server.close()


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return head + await reader.readexactly(int(length.split(b":")[1]))


def answering(*pieces: bytes, closes: bool = False) -> Handle:
    """Answer every request with pieces, each in a packet of its own."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            if closes:
                return

    return handle


def head(kind: bytes, *lines: bytes, status: bytes = b"200 OK", version: bytes = b"HTTP/1.1") -> bytes:
    return b"\r\n".join([version + b" " + status, b"Content-Type: " + kind, *lines, b"", b""])


def sized(kind: bytes, body: bytes, *lines: bytes, status: bytes = b"200 OK") -> bytes:
    return head(kind, b"Content-Length: %d" % len(body), *lines, status=status) + body


def chunk(data: bytes, extension: bytes = b"", form: bytes = b"%x") -> bytes:
    return form % len(data) + extension + b"\r\n" + data + b"\r\n"


CHUNKED = b"Transfer-Encoding: chunked"
LAST = b"0\r\n\r\n"
WHOLE = b"".join(EVENTS)

FRAMINGS = {
    "by length": [sized(SSE, WHOLE)],
    "a chunk for each event": [head(SSE, CHUNKED), *map(chunk, EVENTS), LAST],
    "all at once": [head(SSE, CHUNKED) + b"".join(map(chunk, EVENTS)) + LAST],
    "the head with the first chunk": [head(SSE, CHUNKED) + chunk(EVENTS[0]), chunk(EVENTS[1]), chunk(EVENTS[2]) + LAST],
    "chunks that end within events": [head(SSE, CHUNKED), chunk(WHOLE[:30]) + chunk(WHOLE[30:100]), chunk(WHOLE[100:]) + LAST],
    "sizes in capitals and with zeros": [head(SSE, CHUNKED), chunk(WHOLE, form=b"%06X"), LAST],
    "extensions": [head(SSE, CHUNKED), chunk(EVENTS[0]), chunk(EVENTS[1], b";a=b"), chunk(EVENTS[2]), LAST],
    "trailers": [head(SSE, CHUNKED), *map(chunk, EVENTS), b"0\r\nX-Sum: 1\r\n\r\n"],
    "a head in two packets": [head(SSE, CHUNKED)[:25], head(SSE, CHUNKED)[25:], *map(chunk, EVENTS), LAST],
    "until the connection ends": [head(SSE), WHOLE],
    "HTTP/1.0": [head(SSE, version=b"HTTP/1.0"), WHOLE],
    "compressed": [head(SSE, CHUNKED, b"Content-Encoding: gzip"), chunk(gzip.compress(WHOLE)) + LAST],
    "after other answers": [b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", sized(SSE, WHOLE)],
    "chunked after another answer": [b"HTTP/1.1 100 Continue\r\n\r\n" + head(SSE, CHUNKED), *map(chunk, EVENTS), LAST],
}  # fmt: skip
UNTIL_CLOSED = ("until the connection ends", "HTTP/1.0")


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_a_stream_is_read_in_every_framing(framing: str) -> None:
    """The same events come out, and the connection serves the next stream unless the answer ended with it."""
    closes = framing in UNTIL_CLOSED
    async with serve(answering(*FRAMINGS[framing], closes=closes)) as (url, opened), client(url) as llm:
        for _ in range(2):
            assert (await llm.stream("hi").collect()).text == "here"
    assert opened == ([1, 2] if closes else [1])


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 11, 40, 250])
async def test_a_stream_is_read_whatever_the_packets(size: int) -> None:
    """Packets end within the head, within sizes, within line ends, and after several chunks."""
    sent = head(SSE, CHUNKED) + b"".join(map(chunk, EVENTS)) + LAST
    packets = [sent[at : at + size] for at in range(0, len(sent), size)]
    later = [head(SSE, CHUNKED), *packets_of(sent.removeprefix(head(SSE, CHUNKED)), size)]
    async with serve(answering(*packets, *later)) as (url, opened), client(url) as llm:
        assert (await llm.stream("hi").collect()).text == "here"
    assert opened == [1]


def packets_of(sent: bytes, size: int) -> list[bytes]:
    return [sent[at : at + size] for at in range(0, len(sent), size)]
