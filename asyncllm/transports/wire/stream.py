"""A stream of the wire: events read from a response until its real end."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import suppress

import aiohttp

from asyncllm.completions.text_chunk import AnyChunk
from asyncllm.errors import AsyncLLMError, StreamInterruptedError

from .. import size_limits
from ..base import NEVER_S, Call
from ..bodies import as_chunk, no_end, unreadable_event
from ..errors import describe, redact
from ..litellm.importing import model_response
from .connections import exchange_failure
from .exchange import Response
from .sse import SSEParser
from .timeouts import Timers

# A stream's connection goes back to the pool when the end of its body comes within this time after its last event.
_END_OF_BODY_S = 0.05
_SHOWN_BYTES = 1000  # of what is no stream, for the message that says so


class WireStream:
    """A stream read in its own loop.

    Attributes:
        headers: The response headers, lower case.
        build_response: Makes litellm's `ModelResponse` of an assembled answer.
    """

    def __init__(self, response: Response, timers: Timers, call: Call) -> None:
        self.headers: Mapping[str, str] = call.read_headers(response.headers)
        self.build_response: Callable[[dict[str, object]], object] | None = model_response
        self._response = response
        self._timers = timers
        self._call = call
        self._parser = SSEParser(size_limits.MAX_EVENT_BYTES)
        assert call.request is not None
        self._reader = call.request.open_reader(call.secrets())
        self._start = b""  # what came before the first chunk, while there was none
        self._left_bytes = size_limits.MAX_STREAM_BYTES
        self._ended = False
        self._broken: AsyncLLMError | None = None

    async def read(self, timeout_s: float) -> Sequence[AnyChunk]:
        """Return the chunks that are there, at least one; none at the end."""
        try:
            with self._timers.limit(timeout_s):
                while not self._ended:
                    if self._broken is not None:
                        raise self._taken_broken()
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

    async def read_to_end(self) -> AsyncGenerator[Sequence[AnyChunk], None]:
        """Yield the chunks as they come, and close the stream at the end; without timeout, which is the reader's."""
        try:
            while chunks := await self.read(NEVER_S):
                yield chunks
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Close the connection, or return it to the pool when its body has come to its end."""
        if self._ended and not self._response.closed:
            with suppress(TimeoutError, aiohttp.ClientError, OSError), self._timers.limit(_END_OF_BODY_S):
                while not self._response.content.at_eof():
                    await self._response.content.readany()
        self._response.close()

    def abandon(self) -> None:
        """Close the connection from any thread."""
        with suppress(RuntimeError):  # its loop is closed, and the connection with it
            self._timers.loop.call_soon_threadsafe(self._response.close)

    def _chunks(self, piece: bytes) -> list[AnyChunk]:
        """Decode the events that a piece completes; none at the end of the body.

        What came before a failure in the same piece is returned first, and the failure raised by the next read.
        """
        chunks: list[AnyChunk] = []
        reader, texts = self._reader, self._reader.texts
        self._left_bytes -= len(piece)
        if not reader.has_begun:
            self._start = (self._start + piece)[:_SHOWN_BYTES]
        try:
            for event in self._parser.feed(piece) if piece else self._parser.end():
                if texts is not None and (chunk := texts.chunk(event)) is not None:
                    chunks.append(chunk)
                    continue
                chunks += reader.feed(event)
                if reader.has_ended:
                    self._ended = True
                    return chunks
            if not piece:
                whole = self._parser.whole
                if whole is not None:
                    chunks.append(self._whole(whole))
                self._ended = whole is not None or reader.is_whole
                if not self._ended:
                    self._broken = no_end(self._start, has_begun=reader.has_begun)
            elif self._left_bytes < 0:
                self._broken = StreamInterruptedError(size_limits.stream_too_long())
        except ValueError as error:  # the parser's, of an event that is too long
            self._broken = unreadable_event(error, self._start, has_begun=reader.has_begun)
        except AsyncLLMError as error:
            self._broken = error
        if self._broken is not None and not chunks:
            raise self._taken_broken()
        return chunks

    def _whole(self, body: bytes) -> dict[str, object]:
        """Return the answer of a server that ignores that a stream was asked for."""
        request = self._call.request
        assert request is not None
        return as_chunk(request.read_answer(body, self._call.secrets()))

    def _taken_broken(self) -> AsyncLLMError:
        """Return the failure, and keep it no longer: its traceback leads back here."""
        broken, self._broken = self._broken, None
        assert broken is not None
        return broken

    def _cut(self, error: BaseException) -> AsyncLLMError:
        if not self._reader.has_begun:
            return exchange_failure(error, self._call, "first_token_timeout")
        error.__traceback__ = None  # as there
        return StreamInterruptedError(
            f"the stream was cut: {redact(describe(error), self._call.secrets()).rstrip('.')}."
        )
