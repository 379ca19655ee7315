"""The job of a batch: its input, its requests, and its output."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from sys import maxsize
from typing import TYPE_CHECKING, Any

from asyncllm.batch.files import (
    FORMATS,
    STDIN,
    WRITTEN_FORMATS,
    AnswerSchema,
    BadRow,
    Compression,
    FileInput,
    FileInputs,
    Format,
    InputReader,
    Kind,
    Layout,
    Row,
    kind_of,
)
from asyncllm.batch.prompt_template import RowProblem
from asyncllm.batch.prompts import OpenAIRows, Prompt, is_openai_row
from asyncllm.errors import ConfigError

from ..terminal.exit_codes import UsageProblem
from ..terminal.replaced_file import partial_path

if TYPE_CHECKING:
    from asyncllm import LLMConfig, Request
    from asyncllm.batch.files.parquet import Schema

RowRequests = Prompt | OpenAIRows

# Rows of JSON Lines have fields of their own: the first may lack one that most others have.
_LOOKED_AT = 100


@dataclass(frozen=True, slots=True)
class OutputTarget:
    """The output of a batch.

    Attributes:
        path: The file; None for stdout.
        journal: The journal of the run; None for none.
        escaped: Whether cells of CSV that a spreadsheet would calculate are written as texts.
        columns: The columns of the input that are kept; None for all.
    """

    path: Path | None
    format: Format
    compression: Compression | None
    journal: Path | None
    escaped: bool = True
    columns: tuple[str, ...] | None = None

    @classmethod
    def of(
        cls,
        output: str,
        format: str | None,
        journal: Path | None,
        escaped: bool = True,
        columns: tuple[str, ...] | None = None,
    ) -> OutputTarget:
        """Return the output that the command line names."""
        given = format_named(format, "--output-format", WRITTEN_FORMATS)
        if output == STDIN:
            if given == "parquet":
                raise UsageProblem("Parquet is not written to stdout.", "Name a file: -o OUT.parquet.")
            return cls(None, given or "jsonl", None, journal, escaped, columns)
        path = Path(output)
        # Replacing a link would leave the file that it leads to as it was.
        path = path.resolve() if path.is_symlink() else path
        named = kind_of(path)
        chosen = given or named.format or "jsonl"
        if chosen not in WRITTEN_FORMATS:
            kind = "plain lines" if chosen == "lines" else f"{path.suffix} files"
            raise UsageProblem(f"results are not written as {kind}.", "Name OUT .jsonl, .csv or .parquet.")
        beside = path.with_name(f"{path.name}.journal")
        return cls(path, chosen, named.compression, journal or beside, escaped, columns)

    @property
    def delimiter(self) -> str:
        """The delimiter of CSV."""
        return "\t" if self.path is not None and ".tsv" in self.path.suffixes else ","

    @property
    def rejected(self) -> Path | None:
        """The file of rows that are not sent."""
        return None if self.path is None else self.path.with_name(f"{self.path.name}.rejected")

    def kept(self, data: Mapping[str, object]) -> Mapping[str, object]:
        """Return the fields of a row that are kept beside its answer."""
        return data if self.columns is None else {name: data[name] for name in self.columns if name in data}

    def known_columns(self, source: FileInputs) -> tuple[dict[str, Kind], Schema | None] | None:
        """Return the columns that are kept and their kinds, by the header or by the types of a table.

        Returns:
            None where only reading all rows tells them.
        """
        with source.open() as reading:
            next(reading.rows(), None)
            if reading.table is not None:
                fields = {column.name: column for column in reading.table}
                names = fields if self.columns is None else self.columns
                return dict.fromkeys(names, "str"), [fields[name] for name in names]
            if reading.is_text and reading.all_columns is not None:
                return dict.fromkeys(reading.all_columns if self.columns is None else self.columns, "str"), None
        return None

    def check_columns(self, known: Sequence[str] | None) -> None:
        """Raise if a column that is to be kept is not in the input; None for an input without columns of its own."""
        for name in self.columns or ():
            if known is not None and name not in known:
                raise UsageProblem(
                    f"--columns names {name!r}, which the input does not have.", f"Its columns are: {', '.join(known)}."
                )

    def check(self, source: FileInputs, limit: int | None, *, replaces: bool) -> None:
        """Raise if results cannot or must not be written there, before anything is sent.

        Args:
            limit: The most rows of the source that are sent.
            replaces: Whether results that are there may be lost.
        """
        if self.path is None:
            return
        if self.path.is_dir():
            raise UsageProblem(f"{self.path} is a directory.", "Name a file.")
        if self.path.exists() and not self.path.is_file():
            raise UsageProblem(f"{self.path} is no file that can be replaced.", "Name a file, or - for stdout.")
        if self.path.exists() and any(self.path.samefile(path) for path in source.paths if path.exists()):
            raise UsageProblem(f"{self.path} is the input itself.", "Name another file.")
        if self.path.is_file() and self.path.stat().st_size and not replaces:
            if self.journal is None or not self.journal.exists():
                raise UsageProblem(f"{self.path} exists.", "Name another file, or give --overwrite.")
            self._check_limit(limit if source.sample is None else min(source.sample, limit or maxsize))
        # Nothing is paid for that could not be written.
        partial = partial_path(self.path)
        partial.open("ab").close()
        partial.unlink()

    def row_count(self) -> int:
        """Return the number of rows of the file that is there; 0 where there is none.

        Raises:
            ConfigError: It is broken, or of another format.
        """
        if self.path is None or not self.path.is_file() or not self.path.stat().st_size:
            return 0
        with FileInput(str(self.path), self.format).open() as reading:
            return sum(1 for _ in reading.rows())

    def _check_limit(self, most: int | None) -> None:
        """Raise if a part of the input would replace the results of more rows than it has."""
        rows = 0 if most is None else self.row_count()
        if most is not None and rows > most:
            raise UsageProblem(
                f"{self.path} has the results of {rows:,} rows, and a run of {most:,} would replace them.",
                "Name another OUT to try something on a few rows, or give --overwrite to replace these.",
            )


@dataclass(slots=True)
class Job:
    """The job of a batch.

    Attributes:
        requests: Builds the request of a row; decided by the first row where it is None.
        answers: The JSON Schema of that type, and its values as JSON data.
        limit: The most rows that are sent.
        budget_usd: What all runs of the journal may spend.
        stop_after_errors: The number of failed rows that ends the run.
        model_given: The model of the command line, if it names one.
    """

    source: FileInputs
    target: OutputTarget
    config: LLMConfig
    requests: RowRequests | None
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    response_model: Any = None
    answers: AnswerSchema | None = None
    limit: int | None = None
    budget_usd: float | None = None
    stop_after_errors: int | None = None
    deduplicate: bool = False
    model_given: str | None = None

    @property
    def layout(self) -> Layout:
        """The layout of the results, but for the columns of the input."""
        target = self.target
        return Layout(
            target.format,
            target.compression,
            schema=self.schema,
            escaped=target.escaped,
            delimiter=target.delimiter,
            with_file=len(self.source.files) > 1,
        )

    @property
    def schema(self) -> Mapping[str, object] | None:
        """The JSON Schema of the answers; None for texts."""
        return None if self.answers is None else self.answers.schema

    def first_rows(self, rows: Iterator[Row | BadRow], reading: InputReader) -> list[Row | BadRow]:
        """Read to the first row that makes a request, and decide by it how rows become requests.

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
                self._decide(row, reading)
            except ConfigError as error:
                refused = refused or error
                if reading.columns is not None or len(seen) >= _LOOKED_AT:
                    break
            else:
                return seen
        if refused is not None:
            raise refused
        if seen or reading.columns is not None:
            self._decide(None, reading)
        if not seen:
            raise UsageProblem("the input has no rows.", "Nothing was sent.")
        return seen

    def _decide(self, first: Row | None, reading: InputReader) -> None:
        columns = reading.columns
        if self.requests is None:
            if first is None or not is_openai_row(first.data):
                raise UsageProblem("there is no template.", 'Give one, for example --template "Summarise: {text}".')
            self.requests = OpenAIRows(self.model_given)
        data = None if first is None else first.data
        self.target.check_columns(reading.all_columns)
        if data is not None and columns is not None:
            data = {name: data[name] for name in columns}
        if data is not None or columns is not None:
            self.requests.check(columns if columns is not None else data or (), data)

    def request(self, row: Row) -> Request | BadRow:
        """Return the request of a row; a row that lacks a field of the template is a bad one."""
        requests = self.requests
        assert requests is not None
        if row.file is not None and isinstance(requests, Prompt) and requests.image_field is not None:
            requests = replace(requests, directory=Path(row.file).parent)  # pictures are beside the file of the row
        try:
            return requests.request(row.data, row)
        except RowProblem as problem:
            return BadRow(row.index, row.line, str(problem), row.size_bytes, row.data, file=row.file)

    def items(self, rows: Iterable[Row | BadRow]) -> Iterator[tuple[Row | BadRow, Request | BadRow]]:
        """Yield rows with their requests, as far as the limit allows."""
        count = 0
        for row in rows:
            made = row if isinstance(row, BadRow) else self.request(row)
            if not isinstance(made, BadRow):
                if count == self.limit:
                    return
                count += 1
            yield row, made

    def preview(self) -> Iterator[Request]:
        """Yield the requests of an input that can be read again, without reporting anything."""
        with self.source.open() as reading:
            for _, made in self.items(reading.rows()):
                if not isinstance(made, BadRow):
                    yield made


def format_named(given: str | None, option: str, among: tuple[Format, ...] = FORMATS) -> Format | None:
    """Return the format of a name that an option gives."""
    if given is None or given in among:
        return given
    raise UsageProblem(f"{option} is one of {', '.join(among)}, not {given!r}.")
