"""Events of calls and batches, sent to the stdlib logger `asyncllm`.

An event without a receiver costs nothing, and nothing is configured for the process.
"""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

LOGGER = logging.getLogger("asyncllm")
LOGGER.addHandler(logging.NullHandler())

DEBUG, INFO, WARNING = logging.DEBUG, logging.INFO, logging.WARNING


def listening(level: int) -> bool:
    """Return whether a handler receives events of this level."""
    return LOGGER.isEnabledFor(level) and _has_receiver()


def emit(level: int, event: str, **fields: object) -> None:
    """Send an event with its fields, leaving out those that are None.

    The log line is `event field=value ...`; the record also has the dict `fields`, for handlers that write JSON.
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
