"""Streams of typed answers, and of partial values."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, Self, cast

from typing_extensions import TypeVar

from ..completions.call_record import CallRecord
from ..completions.chunk import Chunk
from ..completions.completion import Completion, ExtractionAttempt
from ..completions.stream import CompletionStream
from ..errors import ExtractionError, StreamInterruptedError
from .errors import Asked, ended_early, refused
from .forms import TypedForms
from .partial.shapes import HIDDEN
from .partial.snapshots import Snapshots
from .prompting import Prepared
from .schema.readers import BadAnswerError

T = TypeVar("T", default=Any)
Open = Callable[[TypedForms[Any]], CompletionStream]


class TypedStream(Generic[T]):
    """A stream that asks for a type; use it in `async with`, and leaving the block closes the connection."""

    def __init__(self, forms: TypedForms[T], open: Open) -> None:
        self._forms = forms
        self._open = open
        self._stream: CompletionStream | None = None
        self._has_called = False

    @property
    def completion(self) -> Completion:
        """The whole answer, with usage and cost; after an early end, the answer so far.

        Raises:
            RuntimeError: While the stream is still open.
        """
        return self._opened.completion

    @property
    def record(self) -> CallRecord:
        """The record of the call so far.

        Raises:
            RuntimeError: Before the stream is open.
        """
        return self._opened.record

    async def open(self) -> Self:
        """Send the request and wait for the first chunk; entering the block does it."""
        if self._stream is None:
            self._stream = self._open(self._forms)
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
    def _prepared(self) -> Prepared[T]:
        return self._forms.form

    async def _piece(self) -> str | None:
        """Return the next piece of the answer's text, or of the arguments of the tool's call; None at the end.

        In the mode `tools`, the text counts until a tool is called.
        """
        async for chunk in self._opened:
            self._has_called = self._has_called or (self._prepared.tool is not None and bool(chunk.tool_calls))
            piece = _arguments(chunk) if self._has_called else chunk.text
            if piece:
                return piece
        return None

    def _asked(self, title: str) -> Asked:
        return Asked(title, self._prepared.mode, self._forms.original)


class PartialStream(TypedStream[T]):
    """Growing snapshots of a value: an async iterator, and an async context manager that closes it.

    A snapshot has the fields of the type; a missing one reads None. Strings grow; numbers, enum members and dates are
    there when they are complete. Each snapshot shows more than the one before, and none changes afterwards.

    Example:
        ```python
        from pydantic import BaseModel

        class Recipe(BaseModel):
            title: str
            steps: list[str]

        async with llm.stream_partial(Recipe, "How is bread baked?") as stream:
            async for partial in stream:
                print(partial.title, partial.steps)
            recipe = await stream.final()
        ```
    """

    def __init__(self, forms: TypedForms[T], open: Open, *, min_interval: float = 0.0, context: object = None) -> None:
        super().__init__(forms, open)
        self._min_interval_s = min_interval
        self._context = context
        self._snapshots: Snapshots | None = None
        self._taken_at = float("-inf")
        self._error: ExtractionError | StreamInterruptedError | None = None  # at the end of the stream

    @property
    def latest(self) -> T | None:
        """The last snapshot; None when there was none."""
        shown = HIDDEN if self._snapshots is None else self._snapshots.latest
        return None if shown is HIDDEN else cast(T, shown)

    async def final(self) -> T:
        """Read to the end and return the validated value. A bad answer is not asked for again.

        Raises:
            RefusalError: The model declined.
            IncompleteOutputError: The answer was cut by the token limit.
            ExtractionError: The answer is no value of the type.
            StreamInterruptedError: The stream was interrupted; its `partial_value` is the value so far.
        """
        await self.open()
        async for _ in self:
            pass
        if self._error is not None:
            raise self._error
        completion = self.completion
        try:
            return self._prepared.read(completion, self._context)
        except BadAnswerError as error:
            attempts = [ExtractionAttempt(completion, str(error))]
            title = self._prepared.answer_type.title
            raise refused(self._asked(title), attempts, self._prepared.partial(completion)) from None

    async def __anext__(self) -> T:
        await self.open()
        if self._snapshots is None:
            self._snapshots = Snapshots(self._prepared.shape)
        snapshots = self._snapshots
        while (piece := await self._next_piece(snapshots)) is not None:
            snapshots.feed(piece)
            is_soon = time.monotonic() - self._taken_at < self._min_interval_s
            if snapshots.is_due and not is_soon and snapshots.advance():
                self._taken_at = time.monotonic()
                return cast(T, snapshots.latest)
        if snapshots.advance():
            return cast(T, snapshots.latest)
        if self._error is None:
            self._error = ended_early(self.completion, (), self._prepared.partial)
            if self._error is not None:
                raise self._error
        raise StopAsyncIteration

    async def _next_piece(self, snapshots: Snapshots) -> str | None:
        try:
            return await self._piece()
        except StreamInterruptedError as error:
            snapshots.advance()
            error.partial_value = self.latest
            self._error = error
            raise


def _arguments(chunk: Chunk) -> str:
    pieces: list[str] = []
    for delta in chunk.tool_calls:
        # A second call, or one of another tool, is not what was asked for; the end of the answer shows it.
        if (delta.index or 0) == 0 and delta.function is not None:
            pieces.append(delta.function.arguments or "")
    return "".join(pieces)
