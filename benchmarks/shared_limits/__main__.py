"""Measures shared limits: `python -m benchmarks.shared_limits [CASE...]`; each case takes less than a minute."""

from __future__ import annotations

import sys

from .cases import CASES


def main() -> int:
    """Run the cases that are named, or all, and return 1 when a target is missed."""
    names = sys.argv[1:] or list(CASES)
    if unknown := [name for name in names if name not in CASES]:
        print(f"unknown: {', '.join(unknown)}; cases: {', '.join(CASES)}")
        return 2
    missed = 0
    for name in names:
        case, *arguments = CASES[name]
        for row in case(*arguments):
            print(row, flush=True)
            missed += not row.is_met
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
