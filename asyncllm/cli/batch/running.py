"""The run of a batch: rows in, outcomes counted, and at its end the results, also after Ctrl-C."""

from __future__ import annotations

import shlex
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, aclosing, contextmanager, suppress
from itertools import chain

from asyncllm import AsyncLLM, Journal, Outcome, Request
from asyncllm.batch.files import BadRow, InputReader, ResultWriter, Row, RowResult, position_of
from asyncllm.batch.formatting import dollars, draws, duration
from asyncllm.batch.input import RereadInput, on_thread
from asyncllm.batch.progress import Progress, Tally
from asyncllm.batch.progress_line import ProgressLine
from asyncllm.batch.stall import is_hopeless
from asyncllm.config.fields import SECRETS

from ..terminal import own_loop
from ..terminal.exit_codes import DONE, SOME_FAILED, UsageProblem
from ..terminal.output import note
from ..terminal.signals import End, ended_by_sigterm
from .deferral import Deferral, note_sent
from .job import Job
from .job_record import JobRecord, claim, recorded, set_aside, tidy
from .results import Rejected, ResultsFile, RowNumbers, to_stdout

_BY_AN_ERROR = "stopped"


def run_job(
    job: Job, arguments: Sequence[str], *, fresh: bool, retry_failed: bool, deferral: Deferral | None = None
) -> int:
    """Run a batch, and return its exit code.

    Args:
        fresh: Whether the journal of earlier runs is set aside.
        retry_failed: Whether rows that were not reached are left out.
        deferral: How it is deferred; None for a live batch.
    """
    run = _BatchRun(job, arguments, deferral)
    if job.target.journal is not None:
        if fresh and (old := set_aside(job.target.journal)) is not None:
            note(f"the journal of earlier runs is now {old}")
        if retry_failed:
            job.limit = _reached(job)
    elif retry_failed:
        raise UsageProblem("--retry-failed needs a journal to tell what failed.", "Give --journal FILE.")
    end = End()
    try:
        with ended_by_sigterm() as end, _ctrl_c_not_shown():
            own_loop.run(run.send)
    except KeyboardInterrupt:
        run.finish(end.word)
        return end.code
    except Exception as error:
        if not isinstance(error, BrokenPipeError):
            # The error that ended the run is the one to report, even if the results cannot be written.
            with suppress(Exception):
                run.finish(_BY_AN_ERROR)
        raise
    run.finish(None)
    return SOME_FAILED if run.tally.failed or run.rejected_count else DONE


def _reached(job: Job) -> int:
    """Return the number of rows that earlier runs have reached."""
    assert job.target.journal is not None
    if not job.target.journal.exists():
        raise UsageProblem(f"there is no journal {job.target.journal} yet, and nothing that failed.")
    before = recorded(job.target.journal)
    if before is not None and before.sample != job.source.sample:
        sample = "no --sample" if before.sample is None else f"--sample {before.sample}"
        raise UsageProblem(f"the earlier runs had {sample}.", "Give the same with --retry-failed.")
    items = Journal.read(job.target.journal).summary().items
    if not items:
        raise UsageProblem(f"{job.target.journal} has nothing that failed.")
    return items if job.limit is None else min(items, job.limit)


class _BatchRun:
    """One run of a batch."""

    def __init__(self, job: Job, arguments: Sequence[str], deferral: Deferral | None) -> None:
        self.job = job
        self._deferral = deferral
        self.tally = Tally()
        self._arguments = arguments
        self._row_numbers = RowNumbers()
        self._rejected: Rejected | None = None
        self._journal: Journal | None = None
        self._record: JobRecord | None = None
        self._spent_before_usd = 0.0
        self._total: int | None = None
        self._passed = 0  # of that total
        self._began_at: float | None = None
        self._unchanged = True
        self._before: JobRecord | None = None
        self._nulled = 0
        self._whole = False
        self._keeps_old = False
        self._llm: AsyncLLM | None = None

    @property
    def rejected_count(self) -> int:
        """The number of rows that could not be used."""
        return 0 if self._rejected is None else self._rejected.count

    async def send(self) -> None:
        """Send the rows."""
        with self.job.source.open() as reading:
            # A file is read by the batch on a thread of its own; a pipe is waited for.
            if not reading.waits:
                rows = reading.rows()
                first = self.job.first_rows(rows, reading)
                await self._send(reading, self._requests(chain(first, rows)))
                return
            async with aclosing(on_thread(reading.rows())) as coming:
                seen: list[Row | BadRow] = []
                async for row in coming:
                    seen.append(row)
                    if isinstance(row, Row):
                        break
                self.job.first_rows(iter(seen), reading)
                await self._send(reading, self._requests_of(seen, coming))

    async def _send(self, reading: InputReader, requests: Iterable[Request] | AsyncIterator[Request]) -> None:
        job = self.job
        line = ProgressLine(budget_usd=job.budget_usd, share=self._share, stays=False, write=note)

        def progressed(progress: Progress) -> None:
            if progress.resumed is not None:
                self._spent_before_usd = progress.resumed.spent_usd
            line.show(progress)

        async with AsyncLLM(job.config) as llm:
            self._llm = llm
            await llm.warm_up()
            self._take_journal()
            if self._deferral is not None and not self._deferral.waits:
                await self._submit(llm, requests)
                return
            with ExitStack() as stack:
                out = None if job.target.path else stack.enter_context(to_stdout(job, reading.all_columns))
                batch = llm.map(
                    self._reread(requests),
                    ordered=out is not None,
                    response_model=job.response_model,
                    journal=self._journal,
                    budget_usd=job.budget_usd,
                    stop_after_errors=job.stop_after_errors,
                    deduplicate=job.deduplicate,
                    progress=progressed,
                    **(self._deferral.options if self._deferral is not None else {}),
                    **job.params,
                )
                self._total = reading.total_bytes if job.limit is None else job.limit
                self._rejected = Rejected(job.target.rejected)
                stack.callback(self._rejected.close)
                async with batch as outcomes:
                    self._began_at = time.monotonic()
                    line.start()
                    async for outcome in outcomes:
                        self._add(outcome, out)
                        self._end_if_hopeless(outcome.error)
        self._whole = True

    async def _submit(self, llm: AsyncLLM, requests: Iterable[Request] | AsyncIterator[Request]) -> None:
        """Send the rows by the provider's batch API, and leave them there."""
        job = self.job
        self._rejected = Rejected(job.target.rejected)
        try:
            sent = await llm.submit(
                requests,
                response_model=job.response_model,
                journal=self._journal,
                budget_usd=job.budget_usd,
                deduplicate=job.deduplicate,
                **job.params,
            )
        finally:
            self._rejected.close()
        note_sent(sent.status)

    def finish(self, early: str | None) -> None:
        """Write the results, and notes about what was done, what it cost, what failed, and how to continue.

        Args:
            early: What ended the run before its end.
        """
        if self._began_at is None:
            if early is not None and early != _BY_AN_ERROR:
                note(f"{early}: nothing was sent")
            return
        elapsed_s = time.monotonic() - self._began_at
        for line in self._last_notes(early, elapsed_s, self._write_results(early)):
            note(line)

    def _write_results(self, early: str | None) -> int:
        """Write the file of results, and return the number of cells that were changed for spreadsheets.

        A run that ended early leaves a file of more rows as it is.
        """
        if self._journal is None or self.job.target.path is None:
            return 0
        if self._record != JobRecord.of(self.job):
            raise UsageProblem(
                f"{self.job.source.name} has changed while the batch ran, so that its rows and the answers do not fit.",
                f"The answers are in {self.job.target.journal}: the same command again takes what fits from there.",
            )
        results = ResultsFile(self.job, self._journal, self._row_numbers, unchanged=self._unchanged or self._whole)
        self._keeps_old = early is not None and results.are_fewer()
        escaped = 0 if self._keeps_old else results.write()
        tidy(self._journal.path)
        return escaped

    def _take_journal(self) -> None:
        """Take the journal, once everything else is known to be right."""
        target = self.job.target
        self._record = JobRecord.of(self.job)
        if target.journal is not None:
            # Rows of a pipe cannot be read again for the results.
            self._journal = Journal(target.journal, keep_data=not self.job.source.reads_again)
            self._before = claim(target.journal, self._record)
            # What this run does not reach may be as a run of another input or prompt left it.
            is_changed = self._before is None or self._before.is_changed
            self._unchanged = self._before == self._record and not is_changed

    def _reread(
        self, requests: Iterable[Request] | AsyncIterator[Request]
    ) -> RereadInput | Iterable[Request] | AsyncIterator[Request]:
        """Return the requests as an input that can be looked through before it is sent, if it can be read again."""
        if isinstance(requests, AsyncIterator) or not self.job.source.reads_again:
            return requests
        before, now = self._before, self._record
        changed = before is not None and now is not None and before.prompt != now.prompt
        is_mixed = changed or (before is not None and before.is_mixed)
        return RereadInput(requests, self.job.preview, prompt_changed=changed, is_mixed=is_mixed)

    def _share(self) -> float | None:
        """Return the share of the input that has ended."""
        return min(self._passed / self._total, 1.0) if self._total else None

    def _requests(self, rows: Iterable[Row | BadRow]) -> Iterator[Request]:
        """Yield the requests of the good rows, and set the bad ones aside."""
        for row in rows:
            if self._row_numbers.count == self.job.limit:
                return
            made = self.job.request(row) if isinstance(row, Row) else row
            if isinstance(row, Row) and row.nulled is not None:
                self._add_nulled(row)
            if isinstance(made, BadRow):
                assert self._rejected is not None
                self._rejected.add(made)
            else:
                self._row_numbers.add(row.index)
                yield made

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

    def _add_nulled(self, row: Row) -> None:
        if not self._nulled:
            note(f"{position_of(row)}: has {row.nulled}, which is read as null (--strict refuses it)")
        self._nulled += 1

    def _add(self, outcome: Outcome[object], out: ResultWriter | None) -> None:
        row: Row = outcome.data
        self.tally.add(outcome)
        self._passed += row.size_bytes if self.job.limit is None else 1
        if out is not None:
            out.write(self.job.target.kept(row.data), RowResult.of(row.index, outcome, self.job.answers, row.file))

    def _end_if_hopeless(self, error: Exception | None) -> None:
        """Raise an error that every row will fail with, such as a wrong key."""
        if error is not None and is_hopeless(self.tally.done, self.tally.failed, error):
            raise error

    def _last_notes(self, early: str | None, elapsed_s: float, escaped: int) -> Iterator[str]:
        tally, target = self.tally, self.job.target
        path = target.journal if self._keeps_old else target.path
        where = f", in {path}" if path is not None else ""
        begin = f"{early}: " if early is not None else ""
        sources = (("before", tally.from_journal), ("from the cache", tally.cached))
        before = ", ".join(f"{count:,} of them {source}" for source, count in sources if count)
        before = f" ({before})" if before else ""
        ended = f"{tally.done:,} done{before}, {tally.failed:,} failed{self._throttled()}"
        yield f"{begin}{ended}, {self._cost()}, {duration(elapsed_s)}{where}"
        if self._keeps_old:
            yield f"{target.path} is left as it was: it has more rows than this run has results"
        if tally.errors:
            errors = Counter(tally.errors).most_common()
            yield "failed: " + ", ".join(f"{kind} {count:,}" for kind, count in errors)
        if self.rejected_count:
            where = f", in {target.rejected}" if target.rejected is not None else ""
            yield f"not sent: {self.rejected_count:,} rows that cannot be used{where}"
        if self._nulled > 1:
            yield f"NaN or Infinity was read as null in {self._nulled:,} rows"
        if escaped:
            yield f"cells with a ' before them, for no spreadsheet to calculate them (see --raw-csv): {escaped:,}"
        if self._journal is not None and (early is not None or tally.failed):
            overwrites = self._keeps_old and not {"--fresh", "--overwrite"}.isdisjoint(self._arguments)
            command = ["asyncllm", *again(self._arguments), *(["--overwrite"] if overwrites else [])]
            yield f"to continue: {shlex.join(command)}"

    def _throttled(self) -> str:
        throttled = 0 if self._llm is None else self._llm.stats().throttled
        return f", {throttled:,} request{'s' * (throttled > 1)} refused with 429" if throttled else ""

    def _cost(self) -> str:
        tally = self.tally
        if tally.unpriced == tally.sent - tally.failed and tally.unpriced:
            return "cost unknown"
        before = f" now and {dollars(self._spent_before_usd)} before" if self._spent_before_usd else ""
        unknown = f" and {tally.unpriced:,} answers of unknown cost" if tally.unpriced else ""
        saved = f", {dollars(tally.saved_usd)} saved" if tally.saved_usd > 0 else ""
        return f"{dollars(tally.cost_usd)}{before}{unknown}{saved}"


def again(arguments: Sequence[str]) -> Iterator[str]:
    """Yield the arguments once more, without keys, and without what would begin anew."""
    for argument in arguments:
        name, equals, _ = argument.removeprefix("--set=").partition("=")
        if equals and name.strip() in SECRETS:
            yield argument[: argument.index(name) + len(name)] + "=***"
        elif argument not in ("--fresh", "--overwrite"):
            yield argument


@contextmanager
def _ctrl_c_not_shown() -> Generator[None]:
    """Keep the terminal from echoing ^C, which would shift what is drawn and leave a piece of it behind."""
    try:
        import termios
    except ImportError:
        yield  # another kind of system
        return
    try:
        if not draws(sys.stderr):
            raise OSError
        descriptor = sys.stdin.fileno()
        before = termios.tcgetattr(descriptor)
    except (AttributeError, OSError, ValueError, termios.error):
        yield  # no terminal
        return
    quiet = [*before[:3], before[3] & ~termios.ECHOCTL, *before[4:]]
    termios.tcsetattr(descriptor, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSANOW, before)
