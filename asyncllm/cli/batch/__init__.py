"""`asyncllm batch`: a prompt over every row of a file."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from asyncllm.batch.files import LINE_FIELD, FileInput, FileInputs, matching_files, position_of
from asyncllm.batch.prompt_template import Template
from asyncllm.batch.prompts import Prompt

from ..settings import Settings, command
from ..terminal.exit_codes import DONE, INTERRUPTED, UsageProblem
from ..terminal.inputs import text_or_file
from ..terminal.output import note
from ..terminal.response_types import answer_schema, response_type
from .arguments import BatchArguments
from .deferral import Deferral, add_deferred_price, cancel
from .job import Job, OutputTarget, format_named

if TYPE_CHECKING:
    from .plan import Plan


@command
def run(settings: Settings, given: BatchArguments) -> int:
    """Run a prompt over every row of a file.

    Each row of IN fills the {fields} of the template; rows as OpenAI's batch files have them need none. OUT has a
    result for each, in the order of IN, written when the run ends. Every answer is in OUT.journal the moment it comes:
    the same command again continues where it was stopped or killed, and sends what failed once more. Rows that cannot
    be used go to OUT.rejected.

    asyncllm batch emails.jsonl -o out.csv --template "Summarise in one line: {text}"

    asyncllm batch 'data/*.parquet' -o out.parquet -t "Translate: {text}" --sample 20

    asyncllm batch emails.jsonl -o out.csv -t "Summarise: {text}" --deferred

    asyncllm batch batch_abc123 -o out.jsonl --adopt

    asyncllm batch 'data/*.parquet' -o out/ -t "Translate: {text}" --workers 8
    """
    # These import what writes journals, which takes longer than reading a help.
    from .adoption import adopt, check_adoption
    from .over_workers import check_arguments, run_over_workers
    from .plan import confirm, show_plan
    from .running import run_job

    check_arguments(given)
    deferral = Deferral.of(given)
    if given.adopt:
        check_adoption(given)
    job = _job(settings, given)
    if given.cancel:
        return cancel(job)
    if given.workers is None:
        # What is sent again has the rows of the file that is there.
        replaces = given.overwrite or given.fresh or (given.retry_failed and given.limit is None)
        job.target.check(job.source, job.limit, replaces=replaces)
    if given.adopt:
        assert deferral is not None, "an adopted batch is a deferred one"
        return adopt(job, deferral, settings.arguments)
    job.source.check()
    if given.dry_run or given.strict or given.confirm_above is not None:
        plan = _planned(job, None if given.dry_run else "--strict" if given.strict else "--confirm-above")
        if given.strict:
            _refuse_bad_rows(plan)
        if deferral is not None:
            add_deferred_price(plan, job)
        if given.dry_run:
            show_plan(plan, job)
            return DONE
        if given.confirm_above is not None and not confirm(plan, given.confirm_above, yes=given.yes):
            note("nothing was sent")
            return INTERRUPTED
    if given.workers is not None:
        return run_over_workers(settings, given, job)
    return run_job(job, settings.arguments, fresh=given.fresh, retry_failed=given.retry_failed, deferral=deferral)


def _job(settings: Settings, given: BatchArguments) -> Job:
    if given.budget is not None and given.budget <= 0:
        problem = f"--budget is more than 0 US dollars, not {given.budget:g}."
        raise UsageProblem(problem, "With none, nothing could be sent.")
    columns = None if given.columns is None else tuple(name.strip() for name in next(csv.reader([given.columns]), ()))
    if given.workers is not None:
        from .over_workers import folder_target

        source = _source(given, Path(given.output))
        target = folder_target(given, source, columns)
    else:
        target = OutputTarget.of(given.output, given.output_format, given.journal, not given.raw_csv, columns)
        source = _source(given, target.path)
    prompt = _prompt(given, source)
    own, params = settings.apart_from_parameters()
    config = own.llm_config(
        model=given.model,
        max_concurrency=given.max_concurrency,
        max_output_tokens=given.max_tokens,
        cache=given.cache,
    )
    response_model = response_type(given.schema) if given.schema else None
    return Job(
        source,
        target,
        config,
        prompt,
        params,
        response_model=response_model,
        answers=answer_schema(response_model, given.schema) if given.schema else None,
        limit=given.limit,
        budget_usd=given.budget,
        stop_after_errors=given.stop_after_errors,
        deduplicate=given.deduplicate,
        model_given=given.model,
    )


def _source(given: BatchArguments, output: Path | None) -> FileInputs:
    format = "jsonl" if given.adopt else format_named(given.input_format, "--input-format")
    names = given.sources if given.adopt else matching_files(given.sources, leave_out=output)
    files = [FileInput(name, format, encoding=given.encoding, sheet=given.sheet, strict=given.strict) for name in names]
    return FileInputs(files, given.sample)


def _prompt(given: BatchArguments, source: FileInputs) -> Prompt | None:
    """Return the prompt; None where rows may be requests already."""
    template = given.template
    if template is None and source.format == "lines":
        template = f"{{{LINE_FIELD}}}"
    system = text_or_file(given.system, "--system") if given.system else None
    if template is None:
        if system is not None or given.image is not None:
            raise UsageProblem("there is no template.", 'Give one, for example --template "Summarise: {text}".')
        return None
    directory = source.paths[0].parent if source.paths else None
    return Prompt(Template(text_or_file(template, "--template")), system, given.image, given.id_field, directory)


def _planned(job: Job, reads_again_for: str | None) -> Plan:
    """Return the plan of a job; raise if an option reads an input that can be read only once."""
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
        note(f"{position_of(row)}: {row.problem}")
    rows = "a row" if plan.bad == 1 else f"{plan.bad:,} rows"
    raise UsageProblem(f"{rows} cannot be used.", "Nothing was sent. Fix the input, or leave out --strict.")
