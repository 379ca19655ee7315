"""Power losses while a journal is written: the log ends anywhere, and pages are torn."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from asyncllm import Completion, Journal, JournalEntry, JournalError, Outcome, Request
from asyncllm.batch.journal.answer_row import AnswerRow
from asyncllm.batch.journal.entry import encode
from asyncllm.batch.journal.fingerprint import Fingerprinter
from asyncllm.batch.journal.journal_file import beside, open_to_write
from asyncllm.batch.journal.store import JournalStore
from asyncllm.completions.call_record import CallRecord

from .figures import Figure, at_most

ITEMS = 3_000
CUTS, TEARS = 400, 400
_PAGE_BYTES, _SECTOR_BYTES = 4096, 512
_LOG_HEADER_BYTES, _FRAME_BYTES = 32, 24 + _PAGE_BYTES
_MOST_TORN = 5
# The shortest row of an answer is longer than this, so that no more of them are on a page.
_ROW_BYTES = 200
# Commits that are in the log alone at the end, as those of a run that is under way.
_UNCHECKED_COMMITS = 60


@dataclass(slots=True)
class Found:
    """The figures of damaged journals.

    Attributes:
        opened: Journals that opened as they were.
        damaged: Journals that were reported as damaged.
        wrong: Answers that were read, and are not what was written.
        lost: Answers that are gone although their commit or their page is whole.
        failed: Journals that could not be recovered, or could not be used after it.
    """

    opened: int = 0
    damaged: int = 0
    wrong: int = 0
    lost: int = 0
    failed: int = 0

    def figures(self, name: str) -> Iterator[Figure]:
        """Return the rows."""
        name = f"{name} ({self.opened} opened, {self.damaged} reported as damaged)"
        yield at_most(f"{name}: wrong answers", self.wrong, 0)
        yield at_most(f"{name}: whole answers lost", self.lost, 0)
        yield at_most(f"{name}: not usable after recovery", self.failed, 0)


def power(quick: bool) -> Iterator[Figure]:
    """Damage copies of a journal that was being written, and count what can be read of each."""
    items, cuts, tears = (600, 25, 25) if quick else (ITEMS, CUTS, TEARS)
    with tempfile.TemporaryDirectory() as directory:
        written = Written(Path(directory), items)
        yield from cut_logs(written, cuts, seed=1).figures(f"{cuts} journals with a log that ends anywhere")
        yield from torn_pages(written, tears, seed=2).figures(f"{tears} journals with torn pages")


class Written:
    """A journal as it is while a run writes it: a database, and a log that is not yet part of it.

    Args:
        directory: The directory of the journal and of its damaged copies.
        items: The number of its items.

    Attributes:
        texts: The answers that were written, by id.
        commits: For each commit that is in the log alone, the size of the log after it and the ids that it wrote.
    """

    def __init__(self, directory: Path, items: int) -> None:
        self.directory = directory
        self._path = directory / "original"
        self.texts: dict[str, str] = {}
        self.commits: list[tuple[int, list[str]]] = []
        writing = directory / "writing"
        identify = Fingerprinter("openai/gpt-4o-mini", {}, {})
        connection = open_to_write(writing, "normal")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        store = JournalStore(connection, writing)
        store.begin(identify.base.parts, {}, 0.0)
        sizes = random.Random(0)
        groups: list[list[int]] = []
        numbers = iter(range(items))
        while group := list(islice(numbers, sizes.randint(1, 20))):
            groups.append(group)
        for index, group in enumerate(groups):
            if index == max(1, len(groups) - _UNCHECKED_COMMITS):
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                self.commits.clear()
            store.transaction()
            self._write(store, identify, group)
            store.commit()
            self.commits.append((beside(writing, "-wal").stat().st_size, [f"{number}" for number in group]))
        for suffix in ("", "-wal"):
            shutil.copy(beside(writing, suffix), beside(self._path, suffix))
        store.close()

    def copy(self, name: str) -> Path:
        """Return a copy, to be damaged."""
        path = self.directory / name
        for suffix in ("", "-wal"):
            shutil.copy(beside(self._path, suffix), beside(path, suffix))
        return path

    def _write(self, store: JournalStore, identify: Fingerprinter, group: list[int]) -> None:
        fingerprints = {number: identify(Request(f"question {number}", id=f"{number}")) for number in group}
        for number, item in zip(group, store.register(list(fingerprints.items())), strict=True):
            fingerprint = fingerprints[number]
            # Every tenth is longer than a page, and so has pages of its own.
            text = f"the answer to question {number}, " * (300 if number % 10 == 0 else 8)
            self.texts[f"{number}"] = text
            data = {"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]}
            outcome = Outcome(
                number, value=text, completion=Completion(data, CallRecord("", "", "", "wire")), cost_usd=0.5
            )
            entry = encode(outcome, 1, started_at=0.0, elapsed_s=1.0)
            row = AnswerRow.of(item.number, item.occurrence, fingerprint, outcome, entry)
            store.record(row, fingerprint.settings, was_sent=True)


def cut_logs(written: Written, times: int, *, seed: int) -> Found:
    """Cut the log off anywhere, half of the times between two pages; count what is lost of the commits before."""
    chance, found = random.Random(seed), Found()
    in_log = [id for _, ids in written.commits for id in ids]
    for number in range(times):
        path = written.copy(f"cut-{number}")
        log = beside(path, "-wal")
        size = log.stat().st_size
        at = chance.randrange(size + 1)
        if number % 2:
            at = _LOG_HEADER_BYTES + (at // _FRAME_BYTES) * _FRAME_BYTES
        with log.open("r+b") as file:
            file.truncate(min(at, size))
        whole = {id for end, ids in written.commits if end <= at for id in ids}
        whole |= written.texts.keys() - set(in_log)
        found.lost += len(_lost(written, path, found) & whole)
        _remove(path)
    return found


def torn_pages(written: Written, times: int, *, seed: int) -> Found:
    """Leave a few pages half-written, in the database or its log; count what is lost of the other pages."""
    chance, found = random.Random(seed), Found()
    for number in range(times):
        path = written.copy(f"torn-{number}")
        torn = chance.randint(1, _MOST_TORN)
        file = path if number % 2 else beside(path, "-wal")
        start, step = (0, _PAGE_BYTES) if file == path else (_LOG_HEADER_BYTES + 24, _FRAME_BYTES)
        data = bytearray(file.read_bytes())
        for _ in range(torn):
            page = start + step * chance.randrange((len(data) - start) // step)
            since = page + _SECTOR_BYTES * chance.randrange(_PAGE_BYTES // _SECTOR_BYTES)
            rest = page + _PAGE_BYTES - since
            # What the disk had there before: nothing, another page, or what never was one.
            other = start + step * chance.randrange((len(data) - start) // step) + _PAGE_BYTES - rest
            data[since : since + rest] = chance.choice(
                (bytes(rest), bytes(data[other : other + rest]), chance.randbytes(rest))
            )
        file.write_bytes(data)
        # What follows a torn page of a log is no longer part of it; recovery does find it.
        most = torn * (_PAGE_BYTES // _ROW_BYTES)
        in_log = sum(len(ids) for _, ids in written.commits)
        allowed = most if file == path else in_log
        found.lost += max(0, len(_lost(written, path, found)) - allowed)
        _remove(path)
    return found


def _lost(written: Written, path: Path, found: Found) -> set[str]:
    """Open a damaged journal as a run does, recover it if need be, and return the ids that are gone."""
    try:
        entries = _resumed(path)
        found.opened += 1
    except JournalError as error:
        found.damaged += 1
        if "damaged" not in error.message:
            found.failed += 1
        try:
            Journal.recover(path)
            entries = _resumed(path)
        except JournalError:
            found.failed += 1
            return set()
    texts = {entry.id or "": entry.text for entry in entries}
    found.wrong += sum(written.texts.get(id) != text for id, text in texts.items()) + len(entries) - len(texts)
    return written.texts.keys() - texts.keys()


def _resumed(path: Path) -> list[JournalEntry]:
    """Begin a run, and return the entries of its journal; raises JournalError if that is damaged."""
    store = JournalStore(open_to_write(path, "normal"), path)
    try:
        store.begin(Fingerprinter("openai/gpt-4o-mini", {}, {}).base.parts, {}, 0.0)
    finally:
        store.close()
    Journal.read(path).summary()
    list(Journal.read(path).samples())
    return list(Journal.read(path).outcomes())


def _remove(path: Path) -> None:
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()
