"""The folder of sealed answers: small files that are whole or not there, on any storage of fsspec's."""

from __future__ import annotations

import hashlib
import io
import math
import uuid
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..batch.journal.fingerprint import Fingerprint
from ..errors import JournalError
from .packages import arrow, parquet, storages

_SUFFIX = ".parquet"
_PARTIAL = ".partial"
_KEY_BYTES = 16
# Small files that are merged into one: few requests to a storage that counts them, few files to list.
_MERGED = 64
# Files that are read at once when a worker starts: most of the time of each is its way to the storage.
_READERS = 8
# Files whose answers stay in memory: the rows of a batch were sealed at about the same time.
_KEPT_FILES = 8
_SCHEMA = arrow.schema(
    [("key", arrow.binary(_KEY_BYTES)), ("ok", arrow.bool_()), ("cost_usd", arrow.float64()), ("entry", arrow.binary())]
)


class SealedAnswer(NamedTuple):
    """A row that has ended; the fields are the columns of the files.

    Attributes:
        key: The identity of the row.
        entry: The entry of a journal.
    """

    key: bytes
    ok: bool
    cost_usd: float | None
    entry: bytes


@dataclass(frozen=True, slots=True)
class Sealed:
    """The sealed answers of a folder, sorted by the first half of their keys: 24 bytes of memory for each.

    Attributes:
        at: The number of the file of each, and of its row in there.
    """

    keys: Any
    at: Any
    files: Sequence[str]


class ResultsFolder:
    """The sealed answers of a run, of all its workers and executions; not thread-safe but for `seal`.

    A file is written under another name and renamed, so that it is whole wherever a worker is killed. A worker merges
    its small files now and then. Files are named by execution, worker and number.

    Args:
        url: The folder: a path, or a URL of fsspec's such as `s3://bucket/answers`.
        run_id: The name of the run within it.
        execution: Identifies this execution: failed rows of others are not found.
    """

    def __init__(self, url: str, run_id: str, execution: str | None = None) -> None:
        if not run_id or set(run_id) & set("/\\") or run_id.startswith("."):
            raise JournalError(f"{run_id!r} cannot be the name of a run.", hint="Letters, digits and dashes are best.")
        storage: tuple[Any, str] = storages.core.url_to_fs(url)
        self._fs, root = storage
        self._path = f"{root.rstrip('/')}/{run_id}"
        self._execution = execution or uuid.uuid4().hex
        self._worker = uuid.uuid4().hex[:12]
        self._number = 0
        self._small: list[tuple[str, Any]] = []
        self._sealed = Sealed(np.empty(0, "u8"), np.empty((0, 2), "u4"), ())
        self._kept: dict[str, Any] = {}

    def load(self) -> float:
        """Read which answers are there, and return what all of them cost in US dollars, as far as it is known."""
        self._fs.makedirs(self._path, exist_ok=True)
        self._fs.invalidate_cache()
        while True:
            files = sorted(name for name in self._fs.ls(self._path, detail=False) if name.endswith(_SUFFIX))
            with ThreadPoolExecutor(_READERS) as readers:
                heads = [*readers.map(self._head, files)]
            if all(head is not None for head in heads):
                break  # otherwise a worker has merged some of them meanwhile
        keys, at, costs = [np.empty(0, "u8")], [np.empty((0, 2), "u4")], [0.0]
        for number, (name, head) in enumerate(zip(files, heads, strict=True)):
            halves = np.frombuffer(b"".join(head["key"].to_pylist()), ">u8")[::2].astype("u8")
            counts = np.array(head["ok"].to_pylist(), bool) | self._is_of_this_execution(name)
            rows = np.flatnonzero(counts).astype("u4")
            keys.append(halves[rows])
            at.append(np.stack([np.full(len(rows), number, "u4"), rows], axis=1))
            costs.extend(cost for cost in head["cost_usd"].to_pylist() if cost is not None)
        joined, places = np.concatenate(keys), np.concatenate(at)
        order = np.argsort(joined, kind="stable")
        self._sealed = Sealed(joined[order], places[order], tuple(files))
        return math.fsum(costs)

    def __len__(self) -> int:
        return len(self._sealed.keys)

    def find(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """Return the entries of the keys that were there when the folder was loaded."""
        try:
            return self._find(keys)
        except FileNotFoundError:  # a worker has merged a file meanwhile
            self._kept.clear()
            self.load()
            return self._find(keys)

    def seal(self, answers: Sequence[SealedAnswer]) -> None:
        """Write answers as a file, and now and then one file for many."""
        table: Any = arrow.Table.from_pylist([answer._asdict() for answer in answers], schema=_SCHEMA)
        self._small.append((self._write(table), table))
        if len(self._small) >= _MERGED:
            self._write(arrow.concat_tables([table for _, table in self._small]))
            for name, _ in self._small:
                self._fs.rm_file(name)
            self._small.clear()

    def entries(self) -> Iterable[bytes]:
        """Yield the entries of all answers that were there when the folder was loaded."""
        for name in self._sealed.files:
            yield from self._read(name)["entry"].to_pylist()

    def _find(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        sealed = self._sealed
        found: dict[bytes, bytes] = {}
        wanted: dict[int, list[int]] = {}
        keys = {*keys}
        for key in keys:
            half = int.from_bytes(key[:8], "big")
            first = int(np.searchsorted(sealed.keys, np.uint64(half)))
            while first < len(sealed.keys) and int(sealed.keys[first]) == half:
                file, row = sealed.at[first]
                wanted.setdefault(int(file), []).append(int(row))
                first += 1
        for file, rows in wanted.items():
            table = self._kept_table(sealed.files[file]).take(arrow.array(rows))
            for key, entry in zip(table["key"].to_pylist(), table["entry"].to_pylist(), strict=True):
                if key in keys:
                    found[key] = entry
        return found

    def _kept_table(self, name: str) -> Any:
        table = self._kept.pop(name, None)
        if table is None:
            table = self._read(name)
            while len(self._kept) >= _KEPT_FILES:
                self._kept.pop(next(iter(self._kept)))
        self._kept[name] = table  # the one that was used last comes last
        return table

    def _head(self, name: str) -> Any:
        """Return the columns of a file without its answers; None when it is gone."""
        try:
            return self._read(name, ["key", "ok", "cost_usd"])
        except FileNotFoundError:
            return None

    def _read(self, name: str, columns: list[str] | None = None) -> Any:
        with self._fs.open(name, "rb") as file:
            try:
                return parquet.read_table(file, columns=columns)
            except arrow.ArrowInvalid as error:
                raise JournalError(
                    f"{name} is damaged: {str(error).partition('. ')[0]}.", hint="Remove it; its rows are sent again."
                ) from None

    def _write(self, table: Any) -> str:
        sink = io.BytesIO()
        parquet.write_table(table, sink, compression="zstd", use_dictionary=False, write_statistics=False)
        name = f"{self._path}/{self._execution}-{self._worker}-{self._number:06}{_SUFFIX}"
        self._number += 1
        self._fs.pipe_file(f"{name}{_PARTIAL}", sink.getvalue())
        self._fs.mv(f"{name}{_PARTIAL}", name)
        return name

    def _is_of_this_execution(self, name: str) -> bool:
        return name.rpartition("/")[2].startswith(f"{self._execution}-")


def row_key(fingerprint: Fingerprint) -> bytes:
    """Return the key of a row: a change of its id, of its prompt or of the settings makes it another one."""
    return hashlib.blake2b(fingerprint.key + fingerprint.sent, digest_size=_KEY_BYTES).digest()
