"""Run the benchmarks: `python -m benchmarks [--quick]`.

Prints the tables and writes the results, and of a whole run the page and the chart of the documentation. The exit code
is 1 when a run failed or an answer was wrong; a target that is not met is said in the table and changes nothing else.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from .environments import CACHE, ROOT, clean_env, python_of
from .report import page, text
from .run import errors, run
from .scenarios import SCENARIOS, quick

_RESULTS = ROOT / "benchmarks" / "results.json"
_QUICK_RESULTS = CACHE / "quick.json"
_PAGE = ROOT / "docs" / "benchmarks.md"
_CHART = ROOT / "docs" / "benchmarks.svg"


def main() -> int:
    """Run what is asked for; 1 when anything failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure asyncllm beside its peers.")
    parser.add_argument("--quick", action="store_true", help="fewer peers and rounds; under two minutes")
    parser.add_argument("--only", nargs="+", metavar="KEY", choices=[one.key for one in SCENARIOS], help="some of them")
    parser.add_argument("--rounds", type=int, metavar="N", help="instead of each scenario's own number")
    parser.add_argument("--report", type=Path, metavar="FILE", help="run nothing; print the tables of these results")
    given = parser.parse_args()
    if given.report is not None:
        results = json.loads(given.report.read_text())
        print(text(results))
        return 1 if any(errors(results)) else 0
    chosen = [one for one in SCENARIOS if given.only is None or one.key in given.only]
    chosen = list(quick(chosen)) if given.quick else chosen
    if given.rounds is not None:
        chosen = [replace(one, rounds=given.rounds) for one in chosen]
    results = run(chosen)
    part = given.quick or given.only is not None or given.rounds is not None
    where = _QUICK_RESULTS if part else _RESULTS
    where.write_text(json.dumps(results, indent=1) + "\n")
    print(text(results))
    if not part:
        _PAGE.write_text(page(results, _CHART.name))
        draw = (python_of("tools"), "-m", "benchmarks.chart", str(_RESULTS), str(_CHART))
        subprocess.run(draw, cwd=ROOT, env=clean_env(), check=True)
    print(f"\n{results['seconds']} s; written to {where.relative_to(ROOT)}", file=sys.stderr)
    failures = list(errors(results))
    for failure in failures:
        print(f"FAILED  {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
