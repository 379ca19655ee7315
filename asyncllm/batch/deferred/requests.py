"""Requests of a deferred batch: made for the provider, and kept so that they can be asked for once more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from pydantic_core import from_json, to_json

from asyncllm.completions.call_record import CallRecord
from asyncllm.completions.completion import Completion, ExtractionAttempt
from asyncllm.completions.usage import Usage
from asyncllm.config import LLMConfig
from asyncllm.errors import RequestTooLargeError, UnsupportedError
from asyncllm.limits.deferred_budget import DeferredBudget
from asyncllm.messages import Messages, Request
from asyncllm.models import batch_prices
from asyncllm.parameters import CacheUse
from asyncllm.structured import TypedForms
from asyncllm.structured.errors import total_cost

from ..engine import Done
from ..item import BatchItem
from ..journal.fingerprint import Fingerprinter
from ..journal.session import Restore
from ..outcome import Outcome
from ..stall import ItemPolicy, Stall
from .providers.provider import BatchProvider
from .rows import ItemRow, NewItem

if TYPE_CHECKING:
    from asyncllm.pipeline.endpoint import Endpoint
    from asyncllm.pipeline.pipeline import BatchPolicy, Pipeline

T = TypeVar("T")
# The bytes of the id and the other fields of a line; more than any provider's.
AROUND_BYTES = 160


@dataclass(frozen=True, slots=True)
class DeferredCalls(Generic[T]):
    """What a deferred batch needs of its client.

    Attributes:
        pipeline: Returns the pipeline, with the use of the cache that a request asks for; None for that of the batch.
        prepare: Returns a request with the parameters of the batch, and the profile that it is for.
        send: Sends an item live.
        complete: Sends one form of a typed request live.
        is_retryable: Returns whether what failed may succeed when it is tried again.
        response_model: The type of the answers, for requests that name none.
    """

    config: LLMConfig
    pipeline: Callable[[CacheUse | None], Awaitable[Pipeline]]
    prepare: Callable[[Messages], tuple[LLMConfig, Request]]
    send: Callable[[BatchItem, BatchPolicy], Awaitable[Done[T]]]
    complete: Callable[[TypedForms[Any], BatchPolicy, CacheUse | None], Awaitable[Completion]]
    restore: Restore[T]
    fingerprinter: Callable[[], Fingerprinter]
    is_retryable: Callable[[BaseException], bool]
    response_model: object = None


@dataclass(frozen=True, slots=True)
class KeptRequest:
    """A request as it was made.

    Attributes:
        mode: The mode in which its type was asked for; None for a text.
        data: The caller's own, where the journal keeps it.
        refused: The answers that were refused before.
        is_known: Whether it is known; of a batch that something else created, it may not be.
        cache: Its own use of the cache; None for that of the batch.
    """

    request: Request
    mode: str | None
    data: object = None
    refused: tuple[ExtractionAttempt, ...] = ()
    is_known: bool = True
    cache: CacheUse | None = None

    @classmethod
    def read(cls, item: ItemRow) -> KeptRequest:
        """Return the request of an item."""
        kept = cast("dict[str, Any]", from_json(item.request))
        refused = tuple(_refused(*one) for one in kept.get("refused", ()))
        request = Request(kept["messages"], **kept["params"])
        return cls(request, kept["mode"], kept.get("data"), refused, "unknown" not in kept, kept.get("cache"))

    def encode(self) -> bytes:
        """Return its form in the journal."""
        kept: dict[str, object] = {"messages": self.request.messages, "params": dict(self.request.params)}
        if self.data is not None:
            kept["data"] = self.data
        if self.refused:
            answers = ((one.completion, one.error) for one in self.refused)
            kept["refused"] = [(c.to_dict(), asdict(c.usage), c.cost_usd, error) for c, error in answers]
        if not self.is_known:
            kept["unknown"] = True
        if self.cache is not None:
            kept["cache"] = self.cache
        kept["mode"] = self.mode  # the last, where the reader looks for it
        return to_json(kept, serialize_unknown=True)


class Given:
    """What requests have that a journal does not hold: `data`, and types of their own; kept while the process lasts.

    Attributes:
        is_journaled: Whether the journal has the `data` too.
    """

    def __init__(self, *, is_journaled: bool) -> None:
        self.is_journaled = is_journaled
        self._given: dict[int, tuple[object, object]] = {}

    def add(self, index: int, request: object) -> None:
        """Keep what a request has."""
        if isinstance(request, Request) and (request.data is not None or request.response_model is not None):
            self._given[index] = (request.data, request.response_model)

    def data(self, index: int) -> object:
        """Return the `data` of a request."""
        return self._given.get(index, (None, None))[0]

    def response_model(self, index: int) -> object:
        """Return the type of a request's own."""
        return self._given.get(index, (None, None))[1]


class AskedAgain(Exception):
    """A typed answer was refused, and its request goes into another batch.

    Attributes:
        request: What is sent, with the reason.
        kept: What is kept of it.
    """

    def __init__(self, request: Request, kept: KeptRequest) -> None:
        super().__init__()
        self.request = request
        self.kept = kept


class RequestMaker(Generic[T]):
    """Makes requests for batches, within a budget.

    Args:
        budget: What may be spent; None for any sum.
        keep_data: Whether the `data` of requests is kept too.
        at_live_prices: Whether the budget is taken at the prices of live calls, as some may go out live.
    """

    def __init__(
        self,
        calls: DeferredCalls[T],
        pipeline: Pipeline,
        provider: BatchProvider,
        budget: DeferredBudget | None,
        *,
        keep_data: bool,
        at_live_prices: bool = False,
    ) -> None:
        self._calls = calls
        self._pipeline = pipeline
        self._endpoint = endpoint = pipeline.endpoint
        self._provider = provider
        self._budget = budget
        self._keep_data = keep_data
        self._price_ratio = 1.0 if at_live_prices else price_ratio(endpoint)

    async def make(self, item: BatchItem) -> NewItem | None:
        """Return what is sent for an item; None where the cache has its answer.

        Raises:
            Exception: It cannot be sent in a batch.
        """
        endpoint = self._endpoint
        config, request = self._calls.prepare(item.messages)
        if config.model != self._calls.config.model:
            raise UnsupportedError(
                f"the request is for {config.model}, and a deferred batch is for one model.",
                hint="Send it in a batch of its own.",
            )
        wanted = request.response_model or self._calls.response_model
        formed, mode = request, None
        if wanted is not None:
            forms: TypedForms[Any] = TypedForms(cast(Any, wanted), request, config.structured_mode)
            formed = await forms.request(endpoint)
            mode = forms.form.mode
        own = item.messages.params.get("cache") if isinstance(item.messages, Request) else None
        pipeline = self._pipeline if own is None else await self._calls.pipeline(own)
        if await pipeline.answers_alone(formed):
            return None
        data = item.data if self._keep_data else None
        identity = item.number, item.occurrence, item.fingerprint.sent, item.fingerprint.prompt
        return self._new(
            *identity, item.fingerprint.settings.digest, formed, KeptRequest(request, mode, data, cache=own)
        )

    async def answered(self, item: BatchItem) -> Outcome[T]:
        """Return the outcome of an item whose answer is in the cache."""
        done = await self._calls.send(item, ItemPolicy(Stall(budget=self._budget), None, item))
        return done.outcome(item)

    def duplicate(self, item: BatchItem) -> NewItem:
        """Return what is kept of an item that shares the answer of another."""
        _, request = self._calls.prepare(item.messages)
        fingerprint, kept = item.fingerprint, KeptRequest(request, None, item.data if self._keep_data else None)
        identity = item.number, item.occurrence, fingerprint.sent, fingerprint.prompt, fingerprint.settings.digest
        return NewItem(*identity, 0.0, "", {}, kept.encode(), b"")

    def make_again(self, item: ItemRow, again: AskedAgain) -> NewItem:
        """Return what is sent for an item whose answer was refused.

        Raises:
            Exception: It cannot be sent in a batch.
        """
        identity = item.number, item.occurrence, item.sent, item.prompt, item.settings
        return self._new(*identity, again.request, again.kept)

    def _new(
        self,
        number: int,
        occurrence: int,
        sent: bytes,
        prompt: bytes,
        settings: bytes,
        formed: Request,
        kept: KeptRequest,
    ) -> NewItem:
        endpoint = self._endpoint
        call = endpoint.call(formed, endpoint.config.timeout)
        if call.request is None:
            raise UnsupportedError(
                f"the request is one that litellm serves for {endpoint.config.model}, which has no batches here.",
                hint="Send it live.",
            )
        body = call.request.encode()
        if len(body) + AROUND_BYTES > self._provider.limits.size_bytes:
            raise RequestTooLargeError(f"the request has {len(body):,} bytes, which is more than a batch may have.")
        worst_usd = 0.0
        if (budget := self._budget) is not None:
            refused_usd = (total_cost(kept.refused) or 0.0) if kept.refused else 0.0
            worst_usd = budget.hold(endpoint.worst_case(call) * self._price_ratio, refused_usd)
        reading, headers = self._provider.reading_of(call.request), self._provider.headers_of(call.request)
        return NewItem(number, occurrence, sent, prompt, settings, worst_usd, reading, headers, kept.encode(), body)


def price_ratio(endpoint: Endpoint) -> float:
    """Return what a batch costs, as a part of what the same requests cost live; the higher of input and output."""
    prices = endpoint.info.prices
    if prices is None:
        return 1.0
    live, deferred = prices.standard, batch_prices(prices)[0].standard
    pairs = ((live.input, deferred.input), (live.output, deferred.output))
    return max((below / above for above, below in pairs if above and below is not None), default=1.0)


def _refused(
    answer: dict[str, object], usage: Mapping[str, Any], cost_usd: float | None, reason: str
) -> ExtractionAttempt:
    record = CallRecord("", "", "", "journal", started_at=0.0)
    return ExtractionAttempt(Completion(answer, record, usage=Usage(**usage), price=lambda _: cost_usd), reason)
