"""Journals that cannot be written any more, or are damaged: the errors, and what is kept."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import anyio
import pytest

from asyncllm import AsyncLLM, Journal, JournalError, Request
from asyncllm.batch.journal import session
from asyncllm.batch.journal.in_flight import read_in_flight
from asyncllm.batch.journal.journal_file import Durability, failures, open_to_write
from asyncllm.batch.journal.lock import JournalLock
from asyncllm.simulator import Simulator

from .journals import outcome, write_run


def write_as_a_run(path: Path) -> None:
    """Write a journal as a run does, with its lock."""
    lock = JournalLock(path)
    try:
        write_run(path, [Request("b")], [outcome("2")])
    finally:
        lock.release()


def full_after(pages: int) -> Any:
    """Return what opens a journal on a disk that has so many pages left."""

    def opened(path: Path | None, durability: Durability) -> sqlite3.Connection:
        connection = open_to_write(path, durability)
        used = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {used + pages}")
        return connection

    return opened


@pytest.mark.anyio
async def test_a_full_disk_ends_the_batch(
    llm: AsyncLLM, simulator: Simulator, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was handed over is kept, what could not be written is not handed over, and the next run goes on."""
    requests = [Request(f"question {n}. " + "And some more. " * 50, id=f"{n}") for n in range(200)]
    monkeypatch.setattr(session, "open_to_write", full_after(20))
    given: list[str | None] = []

    async def run() -> None:
        async with llm.map(requests, journal=path, max_concurrency=5) as outcomes:
            async for each in outcomes:
                given.append(each.id)

    with pytest.raises(JournalError, match=r"is full\. Make room and start again"):
        await run()
    assert given
    assert set(given) == {entry.id for entry in Journal(path).outcomes()}
    assert Journal(path).summary().unknown <= 5
    monkeypatch.undo()
    sent = simulator.seen.requests
    outcomes = await llm.gather(requests, journal=path)
    assert all(each.ok for each in outcomes)
    assert simulator.seen.requests - sent == 200 - len(given)


@pytest.mark.anyio
async def test_a_disk_that_is_full_from_the_start(
    llm: AsyncLLM, simulator: Simulator, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent when it cannot be written down."""
    await llm.gather(["a"], journal=path)
    monkeypatch.setattr(session, "open_to_write", full_after(0))
    with pytest.raises(JournalError, match="is full"):
        await llm.gather([f"{n}" for n in range(100)], journal=path)
    assert simulator.seen.requests <= 1 + 100


@pytest.mark.anyio
async def test_a_directory_that_is_not_there(llm: AsyncLLM, simulator: Simulator, tmp_path: Path) -> None:
    """A journal in a directory that does not exist is an error that says so, before anything is sent."""
    with pytest.raises(JournalError, match="Check that its directory exists"):
        await llm.gather(["a"], journal=tmp_path / "nowhere" / "journal")
    assert simulator.seen.requests == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not write")
@pytest.mark.parametrize(("directory", "match"), [(0o777, "is read-only. Make it"), (0o755, "cannot be written: Perm")])
def test_a_journal_of_somebody_else(directory: int, match: str) -> None:
    """A file, or a directory, that may not be written is an error that says so, and changes nothing."""
    with tempfile.TemporaryDirectory() as shared:
        path = Path(shared) / "journal"
        write_run(path, [Request("a")], [outcome("1")])
        Path(shared).chmod(directory)
        before = path.read_bytes()
        os.seteuid(65534)
        try:
            with pytest.raises(JournalError, match=match):
                write_as_a_run(path)
        finally:
            os.seteuid(0)
        assert path.read_bytes() == before
        assert [entry.text for entry in Journal.read(path).outcomes()] == ["1"]


def test_a_read_only_database_says_so(path: Path) -> None:
    """SQLite's own word for it is translated."""
    write_run(path, [], [])
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    with pytest.raises(JournalError, match=r"is read-only\. Make it"), failures(path):
        connection.execute("DELETE FROM items")
    connection.close()


@pytest.mark.anyio
async def test_another_program_that_locks_the_database(
    llm: AsyncLLM, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that has the database open for writing, which is no run of ours, is in the way."""
    monkeypatch.setattr("asyncllm.batch.journal.journal_file.BUSY_TIMEOUT_S", 0.0)
    write_run(path, [], [])
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalError, match="in use by another program"):
        await llm.gather(["a"], journal=path)
    other.close()


def damage(path: Path, at: int, with_: bytes) -> None:
    data = bytearray(path.read_bytes())
    data[at : at + len(with_)] = with_
    path.write_bytes(data)


@pytest.mark.anyio
async def test_a_damaged_journal_is_recovered(llm: AsyncLLM, simulator: Simulator, path: Path) -> None:
    """It says what to do; that keeps what is whole, which is not sent again, and the damaged file."""
    requests = [Request(f"question {n}", id=f"{n}") for n in range(100)]
    await llm.gather(requests, journal=path)
    cost = Journal(path).summary().cost_usd
    damage(path, 4096 * (len(await anyio.Path(path).read_bytes()) // 4096 - 1), bytes(4096))
    with pytest.raises(JournalError, match=r"damaged: .*\. Call Journal\.recover\(path\)"):
        await llm.gather(requests, journal=path)
    assert simulator.seen.requests == 100
    recovered = Journal.recover(path)
    assert 80 < recovered.answers < 100
    assert recovered.damaged == path.with_name("batch.journal.damaged-1")
    assert recovered.damaged.exists()
    assert len(list(Journal(path).outcomes())) == recovered.answers
    assert Journal(path).summary().cost_usd == pytest.approx(cost)
    outcomes = await llm.gather(requests, journal=path)
    assert simulator.seen.requests == 100 + 100 - recovered.answers
    assert all(f'"question {each.index}"' in each.text for each in outcomes)


def test_an_answer_that_was_changed_is_not_handed_over(path: Path) -> None:
    """A bit that a disk got wrong within an answer is found by its checksum."""
    write_run(path, [Request("a"), Request("b")], [outcome("an answer"), outcome("the other answer")])
    damage(path, path.read_bytes().index(b"the other answer"), b"THE")
    with pytest.raises(JournalError, match="damaged: the answer of item 1 is not what was written"):
        list(Journal.read(path).outcomes())
    with pytest.raises(JournalError, match="an answer in it is not what was written"):
        write_run(path, [Request("b")], [None])
    assert Journal.recover(path).answers == 1
    assert [entry.text for entry in Journal.read(path).outcomes()] == ["an answer"]


@pytest.mark.parametrize("what", [b"", b"SQLite format 3\0" + bytes(84)])
def test_a_journal_whose_beginning_is_gone(path: Path, what: bytes) -> None:
    """Without its first page nothing can be looked up; the answers are found all the same, and what they cost."""
    write_run(path, [Request(f"{n}") for n in range(30)], [outcome(f"answer {n}") for n in range(30)])
    damage(path, 0, what.ljust(4096, b"\0"))
    with pytest.raises(JournalError, match="damaged"):
        Journal.read(path)
    assert Journal.recover(path).answers == 30
    assert [entry.text for entry in Journal.read(path).outcomes()] == [f"answer {n}" for n in range(30)]
    assert Journal.read(path).summary().cost_usd == pytest.approx(30 * 0.25)


def test_a_journal_whose_tree_is_torn_at_its_root(path: Path) -> None:
    """Without the page that leads to all answers none can be looked up by its number; all are found all the same."""
    write_run(path, [Request(f"{n}") for n in range(300)], [outcome(f"answer {n}") for n in range(300)])
    connection = sqlite3.connect(path)
    (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'answers'").fetchone()
    connection.close()
    damage(path, 4096 * (root - 1), bytes(4096))
    with pytest.raises(JournalError, match="damaged"):
        list(Journal.read(path).outcomes())
    assert Journal.recover(path).answers == 300
    assert [entry.text for entry in Journal.read(path).outcomes()] == [f"answer {n}" for n in range(300)]
    assert not [each for each in path.parent.iterdir() if each.name.endswith(("-pages", "-recovered"))]


def test_a_second_damage_gets_another_name(path: Path) -> None:
    """No damaged file is overwritten by the next."""
    write_run(path, [Request("a")], [outcome("1")])
    assert [Journal.recover(path).damaged.suffix for _ in range(2)] == [".damaged-1", ".damaged-2"]
    assert [entry.text for entry in Journal.read(path).outcomes()] == ["1"]


def test_long_answers_are_recovered(path: Path) -> None:
    """An answer that is longer than a page lies on several, which are followed."""
    texts = [f"{n} " * size for n, size in enumerate((10, 2_000, 2_040, 5_000, 200_000))]
    write_run(path, [Request(f"{n}") for n in range(5)], [outcome(text) for text in texts])
    damage(path, 20, b"\1")  # what is kept free on a page: nothing else depends on it
    assert Journal.recover(path).answers == 5
    assert [entry.text for entry in Journal.read(path).outcomes()] == texts


@pytest.mark.parametrize("what", [b"", b"\1", bytes(15), bytes(16), b"\7" + bytes(15)])
def test_what_was_in_flight_is_read_as_far_as_it_goes(path: Path, what: bytes) -> None:
    """A note of what was in flight that a full disk cut short is no error."""
    path.with_name(path.name + "-sent").write_bytes(what)
    assert read_in_flight(path) == ({7: 0.0} if len(what) == 16 and what[0] else {})


def test_nothing_can_be_recovered_of_nothing(path: Path) -> None:
    """A journal that is not there cannot be recovered."""
    with pytest.raises(JournalError, match="there is no journal"):
        Journal.recover(path)
