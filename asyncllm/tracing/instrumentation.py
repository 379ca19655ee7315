"""Switching tracing on and off: methods of this package, wrapped and put back."""

from __future__ import annotations

import os
from collections.abc import Collection
from functools import wraps
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import opentelemetry.metrics
import opentelemetry.trace
from opentelemetry.metrics import Meter, MeterProvider
from opentelemetry.trace import TracerProvider

from .. import __version__, telemetry
from ..batch.engine import OutcomeStream
from ..client import AsyncLLM
from ..pipeline.endpoint import Endpoint
from . import content
from .call_span import TracingSettings
from .metrics import Metrics
from .wrappers import Wrappers

_NAME = "asyncllm"
_WRAPPED: tuple[tuple[type, str], ...] = (
    (AsyncLLM, "_complete"),
    (AsyncLLM, "_stream"),
    (AsyncLLM, "_extract"),
    (Endpoint, "call"),
    (OutcomeStream, "__aenter__"),
    (OutcomeStream, "__aexit__"),
)
_originals: dict[tuple[type, str], Any] = {}
_metrics: WeakKeyDictionary[Meter, dict[bool, Metrics]] = WeakKeyDictionary()


def instrument(
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    *,
    capture_content: bool | None = None,
    propagate_to: Collection[str] = (),
) -> None:
    """Record a span and metrics for each call of this process, from now on; does nothing when it is on already.

    Args:
        tracer_provider: Where spans go; None for the global one.
        meter_provider: Where metrics go; None for the global one.
        capture_content: Record prompts and answers on spans; None reads
            `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`.
        propagate_to: Hosts that the trace's context is sent to, in `traceparent`; beside LiteLLM proxies and hosts of
            one's own network, which always receive it.
    """
    if _originals:
        return
    opt_in = os.environ.get("OTEL_SEMCONV_STABILITY_OPT_IN", "").split(",")
    is_latest = "gen_ai_latest_experimental" in map(str.strip, opt_in)
    meter = opentelemetry.metrics.get_meter(_NAME, __version__, meter_provider)
    settings = TracingSettings(
        opentelemetry.trace.get_tracer(_NAME, __version__, tracer_provider),
        _metrics_of(meter, is_latest=is_latest),
        is_latest=is_latest,
        captures_content=content.is_wanted() if capture_content is None else capture_content,
    )
    wrappers = Wrappers(settings, frozenset(propagate_to))
    for owner, name in _WRAPPED:
        original = getattr(owner, name)
        _originals[owner, name] = original
        setattr(owner, name, wraps(original)(wrappers.of(name, original)))
    telemetry.add_fields(_trace_ids)


def uninstrument() -> None:
    """Stop recording; spans of calls that are under way are ended."""
    telemetry.add_fields(None)
    while _originals:
        (owner, name), original = _originals.popitem()
        setattr(owner, name, original)


class AsyncLLMInstrumentor:
    """The entry point of `opentelemetry-instrument`."""

    is_instrumented_by_opentelemetry: ClassVar[bool] = False

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return what is instrumented, as requirements: this package itself."""
        return ()

    def instrument(self, **options: Any) -> None:
        """Call `instrument` with the providers among the options."""
        known = ("tracer_provider", "meter_provider", "capture_content", "propagate_to")
        instrument(**{name: options[name] for name in known if name in options})
        type(self).is_instrumented_by_opentelemetry = True

    def uninstrument(self, **_options: Any) -> None:
        """Call `uninstrument`."""
        uninstrument()
        type(self).is_instrumented_by_opentelemetry = False


def _metrics_of(meter: Meter, *, is_latest: bool) -> Metrics:
    """Return the instruments of a meter, which are made once: it observes no others of the same names."""
    made = _metrics.setdefault(meter, {})
    if is_latest not in made:
        made[is_latest] = Metrics(meter, is_latest=is_latest)
    return made[is_latest]


def _trace_ids() -> dict[str, str]:
    context = opentelemetry.trace.get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
