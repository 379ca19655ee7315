"""The fan-out: lazy input, a bounded number in flight, and a slow consumer that slows the rest."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sized,
)
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeAlias, TypeVar

import anyio
from anyio.abc import TaskGroup

from asyncllm.completions import Completion
from asyncllm.errors import RateLimitError, StalledError
from asyncllm.limits import Budget
from asyncllm.messages import Message, Messages, Request

from .outcome import Outcome

T = TypeVar("T")
OnError = Literal["return", "raise"]
Requests: TypeAlias = Iterable[Messages] | AsyncIterable[Messages]

# A batch in which nothing succeeds for this long is not slow but stuck: no provider's limit is counted over more than a
# minute without letting something through.
STALL_S = 300.0
# Results that an ordered batch may hold back behind a straggler, for each place; then no more input is taken.
WINDOW_PER_PLACE = 20


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """What running one request gave.

    Attributes:
        value: The typed value, or the text.
        completion: The answer.
        cost_usd: The cost of all its answers.
    """

    value: T
    completion: Completion
    cost_usd: float | None


class Stall:
    """The terms of a batch: refusals for the rate are waited out, and nothing getting through ends it.

    Args:
        limit_s: Seconds without a success that end the batch.
        clock: Gives the monotonic time in seconds.
        budget: What the batch may spend; None for no limit.
        adaptive: Whether its requests find and follow the provider's limit.
    """

    def __init__(
        self,
        limit_s: float = STALL_S,
        clock: Callable[[], float] = time.monotonic,
        *,
        budget: Budget | None = None,
        adaptive: bool = True,
    ) -> None:
        self.budget = budget
        self.adaptive = adaptive
        self._limit_s = limit_s
        self._clock = clock
        self._last_success = clock()

    def refused(self, error: RateLimitError) -> None:
        """Note a refusal.

        Raises:
            StalledError: When nothing has succeeded for too long.
        """
        waited = self._clock() - self._last_success
        if waited > self._limit_s:
            raise StalledError(
                f"nothing has got through for {waited:.0f} s; the last refusal was: {error.message}",
                hint="Check the account's limits, or set requests_per_minute to what it allows.",
            )

    def closed(self, seconds: float) -> None:
        """Note that nothing is sent for some time, because the provider asked for it.

        Raises:
            StalledError: When nothing will have succeeded for too long by then.
        """
        waited = self._clock() - self._last_success
        if waited + seconds > self._limit_s:
            raise StalledError(
                f"nothing has got through for {waited:.0f} s, and the provider asks to wait {seconds:.0f} s more.",
                hint="Come back then; if that is too late, ask the provider for a higher limit.",
            )

    def succeeded(self) -> None:
        """Note that something got through."""
        self._last_success = self._clock()


class OutcomeStream(Generic[T]):
    """The outcomes of a batch, an async iterator; use it in `async with`, and leaving the block ends the batch.

    Args:
        requests: The input, taken as places become free.
        run: Sends one request.
        max_concurrency: How many may be in flight.
        ordered: Give outcomes in input order, rather than as they complete.
        on_error: `return` puts an error into its outcome; `raise` ends the batch with the first one.
    """

    def __init__(
        self,
        requests: Requests,
        run: Callable[[Messages], Awaitable[Done[T]]],
        *,
        max_concurrency: int,
        ordered: bool = False,
        on_error: OnError = "return",
    ) -> None:
        self._source = _Source(requests)
        self._run = run
        self._workers = max_concurrency
        if isinstance(requests, Sized):
            self._workers = min(max_concurrency, len(requests))
        self._ordered = ordered
        self._on_error = on_error
        # Room for every place to hand over one outcome and go on, before the consumer must take some.
        self._room = max_concurrency * (WINDOW_PER_PLACE if ordered else 2)
        self._ready: deque[Outcome[T]] = deque()
        self._held: dict[int, Outcome[T]] = {}
        self._given = 0
        self._working = 0
        self._group: TaskGroup | None = None
        self._news = anyio.Event()
        self._space = anyio.Event()

    async def __aenter__(self) -> Self:
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        self._working = self._workers
        for _ in range(self._workers):
            self._group.start_soon(self._work)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        assert self._group is not None
        self._group.cancel_scope.cancel()
        failure: BaseException | None = None
        try:
            suppressed = await self._group.__aexit__(kind, error, traceback)
        except BaseExceptionGroup as group:
            failure = _only(group)
        finally:
            await self._source.aclose()
        if failure is not None:
            # A batch fails with the one error that ended it; that it ran in a task group is nobody's business.
            raise failure from None
        return suppressed

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Outcome[T]:
        if self._group is None:
            raise RuntimeError("a batch runs inside its block: `async with llm.map(...) as outcomes:`")
        while True:
            outcome = self._next_ready()
            if outcome is not None:
                self._given += 1
                self._space.set()
                return outcome
            if not self._working:
                raise StopAsyncIteration
            if self._news.is_set():
                self._news = anyio.Event()
            await self._news.wait()

    def _next_ready(self) -> Outcome[T] | None:
        if self._ordered:
            return self._held.pop(self._given, None)
        return self._ready.popleft() if self._ready else None

    async def _work(self) -> None:
        try:
            while True:
                # Taken and not yet given: in flight, or waiting for the consumer or for a straggler before it.
                while self._source.taken - self._given >= self._room:
                    if self._space.is_set():
                        self._space = anyio.Event()
                    await self._space.wait()
                item = await self._source.take()
                if item is None:
                    return
                outcome = await self._outcome(*item)
                if self._ordered:
                    self._held[outcome.index] = outcome
                else:
                    self._ready.append(outcome)
                self._news.set()
        finally:
            self._working -= 1
            self._news.set()

    async def _outcome(self, index: int, messages: Messages) -> Outcome[T]:
        known = messages if isinstance(messages, Request) else None
        id, data = (known.id, known.data) if known is not None else (None, None)
        try:
            done = await self._run(messages)
        except StalledError:
            raise  # not this item's fault, and no other item would fare better
        except Exception as error:
            if self._on_error == "raise":
                raise
            completion = getattr(error, "completion", None) or getattr(error, "partial", None)
            completion = completion if isinstance(completion, Completion) else None
            cost = getattr(error, "cost_usd", None) or (completion.cost_usd if completion is not None else None)
            return Outcome(index, id, data, completion=completion, error=error, cost_usd=cost)
        return Outcome(index, id, data, done.value, done.completion, None, done.cost_usd)


async def gather(outcomes: OutcomeStream[T]) -> list[Outcome[T]]:
    """Run a batch to its end and return its outcomes in input order."""
    async with outcomes:
        done = [outcome async for outcome in outcomes]
    done.sort(key=lambda outcome: outcome.index)
    return done


class _Source:
    """The input, taken one item at a time by whichever worker is free.

    Attributes:
        taken: How many items have been taken.
    """

    def __init__(self, requests: Requests) -> None:
        if isinstance(requests, str | bytes | Mapping | Message | Request):
            raise TypeError(
                f"a batch takes an iterable of requests, not one {type(requests).__name__}; put it into a list, or "
                "call acompletion for a single answer"
            )
        self.taken = 0
        self._items: Iterator[Messages] | None = None
        self._async_items: AsyncIterator[Messages] | None = None
        if isinstance(requests, AsyncIterable):
            self._async_items = aiter(requests)
        elif isinstance(requests, Iterable):
            self._items = iter(requests)
        else:
            raise TypeError(f"a batch takes an iterable or async iterable of requests, not {type(requests).__name__}")
        self._turn = anyio.Lock(fast_acquire=True)

    async def take(self) -> tuple[int, Messages] | None:
        """Return the next item with its position; None at the end."""
        async with self._turn:
            item = await self._next()
            if item is _END:
                return None
            self.taken += 1
            return self.taken - 1, item

    async def aclose(self) -> None:
        """Close a generator that was not read to its end."""
        if isinstance(self._items, Generator):
            self._items.close()
        if isinstance(self._async_items, AsyncGenerator):
            with anyio.CancelScope(shield=True):
                await self._async_items.aclose()

    async def _next(self) -> Any:
        if self._async_items is not None:
            return await anext(self._async_items, _END)
        assert self._items is not None
        return next(self._items, _END)


_END = object()


def _only(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error that ended a batch: the first that is no group."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
