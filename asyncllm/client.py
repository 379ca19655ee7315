"""AsyncLLM, the client: one for a whole process, shared by any number of tasks of its loop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, Unpack, cast, overload

from .completions.completion import Completion
from .completions.stream import CompletionStream, OnInterrupt, Opened
from .config import LLMConfig, load_config
from .config.options import Options
from .limits import Reason, TenantStats
from .messages import Messages, Request, to_dicts
from .models import ModelInfo, TokenCount, count_tokens
from .parameters import KNOWN, CacheUse, CallOptions, cache_mode, check, profile_params
from .pipeline.deadline import Deadline
from .pipeline.fallback import FallbackTurn, in_turn
from .pipeline.pipeline import BatchPolicy, Pipeline
from .pipeline.retry import is_retryable
from .pipeline.shared_state import SharedState
from .threads import run_in_own_thread

if TYPE_CHECKING:
    # Names for type checkers; nothing is imported. Batches and typed answers are half of the package, and a client that
    # needs neither is made in half of the time.
    from aiohttp import ClientSession  # noqa: TID251
    from instructor import AsyncInstructor  # noqa: TID251
    from typing_extensions import TypeForm

    from .batch.deferred.job import DeferredJob
    from .batch.deferred.requests import DeferredCalls
    from .batch.engine import Done, OutcomeStream
    from .batch.input import Requests
    from .batch.item import BatchItem
    from .batch.journal.entry import JournalEntry
    from .batch.journal.fingerprint import Fingerprinter
    from .batch.options import BatchOptions, DeferredOptions, JournalLike
    from .batch.outcome import Outcome
    from .structured import Check, Extraction, ItemStream, Mode, OnInvalid, PartialStream, Prepared, TypedForms

T = TypeVar("T")

# Fields of the profile that may be given to a single call. The others say where requests go or how many there may be,
# and belong to the client, or to a view of it.
PER_CALL = frozenset(CallOptions.__annotations__) - KNOWN
# Of these, those that say whose turn a request is.
_OF_THE_REQUEST = frozenset(("tenant", "priority"))
_KEPT_VIEWS = 64  # of calls with options of their own: an application repeats a few, and deadlines that differ are rare
_OF_THE_CLIENT = {
    "max_concurrency": "whose slots a view shares",
    "max_queue": "whose queue a view shares",
    "tenant_max_concurrency": "whose tenants a view shares",
    "tenant_max_queue": "whose tenants a view shares",
    "tenant_requests_per_minute": "whose tenants a view shares",
    "tenant_budget_usd": "whose tenants a view shares",
    "limits_url": "whose limits a view shares",
    "budget_usd": "and a view spends of it",
}


@dataclass(frozen=True, slots=True)
class Stats:
    """The totals of a client, and its present state.

    Attributes:
        calls: Calls begun.
        succeeded: Calls answered.
        failed: Calls that ended with an error.
        cancelled: Calls that were cancelled.
        retries: Attempts after the first; in a batch, those after a 429 do not count.
        throttled: Requests that the provider refused with 429, in batches too.
        in_flight: Slots in use.
        waiting: Requests waiting for a slot, a limit or a budget.
        limited_by: The limit that the first of them waits for: `slots`, `requests`, `tokens`, `cooldown`, `adaptive` or
            `budget`; None when none waits.
        input_tokens: Tokens sent, of answers whose usage is known or estimated.
        output_tokens: Tokens received, likewise.
        cost_usd: The cost of the answers whose price is known, in US dollars.
        unpriced: Answers whose cost is not known.
        cached: Answers of the cache, which count as calls, and neither as tokens nor as cost.
        saved_usd: What these cost when they were asked for, in US dollars.
        budget_spent_usd: What is spent of `budget_usd`: the cost of the answers, and the worst case of requests that
            were cut short; None without a budget.
        tenants: The state of each tenant that is known, by its name; one without calls is forgotten after a while.

    Example:
        ```python
        stats = llm.stats()
        print(f"{stats.in_flight} in flight, {stats.waiting} waiting, ${stats.cost_usd:.2f} spent")
        ```
    """

    calls: int
    succeeded: int
    failed: int
    cancelled: int
    retries: int
    throttled: int
    in_flight: int
    waiting: int
    limited_by: Reason | None
    input_tokens: int
    output_tokens: int
    cost_usd: float
    unpriced: int
    cached: int
    saved_usd: float
    budget_spent_usd: float | None
    tenants: Mapping[str, TenantStats]


class AsyncLLM:
    """A client for one profile.

    Use it in `async with`, or call `aclose()` at the end. Nothing is opened before the first call.

    Args:
        profile: The name of a profile of config.toml, or a ready `LLMConfig`; None for the default profile.
        http_session: An aiohttp session for the wire transport to use instead of one of its own, with its proxies,
            certificates and limits; it stays the caller's to close, and works in its own asyncio loop.
        **options: Fields of the profile, over those of the file. With `model` and no profile, no file is read.

    Raises:
        ConfigError: The configuration is wrong or incomplete.

    Example:
        ```python
        async with AsyncLLM("fast", num_retries=5) as llm:
            answer = await llm.acompletion("Name a colour.")
        print(answer.text, answer.cost_usd)
        ```
    """

    def __init__(
        self,
        profile: str | LLMConfig | None = None,
        *,
        http_session: ClientSession | None = None,
        **options: Unpack[Options],
    ) -> None:
        if isinstance(profile, LLMConfig):
            config = profile.replace(**options) if options else profile
        elif profile is None and options.get("model") is not None:
            config = LLMConfig(**options)  # type: ignore[arg-type]  # the model is there
        else:
            config = load_config(profile, **options)
        self._set_up(config, SharedState(config, http_session))

    def _set_up(self, config: LLMConfig, shared: SharedState) -> None:
        self.config = config
        self._shared = shared
        self._views: dict[tuple[tuple[str, Any], ...], AsyncLLM] = {}
        self._configs = (config, *config.fallback_configs())
        self._pipelines: dict[int, Pipeline] = {}

    def with_options(self, **options: Unpack[Options]) -> AsyncLLM:
        """Return a view of this client with other options; it shares connections, slots and limits.

        Args:
            **options: Fields of the profile, over those of this client; None unsets one.

        Raises:
            ConfigError: An option is unknown, of the wrong type or impossible.
            TypeError: An option belongs to the client as a whole: `max_concurrency`, `max_queue`, `budget_usd`,
                `limits_url`, and those of tenants.

        Example:
            ```python
            patient = llm.with_options(timeout=600, num_retries=8)
            answer = await patient.acompletion("Prove it step by step.")
            ```
        """
        for name in _OF_THE_CLIENT.keys() & options.keys():
            raise TypeError(f"{name} belongs to the client, {_OF_THE_CLIENT[name]}; make another client for it")
        made: AsyncLLM = object.__new__(type(self))
        made._set_up(self.config.replace(**options), self._shared)
        return made

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close what this client and its views have open; returns when it is closed. Closing twice is harmless."""
        await self._shared.aclose()

    async def warm_up(self) -> None:
        """Import and connect ahead of the first call, which would otherwise wait for it."""
        endpoint = await self._shared.endpoint(self.config)
        call = endpoint.call(Request("warm up"), self.config.timeout)
        await endpoint.transport(call).warm_up(endpoint.connection)

    @overload
    async def acompletion(
        self, messages: Messages, *, stream: Literal[False] = False, **params: Unpack[CallOptions]
    ) -> Completion: ...

    @overload
    async def acompletion(
        self, messages: Messages, *, stream: Literal[True], **params: Unpack[CallOptions]
    ) -> CompletionStream: ...

    async def acompletion(
        self, messages: Messages, *, stream: bool = False, **params: Unpack[CallOptions]
    ) -> Completion | CompletionStream:
        """Send messages and return the answer.

        Args:
            messages: A text, a `Message`, a chat-completions dict, a sequence of these, or a `Request`.
            stream: Return an open `CompletionStream` instead.
            **params: Chat-completions parameters, and the profile's timeouts and retries, for this call.

        Raises:
            ProviderError: The provider refused, failed or could not be reached, after the retries.
            DeadlineExceededError: The whole call took longer than `deadline`.
            TypeError: A parameter is misspelt.

        Example:
            ```python
            answer = await llm.acompletion("Name a colour.", temperature=0.2, timeout=20)
            print(answer.text, answer.usage.output_tokens)
            ```
        """
        client, request = self._prepare(messages, params)
        if stream:
            return await client._stream(request, "raise").open()
        return await client._complete(request, Deadline(client.config.deadline), None)

    def stream(
        self, messages: Messages, *, on_interrupt: OnInterrupt = "raise", **params: Unpack[CallOptions]
    ) -> CompletionStream:
        """Send messages and read the answer as it comes; use it in `async with`.

        Args:
            messages: As for `acompletion`.
            on_interrupt: When the stream is cut after its first chunk: `raise` StreamInterruptedError, or `restart` the
                answer, at most `num_retries` times, with a chunk whose `restarted` is set.
            **params: As for `acompletion`.

        Raises:
            TypeError: A parameter is misspelt. The other errors of `acompletion` come when it is entered or read.

        Example:
            ```python
            async with llm.stream("Tell me a story.") as stream:
                async for chunk in stream:
                    print(chunk.text, end="", flush=True)
            print(stream.completion.usage)
            ```
        """
        client, request = self._prepare(messages, params)
        return client._stream(request, on_interrupt)

    @overload
    async def extract(
        self,
        response_model: TypeForm[T],
        messages: Messages,
        *,
        check: Check[T] | None = None,
        validation_context: object = None,
        **params: Unpack[CallOptions],
    ) -> T: ...

    @overload
    async def extract(
        self,
        response_model: Mapping[str, object],
        messages: Messages,
        *,
        check: Check[Any] | None = None,
        validation_context: object = None,
        **params: Unpack[CallOptions],
    ) -> Any: ...

    async def extract(
        self,
        response_model: Any,
        messages: Messages,
        *,
        check: Check[Any] | None = None,
        validation_context: object = None,
        **params: Unpack[CallOptions],
    ) -> Any:
        """Ask for a value of a type and return it.

        Args:
            response_model: The type: a pydantic model, or any type that pydantic can validate; or a JSON Schema, whose
                value is plain data.
            messages: As for `acompletion`.
            check: Called with the value; raises `Reask("reason")` to have the model answer again. A plain function or a
                coroutine function.
            validation_context: What pydantic's validators find in `info.context`; the model never sees it.
            **params: As for `acompletion`.

        Raises:
            ExtractionError: No answer was a value of the type, after `max_reasks` re-asks.
            ProviderError: As for `acompletion`.

        Example:
            ```python
            from pydantic import BaseModel

            class City(BaseModel):
                name: str
                country: str

            city = await llm.extract(City, "Which city has the Eiffel Tower?")
            ```
        """
        client, request = self._prepare(messages, params)
        return (await client._extract(response_model, request, None, check, validation_context)).value

    @overload
    async def extract_with_completion(
        self,
        response_model: TypeForm[T],
        messages: Messages,
        *,
        check: Check[T] | None = None,
        validation_context: object = None,
        **params: Unpack[CallOptions],
    ) -> Extraction[T]: ...

    @overload
    async def extract_with_completion(
        self,
        response_model: Mapping[str, object],
        messages: Messages,
        *,
        check: Check[Any] | None = None,
        validation_context: object = None,
        **params: Unpack[CallOptions],
    ) -> Extraction[Any]: ...

    async def extract_with_completion(
        self,
        response_model: Any,
        messages: Messages,
        *,
        check: Check[Any] | None = None,
        validation_context: object = None,
        **params: Unpack[CallOptions],
    ) -> Extraction[Any]:
        """Ask for a value of a type and return it with the answers it took.

        Args:
            response_model: As for `extract`.
            messages: As for `acompletion`.
            check: As for `extract`.
            validation_context: As for `extract`.
            **params: As for `acompletion`.

        Raises:
            ExtractionError: As for `extract`.
            ProviderError: As for `acompletion`.
        """
        client, request = self._prepare(messages, params)
        return await client._extract(response_model, request, None, check, validation_context)

    @overload
    def stream_partial(
        self,
        response_model: TypeForm[T],
        messages: Messages,
        *,
        min_interval: float = 0.0,
        validation_context: object = None,
        **params: Unpack[CallOptions],
    ) -> PartialStream[T]: ...

    @overload
    def stream_partial(
        self,
        response_model: Mapping[str, object],
        messages: Messages,
        *,
        min_interval: float = 0.0,
        validation_context: object = None,
        **params: Unpack[CallOptions],
    ) -> PartialStream[Any]: ...

    def stream_partial(
        self,
        response_model: Any,
        messages: Messages,
        *,
        min_interval: float = 0.0,
        validation_context: object = None,
        **params: Unpack[CallOptions],
    ) -> PartialStream[Any]:
        """Ask for a value of a type and yield it as it grows; use it in `async with`.

        Snapshots have the fields of the type, of which those that have not come yet read None; `await s.final()` is the
        validated value. A bad answer is not asked for again.

        Args:
            response_model: As for `extract`.
            messages: As for `acompletion`.
            min_interval: Seconds between two snapshots, at the least.
            validation_context: As for `extract`.
            **params: As for `acompletion`.
        """
        from .structured import PartialStream

        client, request = self._prepare(messages, params)
        return PartialStream(
            client._forms(response_model, request),
            lambda asked: client._stream(asked, "raise"),
            min_interval=min_interval,
            context=validation_context,
        )

    @overload
    def stream_items(
        self,
        response_model: TypeForm[T],
        messages: Messages,
        *,
        on_invalid: OnInvalid = "raise",
        validation_context: object = None,
        **params: Unpack[CallOptions],
    ) -> ItemStream[T]: ...

    @overload
    def stream_items(
        self,
        response_model: Mapping[str, object],
        messages: Messages,
        *,
        on_invalid: OnInvalid = "raise",
        validation_context: object = None,
        **params: Unpack[CallOptions],
    ) -> ItemStream[Any]: ...

    def stream_items(
        self,
        response_model: Any,
        messages: Messages,
        *,
        on_invalid: OnInvalid = "raise",
        validation_context: object = None,
        **params: Unpack[CallOptions],
    ) -> ItemStream[Any]:
        """Ask for a list and yield each item as soon as it is complete and valid; use it in `async with`.

        Args:
            response_model: The type of the items; as for `extract`.
            messages: As for `acompletion`.
            on_invalid: `raise` ExtractionError at a bad item, after the items before it; or `skip` it, and report it in
                `skipped`.
            validation_context: As for `extract`.
            **params: As for `acompletion`.
        """
        from .structured import ItemStream, list_of, type_name

        client, request = self._prepare(messages, params)
        return ItemStream(
            client._forms(list_of(response_model), request),
            lambda asked: client._stream(asked, "raise"),
            title=type_name(response_model),
            on_invalid=on_invalid,
            context=validation_context,
        )

    def instructor(self) -> AsyncInstructor:
        """Return a client of instructor's own whose requests go through this one, for code written for instructor.

        The first call takes about a second, in which instructor imports openai.
        """
        from .structured.instructor_client import async_instructor

        return async_instructor(self.acompletion, self.stream, self._mode_by_map())

    @overload
    async def gather(
        self, requests: Requests, *, response_model: TypeForm[T], **options: Unpack[BatchOptions]
    ) -> list[Outcome[T]]: ...

    @overload
    async def gather(
        self, requests: Requests, *, response_model: Mapping[str, object] | None = None, **options: Unpack[BatchOptions]
    ) -> list[Outcome[Any]]: ...

    async def gather(
        self, requests: Requests, *, response_model: Any = None, **options: Unpack[BatchOptions]
    ) -> list[Outcome[Any]]:
        """Send many requests and return their outcomes in input order.

        Args:
            requests: An iterable or async iterable of what `acompletion` takes as messages. All but a list or
                another collection in memory may block, and is read on a thread.
            response_model: The type of the answers, for requests that name none of their own; None for texts.
            **options: Those of the batch, `BatchOptions`: `journal`, `max_concurrency`, ...; and parameters for every
                request, as for `acompletion`, of which a request's own come first.

        Raises:
            StalledError: Nothing has got through for 300 s.
            JournalError: The journal is in use, damaged, of a newer version, or cannot be written.

        Example:
            ```python
            reviews = ["It arrived late.", "It works well."]
            outcomes = await llm.gather(f"Positive or negative? {review}" for review in reviews)
            for review, outcome in zip(reviews, outcomes):
                print(review, outcome.text if outcome.ok else outcome.error)
            ```
        """
        from .batch.engine import gather

        return await gather(self.map(requests, response_model=response_model, **options))

    @overload
    def map(
        self,
        requests: Requests,
        *,
        ordered: bool = False,
        response_model: TypeForm[T],
        **options: Unpack[BatchOptions],
    ) -> OutcomeStream[T]: ...

    @overload
    def map(
        self,
        requests: Requests,
        *,
        ordered: bool = False,
        response_model: Mapping[str, object] | None = None,
        **options: Unpack[BatchOptions],
    ) -> OutcomeStream[Any]: ...

    def map(
        self,
        requests: Requests,
        *,
        ordered: bool = False,
        response_model: Any = None,
        **options: Unpack[BatchOptions],
    ) -> OutcomeStream[Any]:
        """Send many requests and yield their outcomes as they complete; use it in `async with`.

        The input is taken as slots become free, and a consumer that is slow slows the rest: memory stays flat.

        Args:
            requests: As for `gather`.
            ordered: Yield them in input order; results behind a straggler wait in a bounded window.
            response_model: As for `gather`.
            **options: As for `gather`.

        Example:
            ```python
            prompts = (Request(f"What is {n} times {n}?", id=str(n)) for n in range(100))
            async with llm.map(prompts, journal="squares.journal") as outcomes:
                async for outcome in outcomes:
                    print(outcome.id, outcome.text)
            ```
        """
        from .batch.options import BatchSettings, batch, deferred_batch

        settings, params = BatchSettings.split(options)
        check(params, PER_CALL)
        if settings.deferred:
            return deferred_batch(settings, requests, self._deferred_calls(response_model, params), ordered=ordered)
        return batch(
            settings,
            requests,
            partial(self._send_item, response_model, params),
            ordered=ordered,
            slots=self.config.max_concurrency,
            fingerprint_of=partial(self._fingerprinter, response_model, params),
            restore=partial(self._restore, response_model),
            limited_by=lambda: self._shared.slots.limited_by,
        )

    @overload
    async def submit(
        self, requests: Requests, *, response_model: TypeForm[T], **options: Unpack[BatchOptions]
    ) -> DeferredJob[T]: ...

    @overload
    async def submit(
        self, requests: Requests, *, response_model: Mapping[str, object] | None = None, **options: Unpack[BatchOptions]
    ) -> DeferredJob[Any]: ...

    async def submit(
        self, requests: Requests, *, response_model: Any = None, **options: Unpack[BatchOptions]
    ) -> DeferredJob[Any]:
        """Send many requests by the provider's batch API, and return when all of them are with the provider.

        Args:
            requests: As for `gather`.
            response_model: As for `gather`.
            **options: As for `gather`; `journal` is needed.

        Raises:
            UnsupportedError: The provider has no batch API that is served.
            ProviderError: The provider refuses the batches, or fails again and again.
            JournalError: As for `gather`.
        """
        from .batch.deferred.job import submit
        from .batch.options import BatchSettings

        settings, params = BatchSettings.split({**options, "deferred": True})
        check(params, PER_CALL)
        journal = settings.open_journal()
        assert journal is not None, "the settings have been checked for one"
        return await submit(self._deferred_calls(response_model, params), journal, settings.of_deferred(), requests)

    @overload
    def deferred(
        self,
        journal: JournalLike,
        *,
        batch: str | None = None,
        response_model: TypeForm[T],
        **options: Unpack[DeferredOptions],
    ) -> DeferredJob[T]: ...

    @overload
    def deferred(
        self,
        journal: JournalLike,
        *,
        batch: str | None = None,
        response_model: Mapping[str, object] | None = None,
        **options: Unpack[DeferredOptions],
    ) -> DeferredJob[Any]: ...

    def deferred(
        self,
        journal: JournalLike,
        *,
        batch: str | None = None,
        response_model: Any = None,
        **options: Unpack[DeferredOptions],
    ) -> DeferredJob[Any]:
        """Return the deferred job that a journal has, in another process or on another day.

        Args:
            journal: The journal, or its path.
            batch: The id of a batch that something else created, such as the provider's SDK: it is read into the
                journal. An outcome's id is the `custom_id`; the model of this client is taken to be the batch's.
            response_model: The type of the answers, as it was given to `submit`.
            **options: As for `submit`; parameters of requests are for those that go out live.
        """
        from .batch.deferred.job import DeferredJob
        from .batch.options import BatchSettings

        settings, params = BatchSettings.split({**options, "journal": journal, "deferred": True})
        check(params, PER_CALL)
        opened = settings.open_journal()
        assert opened is not None, "it was given"
        return DeferredJob(self._deferred_calls(response_model, params), opened, settings.of_deferred(batch))

    @property
    def model_info(self) -> ModelInfo:
        """The properties of the model: its limits, abilities and prices.

        Those of a model behind a LiteLLM proxy come from the proxy, from the first call or `warm_up()` on.
        """
        return self._info(0)

    async def count_tokens(self, messages: Messages) -> TokenCount:
        """Count the tokens of messages as this model would, exactly where its tokenizer is on the machine.

        Args:
            messages: As for `acompletion`.

        Raises:
            ConfigError: `custom_tokenizer` names one that is not on the machine.
        """
        dicts = to_dicts(messages)
        return await run_in_own_thread(
            lambda: count_tokens(dicts, self.config.model, custom_tokenizer=self.config.custom_tokenizer)
        )

    def stats(self) -> Stats:
        """Return the totals of this client and its views, and their present state."""
        slots = self._shared.slots
        return Stats(
            in_flight=slots.in_use,
            waiting=slots.waiting,
            limited_by=slots.limited_by,
            budget_spent_usd=None if slots.budget is None else slots.budget.spent_usd,
            tenants=slots.tenants.stats(),
            **asdict(self._shared.counters),
        )

    def __repr__(self) -> str:
        return f"AsyncLLM({self.config!r})"

    def _prepare(
        self, messages: Messages, params: Mapping[str, Any], *, own_first: bool = False
    ) -> tuple[AsyncLLM, Request]:
        """Return the view that serves a call, and its request; `own_first` lets a request's own parameters win."""
        if not params and not isinstance(messages, Request):
            return self, Request(messages)
        own: Mapping[str, Any] = messages.params if isinstance(messages, Request) else {}
        merged = {**params, **own} if own_first else {**own, **params}
        check(merged, PER_CALL)
        options = {name: value for name, value in merged.items() if name not in KNOWN and name in PER_CALL}
        if options:
            merged = {name: value for name, value in merged.items() if name not in options}
            if isinstance(messages, Request) and not own.keys().isdisjoint(options):
                # The provider has no such parameters, and the wire would leave the request to litellm.
                merged["response_model"] = messages.response_model
                messages = messages.with_form(messages.messages, {})
            if "cache" in options:
                options["cache_mode"] = cache_mode(options.pop("cache"))
            for name in _OF_THE_REQUEST & options.keys():
                value = options.pop(name)
                if not own_first or getattr(messages, name, None) is None:
                    merged[name] = value
        return self._view(options) if options else self, Request(messages, **merged)

    def _view(self, options: Mapping[str, Any]) -> AsyncLLM:
        key = tuple(sorted(options.items()))
        view = self._views.get(key)
        if view is None:
            while len(self._views) >= _KEPT_VIEWS:
                self._views.pop(next(iter(self._views)))
            view = self._views[key] = self.with_options(**options)
        return view

    async def _pipeline(self, index: int = 0) -> Pipeline:
        """Return the pipeline of the profile's own endpoint, or of a fallback's by its index."""
        # Kept, because finding the endpoint of a profile compares all of its fields: a sixth of the cost of a call.
        kept = self._pipelines.get(index)
        if kept is None or self._shared.closed:
            config = self._configs[index]
            kept = self._pipelines[index] = await self._shared.pipeline(config)
        return kept

    def _info(self, index: int) -> ModelInfo:
        """Return the properties of the profile's model, or of a fallback's by its index."""
        kept = self._pipelines.get(index)  # a look-up would take a fifth of the time of a call
        return self._shared.model_info(self._configs[index]) if kept is None else kept.endpoint.info

    async def _served(self, send: Callable[[Pipeline, FallbackTurn | None], Awaitable[T]]) -> T:
        """Send a call to the profile's own endpoint, or to that of a fallback."""
        if len(self._configs) == 1:
            return await send(await self._pipeline(), None)
        return await in_turn([config.profile or "default" for config in self._configs], self._pipeline, send)

    async def _complete(
        self, asked: Request | TypedForms[Any], deadline: Deadline, policy: BatchPolicy | None
    ) -> Completion:
        if len(self._configs) > 1:
            return await self._complete_in_turn(asked, deadline, policy)
        # Without a closure, whose cells the garbage collector would follow.
        pipeline = await self._pipeline()
        request, forms = (asked, None) if isinstance(asked, Request) else await _formed(asked, pipeline)
        return await pipeline.complete(request, deadline, policy, None, forms)

    async def _complete_in_turn(
        self, asked: Request | TypedForms[Any], deadline: Deadline, policy: BatchPolicy | None
    ) -> Completion:
        async def send(pipeline: Pipeline, turn: FallbackTurn | None) -> Completion:
            request, forms = await _formed(asked, pipeline)
            return await pipeline.complete(request, deadline, policy, turn, forms)

        return await self._served(send)

    def _stream(self, asked: Request | TypedForms[Any], on_interrupt: OnInterrupt) -> CompletionStream:
        deadline = Deadline(self.config.deadline)

        async def open_at(pipeline: Pipeline, turn: FallbackTurn | None) -> Opened:
            request, forms = await _formed(asked, pipeline)
            return await pipeline.open(request, deadline, turn, forms)

        async def open_stream() -> Opened:
            return await self._served(open_at)

        return CompletionStream(open_stream, restarts=self.config.num_retries, on_interrupt=on_interrupt)

    async def _extract(
        self,
        response_model: Any,
        request: Request,
        policy: BatchPolicy | None,
        check: Check[Any] | None,
        context: Any,
    ) -> Extraction[Any]:
        from .structured import extract

        config, deadline = self.config, Deadline(self.config.deadline)
        return await extract(
            response_model,
            request,
            lambda asked: self._complete(asked, deadline, policy),
            mode=config.structured_mode,
            max_reasks=config.max_reasks,
            check=check,
            context=context,
        )

    def _forms(self, response_model: Any, request: Request) -> TypedForms[Any]:
        from .structured import TypedForms

        return TypedForms(response_model, request, self.config.structured_mode)

    def _mode_by_map(self) -> Mode:
        from .structured import choose_mode

        mode = self.config.structured_mode
        return choose_mode(self.model_info) if mode == "auto" else mode

    async def _send_item(
        self, response_model: object, params: Mapping[str, Any], item: BatchItem, policy: BatchPolicy
    ) -> Done[Any]:
        """Send one item of a batch; its own type and parameters come before those of the batch."""
        from .batch.engine import Done

        client, request = self._prepare(item.messages, params, own_first=True)
        wanted = _wanted(request, response_model)
        if wanted is None:
            completion = await client._complete(request, Deadline(client.config.deadline), policy)
            return Done(completion.text, completion, completion.cost_usd)
        extraction = await client._extract(wanted, request, policy, None, None)
        return Done(extraction.value, extraction.completion, extraction.cost_usd, extraction.usage)

    def _deferred_calls(self, response_model: object, params: Mapping[str, Any]) -> DeferredCalls[Any]:
        from .batch.deferred.requests import DeferredCalls

        def prepare(messages: Messages) -> tuple[LLMConfig, Request]:
            client, request = self._prepare(messages, params, own_first=True)
            return client.config, request

        of_batch = None if "cache" not in params else cache_mode(params["cache"])

        def view(cache: CacheUse | None) -> AsyncLLM:
            mode = of_batch if cache is None else cache_mode(cache)
            return self if mode is None else self._view({"cache_mode": mode})

        return DeferredCalls(
            self.config,
            lambda cache: view(cache)._pipeline(),
            prepare,
            partial(self._send_item, response_model, params),
            lambda forms, policy, cache: view(cache)._complete(forms, Deadline(self.config.deadline), policy),
            partial(self._restore, response_model),
            partial(self._fingerprinter, response_model, params),
            is_retryable,
            response_model,
        )

    async def _restore(
        self, response_model: object, entry: JournalEntry, request: object
    ) -> tuple[object, Completion | None]:
        """Return the value and the completion of a journal's entry, for the request that it answers."""
        completion, wanted = entry.completion(), _wanted(request, response_model)
        if wanted is None or completion is None:
            return entry.value, completion
        # Read as it was the first time, so that the value has exactly the type that is asked for.
        from .structured import prepared

        form: Prepared[Any] = await prepared(cast(Any, wanted), self._mode_by_map())
        return form.read(completion), completion

    def _fingerprinter(self, response_model: object, params: Mapping[str, Any]) -> Fingerprinter:
        from .batch.journal.fingerprint import Fingerprinter

        config = self.config
        return Fingerprinter(config.model, profile_params(config), params, response_model, config.structured_mode)


async def _formed(asked: Request | TypedForms[Any], pipeline: Pipeline) -> tuple[Request, TypedForms[Any] | None]:
    """Return the request for an endpoint, and the forms of a typed one."""
    return (asked, None) if isinstance(asked, Request) else (await asked.request(pipeline.endpoint), asked)


def _wanted(request: object, response_model: object) -> object:
    """Return the type of the answer to an item of a batch: its own, or that of the batch."""
    own = request.response_model if isinstance(request, Request) else None
    return response_model if own is None else own
