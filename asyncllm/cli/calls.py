"""`asyncllm calls`: the log of calls, listed, searched, added up."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import ModelOption
from .settings import Settings, command
from .terminal.exit_codes import DONE, SOME_FAILED, UsageProblem
from .terminal.output import grid, note, show, write, write_json

if TYPE_CHECKING:
    from ..call_log.database import CallDatabase, Selection, Total
    from ..call_log.entry import LoggedCall
    from ..call_log.folder import CallFolder

_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
# Calls in a table: at the terminal, and on a page.
_LISTED, _ON_A_PAGE = 20, 500
_STATUSES = ("answered", "failed", "interrupted", "cancelled")


@command
def run(
    settings: Settings,
    file: Annotated[
        str | None,
        typer.Argument(metavar="FILE", help="The log, instead of the profile's call_log.", show_default=False),
    ] = None,
    show_id: Annotated[int | None, typer.Option("--show", metavar="ID", help="Show one call, whole.")] = None,
    search: Annotated[
        str | None, typer.Option(metavar="WORDS", help="Calls with these words in the prompt or the answer.")
    ] = None,
    model: ModelOption = None,
    status: Annotated[
        str | None, typer.Option(metavar="STATUS", help="answered, failed, interrupted or cancelled.")
    ] = None,
    tenant: Annotated[str | None, typer.Option(metavar="NAME", help="Calls of this tenant.")] = None,
    since: Annotated[str | None, typer.Option(metavar="AGE", help="Not older than this: 30m, 12h, 7d.")] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", "-n", metavar="N", min=1, help="Calls to list; 20 without it, 500 on a page."),
    ] = None,
    total_by: Annotated[
        str | None, typer.Option("--sum", metavar="BY", help="Add up by day, model, profile or tenant.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    export: Annotated[Path | None, typer.Option(metavar="OUT.jsonl", help="Write all that match to a file.")] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="PAGE.html", help="Write sums and the newest calls to a page.")
    ] = None,
) -> int:
    """List the calls in the log, the newest first; search them, show one, add them up, export them, or make a page.

    A profile keeps a log with call_log = "calls.sqlite"; prompts and answers are in it with log_prompts = true.
    """
    from ..call_log.database import TOTALS, Selection

    if total_by not in (None, *TOTALS):
        raise UsageProblem(f"--sum {total_by}: calls are added up by day, model, profile or tenant.")
    if status not in (None, *_STATUSES):
        raise UsageProblem(f"there is no status {status!r}.", f"It is {', '.join(_STATUSES[:-1])} or {_STATUSES[-1]}.")
    since_at = None if since is None else time.time() - _seconds(since)
    chosen = Selection(search, model, settings.profile, tenant, status, since_at)
    with _log(settings, file) as log:
        if show_id is not None:
            return _show(log, show_id, as_json)
        if total_by is not None:
            _show_totals(log, chosen, total_by, as_json)
        elif export is not None:
            _export(log, chosen, export)
        elif html is not None:
            _write_page(log, chosen, limit or _ON_A_PAGE, html, _path(settings) if file is None else file)
        else:
            _list(log, chosen, limit or _LISTED, as_json)
    return DONE


@contextmanager
def _log(settings: Settings, file: str | None) -> Generator[CallDatabase | CallFolder]:
    from ..call_log.writer import open_log

    path = _path(settings) if file is None else file
    try:
        log = open_log(path)
        try:
            yield log
        finally:
            log.close()
    except FileNotFoundError as error:
        raise UsageProblem(f"{error}.", "It is made with the first call.") from None
    except sqlite3.OperationalError as error:
        raise UsageProblem(f"the log {path} cannot be asked: {error}.") from None
    except sqlite3.Error as error:
        raise UsageProblem(f"{path} is not a call log, or damaged: {error}.") from None


def _path(settings: Settings) -> str:
    from ..pipeline.shared_state import file_of

    config = settings.llm_config()
    if config.call_log is None:
        raise UsageProblem("the profile keeps no log of calls.", 'Set call_log = "calls.sqlite", or name the FILE.')
    return file_of(config, "call_log")


def _seconds(age: str) -> float:
    parsed = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", age)
    if parsed is None:
        raise UsageProblem(f"--since {age}: it is a number and a unit.", "For example 30m, 12h or 7d.")
    return float(parsed[1]) * _UNITS_S[parsed[2]]


def _show(log: CallDatabase | CallFolder, id: int, as_json: bool) -> int:
    from ..call_log.database import CallDatabase

    if not isinstance(log, CallDatabase):
        raise UsageProblem("--show needs a log in a SQLite file; this one is a folder of JSON Lines.")
    call = log.call(id)
    if call is None:
        note(f"there is no call {id}")
        return SOME_FAILED
    if as_json:
        write_json(call.to_dict())
        return DONE
    facts = {name: value for name, value in call.to_dict().items() if name not in ("messages", "answer", "at")}
    table = grid(True, False)
    table.add_row("at", f"{datetime.fromtimestamp(call.at):%Y-%m-%d %H:%M:%S}")
    for name, value in facts.items():
        table.add_row(name, f"{value:.6g}" if isinstance(value, float) else str(value))
    show(table)
    for message in (*(call.messages or ()), *([call.answer] if call.answer else [])):
        content = message.get("content")
        text = content if isinstance(content, str) else json.dumps(content if content is not None else message)
        write(f"\n[{message.get('role')}]\n{text}\n")
    return DONE


def _show_totals(log: CallDatabase | CallFolder, chosen: Selection, by: str, as_json: bool) -> None:
    from ..batch.formatting import dollars, duration

    totals: list[Total] = log.totals(chosen, by)
    if as_json:
        write_json([{slot: getattr(total, slot) for slot in total.__slots__} for total in totals])
        return
    table = grid(*[True] * 8)
    table.add_row(by, "calls", "failed", "cached", "tokens in / out", "cost", "saved", "mean")
    for total in totals:
        tokens = f"{total.input_tokens:,} / {total.output_tokens:,}"
        counts = (f"{count:,}" for count in (total.calls, total.failed, total.cached))
        money = (dollars(total.cost_usd), dollars(total.saved_usd))
        table.add_row(total.key or "-", *counts, tokens, *money, duration(total.elapsed_s))
    show(table)


def _write_page(log: CallDatabase | CallFolder, chosen: Selection, limit: int, target: Path, path: str) -> None:
    from .. import __version__
    from ..call_log.page import page
    from .terminal.replaced_file import replacing

    if target.is_dir():
        raise UsageProblem(f"{target} is a directory.", "Name a file.")
    html = page(log, chosen, limit, Path(path).name, __version__)
    with replacing(target) as file:
        file.write(html.encode())
    note(f"the page is in {target}")


def _export(log: CallDatabase | CallFolder, chosen: Selection, target: Path) -> None:
    from .terminal.replaced_file import replacing

    count = 0
    with replacing(target) as file:
        for call in log.calls(chosen):
            file.write(f"{json.dumps(call.to_dict())}\n".encode())
            count += 1
    note(f"{count:,} {'call is' if count == 1 else 'calls are'} in {target}")


def _list(log: CallDatabase | CallFolder, chosen: Selection, limit: int, as_json: bool) -> None:
    from ..batch.formatting import dollars, duration

    calls: list[LoggedCall] = list(log.calls(chosen, limit))
    if as_json:
        write_json([call.to_dict() for call in calls])
        return
    table = grid(True, True, True, True, True, True, True)
    for call in calls:
        took = duration(call.elapsed_s)
        cost = "" if call.cost_usd is None else dollars(call.cost_usd)
        ended = call.error or call.finish_reason or call.status
        id = "" if call.id is None else f"{call.id}"
        first = call.prompt_text.strip().splitlines()[:1]
        table.add_row(id, f"{datetime.fromtimestamp(call.at):%m-%d %H:%M:%S}", call.model, took, cost, ended, *first)
    show(table)
    if not calls:
        note("no calls")
