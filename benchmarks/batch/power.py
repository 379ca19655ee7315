"""Power that fails while a journal is written: the log ends anywhere, and pages are torn."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from asyncllm import Completion, Journal, JournalEntry, JournalError, Outcome, Request
from asyncllm.batch.journal.answer_row import AnswerRow
from asyncllm.batch.journal.entry import encode
from asyncllm.batch.journal.fingerprint import Fingerprinter
from asyncllm.batch.journal.journal_file import DONE, beside, open_to_write
from asyncllm.batch.journal.store import Store
from asyncllm.completions.call_record import CallRecord

from .figures import Figure, at_most

ITEMS = 3_000
CUTS, TEARS = 400, 400
_PAGE_BYTES, _SECTOR_BYTES = 4096, 512
_LOG_HEADER_BYTES, _FRAME_BYTES = 32, 24 + _PAGE_BYTES
_MOST_TORN = 5
# The shortest row of an answer is longer than this, so that no more of them are on a page.
_ROW_BYTES = 200
# Left in the log at the end, as a run that is under way has them.
_UNCHECKED_COMMITS = 60


@dataclass(slots=True)
class Found:
    """What could be read of damaged journals.

    Attributes:
        opened: How many opened as they were.
        damaged: How many were said to be damaged.
        wrong: Answers that were read, and are not what was written.
        lost: Answers that are gone although their commit is whole, or their page.
        failed: Journals that could not even be recovered, or were unusable after it.
    """

    opened: int = 0
    damaged: int = 0
    wrong: int = 0
    lost: int = 0
    failed: int = 0

    def figures(self, name: str) -> Iterator[Figure]:
        """Return the rows."""
        name = f"{name} ({self.opened} opened, {self.damaged} said to be damaged)"
        yield at_most(f"{name}: wrong answers", self.wrong, 0)
        yield at_most(f"{name}: whole answers lost", self.lost, 0)
        yield at_most(f"{name}: not usable after recovery", self.failed, 0)


def power(quick: bool) -> Iterator[Figure]:
    """Damage copies of a journal that was being written, and see what can be read of each."""
    items, cuts, tears = (600, 25, 25) if quick else (ITEMS, CUTS, TEARS)
    with tempfile.TemporaryDirectory() as directory:
        written = Written(Path(directory), items)
        yield from cut_logs(written, cuts, seed=1).figures(f"{cuts} journals with a log that ends anywhere")
        yield from torn_pages(written, tears, seed=2).figures(f"{tears} journals with torn pages")


class Written:
    """A journal as it is while a run writes it: a database, and a log that is not yet part of it.

    Args:
        directory: Where it is made, and its damaged copies.
        items: How many it has.

    Attributes:
        texts: What was written, by id.
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
        store = Store(connection, writing)
        store.begin(identify.base.parts, {}, 0.0)
        sizes = random.Random(0)
        groups: list[list[int]] = []
        numbers = iter(range(items))
        while group := [number for number, _ in zip(numbers, range(sizes.randint(1, 20)), strict=False)]:
            groups.append(group)
        for place, group in enumerate(groups):
            if place == max(1, len(groups) - _UNCHECKED_COMMITS):
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

    def _write(self, store: Store, identify: Fingerprinter, group: list[int]) -> None:
        fingerprints = {number: identify(Request(f"question {number}", id=f"{number}")) for number in group}
        for number, item in zip(group, store.register(list(fingerprints.items())), strict=True):
            fingerprint = fingerprints[number]
            # Every tenth is longer than a page, and so on pages of its own.
            text = f"the answer to question {number}, " * (300 if number % 10 == 0 else 8)
            self.texts[f"{number}"] = text
            data = {"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]}
            outcome = Outcome(number, value=text, completion=Completion(data, CallRecord("", "", "", "wire")))
            entry = encode(outcome, 1, started_at=0.0, elapsed_s=1.0)
            row = AnswerRow(
                number=item.number,
                checksum=0,
                version=0,
                key=fingerprint.key,
                occurrence=item.occurrence,
                sent=fingerprint.sent,
                prompt=fingerprint.prompt,
                settings=fingerprint.settings.digest,
                state=DONE,
                error=None,
                input_tokens=5,
                output_tokens=7,
                cost_usd=0.5,
                entry=entry,
            )
            store.answered(row, fingerprint.settings, was_sent=True)


def cut_logs(written: Written, times: int, *, seed: int) -> Found:
    """Cut the log off anywhere, half of the times between two of its pages; what was committed before is there."""
    chance, found = random.Random(seed), Found()
    in_log = [id for _, ids in written.commits for id in ids]
    for time in range(times):
        path = written.copy(f"cut-{time}")
        log = beside(path, "-wal")
        size = log.stat().st_size
        at = chance.randrange(size + 1)
        if time % 2:
            at = _LOG_HEADER_BYTES + (at // _FRAME_BYTES) * _FRAME_BYTES
        with log.open("r+b") as file:
            file.truncate(min(at, size))
        whole = {id for end, ids in written.commits if end <= at for id in ids}
        whole |= written.texts.keys() - set(in_log)
        found.lost += len(_lost(written, path, found) & whole)
        _remove(path)
    return found


def torn_pages(written: Written, times: int, *, seed: int) -> Found:
    """Leave a few pages half-written, in the database or its log; what is on the others is there."""
    chance, found = random.Random(seed), Found()
    for time in range(times):
        path = written.copy(f"torn-{time}")
        torn = chance.randint(1, _MOST_TORN)
        file = path if time % 2 else beside(path, "-wal")
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
        # Of a log, what comes after a torn page is no longer part of it; recovery does find it.
        most = torn * (_PAGE_BYTES // _ROW_BYTES)
        in_log = sum(len(ids) for _, ids in written.commits)
        allowed = most if file == path else in_log
        found.lost += max(0, len(_lost(written, path, found)) - allowed)
        _remove(path)
    return found


def _lost(written: Written, path: Path, found: Found) -> set[str]:
    """Open a damaged journal as a run does, recover it where it is said to be damaged, and return what is gone."""
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
    """Begin a run, and return what it has; raises JournalError where it cannot."""
    store = Store(open_to_write(path, "normal"), path)
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
