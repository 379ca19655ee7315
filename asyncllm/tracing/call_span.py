"""The span of one call, from its first wait to its last chunk."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass

from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    ProxyTracer,
    ProxyTracerProvider,
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    get_tracer_provider,
)

from ..client import AsyncLLM
from ..completions.call_record import Attempt
from ..completions.completion import Completion
from ..errors import AsyncLLMError, DeadlineExceededError, ProviderError
from ..messages import Request
from ..parameters import profile_params
from . import content
from .attributes import Attributes, of_answer, of_profile, of_request
from .metrics import Metrics

BATCH: ContextVar[Span | None] = ContextVar("asyncllm_batch_span", default=None)
"""The span of the batch that a task works for."""

_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class TracingSettings:
    """What is recorded, and where to.

    Attributes:
        tracer: Makes the spans.
        metrics: The instruments.
        is_latest: Use the latest conventions rather than version 1.36.
        captures_content: Record prompts and answers.
    """

    tracer: Tracer
    metrics: Metrics
    is_latest: bool
    captures_content: bool

    @property
    def is_idle(self) -> bool:
        """Whether nothing records: no SDK has been set."""
        waits = isinstance(self.tracer, ProxyTracer) and isinstance(get_tracer_provider(), ProxyTracerProvider)
        return waits and not self.metrics.is_recording


class CallSpan:
    """The span and the metrics of one call.

    Args:
        settings: What is recorded.
        common: The attributes of the profile, which all of its calls share.
        client: The client, or the view of it that serves the call.
        request: The request.
        is_stream: Whether a stream is asked for.
    """

    __slots__ = ("_common", "_settings", "_started_ns", "span")

    def __init__(
        self, settings: TracingSettings, common: Attributes, client: AsyncLLM, request: Request, *, is_stream: bool
    ) -> None:
        self._settings = settings
        self._common = common
        self._started_ns = time.time_ns()
        batch = BATCH.get()
        # A trace for each item of a batch, linked to the batch: one trace of a million spans serves nobody.
        context, links = (None, ()) if batch is None else (Context(), (Link(batch.get_span_context()),))
        params = {**profile_params(client.config), **request.params}
        # All at once: the SDK takes a lock for each later call, and samplers see these alone.
        self.span = settings.tracer.start_span(
            "chat " + str(common["gen_ai.request.model"]),
            context=context,
            kind=SpanKind.CLIENT,
            attributes=common | of_request(params, is_stream=is_stream),
            links=links,
            start_time=self._started_ns,
        )
        if settings.captures_content and self.span.is_recording():
            self.span.set_attributes(content.of_messages(request.messages))

    def opened(self, first_chunk_s: float) -> None:
        """Note that a stream's first chunk has come."""
        self._settings.metrics.first_chunk(first_chunk_s, self._common)

    def chunk(self, seconds: float) -> None:
        """Note a chunk that came so many seconds after the one before."""
        self._settings.metrics.chunk(seconds, self._common)

    def answered(self, completion: Completion, error: BaseException | None = None) -> None:
        """End the span of a call with an answer, or with part of one."""
        span, attributes = self.span, {**self._common, "gen_ai.response.model": completion.model}
        if completion.record.cached:
            attributes["asyncllm.cached"] = True
        if span.is_recording():
            span.set_attributes(of_answer(completion, is_latest=self._settings.is_latest))
            if self._settings.captures_content:
                span.set_attributes(content.of_completion(completion))
        self._end(attributes, completion.record.attempts, completion, error)
        self._add_skipped(completion.record.skipped)
        span.end()

    def failed(self, error: BaseException) -> None:
        """End the span of a call without an answer."""
        attempts = error.attempts if isinstance(error, ProviderError | DeadlineExceededError) else ()
        self._end(self._common, attempts, None, error)
        if isinstance(error, AsyncLLMError):
            self._add_skipped(error.skipped)
        self.span.end()

    def _end(
        self,
        attributes: Attributes,
        attempts: Iterable[Attempt],
        completion: Completion | None,
        error: BaseException | None,
    ) -> None:
        if self.span.is_recording():
            self._add_attempts(attempts)
            self._set_status(error)
        elapsed_s, kind = (time.time_ns() - self._started_ns) / _NS, None if error is None else _kind(error)
        self._settings.metrics.ended(attributes, elapsed_s, attempts, completion, kind)

    def _add_attempts(self, attempts: Iterable[Attempt]) -> None:
        """Add an event for each attempt that waited or failed, at the time at which it ended."""
        at_ns = self._started_ns
        for number, attempt in enumerate(attempts, 1):
            at_ns += int((attempt.queued_s + attempt.elapsed_s) * _NS)
            if number > 1 or attempt.error is not None or attempt.queued_s:
                self.span.add_event("asyncllm.attempt", _of_attempt(number, attempt), at_ns)
            at_ns += int(attempt.waited_s * _NS)

    def _add_skipped(self, skipped: Mapping[str, str]) -> None:
        for profile, reason in skipped.items():
            self.span.add_event("asyncllm.fallback", {"asyncllm.profile": profile, "asyncllm.reason": reason})

    def _set_status(self, error: BaseException | None) -> None:
        if isinstance(error, Exception) and not isinstance(error, GeneratorExit):
            self.span.set_attribute("error.type", _kind(error))
            # The class alone: a message may quote the provider, and the provider the prompt.
            self.span.set_status(Status(StatusCode.ERROR, _kind(error)))
        elif error is not None:
            self.span.set_attribute("asyncllm.cancelled", True)


def common_attributes(client: AsyncLLM, *, is_latest: bool) -> Attributes:
    """Return the attributes of a client's profile."""
    return of_profile(client.config, is_latest=is_latest)


def _kind(error: BaseException) -> str:
    return type(error).__qualname__ if isinstance(error, Exception) else "cancelled"


def _of_attempt(number: int, attempt: Attempt) -> Attributes:
    values: Mapping[str, str | int | float | None] = {
        "asyncllm.attempt.number": number,
        "asyncllm.attempt.profile": attempt.profile,
        "asyncllm.attempt.queued_s": attempt.queued_s or None,
        "asyncllm.attempt.elapsed_s": attempt.elapsed_s,
        "asyncllm.attempt.waited_s": attempt.waited_s or None,
        "error.type": attempt.error,
        "http.response.status_code": attempt.status_code,
    }
    return {name: value for name, value in values.items() if value is not None}
