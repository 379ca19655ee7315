"""`asyncllm cache`: what a cache of answers holds, and its removal."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Annotated

import typer

from .settings import Settings, command
from .terminal.exit_codes import DONE, UsageProblem
from .terminal.output import note, write, write_json

_DAY_S = 86_400.0


_ACTIONS = ("stats", "prune", "clear")


@command
def run(
    settings: Settings,
    action: Annotated[
        str,
        typer.Argument(metavar="stats|prune|clear", help="Show figures, remove some, or all.", show_default=False),
    ],
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="The cache, instead of the profile's.", show_default=False),
    ] = None,
    older_than: Annotated[
        float | None,
        typer.Option(metavar="DAYS", min=0, help="prune: remove answers older than this, instead of the profile's."),
    ] = None,
    max_bytes: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="prune: remove those used least recently, until the others fit."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="stats: as JSON.")] = False,
) -> int:
    """Show what a cache of answers holds, or remove answers from it.

    It may be in use meanwhile. Prompts are not in it, only their fingerprints.
    """
    from ..cache.answer_store import prune

    if action not in _ACTIONS:
        raise UsageProblem(f"there is no action {action!r}.", "It is stats, prune or clear.")
    if action != "prune" and (older_than is not None or max_bytes is not None):
        raise UsageProblem("--older-than and --max-bytes belong to prune.")
    path, age_s, size = _cache(settings, file)
    try:
        if action == "stats":
            _show(path, as_json)
            return DONE
        if action == "clear":
            removed = prune(path, max_bytes=0)
        else:
            age_s = age_s if older_than is None else older_than * _DAY_S
            removed = prune(path, older_than_s=age_s, max_bytes=size if max_bytes is None else max_bytes)
    except OSError as error:
        raise UsageProblem(f"{error}.") from None
    except sqlite3.Error as error:
        raise UsageProblem(f"{path} is not a cache, or damaged: {error}.", "Remove the file.") from None
    note(f"{removed:,} {'answer was' if removed == 1 else 'answers were'} removed from {path}")
    return DONE


def _cache(settings: Settings, file: Path | None) -> tuple[Path, float | None, int | None]:
    """Return the file, and the age in seconds and size in bytes that the profile allows."""
    if file is not None:
        return file, None, None
    from ..pipeline.shared_state import file_of

    config = settings.llm_config()
    if config.cache is None:
        raise UsageProblem("the profile sets no cache.", "Name its FILE.")
    return Path(file_of(config, "cache")), config.cache_ttl, config.cache_max_bytes


def _show(path: Path, as_json: bool) -> None:
    from ..batch.formatting import dollars, duration
    from ..cache.answer_store import figures

    found = figures(path)
    if as_json:
        write_json(
            {
                "answers": found.answers,
                "size_bytes": found.size_bytes,
                "cost_usd": found.cost_usd,
                "oldest_at": found.oldest_at,
                "models": found.models,
            }
        )
        return
    lines = [f"{found.answers:,} answers, {found.size_bytes / 1e6:,.1f} MB, asked for {dollars(found.cost_usd)}"]
    if found.oldest_at is not None:
        lines.append(f"oldest {duration(max(0.0, time.time() - found.oldest_at))} ago")
    lines += [f"{count:>9,}  {model}" for model, count in found.models.items()]
    write("".join(f"{line}\n" for line in lines))
