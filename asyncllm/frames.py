"""Frames of polars, pandas and other libraries: rows as requests, outcomes as columns.

requests = frames.requests(df, "Summarise: {text}", id="id")
df = frames.with_outcomes(df, await llm.gather(requests))
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from .batch.files import AnswerSchema, RowResult
from .batch.files.columns import AnswerColumns, Kind, as_kind
from .batch.outcome import Outcome
from .batch.prompt_template import RowProblem, Template
from .batch.prompts import Prompt
from .errors import ConfigError, not_installed
from .messages import Request

if TYPE_CHECKING:
    from narwhals import DataFrame, Series
    from narwhals.typing import IntoDataFrame, IntoDType

    Frame = TypeVar("Frame", bound=IntoDataFrame)
else:
    Frame = TypeVar("Frame")

__all__ = ["FrameRequests", "requests", "with_outcomes"]


class FrameRequests:
    """The requests of a frame's rows, built as they are taken; they can be iterated over more than once."""

    def __init__(self, frame: DataFrame[Any], prompt: Prompt, params: Mapping[str, Any]) -> None:
        self._frame = frame
        self._prompt = prompt
        self._params = params

    def __len__(self) -> int:
        return len(self._frame)

    def __iter__(self) -> Iterator[Request]:
        for number, row in enumerate(self._frame.iter_rows(named=True)):
            fields = {name: _plain(value) for name, value in row.items()}
            try:
                request = self._prompt.request(fields, fields)
            except RowProblem as problem:
                raise ConfigError(f"row {number} of the frame {problem}.") from None
            yield Request(request, **self._params)


def requests(
    frame: IntoDataFrame,
    template: str,
    *,
    system: str | None = None,
    image: str | None = None,
    id: str | None = None,
    **params: Any,
) -> FrameRequests:
    """Return a request for every row of a frame, for `gather` and `map`.

    Args:
        frame: A frame of polars, pandas, pyarrow or another library that narwhals supports.
        template: The prompt, with `{column}` for the value of a column; `{{` is a brace.
        system: Instructions that come first.
        image: The column with the path or address of a picture, or its bytes.
        id: The column with the rows' ids.
        **params: Chat-completions parameters for every row.

    Returns:
        The requests, whose `data` is their row as a dict.

    Raises:
        ConfigError: A column is missing, or narwhals is not installed.

    Example:
        ```python
        import polars
        from asyncllm import frames

        df = polars.DataFrame({"text": ["It arrived late.", "It works well."]})
        outcomes = await llm.gather(frames.requests(df, "Positive or negative? {text}"))
        ```
    """
    table = _table(frame)
    prompt = Prompt(Template(template), system, image, id)
    prompt.check(table.columns)
    if id is not None:
        Template(f"{{{id}}}").check(table.columns)
    return FrameRequests(table, prompt, params)


def with_outcomes(frame: Frame, outcomes: Iterable[Outcome[object]], response_model: Any = None) -> Frame:
    """Return a frame with columns for its outcomes: `answer`, `ok`, `error`, `finish_reason`, `model`, tokens and cost.

    Args:
        frame: The frame whose rows were the input, in the same order.
        outcomes: The outcomes of its rows, in any order; a row that has none gets nulls.
        response_model: The type of the answers, whose fields become columns `answer.FIELD`; None takes it from them.

    Raises:
        ConfigError: An outcome is of no row of this frame, or narwhals is not installed.

    Example:
        ```python
        import polars
        from asyncllm import frames

        df = polars.DataFrame({"text": ["It arrived late.", "It works well."]})
        df = frames.with_outcomes(df, await llm.gather(frames.requests(df, "Positive or negative? {text}")))
        print(df["text", "answer", "cost_usd"])
        ```
    """
    table = _table(frame)
    by_row: dict[int, Outcome[object]] = {}
    for outcome in outcomes:
        if outcome.index >= len(table):
            raise ConfigError(f"the frame has {len(table)} rows, and there is an outcome of row {outcome.index}.")
        by_row[outcome.index] = outcome
    answers = _answer_schema(response_model, by_row.values())
    columns = AnswerColumns(None if answers is None else answers.schema, table.columns)
    values: dict[str, list[object]] = {name: [] for name in columns.kinds}
    for index in range(len(table)):
        found = by_row.get(index)
        cells = columns.cells(RowResult.of(index, found, answers)) if found is not None else {}
        for name, kind in columns.kinds.items():
            values[name].append(as_kind(cells.get(name), kind))
    made = table.with_columns(*(_series(name, values[name], kind, table) for name, kind in columns.kinds.items()))
    native: Frame = made.to_native()
    return native


def _table(frame: Any) -> DataFrame[Any]:
    try:
        import narwhals
    except ImportError:
        raise not_installed("frames need", "frames") from None
    try:
        return narwhals.from_native(frame, eager_only=True)
    except TypeError:
        raise ConfigError(
            f"{type(frame).__name__} is no frame that can be read row by row.", hint="Of a lazy one, give .collect()."
        ) from None


def _answer_schema(response_model: object, outcomes: Iterable[Outcome[object]]) -> AnswerSchema | None:
    """Return the schema of typed answers; None when the answers are texts."""
    if response_model is None:
        values = (outcome.value for outcome in outcomes if outcome.ok)
        response_model = next((type(value) for value in values if not isinstance(value, str)), None)
    return None if response_model is None else AnswerSchema(response_model)


def _series(name: str, values: list[object], kind: Kind, table: DataFrame[Any]) -> Series[Any]:
    import narwhals

    # pandas chooses a type that has nulls if there are some; in the other libraries every type has them.
    types: dict[Kind, IntoDType] = {"int": narwhals.Int64, "float": narwhals.Float64, "bool": narwhals.Boolean}
    dtype = None if table.implementation.is_pandas_like() else types.get(kind, narwhals.String)
    return narwhals.new_series(name, values, dtype, backend=table.implementation)


def _plain(value: Any) -> object:
    """Return a cell as a plain Python value: None for what is missing, and no numbers of numpy's."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if hasattr(value, "tolist"):
        value = value.tolist()
    return None if isinstance(value, float) and value != value else value
