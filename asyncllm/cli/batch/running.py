"""A batch as it runs: rows in, outcomes counted, and at its end the results, also after Ctrl-C."""

from __future__ import annotations

import shlex
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, aclosing
from typing import TYPE_CHECKING, Any

from asyncllm.batch.files import Answer, BadRow, Reading, ResultWriter, Row
from asyncllm.batch.journal import Journal
from asyncllm.batch.report.wording import duration

from ..exits import DONE, INTERRUPTED, SOME_FAILED, UsageProblem
from ..output import dollars, note
from ..progress import BatchProgress
from .job import Job
from .memory import claim, set_aside
from .results import Places, Rejected, to_stdout, write_results

if TYPE_CHECKING:
    from asyncllm import Outcome, Request


def run_job(job: Job, *, fresh: bool, retry_failed: bool) -> int:
    """Run a batch, and return its exit code.

    Args:
        job: What shall be done.
        fresh: Begin anew.
        retry_failed: Send what failed again, and nothing that was not reached.
    """
    import anyio

    run = _Run(job)
    if job.target.journal is not None:
        if fresh and (old := set_aside(job.target.journal)) is not None:
            note(f"the journal of earlier runs is now {old}")
        if retry_failed:
            job.limit = _reached(job)
    elif retry_failed:
        raise UsageProblem("--retry-failed needs a journal to tell what failed.", "Give --journal FILE.")
    try:
        anyio.run(run.send)
    except KeyboardInterrupt:
        run.finish("interrupted")
        return INTERRUPTED
    except Exception as error:
        if not isinstance(error, BrokenPipeError):
            run.finish("stopped")
        raise
    run.finish(None)
    return SOME_FAILED if run.progress.failed or run.rejected_count else DONE


def _reached(job: Job) -> int:
    """Return how many rows earlier runs have reached."""
    assert job.target.journal is not None
    if not job.target.journal.exists():
        raise UsageProblem(f"there is no journal {job.target.journal} yet, and nothing that failed.")
    items = Journal.read(job.target.journal).summary().items
    if not items:
        raise UsageProblem(f"{job.target.journal} has nothing that failed.")
    return items if job.limit is None else min(items, job.limit)


class _Run:
    """One run of a batch."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.progress = BatchProgress(None)
        self.places = Places()
        self.rejected: Rejected | None = None
        self.whole = False
        self._journal: Journal | None = None
        self._unchanged = True

    @property
    def rejected_count(self) -> int:
        """How many rows could not be used."""
        return 0 if self.rejected is None else self.rejected.count

    async def send(self) -> None:
        """Send what is to be sent."""
        from asyncllm import AsyncLLM

        job = self.job
        with job.source.open() as reading:
            async with aclosing(reading.arows()) as rows:
                first = await self._first_rows(rows, reading)
                async with AsyncLLM(job.config) as llm:
                    await llm.warm_up()
                    self._begin()
                    with ExitStack() as stack:
                        assert self.rejected is not None
                        stack.callback(self.rejected.close)
                        out = None if job.target.path else stack.enter_context(to_stdout(job, reading.columns))
                        self.progress = stack.enter_context(
                            BatchProgress(reading.total_bytes, budget_usd=job.budget_usd)
                        )
                        batch = llm.map(
                            self._requests(first, rows),
                            ordered=out is not None,
                            response_model=job.response_model,
                            journal=self._journal,
                            budget_usd=job.budget_usd,
                            progress=self._saw,
                            **job.params,
                        )
                        async with batch as outcomes:
                            async for outcome in outcomes:
                                self._add(outcome, out)
        self.whole = True

    def finish(self, early: str | None) -> None:
        """Write the results, and say what was done, what it cost, what failed, and how to go on.

        Args:
            early: What ended the run before its end.
        """
        if self.rejected is None:
            if early is not None:
                note(f"{early}: nothing was sent")
            return
        escaped = 0
        if self._journal is not None and self.job.target.path is not None:
            escaped = write_results(self.job, self._journal, self.places, unchanged=self._unchanged or self.whole)
        for line in self._last_words(early, escaped):
            note(line)

    def _begin(self) -> None:
        """Take the journal, now that everything else is known to be right."""
        target = self.job.target
        if target.journal is not None:
            # Rows of a pipe cannot be read again for the results.
            self._journal = Journal(target.journal, keep_data=not self.job.source.reads_again)
            self._unchanged = claim(target.journal, self.job)
        self.rejected = Rejected(target.rejected)

    def _saw(self, state: Any) -> None:
        self.progress.state = state

    async def _first_rows(self, rows: AsyncIterator[Row | BadRow], reading: Reading) -> list[Row | BadRow]:
        """Read to the first good row, and refuse a template that does not fit it before anything is sent."""
        seen: list[Row | BadRow] = []
        async for row in rows:
            seen.append(row)
            if isinstance(row, Row):
                self.job.settle(row, reading.columns)
                return seen
        self.job.settle(None, reading.columns)
        if not seen:
            raise UsageProblem("the input has no rows.", "Nothing was sent.")
        return seen

    async def _requests(self, first: list[Row | BadRow], rows: AsyncIterator[Row | BadRow]) -> AsyncIterator[Request]:
        """Give the requests of the good rows, and set the bad ones aside."""
        for row in first:
            if (request := self._sorted_out(row)) is not None:
                yield request
        async for row in rows:
            if self.places.count == self.job.limit:
                return
            if (request := self._sorted_out(row)) is not None:
                yield request

    def _sorted_out(self, row: Row | BadRow) -> Request | None:
        made = self.job.request(row) if isinstance(row, Row) else row
        if isinstance(made, BadRow):
            assert self.rejected is not None
            self.rejected.add(made)
            return None
        self.places.add(row.index)
        return made

    def _add(self, outcome: Outcome[Any], out: ResultWriter | None) -> None:
        row: Row = outcome.data
        usage = outcome.completion.usage if outcome.completion is not None else None
        error = outcome.error
        self.progress.advance(
            ok=outcome.ok,
            by=row.size_bytes,
            replayed=outcome.from_journal,
            tokens=(usage.total_tokens or 0) if usage is not None else 0,
            cost_usd=outcome.cost_usd,
            error=None if error is None else (type(error).__name__, str(getattr(error, "message", error))),
        )
        if out is not None:
            out.write(row.data, Answer.of(row.index, outcome, self.job.dump))

    def _last_words(self, early: str | None, escaped: int) -> Iterator[str]:
        progress, target = self.progress, self.job.target
        where = f", in {target.path}" if target.path is not None else ""
        begin = f"{early}: " if early is not None else ""
        yield (
            f"{begin}{progress.done:,} done{self._from_journal()}, {progress.failed:,} failed, "
            f"{self._cost()}, {duration(progress.elapsed_s)}{where}"
        )
        if progress.kinds:
            yield "failed: " + ", ".join(f"{kind} {count:,}" for kind, count in progress.kinds.most_common())
        if self.rejected_count:
            place = f", in {target.rejected}" if target.rejected is not None else ""
            yield f"not sent: {self.rejected_count:,} rows that cannot be used{place}"
        if escaped:
            yield f"{escaped:,} cells have a ' before them, for no spreadsheet to calculate them (--raw-csv: none)"
        if self._journal is not None and (early is not None or progress.failed):
            yield f"to continue: {_command()}"

    def _from_journal(self) -> str:
        return f" ({self.progress.replayed:,} of them before)" if self.progress.replayed else ""

    def _cost(self) -> str:
        progress = self.progress
        return dollars(None if progress.unpriced else progress.cost_usd)


def _command() -> str:
    """Return the command that was given, without what would begin anew."""
    once = {"--fresh", "--overwrite"}
    return shlex.join(["asyncllm", *(argument for argument in sys.argv[1:] if argument not in once)])
