"""Whatever a server sends, read the same by both exchanges: framings, encodings, cuts and left-overs."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from backports import zstd

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
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
WHOLE = b"".join(EVENTS)

FRAMINGS = {
    "by length": [sized(SSE, WHOLE)],
    "a chunk for each event": [head(SSE, CHUNKED), *map(chunk, EVENTS), LAST],
    "all at once": [head(SSE, CHUNKED) + b"".join(map(chunk, EVENTS)) + LAST],
    "the head with the first chunk": [head(SSE, CHUNKED) + chunk(EVENTS[0]), chunk(EVENTS[1] + EVENTS[2]) + LAST],
    "chunks that end within events": [head(SSE, CHUNKED), chunk(WHOLE[:30]) + chunk(WHOLE[30:]) + LAST],
    "sizes in capitals and with zeros": [head(SSE, CHUNKED), chunk(WHOLE, form=b"%06X"), LAST],
    "extensions": [head(SSE, CHUNKED), chunk(EVENTS[0]), chunk(EVENTS[1], b";a=b"), chunk(EVENTS[2]), LAST],
    "trailers": [head(SSE, CHUNKED), *map(chunk, EVENTS), b"0\r\nX-Sum: 1\r\n\r\n"],
    "a head in two packets": [head(SSE, CHUNKED)[:25], head(SSE, CHUNKED)[25:], *map(chunk, EVENTS), LAST],
    "until the connection ends": [head(SSE), WHOLE],
    "HTTP/1.0": [head(SSE, version=b"HTTP/1.0"), WHOLE],
    "compressed": [head(SSE, CHUNKED, b"Content-Encoding: gzip"), chunk(gzip.compress(WHOLE)) + LAST],
    "after other answers": [CONTINUE + b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", sized(SSE, WHOLE)],
    "chunked after another answer": [CONTINUE + head(SSE, CHUNKED), *map(chunk, EVENTS), LAST],
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
@pytest.mark.parametrize("splits_head", [True, False], ids=["head too", "body alone"])
async def test_a_stream_is_read_whatever_the_packets(size: int, splits_head: bool) -> None:
    """Packets end within the head, within sizes and line ends, and after several chunks."""
    begin, body = head(SSE, CHUNKED), b"".join(map(chunk, EVENTS)) + LAST
    sent = begin + body if splits_head else body
    packets = [] if splits_head else [begin]
    packets += [sent[at : at + size] for at in range(0, len(sent), size)]
    async with serve(answering(*packets)) as (url, opened), client(url) as llm:
        for _ in range(2):
            assert (await llm.stream("hi").collect()).text == "here"
    assert opened == [1]


PLAIN = {
    "by length": [sized(JSON, ANSWER)],
    "in pieces": [sized(JSON, ANSWER)[:90], sized(JSON, ANSWER)[90:]],
    "chunked": [head(JSON, CHUNKED), chunk(ANSWER[:20]), chunk(ANSWER[20:]), LAST],
    "until the connection ends": [head(JSON), ANSWER],
    "HTTP/1.0": [head(JSON, version=b"HTTP/1.0"), ANSWER],
    "gzip": [sized(JSON, gzip.compress(ANSWER), b"Content-Encoding: gzip")],
    "deflate": [sized(JSON, zlib.compress(ANSWER), b"Content-Encoding: deflate")],
    "zstd": [sized(JSON, zstd.compress(ANSWER), b"Content-Encoding: zstd")],
    "gzip, chunked": [head(JSON, CHUNKED, b"Content-Encoding: gzip"), chunk(gzip.compress(ANSWER)), LAST],
    "after other answers": [CONTINUE, b"HTTP/1.1 103 Early Hints\r\n\r\n", sized(JSON, ANSWER)],
}  # fmt: skip


@pytest.mark.parametrize("framing", PLAIN)
async def test_an_answer_is_read_in_every_framing(framing: str) -> None:
    """The same answer comes out, unpacked, and the connection serves the next call unless the answer ended with it."""
    closes = framing in UNTIL_CLOSED
    async with serve(answering(*PLAIN[framing], closes=closes)) as (url, opened), client(url) as llm:
        for _ in range(2):
            assert (await llm.acompletion("hi")).text == "here"
    assert opened == ([1, 2] if closes else [1])


CUTS = {
    "within a chunk": [head(SSE, CHUNKED), chunk(EVENTS[0]), chunk(EVENTS[1])[:20]],
    "within a size": [head(SSE, CHUNKED), chunk(EVENTS[0]), b"6"],
    "before the last chunk": [head(SSE, CHUNKED), chunk(EVENTS[0])],
    "before the length": [sized(SSE, WHOLE)[:-80]],
    "with the head": [head(SSE, CHUNKED) + chunk(EVENTS[0])],
}


@pytest.mark.parametrize("cut", CUTS)
async def test_a_cut_stream_is_interrupted(cut: str) -> None:
    """What came before the cut is not taken for the answer."""
    async with serve(answering(*CUTS[cut], closes=True)) as (url, opened), client(url) as llm:
        with pytest.raises(StreamInterruptedError, match="cut"):
            await llm.stream("hi").collect()
    assert opened == [1]


BROKEN = {
    "no size": [head(SSE, CHUNKED), chunk(EVENTS[0]), b"zz\r\n" + EVENTS[1]],
    "no line end after a chunk": [head(SSE, CHUNKED), chunk(EVENTS[0])[:-2] + b"??" + chunk(EVENTS[1])],
    "no line end in front of a size": [head(SSE, CHUNKED), chunk(EVENTS[0])[:-2] + chunk(EVENTS[1])],
    "a size of many digits": [head(SSE, CHUNKED), chunk(EVENTS[0]), b"f" * 20 + b"\r\n"],
}


@pytest.mark.parametrize("broken", BROKEN)
async def test_broken_chunks_are_an_interruption(broken: str, exchange: str) -> None:
    """The parser refuses what is no chunk, and its connection is not used again."""
    if exchange == "session":
        pytest.skip("aiohttp does not tell the reader, whose stream ends by its idle timeout")
    async with serve(answering(*BROKEN[broken])) as (url, opened), client(url) as llm:
        for _ in range(2):
            with pytest.raises(StreamInterruptedError):
                await llm.stream("hi", idle_timeout=5).collect()
    assert opened == [1, 2]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("status", [b"400 Bad Request", b"429 Too Many Requests", b"503 Unavailable"])
async def test_an_error_is_read_with_its_body(status: bytes, stream: bool) -> None:
    """Whatever is asked for, an error comes as JSON, by length or in chunks."""
    body = b'{"error": {"message": "said so"}}'
    sent = [head(JSON, CHUNKED, status=status), chunk(body[:9]), chunk(body[9:]), LAST]
    async with serve(answering(*sent)) as (url, opened), client(url) as llm:
        for _ in range(2):
            with pytest.raises(ProviderError, match="said so"):
                await (llm.stream("hi").collect() if stream else llm.acompletion("hi"))
    assert opened == [1]


async def test_an_answer_before_the_request_is_read_ends_its_connection() -> None:
    """A server that refuses a large request at once is heard, and the rest of the request stands before no other."""
    asked: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        if len(asked) == 1:
            writer.write(sized(JSON, b'{"error": {"message": "too large"}}', status=b"413 Content Too Large"))
            await writer.drain()
            await heard.wait()
        else:
            length = next(line for line in asked[-1].lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.split(b":")[1]))
            writer.write(sized(JSON, ANSWER))

    heard = asyncio.Event()
    # More than the buffers of a loopback connection hold, and less than what the session is given as a file.
    text = "x" * 1_000_000
    async with serve(handle) as (url, opened), client(url) as llm:
        patient = llm.with_options(model="openai/one-without-a-known-limit")
        with pytest.raises(ProviderError, match="too large") as caught:
            await patient.acompletion(text)
        heard.set()
        assert (await patient.acompletion("hi")).text == "here"
    assert caught.value.status_code == 413
    assert [line.split(b" ")[0] for line in asked] == [b"POST", b"POST"]
    assert opened == [1, 2]


@pytest.mark.parametrize("left_over", [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", b"no HTTP at all\r\n\r\n"])
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_what_comes_unasked_answers_no_request(left_over: bytes, stream: bool) -> None:
    """A kept connection that brings something between two requests is closed rather than used."""
    sent = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(sized(SSE, WHOLE) if stream else sized(JSON, ANSWER))
        await writer.drain()
        await asyncio.sleep(0.05)  # so that it does not come in the answer's own packet
        writer.write(left_over)
        await writer.drain()
        sent.set()
        await reader.read()

    async with serve(handle) as (url, opened), client(url) as llm:
        for _ in range(2):
            text = (await llm.stream("hi").collect()).text if stream else (await llm.acompletion("hi")).text
            assert text == "here"
            await sent.wait()
            sent.clear()
            await asyncio.sleep(0.01)  # for the loop to take in what came
    assert opened == [1, 2]


@pytest.mark.parametrize("line", [b"X-Long: " + b"x" * 100_000, b"X-Bad\x00: 1", b"bad header"])
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_a_head_that_is_no_head_is_unreadable(line: bytes, stream: bool) -> None:
    """The parser's limits and rules hold on either way."""
    async with serve(answering(sized(JSON, ANSWER, line))) as (url, _), client(url) as llm:
        with pytest.raises(MalformedResponseError, match="could not be read"):
            await (llm.stream("hi").collect() if stream else llm.acompletion("hi"))


async def test_cookies_are_neither_kept_nor_sent() -> None:
    """Requests of one client are those of many users, and nothing ties them together."""
    asked: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            asked.append((await read_request(reader)).lower())
            writer.write(sized(JSON, ANSWER, b"Set-Cookie: session=1; Path=/"))

    async with serve(handle) as (url, _), client(url) as llm:
        await llm.acompletion("hi")
        await llm.acompletion("hi", extra_headers={"X-Mine": "yes"})
    assert [b"cookie" in request for request in asked] == [False, False]
    assert b"\r\nx-mine: yes\r\n" in asked[1]


async def test_a_request_says_what_aiohttps_says() -> None:
    """The same headers go out on either way, each once."""
    asked: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            asked.append(await read_request(reader))
            writer.write(sized(JSON, ANSWER))

    async with serve(handle) as (url, _), client(url) as llm:
        await llm.acompletion("hi", extra_headers={"user-agent": "mine", "ACCEPT": "text/plain"})
    lines = asked[0].partition(b"\r\n\r\n")[0].decode().split("\r\n")
    assert lines[0] == "POST /v1/chat/completions HTTP/1.1"
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    assert len(headers) == len(lines) - 1
    own = {"accept", "accept-encoding", "authorization", "content-length", "content-type", "host", "user-agent"}
    assert set(headers) == own
    assert (headers["host"], headers["user-agent"], headers["accept"]) == (url[7:-3], "mine", "text/plain")


@pytest.mark.parametrize("name", ["Expect", "transfer-encoding", "Connection"])
async def test_a_header_that_changes_the_sending_is_the_sessions(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """aiohttp's session knows how to wait for a 100, or to send in chunks."""
    async with client("http://127.0.0.1:1/v1") as llm:
        monkeypatch.setattr(direct.DirectExchange, "post", None)
        with pytest.raises(ProviderConnectionError):
            await llm.acompletion("hi", extra_headers={name: {"Expect": "100-continue"}.get(name, "close")})


@pytest.mark.parametrize("value", ["a\r\nX-Smuggled: 1", "a\nb", "a\0b"])
async def test_a_header_with_a_line_break_is_not_sent(value: str) -> None:
    """It could carry another header, or another request."""
    async with serve(answering(sized(JSON, ANSWER))) as (url, _), client(url) as llm:
        with pytest.raises(ValueError, match="control character"):
            await llm.acompletion("hi", extra_headers={"X-Mine": value})
