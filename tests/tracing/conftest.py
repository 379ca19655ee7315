"""What tracing records, kept in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from asyncllm import AsyncLLM, telemetry
from asyncllm.config.options import Options
from asyncllm.simulator import Simulator
from tests.support.clients import libraries_imported, pytest_configure
from tests.support.secrets import SECRET

__all__ = ["libraries_imported", "pytest_configure"]

LATEST = "gen_ai_latest_experimental"


@dataclass
class Recording:
    """The spans and metrics of a test."""

    tracer_provider: TracerProvider
    meter_provider: MeterProvider
    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader

    @property
    def spans(self) -> list[ReadableSpan]:
        """The spans that have ended, in that order."""
        return list(self.exporter.get_finished_spans())

    def span(self, name: str) -> ReadableSpan:
        """Return the only span of a name."""
        (found,) = [span for span in self.spans if span.name == name]
        return found

    def points(self, name: str) -> list[Any]:
        """Return the data points of a metric."""
        data = self.reader.get_metrics_data()
        return [
            point
            for resource in ([] if data is None else data.resource_metrics)
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


@pytest.fixture
def recording(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recording]:
    """Tracing by the latest conventions."""
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", f"http, {LATEST}")
    yield from recorded()


def recorded(**options: Any) -> Iterator[Recording]:
    """Switch tracing on, and off again."""
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers, meters = TracerProvider(), MeterProvider([reader])
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    telemetry.instrument(tracers, meters, **options)
    try:
        yield Recording(tracers, meters, exporter, reader)
    finally:
        telemetry.uninstrument()
        tracers.shutdown()
        meters.shutdown()


@pytest.fixture
def options(simulator: Simulator) -> Options:
    """The options of a client of the simulator, with waits too short to notice."""
    return {
        "model": "openai/gpt-4o-mini",
        "base_url": simulator.url,
        "api_key": SECRET,
        "retry_min_wait": 0.001,
        "retry_max_wait": 0.002,
    }


@pytest.fixture
async def llm(options: Options, anyio_backend: str) -> AsyncIterator[AsyncLLM]:
    """A client of the simulator over the wire."""
    async with AsyncLLM(**options) as client:
        yield client
