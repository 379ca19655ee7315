"""`asyncllm batch --workers`: files answered by the workers of Ray, into a folder of files."""

from __future__ import annotations

import shlex
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from asyncllm.batch.files import (
    STDIN,
    WRITTEN_FORMATS,
    FileInput,
    FileInputs,
    Format,
    InferredColumns,
    Kind,
    Layout,
    Row,
)
from asyncllm.batch.formatting import dollars, duration
from asyncllm.batch.progress import Progress
from asyncllm.batch.progress_line import ProgressLine
from asyncllm.batch.prompts import Prompt

from ..settings import Settings
from ..terminal.exit_codes import DONE, SOME_FAILED, UsageProblem
from ..terminal.output import note
from ..terminal.signals import ended_by_sigterm
from .arguments import BatchArguments
from .job import Job, OutputTarget, format_named
from .running import again

if TYPE_CHECKING:
    from asyncllm.batch.files.parquet import Schema
    from asyncllm.distributed.file_job import FileJob
    from asyncllm.distributed.file_rows import PartSummary
    from asyncllm.distributed.progress_board import Totals

# The folder in OUT that is the job's own: the answers of all runs, and the parts of this one.
_OWN = ".asyncllm"
_RUN_ID = "answers"
# Options that belong to one process: a journal, or an order of rows.
_OF_ONE_PROCESS = (
    *("journal", "retry_failed", "limit", "sample", "strict", "stop_after_errors", "deduplicate", "deferred"),
    "cancel",
)


def check_arguments(given: BatchArguments) -> None:
    """Raise if options do not go with `--workers`, or belong to it alone."""
    if given.workers is None:
        if given.ray is not None:
            raise UsageProblem("--ray belongs to --workers.", "Give --workers N too.")
        return
    for name in _OF_ONE_PROCESS:
        if getattr(given, name):
            raise UsageProblem(f"--{name.replace('_', '-')} does not go with --workers.", "Leave one of them out.")
    if given.output == STDIN or STDIN in given.sources:
        raise UsageProblem("--workers reads files and writes a folder.", "Name files, and a folder with -o.")


def folder_target(given: BatchArguments, source: FileInputs, columns: tuple[str, ...] | None) -> OutputTarget:
    """Return the folder that the results go to, and the format of the files in there."""
    named = format_named(given.output_format, "--output-format", WRITTEN_FORMATS)
    own: Format = source.format if source.format in WRITTEN_FORMATS else "jsonl"
    return OutputTarget(Path(given.output), named or own, None, None, not given.raw_csv, columns)


def run_over_workers(settings: Settings, given: BatchArguments, job: Job) -> int:
    """Run a batch over workers, and return its exit code."""
    assert given.workers is not None
    from asyncllm.distributed.file_job import ray_connected

    if given.ray is None:
        job.config.resolved_key()  # raises here, before Ray is started, as every worker would
    folder = _folder(job, replaces=given.overwrite or given.fresh)
    if given.fresh:
        _set_aside(folder / _OWN / _RUN_ID)
    with job.source.open() as reading:
        job.first_rows(reading.rows(), reading)
        total = reading.total_bytes
    parts = folder / _OWN / "parts"
    shutil.rmtree(parts, ignore_errors=True)
    parts.mkdir(parents=True)
    file_job = _file_job(settings, given, job, parts)
    run = _FolderRun(folder, job, total, settings.arguments)
    with ended_by_sigterm() as end:
        try:
            with ray_connected(given.ray, given.workers):
                run.send(file_job.run(run.show))
        except KeyboardInterrupt:
            run.finish(end.word)
            return end.code
        except BaseException:
            with suppress(Exception):
                run.finish("stopped")
            raise
    run.publish(parts)
    run.finish(None)
    return SOME_FAILED if run.failed or run.bad else DONE


def _file_job(settings: Settings, given: BatchArguments, job: Job, parts: Path) -> FileJob:
    """Return the job as workers get it: with absolute paths, and without keys."""
    from asyncllm.distributed.answerer import left_of_budget
    from asyncllm.distributed.file_job import FileJob
    from asyncllm.distributed.worker_settings import WorkerSettings

    own, options = parts.parent.resolve(), _options(settings, given)
    if given.budget is not None:
        options["budget_usd"] = left_of_budget(given.budget, own, _RUN_ID)
    worker_settings = WorkerSettings(
        settings.profile,
        _config_path(settings),
        options,
        job.params,  # type: ignore[arg-type]  # they have been checked
        job.response_model,
        results=str(own),
        run_id=_RUN_ID,
    )
    requests = job.requests
    assert requests is not None
    assert given.workers is not None
    if isinstance(requests, Prompt) and requests.directory is not None:
        requests = replace(requests, directory=requests.directory.absolute())
    files = [_absolute(file) for file in job.source.files]
    columns = job.target.columns
    return FileJob(files, requests, worker_settings, job.answers, _layout(job), parts.resolve(), columns, given.workers)


@dataclass(slots=True)
class _FolderRun:
    """One run of a job over workers."""

    folder: Path
    job: Job
    total_bytes: int | None
    arguments: Sequence[str]
    parts: list[PartSummary] = field(default_factory=list["PartSummary"])
    passed_bytes: int = 0
    began_at: float = field(default_factory=time.monotonic)
    line: ProgressLine = field(init=False)

    def __post_init__(self) -> None:
        self.line = ProgressLine(budget_usd=self.job.budget_usd, share=self._share, stays=False, write=note)

    @property
    def failed(self) -> int:
        """Rows that failed."""
        return sum(part.failed for part in self.parts)

    @property
    def bad(self) -> int:
        """Rows that cannot be used."""
        return sum(part.bad for part in self.parts)

    def send(self, parts: Iterable[PartSummary]) -> None:
        """Take the parts as they are written."""
        self.line.start()
        try:
            self.parts.extend(parts)
        finally:
            self.show_last()

    def show(self, totals: Totals) -> None:
        """Show the progress of all workers."""
        self.passed_bytes = totals.size_bytes
        self.line.show(replace(totals.progress, elapsed_s=time.monotonic() - self.began_at))

    def show_last(self) -> None:
        """Take away what is drawn."""
        self.line.show(Progress(finished=True))

    def publish(self, parts: Path) -> None:
        """Replace the files of an earlier run by the parts, in the order of the input."""
        suffix = self.job.target.format
        for old in [*self.folder.glob("part-*"), *self.folder.glob("rejected-*")]:
            old.unlink()
        for number, part in enumerate(sorted(self.parts, key=lambda part: part.first)):
            if part.name is not None:
                (parts / part.name).replace(self.folder / f"part-{number:05}.{suffix}")
            if part.rejected is not None:
                (parts / part.rejected).replace(self.folder / f"rejected-{number:05}.jsonl")
        shutil.rmtree(parts)

    def finish(self, early: str | None) -> None:
        """Note what was done, what it cost, what failed, and how to continue."""
        for line in self._last_notes(early):
            note(line)

    def _share(self) -> float | None:
        return min(self.passed_bytes / self.total_bytes, 1.0) if self.total_bytes else None

    def _last_notes(self, early: str | None) -> Iterator[str]:
        command = f"to continue: {shlex.join(['asyncllm', *again(self.arguments)])}"
        if early is not None:
            yield f"{early}: answers so far are in {self.folder / _OWN}"
            yield command
            return
        parts = self.parts
        done, restored = sum(part.done for part in parts), sum(part.restored for part in parts)
        before = f" ({restored:,} of them before)" if restored else ""
        elapsed = duration(time.monotonic() - self.began_at)
        yield f"{done:,} done{before}, {self.failed:,} failed, {self._cost()}, {elapsed}, in {self.folder}"
        errors: Counter[str] = Counter()
        for part in parts:
            errors.update(part.errors)
        if errors:
            yield "failed: " + ", ".join(f"{kind} {count:,}" for kind, count in errors.most_common())
        if self.bad:
            yield f"not sent: {self.bad:,} rows that cannot be used, in {self.folder / 'rejected-*.jsonl'}"
        if escaped := sum(part.escaped for part in parts):
            yield f"cells with a ' before them, for no spreadsheet to calculate them (see --raw-csv): {escaped:,}"
        if self.failed:
            yield command

    def _cost(self) -> str:
        unpriced = sum(part.unpriced for part in self.parts)
        cost = sum(part.cost_usd for part in self.parts)
        if unpriced and not cost:
            return "cost unknown"
        return dollars(cost) + (f" and {unpriced:,} answers of unknown cost" if unpriced else "")


def _folder(job: Job, *, replaces: bool) -> Path:
    """Return the folder, or raise if results must not be written there."""
    folder = job.target.path
    assert folder is not None
    if folder.exists() and not folder.is_dir():
        raise UsageProblem(f"{folder} is a file, and --workers writes a folder.", "Name a folder with -o.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / _OWN).is_dir() and not replaces:
        raise UsageProblem(f"{folder} has files that are not of this command.", "Name another, or give --overwrite.")
    if any(path.absolute().is_relative_to(folder.absolute()) for path in job.source.paths):
        raise UsageProblem(f"{folder} has files of the input in it.", "Name another folder.")
    return folder


def _set_aside(answers: Path) -> None:
    """Rename the answers of earlier runs."""
    if answers.is_dir():
        old = answers.with_name(f"{answers.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        answers.rename(old)
        note(f"the answers of earlier runs are now in {old}")


def _config_path(settings: Settings) -> str | None:
    """Return the file of the configuration; None for the variables and defaults of each worker."""
    found = settings.profiles().source
    return None if found is None else str(found.absolute())


def _options(settings: Settings, given: BatchArguments) -> dict[str, object]:
    """Return the fields of the profile that the command line sets."""
    own, _ = settings.apart_from_parameters()
    return own.overrides(
        model=given.model,
        max_concurrency=given.max_concurrency,
        max_output_tokens=given.max_tokens,
        cache=given.cache,
    )


def _absolute(file: FileInput) -> FileInput:
    """Return a file with its absolute path, and the name that it was given by."""
    made = copy(file)
    made.path = None if file.path is None else file.path.absolute()
    return made


def _layout(job: Job) -> Layout:
    """Return the layout of the files of results, the same for all of them."""
    kinds, table = _carried(job) if job.target.format != "jsonl" else ({}, None)
    return replace(job.layout, compression=None, carried=kinds, table=table)


def _carried(job: Job) -> tuple[dict[str, Kind], Schema | None]:
    """Return the columns of the input and their kinds; those of JSON are known when all rows have been read."""
    known = job.target.known_columns(job.source)
    if known is not None:
        return known
    kept, inferred = job.target.columns, InferredColumns()
    with job.source.open() as reading:
        for row in reading.rows():
            if isinstance(row, Row):
                inferred.add(row.data)
    return {name: kind for name, kind in inferred.kinds.items() if kept is None or name in kept}, None
