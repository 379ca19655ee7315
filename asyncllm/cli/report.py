"""`asyncllm report`: the report of a batch."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from .settings import Settings, command_without_profile
from .terminal.exit_codes import DONE, UsageProblem
from .terminal.output import note, write, write_json
from .terminal.replaced_file import replacing

_PIPE_COLUMNS = 80
_WIDEST = 120  # a wider histogram shows no more


@command_without_profile
def run(
    settings: Settings,
    journal: Annotated[
        Path, typer.Argument(metavar="JOURNAL", help="The journal of a run, OUT.journal; or OUT.", show_default=False)
    ],
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="PAGE", help="The page, instead of JOURNAL.html; - writes stdout."),
    ] = None,
    as_text: Annotated[bool, typer.Option("--text", help="Write the report to stdout, as text.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write the figures to stdout, as JSON.")] = False,
) -> int:
    """Show how a batch went: rate, latency, limits, errors, tokens and cost, over all its runs.

    Writes one HTML page that needs no network and holds no prompts and no answers. It may be made while the batch runs.
    """
    from .. import __version__
    from ..batch.journal.journal import Journal
    from ..batch.report import figures
    from .batch.job_record import tidy

    if as_text and as_json:
        raise UsageProblem("--text and --json are two forms of one thing.", "Give one of them.")
    path = _journal(journal)
    found = figures(Journal.read(path))
    if not found.running:
        tidy(path)
    name = path.name.removesuffix(".journal")
    if as_json:
        write_json(found.to_dict())
    elif as_text:
        from ..batch.report.text import text

        width = shutil.get_terminal_size((_PIPE_COLUMNS, 24)).columns if sys.stdout.isatty() else _PIPE_COLUMNS
        write(text(found, name, min(width, _WIDEST)))
    else:
        from ..batch.report.page import page

        _write_page(page(found, name, __version__), path, output)
    return DONE


def _journal(given: Path) -> Path:
    """Return the journal: the path itself, or the journal beside the results that were named."""
    beside = given.with_name(f"{given.name}.journal")
    return beside if given.suffix != ".journal" and beside.is_file() else given


def _write_page(html: str, journal: Path, output: str | None) -> None:
    if output == "-":
        write(html)
        return
    target = Path(output) if output is not None else journal.with_name(f"{journal.name}.html")
    if target.is_dir():
        raise UsageProblem(f"{target} is a directory.", "Name a file.")
    with replacing(target) as file:
        file.write(html.encode())
    note(f"the report is in {target}")
