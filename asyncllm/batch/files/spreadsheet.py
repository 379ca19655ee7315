"""Sheets of spreadsheets, by way of python-calamine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from types import ModuleType
from typing import IO, TYPE_CHECKING

from asyncllm.errors import ConfigError, not_installed

from .file_input import InputReader
from .rows import BadRow, Row, header

if TYPE_CHECKING:
    from python_calamine import CalamineSheet


class SheetReader(InputReader):
    """A sheet of a spreadsheet, which is read whole. Each of its rows counts as one byte.

    Args:
        sheet: The name of the sheet, or its number from 1; None for the first.

    Raises:
        ConfigError: It is no spreadsheet, has no such sheet, or python-calamine is not installed.
    """

    def __init__(self, file: IO[bytes], name: str, sheet: str | None = None) -> None:
        calamine = _calamine()
        try:
            workbook = calamine.load_workbook(file)
            self._sheet: CalamineSheet = workbook.get_sheet_by_name(_sheet_name(workbook.sheet_names, name, sheet))
        except calamine.PasswordError:
            raise ConfigError(f"{name} has a password.", hint="Save it without one.") from None
        except calamine.CalamineError as error:
            raise ConfigError(f"{name} is no spreadsheet: {error}.", hint="Save it again, or as CSV.") from None
        self._filled = self._filled_rows()
        # The first row that is not empty; a column that it does not name is told by its number.
        first = next(self._filled, None)
        cells = () if first is None else map(_value, first[1])
        named = [f"column_{number}" if cell is None else str(cell) for number, cell in enumerate(cells, 1)]
        self._columns = tuple(header(named, name))
        self.total_bytes = self._sheet.height or None

    @property
    def columns(self) -> Sequence[str]:
        return self._columns

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield the rows below the header; a line is the number of a row in the sheet."""
        for index, (line, cells) in enumerate(self._filled):
            yield Row(index, line, dict(zip(self._columns, map(_value, cells), strict=True)), 1)

    def _filled_rows(self) -> Iterator[tuple[int, list[object]]]:
        """Yield the rows that are not empty, with their numbers."""
        for line, cells in enumerate(self._sheet.iter_rows(), 1):
            if any(cell != "" for cell in cells):
                yield line, [*cells]


def _value(cell: object) -> object:
    """Return a cell as JSON data: null for an empty one, and dates as ISO 8601."""
    if cell == "":
        return None
    if isinstance(cell, float) and cell.is_integer():
        return int(cell)  # a sheet has one kind of number
    if isinstance(cell, datetime):
        return cell.isoformat(" ")
    return cell.isoformat() if isinstance(cell, date | time) else str(cell) if isinstance(cell, timedelta) else cell


def _sheet_name(names: list[str], where: str, wanted: str | None) -> str:
    if wanted is None and names:
        return names[0]
    if wanted is None or wanted in names:
        return wanted or ""
    if wanted.isdecimal() and 0 < int(wanted) <= len(names):
        return names[int(wanted) - 1]
    raise ConfigError(f"{where} has no sheet {wanted!r}.", hint=f"Its sheets are: {', '.join(names)}.")


def _calamine() -> ModuleType:
    try:
        import python_calamine
    except ImportError:
        raise not_installed("Spreadsheets need", "xlsx", ", or save it as CSV") from None
    return python_calamine
