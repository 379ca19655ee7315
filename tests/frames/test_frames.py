"""Frames in, outcomes back as columns: polars, pandas and pyarrow alike."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable
from typing import Any

import pandas
import polars
import pyarrow
import pytest
from pydantic import BaseModel

from asyncllm import AsyncLLM, BadRequestError, ConfigError, Outcome, frames

ROWS: dict[str, list[Any]] = {
    "id": [7, 8, 9],
    "text": ["a ü", None, "c"],
    "score": [1.5, None, 3.0],
    "day": [datetime.date(2025, 4, 30)] * 3,
}
KINDS: dict[str, Callable[[dict[str, list[Any]]], Any]] = {
    "polars": polars.DataFrame,
    # An index that is no range: columns must go beside their rows, not beside equal labels.
    "pandas": lambda rows: pandas.DataFrame(rows, index=[30, 10, 20]),
    "pyarrow": pyarrow.table,
}


class Ticket(BaseModel):
    """A type of answers."""

    topic: str
    score: int | None


@pytest.fixture(params=KINDS)
def frame(request: pytest.FixtureRequest) -> Any:
    """The same table in each library."""
    return KINDS[request.param](ROWS)


def column(frame: Any, name: str) -> list[Any]:
    """Return a column as Python has it, with None for what is missing."""
    values = (
        frame[name].tolist()
        if isinstance(frame, pandas.DataFrame)
        else frame[name].to_pylist()
        if isinstance(frame, pyarrow.Table)
        else frame[name].to_list()
    )
    return [None if value is None or value != value else value for value in values]


def names(frame: Any) -> list[str]:
    """Return the names of the columns."""
    return list(frame.column_names if isinstance(frame, pyarrow.Table) else frame.columns)


def test_each_row_is_a_request(frame: Any) -> None:
    """Texts, numbers and dates stand in the prompt as people write them, and what is missing is left empty."""
    requests = frames.requests(frame, "{text}|{score}|{day}", system="Be brief.", id="id", temperature=0.0)
    assert len(requests) == 3
    made = list(requests)
    assert [request.messages[-1]["content"] for request in made] == [
        "a ü|1.5|2025-04-30",
        "||2025-04-30",
        "c|3.0|2025-04-30",
    ]
    assert [request.id for request in made] == ["7", "8", "9"]
    assert made[0].messages[0] == {"role": "system", "content": "Be brief."}
    assert made[0].params == {"temperature": 0.0}
    assert made[1].data["text"] is None
    assert list(requests)[2] == made[2]


@pytest.mark.anyio
async def test_outcomes_become_columns_beside_their_rows(frame: Any) -> None:
    """The frame that comes back is of the same library, with its own columns as they were."""
    async with AsyncLLM(model="simulated/demo") as llm:
        outcomes = await llm.gather(frames.requests(frame, "Say: {text}"))
    made = frames.with_outcomes(frame, outcomes)
    assert type(made) is type(frame)
    assert names(made)[:5] == ["id", "text", "score", "day", "answer"]
    assert column(made, "id") == [7, 8, 9]
    assert column(made, "answer") == [outcome.text for outcome in outcomes]
    assert column(made, "ok") == [True, True, True]
    assert all(tokens > 0 for tokens in column(made, "output_tokens"))


@pytest.mark.anyio
async def test_fields_of_typed_answers_are_columns(frame: Any) -> None:
    """A column for each field; one that the frame has already keeps its name."""
    async with AsyncLLM(model="simulated/demo") as llm:
        outcomes = await llm.gather(frames.requests(frame, "{text}"), response_model=Ticket)
    made = frames.with_outcomes(frame, outcomes)
    assert column(made, "answer.topic") == [outcome.unwrap().topic for outcome in outcomes]
    assert "answer" not in names(made)


def test_rows_without_an_outcome_have_nulls(frame: Any) -> None:
    """Outcomes may come in any order and be some of them; an error is in its row."""
    failed: Outcome[Any] = Outcome(1, error=BadRequestError("no"))
    made = frames.with_outcomes(frame, [Outcome(2, value="good"), failed])
    assert column(made, "ok") == [None, False, True]
    assert column(made, "error") == [None, "BadRequestError: no", None]


def test_a_type_gives_its_columns_when_nothing_succeeded(frame: Any) -> None:
    """The shape of the result does not depend on luck."""
    made = frames.with_outcomes(frame, [Outcome(0, error=BadRequestError("no"))], Ticket)
    assert "answer.topic" in names(made)


def test_the_type_may_be_a_json_schema(frame: Any) -> None:
    """Its properties are the columns, as the fields of a model are."""
    schema = {"type": "object", "properties": {"topic": {"type": "string"}, "score": {"$ref": "#/definitions/score"}}}
    schema["definitions"] = {"score": {"type": "integer"}}
    made = frames.with_outcomes(frame, [Outcome(1, value={"topic": "x", "score": 7})], schema)
    assert column(made, "answer.topic") == [None, "x", None]
    assert column(made, "answer.score") == [None, 7, None]


def test_a_column_that_is_not_there_is_named(frame: Any) -> None:
    """Misspelt columns are found before a request is made."""
    with pytest.raises(ConfigError, match=r"\{txet\}.*Did you mean \{text\}"):
        frames.requests(frame, "{txet}")
    with pytest.raises(ConfigError, match="the field of the ids is 'key'"):
        frames.requests(frame, "{text}", id="key")


def test_outcomes_of_another_frame_are_refused(frame: Any) -> None:
    """An outcome of a row that is not there would be lost."""
    with pytest.raises(ConfigError, match="3 rows"):
        frames.with_outcomes(frame, [Outcome(3, value="x")])


def test_what_is_no_frame_is_said() -> None:
    """A lazy frame has no rows yet."""
    with pytest.raises(ConfigError, match=r"LazyFrame.*collect"):
        frames.requests(polars.LazyFrame(ROWS), "{text}")  # type: ignore[arg-type]


def test_missing_values_of_every_kind_are_empty() -> None:
    """pandas has several ways to say that there is nothing, and numpy's numbers are numbers."""
    frame = pandas.DataFrame(
        {"a": pandas.array([1, None], dtype="Int64"), "b": [pandas.NaT, pandas.Timestamp("2025-04-30")]}
    )
    texts = [request.messages[0]["content"] for request in frames.requests(frame, "{a}|{b}")]
    assert texts == ["1|", "|2025-04-30 00:00:00"]


def test_without_the_package_frames_are_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, "narwhals", None)
    with pytest.raises(ConfigError) as refused:
        frames.requests(polars.DataFrame(ROWS), "{text}")
    assert "asyncllm[frames]" in str(refused.value)
