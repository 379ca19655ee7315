"""The arguments of `asyncllm batch`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from ..options import CacheOption, MaxTokensOption, ModelOption


@dataclass(frozen=True, slots=True)
class BatchArguments:
    """The arguments and options of the command, as typer reads them."""

    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="IN",
            help="JSONL, JSON, CSV, lines, Parquet, .xlsx; .gz and .zst; 'data/*.csv'; - reads stdin.",
        ),
    ]
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="OUT", help="JSONL, CSV or Parquet by its name; - writes stdout.")
    ]
    template: Annotated[
        str | None,
        typer.Option(
            "--template",
            "-t",
            metavar="TEXT",
            help='The prompt, for example "Summarise: {text}", or @FILE; {{ is a brace.',
        ),
    ] = None
    system: Annotated[
        str | None, typer.Option("--system", "-s", metavar="TEXT", help="Instructions that come first, or @FILE.")
    ] = None
    image: Annotated[
        str | None, typer.Option("--image", metavar="FIELD", help="The field with the path of a picture.")
    ] = None
    model: ModelOption = None
    schema: Annotated[
        str | None, typer.Option(metavar="TYPE", help="Typed answers: MODULE:MODEL, or a file with a JSON Schema.")
    ] = None
    max_concurrency: Annotated[int | None, typer.Option(metavar="N", min=1, help="Requests in flight.")] = None
    max_tokens: MaxTokensOption = None
    cache: CacheOption = None
    input_format: Annotated[
        str | None,
        typer.Option(metavar="FORMAT", help="jsonl, json, csv, lines, parquet or xlsx, when IN does not say it."),
    ] = None
    encoding: Annotated[
        str | None, typer.Option(metavar="NAME", help="Encoding of IN where it is not UTF-8, such as cp1252.")
    ] = None
    sheet: Annotated[
        str | None, typer.Option(metavar="NAME", help="Sheet of a spreadsheet, or its number; without it, the first.")
    ] = None
    output_format: Annotated[
        str | None, typer.Option(metavar="FORMAT", help="jsonl, csv or parquet, when OUT does not say it.")
    ] = None
    columns: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Columns of IN that OUT keeps, such as id,text; without it, all."),
    ] = None
    id_field: Annotated[str, typer.Option(metavar="FIELD", help="The field with the id of a row.")] = "id"
    raw_csv: Annotated[
        bool, typer.Option("--raw-csv", help="Write cells as they are, also those a spreadsheet would calculate.")
    ] = False
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="Send the first N rows only.")] = None
    sample: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Send N rows at random, the same ones each time.")
    ] = None
    strict: Annotated[
        bool, typer.Option("--strict", help="Send nothing if there is a bad row, or a NaN that JSON does not have.")
    ] = False
    journal: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The journal of the run, instead of OUT.journal.")
    ] = None
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Send what failed again, and no rows that were not reached.")
    ] = False
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew, and set the journal of earlier runs aside.")] = (
        False
    )
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an OUT of more rows, or of no journal.")] = (
        False
    )
    budget: Annotated[
        float | None, typer.Option(metavar="USD", help="Most that all runs of the journal may spend.")
    ] = None
    stop_after_errors: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="End the run when N rows have failed.")
    ] = None
    deduplicate: Annotated[
        bool, typer.Option("--deduplicate", help="Send identical requests once, for all rows that make them.")
    ] = False
    deferred: Annotated[
        bool, typer.Option("--deferred", help="By the provider's batch API: half the price, within a day.")
    ] = False
    mixed: Annotated[
        bool, typer.Option("--mixed", help="With --deferred: send live what the limits leave free, and defer the rest.")
    ] = False
    reask: Annotated[
        str | None,
        typer.Option(metavar="HOW", help="With --deferred: ask again for bad typed answers live, or deferred."),
    ] = None
    adopt: Annotated[
        bool, typer.Option("--adopt", help="IN is the id of a deferred batch that something else created.")
    ] = False
    no_wait: Annotated[bool, typer.Option("--no-wait", help="With --deferred: end when everything is sent.")] = False
    poll: Annotated[
        str | None, typer.Option(metavar="TIME", help="With --deferred: ask every so often, such as 60s.")
    ] = None
    cancel: Annotated[bool, typer.Option("--cancel", help="With --deferred: cancel it at the provider.")] = False
    workers: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Worker processes, by Ray; OUT is a folder then.")
    ] = None
    ray: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="With --workers: a Ray cluster, instead of this machine.")
    ] = None
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count rows, tokens, money and time; send nothing.")] = (
        False
    )
    confirm_above: Annotated[
        float | None, typer.Option(metavar="USD", help="Ask first when it may cost more than this.")
    ] = None
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Go on without being asked.")] = False
