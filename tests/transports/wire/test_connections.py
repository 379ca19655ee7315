"""Connections of the wire: reused, led through proxies, checked, and never given to the wrong host."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress

import aiohttp
import pytest
from aiohttp import web

from asyncllm import AsyncLLM, ConfigError, MalformedResponseError, ProviderConnectionError, ProviderError
from asyncllm.errors import UnsupportedError
from asyncllm.simulator import Fault, Simulator
from asyncllm.transports import size_limits
from tests.transports.wire.clients import client

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("exchange")]

ANSWER = b'{"choices": [{"message": {"role": "assistant", "content": "here"}, "finish_reason": "stop"}]}'


@pytest.fixture
def asyncio_alone(anyio_backend: str) -> None:
    """Skip a test under trio: it holds an asyncio server or session itself."""
    if anyio_backend != "asyncio":
        pytest.skip("the test runs an asyncio server in its own loop")


@asynccontextmanager
async def serve(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter, int], Awaitable[None]],
) -> AsyncIterator[tuple[str, list[int]]]:
    """Serve raw connections; `handle` gets each with its number."""
    opened: list[int] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(len(opened) + 1)
        try:
            with suppress(asyncio.IncompleteReadError):  # the client is done
                await handle(reader, writer, opened[-1])
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


def answer(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(ANSWER))
    writer.write(ANSWER)


async def test_calls_in_a_row_share_a_connection(simulator: Simulator) -> None:
    """A hundred calls open one connection, and errors in between give theirs back too."""
    async with client(simulator.url) as llm:
        for _ in range(98):
            await llm.acompletion("hi")
        simulator.faults(Fault("status", code=500, times=1))
        with pytest.raises(ProviderError):
            await llm.acompletion("hi")
        await llm.acompletion("hi")
    assert (simulator.seen.requests, simulator.seen.connections_opened) == (100, 1)


async def test_a_stream_read_to_its_end_gives_its_connection_back(simulator: Simulator) -> None:
    """The next call goes out on the connection of a stream that is over."""
    async with client(simulator.url) as llm:
        for _ in range(5):
            await llm.stream("hi").collect()
        await llm.acompletion("hi")
    assert simulator.seen.connections_opened == 1


@pytest.mark.usefixtures("asyncio_alone")
async def test_a_kept_connection_that_closes_under_a_request_is_replaced() -> None:
    """Nothing was answered on a connection that had been kept: the request goes out again, on another one."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        await read_request(reader)
        answer(writer)
        await read_request(reader)
        if number > 1:
            answer(writer)

    async with serve(handle) as (url, opened), client(url) as llm:
        assert (await llm.acompletion("one")).text == "here"
        assert (await llm.acompletion("two")).text == "here"
    assert opened == [1, 2]


@pytest.mark.usefixtures("asyncio_alone")
async def test_a_second_kept_connection_that_closes_is_the_providers_failure() -> None:
    """However many connections the server has closed, a request goes out twice at most."""
    asked: list[int] = []
    both = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        await read_request(reader)
        asked.append(number)
        if len(asked) == 3:
            both.set()
        await both.wait()
        answer(writer)
        await read_request(reader)
        asked.append(number)

    async with serve(handle) as (url, opened), client(url) as llm:
        await asyncio.gather(*(llm.acompletion("hi") for _ in range(3)))
        with pytest.raises(ProviderConnectionError):
            await llm.acompletion("hi")
    assert opened == [1, 2, 3]
    assert len(asked) == 5


@pytest.mark.usefixtures("asyncio_alone")
async def test_a_fresh_connection_that_closes_is_the_providers_failure() -> None:
    """A request on a new connection is sent once by the transport; trying again is the retries' business."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        await read_request(reader)

    async with serve(handle) as (url, opened), client(url) as llm:
        with pytest.raises(ProviderConnectionError):
            await llm.acompletion("hi")
    assert opened == [1]


@pytest.mark.usefixtures("asyncio_alone")
async def test_a_cut_answer_is_not_asked_for_again() -> None:
    """Once a part of an answer has come, a kept connection that closes is a failure like any other."""
    asked: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        asked.append(await read_request(reader))
        answer(writer)
        asked.append(await read_request(reader))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")

    async with serve(handle) as (url, _), client(url) as llm:
        await llm.acompletion("one")
        with pytest.raises(ProviderConnectionError, match="cut"):
            await llm.acompletion("two")
    assert len(asked) == 2


@pytest.mark.usefixtures("asyncio_alone")
async def test_a_connection_closed_while_idle_is_not_used() -> None:
    """The server closes after each answer, and no request goes out on what it closed."""
    closed = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        await read_request(reader)
        answer(writer)
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        closed.set()

    async with serve(handle) as (url, opened), client(url) as llm:
        for _ in range(3):
            assert (await llm.acompletion("hi")).text == "here"
            await closed.wait()
            closed.clear()
    assert opened == [1, 2, 3]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.usefixtures("asyncio_alone")
async def test_a_redirect_is_told_and_not_followed(status: int, simulator: Simulator) -> None:
    """The key goes where the profile says, and nowhere that an answer says."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 %d Moved\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % (status, target))

    target = f"{simulator.url}/chat/completions".encode()
    async with serve(handle) as (url, _), client(url) as llm:
        with pytest.raises(ProviderError, match="redirects to") as caught:
            await llm.acompletion("hi")
        with pytest.raises(ProviderError, match="redirects to"):
            await llm.stream("hi").collect()
    assert caught.value.status_code == status
    assert simulator.seen.requests == 0


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.usefixtures("asyncio_alone")
async def test_an_answer_above_the_bound_is_refused(compressed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint gone mad does not fill the memory, not with a small body that grows when it is unpacked either."""
    monkeypatch.setattr(size_limits, "MAX_ANSWER_BYTES", 10_000)

    async def large(request: web.BaseRequest) -> web.Response:
        response = web.Response(body=b'{"padding": "' + b"x" * 1_000_000 + b'"}', content_type="application/json")
        if compressed:
            response.enable_compression(web.ContentCoding.gzip)
        return response

    runner = web.ServerRunner(web.Server(large))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with client(f"http://127.0.0.1:{runner.addresses[0][1]}/v1") as llm:
            with pytest.raises(MalformedResponseError, match="larger than 10,000 bytes"):
                await llm.acompletion("hi")
    finally:
        await runner.cleanup()


async def test_a_large_body_is_sent_without_a_warning(simulator: Simulator) -> None:
    """A prompt above 1 MiB arrives whole; aiohttp warns of such a body when it is given as bytes."""
    text = "x" * 1_500_000
    async with client(simulator.url).with_options(model="openai/one-without-a-known-limit") as llm:
        await llm.acompletion(text, max_tokens=5)
    assert simulator.seen.bodies[0]["messages"][0]["content"] == text


@pytest.fixture
def proxy() -> Iterator[tuple[str, list[str]]]:
    """An HTTP proxy on a thread of its own, and the first line of every request that it passed on.

    Behind it stands the user, where the request names one.
    """
    seen: list[str] = []
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    address: list[str] = []

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await read_request(reader)
        line, rest = request.split(b"\r\n", 1)
        user = next((one for one in rest.lower().split(b"\r\n") if one.startswith(b"proxy-authorization:")), None)
        seen.extend([line.decode(), *(() if user is None else (user.decode(),))])
        method, target, version = line.split(b" ")
        host, path = target.removeprefix(b"http://").split(b"/", 1)
        name, port = host.split(b":")
        upstream_reader, upstream = await asyncio.open_connection(name.decode(), int(port))
        upstream.write(b" ".join([method, b"/" + path, version]) + b"\r\nConnection: close\r\n" + rest)
        while piece := await upstream_reader.read(65_536):
            writer.write(piece)
        upstream.close()
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(forward, "127.0.0.1", 0)
        address.append(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        ready.set()

    def serve_until_stopped() -> None:
        loop.run_until_complete(run())
        loop.run_forever()

    thread = threading.Thread(target=serve_until_stopped)
    thread.start()
    ready.wait()
    yield address[0], seen
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of the proxy's own loop, which is stopped in the middle
async def test_a_proxy_of_the_environment_is_used(
    proxy: tuple[str, list[str]], simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTP_PROXY leads the requests, as it does for every other tool."""
    url, seen = proxy
    monkeypatch.setenv("http_proxy", url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with client(simulator.url) as llm:
        assert (await llm.acompletion("hi")).text
    assert seen == [f"POST {simulator.url}/chat/completions HTTP/1.1"]


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of the proxy's own loop, which is stopped in the middle
async def test_a_proxy_is_told_its_user(
    proxy: tuple[str, list[str]], simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The credentials in the proxy's address go to the proxy with every request."""
    url, seen = proxy
    monkeypatch.setenv("http_proxy", url.replace("://", "://me:secret@"))
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with client(simulator.url) as llm:
        for _ in range(2):
            assert (await llm.stream("hi").collect()).text
    line = f"POST {simulator.url}/chat/completions HTTP/1.1"
    assert seen == [line, "proxy-authorization: basic bwu6c2vjcmv0"] * 2


@pytest.mark.parametrize("exception", ["127.0.0.1", "*", "localhost,127.0.0.1"])
async def test_no_proxy_is_obeyed(exception: str, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that NO_PROXY names is reached directly: the proxy here does not exist."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", exception)
    async with client(simulator.url) as llm:
        assert (await llm.acompletion("hi")).text


@pytest.mark.parametrize("proxy_url", ["http://127.0.0.1:1", "socks5://127.0.0.1:1"])
async def test_no_proxy_leads_to_the_embedded_simulator(proxy_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What needs no network works behind any proxy, NO_PROXY set or not."""
    monkeypatch.setenv("all_proxy", proxy_url)
    monkeypatch.delenv("no_proxy", raising=False)
    async with AsyncLLM(model="simulated/demo") as llm:
        assert (await llm.acompletion("hi")).text


async def test_a_proxy_of_another_kind_is_named(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A SOCKS proxy is not passed over: its user would not want the request to go out without it."""
    monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    async with client(simulator.url) as llm:
        with pytest.raises(ConfigError, match="socks5"):
            await llm.acompletion("hi")
    assert simulator.seen.requests == 0


@pytest.mark.usefixtures("asyncio_alone")
async def test_a_session_of_the_callers_is_used_and_left_open(simulator: Simulator) -> None:
    """An injected session sends the requests, and closing the client does not close it."""
    async with aiohttp.ClientSession(headers={"X-Mine": "yes"}) as session:
        async with client(simulator.url, session=session) as llm:
            await llm.acompletion("hi")
            await llm.stream("hi").collect()
        assert not session.closed
    assert [headers.get("x-mine") for headers in simulator.seen.headers] == ["yes", "yes"]


async def test_a_session_does_not_work_outside_of_asyncio(simulator: Simulator, anyio_backend: str) -> None:
    """Under trio an aiohttp session cannot be used, which is said before anything is sent."""
    if anyio_backend == "asyncio":
        pytest.skip("under asyncio it works")

    async def closed_session() -> aiohttp.ClientSession:
        async with aiohttp.ClientSession() as session:
            return session

    async with client(simulator.url, session=asyncio.run(closed_session())) as llm:
        with pytest.raises(UnsupportedError, match="asyncio"):
            await llm.acompletion("hi")
    assert simulator.seen.requests == 0
