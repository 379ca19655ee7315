"""The journal of one batch: what it has of each item, what is written into it, and identical requests sent once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Generic, TypeAlias, TypeVar

from asyncllm.completions.completion import Completion
from asyncllm.messages import Messages, Request

from ..input import Requests, RereadInput, items_in_memory
from ..item import BatchItem
from ..outcome import Outcome, duplicate
from .answer_row import AnswerRow
from .entry import JournalEntry, encode
from .fingerprint import Fingerprint, Fingerprinter, change_in_words, changes
from .in_flight import InFlightFile, read_in_flight, remove_in_flight
from .journal import Journal
from .journal_file import open_to_write
from .lock import JournalLock
from .resumption import Resumed, look_ahead, look_back
from .store import JournalStore
from .writer import JournalWriter

T = TypeVar("T")
R = TypeVar("R")
Ended: TypeAlias = tuple[BatchItem, Outcome[T]]
Restore: TypeAlias = Callable[[JournalEntry, Messages], Awaitable[tuple[T, Completion | None]]]
"""Rebuilds the value and the completion of an entry, for the request that it answers."""


class JournalSession(Generic[T]):
    """A batch's access to its journal; without a file, it only finds identical requests.

    Its methods raise JournalError when the journal cannot be written, or is damaged.

    Args:
        journal: The journal; None for one that lasts as long as the batch.
        requests: The input, which is looked through before the batch begins where that is possible.
        opened: Called with what the journal has, before anything is sent.
        charged: Returns what the run has taken out of its budget, requests that were lost on the way included.
        resumes: Whether it goes on with the latest run, without an input.
        keeps_leaders: Whether identical requests under way are found here; else the caller finds them.
    """

    def __init__(
        self,
        journal: Journal | None,
        fingerprinter: Fingerprinter,
        restore: Restore[T],
        *,
        requests: Requests = (),
        deduplicate: bool = False,
        opened: Callable[[Resumed], object] = lambda resumed: None,
        charged: Callable[[], float] = lambda: 0.0,
        resumes: bool = False,
        keeps_leaders: bool = True,
    ) -> None:
        self._journal = journal
        self._path = None if journal is None else journal.path
        self._fingerprinter = fingerprinter
        self._restore = restore
        self._requests = requests
        self._deduplicate = deduplicate
        self._opened = opened
        self._charged = charged
        self._resumes = resumes
        self._keeps_leaders = keeps_leaders
        self._lock: JournalLock | None = None
        self._in_flight: InFlightFile | None = None
        self._writer: JournalWriter
        self._closing = False
        self._unknown = 0
        self._leaders: dict[bytes, BatchItem] = {}
        self._just_ended: dict[bytes, Outcome[T]] = {}
        self.run = 0
        self.again: Counter[str] = Counter()

    async def open(self, slots: int) -> None:
        """Open the journal, and report what is in it before anything is sent."""
        self._writer = JournalWriter(self._open_store, self._path)
        try:
            await self._writer.start()
        except BaseException:
            self._release()
            raise
        try:
            resumed = await self._writer.run(partial(self._begin, slots))
            if self._path is not None and resumed.run > 1:
                resumed.announce(self._path)
            self._opened(resumed)
        except BaseException:
            await self.close("stopped")
            raise

    async def watch(self) -> None:
        """Wait until the journal cannot be written any more, and raise why; a batch does not go on then."""
        await self._writer.failed.wait()
        assert self._writer.failure is not None
        raise self._writer.failure

    async def register(self, items: Sequence[BatchItem]) -> tuple[list[BatchItem], list[Ended[T]]]:
        """Enter items into the journal; return those that have to be sent, and how the others ended."""
        for item in items:
            self._identify(item)
        entered = [(item.index, item.fingerprint) for item in items]
        registered = await self._writer.run(lambda store: store.register(entered))
        to_send: list[BatchItem] = []
        known: list[Ended[T]] = []
        duplicates: list[Ended[T]] = []
        reopened: list[int] = []
        for item, one in zip(items, registered, strict=True):
            item.number, item.occurrence = one.number, one.occurrence
            why = one.why
            if one.entry is not None:
                outcome = await self._restored(item, one.entry)
                if outcome is not None:
                    known.append((item, outcome))
                    continue
                reopened.append(item.number)
                why = "type changed"
            if self._deduplicate and await self._follows(item, one.duplicate, duplicates):
                continue
            if why is not None and why != "new":
                self.again[why] += 1
            to_send.append(item)
        if reopened:
            self._writer.post(lambda store: store.reopen(reopened))
        if duplicates:
            await self._write(duplicates)
        self._just_ended.clear()
        return to_send, known + duplicates

    async def execute(self, operation: Callable[[JournalStore], R]) -> R:
        """Run an operation on the journal, and return its result once it is committed."""
        return await self._writer.run(operation)

    def sending(self, item: BatchItem, reserved_usd: float = 0.0) -> None:
        """Note that an item is about to be sent, and the most that it may cost."""
        if self._in_flight is not None:
            self._in_flight.put(item.worker, item.number, reserved_usd)

    async def record(self, item: BatchItem, outcome: Outcome[T]) -> list[Ended[T]]:
        """Write down how an item ended, and with it its duplicates; return them all once they are committed."""
        ended = [(item, outcome)]
        if self._deduplicate:
            sent = item.fingerprint.sent
            self._leaders.pop(sent, None)
            # Kept until the next items are registered: those that are being looked up now would not find it.
            self._just_ended[sent] = outcome
            ended += [(follower, duplicate(outcome, follower, item.index)) for follower in item.followers]
        await self._write(ended)
        return ended

    def add_sample(self, values: Sequence[float | str | None]) -> None:
        """Add to the time series of the run."""
        self._writer.post(lambda store: store.add_sample((values[0], self.run, *values[1:])))

    async def close(self, how: str) -> None:
        """Write down how the batch ended, and close the journal."""
        self._closing = True
        in_flight = {} if self._path is None else read_in_flight(self._path)
        self._writer.post(lambda store: store.end(how, in_flight, self.again, time.time()))
        await self._writer.close()
        if self._path is not None and self._writer.failure is None:
            remove_in_flight(self._path)
        self._release()
        if self._writer.failure is not None:
            raise self._writer.failure

    def _release(self) -> None:
        if self._in_flight is not None:
            self._in_flight.close()
        if self._lock is not None:
            self._lock.release()
        self._in_flight = self._lock = None

    def _open_store(self) -> JournalStore:
        if self._path is not None:
            self._lock = JournalLock(self._path)
        connection = open_to_write(self._path, "normal" if self._journal is None else self._journal.durability)
        store = JournalStore(connection, self._path, find_duplicates=self._deduplicate)
        try:
            in_flight = {} if self._path is None else read_in_flight(self._path)
            if not self._resumes or not store.resume(in_flight):
                self._unknown = store.begin(self._fingerprinter.base.parts, in_flight, time.time())
        except BaseException:
            store.close()
            raise
        self.run = store.run
        return store

    def _begin(self, slots: int, store: JournalStore) -> Resumed:
        if self._path is not None:
            self._in_flight = InFlightFile(self._path, slots)
        before, base = store.before, self._fingerprinter.base.parts
        if before is None:
            return Resumed(self.run)
        changed = {name: change_in_words(before.get(name), base.get(name)) for name in changes(before, base)}
        counts = self._expected(store, settings_changed=bool(changed))
        done, new = counts.pop("done", 0), counts.pop("new", 0)
        return Resumed(self.run, done, dict(counts), new, self._unknown, store.spent_usd, changed)

    def _expected(self, store: JournalStore, *, settings_changed: bool) -> Counter[str]:
        """Count the items that are done, and those that are sent, by reason; of a file only if something changed."""
        ahead, prompt_changed = items_in_memory(self._requests), False
        if isinstance(self._requests, RereadInput):
            prompt_changed = self._requests.prompt_changed
            if settings_changed or self._requests.is_mixed:
                ahead = self._requests.preview()
        if ahead is None:
            return look_back(store, self._fingerprinter.base.parts)
        return look_ahead(store, self._fingerprints(ahead), prompt_changed=prompt_changed)

    def _fingerprints(self, requests: Iterator[Messages]) -> Iterator[Fingerprint]:
        for index, messages in enumerate(requests):
            if self._closing:
                return
            item = BatchItem(index, messages)
            self._identify(item)
            yield item.fingerprint

    def _identify(self, item: BatchItem) -> None:
        """Build the request of an item once, and its fingerprint; one that cannot be built fails when it is sent."""
        try:
            if not isinstance(item.messages, Request):
                item.messages = Request(item.messages)
            item.fingerprint = self._fingerprinter(item.messages)
        except Exception:
            item.fingerprint = self._fingerprinter.unsendable(item.messages)

    async def _restored(self, item: BatchItem, entry: JournalEntry) -> Outcome[T] | None:
        """Return the outcome of an entry; None when the answer does not fit what is asked for now."""
        try:
            value, completion = await self._restore(entry, item.messages)
        except Exception:  # a validator of the user's may raise anything
            return None
        usage, of = entry.usage, entry.duplicate_of
        return Outcome(item.index, item.id, item.data, value, completion, None, entry.cost_usd, usage, True, of)

    async def _follows(self, item: BatchItem, answered: JournalEntry | None, duplicates: list[Ended[T]]) -> bool:
        """Return whether an item shares the answer of an identical one; if so, register it for that."""
        sent = item.fingerprint.sent
        leader = self._leaders.get(sent)
        if leader is not None:
            leader.followers.append(item)
            return True
        outcome = self._just_ended.get(sent)
        if outcome is not None and outcome.ok:
            duplicates.append((item, duplicate(outcome, item, outcome.index)))
            return True
        if answered is not None:
            restored = await self._restored(item, answered)
            if restored is not None:
                restored = replace(restored, from_journal=answered.run != self.run)
                duplicates.append((item, duplicate(restored, item, answered.index)))
                return True
        if self._keeps_leaders:
            self._leaders[sent] = item
        return False

    async def _write(self, ended: Sequence[Ended[T]]) -> None:
        now, charged = time.time(), self._charged()

        def write(store: JournalStore) -> None:
            if charged:
                store.charge(charged)
            for item, outcome in ended:
                # What shares an answer, or could not be sent, does not count as sent.
                was_sent = outcome.duplicate_of is None and bool(outcome.completion is not None or outcome.attempts)
                row = AnswerRow.of(
                    item.number, item.occurrence, item.fingerprint, outcome, self._encoded(item, outcome, now)
                )
                store.record(row, item.fingerprint.settings, was_sent=was_sent)

        await self._writer.run(write)

    def _encoded(self, item: BatchItem, outcome: Outcome[T], now: float) -> bytes:
        journal, request = self._journal, item.messages
        prompt = request.messages if isinstance(request, Request) else None
        return encode(
            outcome,
            self.run,
            started_at=item.started_at or now,
            elapsed_s=now - item.started_at if item.started_at else 0.0,
            data=outcome.data if journal is not None and journal.keep_data else None,
            prompt=prompt if journal is not None and journal.keep_prompts else None,
        )
