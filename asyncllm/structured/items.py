"""Streams of the items of a list, each validated as soon as it is complete."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from ..completions.completion import ExtractionAttempt
from .errors import ended_early, refused
from .forms import TypedForms
from .nesting import Nesting
from .reading import DocumentFinder, read
from .schema.answer_type import VALUE
from .schema.readers import BadAnswerError, parsed
from .streams import Open, TypedStream

T = TypeVar("T")
OnInvalid = Literal["raise", "skip"]


@dataclass(frozen=True, slots=True)
class SkippedItem:
    """An invalid item of a list.

    Attributes:
        index: Its position in the list, from 0.
        text: The item as it came.
        error: Why it was refused.
    """

    index: int
    text: str
    error: str


class ItemStream(TypedStream[list[T]], Generic[T]):
    """The items of a list, each as soon as it is complete: an async iterator, and an async context manager.

    Attributes:
        skipped: The items that were skipped so far, with `on_invalid="skip"`.

    Example:
        ```python
        async with llm.stream_items(str, "Name three rivers.", on_invalid="skip") as rivers:
            async for river in rivers:
                print(river)
        print([item.error for item in rivers.skipped])
        ```
    """

    def __init__(
        self,
        forms: TypedForms[list[T]],
        open: Open,
        *,
        title: str,
        on_invalid: OnInvalid = "raise",
        context: object = None,
    ) -> None:
        if on_invalid not in ("raise", "skip"):
            raise ValueError(f"on_invalid must be 'raise' or 'skip', not {on_invalid!r}")
        super().__init__(forms, open)
        self.skipped: list[SkippedItem] = []
        self._title = title
        self._on_invalid = on_invalid
        self._context = context
        self._splitter = ListSplitter()
        self._count = 0
        self._has_ended = False

    async def __anext__(self) -> T:
        await self.open()
        while not self._has_ended:
            while self._splitter.items:
                index, text = self._count, self._splitter.items.popleft()
                self._count += 1
                try:
                    return self._prepared.read_item(text, self._context)
                except BadAnswerError as error:
                    bad = SkippedItem(index, text, str(error))
                await self._refused(bad)
            piece = await self._piece()
            if piece is None:
                self._has_ended = True
                self._check_end()
            else:
                self._splitter.feed(piece)
        raise StopAsyncIteration

    async def _refused(self, item: SkippedItem) -> None:
        if self._on_invalid == "skip":
            self.skipped.append(item)
            return
        self._has_ended = True
        await self.aclose()
        title = f"{self._title}, as item {item.index} of a list,"
        raise refused(self._asked(title), [ExtractionAttempt(self.completion, item.error)], item.text)

    def _check_end(self) -> None:
        """Raise unless the list is complete and the only answer."""
        completion = self.completion
        ended = ended_early(completion, (), lambda _: self._splitter.unfinished or None)
        if ended is not None:
            raise ended
        try:
            form = self._prepared
            read(completion, form.answer_type.name, lambda text, _: parsed(text), by_tool=form.tool is not None)
            if not self._splitter.is_complete:
                raise BadAnswerError("The answer is no list.")
        except BadAnswerError as error:
            attempts = [ExtractionAttempt(completion, str(error))]
            raise refused(self._asked(f"list of {self._title}"), attempts) from None


class ListSplitter:
    """Cuts a list into the texts of its items as they come, in time linear in its length.

    Attributes:
        items: The complete items that were not taken yet.
        is_complete: Whether the list has ended.
    """

    def __init__(self) -> None:
        self.items: deque[str] = deque()
        self.is_complete = False
        self._finder = DocumentFinder()
        self._nesting = Nesting()
        self._depth = 0  # of the list; 0 before it
        self._pieces: list[str] = []
        self._base = 0  # the offset of the first piece
        self._start = 0  # the offset of the incomplete item

    @property
    def unfinished(self) -> str:
        """The text of the incomplete item."""
        return "".join(self._pieces)[self._start - self._base :].strip() if self._depth else ""

    def feed(self, piece: str) -> None:
        """Read the next piece of the answer. After invalid JSON there are no more items."""
        text = self._finder.feed(piece)
        if not text or self.is_complete or self._nesting.end is not None:
            return
        self._pieces.append(text)
        for mark, offset in self._nesting.feed(text):
            depth = self._nesting.depth
            if not self._depth:
                if mark == "[" and (depth == 1 or (depth == 2 and self._nesting.key == VALUE)):
                    self._depth, self._start = depth, offset
            elif depth < self._depth:
                self._cut(offset - 1, offset)
                self.is_complete, self._depth = True, 0
                break
            elif depth == self._depth and mark == ",":
                self._cut(offset - 1, offset)
            elif depth == self._depth and mark in '"}]':
                self._cut(offset, offset)
        if self._start > self._base:
            self._pieces = ["".join(self._pieces)[self._start - self._base :]]
            self._base = self._start

    def _cut(self, end: int, start: int) -> None:
        """Take the item that ends at one offset; the next one starts at another."""
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        item = self._pieces[0][self._start - self._base : end - self._base].strip()
        if item:
            self.items.append(item)
        self._start = start
