"""`asyncllm batch --adopt`: a provider's batch that something else created, and its results in a file."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import IO, Any

from asyncllm import AsyncLLM, Journal
from asyncllm.batch.deferred.status import JobStatus
from asyncllm.batch.files import Layout, RowResult, result_writer

from ..terminal import own_loop
from ..terminal.exit_codes import DONE, SOME_FAILED, UsageProblem
from ..terminal.output import note
from ..terminal.replaced_file import replacing
from ..terminal.signals import ended_by_sigterm
from .arguments import BatchArguments
from .deferral import Deferral, note_sent
from .job import Job
from .job_record import JobRecord, claim, tidy
from .running import again

# Options about rows, of which there are none.
_OF_ROWS = (
    *("template", "system", "image", "input_format", "encoding", "sheet", "columns", "limit", "sample", "strict"),
    *("retry_failed", "fresh", "stop_after_errors", "deduplicate", "mixed", "workers", "dry_run", "confirm_above"),
)


def check_adoption(given: BatchArguments) -> None:
    """Raise if options do not go with `--adopt`."""
    if len(given.sources) > 1:
        raise UsageProblem("--adopt takes the id of one batch.", "Give each batch an OUT of its own.")
    for name in _OF_ROWS:
        if getattr(given, name):
            option = name.replace("_", "-")
            raise UsageProblem(f"--{option} does not go with --adopt, which reads no rows.", "Leave one of them out.")


def adopt(job: Job, deferral: Deferral, arguments: Sequence[str]) -> int:
    """Read a batch into a journal, wait for its results and write them; return the exit code."""
    path, id = job.target.journal, job.source.name
    assert path is not None, "a deferred batch has one"
    claim(path, JobRecord(id, id))
    journal, failed = Journal(path), 0

    async def run() -> JobStatus:
        nonlocal failed
        options: dict[str, Any] = {
            "reask": deferral.reask,
            "poll_s": deferral.poll_s,
            "budget_usd": job.budget_usd,
            **job.params,
        }
        async with AsyncLLM(job.config) as llm:
            taken = llm.deferred(journal, batch=id, response_model=job.response_model, **options)
            if not deferral.waits:
                return await taken.refresh()
            async with taken.outcomes() as outcomes:
                async for outcome in outcomes:
                    failed += not outcome.ok
            return taken.status

    with ended_by_sigterm() as end:
        try:
            status = own_loop.run(run)
        except KeyboardInterrupt:
            note(f"{end.word}: the batch is with the provider")
            note(f"to continue: {shlex.join(['asyncllm', *again(arguments)])}")
            return end.code
    if not deferral.waits:
        note_sent(status)
        return DONE
    note(f"{_write(job, journal) - failed:,} done, {failed:,} failed")
    tidy(path)
    return SOME_FAILED if failed else DONE


def _write(job: Job, journal: Journal) -> int:
    """Write the results, and return their number."""
    target, count = job.target, 0
    in_lines = target.format == "jsonl"  # whose results have the id; tables have it from their rows
    layout = Layout(
        target.format,
        target.compression,
        {} if in_lines else {"id": "str"},
        schema=job.schema,
        escaped=target.escaped,
        delimiter=target.delimiter,
    )
    with ExitStack() as stack:
        file: IO[bytes] = sys.stdout.buffer if target.path is None else stack.enter_context(replacing(target.path))
        writer = stack.enter_context(result_writer(file, layout))
        for entry in journal.outcomes():
            row = {} if in_lines else {"id": entry.id}
            writer.write(row, RowResult.of_entry(entry.index, entry, typed=job.answers is not None))
            count += 1
    return count
