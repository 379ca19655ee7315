"""Measure the limiter: `python -m benchmarks.limits [CASE ...]`.

Every case runs over real HTTP against a simulator in a process of its own, whose algorithm it names; 1 is returned when
a figure misses its target.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import anyio

from .budgets import budget
from .closures import closures
from .cost import cost
from .peers import peers
from .queueing import queueing
from .rates import known, moving, unknown
from .rows import Row
from .sharing import sharing

# The parts of a case run at the same time: each has a provider of its own, and all of them mostly wait.
CASES: dict[str, Sequence[Callable[[], Awaitable[list[Row]]]]] = {
    "known": [
        partial(known, binding, algorithm)
        for binding in ("requests", "tokens")
        for algorithm in ("token_bucket", "fixed_window")
    ],
    "unknown": [
        partial(unknown, "token_bucket"),
        partial(unknown, "fixed_window"),
        partial(unknown, "token_bucket", "none"),
        partial(unknown, "token_bucket", "seconds", headers=True),
    ],
    "moving": [partial(moving, "token_bucket"), partial(moving, "fixed_window")],
    "queueing": [queueing],
    "closures": [closures],
    "peers": [peers],
    "budget": [budget],
    "sharing": [partial(sharing, "asyncio", "asyncio"), partial(sharing, "asyncio", "trio")],
    "cost": [cost],
}


def main() -> int:
    """Measure and print; 1 when a figure misses its target."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("case", nargs="*", help=f"what to measure: {', '.join(CASES)}; all when not given")
    parser.add_argument(
        "--together", action="store_true", help="at the same time: they mostly wait, on a quiet machine"
    )
    given = parser.parse_args()
    chosen = given.case or list(CASES)
    if unknown_cases := set(chosen) - CASES.keys():
        parser.error(f"unknown: {', '.join(sorted(unknown_cases))}")
    met = True
    runs = [[part for name in chosen for part in CASES[name]]] if given.together else [CASES[name] for name in chosen]
    for parts in runs:
        for row in anyio.run(_run, parts):
            print(row, flush=True)
            met &= row.is_met
    return 0 if met else 1


async def _run(parts: Sequence[Callable[[], Awaitable[list[Row]]]]) -> list[Row]:
    results: dict[int, list[Row]] = {}

    async def one(number: int) -> None:
        started = time.monotonic()
        results[number] = await parts[number]()
        case = results[number][0].case
        print(f"{time.monotonic() - started:4.0f} s  {case}", file=sys.stderr, flush=True)

    async with anyio.create_task_group() as group:
        for number in range(len(parts)):
            group.start_soon(one, number)
    return [row for number in sorted(results) for row in results[number]]


if __name__ == "__main__":
    sys.exit(main())
