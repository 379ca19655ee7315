"""ItemStream: the items of a list, each as soon as it is complete."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from pydantic_core import from_json

from ..completions.completion import ExtractionAttempt
from ..messages import Request
from .errors import ended_early, refused
from .partial.json_stream import InvalidJSONError, JSONStream, Kind
from .reading import DocumentFinder, read
from .schema.answer_type import VALUE, BadAnswerError, NotJSONError
from .streams import Open, Prepare, TypedStream

T = TypeVar("T")
OnInvalid = Literal["raise", "skip"]


@dataclass(frozen=True, slots=True)
class SkippedItem:
    """An item of a list that was no value of its type.

    Attributes:
        index: Its position in the list, from 0.
        text: The item as it came.
        error: Why it was refused.
    """

    index: int
    text: str
    error: str


class ItemStream(TypedStream, Generic[T]):
    """The items of a list, each as soon as it is complete: an async iterator, and an async context manager.

    Attributes:
        skipped: The items that were skipped so far, with `on_invalid="skip"`.
    """

    def __init__(
        self,
        prepare: Prepare,
        request: Request,
        open: Open,
        *,
        title: str,
        on_invalid: OnInvalid = "raise",
        context: Any = None,
    ) -> None:
        if on_invalid not in ("raise", "skip"):
            raise ValueError(f"on_invalid must be 'raise' or 'skip', not {on_invalid!r}")
        super().__init__(prepare, request, open)
        self.skipped: list[SkippedItem] = []
        self._title = title
        self._on_invalid = on_invalid
        self._context = context
        self._splitter = _Splitter()
        self._count = 0
        self._has_ended = False

    async def __anext__(self) -> T:
        await self.open()
        while not self._has_ended:
            while self._splitter.items:
                index, text = self._count, self._splitter.items.popleft()
                self._count += 1
                try:
                    item: T = self._prepared.read_item(text, self._context)
                except BadAnswerError as error:
                    await self._refused(SkippedItem(index, text, str(error)))
                else:
                    return item
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
        """See to it that the list came to its end, and was the only answer."""
        completion = self.completion
        ended = ended_early(completion, (), lambda _: self._splitter.unfinished or None)
        if ended is not None:
            raise ended
        try:
            read(completion, self._prepared.tool, _checked_json)
            if not self._splitter.is_complete:
                raise BadAnswerError("The answer is no list.")
        except BadAnswerError as error:
            attempts = [ExtractionAttempt(completion, str(error))]
            raise refused(self._asked(f"list of {self._title}"), attempts) from None


class _Splitter:
    """Cuts a list into the texts of its items, as they come.

    Attributes:
        items: The items that are complete and were not taken.
        is_complete: Whether the list has come to its end.
    """

    def __init__(self) -> None:
        self.items: deque[str] = deque()
        self.is_complete = False
        self._finder = DocumentFinder()
        self._stream = JSONStream(self)
        self._is_broken = False
        self._depth = 0
        self._list_depth = 0  # of the list among the open values; 0 before it
        self._key = ""
        self._pieces: list[str] = []
        self._pieces_at = 0
        self._fed = 0
        self._item_at: int | None = None

    @property
    def unfinished(self) -> str:
        """The text of the item that is not complete."""
        return "" if self._item_at is None else "".join(self._pieces)[self._item_at - self._pieces_at :]

    def feed(self, piece: str) -> None:
        """Read the next piece of the answer; after something that is no JSON there are no items."""
        text = self._finder.feed(piece)
        if self._is_broken or not text:
            return
        self._pieces.append(text)
        self._fed += len(text)
        try:
            self._stream.feed(text)
        except InvalidJSONError:
            self._is_broken = True
        if self._item_at is None:
            self._pieces.clear()
            self._pieces_at = self._fed

    def begin(self, kind: Kind) -> None:
        if self._depth == self._list_depth and self._list_depth:
            self._item_at = self._stream.offset
        elif kind == "array" and not self._list_depth and not self.is_complete:
            is_top = self._depth == 0
            if is_top or (self._depth == 1 and self._key == VALUE):
                self._list_depth = self._depth + 1
        self._depth += 1

    def end(self) -> None:
        self._depth -= 1
        if self._item_at is not None and self._depth == self._list_depth:
            whole = "".join(self._pieces)
            self._pieces[:] = [whole]
            self.items.append(whole[self._item_at - self._pieces_at : self._stream.offset - self._pieces_at])
            self._item_at = None
        elif self._list_depth and self._depth == self._list_depth - 1:
            self._list_depth, self.is_complete = 0, True

    def key(self, name: str) -> None:
        self._key = name

    def text(self, piece: str) -> None:
        pass

    def scalar(self, token: str) -> None:
        if self._list_depth and self._depth == self._list_depth:
            self.items.append(token)


def _checked_json(text: str, context: Any) -> None:
    try:
        from_json(text)
    except ValueError as error:
        raise NotJSONError(f"The answer is not valid JSON: {error}.") from None
