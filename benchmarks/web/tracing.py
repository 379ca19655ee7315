"""The cost of tracing: the CPU of plain calls, with it and without."""

from __future__ import annotations

import os
import time

import anyio
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from asyncllm import AsyncLLM, telemetry
from asyncllm.testing import simulated_provider

from ..limits.rows import Row

_CALLS, _ROUNDS, _AT_ONCE = 500, 20, 20


async def tracing() -> list[Row]:
    """Off, instrumented without an SDK, and with exporters in memory; in turn, so that all meet the same machine."""
    os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "gen_ai_latest_experimental"
    spans, tracers = InMemorySpanExporter(), TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    meters = MeterProvider([InMemoryMetricReader()])
    off, idle, on = list[float](), list[float](), list[float]()
    with simulated_provider(record=False) as provider:
        async with AsyncLLM(model="openai/gpt-4o-mini", base_url=provider.url, api_key="any") as llm:
            await _cpu_us(llm)
            for _ in range(_ROUNDS):
                off.append(await _cpu_us(llm))
                telemetry.instrument()
                idle.append(await _cpu_us(llm))
                telemetry.uninstrument()
                telemetry.instrument(tracers, meters)
                on.append(await _cpu_us(llm))
                telemetry.uninstrument()
                spans.clear()
    # Of the fastest rounds: others of the machine make them slower, and never faster.
    plain = min(off)
    return [
        Row("tracing", "CPU of a plain call without", plain, unit="us"),
        Row("tracing", "instrumented, not recording", min(idle) / plain, "<=", 1.1, "x"),
        Row("tracing", "recording in memory", min(on) / plain, "<=", 2, "x"),
    ]


async def _cpu_us(llm: AsyncLLM) -> float:
    started = time.thread_time()
    for _ in range(_CALLS // _AT_ONCE):
        async with anyio.create_task_group() as group:
            for _ in range(_AT_ONCE):
                group.start_soon(llm.acompletion, "hi")
    return (time.thread_time() - started) / _CALLS * 1e6
