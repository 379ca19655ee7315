"""CompletionStream: an answer as it arrives, closed on every way out."""

from __future__ import annotations

import sys
import time
import warnings
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Protocol, Self

import anyio

from ..errors import AsyncLLMError, ProviderError, ProviderTimeoutError, StreamInterruptedError
from ..threads import into_this_loop
from .bounded_assembly import BoundedAssembly
from .call_record import CallRecord
from .chunk import Chunk
from .chunk_assembly import ChunkAssembly
from .completion import Completion
from .text_chunk import AnyChunk
from .usage import Usage

if TYPE_CHECKING:
    from ..pipeline.deadline import Deadline
    from ..transports.base import ChunkStream

OnInterrupt = Literal["raise", "restart"]


class Held(Protocol):
    """What a stream holds until it is closed."""

    def release(self, used_tokens: int | None = None, cost_usd: float | None = None, *, least_usd: float = 0.0) -> None:
        """Release it, and settle with the tokens that were used and their cost in US dollars, or the least of it."""
        ...


@dataclass(slots=True)
class Opened:
    """A stream whose first chunks have arrived, with all that belongs to it.

    Attributes:
        source: The transport's stream.
        first: The chunks that came with the first read.
        admission: Its slot, held until the stream is closed.
        record: The record of the call.
        deadline: The end of the whole call.
        idle_timeout_s: Seconds between chunks.
        price: The cost of a usage in US dollars.
        estimate: The usage of a text that came without one.
        finished: Called once at the end, with the answer, and the error if there was one.
        needs_text: Whether that call takes the whole text: for a log, a cache or a trace.
    """

    source: ChunkStream
    first: Sequence[AnyChunk]
    admission: Held
    record: CallRecord
    deadline: Deadline
    idle_timeout_s: float
    price: Callable[[Usage], float | None]
    estimate: Callable[[str], Usage]
    finished: Callable[[Completion, BaseException | None], None]
    needs_text: bool = False


class CompletionStream:
    """The chunks of an answer as they arrive: an async iterator, and an async context manager that closes it.

    Leaving the block, by any way, closes the connection before the block is left. Chunks are not buffered: a reader
    that stops reading stops the provider.
    """

    def __init__(
        self, open: Callable[[], Awaitable[Opened]], *, restarts: int = 0, on_interrupt: OnInterrupt = "raise"
    ) -> None:
        self._open = open
        self._opened: Opened | None = None
        self._restarts = restarts if on_interrupt == "restart" else 0
        self._pending: deque[AnyChunk] = deque()
        self._assembly = ChunkAssembly()
        self._most_chars: int | None = None
        self._restarted = False
        self._completion: Completion | None = None
        self._closed = False
        self._into_loop: Callable[..., object] | None = None
        self._made_at = _caller()

    @property
    def text(self) -> str:
        """The text so far."""
        return self._assembly.text

    @property
    def completion(self) -> Completion:
        """The whole answer, with usage and cost; after an early end, the answer so far.

        Raises:
            RuntimeError: While the stream is still open, and of one that was closed before its first chunk.
        """
        if self._completion is None:
            raise RuntimeError(
                "there is no answer: the stream was closed before its first chunk"
                if self._closed
                else "the answer is complete when the stream has ended; read it to its end, or leave its block"
            )
        return self._completion

    @property
    def record(self) -> CallRecord:
        """The record of the call so far.

        Raises:
            RuntimeError: Before the stream is open.
        """
        if self._opened is None:
            raise RuntimeError("the stream is not open; use `async with` or iterate over it")
        return self._opened.record

    def keep_at_most(self, characters: int) -> None:
        """Keep the text only while it is no longer than that; call it before the stream is opened.

        The memory of a stream whose chunks are passed on stays bounded. `text` and the texts of `completion` are empty
        once the answer is longer; its usage, cost and finish reason are the same. What records answers (the cache,
        `log_prompts`, traces with content) takes the whole text, and has it kept.
        """
        self._most_chars = characters

    async def collect(self) -> Completion:
        """Read to the end and return the whole answer."""
        async for _ in self:
            pass
        return self.completion

    async def open(self) -> Self:
        """Send the request and wait for the first chunk; entering the block and reading the first chunk do it too."""
        if self._opened is None and not self._closed:
            opened = self._opened = await self._open()
            self._into_loop = into_this_loop()
            self._pending.extend(opened.first)
            if self._most_chars is not None and not opened.needs_text:
                self._assembly = BoundedAssembly(self._most_chars, opened.estimate)
        return self

    async def aclose(self) -> None:
        """Close the connection; returns when it is closed. Closing twice is harmless."""
        await self._finish(GeneratorExit())

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._finish(GeneratorExit() if error is None else error)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Chunk:
        while not self._pending:
            if self._closed:
                raise StopAsyncIteration
            await self._fill()
        data = self._assembly.add(self._pending.popleft())
        chunk = Chunk(data, restarted=self._restarted)
        self._restarted = False
        return chunk

    async def _fill(self) -> None:
        """Read the chunks that have arrived; close at the end."""
        opened = self._opened or (await self.open())._opened
        assert opened is not None
        if self._pending:
            return
        failure: AsyncLLMError | None = None
        try:
            chunks = await opened.source.read(opened.deadline.clip(opened.idle_timeout_s))
        except TimeoutError as error:
            failure = error if isinstance(error, ProviderTimeoutError) else self._timed_out(opened)
        except AsyncLLMError as error:
            failure = error
        except BaseException as error:
            await self._finish(error)
            raise
        else:
            if chunks:
                self._pending.extend(chunks)
            elif rest := self._assembly.rest():
                self._pending.append(rest)
            else:
                await self._finish(None)
            return
        try:
            await self._interrupted(opened, failure)
        finally:
            del failure  # its traceback holds this frame, and a cycle would keep a closed client alive

    async def _interrupted(self, opened: Opened, failure: AsyncLLMError) -> None:
        last = opened.record.attempts[-1]
        last.error, last.message = type(failure).__name__, failure.message
        await self._finish(failure)
        if self._restarts > 0 and isinstance(failure, ProviderError) and opened.deadline.admits(0):
            self._restarts -= 1
            await self._restart(opened.record)
            return
        if isinstance(failure, ProviderError) and not isinstance(failure, ProviderTimeoutError):
            failure = _with_partial(failure, self.completion)
        opened.record.complete_error(failure, opened.record.profile)
        try:
            raise failure.with_traceback(None)
        finally:
            del failure

    async def _restart(self, interrupted: CallRecord) -> None:
        """Open the stream again; if that fails, the interrupted answer stays the answer so far."""
        so_far, completion = self._assembly, self._completion
        self._closed, self._completion, self._opened, self._assembly = False, None, None, ChunkAssembly()
        try:
            await self.open()
        except BaseException:
            self._closed, self._completion, self._assembly = True, completion, so_far
            raise
        self.record.attempts[:0] = interrupted.attempts
        self._restarted = True

    def _timed_out(self, opened: Opened) -> AsyncLLMError:
        if not opened.deadline.admits(0):
            return opened.deadline.error("reading a stream")
        count = len(self.text)
        return ProviderTimeoutError(
            f"no further chunk within idle_timeout = {opened.idle_timeout_s:g} s ({count:,} characters had arrived).",
            hint="Raise idle_timeout if the model pauses that long.",
            timeout="idle_timeout",
        )

    async def _finish(self, error: BaseException | None) -> None:
        opened = self._opened
        if self._closed:
            return
        self._closed = True
        if opened is None:
            return
        try:
            with anyio.CancelScope(shield=True):
                await opened.source.aclose()
        finally:
            self._completion = _settle(opened, self._assembly, self._pending, error)

    def __del__(self) -> None:
        opened = self._opened
        if opened is None or self._closed or self._into_loop is None:
            return
        self._closed = True
        message = f"a stream opened at {self._made_at} was never closed; use `async with`, or read it to its end"
        opened.source.abandon()
        with suppress(RuntimeError):  # the loop has ended, and no call waits for the slot
            # A destructor may run on any thread; the slot and the counters belong to the loop.
            self._into_loop(_settle, opened, self._assembly, self._pending, ResourceWarning(message))
        warnings.warn(message, ResourceWarning, source=self, stacklevel=1)


def ending(error: BaseException) -> str:
    """Return the name of what ended a call; a cancellation has the same name on every backend."""
    return type(error).__name__ if isinstance(error, Exception) else "cancelled"


def _settle(
    opened: Opened, assembly: ChunkAssembly, pending: deque[AnyChunk], error: BaseException | None
) -> Completion:
    """Return the answer of a stream that has ended; release its slot and report its end."""
    # Chunks that were read and not yet yielded belong to the answer of a stream that is left early as well.
    for data in pending:
        assembly.add(data)
    pending.clear()
    if rest := assembly.rest():
        assembly.add(rest)
    usage = Usage.from_dict(assembly.usage)
    cost: float | None = None
    least_usd = 0.0
    try:
        if usage.basis == "unknown":
            usage = assembly.estimated(opened.estimate)
        arrived_usd = opened.price(usage)
        # The provider may have generated more of an interrupted answer than has arrived.
        if usage.basis == "known" or assembly.finished:
            cost = arrived_usd
        least_usd = arrived_usd or 0.0
    finally:
        opened.admission.release(usage.total_tokens, cost, least_usd=least_usd)
    opened.record.elapsed_s = time.time() - opened.record.started_at
    completion = Completion(
        assembly.result(), opened.record, usage=usage, price=opened.price, build_response=opened.source.build_response
    )
    if isinstance(error, GeneratorExit) and assembly.finished:
        error = None  # left early, but after the last chunk of the answer
    opened.finished(completion, error)
    return completion


def _with_partial(failure: ProviderError, partial: Completion) -> StreamInterruptedError:
    """Return the failure as an interruption that carries the answer so far."""
    if isinstance(failure, StreamInterruptedError):
        failure.partial = partial
        return failure
    return StreamInterruptedError(
        f"the stream was interrupted: {failure.message}",
        hint=failure.hint,
        partial=partial,
        status_code=failure.status_code,
        request_id=failure.request_id,
        retry_after=failure.retry_after,
    )


_PACKAGE = str(Path(__file__).parents[1])


def _caller() -> str:
    """Return the caller outside of this package, as file:line."""
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]  # documented, and much cheaper than inspect
    while frame.f_code.co_filename.startswith(_PACKAGE) and frame.f_back is not None:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
