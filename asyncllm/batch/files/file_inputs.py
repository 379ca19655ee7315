"""Several files as one input, in order; and a random sample of the rows of an input."""

from __future__ import annotations

import glob
import heapq
import os
import random
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from asyncllm.errors import ConfigError

from .file_input import STDIN, FileInput, InputReader
from .formats import Format
from .rows import BadRow, Row

if TYPE_CHECKING:
    from .parquet import Schema

# Of the random numbers that choose a sample. With the same one, a larger sample has the rows of a smaller one.
SAMPLE_SEED = 0


def matching_files(names: Iterable[str], leave_out: Path | None = None) -> list[str]:
    """Return the files that names and patterns such as `data/*.csv` stand for, each once.

    Args:
        names: Files in their order; the files of a pattern come in the order of their names.
        leave_out: The output, which a pattern does not stand for, nor for the files beside it such as its journal.

    Raises:
        ConfigError: A pattern matches no file.
    """
    found: dict[str, str] = {}
    out = None if leave_out is None else os.path.realpath(leave_out)
    for name in names:
        if name == STDIN or os.path.exists(name) or not glob.has_magic(name):
            matches = [name]
        else:
            matches = sorted(match for match in glob.glob(name, recursive=True) if os.path.isfile(match))
            if out is not None:
                matches = [match for match in matches if not f"{os.path.realpath(match)}.".startswith(f"{out}.")]
            if not matches:
                raise ConfigError(f"no file matches {name!r}.")
        for match in matches:
            found.setdefault(os.path.realpath(match), match)
    return list(found.values())


class FileInputs:
    """The input of a batch: the rows of one or several files, or of stdin, or a sample of them.

    Args:
        sample: The size of a random sample of the rows, which stay in order; None for all of them. It is the same
            for the same number of rows, and is part of any larger one.

    Raises:
        ConfigError: Stdin is one of several, or is to be sampled.
    """

    def __init__(self, files: Sequence[FileInput], sample: int | None = None) -> None:
        self.files = tuple(files)
        self.sample = sample
        once = next(filter(_reads_once, self.files), None)
        if once is not None and (sample is not None or len(self.files) > 1):
            why = "several inputs are" if sample is None else "an input that is sampled is"
            raise ConfigError(f"{why} read more than once, and {once.name} can be read only once.", hint="Give files.")
        self._chosen: _Sample | None = None
        self._heads: list[_FileHead] | None = None

    @property
    def name(self) -> str:
        """Its name, for messages."""
        first = self.files[0].name
        return first if len(self.files) == 1 else f"{first} and {len(self.files) - 1} more"

    @property
    def format(self) -> Format | None:
        """The format of all its files; None where they differ, or do not say it."""
        first = self.files[0].format
        return first if all(file.format == first for file in self.files) else None

    @property
    def paths(self) -> list[Path]:
        """The paths of its files; none for stdin."""
        return [file.path for file in self.files if file.path is not None]

    @property
    def reads_again(self) -> bool:
        """Whether it can be read from its beginning a second time."""
        return all(file.reads_again for file in self.files)

    def check(self) -> None:
        """Read compressed files to their ends, and raise ConfigError if one is broken, before anything is sent."""
        for file in self.files:
            file.check()

    @contextmanager
    def open(self) -> Generator[InputReader]:
        """Open it, to be read once from its beginning."""
        if self.sample is not None and self._chosen is None:
            with self._opened() as reader:
                self._chosen = _sample(reader.rows(), self.sample)
        with self._opened() as reader:
            yield reader if self._chosen is None else _SampledRows(reader, self._chosen)

    @contextmanager
    def _opened(self) -> Generator[InputReader]:
        if len(self.files) == 1:
            with self.files[0].open() as reader:
                yield reader
            return
        if self._heads is None:
            self._heads = [_FileHead.of(file) for file in self.files]
        with ExitStack() as stack:
            yield _FollowingRows(self.files, self._heads, stack)


def _reads_once(file: FileInput) -> bool:
    return file.path is None or (file.path.exists() and not file.path.is_file() and not file.path.is_dir())


@dataclass(frozen=True, slots=True)
class _Sample:
    """The rows of a sample.

    Attributes:
        last: The last of these; -1 where there is none.
    """

    indexes: frozenset[int]
    last: int
    total_bytes: int


def _sample(rows: Iterable[Row | BadRow], size: int) -> _Sample:
    """Return those rows whose random numbers are the lowest: one pass, with the memory of the sample."""
    numbers = random.Random(SAMPLE_SEED)
    chosen = heapq.nsmallest(size, ((numbers.random(), row.index, row.size_bytes) for row in rows))
    indexes = frozenset(index for _, index, _ in chosen)
    return _Sample(indexes, max(indexes, default=-1), sum(size_bytes for *_, size_bytes in chosen))


class _SampledRows(InputReader):
    """The rows of a sample; each keeps its index among all rows."""

    def __init__(self, reader: InputReader, sample: _Sample) -> None:
        self._reader = reader
        self._sample = sample
        self.total_bytes = sample.total_bytes or None
        self.table = reader.table
        self.is_text = reader.is_text

    @property
    def columns(self) -> Sequence[str] | None:
        return self._reader.columns

    @property
    def all_columns(self) -> Sequence[str] | None:
        return self._reader.all_columns

    def rows(self) -> Iterator[Row | BadRow]:
        for row in self._reader.rows():
            if row.index in self._sample.indexes:
                yield row
            if row.index >= self._sample.last:
                return


@dataclass(frozen=True, slots=True)
class _FileHead:
    """What is known of a file before its rows: the attributes of its reader behind the first row."""

    columns: Sequence[str] | None
    total_bytes: int | None
    table: Schema | None
    is_text: bool

    @classmethod
    def of(cls, file: FileInput) -> _FileHead:
        """Read the head of a file."""
        with file.open() as reader:
            next(reader.rows(), None)
            return cls(reader.columns, reader.total_bytes, reader.table, reader.is_text)


class _FollowingRows(InputReader):
    """The rows of several files, one after the other; a file is open while its rows are read."""

    def __init__(self, files: Sequence[FileInput], heads: Sequence[_FileHead], stack: ExitStack) -> None:
        self._files = files
        self._stack = stack
        sizes = [head.total_bytes for head in heads if head.total_bytes is not None]
        self.total_bytes = sum(sizes) if len(sizes) == len(heads) else None
        self.is_text = all(head.is_text for head in heads)
        tables = [head.table for head in heads if head.table is not None]
        if len(tables) == len(heads):
            from .parquet import joined_schema

            self.table = joined_schema(tables)
        columns = [head.columns for head in heads if head.columns is not None]
        self._all_columns = [*dict.fromkeys(chain(*columns))] if len(columns) == len(heads) else None
        self._columns = [name for name in self._all_columns or () if all(name in names for names in columns)]

    @property
    def columns(self) -> Sequence[str] | None:
        return None if self._all_columns is None else self._columns

    @property
    def all_columns(self) -> Sequence[str] | None:
        return self._all_columns

    def rows(self) -> Iterator[Row | BadRow]:
        index = 0
        for file in self._files:
            self._stack.close()
            for row in self._stack.enter_context(file.open()).rows():
                yield replace(row, index=index, file=file.name)
                index += 1
