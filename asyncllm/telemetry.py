"""Events of calls and batches, sent to the stdlib logger `asyncllm`; and the switch of OpenTelemetry.

An event without a receiver costs nothing, and nothing is configured for the process.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, MutableMapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider
    from structlog.stdlib import BoundLogger

# What users call; the rest is for the modules of the package.
__all__ = ["instrument", "uninstrument"]

LOGGER = logging.getLogger("asyncllm")
LOGGER.addHandler(logging.NullHandler())

_more_fields: Callable[[], Mapping[str, object]] | None = None

DEBUG, INFO, WARNING = logging.DEBUG, logging.INFO, logging.WARNING


def listening(level: int) -> bool:
    """Return whether a handler receives events of this level."""
    return LOGGER.isEnabledFor(level) and _has_receiver()


def emit(level: int, event: str, **fields: object) -> None:
    """Send an event with its fields, leaving out those that are None.

    The log line is `event field=value ...`; the record also has the dict `fields`, for handlers that write JSON.
    """
    if listening(level):
        known = {name: value for name, value in fields.items() if value is not None}
        if _more_fields is not None:
            known |= _more_fields()
        _logger().log(level, event, **known)


def instrument(
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    *,
    capture_content: bool | None = None,
    propagate_to: Collection[str] = (),
) -> None:
    """Record an OpenTelemetry span and metrics for each call of this process, from now on.

    Args:
        tracer_provider: Where spans go; None for the global one.
        meter_provider: Where metrics go; None for the global one.
        capture_content: Record prompts and answers; None reads `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`.
        propagate_to: Hosts to send the trace's context to, beside LiteLLM proxies and hosts of one's own network.

    Raises:
        ConfigError: opentelemetry-api is not installed.

    Example:
        ```python
        from asyncllm import telemetry

        telemetry.instrument()
        answer = await llm.acompletion("Name a colour.")  # a span, and metrics
        ```
    """
    # By its name: tracing wraps the client, and is above this module.
    import_module(f"{__package__}.tracing").instrument(
        tracer_provider, meter_provider, capture_content=capture_content, propagate_to=propagate_to
    )


def uninstrument() -> None:
    """Stop recording spans and metrics.

    Example:
        ```python
        from asyncllm import telemetry

        telemetry.uninstrument()
        ```
    """
    import_module(f"{__package__}.tracing").uninstrument()


def add_fields(fields: Callable[[], Mapping[str, object]] | None) -> None:
    """Add what a function returns to every event, such as the ids of the trace; None for nothing more."""
    global _more_fields
    _more_fields = fields


def _has_receiver() -> bool:
    logger: logging.Logger | None = LOGGER
    while logger is not None:
        if any(type(handler) is not logging.NullHandler for handler in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False


@cache
def _logger() -> BoundLogger:
    # Importing structlog takes 150 ms where rich is installed; without a receiver it is never imported.
    import structlog

    logger: BoundLogger = structlog.wrap_logger(
        LOGGER,
        processors=[structlog.contextvars.merge_contextvars, _render],
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    return logger


def _render(
    _logger: object, _method: str, event: MutableMapping[str, object]
) -> tuple[tuple[str, object], dict[str, object]]:
    name = str(event.pop("event"))
    line = " ".join([name, *(f"{key}={_shown(value)}" for key, value in event.items())])
    # The line is an argument rather than the format, so that a percent sign in it is not a conversion.
    return ("%s", line), {"extra": {"event": name, "fields": dict(event)}}


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    return repr(text) if not text or any(c.isspace() or c in '"=' for c in text) else text
