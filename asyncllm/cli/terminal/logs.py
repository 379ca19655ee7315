"""Log events on stderr."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import TextIO

from .exit_codes import UsageProblem

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


@contextmanager
def shown_logs(level: str, *, as_json: bool) -> Generator[None]:
    """Write the library's log events to stderr, as lines or as JSON, while the block runs."""
    if level.lower() not in _LEVELS:
        raise UsageProblem(f"--log-level is one of {', '.join(_LEVELS)}, not {level!r}.")
    handler = _Stderr()
    handler.setFormatter(_Json() if as_json else logging.Formatter("%(asctime)s %(levelname)-7s %(message)s"))
    logger = logging.getLogger("asyncllm")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(_LEVELS[level.lower()])
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to the current `sys.stderr`, which a progress bar replaces in order to stay below the lines."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        event = {"time": self.formatTime(record), "level": record.levelname.lower(), "event": record.getMessage()}
        fields = getattr(record, "fields", None)
        if fields is not None:
            event["event"] = getattr(record, "event", record.getMessage())
            event |= fields
        return json.dumps(event, ensure_ascii=False, default=str)
