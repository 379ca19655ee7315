"""The record of a job in its journal: its input and its prompt."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from textwrap import shorten

from asyncllm.batch.journal.journal import Journal
from asyncllm.batch.journal.journal_file import beside, failures, open_to_read, open_to_write
from asyncllm.batch.journal.lock import is_locked
from asyncllm.batch.prompts import Prompt
from asyncllm.errors import JournalError

from ..terminal.exit_codes import UsageProblem
from .job import Job

_TABLE = "CREATE TABLE IF NOT EXISTS command (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"
_SHOWN_CHARACTERS = 200  # of the files of another job
# The files that belong to a journal in use.
_BESIDE = ("", "-wal", "-shm", "-sent")


@dataclass(frozen=True, slots=True)
class JobRecord:
    """The job of a run.

    Attributes:
        prompt: The hash of template and instructions.
        size_bytes: The size of the input, of several files their sum; None where it is no file.
        changed_ns: The time of its last change, as the file system has it; of several files the sum, which differs
            when any of them has changed.
        sample: The size of a random sample of it; None for the whole.
        is_mixed: Whether its journal may have answers of several prompts; no part of its identity.
        is_changed: Whether an earlier run of its journal had another input or prompt; no part of its identity.
    """

    source: str
    prompt: str
    size_bytes: int | None = None
    changed_ns: int | None = None
    sample: int | None = None
    is_mixed: bool = field(default=False, compare=False)
    is_changed: bool = field(default=False, compare=False)

    @classmethod
    def of(cls, job: Job) -> JobRecord:
        """Return the record of a job."""
        prompt = job.requests
        texts = [prompt.template.text, prompt.system] if isinstance(prompt, Prompt) else []
        digest = hashlib.blake2b(json.dumps(texts).encode("utf-8"), digest_size=16).hexdigest()
        source = job.source
        if not source.reads_again:
            return cls(source.name, digest)
        states = [path.stat() for path in source.paths]
        size_bytes, changed_ns = sum(state.st_size for state in states), sum(state.st_mtime_ns for state in states)
        return cls(
            ", ".join(str(path.resolve()) for path in source.paths), digest, size_bytes, changed_ns, source.sample
        )


def set_aside(path: Path) -> Path | None:
    """Rename a journal that no run is writing, and return its new path; None when there is none."""
    if not path.exists():
        return None
    if is_locked(path):
        raise UsageProblem(f"the journal {path} is in use by another run.", "Wait for its end.")
    old = beside(path, ".old")
    for suffix in _BESIDE:
        if beside(path, suffix).exists():
            beside(path, suffix).replace(beside(old, suffix))
        else:
            beside(old, suffix).unlink(missing_ok=True)
    return old


def claim(path: Path, now: JobRecord) -> JobRecord | None:
    """Record a job in its journal, which is created if there is none.

    Returns:
        The job of the last run; None where there was none.

    Raises:
        UsageProblem: The journal is of another job.
        JournalError: It cannot be used.
    """
    before = recorded(path) if path.exists() else None
    other = None
    if before is not None and before.source != now.source and before.prompt != now.prompt:
        other = f": {shorten(before.source, _SHOWN_CHARACTERS, placeholder='...')} with another prompt"
    # A journal that was recovered from a damaged file has answers and no record.
    elif before is None and path.exists() and not beside(path, ".damaged-1").exists():
        other = ", which was not run by this command" if Journal.read(path).summary().items else None
    if other is not None:
        raise UsageProblem(
            f"{path} is the journal of another job{other}.",
            "Nothing was sent. Name another OUT or --journal, or give --fresh to begin anew.",
        )
    if before is not None:
        is_mixed = before.is_mixed or before.prompt != now.prompt
        now = replace(now, is_mixed=is_mixed, is_changed=before.is_changed or before != now)
    with _opened(path) as connection:
        connection.execute("INSERT OR REPLACE INTO command VALUES ('job', ?)", (json.dumps(asdict(now)),))
    return before


def tidy(path: Path) -> None:
    """Remove the files that SQLite keeps beside a journal in use; a reader cannot, a writer does when it closes."""
    with suppress(JournalError), closing(open_to_write(path, "normal")):
        pass


def recorded(path: Path) -> JobRecord | None:
    """Return the job of a journal; None where this command did not write it."""
    with closing(open_to_read(path)) as connection, failures(path):
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'command'").fetchone():
            return None
        row = connection.execute("SELECT value FROM command WHERE name = 'job'").fetchone()
    return None if row is None else JobRecord(**json.loads(row[0]))


@contextmanager
def _opened(path: Path) -> Generator[sqlite3.Connection]:
    with closing(open_to_write(path, "normal")) as connection, failures(path):
        connection.execute(_TABLE)
        yield connection
