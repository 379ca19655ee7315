"""`asyncllm batch`: a prompt over every row of a file."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, aclosing, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from asyncllm.batch.files import BadRow, Format, Row, RowReader, format_of, read_rows

from .exits import DONE, INTERRUPTED, SOME_FAILED, UsageProblem
from .output import dollars, note
from .progress import BatchProgress
from .response_types import dumper, response_type
from .results import Results
from .settings import Settings, command
from .templates import MissingField, Template

if TYPE_CHECKING:
    from asyncllm import LLMConfig, Outcome, Request

# Each bad row has its line in the output; on stderr these many are enough to see what is wrong with the file.
_SHOWN_PROBLEMS = 20


@command
def run(
    settings: Settings,
    source: Annotated[str, typer.Argument(metavar="IN", help="JSONL or CSV file; - reads stdin.")],
    output: Annotated[str, typer.Option("--output", "-o", metavar="OUT", help="JSONL file; - writes stdout.")],
    template: Annotated[
        str,
        typer.Option(
            "--template", "-t", metavar="TEXT", help='The prompt, for example "Summarise: {text}"; {{ is a brace.'
        ),
    ],
    system: Annotated[
        str | None, typer.Option("--system", "-s", metavar="TEXT", help="Instructions that come first.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="MODEL", help="Model, instead of the profile's.")
    ] = None,
    schema: Annotated[
        str | None, typer.Option(metavar="TYPE", help="Typed answers: MODULE:MODEL, or a file with a JSON Schema.")
    ] = None,
    max_concurrency: Annotated[int | None, typer.Option(metavar="N", min=1, help="Requests in flight.")] = None,
    max_tokens: Annotated[int | None, typer.Option(metavar="N", min=1, help="Longest answer.")] = None,
    input_format: Annotated[
        str | None, typer.Option(metavar="FORMAT", help="jsonl or csv, when the name of IN does not say it.")
    ] = None,
    id_field: Annotated[str, typer.Option(metavar="FIELD", help="The field with the id of a row.")] = "id",
    ordered: Annotated[
        bool, typer.Option("--ordered", help="Write in the order of the input, not as answers come.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT when it exists.")] = False,
) -> int:
    """Run a prompt over every row of a file.

    Each row of IN fills the {fields} of the template. OUT has a line for each: index (the place in the input), id, data
    (the row itself), ok, text or value, error, usage, cost_usd. Rows that cannot be read, or that lack a field, are
    reported with their line and not sent. After Ctrl-C, OUT has everything that was answered until then.

    asyncllm batch emails.jsonl -o out.jsonl --template "Summarise in one line: {text}"
    """
    import anyio

    # A field may be as long as a row may be, and this process reads no other CSV.
    csv.field_size_limit(sys.maxsize)
    prompt = Template(template)
    wanted = response_type(schema) if schema else None
    dump = dumper(wanted, schema) if schema else None
    config = settings.llm_config(model=model, max_concurrency=max_concurrency, max_output_tokens=max_tokens)
    job = _Job(config, prompt, system, wanted, dump, id_field, _Target(output, source, overwrite), ordered)
    with _opened(source, input_format) as (file, reader):
        try:
            anyio.run(_batch, job, file, reader)
        except KeyboardInterrupt:
            note(f"interrupted: {job.summary}")
            return INTERRUPTED
        except Exception as error:
            if job.results is not None and not isinstance(error, BrokenPipeError):
                note(f"stopped: {job.summary}")
            raise
    note(job.summary)
    return SOME_FAILED if job.progress.failed else DONE


@dataclass(frozen=True, slots=True)
class _Target:
    """Where the results go; opened when it is certain that something is sent."""

    output: str
    source: str
    overwrite: bool

    def check(self) -> None:
        if self.output == "-":
            return
        path = Path(self.output)
        if path.is_dir():
            raise UsageProblem(f"{path} is a directory.", "Name a file.")
        if path.exists() and self.source != "-" and path.samefile(self.source):
            raise UsageProblem(f"{path} is the input itself.", "Name another file.")
        if path.is_file() and path.stat().st_size and not self.overwrite:
            raise UsageProblem(f"{path} exists.", "Name another file, or give --overwrite.")

    def open(self) -> AbstractContextManager[IO[bytes]]:
        return nullcontext(sys.stdout.buffer) if self.output == "-" else Path(self.output).open("wb")


@dataclass(slots=True)
class _Job:
    """What shall be done, and how far it is."""

    config: LLMConfig
    template: Template
    system: str | None
    response_model: Any
    dump: Callable[[Any], Any] | None
    id_field: str
    target: _Target
    ordered: bool
    results: Results | None = None
    progress: BatchProgress = field(default_factory=lambda: BatchProgress(None))
    bad_rows: int = 0

    def request(self, row: Row) -> Request | BadRow:
        """Make the request of a row; a row that lacks a field of the template is a bad one."""
        from asyncllm import Message, Request

        given = row.data.get(self.id_field)
        name = None if given is None else str(given)
        try:
            text = self.template.render(row.data)
        except MissingField as missing:
            return BadRow(row.index, row.line, str(missing), row.size_bytes, row.data, name)
        messages = [*([Message.system(self.system)] if self.system else []), Message.user(text)]
        return Request(messages, id=name, data=row)

    def add(self, outcome: Outcome[Any]) -> None:
        assert self.results is not None
        self.results.add(outcome)
        self.progress.advance(ok=outcome.ok, by=outcome.data.size_bytes)

    def add_bad(self, row: BadRow) -> None:
        assert self.results is not None
        self.results.add_bad(row)
        self.progress.advance(ok=False, by=row.size_bytes)
        self.bad_rows += 1
        if self.bad_rows <= _SHOWN_PROBLEMS:
            note(f"line {row.line}: {row.problem}")
        elif self.bad_rows == _SHOWN_PROBLEMS + 1:
            note("more bad rows are in the output, with ok = false")

    @property
    def summary(self) -> str:
        """What was done, what it cost, and where it lies, in words."""
        where = "" if self.target.output == "-" else f", in {self.target.output}"
        if self.results is None:
            return "nothing was sent"
        cost = dollars(None if self.results.unpriced else self.results.cost_usd)
        bad = f" ({self.bad_rows:,} of them bad rows)" if self.bad_rows else ""
        return f"{self.progress.done:,} done, {self.progress.failed:,} failed{bad}, {cost}{where}"


@contextmanager
def _opened(source: str, given: str | None) -> Iterator[tuple[IO[bytes], RowReader]]:
    """Open the input."""
    if given is not None and given not in ("jsonl", "csv"):
        raise UsageProblem(f"--input-format is jsonl or csv, not {given!r}.")
    format: Format | None = given  # type: ignore[assignment]  # one of the two, or None
    if source == "-":
        yield sys.stdin.buffer, RowReader(format, "stdin")
        return
    format = format or format_of(Path(source))
    with open(source, "rb") as file:
        yield file, RowReader(format, source)


async def _batch(job: _Job, file: IO[bytes], reader: RowReader) -> None:
    from asyncllm import AsyncLLM

    job.target.check()
    async with aclosing(read_rows(file, reader)) as rows:
        first = await _first_rows(rows, reader, job.template)
        async with AsyncLLM(job.config) as llm:
            await llm.warm_up()
            with ExitStack() as stack:
                job.results = Results(stack.enter_context(job.target.open()), job.dump, ordered=job.ordered)
                stack.callback(job.results.close)
                job.progress = stack.enter_context(BatchProgress(_size(file)))
                batch = llm.map(_requests(job, first, rows), ordered=job.ordered, response_model=job.response_model)
                async with batch as outcomes:
                    async for outcome in outcomes:
                        job.add(outcome)


async def _first_rows(rows: AsyncIterator[Row | BadRow], reader: RowReader, template: Template) -> list[Row | BadRow]:
    """Read to the first good row, and refuse a template that does not fit it before anything is sent."""
    seen: list[Row | BadRow] = []
    async for row in rows:
        seen.append(row)
        if isinstance(row, Row):
            template.check(reader.columns or row.data, row.data)
            return seen
    if reader.columns is not None:
        template.check(reader.columns)
    if not seen:
        raise UsageProblem("the input has no rows.", "Nothing was sent.")
    return seen


async def _requests(job: _Job, first: list[Row | BadRow], rows: AsyncIterator[Row | BadRow]) -> AsyncIterator[Request]:
    """Give the requests of the good rows, and put the bad ones into the output."""
    for row in first:
        if (request := _sorted_out(job, row)) is not None:
            yield request
    async for row in rows:
        if (request := _sorted_out(job, row)) is not None:
            yield request


def _sorted_out(job: _Job, row: Row | BadRow) -> Request | None:
    made = job.request(row) if isinstance(row, Row) else row
    if isinstance(made, BadRow):
        job.add_bad(made)
        return None
    return made


def _size(file: IO[bytes]) -> int | None:
    """Return the size of a file in bytes; None for a pipe."""
    return os.fstat(file.fileno()).st_size or None
