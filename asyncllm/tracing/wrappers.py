"""Wrappers of the methods that make calls, batches and requests."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import Token
from functools import partial
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from opentelemetry import context as otel_context
from opentelemetry import propagate
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, get_current_span, set_span_in_context

from ..batch.engine import OutcomeStream
from ..client import AsyncLLM
from ..completions.completion import Completion
from ..completions.stream import CompletionStream, Opened
from ..completions.text_chunk import AnyChunk
from ..messages import Request
from ..narrowing import mapping_or_empty
from ..pipeline.endpoint import Endpoint
from ..structured import type_name
from ..structured.forms import TypedForms
from ..transports.base import Call, ChunkStream
from ..transports.headers import with_headers
from .attributes import Attributes
from .call_span import BATCH, CallSpan, TracingSettings, common_attributes

Asked = Request | TypedForms[Any]

# Names that only a network of one's own resolves.
_OWN_SUFFIXES = (".internal", ".local", ".localhost", ".svc", ".cluster.local")


class Wrappers:
    """Wrappers that record by the same settings.

    Args:
        settings: What is recorded.
        hosts: Hosts that the trace's context is sent to.
    """

    def __init__(self, settings: TracingSettings, hosts: frozenset[str]) -> None:
        self._settings = settings
        self._hosts = hosts
        self._common: WeakKeyDictionary[AsyncLLM, Attributes] = WeakKeyDictionary()
        self._batches: WeakKeyDictionary[OutcomeStream[Any], _Batch] = WeakKeyDictionary()
        self._own: WeakKeyDictionary[Endpoint, bool] = WeakKeyDictionary()

    def of(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        """Return the wrapper of a method."""
        made: Callable[..., Any] = getattr(self, name.strip("_"))(original)
        return made

    def complete(self, original: Callable[..., Awaitable[Completion]]) -> Callable[..., Awaitable[Completion]]:
        """Record a plain call."""

        async def complete(client: AsyncLLM, asked: Asked, *rest: Any) -> Completion:
            if self._settings.is_idle:
                return await original(client, asked, *rest)
            call = self._begin(client, asked, is_stream=False)
            try:
                with _CurrentSpan(call.span):
                    completion = await original(client, asked, *rest)
            except BaseException as error:
                call.failed(error)
                raise
            call.answered(completion)
            return completion

        return complete

    def stream(self, original: Callable[..., CompletionStream]) -> Callable[..., CompletionStream]:
        """Record a stream, from its opening on."""

        def stream(client: AsyncLLM, asked: Asked, *rest: Any) -> CompletionStream:
            made = original(client, asked, *rest)
            opening: Callable[[], Awaitable[Opened]] = vars(made)["_open"]
            vars(made)["_open"] = lambda: self._opening(client, asked, opening)
            return made

        return stream

    async def _opening(self, client: AsyncLLM, asked: Asked, opening: Callable[[], Awaitable[Opened]]) -> Opened:
        if self._settings.is_idle:
            return await opening()
        call = self._begin(client, asked, is_stream=True)
        try:
            with _CurrentSpan(call.span):
                opened = await opening()
        except BaseException as error:
            call.failed(error)
            raise
        call.opened(opened.record.first_token_s or 0.0)
        opened.source = _TimedSource(opened.source, call, len(opened.first))
        opened.needs_text = opened.needs_text or self._settings.captures_content
        finished = opened.finished

        def end(completion: Completion, error: BaseException | None) -> None:
            try:
                with _CurrentSpan(call.span):  # for the event of the end
                    finished(completion, error)
            finally:
                call.answered(completion, error)

        opened.finished = end
        return opened

    def extract(self, original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """Record a typed call, within which each ask is a call."""

        async def extract(client: AsyncLLM, response_model: object, *rest: Any) -> Any:
            name = type_name(response_model)
            # An item of a batch begins a trace here, to which its calls belong.
            batch = BATCH.get()
            with self._settings.tracer.start_as_current_span(
                f"extract {name}",
                context=None if batch is None else otel_context.Context(),
                attributes={"asyncllm.response_type": name},
                links=() if batch is None else (Link(batch.get_span_context()),),
                record_exception=False,
                set_status_on_exception=False,
            ) as span:
                kept = BATCH.set(None)
                try:
                    extraction = await original(client, response_model, *rest)
                except Exception as error:
                    _set_error(span, error)
                    raise
                finally:
                    BATCH.reset(kept)
                _add_reasks(span, [one.error for one in extraction.attempts])
                return extraction

        return extract

    def call(self, original: Callable[..., Call]) -> Callable[..., Call]:
        """Send the trace's context along, to endpoints of one's own."""

        def call(endpoint: Endpoint, *arguments: Any, **options: Any) -> Call:
            made = original(endpoint, *arguments, **options)
            self._settings.metrics.endpoints.add(endpoint)
            if not get_current_span().get_span_context().is_valid:
                return made
            own = self._own.get(endpoint)
            if own is None:
                own = self._own[endpoint] = self._is_own(endpoint)
            if own:
                headers: dict[str, str] = {}
                propagate.inject(headers)
                _add_headers(made, headers)
            return made

        return call

    def aenter(self, original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """Begin the span of a batch."""

        async def aenter(outcomes: OutcomeStream[Any]) -> Any:
            batch = self._batches[outcomes] = _Batch(self._settings.tracer.start_span("batch", kind=SpanKind.INTERNAL))
            vars(outcomes)["_run"] = partial(batch.run, vars(outcomes)["_run"])
            try:
                return await original(outcomes)
            except BaseException as error:
                batch.end(error)
                raise

        return aenter

    def aexit(self, original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """End the span of a batch."""

        async def aexit(outcomes: OutcomeStream[Any], kind: Any, error: Any, traceback: Any) -> Any:
            batch = self._batches.pop(outcomes, None)
            ended: BaseException | None = error
            try:
                return await original(outcomes, kind, error, traceback)
            except BaseException as failure:
                ended = failure
                raise
            finally:
                if batch is not None:
                    batch.end(ended)

        return aexit

    def _begin(self, client: AsyncLLM, asked: Asked, *, is_stream: bool) -> CallSpan:
        common = self._common.get(client)
        if common is None:
            common = self._common[client] = common_attributes(client, is_latest=self._settings.is_latest)
            self._settings.metrics.clients.add(client)
        call = CallSpan(self._settings, common, client, _request_of(asked), is_stream=is_stream)
        if not isinstance(asked, Request) and call.span.is_recording():
            call.span.set_attribute("gen_ai.output.type", "json")
        return call

    def _is_own(self, endpoint: Endpoint) -> bool:
        if endpoint.connection.is_embedded:
            return False
        host = urlsplit(str(endpoint.connection.options.get("base_url") or "")).hostname
        return endpoint.provider == "litellm_proxy" or host in self._hosts or (host is not None and is_own_host(host))


def _add_headers(call: Call, headers: Mapping[str, str]) -> None:
    """Add headers to a call, where it has no others of these names."""
    if call.request is None:
        call.params = {
            **call.params,
            "extra_headers": {**headers, **mapping_or_empty(call.params.get("extra_headers"))},
        }
    else:
        # Not among the parameters: those of a profile are encoded once, and with others in each call.
        call.request.headers = with_headers(headers, call.request.headers)


def _request_of(asked: Asked) -> Request:
    return asked if isinstance(asked, Request) else asked.original


def is_own_host(host: str) -> bool:
    """Return whether a host is of one's own network: a private address, or a name that only such a network resolves."""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith(_OWN_SUFFIXES)


class _CurrentSpan:
    """Makes a span the current one within a block; one without an identity changes nothing."""

    __slots__ = ("_span", "_token")

    def __init__(self, span: Span) -> None:
        self._span = span
        self._token: Token[otel_context.Context] | None = None

    def __enter__(self) -> None:
        if self._span.get_span_context().is_valid:
            self._token = otel_context.attach(set_span_in_context(self._span))

    def __exit__(self, *_error: object) -> None:
        if self._token is not None:
            otel_context.detach(self._token)


class _TimedSource:
    """A transport's stream that notes the time between its chunks."""

    def __init__(self, source: ChunkStream, call: CallSpan, first: int) -> None:
        self.headers = source.headers
        self.build_response = source.build_response
        self.aclose = source.aclose
        self.abandon = source.abandon
        self._read = source.read
        self._call = call
        self._last = time.monotonic()
        for _ in range(first - 1):
            call.chunk(0.0)

    async def read(self, timeout_s: float) -> Sequence[AnyChunk]:
        """Return the chunks that are there; those that came together have no time between them."""
        chunks = await self._read(timeout_s)
        if chunks:
            now = time.monotonic()
            self._call.chunk(now - self._last)
            self._last = now
            for _ in range(len(chunks) - 1):
                self._call.chunk(0.0)
        return chunks


class _Batch:
    """The span of a batch, and how its items ended."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._items = self._failed = 0

    async def run(self, run: Callable[[Any], Awaitable[Any]], item: Any) -> Any:
        """Run one item; the spans of its calls are linked to the batch."""
        token = BATCH.set(self._span)
        self._items += 1
        try:
            return await run(item)
        except Exception:
            self._failed += 1
            raise
        finally:
            BATCH.reset(token)

    def end(self, error: BaseException | None) -> None:
        """End the span."""
        self._span.set_attributes({"asyncllm.batch.items": self._items, "asyncllm.batch.failed": self._failed})
        if isinstance(error, Exception):
            _set_error(self._span, error)
        self._span.end()


def _set_error(span: Span, error: Exception) -> None:
    span.set_attribute("error.type", type(error).__qualname__)
    span.set_status(Status(StatusCode.ERROR, type(error).__qualname__))


def _add_reasks(span: Span, errors: Sequence[str | None]) -> None:
    span.set_attribute("asyncllm.reasks", len(errors) - 1)
    for number in range(1, len(errors)):
        span.add_event("asyncllm.reask", {"asyncllm.reask.number": number})
