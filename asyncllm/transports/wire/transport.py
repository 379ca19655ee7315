"""The transport that speaks the OpenAI chat format itself, over aiohttp.

It serves the requests that litellm would pass through unchanged, or nearly so (`eligibility` says which), for a small
part of the cost, and never imports litellm. On asyncio it runs in the caller's own loop; under any other it sits behind
the bridge.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import aiohttp

from asyncllm.errors import (
    AsyncLLMError,
    MalformedResponseError,
    ProviderError,
    StreamInterruptedError,
    UnsupportedError,
)

from .. import size_limits
from ..base import Answer, Call, Connection
from ..bodies import (
    FINISH_REASONS,
    WRONG_TYPES,
    check_delta,
    check_usage,
    decode,
    encode,
    encode_stream,
    error_in,
    read_answer,
    read_error,
    read_error_event,
    start_of,
)
from ..bridge.bridge import Bridge, CrossingStream
from ..errors import (
    connection_failure,
    cut_failure,
    describe,
    failure,
    redact,
    redirect_failure,
    timeout_failure,
    unreadable_failure,
)
from .connections import Connections
from .sse import SSEParser
from .timeouts import Timers

# A stream's connection goes back to the pool when the end of its body comes within this time after its last event.
_END_OF_BODY_S = 0.05
_SHOWN_BYTES = 1000  # of what is no stream, for the message that says so
_NEVER_S = 86_400.0  # a day: longer than any timeout of a stream
_DONE = b"[DONE]"


class WireTransport:
    """Posts requests and reads answers itself.

    Args:
        session: A session to use instead of one of its own; it stays the caller's to close, and works in its own loop
            alone.
    """

    name = "wire"

    def __init__(self, session: aiohttp.ClientSession | None = None) -> None:
        self._given = session
        self._clients: dict[asyncio.AbstractEventLoop, Connections] = {}
        self._bridge: Bridge | None = None

    async def complete(self, call: Call) -> Answer:
        """Send a request and return the whole answer."""
        if _in_asyncio():
            return await self._complete(call)
        return await self._bridged().call(lambda: self._complete(call))

    async def open_stream(self, call: Call) -> WireStream | CrossingStream:
        """Send a request and return its stream once the provider has accepted it."""
        if _in_asyncio():
            return await self._open_stream(call)
        bridge = self._bridged()
        return await bridge.call(lambda: self._open_bridged(call, bridge), undo=lambda stream: stream.abandon())

    async def warm_up(self, connection: Connection) -> None:
        """Make the session and read the certificates; its connections open with the first call."""
        if _in_asyncio():
            await self._warm_up(connection)
        else:
            await self._bridged().call(lambda: self._warm_up(connection))

    async def aclose(self) -> None:
        """Close the connections; returns when they are closed."""
        bridge, self._bridge = self._bridge, None
        if bridge is not None:
            await bridge.call(self._close_here)
            await bridge.release()
        if _in_asyncio():
            await self._close_here()
        self.drop()

    def drop(self) -> None:
        """Close what is open without waiting; for a client that nobody closed, or one whose loop is gone."""
        for client in self._clients.values():
            client.drop()
        self._clients.clear()
        bridge, self._bridge = self._bridge, None
        if bridge is not None:
            bridge.drop()

    def _bridged(self) -> Bridge:
        if self._given is not None:
            raise UnsupportedError(
                "http_session belongs to an asyncio loop, and this call does not run in one.",
                hint="Make the client without http_session.",
            )
        if self._bridge is None:
            self._bridge = Bridge()
        return self._bridge

    def _client(self) -> Connections:
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            for gone in [other for other in self._clients if other.is_closed()]:
                self._clients.pop(gone).drop()
            client = self._clients[loop] = Connections(loop, self._given)
        return client

    async def _warm_up(self, connection: Connection) -> None:
        client = self._client()
        if not str(connection.options.get("base_url") or "").startswith("http:"):
            await client.trust()

    async def _close_here(self) -> None:
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    async def _complete(self, call: Call) -> Answer:
        client = self._client()
        assert call.body is not None, "the wire is given requests that it serves"
        assert call.route is not None
        caught: AsyncLLMError
        try:
            with client.timers.limit(call.timeout_s):
                response = await client.post(call, encode(call.body, call.route.head(call.params)))
                body = await _read_body(response)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            caught = _failure(error, call, "timeout")
        else:
            headers = _headers(response)
            if response.status == 200:
                return Answer(read_answer(body, call), headers, build_response)
            caught = _refused(response, body, headers, call)
        raise caught

    async def _open_stream(self, call: Call) -> WireStream:
        client = self._client()
        assert call.body is not None, "the wire is given requests that it serves"
        assert call.route is not None
        caught: AsyncLLMError
        try:
            with client.timers.limit(call.timeout_s):
                response = await client.post(call, encode_stream(call.body, asks_usage=call.route.asks_usage))
                if response.status == 200 and response.content_type != "application/json":
                    return WireStream(response, client.timers, call)
                body = await _read_body(response)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            caught = _failure(error, call, "first_token_timeout")
        else:
            caught = _unstreamed(response, body, call)
        raise caught

    async def _open_bridged(self, call: Call, bridge: Bridge) -> CrossingStream:
        stream = await self._open_stream(call)
        return CrossingStream(stream.headers, build_response, bridge.stream(_reads(stream)))


class WireStream:
    """A stream read in its own loop."""

    def __init__(self, response: aiohttp.ClientResponse, timers: Timers, call: Call) -> None:
        self.headers: Mapping[str, str] = _headers(response)
        self.build_response: Callable[[dict[str, Any]], Any] | None = build_response
        self._response = response
        self._timers = timers
        self._call = call
        self._parser = SSEParser(size_limits.MAX_EVENT_BYTES)
        self._began = b""  # what came before the first chunk, while there was none
        self._has_begun = False
        self._left_bytes = size_limits.MAX_STREAM_BYTES
        self._open_choices = (call.body or {}).get("n") or 1
        self._ended = False
        self._broken: AsyncLLMError | None = None
        self._calls_tools = False  # some servers end such an answer with `stop`

    async def read(self, timeout_s: float) -> Sequence[dict[str, Any]]:
        """Return the chunks that are there, at least one; none at the end."""
        try:
            with self._timers.limit(timeout_s):
                while not self._ended:
                    if self._broken is not None:
                        raise self._broken
                    piece = await self._response.content.readany()
                    chunks = self._chunks(piece)
                    if chunks:
                        return chunks
                return ()
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error, TimeoutError):
                raise
            caught = self._cut(error)
        raise caught

    async def aclose(self) -> None:
        """Close the connection, or give it back when its body has come to its end."""
        if self._ended and not self._response.closed:
            with suppress(TimeoutError, aiohttp.ClientError, OSError), self._timers.limit(_END_OF_BODY_S):
                while not self._response.content.at_eof():
                    await self._response.content.readany()
        self._response.close()

    def abandon(self) -> None:
        """Close the connection from any thread."""
        with suppress(RuntimeError):  # its loop is closed, and the connection with it
            self._timers.loop.call_soon_threadsafe(self._response.close)

    def _chunks(self, piece: bytes) -> list[dict[str, Any]]:
        """Decode the events that a piece completes, and see to it that the stream comes to its real end.

        What came before a failure in the same piece is handed out first, and the failure with the next read.
        """
        chunks: list[dict[str, Any]] = []
        self._left_bytes -= len(piece)
        if not self._has_begun:
            self._began = (self._began + piece)[:_SHOWN_BYTES]
        try:
            for data in self._parser.feed(piece) if piece else self._parser.end():
                if data == _DONE:
                    self._ended = True
                    return chunks
                chunk = self._chunk(data) if data else None
                if chunk:
                    chunks.append(chunk)
                    self._has_begun = True
            if not piece:
                # Some servers leave out the mark of the end; the answer is whole when every choice has ended.
                self._ended = self._open_choices <= 0
                if not self._ended:
                    self._broken = self._no_end()
            elif self._left_bytes < 0:
                self._broken = StreamInterruptedError(size_limits.stream_too_long())
        except WRONG_TYPES as error:
            self._broken = self._unreadable(error)
        except AsyncLLMError as error:
            self._broken = error
        if self._broken is not None and not chunks:
            raise self._broken
        return chunks

    def _chunk(self, data: bytes) -> dict[str, Any] | None:
        """Decode one event and put it into the form that litellm gives it; None when it is no part of an answer."""
        chunk = decode(data)
        if isinstance(chunk, list) and chunk:
            chunk = chunk[0]  # Gemini wraps an error so
        if not isinstance(chunk, dict):
            raise ValueError(f"an event is no object: {start_of(data)}")
        # OpenRouter sends an error with a choice, whose end would be taken for that of the answer.
        said = error_in(chunk)
        if said is not None:
            raise (read_error_event if self._has_begun else read_error)(said, self._call)
        if chunk.get("usage") is not None:
            check_usage(chunk)
        choices = chunk.get("choices")
        if not choices:
            return chunk if "choices" in chunk or "usage" in chunk else None
        if not self._calls_tools:
            self._calls_tools = b'"tool_calls"' in data
        for choice in choices:
            check_delta(choice)
            reason = choice.get("finish_reason")
            if reason:
                self._open_choices -= 1
                reason = "tool_calls" if reason == "stop" and self._calls_tools else reason
                choice["finish_reason"] = FINISH_REASONS.get(reason, reason)
        return chunk

    def _cut(self, error: BaseException) -> AsyncLLMError:
        if not self._has_begun:
            return _failure(error, self._call, "first_token_timeout")
        return StreamInterruptedError(
            f"the stream was cut: {redact(describe(error), self._call.secrets()).rstrip('.')}."
        )

    def _no_end(self) -> AsyncLLMError:
        if not self._has_begun:
            return unreadable_failure(f"a stream was asked for, and it has {start_of(self._began)}", status=200)
        return StreamInterruptedError("the stream ended without its end: the connection was cut.")

    def _unreadable(self, error: Exception) -> AsyncLLMError:
        if not self._has_begun:
            return unreadable_failure(f"{describe(error)}, in {start_of(self._began)}", status=200)
        return StreamInterruptedError(f"the stream is broken: {describe(error).rstrip('.')}.")


async def _reads(stream: WireStream) -> AsyncIterator[Sequence[dict[str, Any]]]:
    try:
        # The reader on the other side keeps the time; here is only the wire.
        while chunks := await stream.read(_NEVER_S):
            yield chunks
    finally:
        await stream.aclose()


def build_response(data: dict[str, Any]) -> Any:
    """Make litellm's ModelResponse of an answer."""
    from ..litellm.importing import import_litellm

    return import_litellm().ModelResponse(**data)


async def _read_body(response: aiohttp.ClientResponse) -> bytes:
    """Read a body up to the bound; its length says nothing of how long it is when it is not compressed any more."""
    try:
        length = response.content_length
        if length is not None and length <= size_limits.MAX_ANSWER_BYTES and "Content-Encoding" not in response.headers:
            return await response.read()
        pieces: list[bytes] = []
        size = 0
        async for piece in response.content.iter_any():
            pieces.append(piece)
            size += len(piece)
            if size > size_limits.MAX_ANSWER_BYTES:
                raise MalformedResponseError(size_limits.answer_too_large(), status_code=response.status)
        return b"".join(pieces)
    except BaseException:
        response.close()
        raise


def _unstreamed(response: aiohttp.ClientResponse, body: bytes, call: Call) -> AsyncLLMError:
    """Make the error of a whole body where a stream was asked for."""
    if response.status != 200:
        return _refused(response, body, _headers(response), call)
    with suppress(ValueError):
        data = decode(body)
        if isinstance(data, dict) and data.get("error"):
            return read_error(data, call)
    return MalformedResponseError(f"a stream was asked for, and a whole body came: {start_of(body)}.")


def _refused(response: aiohttp.ClientResponse, body: bytes, headers: Mapping[str, str], call: Call) -> ProviderError:
    if 300 <= response.status < 400:
        return redirect_failure(response.status, headers.get("location"), call.secrets())
    return failure(response.status, body, headers, secrets=call.secrets())


def _failure(error: BaseException, call: Call, timeout: str) -> AsyncLLMError:
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


def _headers(response: aiohttp.ClientResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


def _in_asyncio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
