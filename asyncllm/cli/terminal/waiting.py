"""What a terminal shows while a command waits for a model: for which one, and why it takes longer."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .output import draws, printable, terminal

if TYPE_CHECKING:
    from rich.console import Console

    from asyncllm import LLMConfig


@contextmanager
def waiting(config: LLMConfig) -> Iterator[None]:
    """Show at a terminal, on stderr, what the block waits for, and a line for each retry with its reason."""
    if not draws(sys.stderr):
        yield
        return
    console = terminal(stderr=True)
    logger = logging.getLogger("asyncllm")
    before = logger.level
    handler = _Retries(console, config.num_retries)
    # Whoever asked for log events reads of the retries there.
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
    """Writes a line for each retry, above the line that says what is waited for."""

    def __init__(self, console: Console, num_retries: int) -> None:
        super().__init__()
        self._console = console
        self._num_retries = num_retries

    def emit(self, record: logging.LogRecord) -> None:
        fields = getattr(record, "fields", {})
        if getattr(record, "event", None) == "call.retry":
            wait = f"{fields['wait_s']:.1f} s" if fields["wait_s"] >= 1 else "less than a second"
            reason = printable(str(fields["message"]))
            self._console.print(f"retry {fields['retry']} of {self._num_retries} in {wait}: {reason}")
