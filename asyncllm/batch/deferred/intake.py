"""The input of a deferred batch: registered in the journal, and packed into batches."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Generic, TypeVar

from asyncllm.messages import Messages

from ..engine import Flow, failed
from ..input import BatchInput, Requests, input_of
from ..item import BatchItem
from ..journal.session import JournalSession
from ..journal.store import JournalStore
from ..outcome import Outcome
from . import rows
from .providers.limits import BatchLimits
from .requests import AROUND_BYTES, Given, RequestMaker

T = TypeVar("T")
# Items that are packed in one transaction.
_AT_ONCE = 200


class Intake(Generic[T]):
    """Takes the input of one run."""

    def __init__(
        self,
        session: JournalSession[T],
        maker: RequestMaker[T],
        given: Given,
        limits: BatchLimits,
        flow: Flow,
        *,
        deduplicates: bool,
    ) -> None:
        self._session = session
        self._maker = maker
        self._given = given
        self._limits = limits
        self._flow = flow
        self._deduplicates = deduplicates

    async def take(self, requests: Requests) -> AsyncGenerator[list[Outcome[T]], None]:
        """Pack requests, and yield the outcomes of those that are known, or cannot be sent."""
        source = input_of(requests)
        try:
            while taken := await _chunk(source):
                items = [BatchItem(self._flow.taken + n, messages) for n, messages in enumerate(taken)]
                self._flow.taken += len(items)
                yield await self._pack(items)
        finally:
            await source.aclose()
        await self._session.execute(lambda store: rows.finish_packing(store.connection))
        yield []

    async def _pack(self, items: Sequence[BatchItem]) -> list[Outcome[T]]:
        for item in items:
            self._given.add(item.index, item.messages)
        to_send, ended = await self._session.register(items)
        outcomes = [outcome for _, outcome in ended]
        new, duplicates = await self._divided(to_send)
        made: list[rows.NewItem] = []
        for item in new:
            try:
                if (one := await self._maker.make(item)) is not None:
                    made.append(one)
                    continue
                outcome = await self._maker.answered(item)
            except Exception as error:
                outcome = failed(item, error)
            await self._session.record(item, outcome)
            outcomes.append(outcome)
        shared = [self._maker.duplicate(item) for item in duplicates]
        settings = {item.fingerprint.settings.digest: item.fingerprint.settings for item in (*new, *duplicates)}

        def pack(store: JournalStore) -> None:
            for one in settings.values():
                store.note_settings(one)
            rows.pack(store.connection, made, self._limits, AROUND_BYTES)
            for item in shared:
                rows.insert(store.connection, rows.DUPLICATES, item)

        if made or shared:
            await self._session.execute(pack)
        return outcomes

    async def _divided(self, items: Sequence[BatchItem]) -> tuple[list[BatchItem], list[BatchItem]]:
        """Return the items that are not with the provider yet, and those that share the answer of another."""
        numbers = [(item.number, item.fingerprint.sent) for item in items]
        waiting = await self._session.execute(lambda store: rows.waiting_among(store.connection, numbers))
        left = [item for item in items if item.number not in waiting]
        if not self._deduplicates:
            return left, []
        sent = [item.fingerprint.sent for item in left]
        under_way = await self._session.execute(lambda store: rows.under_way(store.connection, sent))
        new: list[BatchItem] = []
        duplicates: list[BatchItem] = []
        for item in left:
            (duplicates if item.fingerprint.sent in under_way else new).append(item)
            under_way.add(item.fingerprint.sent)
        return new, duplicates


async def _chunk(source: BatchInput) -> list[Messages]:
    """Return the next items; an input that gives them one by one is waited for."""
    items: list[Messages] = []
    while len(items) < _AT_ONCE and (more := await source.take(_AT_ONCE - len(items))):
        items += more
    return items
