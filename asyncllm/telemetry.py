"""Events: what a call did, for whoever listens to the stdlib logger `asyncllm`.

Nothing is built for an event that nobody receives, and nothing is configured for the process.
"""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from functools import cache
from typing import Any

LOGGER = logging.getLogger("asyncllm")
LOGGER.addHandler(logging.NullHandler())

DEBUG, INFO, WARNING = logging.DEBUG, logging.INFO, logging.WARNING


def listening(level: int) -> bool:
    """Tell whether an event of this level would be received."""
    return LOGGER.isEnabledFor(level) and _has_receiver()


def emit(level: int, event: str, **fields: Any) -> None:
    """Send an event with its fields; those that are None are left out.

    The log line reads `event field=value ...`; the fields are also on the record, as the dict `fields`, for handlers
    that write JSON.
    """
    if listening(level):
        _logger().log(level, event, **{name: value for name, value in fields.items() if value is not None})


def _has_receiver() -> bool:
    logger: logging.Logger | None = LOGGER
    while logger is not None:
        if any(type(handler) is not logging.NullHandler for handler in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False


@cache
def _logger() -> Any:
    # structlog takes 150 ms to import, where rich is installed; whoever logs nothing does not wait for it.
    import structlog

    return structlog.wrap_logger(
        LOGGER,
        processors=[structlog.contextvars.merge_contextvars, _render],
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _render(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> tuple[tuple[str, str], dict[str, Any]]:
    name = event.pop("event")
    line = " ".join([name, *(f"{key}={_shown(value)}" for key, value in event.items())])
    # The line is data, not a format: it goes in as an argument, so that a percent sign in it stays one.
    return ("%s", line), {"extra": {"event": name, "fields": dict(event)}}


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    return repr(text) if not text or any(c.isspace() or c in '"=' for c in text) else text
