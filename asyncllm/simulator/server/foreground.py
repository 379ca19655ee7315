"""The simulator in the foreground, until it is interrupted."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

from .simulator import Simulator


def serve(simulator: Simulator, announce: Callable[[Simulator], None]) -> None:
    """Start a simulator, announce it when it accepts connections, and stop it at Ctrl-C or SIGTERM.

    To be called on the main thread.

    Raises:
        OSError: The port is not free.
    """
    interrupted = threading.Event()

    def interrupt(*_: object) -> None:
        interrupted.set()

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with simulator:
            announce(simulator)
            interrupted.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
