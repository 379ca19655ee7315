"""Count the mutants that the tests notice: `python -m benchmarks.mutants [PART ...]`.

A mutant is a copy of a module with one small fault. It is killed when a test of its part fails that runs the lines of
the fault; a survivor shows what no test holds. The exit code is 1 when fewer are killed than must be.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from queue import SimpleQueue

from .mutations import Mutant
from .parts import PARTS, Part
from .sample import draw, equivalents, identity
from .workers import CACHE, Baseline, Trial, Worker

# A test that takes this many times what it took, and this much more, hangs; machines may be busy.
_SLOWER, _SLACK_S = 6.0, 10.0
# The tests that run a line may take minutes; a mutant that lives through this much of them, quickest first, survives.
_TESTS_LIMIT_S = 20.0
_SHOWN = 100  # characters of the id of a test
_SURVIVORS = CACHE / "survivors.json"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a mutant.

    Attributes:
        part: The name of its part.
        mutant: The mutant.
        is_equivalent: Whether no test could notice it; it was not tried.
        trial: What the tests made of it.
        seconds: How long they took.
    """

    part: str
    mutant: Mutant
    is_equivalent: bool
    trial: Trial
    seconds: float

    @property
    def outcome(self) -> str:
        """The outcome in a word."""
        return "equivalent" if self.is_equivalent else "killed" if self.trial.is_killed else "survived"


def main() -> int:
    """Try a sample of mutants, and print the survivors and the rates; 1 when too few are killed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("part", nargs="*", help=f"{', '.join(PARTS)}; all when not given")
    parser.add_argument("--sample", type=int, default=400, help="how many mutants (400)")
    parser.add_argument("--seed", type=int, default=1, help="draws another sample (1)")
    parser.add_argument("--at-least", type=float, default=85.0, help="the share in %% that must be killed (85)")
    parser.add_argument("--survivors", action="store_true", help="try only those that survived the last run")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (one for each core)")
    options = parser.parse_args()
    if unknown := set(options.part) - PARTS.keys():
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    parts = {name: PARTS[name] for name in options.part or PARTS}
    began = time.monotonic()
    CACHE.mkdir(parents=True, exist_ok=True)
    sample = draw(parts, options.sample, options.seed)
    if options.survivors:
        last = {tuple(one) for one in json.loads(_SURVIVORS.read_text(encoding="utf-8"))}
        sample = {name: [one for one in mutants if identity(one) in last] for name, mutants in sample.items()}
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(number)) for number in range(options.workers)]
        results = run(workers, parts, sample)
    survivors = [identity(result.mutant) for result in results if result.outcome == "survived"]
    _SURVIVORS.write_text(json.dumps(survivors, indent=1), encoding="utf-8")
    return report(results, time.monotonic() - began, options.at_least)


def run(workers: Sequence[Worker], parts: dict[str, Part], sample: dict[str, list[Mutant]]) -> list[Result]:
    """Try mutants on as many workers as there are, and print a line for each."""
    free: SimpleQueue[Worker] = SimpleQueue()
    for worker in workers:
        free.put(worker)

    def measure(name: str) -> Baseline:
        worker = free.get()
        try:
            return worker.baseline(parts[name])
        finally:
            free.put(worker)

    with ThreadPoolExecutor(len(workers)) as threads:
        modules = workers[0].probe(sorted({test for part in parts.values() for test in part.tests}))
        list(threads.map(lambda worker: worker.preload(modules), workers))
        baselines = dict(zip(parts, threads.map(measure, parts), strict=True))
        known = equivalents()

        def try_one(part: str, mutant: Mutant) -> Result:
            worker, began = free.get(), time.monotonic()
            try:
                is_equivalent = identity(mutant) in known
                trial = Trial(is_killed=False) if is_equivalent else _try(worker, mutant, baselines[part])
            finally:
                free.put(worker)
            result = Result(part, mutant, is_equivalent, trial, time.monotonic() - began)
            print(
                f"{result.seconds:6.1f} s  {result.outcome:10}  {mutant}  {(trial.noticed_by or '')[:_SHOWN]}",
                flush=True,
            )
            return result

        jobs = [(name, mutant) for name, mutants in sample.items() for mutant in mutants]
        random.Random(0).shuffle(jobs)  # so that the time left can be guessed from the time taken
        return list(threads.map(lambda job: try_one(*job), jobs))


def _try(worker: Worker, mutant: Mutant, baseline: Baseline) -> Trial:
    tests = _tests_of(mutant, baseline)
    if not tests:
        return Trial(is_killed=False)
    return worker.try_source(mutant.path, mutant.source, {name: _limit_s(baseline.seconds[name]) for name in tests})


def _tests_of(mutant: Mutant, baseline: Baseline) -> list[str]:
    """Return the tests that run the lines of a mutant, quickest first; all of its part for what runs at an import."""
    by_line = baseline.tests_of_lines[mutant.path]
    running = {test for line in range(mutant.first_line, mutant.last_line + 1) for test in by_line.get(line, ())}
    chosen = [name for name in baseline.seconds if "" in running or name in running]
    chosen.sort(key=lambda name: (name not in running, baseline.seconds[name]))
    taken: list[str] = []
    total_s = 0.0
    for name in chosen:
        total_s += baseline.seconds[name]
        if taken and total_s > _TESTS_LIMIT_S:
            break
        taken.append(name)
    return taken


def _limit_s(seconds: float) -> float:
    return _SLACK_S + _SLOWER * seconds


def report(results: Iterable[Result], seconds: float, at_least: float) -> int:
    """Print the survivors, and the rates of the parts and of all; return 1 when too few are killed."""
    by_part: dict[str, list[Result]] = {}
    for result in results:
        by_part.setdefault(result.part, []).append(result)
    for result in sorted(
        (one for some in by_part.values() for one in some), key=lambda one: (one.mutant.path, one.mutant.first_line)
    ):
        if result.outcome == "survived":
            print(f"\n{result.mutant}", *result.mutant.diff, sep="\n  ")
    print(f"\n{'part':12}{'mutants':>9}{'killed':>9}{'equivalent':>12}{'survived':>10}{'rate':>9}")
    everything = [result for some in by_part.values() for result in some]
    for name, some in sorted(by_part.items()):
        print(_row(name, some))
    print(_row("all", everything))
    print(f"{seconds / 60:.1f} minutes; at least {at_least:g} % must be killed")
    return int(100 * rate(everything) < at_least)


def rate(results: Sequence[Result]) -> float:
    """Return the share of the mutants killed among those that a test could notice."""
    outcomes = [result.outcome for result in results]
    return outcomes.count("killed") / max(1, len(outcomes) - outcomes.count("equivalent"))


def _row(name: str, results: Sequence[Result]) -> str:
    outcomes = [result.outcome for result in results]
    killed, equivalent, survived = (outcomes.count(outcome) for outcome in ("killed", "equivalent", "survived"))
    return f"{name:12}{len(results):>9}{killed:>9}{equivalent:>12}{survived:>10}{rate(results):>9.1%}"


if __name__ == "__main__":
    sys.exit(main())
