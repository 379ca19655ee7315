"""Results of a batch: read as they are downloaded, and the outcomes that they make."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import anyio

from asyncllm.completions.call_record import Attempt, CallRecord
from asyncllm.completions.completion import Completion, ExtractionAttempt
from asyncllm.completions.surrogates import mend_answer
from asyncllm.completions.usage import Basis, Usage
from asyncllm.errors import MalformedResponseError, ProviderError, UnsupportedError
from asyncllm.limits.deferred_budget import DeferredBudget
from asyncllm.messages import Request
from asyncllm.models import Prices, batch_prices, cost_usd, estimate_tokens
from asyncllm.structured import TypedForms, extract
from asyncllm.structured.errors import total_cost, total_usage

from ..engine import Done, failed
from ..item import BatchItem
from ..journal.fingerprint import id_of
from ..journal.session import JournalSession
from ..outcome import Outcome
from ..stall import ItemPolicy, Stall
from .providers.provider import BatchProvider, BatchResult
from .requests import AskedAgain, DeferredCalls, Given, KeptRequest
from .rows import BatchRow, ItemRow

if TYPE_CHECKING:
    from asyncllm.pipeline.pipeline import Pipeline

T = TypeVar("T")
# Lines that are read, and whose outcomes are written down, at once.
AT_ONCE = 200
Ended = tuple[ItemRow, Outcome[T]]
Send = Callable[[ItemPolicy], Awaitable[Done[T]]]
# The end of a kept request without a type.
_NO_TYPE = b'"mode":null}'
# A request whose answer was refused before has this, and others seldom.
_REFUSED = b'"refused":[['


class Item:
    """An item whose outcome is made.

    Attributes:
        asked_again_after: The answers that were refused, and asked for again live.
    """

    def __init__(self, row: ItemRow, given: Given) -> None:
        self.row = row
        self.index = row.position
        self.id = id_of(row.key)
        self.asked_again_after: list[ExtractionAttempt] = []
        self._given = given
        self._kept: KeptRequest | None = None

    @property
    def kept(self) -> KeptRequest:
        """The request as it was made; read on first use."""
        if self._kept is None:
            self._kept = KeptRequest.read(self.row)
        return self._kept

    @property
    def refused(self) -> Sequence[ExtractionAttempt]:
        """The answers that were refused before."""
        return self.kept.refused if _REFUSED in self.row.request else ()

    @property
    def data(self) -> object:
        """The caller's own."""
        data = self._given.data(self.index)
        return self.kept.data if data is None and self._given.is_journaled else data


class Reader(Generic[T]):
    """Makes outcomes of what a provider sends for the items of one job.

    Args:
        session: The journal, in which live calls are noted before they are sent.
        path: The journal's file, beside which the file of results lies while it is read.
        budget: The budget of the job; None for any sum.
        defers_reasks: Whether a refused typed answer is asked for again in another batch, rather than live.

    Attributes:
        asked_again: Items that go into another batch for it; the caller packs them.
    """

    def __init__(
        self,
        provider: BatchProvider,
        pipeline: Pipeline,
        calls: DeferredCalls[T],
        given: Given,
        session: JournalSession[T],
        path: Path,
        budget: DeferredBudget | None,
        *,
        defers_reasks: bool,
    ) -> None:
        self._provider = provider
        self._pipeline = pipeline
        self._calls = calls
        self._given = given
        self._session = session
        self._budget = budget
        self._file = path.with_name(f"{path.name}-results")
        self._defers_reasks = defers_reasks
        self.asked_again: list[tuple[ItemRow, AskedAgain]] = []
        self._live_prices = prices = pipeline.endpoint.info.prices
        self._prices: Prices | None
        self._prices, is_known = (None, True) if prices is None else batch_prices(prices)
        self._price_basis: Basis = "known" if is_known else "estimated"

    async def lines(self, sources: Sequence[str]) -> AsyncGenerator[list[bytes], None]:
        """Yield the lines of results, as they come; a download that is cut goes on where it was."""
        for source in sources:
            self._file.unlink(missing_ok=True)
            try:
                async with aclosing(self._lines(source)) as chunks:
                    async for chunk in chunks:
                        yield chunk
            finally:
                self._file.unlink(missing_ok=True)

    async def _lines(self, source: str) -> AsyncGenerator[list[bytes], None]:
        config = self._pipeline.config
        at, tries = 0, 0
        while True:
            cut: ProviderError | None = None
            try:
                await self._provider.download(source, self._file)
            except ProviderError as error:
                if not self._calls.is_retryable(error):
                    raise
                cut = error
            before = at
            for chunk, end in _complete_lines(self._file, before, is_whole=cut is None):
                at = end
                yield chunk
            if cut is None:
                return
            tries = 0 if at > before else tries + 1
            if tries > config.num_retries:
                raise cut
            await anyio.sleep(config.retry_min_wait)

    def results(self, lines: Sequence[bytes]) -> dict[str, BatchResult]:
        """Return the results of requests by the ids that they were sent with; of several, the first."""
        found: dict[str, BatchResult] = {}
        for line in lines:
            try:
                result = self._provider.read_result(line)
            except ValueError:
                continue  # its request has no result then
            found.setdefault(result.custom_id, result)
        return found

    async def outcomes(self, row: BatchRow, results: Sequence[tuple[ItemRow, BatchResult]]) -> list[Ended[T]]:
        """Return the outcomes of items that were answered or failed; bad typed answers are asked for once more."""
        ended: list[Ended[T]] = []
        typed: list[tuple[Item, Send[T]]] = []
        for item_row, result in results:
            item = Item(item_row, self._given)
            try:
                completion = self._answer(item, result, row.created_at)
                if (wanted := self._type_of(item)) is not None:
                    typed.append((item, self._extracting(item, wanted, completion)))
                    continue
            except Exception as error:
                ended.append((item_row, _failed(item, error)))
            else:
                if self._pipeline.has_cache:
                    (await self._pipeline_of(item)).keep(item.kept.request, completion)
                done = Done(cast(T, completion.text), completion, completion.cost_usd)
                ended.append((item_row, done.outcome(item)))
        return ended + await self._together(typed) if typed else ended

    async def live(self, items: Sequence[ItemRow]) -> list[Ended[T]]:
        """Send items live, and return their outcomes."""
        ended: list[Ended[T]] = []
        sending: list[tuple[Item, Send[T]]] = []
        for row in items:
            item = Item(row, self._given)
            self._settle(item, 0.0)
            try:
                sending.append((item, self._sending(item)))
            except UnsupportedError as error:
                ended.append((row, failed(item, error)))
        ended += await self._together(sending)
        return [(row, _with_refused(Item(row, self._given), outcome)) for row, outcome in ended]

    def failed(self, row: ItemRow, error: ProviderError) -> Ended[T]:
        """Return the outcome of an item that was not answered."""
        item = Item(row, self._given)
        self._settle(item, None if isinstance(error, MalformedResponseError) else 0.0)
        return row, _failed(item, self._described(error))

    def not_asked_again(self, row: ItemRow, again: AskedAgain, error: Exception) -> Ended[T]:
        """Return the outcome of an item whose answer was refused, and that cannot be asked for again."""
        return row, _plus(failed(Item(row, self._given), error), again.kept.refused)

    async def _together(self, work: Sequence[tuple[Item, Send[T]]]) -> list[Ended[T]]:
        ended: list[Ended[T]] = []
        stall = Stall(budget=self._budget)

        async def run(slot: int, item: Item, send: Send[T]) -> None:
            noted = BatchItem(item.index, "")
            noted.worker, noted.number = slot, item.row.number
            try:
                done: Done[T] = await send(ItemPolicy(stall, self._session, noted))
            except AskedAgain as again:
                self.asked_again.append((item.row, again))
            except Exception as error:
                outcome = failed(item, error)
                if outcome.usage is None and item.asked_again_after:  # the error of a re-ask alone
                    outcome = _plus(outcome, item.asked_again_after)
                ended.append((item.row, outcome))
            else:
                ended.append((item.row, done.outcome(item)))

        async with anyio.create_task_group() as group:
            for slot, (item, send) in enumerate(work):
                group.start_soon(run, slot, item, send)
        return ended

    def _sending(self, item: Item) -> Send[T]:
        own = self._given.response_model(item.index) if self._type_of(item) is not None else None
        cache: dict[str, Any] = {} if item.kept.cache is None else {"cache": item.kept.cache}
        request = Request(item.kept.request, id=item.id, response_model=own, data=item.data, **cache)
        return lambda policy: self._calls.send(BatchItem(item.index, request), policy)

    def _type_of(self, item: Item) -> object:
        """Return the type of an item's answer; None for a text.

        Raises:
            UnsupportedError: It is not known, in another process than the one that sent the item.
        """
        wanted = self._given.response_model(item.index) or self._calls.response_model
        if wanted is None and not item.row.request.endswith(_NO_TYPE):
            raise UnsupportedError(
                "the request asks for a typed answer, and the type is not in the journal.",
                hint="Give response_model= again.",
            )
        return wanted

    def _extracting(self, item: Item, wanted: object, completion: Completion) -> Send[T]:
        """Return what reads a typed answer, and asks for it again live where it is not valid."""
        answers = [completion]

        async def ask(policy: ItemPolicy, forms: TypedForms[Any]) -> Completion:
            if not answers and not self._defers_reasks:
                assert forms.bad is not None, "an answer was refused"
                item.asked_again_after.append(forms.bad)
                return await self._calls.complete(forms, policy, item.kept.cache)
            request = await forms.request(self._pipeline.endpoint)
            if answers:  # the form that it was asked in has been made
                (await self._pipeline_of(item)).keep(request, answers[0])
                return answers.pop()
            assert forms.bad is not None, "an answer was refused"
            raise AskedAgain(request, replace(item.kept, refused=(*item.kept.refused, forms.bad)))

        async def run(policy: ItemPolicy) -> Done[T]:
            kept = item.kept
            mode = kept.mode or ("tools" if completion.tool_calls else "md_json")  # of a batch of something else
            most = self._pipeline.config.max_reasks if kept.is_known else 0
            found = await extract(
                cast(Any, wanted), kept.request, partial(ask, policy), mode=mode, max_reasks=most, refused=kept.refused
            )
            return Done(found.value, found.completion, found.cost_usd, found.usage)

        return run

    def _answer(self, item: Item, result: BatchResult, created_at: float) -> Completion:
        """Return the answer of a result, and settle what was held for it; raise if it is an error."""
        if result.error is not None:
            self._settle(item, 0.0)
            raise self._described(result.error)
        try:
            completion = self._completion(item, result, created_at)
        except Exception:
            self._settle(item, None)  # it was answered
            raise
        self._settle(item, completion.cost_usd)
        return completion

    def _settle(self, item: Item, cost_usd: float | None) -> None:
        """Replace what is held for an item by what its answers in batches have cost; None where that is not known."""
        if self._budget is None:
            return
        refused_usd = total_cost(item.refused) if item.refused else 0.0
        known_usd = None if cost_usd is None or refused_usd is None else cost_usd + refused_usd
        self._budget.settle_held(item.row.worst_usd, known_usd)

    async def _pipeline_of(self, item: Item) -> Pipeline:
        """Return the pipeline with the use of the cache that an item asks for."""
        cache = item.kept.cache
        return self._pipeline if cache is None else await self._calls.pipeline(cache)

    def _completion(self, item: Item, result: BatchResult, created_at: float) -> Completion:
        endpoint, config = self._pipeline.endpoint, self._pipeline.config
        data: dict[str, Any] = self._provider.read_answer(result.answer, item.row.reading)
        mend_answer(data)
        elapsed_s = max(time.time() - created_at, 0.0) if created_at else 0.0
        attempt = Attempt(endpoint.profile, config.model, elapsed_s=elapsed_s, billed="yes")
        record = CallRecord(
            endpoint.profile,
            config.model,
            endpoint.provider,
            "deferred",
            request_id=data.get("id"),
            attempts=[attempt],
            elapsed_s=elapsed_s,
        )
        completion = Completion(data, record, price=self._price, price_basis=self._price_basis)
        if completion.usage.basis == "unknown":
            sent = estimate_tokens(item.kept.request.messages)
            completion.usage = Usage(sent, estimate_tokens(completion.text), basis="estimated")
        live_usd = cost_usd(completion.usage, self._live_prices)
        if live_usd is not None and completion.cost_usd is not None:
            record.saved_usd = live_usd - completion.cost_usd
        self._pipeline.counters.calls += 1
        self._pipeline.counters.succeeded += 1
        self._pipeline.counters.add(completion)
        if self._pipeline.call_log is not None:
            self._pipeline.log(record, item.kept.request, completion, None)
        return completion

    def _price(self, usage: Usage) -> float | None:
        return cost_usd(usage, self._prices)

    def _described(self, error: ProviderError) -> ProviderError:
        endpoint = self._pipeline.endpoint
        error.model, error.provider, error.profile = endpoint.config.model, endpoint.provider, endpoint.profile
        error.attempts = (
            Attempt(
                endpoint.profile,
                endpoint.config.model,
                error=type(error).__name__,
                message=error.message,
                status_code=error.status_code,
            ),
        )
        return error


def _failed(item: Item, error: Exception) -> Outcome[Any]:
    return _with_refused(item, failed(item, error))


def _with_refused(item: Item, outcome: Outcome[T]) -> Outcome[T]:
    """Return an outcome with what the refused answers before it have cost."""
    return _plus(outcome, item.refused) if item.refused else outcome


def _plus(outcome: Outcome[T], refused: Sequence[ExtractionAttempt]) -> Outcome[T]:
    cost, usage = total_cost(refused), total_usage(refused)
    if outcome.usage is not None:
        cost = None if cost is None or outcome.cost_usd is None else cost + outcome.cost_usd
        usage += outcome.usage
    return replace(outcome, cost_usd=cost, usage=usage)


def _complete_lines(path: Path, at: int, *, is_whole: bool) -> Iterator[tuple[list[bytes], int]]:
    """Yield the lines of a file from a position on, some at a time, and where they end."""
    if not path.exists():
        return
    with path.open("rb") as file:
        file.seek(at)
        lines: list[bytes] = []
        for line in file:
            if not line.endswith(b"\n") and not is_whole:
                break
            at += len(line)
            if line.strip():
                lines.append(line)
            if len(lines) >= AT_ONCE:
                yield lines, at
                lines = []
        if lines:
            yield lines, at
