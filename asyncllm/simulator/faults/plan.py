"""The choice of the fault that a request meets."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import NamedTuple

from .fault import Fault


class RequestTraits(NamedTuple):
    """The traits of a request that faults are chosen by."""

    path: str
    model: str
    key: str
    stream: bool
    text: str


class Script:
    """Faults in a fixed order, one for each request; None lets one pass.

    Args:
        faults: The faults of the first, second, ... request.
        repeat: Begin again at the end, instead of being over.

    Raises:
        ValueError: One of them is no fault of a request.

    Example:
        ```python
        from asyncllm.simulator import Fault, Script, Simulator

        script = Script([Fault("status", code=503), None, Fault("cut", at="body")])
        with Simulator(faults=[script]) as simulator:
            client = AsyncLLM(model="openai/any", base_url=simulator.url, api_key="any")
        ```
    """

    def __init__(self, faults: Iterable[Fault | None], *, repeat: bool = False) -> None:
        self.faults = tuple(faults)
        self.repeat = repeat
        if any(fault is not None and fault.of_connections for fault in self.faults):
            raise ValueError("a script is for requests, and refuse is for connections: give it beside the script")


class FaultPlan:
    """Chooses the fault that a request meets: the first of the list that applies.

    Attributes:
        refuses: Whether no connection is accepted at all.
    """

    def __init__(self, faults: Iterable[Fault | Script], seed: int) -> None:
        entries = [_Entry(fault, Random(f"{seed}:{index}")) for index, fault in enumerate(faults)]
        self._entries = [entry for entry in entries if not entry.of_connections]
        self.refuses = len(self._entries) < len(entries)

    def pick(self, request: RequestTraits, *, only_by_path: bool = False) -> Fault | None:
        """Return the fault for the next request; `only_by_path` leaves out those that name no path."""
        for entry in self._entries:
            if only_by_path and not entry.names_path:
                continue
            fault = entry.next_for(request)
            if fault is not None:
                return fault
        return None


class _Entry:
    def __init__(self, item: object, random: Random) -> None:
        if not isinstance(item, Fault | Script):
            raise TypeError(f"a fault is a Fault or a Script, not {type(item).__name__}")
        self._item = item
        self._random = random
        self._count = 0
        self.names_path = isinstance(item, Fault) and item.path is not None
        self.of_connections = isinstance(item, Fault) and item.of_connections

    def next_for(self, request: RequestTraits) -> Fault | None:
        item = self._item
        if isinstance(item, Script):
            index = self._count
            if item.repeat and item.faults:
                index %= len(item.faults)
            self._count += 1
            fault = item.faults[index] if index < len(item.faults) else None
            return fault if fault is not None and fault.matches(request) else None
        if not item.matches(request) or (item.times is not None and self._count >= item.times):
            return None
        if item.rate < 1 and self._random.random() >= item.rate:
            return None
        self._count += 1
        return item
