"""A simulator in a process of its own that is changed while it runs: `python -m benchmarks.limits.server`.

It prints its URL, then answers every line of JSON on stdin with one on stdout, until stdin ends.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from asyncllm.simulator import Fault, Latency, Limit, LoggedRequest, Simulator


def main() -> None:
    """Serve until stdin ends."""
    with Simulator() as simulator:
        print(simulator.url, flush=True)
        for line in sys.stdin:
            print(json.dumps(_obey(simulator, json.loads(line))), flush=True)


def _obey(simulator: Simulator, command: dict[str, Any]) -> object:
    match command.pop("do"):
        case "limits":
            simulator.limits(*(Limit(**one) for one in command["limits"]))
        case "latency":
            simulator.latency(Latency(**command))
        case "faults":
            simulator.faults(*(Fault(**one) for one in command["faults"]))
        case "slots":
            simulator.max_in_flight(command["number"], queue=command["queue"])
        case "seen":
            return [_row(exchange) for exchange in simulator.seen.exchanges]
        case other:
            raise ValueError(f"unknown command {other}")
    return None


def _row(exchange: LoggedRequest) -> dict[str, Any]:
    script = json.loads(exchange.body or b"{}").get("simulator") or {}
    return {
        "at": exchange.started_s,
        "ended": exchange.ended_s,
        "status": exchange.status,
        "outcome": exchange.outcome,
        "key": exchange.key,
        "answer_tokens": script.get("answer_tokens"),
    }


if __name__ == "__main__":
    main()
