"""Metrics of calls: those of the GenAI semantic conventions, and the package's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal
from weakref import WeakSet

from opentelemetry.metrics import CallbackOptions, Histogram, Meter, NoOpHistogram, Observation

from ..client import AsyncLLM
from ..completions.call_record import Attempt
from ..completions.completion import Completion
from ..completions.usage import Usage
from ..config import LLMConfig
from ..pipeline.endpoint import Endpoint
from .attributes import Attributes
from .token_metrics import InferenceTokens, TokenMetrics, TokenUsage
from .totals import ObservedTotal

# The boundaries that the conventions advise for durations in seconds, and for chunks.
_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_FIRST_CHUNK = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_CHUNK = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)


class Metrics:
    """The instruments of one meter.

    Args:
        meter: The meter.
        is_latest: Use the latest names rather than those of version 1.36.

    Attributes:
        clients: The clients whose slots are observed.
        endpoints: The endpoints whose limits, as adaptive control has found them, are observed.
    """

    def __init__(self, meter: Meter, *, is_latest: bool) -> None:
        def seconds(name: str, description: str, boundaries: Iterable[float]) -> Histogram:
            bounds = tuple(boundaries)
            return meter.create_histogram(name, "s", description, explicit_bucket_boundaries_advisory=bounds)

        # Version 1.36 has no metrics of chunks; they came with these names.
        kind = "gen_ai.client.inference" if is_latest else "gen_ai.client.operation"
        self._histogram = seconds(f"{kind}.duration", "Duration of a call.", _SECONDS)
        self._duration = self._histogram.record
        self._tokens: TokenMetrics = InferenceTokens(meter) if is_latest else TokenUsage(meter)
        first, chunk = f"{kind}.time_to_first_chunk", f"{kind}.time_per_output_chunk"
        self.first_chunk = seconds(first, "Time to receive the first chunk.", _FIRST_CHUNK).record
        self.chunk = seconds(chunk, "Time between two chunks.", _CHUNK).record
        self._queued = seconds("asyncllm.queue.duration", "Time that an attempt waited for limits.", _SECONDS).record
        self._retries = ObservedTotal(meter, "asyncllm.retries", "{attempt}", "Attempts after the first.").add
        self._throttled = ObservedTotal(meter, "asyncllm.throttled", "{response}", "Answers with status 429.").add
        self._cost = ObservedTotal(meter, "asyncllm.cost", "USD", "The cost of answers whose price is known.").add
        self._cached = ObservedTotal(meter, "asyncllm.cached", "{answer}", "Answers of the cache.").add
        self._saved = ObservedTotal(
            meter, "asyncllm.saved", "USD", "What answers of the cache cost when asked for."
        ).add
        self.clients: WeakSet[AsyncLLM] = WeakSet()
        self.endpoints: WeakSet[Endpoint] = WeakSet()
        gauge = meter.create_observable_gauge
        gauge("asyncllm.in_flight", [self._observe("in_flight")], "{call}", "Slots in use.")
        gauge("asyncllm.waiting", [self._observe("waiting")], "{call}", "Requests waiting for a limit.")
        gauge("asyncllm.limit", [self._limits], "{call}", "The most slots in use at a time.")
        gauge("asyncllm.adaptive.rate", [self._found(0)], "{request}/s", "The rate that adaptive control has found.")
        gauge("asyncllm.adaptive.in_flight", [self._found(1)], "{request}", "The number in flight that it has found.")

    @property
    def is_recording(self) -> bool:
        """Whether there is a meter; the API's stand-in, until an SDK is set, and its no-op record nothing."""
        real: object = getattr(self._histogram, "_real_instrument", self._histogram)
        return real is not None and not isinstance(real, NoOpHistogram)

    def ended(
        self,
        attributes: Attributes,
        elapsed_s: float,
        attempts: Iterable[Attempt],
        completion: Completion | None,
        error_type: str | None,
    ) -> None:
        """Record a call that ended, with its attempts, and with what its answer took and cost."""
        usage: Usage | None = None
        if completion is not None:
            if completion.record.cached:
                self._answered_before(attributes, completion)
            elif completion.usage.basis == "known":
                usage = completion.usage
            if completion.cost_usd:
                self._cost(completion.cost_usd, attributes)
        self._tokens.record(attributes, usage, error_type)
        if error_type is not None:
            attributes = {**attributes, "error.type": error_type}
        self._duration(elapsed_s, attributes)
        count = -1
        for attempt in attempts:
            count += 1
            if attempt.queued_s:
                self._queued(attempt.queued_s, attributes)
            if attempt.status_code == 429:
                self._throttled(1, attributes)
        if count > 0:
            self._retries(count, attributes)

    def _answered_before(self, attributes: Attributes, completion: Completion) -> None:
        self._cached(1, attributes)
        if completion.record.saved_usd:
            self._saved(completion.record.saved_usd, attributes)

    def _observe(self, name: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_options: CallbackOptions) -> Iterable[Observation]:
            for client in tuple(self.clients):
                count: int = getattr(client.stats(), name)
                yield Observation(count, _profile_attributes(client.config))

        return observe

    def _limits(self, _options: CallbackOptions) -> Iterable[Observation]:
        for client in tuple(self.clients):
            yield Observation(client.config.max_concurrency, _profile_attributes(client.config))

    def _found(self, index: Literal[0, 1]) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_options: CallbackOptions) -> Iterable[Observation]:
            for endpoint in tuple(self.endpoints):
                if (found := endpoint.limits.found[index]) is not None:
                    yield Observation(found, _profile_attributes(endpoint.config))

        return observe


def _profile_attributes(config: LLMConfig) -> Attributes:
    return {"asyncllm.profile": config.profile or "default", "gen_ai.request.model": config.model}
