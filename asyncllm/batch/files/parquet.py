"""Parquet files, by way of pyarrow, some rows at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import IO, Protocol, Self, TypeAlias

from asyncllm.errors import ConfigError, not_installed

from .columns import Kind
from .file_input import InputReader
from .rows import BadRow, Row

# Rows that are in memory at once as Python objects: enough to read quickly, few enough if each holds a book.
_READ_ROWS = 256
# Rows of a row group: readers skip by groups, and one is in memory until it is written.
_GROUP_ROWS = 10_000
# A group is also written as soon as its texts take this much.
_GROUP_BYTES = 64 * 1024 * 1024


class ArrowField(Protocol):
    """A column of pyarrow's."""

    name: str
    type: object


Schema: TypeAlias = Iterable[ArrowField]


class ParquetReader(InputReader):
    """A Parquet file that is open; used in `with`. Each of its rows counts as one byte.

    Raises:
        ConfigError: It is no Parquet file, or pyarrow is not installed.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        pyarrow = _pyarrow()
        try:
            self._file = pyarrow.parquet.ParquetFile(file)
        except pyarrow.ArrowException as error:
            raise ConfigError(f"{name} is no Parquet file: {_first_line(error)}.") from None
        names: list[str] = self._file.schema_arrow.names
        if len(set(names)) < len(names):
            raise ConfigError(f"{name} has two columns of one name.", hint="Write it again with names that differ.")
        self._name = name
        self._columns = tuple(names)
        self.total_bytes = self._file.metadata.num_rows
        self.table = self._file.schema_arrow

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def columns(self) -> Sequence[str]:
        return self._columns

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield the rows; a line is the number of a row from 1."""
        pyarrow = _pyarrow()
        number = 0
        try:
            for batch in self._file.iter_batches(batch_size=_READ_ROWS):
                for data in batch.to_pylist():
                    yield Row(number, number + 1, data, 1)
                    number += 1
        except (pyarrow.ArrowException, OSError) as error:
            raise ConfigError(f"{self._name} is broken: {_first_line(error)}.", hint="Write it again.") from None


class ParquetWriter:
    """Writes rows as Parquet; used in `with`."""

    def __init__(self, file: IO[bytes], schema: Schema) -> None:
        self._pyarrow = _pyarrow()
        self._schema = schema
        self._writer = self._pyarrow.parquet.ParquetWriter(file, schema, compression="zstd")
        self._rows: list[Mapping[str, object]] = []
        self._bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._flush()
        self._writer.close()

    def write(self, row: Mapping[str, object]) -> None:
        """Write a row that has every column."""
        self._rows.append(row)
        self._bytes += sum(len(value) for value in row.values() if isinstance(value, str | bytes))
        if len(self._rows) >= _GROUP_ROWS or self._bytes >= _GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        columns = [
            self._pyarrow.array([row[field.name] for row in self._rows], type=field.type) for field in self._schema
        ]
        self._writer.write_table(self._pyarrow.table(columns, schema=self._schema))
        self._rows, self._bytes = [], 0


def schema_of(columns: Mapping[str, Kind], before: Schema = ()) -> Schema:
    """Return the schema of columns, behind those of another schema."""
    pyarrow = _pyarrow()
    types = {"int": pyarrow.int64(), "float": pyarrow.float64(), "bool": pyarrow.bool_()}
    added = [pyarrow.field(name, types.get(kind, pyarrow.string())) for name, kind in columns.items()]
    schema: Schema = pyarrow.schema([*before, *added])
    return schema


def joined_schema(schemas: Sequence[Schema]) -> Schema | None:
    """Return the columns of several files; None where one has two types that no type can hold."""
    pyarrow = _pyarrow()
    try:
        schema: Schema = pyarrow.unify_schemas([*schemas], promote_options="permissive")
    except pyarrow.ArrowException:
        return None
    return schema


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".")


def _pyarrow() -> ModuleType:
    try:
        import pyarrow  # pyright: ignore[reportMissingTypeStubs]  # it has none
        import pyarrow.parquet  # pyright: ignore[reportMissingTypeStubs, reportUnusedImport]  # an attribute of it
    except ImportError:
        raise not_installed("Parquet files need", "parquet") from None
    module: ModuleType = pyarrow
    return module
