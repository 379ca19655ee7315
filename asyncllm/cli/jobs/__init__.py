"""`asyncllm jobs`: the deferred batches of journals, and where they are."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..settings import Settings, command_without_profile
from ..terminal.exit_codes import DONE
from ..terminal.output import note, write, write_json

if TYPE_CHECKING:
    from asyncllm.batch.deferred.status import BatchStatus, JobStatus


@command_without_profile
def run(
    settings: Settings,
    journals: Annotated[
        list[Path] | None,
        typer.Argument(metavar="JOURNAL...", help="Journals; without any, those here.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write them to stdout as JSON.")] = False,
) -> int:
    """Show the deferred batches of journals, as the provider described them when it was last asked.

    The command that began a batch asks again, and continues it.
    """
    from asyncllm.batch.deferred.status import read_status
    from asyncllm.batch.journal.lock import is_locked

    from ..batch.job_record import tidy

    found = {path: read_status(path) for path in journals or sorted(Path().glob("*.journal"))}
    for path in found:
        if not is_locked(path):
            tidy(path)
    if not journals:
        found = {path: status for path, status in found.items() if status.batches}
    if as_json:
        write_json({str(path): _as_json(status) for path, status in found.items()})
        return DONE
    if not found:
        note("there is no journal with deferred batches here")
    for path, status in found.items():
        for line in _lines(path, status):
            write(f"{line}\n")
    return DONE


def _lines(path: Path, status: JobStatus) -> list[str]:
    waiting = f"{status.waiting:,} without an outcome" if status.waiting else "all have an outcome"
    requests = sum(batch.requests for batch in status.batches)
    return [f"{path}: {requests:,} requests, {waiting}", *(_line(batch) for batch in status.batches)]


def _line(batch: BatchStatus) -> str:
    from asyncllm.batch.formatting import duration

    now = time.time()
    parts = [f"  {batch.id or 'not created':24} {batch.state:8} {batch.answered:>9,} of {batch.requests:,} answered"]
    if batch.state == "sent" and batch.created_at:
        parts.append(f"sent {duration(max(now - batch.created_at, 0.0))} ago")
    if batch.state == "sent" and batch.expires_at > now:
        parts.append(f"its window ends in {duration(batch.expires_at - now)}")
    if batch.state == "ended":
        parts.append(batch.status)
    if batch.round > 1:
        parts.append(f"round {batch.round}")
    return ", ".join(parts)


def _as_json(status: JobStatus) -> dict[str, object]:
    from dataclasses import asdict

    return {"waiting": status.waiting, "batches": [asdict(batch) for batch in status.batches]}
