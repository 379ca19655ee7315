"""What the command notes in a journal beside the answers: which job it is of, and what its input looked like."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from asyncllm.batch.journal.journal import Journal
from asyncllm.batch.journal.journal_file import beside, failures, is_held, open_to_write
from asyncllm.batch.prompts import Prompt
from asyncllm.errors import JournalError

from ..terminal.exit_codes import UsageProblem
from .job import Job

_TABLE = "CREATE TABLE IF NOT EXISTS command (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"
# The files that belong to a journal in use.
_BESIDE = ("", "-wal", "-shm", "-sent")


@dataclass(frozen=True, slots=True)
class Noted:
    """What a run noted.

    Attributes:
        source: The input.
        prompt: The hash of template and instructions; a journal keeps no prompts unless it is asked to.
        size_bytes: The size of the input; None where it is no file.
        changed_ns: When it was last changed, as the file system has it.
    """

    source: str
    prompt: str
    size_bytes: int | None = None
    changed_ns: int | None = None

    @classmethod
    def of(cls, job: Job) -> Noted:
        """Return what there is to note of a job."""
        ask = job.ask
        texts = [ask.template.text, ask.system] if isinstance(ask, Prompt) else []
        prompt = hashlib.blake2b(json.dumps(texts).encode("utf-8"), digest_size=16).hexdigest()
        if not job.source.reads_again or job.source.path is None:
            return cls(job.source.name, prompt)
        state = job.source.path.stat()
        return cls(str(job.source.path.resolve()), prompt, state.st_size, state.st_mtime_ns)


def set_aside(path: Path) -> Path | None:
    """Move a journal out of the way, and return where it is; None when there is none.

    Raises:
        UsageProblem: A run is writing it.
    """
    if not path.exists():
        return None
    if is_held(path):
        raise UsageProblem(f"the journal {path} is in use by another run.", "Wait for its end.")
    old = beside(path, ".old")
    for suffix in _BESIDE:
        if beside(path, suffix).exists():
            beside(path, suffix).replace(beside(old, suffix))
        else:
            beside(old, suffix).unlink(missing_ok=True)
    return old


def claim(path: Path, now: Noted) -> bool:
    """Note a job in its journal, which is made if need be.

    Returns:
        Whether the input is what it was in the last run.

    Raises:
        UsageProblem: The journal is of another job.
        JournalError: It cannot be used.
    """
    before = _noted(path) if path.exists() else None
    if before is not None and before.source != now.source and before.prompt != now.prompt:
        raise UsageProblem(
            f"{path} is the journal of another job: {before.source} with another prompt.",
            "Nothing was sent. Name another OUT or --journal, or give --fresh to begin anew.",
        )
    # One that was recovered from a damaged file has its answers and no note.
    recovered = beside(path, ".damaged-1").exists()
    if before is None and not recovered and path.exists() and Journal.read(path).summary().items:
        raise UsageProblem(
            f"{path} is the journal of another job, which was not run by this command.",
            "Nothing was sent. Name another OUT or --journal, or give --fresh to begin anew.",
        )
    with _opened(path) as connection:
        connection.execute("INSERT OR REPLACE INTO command VALUES ('job', ?)", (json.dumps(asdict(now)),))
    return before == now


def tidy(path: Path) -> None:
    """Leave one file behind: a reader cannot remove what SQLite keeps beside a journal in use, a writer does."""
    with suppress(JournalError), closing(open_to_write(path, "normal")):
        pass


def _noted(path: Path) -> Noted | None:
    Journal.read(path)  # says what is wrong with a file that is none
    with _opened(path) as connection:
        row = connection.execute("SELECT value FROM command WHERE name = 'job'").fetchone()
    return None if row is None else Noted(**json.loads(row[0]))


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_to_write(path, "normal")) as connection, failures(path):
        connection.execute(_TABLE)
        yield connection
