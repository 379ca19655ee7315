"""The files beside a journal: its lock, its log, and what is left by a process that was killed."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from asyncllm import AsyncLLM, Journal, JournalError, Request
from asyncllm.batch.journal.fingerprint import Fingerprinter
from asyncllm.batch.journal.journal_file import beside, open_to_write
from asyncllm.batch.journal.lock import JournalLock, is_locked
from asyncllm.batch.journal.store import JournalStore

from .journals import MODEL, open_store, outcome, row_of, write_run

REQUESTS = [Request(f"{n}") for n in range(60)]


def opened_with_a_log(path: Path) -> JournalStore:
    """Return a journal that is being written, whose answers are in its log alone."""
    identify, store = Fingerprinter(MODEL, {}, {}), open_store(path)
    store.begin(identify.base.parts, {}, 100.0)
    fingerprints = [identify(request) for request in REQUESTS]
    store.transaction()
    for item, fingerprint in zip(store.register(list(enumerate(fingerprints))), fingerprints, strict=True):
        ended = outcome(f"answer {item.number}")
        store.record(row_of(item, fingerprint, ended), fingerprint.settings, was_sent=True)
    store.commit()
    return store


def test_answers_that_are_in_the_log_alone_are_recovered(path: Path, tmp_path: Path) -> None:
    """The log of a process that was killed is read too, where the database itself is damaged."""
    store, killed = opened_with_a_log(path), tmp_path / "killed.journal"
    for suffix in ("", "-wal"):
        shutil.copyfile(beside(path, suffix), beside(killed, suffix))
    store.close()
    assert b"answer 60" not in killed.read_bytes()
    killed.write_bytes(bytes(4096) + killed.read_bytes()[4096:])
    assert Journal.recover(killed).answers == len(REQUESTS)
    assert [entry.text for entry in Journal.read(killed).outcomes()] == [f"answer {n}" for n in range(1, 61)]


def test_the_log_is_read_where_the_directory_cannot_be_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in the log counts for a reader who may not write, as long as there is one."""
    store = opened_with_a_log(path)
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert len(list(Journal.read(path).outcomes())) == len(REQUESTS)
    store.close()


def test_what_a_killed_process_left_is_replaced(path: Path) -> None:
    """Half a new journal, and the copies of a recovery, are in the way of none, and do not stay."""
    left = [beside(path, suffix) for suffix in ("-new", "-pages", "-recovered")]
    for each in left:
        each.write_bytes(b"half of it")
    write_run(path, [Request("a")], [outcome("1")])
    assert Journal.recover(path).answers == 1
    assert not [each for each in left if each.exists()]
    assert [entry.text for entry in Journal.read(path).outcomes()] == ["1"]


def test_a_file_system_without_shared_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network share cannot hold a journal, and the remedy is named."""
    in_memory = sqlite3.connect(":memory:", isolation_level=None)
    with closing(in_memory), monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", lambda *_, **__: in_memory)
        with pytest.raises(JournalError) as caught:
            open_to_write(path, "normal")
    assert str(caught.value) == (
        f"the journal {path} is on a file system that cannot share memory. Put it onto a local disk."
    )


def test_a_file_system_without_locks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A share that cannot lock is no place for a journal either."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(JournalError) as caught:
        JournalLock(path)
    assert str(caught.value) == f"the journal {path} cannot be locked: No locks available. Put it onto a local disk."


def test_the_lock_is_a_file_beside_the_journal(path: Path) -> None:
    """It has the same name in every version; that it was removed meanwhile is no error."""
    lock = JournalLock(path)
    assert [each.name for each in path.parent.iterdir()] == ["batch.journal-lock"]
    beside(path, "-lock").unlink()
    lock.release()
    assert not list(path.parent.iterdir())


def test_a_lock_that_its_holder_has_just_removed_is_taken_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is no longer in the directory keeps no process out, so that another one is locked."""
    flock, removed = fcntl.flock, threading.Event()

    def locked_late(file: Any, operation: int) -> None:
        flock(file, operation)
        if not removed.is_set():
            removed.set()
            beside(path, "-lock").unlink()

    monkeypatch.setattr(fcntl, "flock", locked_late)
    lock = JournalLock(path)
    assert is_locked(path)
    lock.release()


@pytest.mark.anyio
async def test_the_thread_of_a_journal_has_a_name(llm: AsyncLLM, path: Path) -> None:
    """A list of threads shows what it is for, and that it is gone with the batch."""
    async with llm.map(["a"], journal=path) as outcomes:
        assert [each.ok async for each in outcomes] == [True]
        during = {thread.name for thread in threading.enumerate()}
    assert "asyncllm-journal" in during
    assert "asyncllm-journal" not in {thread.name for thread in threading.enumerate()}
