"""Measure applications behind uvicorn: `python -m benchmarks.web [CASE ...]`.

The application runs in a process of its own; the simulator and the clients share another. 1 is returned when a figure
misses its target.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from .cases import CASES


def main() -> int:
    """Measure and print; 1 when a figure misses its target."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("case", nargs="*", help=f"what to measure: {', '.join(CASES)}; all when not given")
    chosen = parser.parse_args().case or list(CASES)
    if unknown := set(chosen) - CASES.keys():
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    met = True
    for name in chosen:
        for row in asyncio.run(CASES[name]()):
            print(row, flush=True)
            met = met and row.is_met
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
