"""SIGTERM, handled as Ctrl-C is."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from .exit_codes import INTERRUPTED, TERMINATED


@dataclass(slots=True)
class End:
    """The end of a block from outside: its exit code, and the word for it."""

    code: int = INTERRUPTED
    word: str = "interrupted"


@contextmanager
def ended_by_sigterm() -> Generator[End]:
    """Let SIGTERM end the block with a KeyboardInterrupt; what is yielded distinguishes it from Ctrl-C."""
    end = End()

    def on_sigterm(*_: object) -> None:
        end.code, end.word = TERMINATED, "terminated"
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            raise KeyboardInterrupt  # a background job, which Ctrl-C does not reach
        # By way of the event loop, which cancels its tasks in order.
        signal.raise_signal(signal.SIGINT)

    if threading.current_thread() is not threading.main_thread():
        yield end  # only the main thread can handle signals
        return
    before = signal.signal(signal.SIGTERM, on_sigterm)
    try:
        yield end
    finally:
        signal.signal(signal.SIGTERM, before)
