"""PartialStream: a typed answer as it grows."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from ..completions.call_record import CallRecord
from ..completions.chunk import Chunk
from ..completions.completion import Completion, ExtractionAttempt
from ..completions.stream import CompletionStream
from ..errors import ExtractionError, StreamInterruptedError
from ..messages import Request
from .errors import Asked, ended_early, refused
from .partial.shapes import HIDDEN
from .partial.snapshots import Snapshots, partial_value
from .prompting import Prepared
from .schema.answer_type import BadAnswerError

T = TypeVar("T")
Prepare = Callable[[], Awaitable[Prepared]]
Open = Callable[[Request], CompletionStream]


class TypedStream:
    """A stream that asks for a type; use it in `async with`, and leaving the block closes the connection."""

    def __init__(self, prepare: Prepare, request: Request, open: Open) -> None:
        self._prepare = prepare
        self._request = request
        self._open = open
        self._form: Prepared | None = None
        self._stream: CompletionStream | None = None

    @property
    def completion(self) -> Completion:
        """The whole answer, with usage and cost; after an early end, the answer so far.

        Raises:
            RuntimeError: While the stream is still open.
        """
        return self._opened.completion

    @property
    def record(self) -> CallRecord:
        """How the call is going.

        Raises:
            RuntimeError: Before the stream is open.
        """
        return self._opened.record

    async def open(self) -> Self:
        """Send the request and wait for the first chunk; entering the block does it."""
        if self._stream is None:
            self._form = await self._prepare()
            self._begin(self._form)
            self._stream = self._open(self._form.request(self._request))
        await self._stream.open()
        return self

    async def aclose(self) -> None:
        """Close the connection; returns when it is closed. Closing twice is harmless."""
        if self._stream is not None:
            await self._stream.aclose()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._stream is not None:
            await self._stream.__aexit__(kind, error, traceback)

    def __aiter__(self) -> Self:
        return self

    @property
    def _opened(self) -> CompletionStream:
        if self._stream is None:
            raise RuntimeError("the stream is not open; use `async with`")
        return self._stream

    @property
    def _prepared(self) -> Prepared:
        assert self._form is not None
        return self._form

    def _begin(self, form: Prepared) -> None:
        """Make ready for what was asked for."""

    async def _piece(self) -> str | None:
        """Return the next piece of the answer's text, or of the arguments of the tool's call; None at the end."""
        stream = self._opened
        async for chunk in stream:
            piece = chunk.text if self._prepared.tool is None else self._arguments(chunk)
            if piece:
                return piece
        return None

    def _arguments(self, chunk: Chunk) -> str:
        pieces = []
        for delta in chunk.tool_calls:
            # A second call, or one of another tool, is not what was asked for; the end of the answer tells.
            if (delta.index or 0) == 0 and delta.function is not None:
                pieces.append(delta.function.arguments or "")
        return "".join(pieces)

    def _asked(self, title: str) -> Asked:
        return Asked(title, self._prepared.mode, self._request)


class PartialStream(TypedStream, Generic[T]):
    """Growing snapshots of a value: an async iterator, and an async context manager that closes it.

    A snapshot has the fields of the type; one that has not come yet reads None. Texts grow; numbers, enum members and
    dates are there when they are complete. Each snapshot shows more than the one before, and none changes afterwards.
    """

    def __init__(
        self, prepare: Prepare, request: Request, open: Open, *, min_interval: float = 0.0, context: Any = None
    ) -> None:
        super().__init__(prepare, request, open)
        self._min_interval_s = min_interval
        self._context = context
        self._snapshots: Snapshots | None = None
        self._taken_at = float("-inf")
        self._partial: Any = None
        self._error: ExtractionError | StreamInterruptedError | None = None  # what the stream ended with

    @property
    def latest(self) -> T | None:
        """The last snapshot; None when there was none."""
        value: T | None = self._partial
        return value

    async def final(self) -> T:
        """Read to the end and return the validated value. A bad answer is not asked for again.

        Raises:
            RefusalError: The model declined.
            IncompleteOutputError: The answer was cut by the token limit.
            ExtractionError: The answer is no value of the type.
            StreamInterruptedError: The stream was cut; with the value so far as its `partial_value`.
        """
        await self.open()
        async for _ in self:
            pass
        if self._error is not None:
            raise self._error
        completion = self.completion
        try:
            value: T = self._prepared.read(completion, self._context)
        except BadAnswerError as error:
            attempts = [ExtractionAttempt(completion, str(error))]
            title = self._prepared.answer_type.title
            raise refused(self._asked(title), attempts, partial_value(self._prepared, completion)) from None
        return value

    def _begin(self, form: Prepared) -> None:
        self._snapshots = Snapshots(form.shape)

    async def __anext__(self) -> T:
        await self.open()
        snapshots = self._snapshots
        assert snapshots is not None
        while (piece := await self._next_piece()) is not None:
            snapshots.feed(piece)
            if snapshots.is_due and time.monotonic() - self._taken_at >= self._min_interval_s:
                return self._take(snapshots)
        if snapshots.is_changed:
            return self._take(snapshots)
        if self._error is None:
            self._error = ended_early(self.completion, (), partial(partial_value, self._prepared))
            if self._error is not None:
                raise self._error
        raise StopAsyncIteration

    async def _next_piece(self) -> str | None:
        try:
            return await self._piece()
        except StreamInterruptedError as error:
            assert self._snapshots is not None
            value = self._snapshots.take()
            error.partial_value = None if value is HIDDEN else value
            self._error = error
            raise

    def _take(self, snapshots: Snapshots) -> T:
        self._taken_at = time.monotonic()
        self._partial = snapshots.take()
        value: T = self._partial
        return value
