"""Batches that have ended: their results read into outcomes, and what they leave put into others."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Generic, TypeVar

from asyncllm.errors import BadRequestError

from ..journal.session import JournalSession
from ..options import OnExpired
from . import rows
from .adoption import Adoption
from .ends import unanswered
from .providers.limits import BatchLimits
from .providers.provider import BatchResult, ProviderBatch
from .reading import AT_ONCE, Ended, Reader
from .requests import AROUND_BYTES, RequestMaker
from .rows import BatchRow, ItemRow
from .sending import Sender

T = TypeVar("T")
# How many batches an expired item may be in, before it is sent live.
_ROUNDS = 2
# What the codes say by which a batch does not fit into the account's queue. Source: OpenAI's and Azure's answers.
_QUEUE_IS_FULL = ("token_limit_exceeded", "enqueued")


class EndedBatches(Generic[T]):
    """Reads the ended batches of one job."""

    def __init__(
        self,
        session: JournalSession[T],
        reader: Reader[T],
        maker: RequestMaker[T],
        sender: Sender[T],
        adoption: Adoption[T],
        limits: BatchLimits,
        on_expired: OnExpired,
    ) -> None:
        self._session = session
        self._reader = reader
        self._maker = maker
        self._sender = sender
        self._adoption = adoption
        self._limits = limits
        self._on_expired = on_expired

    async def read(self, row: BatchRow, found: ProviderBatch) -> AsyncGenerator[list[Ended[T]], None]:
        """Read a batch that has ended, and yield the outcomes of its items."""
        if found.status == "failed":
            async for failures in self._refused(row, found):
                yield failures
            return
        is_known = bool(row.mark or found.source)  # what was asked for; of others, results alone show it
        async with aclosing(self._reader.lines(found.results)) as chunks:
            async for lines in chunks:
                is_known = True
                yield await self._chunk(row, lines)
        leaving = "0" if self._on_expired == "fail" else rows.expired(found.status)
        while items := await self._items_of(row, leaving):
            yield [self._reader.failed(item, unanswered(item.fate or found.status)) for item in items]
        again = _ROUNDS if self._on_expired == "resubmit" else 0
        await self._session.execute(lambda store: rows.close_batch(store.connection, row, found.status, again))
        if not is_known and found.status != "completed":
            raise unanswered(found.status)

    async def _chunk(self, row: BatchRow, lines: Sequence[bytes]) -> list[Ended[T]]:
        results = await self._adoption.numbered(row, self._reader.results(lines))
        found = await self._session.execute(lambda store: rows.items_of(store.connection, row.batch, list(results)))
        fates: list[tuple[str, int]] = []
        ended: list[tuple[ItemRow, BatchResult]] = []
        for number, item in found.items():
            result = results[number]
            if result.fate is not None:
                fates.append((result.fate, number))
            else:
                ended.append((item, result))
        if fates:
            await self._session.execute(lambda store: rows.note_fates(store.connection, fates))
        return await self._reader.outcomes(row, ended) + await self._ask_again(row)

    async def _ask_again(self, row: BatchRow) -> list[Ended[T]]:
        """Pack the items whose answers were refused once more, and return the outcomes of those that cannot be sent."""
        again, self._reader.asked_again = self._reader.asked_again, []
        made: list[rows.NewItem] = []
        ended: list[Ended[T]] = []
        for item, asked in again:
            try:
                made.append(self._maker.make_again(item, asked))
            except Exception as error:
                ended.append(self._reader.not_asked_again(item, asked, error))
        if made:
            limits = self._limits
            await self._session.execute(lambda store: rows.pack(store.connection, made, limits, AROUND_BYTES, row))
        return ended

    async def _refused(self, row: BatchRow, found: ProviderBatch) -> AsyncGenerator[list[Ended[T]], None]:
        """Handle a batch that the provider refused as a whole."""
        reason = found.reason or "the provider gave no reason"
        if any(word in f"{found.code} {found.reason}".lower() for word in _QUEUE_IS_FULL):
            await self._sender.postpone(row)
            return
        error = BadRequestError(f"the provider refused the batch: {reason}")
        item = None if found.line is None else await self._sender.item_at(row, found.line)
        if item is not None:
            yield [self._reader.failed(item, error)]
            await self._session.execute(lambda store: rows.send_again(store.connection, row.batch))
            return
        is_known = bool(row.mark or found.source)
        while items := await self._items_of(row, "0"):
            is_known = True
            yield [self._reader.failed(one, BadRequestError(error.message)) for one in items]
        await self._session.execute(
            lambda store: rows.set_state(store.connection, row.batch, "closed", status="failed", ended_at=time.time())
        )
        if not is_known:
            raise error

    async def _items_of(self, row: BatchRow, leaving: str) -> list[ItemRow]:
        return await self._session.execute(
            lambda store: rows.next_items(store.connection, row.batch, AT_ONCE, leaving=leaving)
        )
