"""`asyncllm cache`: what a cache of answers holds, and its removal."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .settings import Settings, command
from .terminal.exit_codes import DONE, UsageProblem
from .terminal.output import note, write, write_json

if TYPE_CHECKING:
    from ..cache.stored_answer import CacheFigures

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
        str | None,
        typer.Argument(metavar="FILE|URL", help="The cache, instead of the profile's.", show_default=False),
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
    if action not in _ACTIONS:
        raise UsageProblem(f"there is no action {action!r}.", "It is stats, prune or clear.")
    if action != "prune" and (older_than is not None or max_bytes is not None):
        raise UsageProblem("--older-than and --max-bytes belong to prune.")
    location, age_s, size = _cache(settings, file)
    age_s = age_s if older_than is None else older_than * _DAY_S
    size = size if max_bytes is None else max_bytes
    found = (
        _in_redis(location, action, age_s, max_bytes) if "://" in location else _in_file(location, action, age_s, size)
    )
    if isinstance(found, int):
        shown = _shown(location)
        note(f"{_counted(found)} {'was' if found == 1 else 'were'} removed from {shown}")
    else:
        _show(found, as_json)
    return DONE


def _cache(settings: Settings, location: str | None) -> tuple[str, float | None, int | None]:
    """Return the file or URL, and the age in seconds and size in bytes that the profile allows."""
    if location is not None:
        return location, None, None
    from ..pipeline.shared_state import file_of

    config = settings.llm_config()
    if config.cache is None:
        raise UsageProblem("the profile sets no cache.", "Name its FILE.")
    return file_of(config, "cache"), config.cache_ttl, config.cache_max_bytes


def _in_file(file: str, action: str, age_s: float | None, max_bytes: int | None) -> CacheFigures | int:
    """Return the figures of a cache, or the number of answers that were removed."""
    from ..cache.answer_store import figures, prune

    path = Path(file)
    try:
        if action == "stats":
            return figures(path)
        if action == "clear":
            return prune(path, max_bytes=0)
        return prune(path, older_than_s=age_s, max_bytes=max_bytes)
    except OSError as error:
        raise UsageProblem(f"{error}.") from None
    except sqlite3.Error as error:
        raise UsageProblem(f"{path} is not a cache, or damaged: {error}.", "Remove the file.") from None


def _in_redis(url: str, action: str, age_s: float | None, max_bytes: int | None) -> CacheFigures | int:
    """Return the figures of a cache, or the number of answers that were removed."""
    from ..cache.redis_figures import figures, prune

    if max_bytes is not None:
        raise UsageProblem("Redis bounds its size itself.", "Set its maxmemory and maxmemory-policy.")
    try:
        from ..config.redis_connection import check_coredis, check_redis_url

        check_coredis("a cache in Redis needs")
        check_redis_url(url)
        if action == "stats":
            return figures(url)
        if action == "prune" and age_s is None:
            raise UsageProblem("prune needs --older-than for a cache in Redis.", "clear removes all of it.")
        return prune(url, older_than_s=None if action == "clear" else age_s)
    except ValueError as error:
        raise UsageProblem(f"the URL of the cache {error}.") from None
    except Exception as error:
        from ..config.redis_connection import redis_problem

        problem = redis_problem(error)
        if problem is None:
            raise
        raise UsageProblem(f"{_shown(url)} {problem[0]}.", problem[1]) from None


def _counted(count: int) -> str:
    return f"{count:,} answer{'' if count == 1 else 's'}"


def _show(found: CacheFigures, as_json: bool) -> None:
    from ..batch.formatting import dollars, duration

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
    lines = [f"{_counted(found.answers)}, {found.size_bytes / 1e6:,.1f} MB, asked for {dollars(found.cost_usd)}"]
    if found.oldest_at is not None:
        lines.append(f"oldest {duration(max(0.0, time.time() - found.oldest_at))} ago")
    lines += [f"{count:>9,}  {model}" for model, count in found.models.items()]
    write("".join(f"{line}\n" for line in lines))


def _shown(location: str) -> str:
    if "://" not in location:
        return location
    from ..config.redis_connection import shown_url

    return shown_url(location)
