"""`asyncllm batch`: a prompt over every row of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from asyncllm.batch.files import LINE_FIELD, Source
from asyncllm.batch.prompts import Prompt
from asyncllm.batch.templates import Template

from ..exits import DONE, UsageProblem
from ..inputs import text_or_file
from ..output import note
from ..response_types import dumper, response_type, schema_of
from ..settings import Settings, command
from .job import Job, Target, a_format
from .plan import Plan, confirm, show_plan, survey
from .running import run_job


@command
def run(
    settings: Settings,
    source: Annotated[
        str, typer.Argument(metavar="IN", help="JSONL, CSV, lines or Parquet, also .gz and .zst; - reads stdin.")
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="OUT", help="JSONL, CSV or Parquet by its name; - writes stdout.")
    ],
    template: Annotated[
        str | None,
        typer.Option(
            "--template",
            "-t",
            metavar="TEXT",
            help='The prompt, for example "Summarise: {text}", or @FILE; {{ is a brace.',
        ),
    ] = None,
    system: Annotated[
        str | None, typer.Option("--system", "-s", metavar="TEXT", help="Instructions that come first, or @FILE.")
    ] = None,
    image: Annotated[
        str | None, typer.Option("--image", metavar="FIELD", help="The field with the path of a picture.")
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
        str | None, typer.Option(metavar="FORMAT", help="jsonl, csv, lines or parquet, when IN does not say it.")
    ] = None,
    output_format: Annotated[
        str | None, typer.Option(metavar="FORMAT", help="jsonl, csv or parquet, when OUT does not say it.")
    ] = None,
    id_field: Annotated[str, typer.Option(metavar="FIELD", help="The field with the id of a row.")] = "id",
    raw_csv: Annotated[
        bool, typer.Option("--raw-csv", help="Write cells as they are, also those a spreadsheet would calculate.")
    ] = False,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="Send the first N rows only.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Send nothing if there is a bad row.")] = False,
    journal: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The journal of the run, instead of OUT.journal.")
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Send what failed again, and no rows that were not reached.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin anew, and set the journal of earlier runs aside.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an OUT that no journal belongs to.")
    ] = False,
    budget: Annotated[
        float | None, typer.Option(metavar="USD", help="Most that all runs of the journal may spend.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count rows, tokens, money and time; send nothing.")
    ] = False,
    confirm_above: Annotated[
        float | None, typer.Option(metavar="USD", help="Ask first when it may cost more than this.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Go on without being asked.")] = False,
) -> int:
    """Run a prompt over every row of a file.

    Each row of IN fills the {fields} of the template; rows as OpenAI's batch files have them need none. OUT has a result
    for each, in the order of IN, written when the run ends. Every answer is in OUT.journal the moment it comes: the same
    command again continues where it was stopped or killed, and sends what failed once more. Rows that cannot be used go
    to OUT.rejected.

    asyncllm batch emails.jsonl -o out.csv --template "Summarise in one line: {text}"
    """
    if budget is not None and budget <= 0:
        raise UsageProblem(f"--budget is more than 0 US dollars, not {budget:g}.", "With none, nothing could be sent.")
    if strict and source == "-":
        raise UsageProblem("--strict reads the whole input first, and stdin can be read only once.", "Give a file.")
    rows = Source(source, a_format(input_format, "--input-format"))
    target = Target.of(output, output_format, journal, escaped=not raw_csv)
    config = settings.llm_config(model=model, max_concurrency=max_concurrency, max_output_tokens=max_tokens)
    job = Job(
        rows,
        target,
        config,
        _prompt(template, system, image, id_field, rows),
        params=settings.call_parameters(),
        limit=limit,
        budget_usd=budget,
        model_given=model,
    )
    if schema:
        job.response_model = response_type(schema)
        job.dump = dumper(job.response_model, schema)
        job.schema = schema_of(job.response_model)
    target.check(rows, overwrite=overwrite or fresh or dry_run)
    rows.check()
    return _planned(job, dry_run, confirm_above, strict, yes) or run_job(job, fresh=fresh, retry_failed=retry_failed)
