"""The status line of a command that waits for a model, with its retries."""

from __future__ import annotations

import logging
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from asyncllm.batch.formatting import draws, duration, printable

from .output import terminal

if TYPE_CHECKING:
    from rich.console import Console

    from asyncllm import LLMConfig


@contextmanager
def waiting(config: LLMConfig) -> Generator[None]:
    """Show on stderr, if it is a terminal, the model that the block waits for, and each retry with its reason."""
    if not draws(sys.stderr):
        yield
        return
    console = terminal(stderr=True)
    logger = logging.getLogger("asyncllm")
    before = logger.level
    handler = _Retries(console, config.num_retries)
    # Where log events are shown, they include the retries.
    if before == logging.NOTSET:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        with console.status(f"waiting for {config.model}"):
            yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


class _Retries(logging.Handler):
    """Writes a line for each retry, above the status line."""

    def __init__(self, console: Console, num_retries: int) -> None:
        super().__init__()
        self._console = console
        self._num_retries = num_retries

    def emit(self, record: logging.LogRecord) -> None:
        fields = getattr(record, "fields", {})
        if getattr(record, "event", None) == "call.retry":
            wait = duration(fields["wait_s"]) if fields["wait_s"] >= 1 else "less than a second"
            reason = printable(str(fields["message"]))
            self._console.print(f"retry {fields['retry']} of {self._num_retries} in {wait}: {reason}")
