"""The run of a deferred batch: its requests packed and sent, its batches waited for, and their results read."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Generic, TypeVar

from anyio import CancelScope, sleep

from asyncllm import telemetry
from asyncllm.errors import ProviderError
from asyncllm.limits.deferred_budget import DeferredBudget
from asyncllm.messages import Request

from ..engine import Flow
from ..input import Requests, on_thread
from ..journal.entry import JournalEntry
from ..journal.journal import Journal
from ..journal.resumption import Resumed
from ..journal.session import JournalSession
from ..options import OnExpired, Reasks
from ..outcome import Outcome
from ..progress import DeferredProgress
from . import rows
from .adoption import Adoption
from .ended_batches import EndedBatches
from .ends import error_of, states_of, unanswered
from .intake import Intake
from .live_share import LiveShare
from .pauses import Pauses
from .providers.opening import open_provider
from .providers.provider import ProviderBatch
from .reading import AT_ONCE, Reader
from .requests import DeferredCalls, Given, RequestMaker
from .rows import BatchRow, ItemRow
from .sending import Sender
from .settling import Settler

T = TypeVar("T")

# A list of batches is up to date after this long, by what providers show.
SETTLE_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeferredSettings:
    """The settings of a deferred batch.

    Attributes:
        on_expired: What becomes of a request for which the provider's window ended.
        reask: Where a typed answer that is not valid is asked for again.
        poll_s: Seconds between two questions; None for pauses that grow from seconds to minutes.
        budget_usd: What all runs of the journal may spend.
        deduplicates: Whether identical requests are sent once.
        batch: A batch that something else created, to be read into the journal.
        is_mixed: Whether what the limits of live calls leave free is sent live.
    """

    on_expired: OnExpired = "resubmit"
    reask: Reasks = "live"
    poll_s: float | None = None
    budget_usd: float | None = None
    deduplicates: bool = False
    batch: str | None = None
    is_mixed: bool = False


class DeferredRun(Generic[T]):
    """One run.

    Args:
        requests: The input; None to go on without one, with what the journal has.
        ordered: Whether outcomes come in input order, when all of them are there.

    Attributes:
        is_over: Whether every request has its outcome.
        flow: Counts of its items.
        opened: Called with what the journal has, before anything is sent.
        polled: Called when the provider has been asked.
    """

    def __init__(
        self,
        calls: DeferredCalls[T],
        journal: Journal,
        settings: DeferredSettings,
        *,
        requests: Requests | None = None,
        ordered: bool = False,
    ) -> None:
        self.settings = settings
        self._calls = calls
        self._journal = journal
        self._requests = requests
        self._ordered = ordered
        self._budget: DeferredBudget | None = None
        self._spent_before_usd = 0.0
        self._given = Given(is_journaled=journal.keep_data)
        self._session: JournalSession[T] = JournalSession(
            journal,
            calls.fingerprinter(),
            calls.restore,
            requests=() if requests is None else requests,
            opened=lambda resumed: self.opened(resumed),
            charged=self._charged,
            resumes=requests is None,
            deduplicate=settings.deduplicates,
            keeps_leaders=False,
        )
        self._settler = Settler[T](self._session, journal, self._given, self._charged, has_input=requests is not None)
        self._reader: Reader[T]
        self._maker: RequestMaker[T]
        self._sender: Sender[T]
        self._pauses = Pauses(settings.poll_s)
        self.is_over = False
        self.flow = Flow()
        self.opened: Callable[[Resumed], object] = lambda resumed: None
        self.polled: Callable[[], object] = lambda: None

    async def open(self) -> None:
        """Open the journal, and find out how the provider takes batches.

        Raises:
            UnsupportedError: The provider has no batches that are served.
            JournalError: The journal cannot be written.
        """
        pipeline = await self._calls.pipeline(None)
        self._provider = open_provider(pipeline.endpoint)
        self._pipeline = pipeline
        await self._session.open(max(AT_ONCE, self._live_at_once))
        try:
            await self._prepare()
        except BaseException:
            with CancelScope(shield=True):
                await self.close()
            raise

    async def _prepare(self) -> None:
        """Make what works on the journal, and bring its tables up to date."""
        session, provider, pipeline, path = self._session, self._provider, self._pipeline, self._journal.path
        await session.execute(lambda store: rows.create_tables(store.connection))
        if self._requests is not None:
            await session.execute(lambda store: rows.drop_unsent(store.connection))
        if self.settings.deduplicates:
            await session.execute(lambda store: rows.index_duplicates(store.connection))
        await self._open_budget()
        self._live_share = LiveShare(pipeline)
        defers_reasks = self.settings.reask == "deferred"
        self._reader = Reader(
            provider, pipeline, self._calls, self._given, session, path, self._budget, defers_reasks=defers_reasks
        )
        self._maker = RequestMaker(
            self._calls,
            pipeline,
            provider,
            self._budget,
            keep_data=self._given.is_journaled,
            at_live_prices=self.settings.is_mixed,
        )
        self._sender = Sender(
            provider,
            session,
            path,
            retries=pipeline.config.num_retries,
            is_retryable=self._calls.is_retryable,
            settle_s=SETTLE_S,
        )
        adoption = Adoption(session, provider, self._reader, is_typed=self._calls.response_model is not None)
        self._ended = EndedBatches(
            session, self._reader, self._maker, self._sender, adoption, provider.limits, self.settings.on_expired
        )
        if self.settings.batch is not None:
            await adoption.begin(self.settings.batch)

    async def close(self) -> None:
        """Close the journal; what is with the provider stays there."""
        await self._session.close("done" if self.is_over else "stopped")

    async def outcomes(self) -> AsyncGenerator[Outcome[T], None]:
        """Yield the outcomes: those that the journal has, and the others as their batches end."""
        parts = [self._from_input()] if self._requests is not None else []
        if self._requests is None and not self._ordered:
            parts.append(self._from_journal())
        for part in (*parts, self._until_ended()):
            async with aclosing(part):
                async for outcome in part:
                    if not self._ordered:
                        yield outcome
        if self._ordered:
            async with aclosing(self._from_journal()) as known:
                async for outcome in known:
                    yield outcome

    async def submit(self) -> None:
        """Pack the requests, and send them until all of them are with the provider."""
        async with aclosing(self._from_input()) as known:
            async for _ in known:
                pass
        while True:
            async with aclosing(self._advance()) as ended:
                async for _ in ended:
                    pass
            if not await self._batches("ready", "sending"):
                return
            await sleep(self._pauses.next())

    async def refresh(self) -> None:
        """Ask the provider for the state of the batches, and note it."""
        await self._poll()

    async def cancel(self) -> None:
        """Cancel the batches at the provider, and forget those that were never sent."""
        await self._sender.find()
        for row in await self._batches("open"):
            try:
                await self._provider.cancel(str(row.provider_id))
            except ProviderError as error:
                if error.status_code not in (400, 404, 409):  # it has ended
                    raise
        for row in await self._batches("filling", "ready"):
            items = await self._next_items(row.batch)
            while items:
                await self._settler.settle([self._reader.failed(item, unanswered("cancelled")) for item in items])
                items = await self._next_items(row.batch)
            await self._change(row, "closed", status="cancelled")
        await self._poll()

    @property
    def _live_at_once(self) -> int:
        return 2 * self._pipeline.config.max_concurrency

    async def _from_input(self) -> AsyncGenerator[Outcome[T], None]:
        """Take the input, pack what has to be sent, send what is full, and yield what is known of it."""
        assert self._requests is not None
        limits, deduplicates = self._provider.limits, self.settings.deduplicates
        intake = Intake(self._session, self._maker, self._given, limits, self.flow, deduplicates=deduplicates)
        async with aclosing(intake.take(self._requests)) as taken:
            async for known in taken:
                for outcome in known:
                    yield outcome
                if await self._batches("ready"):
                    for outcome in await self._send_ready():
                        yield outcome

    async def _open_budget(self) -> None:
        """Take what the journal says of money: what is spent, and what is held for requests in batches."""
        if self.settings.budget_usd is None:
            return
        spent_usd, taken_usd, held_usd = await self._session.execute(
            lambda store: (store.spent_usd, store.taken_usd, rows.reserved_usd(store.connection))
        )
        self._budget = DeferredBudget(self.settings.budget_usd, spent_usd, held_usd)
        self._spent_before_usd = spent_usd - taken_usd

    def _charged(self) -> float:
        return 0.0 if self._budget is None else self._budget.spent_usd - self._spent_before_usd

    async def _from_journal(self) -> AsyncGenerator[Outcome[T], None]:
        """Yield the outcomes that the journal has."""
        async with aclosing(on_thread(self._journal.outcomes(reached=True))) as entries:
            async for entry in entries:
                yield await self._restored(entry)

    async def _restored(self, entry: JournalEntry) -> Outcome[T]:
        data = self._given.data(entry.index)
        data = entry.data if data is None else data
        cost, usage, restored = entry.cost_usd, entry.usage, entry.run < self._session.run or self._requests is None
        if not entry.ok:
            error = error_of(entry)
            return Outcome(entry.index, entry.id, data, None, entry.completion(), error, cost, usage, restored)
        own = self._given.response_model(entry.index)
        asked: object = None if own is None else Request("", response_model=own)
        value, completion = await self._calls.restore(entry, asked)  # type: ignore[arg-type]  # any object
        return Outcome(entry.index, entry.id, data, value, completion, None, cost, usage, restored)

    async def _until_ended(self) -> AsyncGenerator[Outcome[T], None]:
        """Send, wait and read until nothing is left."""
        while True:
            any_ended = False
            async with aclosing(self._advance()) as ended:
                async for outcome in ended:
                    any_ended = True
                    yield outcome
            if not await self._batches("ready", "sending", "open"):
                self.is_over = True
                return
            if any_ended:
                self._pauses.reset()
            await sleep(self._pauses.next())

    async def _advance(self) -> AsyncGenerator[Outcome[T], None]:
        """Send what is ready, read what has ended, and send live what has to be; yield the outcomes."""
        for outcome in await self._send_ready():
            yield outcome
        for row, found in await self._poll():
            async with aclosing(self._ended.read(row, found)) as chunks:
                async for chunk in chunks:
                    for outcome in await self._settler.settle(chunk):
                        yield outcome
        while items := await self._next_items(rows.LIVE, most=self._live_at_once):
            for outcome in await self._settler.settle(await self._reader.live(items)):
                yield outcome

    async def _send_ready(self) -> list[Outcome[T]]:
        """Send what is ready, and return the outcomes of requests that the provider refused."""
        if self.settings.is_mixed:
            await self._session.execute(lambda store: self._live_share.take(store.connection))
        await self._sender.send()
        refused, self._sender.refused = self._sender.refused, []
        return await self._settler.settle([self._reader.failed(item, error) for item, error in refused])

    async def _poll(self) -> list[tuple[BatchRow, ProviderBatch]]:
        """Ask for the state of the batches, note it, and return those that have ended."""
        open_rows = {str(row.provider_id): row for row in await self._batches("open")}
        try:
            states = await states_of(self._provider, open_rows)
        except ProviderError as error:
            if not self._calls.is_retryable(error):
                raise
            telemetry.emit(telemetry.WARNING, "deferred.failed", error=type(error).__name__, message=error.message)
            return []  # a provider that is down for an hour ends no batch of a night
        if not states:
            return []
        for id, state in states.items():
            row, expires_at = open_rows[id], state.expires_at or open_rows[id].expires_at
            await self._change(row, "open", status=state.status, answered=state.answered, expires_at=expires_at)
        self.flow.deferred = _progress(await self._batches())
        answered = sum(state.answered for state in states.values())
        telemetry.emit(telemetry.INFO, "deferred.polled", open=len(states), answered=answered)
        self.flow.running = sum(state.requests - state.answered for state in states.values() if state.status == "open")
        self.polled()
        return [(open_rows[id], state) for id, state in states.items() if state.status != "open"]

    async def _batches(self, *states: rows.State) -> list[BatchRow]:
        return await self._session.execute(lambda store: list(rows.batches(store.connection, *states)))

    async def _next_items(self, batch: int, *, most: int = AT_ONCE, leaving: str = "0") -> list[ItemRow]:
        return await self._session.execute(
            lambda store: rows.next_items(store.connection, batch, most, leaving=leaving)
        )

    async def _change(self, row: BatchRow, state: rows.State, **columns: object) -> None:
        await self._session.execute(lambda store: rows.set_state(store.connection, row.batch, state, **columns))


def _progress(batches: Sequence[BatchRow]) -> DeferredProgress:
    sent = [row for row in batches if row.state == "open"]
    ended = sum(row.state == "closed" for row in batches)
    requests = sum(row.requests for row in sent)
    oldest_at = min((row.created_at for row in sent), default=0.0)
    window_ends_at = min((row.expires_at for row in sent if row.expires_at), default=0.0)
    return DeferredProgress(len(batches) - len(sent) - ended, len(sent), ended, requests, oldest_at, window_ends_at)
