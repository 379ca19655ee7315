"""Outcomes of a deferred batch, written into its journal."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from ..journal.answer_row import AnswerRow
from ..journal.entry import encode
from ..journal.fingerprint import Fingerprint, RequestSettings
from ..journal.journal import Journal
from ..journal.session import JournalSession
from ..journal.store import JournalStore
from ..outcome import Outcome, duplicate
from . import rows
from .reading import Ended, Item
from .requests import Given, KeptRequest
from .rows import ItemRow

T = TypeVar("T")


class Settler(Generic[T]):
    """Writes down how items ended, and removes them from those that are waited for.

    Args:
        charged: Returns what the run has taken out of its budget, answers that were lost on the way included.
        has_input: Whether the run has an input, whose outcomes alone it yields.
    """

    def __init__(
        self,
        session: JournalSession[T],
        journal: Journal,
        given: Given,
        charged: Callable[[], float],
        *,
        has_input: bool,
    ) -> None:
        self._session = session
        self._journal = journal
        self._given = given
        self._charged = charged
        self._has_input = has_input

    async def settle(self, ended: Sequence[Ended[T]]) -> list[Outcome[T]]:
        """Write down how items ended, and return the outcomes of those that belong to this input."""
        if not ended:
            return []
        ended = [*ended, *await self._duplicates(ended)]
        settings = {item.settings: RequestSettings(item.settings, {}) for item, _ in ended}
        written = [(self._row(item, outcome, settings[item.settings]), outcome) for item, outcome in ended]

        charged = self._charged()
        saved: dict[int, float] = {}
        for item, outcome in ended:
            if outcome.duplicate_of is None and outcome.completion is not None:
                saved_usd = outcome.completion.record.saved_usd or 0.0
                saved[item.batch] = saved.get(item.batch, 0.0) + saved_usd

        def settle(store: JournalStore) -> None:
            if charged:
                store.charge(charged)
            for row, outcome in written:
                store.record(row, settings[row.settings], was_sent=outcome.duplicate_of is None)
            for batch, usd in saved.items():
                rows.add_saving(store.connection, batch, usd)
            rows.drop_items(store.connection, [item.number for item, _ in ended])

        await self._session.execute(settle)
        return [outcome for item, outcome in ended if not self._has_input or item.run == self._session.run]

    async def _duplicates(self, ended: Sequence[Ended[T]]) -> list[Ended[T]]:
        """Return the outcomes of the items that share an answer with others."""
        by_sent = {item.sent: outcome for item, outcome in ended}
        found = await self._session.execute(lambda store: rows.duplicates_of(store.connection, list(by_sent)))
        answered = ((row, by_sent[row.sent]) for row in found)
        return [(row, duplicate(outcome, Item(row, self._given), outcome.index)) for row, outcome in answered]

    def _row(self, item: ItemRow, outcome: Outcome[T], settings: RequestSettings) -> AnswerRow:
        journal, elapsed_s = self._journal, outcome.attempts[-1].elapsed_s if outcome.attempts else 0.0
        entry = encode(
            outcome,
            self._session.run,
            started_at=time.time() - elapsed_s,
            elapsed_s=elapsed_s,
            data=outcome.data if journal.keep_data else None,
            prompt=KeptRequest.read(item).request.messages if journal.keep_prompts else None,
        )
        fingerprint = Fingerprint(item.key, item.sent, item.prompt, settings)
        return AnswerRow.of(item.number, item.occurrence, fingerprint, outcome, entry)
