"""Durability and cost of batches: `python -m benchmarks.batch [CASE ...] [--quick]`.

Prints a figure for each, with its bound; the exit code is 1 when one is missed. `--quick` does less of everything.
"""

from __future__ import annotations

import argparse
import sys
import time

from benchmarks.batch import costs, disks, endings, faults, memory, power

CASES = {
    "cost": costs.cost,
    "throughput": costs.throughput,
    "memory": memory.memory,
    "killed": endings.killed,
    "interrupted": endings.interrupted,
    "power": power.power,
    "disk": disks.disk,
    "faults": faults.faults,
}


def main() -> int:
    """Run the cases that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", nargs="*", choices=[*CASES, []], help=", ".join(CASES))
    parser.add_argument("--quick", action="store_true", help="do less of everything")
    options = parser.parse_args()
    missed = 0
    for name in options.case or CASES:
        began = time.monotonic()
        for figure in CASES[name](options.quick):
            figure.show()
            missed += not figure.fine
        print(f"      {name} took {time.monotonic() - began:.0f} s", flush=True)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
