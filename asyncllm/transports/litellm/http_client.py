"""What litellm's HTTP clients do, seen and bounded, for the calls made here and for no others.

litellm reads whatever comes into memory, follows redirects with the key in a header, and raises the same class for an
answer that it cannot read as for its own mistakes. Its transports are wrapped once for the process; the wrapper does
something only in a context in which `watched` was called, so that a program's own calls to litellm stay as they are.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asyncllm.errors import AsyncLLMError, MalformedResponseError, StreamInterruptedError

from .. import size_limits
from ..errors import unreadable_failure

if TYPE_CHECKING:
    import httpx


@dataclass(slots=True)
class Exchange:
    """What was on the wire for one call.

    Attributes:
        stream: Whether a stream was asked for.
        status: The status of the last response; None while there is none.
        location: Where it redirects to.
        is_cut: Whether only the beginning of its body is read, because it is no answer.
        received_bytes: How much of its body came, unpacked.
        line_bytes: How much of it came since the last end of a line.
        start: The beginning of its body.
        failure: Why reading it was given up.
    """

    stream: bool = False
    status: int | None = None
    location: str | None = None
    is_cut: bool = False
    received_bytes: int = 0
    line_bytes: int = 0
    start: bytes = b""
    failure: AsyncLLMError | None = None


_START_BYTES = 4096  # enough to tell what it is, and to hold an error whole

_exchange: ContextVar[Exchange | None] = ContextVar("_exchange", default=None)


def watched(*, stream: bool = False) -> Exchange:
    """Watch what is exchanged in this context from now on."""
    exchange = Exchange(stream)
    _exchange.set(exchange)
    return exchange


def wrap(*transports: type[httpx.AsyncBaseTransport]) -> None:
    """Wrap the classes of transports whose exchanges are to be watched; once for the process."""
    import aiohttp
    import httpx

    class Bounded(httpx.Response):
        exchange: Exchange

        async def aiter_bytes(self, chunk_size: int | None = None) -> AsyncGenerator[bytes, None]:
            exchange = self.exchange
            async with aclosing(super().aiter_bytes(chunk_size)) as pieces:  # type: ignore[type-var]  # it is a generator
                async for piece in pieces:
                    _note(exchange, piece)
                    over = exchange.received_bytes - size_limits.MAX_LITELLM_ERROR_BYTES
                    if exchange.is_cut and over >= 0:
                        yield piece[: len(piece) - over]
                        break
                    yield piece
            await self.aclose()

    def wrapped(send: Any) -> Any:
        async def handle_async_request(self: Any, request: httpx.Request) -> httpx.Response:
            exchange = _exchange.get()
            if exchange is None:
                unwatched: httpx.Response = await send(self, request)
                return unwatched
            response: httpx.Response | None = None
            try:
                response = await send(self, request)
            except httpx.RequestError as error:
                # aiohttp's own, of a head that is no HTTP or has no end; it holds the request, with the key in it.
                if not isinstance(error.__cause__, aiohttp.ClientResponseError):
                    raise
                exchange.failure = unreadable_failure(error.__cause__.message)
            if response is None:
                assert exchange.failure is not None
                raise exchange.failure
            exchange.status = response.status_code
            is_page = response.headers.get("content-type", "").startswith("text/html")
            exchange.is_cut = is_page or response.status_code >= 400
            exchange.received_bytes, exchange.line_bytes, exchange.start = 0, 0, b""
            if response.has_redirect_location:
                # Without an address there is nothing to follow, and the status is an error like any other.
                exchange.location = response.headers.pop("location")
            bounded = Bounded(
                response.status_code, headers=response.headers, stream=response.stream, extensions=response.extensions
            )
            bounded.exchange = exchange
            return bounded

        return handle_async_request

    for transport in transports:
        transport.handle_async_request = wrapped(transport.handle_async_request)  # type: ignore[method-assign]


def _note(exchange: Exchange, piece: bytes) -> None:
    """Count a piece of an answer's body.

    Raises:
        AsyncLLMError: It is more than any answer has.
    """
    exchange.received_bytes += len(piece)
    if len(exchange.start) < _START_BYTES:
        exchange.start = (exchange.start + piece)[:_START_BYTES]
    if exchange.is_cut:
        return
    if not exchange.stream:
        if exchange.received_bytes > size_limits.MAX_ANSWER_BYTES:
            exchange.failure = MalformedResponseError(size_limits.answer_too_large(), status_code=exchange.status)
    else:
        first, last = piece.find(b"\n"), piece.rfind(b"\n")
        line_bytes = exchange.line_bytes + (len(piece) if first < 0 else first)
        exchange.line_bytes = line_bytes if first < 0 else len(piece) - last - 1
        if line_bytes > size_limits.MAX_EVENT_BYTES:
            exchange.failure = StreamInterruptedError(size_limits.event_too_long())
        elif exchange.received_bytes > size_limits.MAX_STREAM_BYTES:
            exchange.failure = StreamInterruptedError(size_limits.stream_too_long())
    if exchange.failure is not None:
        raise exchange.failure
