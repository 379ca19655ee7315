"""The progress of all workers together, collected by an actor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import chain

from ..batch.progress import Progress
from .file_rows import WorkerPassed


@dataclass(frozen=True, slots=True)
class Totals:
    """The progress of a job over all its workers, and what has passed through them."""

    progress: Progress = field(default_factory=Progress)
    size_bytes: int = 0


class ProgressBoard:
    """Keeps the last report of each worker, and the error that ends the job; runs as an actor."""

    def __init__(self) -> None:
        self._reports: dict[object, tuple[Progress, WorkerPassed]] = {}
        self._failure: Exception | None = None

    def report(self, worker: object, progress: Progress, passed: WorkerPassed) -> None:
        """Take the report of a worker."""
        self._reports[worker] = (progress, passed)

    def failed(self, error: Exception) -> None:
        """Take the error that ends the job; Ray's own error has no more than its text."""
        self._failure = self._failure or error

    def failure(self) -> Exception | None:
        """Return the first error that ends the job."""
        return self._failure

    def totals(self) -> Totals:
        """Return the sums of the last reports."""
        reports = [progress for progress, _ in self._reports.values()]
        restored = sum(passed.restored for _, passed in self._reports.values())
        summed = _summed(reports)
        progress = replace(summed, done=summed.done + restored, from_journal=restored, taken=summed.taken + restored)
        return Totals(progress, sum(passed.size_bytes for _, passed in self._reports.values()))


def _summed(reports: Iterable[Progress]) -> Progress:
    reports = [*reports]
    errors: Counter[str] = Counter()
    for report in reports:
        errors.update(report.errors)
    limits = Counter(report.limited_by for report in reports if report.limited_by not in (None, "input"))
    return Progress(
        taken=sum(report.taken for report in reports),
        done=sum(report.done for report in reports),
        failed=sum(report.failed for report in reports),
        in_flight=sum(report.in_flight for report in reports),
        waiting=sum(report.waiting for report in reports),
        input_tokens=sum(report.input_tokens for report in reports),
        output_tokens=sum(report.output_tokens for report in reports),
        cost_usd=sum(report.cost_usd for report in reports),
        unpriced=sum(report.unpriced for report in reports),
        errors=dict(errors),
        last_errors=[*chain.from_iterable(report.last_errors for report in reports)][-2:],
        per_s=sum(report.per_s for report in reports),
        limited_by=limits.most_common(1)[0][0] if limits else None,
    )
