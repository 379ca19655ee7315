"""Metrics of calls: those of the GenAI semantic conventions, and the package's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from weakref import WeakSet

from opentelemetry.metrics import CallbackOptions, Histogram, Meter, NoOpHistogram, Observation

from ..client import AsyncLLM
from ..completions.call_record import Attempt
from ..completions.completion import Completion
from .attributes import Attributes

# The boundaries that the conventions advise for durations (s) and tokens, and for chunks.
_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKENS = tuple(4**power for power in range(14))
_FIRST_CHUNK = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_CHUNK = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
_DURATION = "gen_ai.client.operation.duration"


class Metrics:
    """The instruments of one meter.

    Args:
        meter: The meter.
    """

    def __init__(self, meter: Meter) -> None:
        def histogram(name: str, description: str, boundaries: Iterable[float]) -> Histogram:
            bounds = tuple(boundaries)
            return meter.create_histogram(name, "s", description, explicit_bucket_boundaries_advisory=bounds)

        def seconds(name: str, description: str, boundaries: Iterable[float]) -> Callable[[float, Attributes], None]:
            return histogram(name, description, boundaries).record

        self._histogram = histogram(_DURATION, "GenAI operation duration.", _SECONDS)
        self._duration = self._histogram.record
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            "{token}",
            "Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=_TOKENS,
        ).record
        first, chunk = "gen_ai.client.operation.time_to_first_chunk", "gen_ai.client.operation.time_per_output_chunk"
        self.first_chunk = seconds(first, "Time to receive the first chunk.", _FIRST_CHUNK)
        self.chunk = seconds(chunk, "Time between two chunks.", _CHUNK)
        self._queued = seconds("asyncllm.queue.duration", "Time that an attempt waited for limits.", _SECONDS)
        self._retries = meter.create_counter("asyncllm.retries", "{attempt}", "Attempts after the first.").add
        self._throttled = meter.create_counter("asyncllm.throttled", "{response}", "Answers with status 429.").add
        self._cost = meter.create_counter("asyncllm.cost", "USD", "The cost of answers whose price is known.").add
        self._cached = meter.create_counter("asyncllm.cached", "{answer}", "Answers of the cache.").add
        self._saved = meter.create_counter(
            "asyncllm.saved", "USD", "What answers of the cache cost when asked for."
        ).add
        self.clients: WeakSet[AsyncLLM] = WeakSet()
        gauge = meter.create_observable_gauge
        gauge("asyncllm.in_flight", [self._observe("in_flight")], "{call}", "Slots in use.")
        gauge("asyncllm.waiting", [self._observe("waiting")], "{call}", "Requests waiting for a limit.")
        gauge("asyncllm.limit", [self._limits], "{call}", "The most slots in use at a time.")

    @property
    def is_recording(self) -> bool:
        """Whether there is a meter; the API's stand-in, until an SDK is set, and its no-op record nothing."""
        real: object = getattr(self._histogram, "_real_instrument", self._histogram)
        return real is not None and not isinstance(real, NoOpHistogram)

    def ended(self, attributes: Attributes, elapsed_s: float, attempts: Iterable[Attempt]) -> None:
        """Record a call that ended, with its attempts."""
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

    def answered(self, attributes: Attributes, completion: Completion) -> None:
        """Record what an answer took and cost; one of the cache took nothing."""
        usage, record = completion.usage, completion.record
        if record.cached:
            self._cached(1, attributes)
            if record.saved_usd:
                self._saved(record.saved_usd, attributes)
            return
        if usage.input_tokens is not None:
            self._tokens(usage.input_tokens, {**attributes, "gen_ai.token.type": "input"})
        if usage.output_tokens is not None:
            self._tokens(usage.output_tokens, {**attributes, "gen_ai.token.type": "output"})
        if completion.cost_usd:
            self._cost(completion.cost_usd, attributes)

    def _observe(self, name: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_options: CallbackOptions) -> Iterable[Observation]:
            for client in tuple(self.clients):
                count: int = getattr(client.stats(), name)
                yield Observation(count, _client_attributes(client))

        return observe

    def _limits(self, _options: CallbackOptions) -> Iterable[Observation]:
        for client in tuple(self.clients):
            yield Observation(client.config.max_concurrency, _client_attributes(client))


def _client_attributes(client: AsyncLLM) -> Attributes:
    return {"asyncllm.profile": client.config.profile or "default", "gen_ai.request.model": client.config.model}
