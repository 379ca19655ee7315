"""What a batch shall do: its input, what is asked about each row, and where the results go."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asyncllm.batch.files import FORMATS, STDIN, BadRow, FileInput, Format, InputReader, Row, kind_of
from asyncllm.batch.files.formats import Compression
from asyncllm.batch.prompt_template import RowProblem
from asyncllm.batch.prompts import OpenAIRows, Prompt, is_openai_row
from asyncllm.errors import ConfigError

from ..terminal.exit_codes import UsageProblem

if TYPE_CHECKING:
    from asyncllm import LLMConfig, Request

Ask = Prompt | OpenAIRows

# Rows of JSON each have fields of their own: the first may lack one that most others have.
_LOOKED_AT = 100


@dataclass(frozen=True, slots=True)
class OutputTarget:
    """Where the results go.

    Attributes:
        path: The file; None for stdout.
        format: How rows stand in it.
        compression: What it is compressed with.
        journal: The journal of the run; None for none.
        escaped: Cells of CSV that a spreadsheet would calculate are written as texts.
    """

    path: Path | None
    format: Format
    compression: Compression | None
    journal: Path | None
    escaped: bool = True

    @classmethod
    def of(cls, output: str, format: str | None, journal: Path | None, escaped: bool) -> OutputTarget:
        """Read what the command line says of it."""
        given = a_format(format, "--output-format")
        if output == STDIN:
            if given == "parquet":
                raise UsageProblem("Parquet is not written to stdout.", "Name a file: -o OUT.parquet.")
            return cls(None, given or "jsonl", None, journal, escaped)
        path = Path(output)
        # What takes the place of a link would take it from the file that the link is for.
        path = path.resolve() if path.is_symlink() else path
        named = kind_of(path)
        chosen = given or named.format or "jsonl"
        if chosen == "lines":
            raise UsageProblem("results are not written as plain lines.", "Name OUT .jsonl, .csv or .parquet.")
        beside = path.with_name(f"{path.name}.journal")
        return cls(path, chosen, named.compression, journal or beside, escaped)

    @property
    def delimiter(self) -> str:
        """What parts the cells of CSV."""
        return "\t" if self.path is not None and ".tsv" in self.path.suffixes else ","

    @property
    def rejected(self) -> Path | None:
        """Where the rows go that are not sent."""
        return None if self.path is None else self.path.with_name(f"{self.path.name}.rejected")

    def check(self, source: FileInput, *, replaces: bool) -> None:
        """Refuse a destination that results cannot or must not go to, before anything is sent."""
        if self.path is None:
            return
        if self.path.is_dir():
            raise UsageProblem(f"{self.path} is a directory.", "Name a file.")
        if self.path.exists() and not self.path.is_file():
            raise UsageProblem(f"{self.path} is no file that can be replaced.", "Name a file, or - for stdout.")
        if self.path.exists() and source.path is not None and self.path.samefile(source.path):
            raise UsageProblem(f"{self.path} is the input itself.", "Name another file.")
        journal = self.journal is not None and self.journal.exists()
        if self.path.is_file() and self.path.stat().st_size and not replaces and not journal:
            raise UsageProblem(f"{self.path} exists.", "Name another file, or give --overwrite.")
        # Where nothing can be written, nothing need be paid for.
        partial = self.partial
        partial.open("ab").close()
        partial.unlink()

    @property
    def partial(self) -> Path:
        """Where the results are put together, before they take the place of the file in one step."""
        assert self.path is not None
        return self.path.with_name(f".{self.path.name}.partial")


@dataclass(slots=True)
class Job:
    """What shall be done.

    Attributes:
        source: The input.
        target: Where the results go.
        config: The profile.
        ask: Makes the request of a row; set once the first row was seen.
        params: Parameters for every request.
        response_model: The type of the answers; None for texts.
        dump: Turns a typed value into JSON data.
        schema: The JSON Schema of the answers.
        limit: At most so many rows are sent.
        budget_usd: What all runs of the journal may spend.
        stop_after_errors: The run ends when so many rows have failed.
        deduplicate: Identical requests are sent once.
        model_given: The model, where the command line names one.
    """

    source: FileInput
    target: OutputTarget
    config: LLMConfig
    ask: Ask | None
    params: Mapping[str, Any] = field(default_factory=dict)
    response_model: Any = None
    dump: Callable[[Any], Any] | None = None
    schema: Mapping[str, Any] | None = None
    limit: int | None = None
    budget_usd: float | None = None
    stop_after_errors: int | None = None
    deduplicate: bool = False
    model_given: str | None = None

    def first_rows(self, rows: Iterator[Row | BadRow], reading: InputReader) -> list[Row | BadRow]:
        """Read to the first row that a request can be made of, and decide by it how rows become requests.

        Args:
            rows: The rows of the input.
            reading: What they are read from.

        Returns:
            The rows that were read.

        Raises:
            ConfigError: The template does not fit the columns, or none of the first rows.
            UsageProblem: There are no rows, or no template where one is needed.
        """
        seen: list[Row | BadRow] = []
        refused: ConfigError | None = None
        for row in rows:
            seen.append(row)
            if not isinstance(row, Row):
                continue
            try:
                self._settle(row, reading.columns)
            except ConfigError as error:
                refused = refused or error
                if reading.columns is not None or len(seen) >= _LOOKED_AT:
                    break
            else:
                return seen
        if refused is not None:
            raise refused
        if seen or reading.columns is not None:
            self._settle(None, reading.columns)
        if not seen:
            raise UsageProblem("the input has no rows.", "Nothing was sent.")
        return seen

    def _settle(self, first: Row | None, columns: Sequence[str] | None) -> None:
        if self.ask is None:
            if first is None or not is_openai_row(first.data):
                raise UsageProblem("there is no template.", 'Give one, for example --template "Summarise: {text}".')
            self.ask = OpenAIRows(self.model_given)
        names = columns if columns is not None else () if first is None else first.data
        if first is not None or columns is not None:
            self.ask.check(names, None if first is None else first.data)

    def request(self, row: Row) -> Request | BadRow:
        """Make the request of a row; one that lacks a field of the template is a bad row."""
        assert self.ask is not None
        try:
            return self.ask.request(row.data, row)
        except RowProblem as problem:
            return BadRow(row.index, row.line, str(problem), row.size_bytes, row.data)


def a_format(given: str | None, option: str) -> Format | None:
    """Read the name of a format."""
    if given is None or given in FORMATS:
        return given
    raise UsageProblem(f"{option} is one of {', '.join(FORMATS)}, not {given!r}.")
