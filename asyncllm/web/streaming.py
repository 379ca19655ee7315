"""Streams of a client as responses, closed when the reader has gone."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Literal

import anyio
from starlette.background import BackgroundTask
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..completions.stream import CompletionStream
from ..errors import AsyncLLMError, StreamInterruptedError
from ..structured import ItemStream, PartialStream
from .problems import problem_of, report
from .protocols import Encoding, EventEncoding, OpenAIEncoding, TextEncoding, UIEncoding

StreamProtocol = Literal["openai", "events", "ui", "text"]
AnyStream = CompletionStream | PartialStream[Any] | ItemStream[Any]

# no-transform keeps proxies from compressing, which buffers; the other header is nginx's, and is known to others.
_UNBUFFERED = {"cache-control": "no-cache, no-transform", "x-accel-buffering": "no"}
# Shorter than the idle timeouts of common proxies, of which the shortest are 30 s.
_KEEP_ALIVE_S = 15.0
_COMMENT = b": keep-alive\n\n"
# The most that models write, 128,000 tokens, are about as many characters.
_KEPT_CHARS = 500_000
# nginx's status of a request whose client has closed the connection; the client does not see it, access logs do.
_CLIENT_CLOSED_REQUEST = 499


def stream_response(
    stream: CompletionStream | PartialStream[Any] | ItemStream[Any],
    protocol: StreamProtocol = "events",
    *,
    include_usage: bool = False,
    keep_alive: float | None = _KEEP_ALIVE_S,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a response that sends a stream as it comes.

    The first chunk decides the status: an error before it is raised to the application's error handlers; one after it
    ends the response with an error event, or, as `text` has none, by cutting it. When the reader goes, the provider's
    connection is closed at once; when it is slow, the provider is slowed.

    Args:
        stream: What `llm.stream`, `stream_partial` or `stream_items` returned, not entered.
        protocol: `openai`: chunks of chat completions and [DONE], for a `CompletionStream`; `events`: the named events
            delta, partial, item, restart, done and error; `ui`: the UI message stream of Vercel's AI SDK; `text`: the
            text, or JSON Lines of a typed stream.
        include_usage: With `openai`: send the chunk with the usage too, which has no choices.
        keep_alive: Seconds without data after which a comment is sent, so that proxies keep the connection; None for
            never.
        headers: Headers to add.

    Raises:
        TypeError: The stream is none, or the protocol cannot say it.
        ValueError: There is no such protocol.
    """
    encoding = _encoding(stream, protocol, include_usage=include_usage)
    return AnswerResponse(stream, encoding, keep_alive_s=keep_alive, headers=headers)


def _encoding(stream: object, protocol: str, *, include_usage: bool) -> Encoding:
    is_typed = isinstance(stream, PartialStream | ItemStream)
    if not is_typed and not isinstance(stream, CompletionStream):
        raise TypeError(f"stream_response takes what llm.stream(...) returns, not {type(stream).__name__}")
    if protocol == "openai":
        if is_typed:
            raise TypeError(
                "protocol='openai' sends the chunks of a text; use 'events', 'ui' or 'text' for typed streams"
            )
        return OpenAIEncoding(include_usage=include_usage)
    if protocol == "events":
        return EventEncoding()
    if protocol == "ui":
        return UIEncoding()
    if protocol == "text":
        return TextEncoding(is_typed=is_typed)
    raise ValueError(f"protocol must be 'openai', 'events', 'ui' or 'text', not {protocol!r}")


class AnswerResponse(Response):
    """A response that is a stream in one of the protocols.

    Args:
        stream: The stream.
        encoding: The protocol.
        keep_alive_s: Seconds without data after which a comment is sent; None for never.
        headers: Headers to add.
        sleep: Waits for some seconds.
        now: A monotonic clock in seconds.
    """

    def __init__(
        self,
        stream: AnyStream,
        encoding: Encoding,
        *,
        keep_alive_s: float | None = _KEEP_ALIVE_S,
        headers: Mapping[str, str] | None = None,
        sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.status_code = 200
        self.media_type = encoding.media_type
        self.background: BackgroundTask | None = None
        self.init_headers({**_UNBUFFERED, **encoding.headers, **(headers or {})})
        if isinstance(stream, CompletionStream):
            stream.keep_at_most(_KEPT_CHARS)
        self._stream = stream
        self._encoding = encoding
        self._keep_alive_s = keep_alive_s if encoding.is_events else None
        self._sleep = sleep
        self._now = now
        self._sent_at = 0.0
        self._has_begun = self._client_left = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        failure: Exception | None = None
        self._lock = anyio.Lock(fast_acquire=True)
        async with anyio.create_task_group() as group:
            group.start_soon(self._watch, receive, group.cancel_scope)
            try:
                await self._answer(send, group.start_soon)
            except Exception as error:  # raised below: a task group would wrap it
                failure = error
            group.cancel_scope.cancel()
        if self._client_left:
            if not self._has_begun:
                await self._stream.aclose()  # so that it says that there is no answer
                with suppress(OSError):
                    await send({"type": "http.response.start", "status": _CLIENT_CLOSED_REQUEST, "headers": []})
                    await send({"type": "http.response.body", "body": b""})
        elif failure is not None:
            try:
                raise failure
            finally:
                del failure
        if self.background is not None:
            await self.background()

    async def _watch(self, receive: Receive, scope: anyio.CancelScope) -> None:
        """Cancel the response when the client has gone; that closes the provider's connection."""
        while (await receive())["type"] != "http.disconnect":
            pass
        self._client_left = True
        scope.cancel()

    async def _answer(self, send: Send, start_soon: Callable[..., object]) -> None:
        async with self._stream:
            self._has_begun = True
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            self._sent_at = self._now()
            if self._keep_alive_s is not None:
                start_soon(self._keep_alive, send, self._keep_alive_s)
            try:
                end = await self._pump(send)
            except ClientGoneError:
                self._client_left = True
                return
            except Exception as error:
                problem = problem_of(error)
                end = self._encoding.failed(problem)
                with suppress(ClientGoneError):
                    await self._write(send, end)
                if not isinstance(error, AsyncLLMError):
                    raise
                report(error, problem)
                if not self._encoding.is_events:
                    return  # without the end of the body: the server cuts the connection
                end = b""
            await self._write(send, end, more=False)

    async def _pump(self, send: Send) -> bytes:
        """Send the stream; return the bytes of its end."""
        stream, encoding = self._stream, self._encoding
        if begin := encoding.begin():
            await self._write(send, begin)
        if isinstance(stream, CompletionStream):
            async for chunk in stream:
                if chunk.restarted and not encoding.can_restart:
                    raise StreamInterruptedError("the answer began anew, which this protocol cannot say")
                if data := encoding.chunk(chunk):
                    await self._write(send, data)
            return encoding.end(stream.completion, None)
        kind = "item" if isinstance(stream, ItemStream) else "partial"
        async for value in stream:
            await self._write(send, encoding.value(kind, value))
        final: object = None if isinstance(stream, ItemStream) else await stream.final()
        return encoding.end(stream.completion, final)

    async def _write(self, send: Send, data: bytes, *, more: bool = True) -> None:
        async with self._lock:
            try:
                await send({"type": "http.response.body", "body": data, "more_body": more})
            except OSError as error:  # by ASGI, the client has gone
                raise ClientGoneError from error
            self._sent_at = self._now()

    async def _keep_alive(self, send: Send, interval_s: float) -> None:
        while True:
            await self._sleep(self._sent_at + interval_s - self._now())
            if self._now() - self._sent_at >= interval_s and not self._lock.statistics().locked:
                with suppress(ClientGoneError):
                    await self._write(send, _COMMENT)


class ClientGoneError(Exception):
    """The client has closed its connection."""
