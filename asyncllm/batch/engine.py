"""The engine of a batch: lazy input, bounded concurrency, and backpressure from a slow consumer."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar, cast

import anyio
from anyio.abc import TaskGroup

from ..completions.completion import Completion
from ..completions.usage import Usage
from ..errors import JournalError, StalledError
from .input import Requests, input_of
from .item import BatchItem
from .journal.session import JournalSession
from .outcome import Identified, Outcome
from .progress import DeferredProgress, Meter

T = TypeVar("T")
OnError = Literal["return", "raise"]

# Results that an ordered batch may hold back behind a straggler, for each slot; beyond, no more input is taken.
WINDOW_PER_SLOT = 20
# The most that is read at once, so that what was read is begun before the rest is read.
_READ_AT_ONCE = 500


@dataclass(slots=True)
class Done(Generic[T]):
    """The result of a request that succeeded.

    Attributes:
        value: The typed value, or the text.
        completion: The answer.
        cost_usd: The cost of all its answers.
        usage: The tokens of all its answers; None for those of the completion.
    """

    value: T
    completion: Completion | None
    cost_usd: float | None
    usage: Usage | None = None

    def outcome(self, item: Identified) -> Outcome[T]:
        """Return the outcome of an item that ended so."""
        usage = self.usage if self.usage is not None or self.completion is None else self.completion.usage
        return Outcome(item.index, item.id, item.data, self.value, self.completion, None, self.cost_usd, usage)


@dataclass(slots=True)
class Flow:
    """The counts of a batch's items by where they are."""

    taken: int = 0
    ended: int = 0
    delivered: int = 0
    running: int = 0
    failed: int = 0
    exhausted: bool = False
    deferred: DeferredProgress | None = None
    broken: bool = False

    @property
    def is_over(self) -> bool:
        """Whether every item has its outcome."""
        return self.exhausted and self.ended == self.taken


class OutcomeStream(Generic[T]):
    """The outcomes of a batch, an async iterator; use it in `async with`, and leaving the block ends the batch.

    Args:
        requests: The input, taken as slots become free.
        max_concurrency: The most that may be in flight.
        ordered: Whether outcomes come in input order, rather than as they complete.
    """

    def __init__(
        self,
        requests: Requests,
        run: Callable[[BatchItem], Awaitable[Done[T]]],
        *,
        max_concurrency: int,
        ordered: bool = False,
        on_error: OnError = "return",
        stop_after_errors: int | None = None,
        session: JournalSession[T] | None = None,
        meter: Meter | None = None,
    ) -> None:
        self._source = input_of(requests)
        self._run = run
        self._slots = max_concurrency
        self._ordered = ordered
        self._most_errors = 1 if on_error == "raise" else stop_after_errors
        # Unordered: every slot may hand over one outcome and go on, before the consumer must take some.
        self._window = max_concurrency * (WINDOW_PER_SLOT if ordered else 2)
        self._session = session
        self._meter = meter
        self._flow = Flow()
        self._to_register: deque[BatchItem] = deque()
        self._to_run: deque[BatchItem] = deque()
        self._idle: deque[anyio.Event] = deque()
        self._workers = 0
        self._ready: deque[Outcome[T]] = deque()
        self._held: dict[int, Outcome[T]] = {}
        self._group: TaskGroup | None = None
        self._changed = anyio.Event()
        self._delivered = anyio.Event()
        self._read_more = anyio.Event()

    async def __aenter__(self) -> Self:
        if self._session is not None:
            await self._session.open(self._slots)
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        self._group.start_soon(self._guarded, self._read)
        if self._session is not None:
            self._group.start_soon(self._guarded, self._register_all, self._session)
            self._group.start_soon(self._guarded, self._session.watch)
        if self._meter is not None:
            self._meter.begin(self._flow, self._limited_by)
            self._group.start_soon(self._guarded, self._meter.run)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        assert self._group is not None
        self._group.cancel_scope.cancel()
        failure: BaseException | None = None
        suppressed: bool | None = None
        try:
            suppressed = await self._group.__aexit__(kind, error, traceback)
        except BaseExceptionGroup as group:
            failure = _only(group)
        finally:
            failure = await self._close(failure or error) or failure
        if failure is None or failure is error:
            # The block's own error goes on by itself. Raised here, a KeyboardInterrupt of the caller's thread would end
            # the loop of a blocking client, which runs on another thread.
            return suppressed if failure is None else None
        # A batch fails with the one error that ended it, not with the group of the tasks that it ran in.
        raise failure from None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Outcome[T]:
        if self._group is None:
            raise RuntimeError("a batch runs inside its block: `async with llm.map(...) as outcomes:`")
        flow = self._flow
        while True:
            outcome = self._next_ready()
            if outcome is not None:
                flow.delivered += 1
                self._delivered.set()
                return outcome
            if flow.is_over or flow.broken:  # leaving the block raises the failure
                raise StopAsyncIteration
            if self._changed.is_set():
                self._changed = anyio.Event()
            await self._changed.wait()

    def _take_ready(self) -> list[Outcome[T]]:
        """Return the outcomes that are there, of a batch that is not ordered."""
        outcomes = list(self._ready)
        self._ready.clear()
        self._flow.delivered += len(outcomes)
        self._delivered.set()
        return outcomes

    def _next_ready(self) -> Outcome[T] | None:
        if self._ordered:
            return self._held.pop(self._flow.delivered, None)
        return self._ready.popleft() if self._ready else None

    async def _close(self, error: BaseException | None) -> BaseException | None:
        """Close what the batch has open, and return what failed in it, unless it ends with an error anyway."""
        failure: BaseException | None = None
        try:
            await self._source.aclose()
        except Exception as raised:
            failure = raised
        if self._meter is not None:
            try:
                self._meter.end()
            except Exception as raised:
                failure = failure or raised
        if self._session is not None:
            try:
                await self._session.close("done" if self._flow.is_over else "stopped")
            except JournalError as raised:
                failure = failure or raised
        return None if error is not None else failure

    async def _guarded(self, work: Callable[..., Awaitable[None]], *args: object) -> None:
        """Run a task of the batch; tell a consumer in another task than the block's if it fails."""
        try:
            await work(*args)
        except BaseException:
            self._flow.broken = True
            self._changed.set()
            raise

    async def _read(self) -> None:
        """Take input while the window has room."""
        flow = self._flow
        while True:
            while (room := self._window - (flow.taken - flow.delivered)) < 1:
                if self._delivered.is_set():
                    self._delivered = anyio.Event()
                await self._delivered.wait()
            taken = await self._source.take(min(room, _READ_AT_ONCE))
            if not taken:
                break
            items = [BatchItem(flow.taken + n, messages) for n, messages in enumerate(taken)]
            flow.taken += len(items)
            if self._session is None:
                self._send(items)
            else:
                self._to_register.extend(items)
                self._read_more.set()
        flow.exhausted = True
        self._read_more.set()
        self._changed.set()

    async def _register_all(self, session: JournalSession[T]) -> None:
        """Register what was read, as much at a time as has come in meanwhile."""
        while True:
            if not self._to_register:
                if self._flow.exhausted:
                    return
                self._read_more = anyio.Event()
                await self._read_more.wait()
                continue
            items = list(self._to_register)
            self._to_register.clear()
            to_send, known = await session.register(items)
            for _, outcome in known:
                self._ended(outcome)
            self._send(to_send)

    def _send(self, items: list[BatchItem]) -> None:
        """Hand items to idle workers, and to new ones while there are slots; the others wait."""
        assert self._group is not None
        self._to_run.extend(items)
        for _ in items:
            if self._idle:
                self._idle.popleft().set()
            elif self._workers < self._slots:
                self._workers += 1
                self._group.start_soon(self._guarded, self._work, self._workers - 1)
            else:
                break

    async def _work(self, worker: int) -> None:
        queue, flow, session = self._to_run, self._flow, self._session
        while True:
            while not queue:
                idle = anyio.Event()
                self._idle.append(idle)
                await idle.wait()
            item = queue.popleft()
            item.worker = worker
            item.started_at = time.time()
            flow.running += 1
            outcome = await self._outcome(item)
            if session is None:
                flow.running -= 1
                self._ended(outcome)
                continue
            # In flight until it is committed, so that no more than the slots can be lost.
            ended = await session.record(item, outcome)
            flow.running -= 1
            for _, its_outcome in ended:
                self._ended(its_outcome)

    async def _outcome(self, item: BatchItem) -> Outcome[T]:
        try:
            done = await self._run(item)
        except (StalledError, JournalError):
            raise  # it is not this item's fault, and every other item would fail too
        except Exception as error:
            return failed(item, error)
        return done.outcome(item)

    def _ended(self, outcome: Outcome[T]) -> None:
        flow = self._flow
        flow.ended += 1
        if self._meter is not None:
            self._meter.add(outcome)
        if outcome.error is not None:
            flow.failed += 1
            if flow.failed == self._most_errors:
                if flow.failed > 1:
                    outcome.error.add_note(f"The batch ends with this error: {flow.failed} of its items have failed.")
                raise outcome.error
        if self._ordered:
            self._held[outcome.index] = outcome
        else:
            self._ready.append(outcome)
        self._changed.set()

    def _limited_by(self) -> str | None:
        """Return what limits the pace, if it is the batch itself."""
        flow = self._flow
        if flow.is_over:
            return None
        if flow.taken - flow.delivered >= self._window and not self._to_run:
            return "consumer"
        if not self._to_run and not flow.exhausted and flow.running < self._slots:
            return "input"
        return None


def failed(item: Identified, error: Exception) -> Outcome[Any]:
    """Return the outcome of an item that ended with an error."""
    completion = getattr(error, "completion", None) or getattr(error, "partial", None)
    completion = completion if isinstance(completion, Completion) else None
    usage, cost = getattr(error, "usage", None), getattr(error, "cost_usd", None)
    if completion is not None:
        usage = completion.usage if usage is None else usage
        cost = completion.cost_usd if cost is None else cost
    return Outcome(item.index, item.id, item.data, None, completion, error, cost, usage)


async def gather(outcomes: OutcomeStream[T]) -> list[Outcome[T]]:
    """Run a batch to its end and return its outcomes in input order."""
    async with outcomes:
        done: list[Outcome[T]] = []
        async for outcome in outcomes:
            done.append(outcome)
            done.extend(outcomes._take_ready())  # pyright: ignore[reportPrivateUsage]  # a class of this module
    done.sort(key=lambda outcome: outcome.index)
    return done


def _only(error: BaseException) -> BaseException:
    """Return the error that ended a batch: the first that is no group."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error
