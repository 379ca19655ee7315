"""SIGTERM, with which systems ask a program to end, as the end that Ctrl-C is."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .exit_codes import INTERRUPTED, TERMINATED


@dataclass(slots=True)
class End:
    """How a block was ended from outside.

    Attributes:
        code: The exit code that says so.
        word: The word that does.
    """

    code: int = INTERRUPTED
    word: str = "interrupted"


@contextmanager
def ended_by_sigterm() -> Iterator[End]:
    """Let SIGTERM end the block with a KeyboardInterrupt; what is given tells it from Ctrl-C."""
    end = End()

    def on_sigterm(*_: Any) -> None:
        end.code, end.word = TERMINATED, "terminated"
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            raise KeyboardInterrupt  # a job in the background, which no Ctrl-C reaches
        # By way of the event loop, which ends its tasks in order.
        signal.raise_signal(signal.SIGINT)

    if threading.current_thread() is not threading.main_thread():
        yield end  # signals are not ours to hear
        return
    before = signal.signal(signal.SIGTERM, on_sigterm)
    try:
        yield end
    finally:
        signal.signal(signal.SIGTERM, before)
