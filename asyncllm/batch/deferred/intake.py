"""The input of a deferred batch: registered in the journal, and packed into batches."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Generic, TypeVar

from asyncllm.messages import Messages

from ..engine import Flow, failed
from ..input import BatchInput, Requests, input_of
from ..item import BatchItem
from ..journal.fingerprint import RequestSettings
from ..journal.session import JournalSession
from ..journal.store import JournalStore
from ..outcome import Outcome
from . import rows
from .providers.limits import BatchLimits
from .reading import Given
from .requests import AROUND_BYTES, RequestMaker

T = TypeVar("T")
# Items that are packed in one transaction.
_AT_ONCE = 500


class Intake(Generic[T]):
    """Takes the input of one run."""

    def __init__(
        self, session: JournalSession[T], maker: RequestMaker[T], given: Given, limits: BatchLimits, flow: Flow
    ) -> None:
        self._session = session
        self._maker = maker
        self._given = given
        self._limits = limits
        self._flow = flow

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
        to_send, ended = await self._session.register(items)
        outcomes = [outcome for _, outcome in ended]
        numbers = [(item.number, item.fingerprint.sent) for item in to_send]
        waiting = await self._session.execute(lambda store: rows.waiting_among(store.connection, numbers))
        made: list[rows.NewItem] = []
        settings: dict[bytes, RequestSettings] = {}
        for item in items:
            self._given.add(item.index, item.messages)
        for item in to_send:
            if item.number in waiting:
                continue
            try:
                made.append(await self._maker.make(item))
                settings[item.fingerprint.settings.digest] = item.fingerprint.settings
            except Exception as error:
                outcome: Outcome[T] = failed(item, error)
                await self._session.record(item, outcome)
                outcomes.append(outcome)

        def pack(store: JournalStore) -> None:
            for one in settings.values():
                store.note_settings(one)
            rows.pack(store.connection, made, self._limits, AROUND_BYTES)

        if made:
            await self._session.execute(pack)
        return outcomes


async def _chunk(source: BatchInput) -> list[Messages]:
    """Return the next items; an input that gives them one by one is waited for."""
    items: list[Messages] = []
    while len(items) < _AT_ONCE and (more := await source.take(_AT_ONCE - len(items))):
        items += more
    return items
