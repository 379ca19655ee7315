"""What a batch knows from its journal, and puts into it; and identical requests that share one answer."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from asyncllm.messages import Request

from ..input import Requests, is_in_memory
from ..item import BatchItem
from ..outcome import Outcome
from .answer_row import AnswerRow
from .entry import JournalEntry, encode
from .fingerprint import Fingerprint, Fingerprinter
from .in_flight import InFlight, read_in_flight, remove_in_flight
from .journal import Journal
from .journal_file import DONE, FAILED, TRUNCATED, Hold, open_to_write
from .resumption import Resumed, look_ahead, look_back
from .store import Store, changes
from .writer import Writer

Known = tuple[BatchItem, Outcome[Any]]
Restore = Callable[[JournalEntry, Any], Awaitable[tuple[Any, Any]]]
"""Makes the value and the completion of an entry again, for the request that it answers."""


class JournalSession:
    """The journal of one batch; without a file, it only finds identical requests.

    Args:
        journal: Where it is kept; None to keep it for the time of the batch alone.
        fingerprint_of: Tells requests from each other.
        restore: Makes an answer of a journal's entry.
        requests: The input, which is looked through before the batch begins where that is possible.
        deduplicate: Send identical requests once.
        opened: Is told what the journal has, before anything is sent.
        charged: Says what the run has taken out of its budget; requests that were lost on the way count there.
    """

    def __init__(
        self,
        journal: Journal | None,
        fingerprint_of: Fingerprinter,
        restore: Restore,
        *,
        requests: Requests = (),
        deduplicate: bool = False,
        opened: Callable[[Resumed], object] = lambda resumed: None,
        charged: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._journal = journal
        self._path = None if journal is None else journal.path
        self._fingerprint_of = fingerprint_of
        self._restore = restore
        self._requests = requests
        self._deduplicate = deduplicate
        self._opened = opened
        self._charged = charged
        self._hold: Hold | None = None
        self._in_flight: InFlight | None = None
        self._writer: Writer
        self._closing = False
        self._unknown = 0
        self._leaders: dict[bytes, BatchItem] = {}
        self._just_ended: dict[bytes, Outcome[Any]] = {}
        self.run = 0
        self.again: Counter[str] = Counter()

    async def open(self, slots: int) -> None:
        """Open the journal, and tell what is in it before anything is sent.

        Args:
            slots: How many may be in flight.

        Raises:
            JournalError: It cannot be opened, or is damaged.
        """
        self._writer = Writer(self._make, self._path)
        try:
            await self._writer.start()
        except BaseException:
            self._let_go()
            raise
        try:
            resumed = await self._writer.do(partial(self._begin, slots))
            if self._path is not None and resumed.run > 1:
                resumed.announce(self._path)
            self._opened(resumed)
        except BaseException:
            await self.close("stopped")
            raise

    async def watch(self) -> None:
        """Wait until the journal cannot be written any more, and raise what says why; a batch does not go on then."""
        await self._writer.failed.wait()
        assert self._writer.failure is not None
        raise self._writer.failure

    async def enter(self, items: Sequence[BatchItem]) -> tuple[list[BatchItem], list[Known]]:
        """Enter items into the journal, and return those that have to be sent, and how the others ended.

        Raises:
            JournalError: The journal cannot be written, or is damaged.
        """
        for item in items:
            _fingerprint_of(self._fingerprint_of, item)
        entered = [(item.index, item.fingerprint) for item in items]
        registered = await self._writer.do(lambda store: store.register(entered))
        to_run: list[BatchItem] = []
        known: list[Known] = []
        duplicates: list[Known] = []
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
            to_run.append(item)
        if reopened:
            self._writer.post(lambda store: store.reopen(reopened))
        if duplicates:
            await self._write(duplicates)
        self._just_ended.clear()
        return to_run, known + duplicates

    def sending(self, item: BatchItem, reserved_usd: float = 0.0) -> None:
        """Note that an item is about to be sent, and what it may cost.

        Raises:
            JournalError: The note cannot be written.
        """
        if self._in_flight is not None:
            self._in_flight.put(item.worker, item.number, reserved_usd)

    async def record(self, item: BatchItem, outcome: Outcome[Any]) -> list[Known]:
        """Write down how an item ended, and with it those that waited for it; returns when it is committed.

        Raises:
            JournalError: The journal cannot be written.
        """
        ended = [(item, outcome)]
        if self._deduplicate:
            sent = item.fingerprint.sent
            self._leaders.pop(sent, None)
            # Until the journal is asked the next time: what is being looked up just now would not find it there.
            self._just_ended[sent] = outcome
            ended += [(follower, _duplicate(follower, outcome, item.index)) for follower in item.followers]
        await self._write(ended)
        return ended

    def sample(self, values: Sequence[Any]) -> None:
        """Add to the time series of the run."""
        self._writer.post(lambda store: store.sample((values[0], self.run, *values[1:])))

    async def close(self, how: str) -> None:
        """Write down how the batch ended, and close the journal.

        Raises:
            JournalError: That could not be written.
        """
        self._closing = True
        in_flight = {} if self._path is None else read_in_flight(self._path)
        self._writer.post(lambda store: store.end(how, in_flight, self.again, time.time()))
        await self._writer.close()
        if self._path is not None and self._writer.failure is None:
            remove_in_flight(self._path)
        self._let_go()
        if self._writer.failure is not None:
            raise self._writer.failure

    def _let_go(self) -> None:
        if self._in_flight is not None:
            self._in_flight.close()
        if self._hold is not None:
            self._hold.release()
        self._in_flight = self._hold = None

    def _make(self) -> Store:
        if self._path is not None:
            self._hold = Hold(self._path)
        durability = "normal" if self._journal is None else self._journal.durability
        store = Store(open_to_write(self._path, durability), self._path, find_duplicates=self._deduplicate)
        try:
            in_flight = {} if self._path is None else read_in_flight(self._path)
            self._unknown = store.begin(self._fingerprint_of.base.parts, in_flight, time.time())
        except BaseException:
            store.close()
            raise
        self.run = store.run
        return store

    def _begin(self, slots: int, store: Store) -> Resumed:
        if self._path is not None:
            self._in_flight = InFlight(self._path, slots)
        before, base = store.before, self._fingerprint_of.base.parts
        if before is None:
            return Resumed(self.run)
        counts = look_ahead(store, self._identities()) if is_in_memory(self._requests) else look_back(store, base)
        done, new = counts.pop("done", 0), counts.pop("new", 0)
        changed = {name: f"{before.get(name)} → {base.get(name)}" for name in changes(before, base)}
        return Resumed(self.run, done, dict(counts), new, self._unknown, store.spent_usd, changed)

    def _identities(self) -> Iterator[Fingerprint]:
        assert not isinstance(self._requests, Request)
        for index, messages in enumerate(self._requests):  # type: ignore[arg-type]  # one that is in memory
            if self._closing:
                return
            item = BatchItem(index, messages)
            _fingerprint_of(self._fingerprint_of, item)
            yield item.fingerprint

    async def _restored(self, item: BatchItem, entry: JournalEntry) -> Outcome[Any] | None:
        """Make the outcome of an entry; None when the answer does not fit what is asked for now."""
        request = item.messages
        id, data = (request.id, request.data) if isinstance(request, Request) else (None, None)
        try:
            value, completion = await self._restore(entry, request)
        except Exception:  # whatever the user's own validators raise
            return None
        return Outcome(
            item.index, id, data, value, completion, None, entry.cost_usd, entry.usage, True, entry.duplicate_of
        )

    async def _follows(self, item: BatchItem, duplicate: JournalEntry | None, duplicates: list[Known]) -> bool:
        """Tell whether an item shares the answer of an identical one, and see to it that it does."""
        sent = item.fingerprint.sent
        leader = self._leaders.get(sent)
        if leader is not None:
            leader.followers.append(item)
            return True
        outcome = self._just_ended.get(sent)
        if outcome is not None and outcome.ok:
            duplicates.append((item, _duplicate(item, outcome, outcome.index)))
            return True
        if duplicate is not None:
            restored = await self._restored(item, duplicate)
            if restored is not None:
                restored = replace(restored, from_journal=duplicate.run != self.run)
                duplicates.append((item, _duplicate(item, restored, duplicate.index)))
                return True
        self._leaders[sent] = item
        return False

    async def _write(self, ended: Sequence[Known]) -> None:
        now, charged = time.time(), self._charged()

        def write(store: Store) -> None:
            if charged:
                store.charge(charged)
            for item, outcome in ended:
                # Only what was sent itself counts: not what shares an answer, or could not be sent.
                was_sent = outcome.duplicate_of is None and bool(outcome.completion is not None or outcome.attempts)
                store.answered(self._row(item, outcome, now), item.fingerprint.settings, was_sent=was_sent)

        await self._writer.do(write)

    def _row(self, item: BatchItem, outcome: Outcome[Any], now: float) -> AnswerRow:
        journal, usage, completion, fingerprint = self._journal, outcome.usage, outcome.completion, item.fingerprint
        request = item.messages if isinstance(item.messages, Request) else None
        is_cut = completion is not None and completion.finish_reason == "length"
        entry = encode(
            outcome,
            self.run,
            started_at=item.started_at or now,
            elapsed_s=now - item.started_at if item.started_at else 0.0,
            data=outcome.data if journal is not None and journal.keep_data else None,
            prompt=request.messages if request is not None and journal is not None and journal.keep_prompts else None,
        )
        return AnswerRow(
            number=item.number,
            checksum=0,
            version=0,
            key=fingerprint.key,
            occurrence=item.occurrence,
            sent=fingerprint.sent,
            prompt=fingerprint.prompt,
            settings=fingerprint.settings.digest,
            state=FAILED if not outcome.ok else TRUNCATED if is_cut else DONE,
            error=None if outcome.ok else type(outcome.error).__name__,
            input_tokens=None if usage is None else usage.input_tokens,
            output_tokens=None if usage is None else usage.output_tokens,
            cost_usd=outcome.cost_usd,
            entry=entry,
        )


def _fingerprint_of(fingerprint_of: Fingerprinter, item: BatchItem) -> None:
    """Make the request of an item once, and say what it is; one that cannot be made fails where it would be sent."""
    try:
        if not isinstance(item.messages, Request):
            item.messages = Request(item.messages)
        item.fingerprint = fingerprint_of(item.messages)
    except Exception:
        item.fingerprint = fingerprint_of.unsendable(item.messages)


def _duplicate(item: BatchItem, outcome: Outcome[Any], index: int) -> Outcome[Any]:
    """Return the outcome of an item that shares the answer of an identical one, and cost nothing."""
    request = item.messages
    id, data = (request.id, request.data) if isinstance(request, Request) else (None, None)
    return replace(outcome, index=item.index, id=id, data=data, cost_usd=0.0, usage=None, duplicate_of=index)
