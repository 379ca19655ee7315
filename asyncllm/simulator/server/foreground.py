"""The simulator in the foreground, until it is interrupted."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType

from .options import SimulatorOptions
from .simulator import Simulator


def serve(options: SimulatorOptions, announce: Callable[[Simulator], None]) -> Simulator:
    """Serve until Ctrl-C or SIGTERM; to be called on the main thread.

    Args:
        announce: Called with the running simulator when it accepts connections.

    Returns:
        The stopped simulator, for its log.

    Raises:
        OSError: The port is not free.
    """
    interrupted = threading.Event()

    def interrupt(number: int, frame: FrameType | None) -> None:
        interrupted.set()

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        # It keeps no bodies, because it may run for long.
        with Simulator(**vars(options), record=False) as simulator:
            announce(simulator)
            interrupted.wait()
        return simulator
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
