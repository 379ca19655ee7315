"""Parquet, by way of pyarrow: tables in and out, some rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any, Self

from asyncllm.errors import ConfigError
from asyncllm.extras import not_installed

from .columns import Kind
from .rows import BadRow, Row

# Rows that are in memory at once as Python objects: enough to make reading quick, few enough if each holds a book.
_READ_ROWS = 256
# Rows of one row group: readers skip by groups, and one is held in memory until it is whole.
_GROUP_ROWS = 10_000
# ... or as soon as its texts take this much.
_GROUP_BYTES = 64 * 1024 * 1024


class ParquetRows:
    """The rows of a Parquet file; used in `with`.

    Args:
        file: The file, which can be sought in.
        name: Its name, for errors.

    Attributes:
        count: How many rows there are.

    Raises:
        ConfigError: It is no Parquet file, or pyarrow is not installed.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        pyarrow = _pyarrow()
        try:
            self._file = pyarrow.parquet.ParquetFile(file)
        except pyarrow.ArrowException as error:
            raise ConfigError(f"{name} is no Parquet file: {_first_line(error)}.") from None
        names = self._file.schema_arrow.names
        if len(set(names)) < len(names):
            raise ConfigError(f"{name} has two columns of one name.", hint="Write it again with names that differ.")
        self._name = name
        self.count: int = self._file.metadata.num_rows

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def columns(self) -> Sequence[str]:
        """The names of its columns."""
        return tuple(self._file.schema_arrow.names)

    @property
    def schema(self) -> Any:
        """Its columns with their types, as pyarrow has them."""
        return self._file.schema_arrow

    def rows(self) -> Iterator[Row | BadRow]:
        """Read the rows; a line is the number of a row from 1, and each counts as one byte."""
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
    """Writes rows as Parquet; used in `with`.

    Args:
        file: Where to.
        schema: The columns, as pyarrow has them.
    """

    def __init__(self, file: IO[bytes], schema: Any) -> None:
        self._pyarrow = _pyarrow()
        self._schema = schema
        self._writer = self._pyarrow.parquet.ParquetWriter(file, schema, compression="zstd")
        self._rows: list[Mapping[str, Any]] = []
        self._bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._flush()
        self._writer.close()

    def write(self, row: Mapping[str, Any]) -> None:
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


def schema_of(columns: Mapping[str, Kind]) -> Any:
    """Return columns as pyarrow has them."""
    pyarrow = _pyarrow()
    types = {"int": pyarrow.int64(), "float": pyarrow.float64(), "bool": pyarrow.bool_()}
    return pyarrow.schema([(name, types.get(kind, pyarrow.string())) for name, kind in columns.items()])


def joined(first: Any, second: Any) -> Any:
    """Return the columns of both schemas."""
    return _pyarrow().schema([*first, *second])


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".")


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise not_installed("Parquet files need", "parquet") from None
    return pyarrow
