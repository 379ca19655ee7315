"""`asyncllm batch`: a prompt over every row of a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asyncllm.batch.files import LINE_FIELD, FileInput
from asyncllm.batch.prompt_template import Template
from asyncllm.batch.prompts import Prompt

from ..response_types import dumper, response_type, schema_of
from ..settings import Settings, command
from ..terminal.exit_codes import DONE, INTERRUPTED, UsageProblem
from ..terminal.inputs import text_or_file
from ..terminal.output import note
from .job import Job, OutputTarget, a_format

if TYPE_CHECKING:
    from .plan import Plan


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
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an OUT that no journal belongs to.")] = False,
    budget: Annotated[
        float | None, typer.Option(metavar="USD", help="Most that all runs of the journal may spend.")
    ] = None,
    stop_after_errors: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="End the run when N rows have failed.")
    ] = None,
    deduplicate: Annotated[
        bool, typer.Option("--deduplicate", help="Send identical requests once, for all rows that make them.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count rows, tokens, money and time; send nothing.")
    ] = False,
    confirm_above: Annotated[
        float | None, typer.Option(metavar="USD", help="Ask first when it may cost more than this.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Go on without being asked.")] = False,
) -> int:
    """Run a prompt over every row of a file.

    Each row of IN fills the {fields} of the template; rows as OpenAI's batch files have them need none. OUT has a
    result for each, in the order of IN, written when the run ends. Every answer is in OUT.journal the moment it comes:
    the same command again continues where it was stopped or killed, and sends what failed once more. Rows that cannot
    be used go to OUT.rejected.

    asyncllm batch emails.jsonl -o out.csv --template "Summarise in one line: {text}"
    """
    # What a journal is written with takes longer to import than a help takes to be read.
    from .plan import confirm, show_plan
    from .running import run_job

    if budget is not None and budget <= 0:
        raise UsageProblem(f"--budget is more than 0 US dollars, not {budget:g}.", "With none, nothing could be sent.")
    rows = FileInput(source, a_format(input_format, "--input-format"))
    target = OutputTarget.of(output, output_format, journal, escaped=not raw_csv)
    prompt = _prompt(template, system, image, id_field, rows)
    own, params = settings.apart_from_parameters()
    config = own.llm_config(model=model, max_concurrency=max_concurrency, max_output_tokens=max_tokens)
    job = Job(rows, target, config, prompt, params, limit=limit, budget_usd=budget, model_given=model)
    job.stop_after_errors, job.deduplicate = stop_after_errors, deduplicate
    if schema:
        job.response_model = response_type(schema)
        job.dump = dumper(job.response_model, schema)
        job.schema = schema_of(job.response_model)
    target.check(rows, replaces=overwrite or fresh)
    rows.check()
    if dry_run or strict or confirm_above is not None:
        plan = _planned(job, reads_again_for=None if dry_run else "--strict" if strict else "--confirm-above")
        if strict:
            _refuse_bad_rows(plan)
        if dry_run:
            show_plan(plan, job)
            return DONE
        if confirm_above is not None and not confirm(plan, confirm_above, yes=yes):
            note("nothing was sent")
            return INTERRUPTED
    return run_job(job, settings.arguments, fresh=fresh, retry_failed=retry_failed)


def _prompt(
    template: str | None, system: str | None, image: str | None, id_field: str, rows: FileInput
) -> Prompt | None:
    """Make the prompt; None where rows may be requests already."""
    if template is None and rows.format == "lines":
        template = f"{{{LINE_FIELD}}}"
    instructions = text_or_file(system, "--system") if system else None
    if template is None:
        if instructions is not None or image is not None:
            raise UsageProblem("there is no template.", 'Give one, for example --template "Summarise: {text}".')
        return None
    directory = rows.path.parent if rows.path is not None else None
    return Prompt(Template(text_or_file(template, "--template")), instructions, image, id_field, directory)


def _planned(job: Job, reads_again_for: str | None) -> Plan:
    if reads_again_for is not None and not job.source.reads_again:
        raise UsageProblem(
            f"{reads_again_for} reads the whole input before it is sent, and {job.source.name} can be read only once.",
            "Give a file.",
        )
    from .plan import survey

    return survey(job)


def _refuse_bad_rows(plan: Plan) -> None:
    if not plan.bad:
        return
    for row in plan.problems:
        note(f"line {row.line}: {row.problem}")
    rows = "a row" if plan.bad == 1 else f"{plan.bad:,} rows"
    raise UsageProblem(f"{rows} cannot be used.", "Nothing was sent. Mend the input, or leave out --strict.")
