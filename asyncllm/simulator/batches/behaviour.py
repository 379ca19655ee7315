"""The behaviour of simulated batches, shared between the simulator's owner and its thread."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass

_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class BatchFaults:
    """What goes wrong with the requests of every batch; shares are 0 to 1, and fall on the same requests each time.

    A `Fault` with a `path` plays on the endpoints of files and batches too, after the request has had its effect: a
    `status` on `/v1/batches` is an error at the creation of a batch that was created, a `cut` on `/v1/files/*/content`
    a download that breaks off.

    Attributes:
        expired: The share that the window ends for, without an answer.
        failed: The share that ends with a server error of its own.
        missing: The share of results that are in no file.
        duplicated: The share of results that are there twice.
        shuffled: Whether results come in another order.
        invalid_line: The line, from 1, for which the provider refuses the whole file.

    Example:
        ```python
        from asyncllm.simulator import BatchFaults, Simulator

        with Simulator() as simulator:
            simulator.batches.faults = BatchFaults(expired=0.1, missing=0.05, shuffled=True)
        ```
    """

    expired: float = 0.0
    failed: float = 0.0
    missing: float = 0.0
    duplicated: float = 0.0
    shuffled: bool = False
    invalid_line: int | None = None


class BatchSimulation:
    """The clock, the limits and the faults of batches; every attribute may be set at any time.

    Attributes:
        takes_s: Seconds from the creation of a batch to its end, by the simulated clock.
        window_s: Seconds after which a batch expires.
        max_requests: The most requests of one batch.
        max_bytes: The most bytes of one batch.
        max_enqueued_tokens: The most tokens of the prompts in all batches under way; None for no limit.
        faults: What goes wrong.
        billed: How often each prompt was answered, and so paid for.

    Example:
        ```python
        from asyncllm.simulator import Simulator

        with Simulator() as simulator:
            simulator.batches.takes_s = 3600
            simulator.batches.advance(3600)  # batches that were created before have ended
        ```
    """

    def __init__(self) -> None:
        self.takes_s = 0.0
        self.window_s = _DAY_S
        self.max_requests = 100_000
        self.max_bytes = 256 * 1024 * 1024
        self.max_enqueued_tokens: int | None = None
        self.faults = BatchFaults()
        self.billed: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._speed = 1.0
        self._simulated_s = self._real_s = time.time()

    @property
    def now(self) -> float:
        """The simulated time, in Unix time."""
        with self._lock:
            return self._now()

    def advance(self, seconds: float) -> None:
        """Let time pass at once."""
        with self._lock:
            self._simulated_s += seconds

    def speed_up(self, factor: float) -> None:
        """Let simulated time pass so many times as fast as real time, from now on."""
        with self._lock:
            self._simulated_s, self._real_s = self._now(), time.time()
            self._speed = factor

    def _now(self) -> float:
        return self._simulated_s + (time.time() - self._real_s) * self._speed
