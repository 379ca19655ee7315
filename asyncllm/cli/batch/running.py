"""A batch as it runs: rows in, outcomes counted, and at its end the results, also after Ctrl-C."""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import ExitStack, aclosing, suppress
from itertools import chain
from typing import TYPE_CHECKING, Any

from asyncllm.batch.files import BadRow, InputReader, ResultWriter, Row, RowResult
from asyncllm.batch.formatting import duration
from asyncllm.batch.journal.journal import Journal
from asyncllm.batch.progress import Progress
from asyncllm.config.fields import CREDENTIALS

from ..terminal.batch_progress import BatchProgress
from ..terminal.exit_codes import DONE, SOME_FAILED, UsageProblem
from ..terminal.output import dollars, note
from ..terminal.signals import End, ended_by_sigterm
from .job import Job
from .notes import Noted, claim, set_aside, tidy
from .results import Rejected, RowNumbers, to_stdout, write_results

if TYPE_CHECKING:
    from asyncllm import Outcome, Request


# Rows that fail before the first success, for a reason that holds for every row, until the run ends. One may be odd.
_HOPELESS = 5
_BY_AN_ERROR = "stopped"


def run_job(job: Job, arguments: Sequence[str], *, fresh: bool, retry_failed: bool) -> int:
    """Run a batch, and return its exit code.

    Args:
        job: What shall be done.
        arguments: The command that was given.
        fresh: Begin anew.
        retry_failed: Send what failed again, and nothing that was not reached.
    """
    import anyio

    run = _BatchRun(job, arguments)
    if job.target.journal is not None:
        if fresh and (old := set_aside(job.target.journal)) is not None:
            note(f"the journal of earlier runs is now {old}")
        if retry_failed:
            job.limit = _reached(job)
    elif retry_failed:
        raise UsageProblem("--retry-failed needs a journal to tell what failed.", "Give --journal FILE.")
    end = End()
    try:
        with ended_by_sigterm() as end:
            anyio.run(run.send)
    except KeyboardInterrupt:
        run.finish(end.word)
        return end.code
    except Exception as error:
        if not isinstance(error, BrokenPipeError):
            # What ended the run is what is to be told, whatever becomes of the results.
            with suppress(Exception):
                run.finish(_BY_AN_ERROR)
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


class _BatchRun:
    """One run of a batch."""

    def __init__(self, job: Job, arguments: Sequence[str]) -> None:
        self.job = job
        self._arguments = arguments
        self.progress = BatchProgress()
        self._row_numbers = RowNumbers()
        self._rejected: Rejected | None = None
        self._journal: Journal | None = None
        self._noted: Noted | None = None
        self._unchanged = True
        self._began = False
        self._whole = False

    @property
    def rejected_count(self) -> int:
        """How many rows could not be used."""
        return 0 if self._rejected is None else self._rejected.count

    async def send(self) -> None:
        """Send what is to be sent."""
        with self.job.source.open() as reading:
            # A file is read by the batch on a thread of its own; a pipe is waited for.
            if not reading.waits:
                rows = reading.rows()
                first = self.job.first_rows(rows, reading)
                await self._send(reading, self._requests(chain(first, rows)))
                return
            async with aclosing(reading.arows()) as coming:
                seen: list[Row | BadRow] = []
                async for row in coming:
                    seen.append(row)
                    if isinstance(row, Row):
                        break
                self.job.first_rows(iter(seen), reading)
                await self._send(reading, self._requests_of(seen, coming))

    async def _send(self, reading: InputReader, requests: Iterable[Request] | AsyncIterator[Request]) -> None:
        from asyncllm import AsyncLLM

        job = self.job
        async with AsyncLLM(job.config) as llm:
            await llm.warm_up()
            self._take_journal()
            with ExitStack() as stack:
                out = None if job.target.path else stack.enter_context(to_stdout(job, reading.columns))
                batch = llm.map(
                    requests,
                    ordered=out is not None,
                    response_model=job.response_model,
                    journal=self._journal,
                    budget_usd=job.budget_usd,
                    stop_after_errors=job.stop_after_errors,
                    deduplicate=job.deduplicate,
                    progress=self._saw,
                    **job.params,
                )
                total = reading.total_bytes if job.limit is None else job.limit
                self.progress = BatchProgress(total, budget_usd=job.budget_usd)
                self._rejected = Rejected(job.target.rejected)
                stack.callback(self._rejected.close)
                async with batch as outcomes:
                    self._began = True
                    stack.enter_context(self.progress)
                    async for outcome in outcomes:
                        self._add(outcome, out)
                        self._despair(outcome.error)
        self._whole = True

    def finish(self, early: str | None) -> None:
        """Write the results, and say what was done, what it cost, what failed, and how to go on.

        Args:
            early: What ended the run before its end.
        """
        if not self._began:
            if early is not None and early != _BY_AN_ERROR:
                note(f"{early}: nothing was sent")
            return
        for line in self._last_words(early, self._write_results()):
            note(line)

    def _write_results(self) -> int:
        """Write the file of results, and return how many cells were changed for spreadsheets."""
        if self._journal is None or self.job.target.path is None:
            return 0
        if self._noted != Noted.of(self.job):
            raise UsageProblem(
                f"{self.job.source.name} has changed while the batch ran, so that its rows and the answers do not fit.",
                f"The answers are in {self.job.target.journal}: the same command again takes what fits from there.",
            )
        escaped = write_results(self.job, self._journal, self._row_numbers, unchanged=self._unchanged or self._whole)
        tidy(self._journal.path)
        return escaped

    def _take_journal(self) -> None:
        """Take the journal, now that everything else is known to be right."""
        target = self.job.target
        self._noted = Noted.of(self.job)
        if target.journal is not None:
            # Rows of a pipe cannot be read again for the results.
            self._journal = Journal(target.journal, keep_data=not self.job.source.reads_again)
            self._unchanged = claim(target.journal, self._noted)

    def _saw(self, state: Progress) -> None:
        """Hear from the batch: before anything is sent what the journal has, and then how far it is."""
        if self.progress.state is None and state.resumed is not None and state.resumed.run > 1:
            note(state.resumed.in_words())
            self.progress.spent_before_usd = state.resumed.spent_usd
        self.progress.state = state

    def _requests(self, rows: Iterable[Row | BadRow]) -> Iterator[Request]:
        """Give the requests of the good rows, and set the bad ones aside."""
        for row in rows:
            if self._row_numbers.count == self.job.limit:
                return
            if (request := self._sorted_out(row)) is not None:
                yield request

    async def _requests_of(
        self, first: list[Row | BadRow], rows: AsyncIterator[Row | BadRow]
    ) -> AsyncIterator[Request]:
        for request in self._requests(first):
            yield request
        async for row in rows:
            for request in self._requests((row,)):
                yield request
            if self._row_numbers.count == self.job.limit:
                return

    def _sorted_out(self, row: Row | BadRow) -> Request | None:
        made = self.job.request(row) if isinstance(row, Row) else row
        if isinstance(made, BadRow):
            assert self._rejected is not None
            self._rejected.add(made)
            return None
        self._row_numbers.add(row.index)
        return made

    def _add(self, outcome: Outcome[Any], out: ResultWriter | None) -> None:
        row: Row = outcome.data
        usage = outcome.usage
        error = outcome.error
        self.progress.advance(
            ok=outcome.ok,
            by=row.size_bytes if self.job.limit is None else 1,
            replayed=outcome.from_journal,
            tokens=(usage.total_tokens or 0) if usage is not None else 0,
            cost_usd=outcome.cost_usd,
            error=None if error is None else (type(error).__name__, str(getattr(error, "message", error))),
        )
        if out is not None:
            out.write(row.data, RowResult.of(row.index, outcome, self.job.dump))

    def _despair(self, error: Exception | None) -> None:
        """End a run in which every row fails for a reason that no row has a part in, such as a wrong key."""
        if error is not None and self.progress.failed >= _HOPELESS and not self.progress.done:
            from asyncllm import AuthenticationError, NotFoundError, QuotaExceededError

            if isinstance(error, AuthenticationError | NotFoundError | QuotaExceededError):
                raise error

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
            where = f", in {target.rejected}" if target.rejected is not None else ""
            yield f"not sent: {self.rejected_count:,} rows that cannot be used{where}"
        if escaped:
            yield f"cells with a ' before them, for no spreadsheet to calculate them (see --raw-csv): {escaped:,}"
        if self._journal is not None and (early is not None or progress.failed):
            yield f"to continue: {shlex.join(['asyncllm', *_again(self._arguments)])}"

    def _from_journal(self) -> str:
        return f" ({self.progress.replayed:,} of them before)" if self.progress.replayed else ""

    def _cost(self) -> str:
        progress = self.progress
        if progress.unpriced == progress.sent - progress.failed and progress.unpriced:
            return dollars(None)
        before = f" now and {dollars(progress.spent_before_usd)} before" if progress.spent_before_usd else ""
        unknown = f" and {progress.unpriced:,} answers of unknown cost" if progress.unpriced else ""
        return f"{dollars(progress.cost_usd)}{before}{unknown}"


def _again(arguments: Sequence[str]) -> Iterator[str]:
    """Give the command once more, without what would begin anew and without keys."""
    for argument in arguments:
        name, equals, _ = argument.removeprefix("--set=").partition("=")
        if equals and name.strip() in CREDENTIALS - _NAMES:
            yield argument[: argument.index(name) + len(name)] + "=***"
        elif argument not in ("--fresh", "--overwrite"):
            yield argument


# Of the credentials, those that only say where a secret is.
_NAMES = frozenset({"api_key_env", "aws_profile_name", "aws_role_name", "aws_session_name"})
