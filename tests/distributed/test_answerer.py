"""`Answerer` by itself, as Ray Data calls it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from enum import Enum
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import BaseModel, Field

from asyncllm import ConfigError
from asyncllm.errors import AuthenticationError
from asyncllm.simulator import Fault, Simulator

pa = pytest.importorskip("pyarrow", reason='pyarrow is not installed: pip install "asyncllm[ray]"')
pytest.importorskip("fsspec", reason='fsspec is not installed: pip install "asyncllm[ray]"')

from asyncllm.distributed import Answerer  # noqa: E402  # what it needs is there

pytestmark = pytest.mark.anyio
Make = Callable[..., Answerer]


class Mood(Enum):
    GOOD = "good"
    BAD = "bad"


class Person(BaseModel):
    name: str
    shoe_size: int | None = None


class Review(BaseModel):
    mood: Mood
    score: float
    people: list[Person]
    words: dict[str, int]
    either: int | str
    called: str = Field(alias="as")


class Node(BaseModel):
    name: str
    children: list[Node] = []


@pytest.fixture
async def answerer(options: dict[str, Any], anyio_backend: str) -> AsyncIterator[Make]:
    """Make a worker by the arguments of `Answerer`; closed at the end."""
    async with AsyncExitStack() as stack:

        def make(**arguments: Any) -> Answerer:
            given: dict[str, Any] = {"template": "Say {text}", "options": options, **arguments}
            made = Answerer(**given)
            stack.callback(made.close)
            return made

        yield make


def table(*texts: object, **columns: list[object]) -> Any:
    return pa.table({"text": [*texts], **columns})


async def test_columns(answerer: Make) -> None:
    """The rows keep their columns, and get those of their answers."""
    out = await answerer()(table("a", "b", number=[1, 2]))
    assert out.column_names == [
        *("text", "number", "answer", "ok", "error", "finish_reason", "model", "input_tokens", "output_tokens"),
        "cost_usd",
    ]
    first, second = out.to_pylist()
    assert '"Say a"' in first["answer"]
    assert '"Say b"' in second["answer"]
    assert first["ok"] is True
    assert first["error"] is None
    assert first["cost_usd"] > 0


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Ray warns of its own settings
@pytest.mark.parametrize("kind", ["dict", "pandas"])
async def test_formats_of_batches(answerer: Make, kind: str) -> None:
    """Batches of numpy's arrays and of pandas are taken too."""
    pytest.importorskip("ray", reason='Ray is not installed: pip install "asyncllm[ray]"')
    import numpy as np
    import pandas as pd

    batch: Any = {"text": np.array(["a", "b"]), "n": np.array([1, 2])}
    out = await answerer()(batch if kind == "dict" else pd.DataFrame(batch))
    assert [(row["n"], row["ok"]) for row in out.to_pylist()] == [(1, True), (2, True)]


async def test_columns_that_are_taken(answerer: Make) -> None:
    """A column of the rows is not replaced."""
    out = await answerer()(table("a", answer=["mine"]))
    (row,) = out.to_pylist()
    assert row["answer"] == "mine"
    assert row["asyncllm_answer"].startswith("Simulated")


async def test_bad_rows_end_nothing(answerer: Make, simulator: Simulator) -> None:
    """A row that fails has its error in its column, and so has one that makes no request."""
    simulator.faults(Fault("status", code=400, contains="poison"))
    rows = [{"text": "a"}, {"text": "poison"}, {"text": "b"}]
    out = await answerer(messages="chat", template=None)(
        pa.table({"chat": [[{"role": "user", "content": row["text"]}] for row in rows] + [[]]})
    )
    found = out.to_pylist()
    assert [row["ok"] for row in found] == [True, False, True, False]
    assert found[1]["error"].startswith("BadRequestError: ")
    assert found[3]["error"] == "RowProblem: has no messages in 'chat'"
    assert found[1]["answer"] is None


async def test_messages(answerer: Make, simulator: Simulator) -> None:
    """A column of messages is a text, a list of messages, or a list as JSON; nulls that Arrow adds are no fields."""
    make = answerer(messages="chat", template=None)
    await make(pa.table({"chat": ["plain", '[{"role": "user", "content": "json"}]', "[no json"]}))
    chat: list[dict[str, Any]] = [{"role": "user", "content": "list"}, {"role": "user", "content": "x", "name": "n"}]
    await make(pa.table({"chat": [chat]}))
    sent = [body["messages"] for body in simulator.seen.bodies]
    assert sorted(message[0]["content"] for message in sent) == ["[no json", "json", "list", "plain"]
    assert next(message for message in sent if len(message) == 2) == chat


async def test_typed_answers_are_structs(answerer: Make) -> None:
    """The type of the column is that of the model, whatever the values are."""
    out = await answerer(response_model=Review)(table("a"))
    kind = out.schema.field("answer").type
    assert kind == pa.struct(
        [
            ("mood", pa.string()),
            ("score", pa.float64()),
            ("people", pa.list_(pa.struct([("name", pa.string()), ("shoe_size", pa.int64())]))),
            ("words", pa.map_(pa.string(), pa.int64())),
            ("either", pa.string()),
            ("called", pa.string()),
        ]
    )
    (row,) = out.to_pylist()
    assert row["answer"]["mood"] in ("good", "bad")
    assert isinstance(row["answer"]["called"], str)


async def test_recursive_types_are_json(answerer: Make) -> None:
    """A type that contains itself is JSON text from there on."""
    out = await answerer(response_model=Node)(table("a"))
    assert out.schema.field("answer").type == pa.struct([("name", pa.string()), ("children", pa.list_(pa.string()))])


async def test_values_that_do_not_fit(answerer: Make, simulator: Simulator) -> None:
    """A number of more than 64 bits is the error of its row."""
    simulator.faults(Fault("answer", text=f'{{"name": "n", "shoe_size": {2**70}}}', contains="large"))
    out = await answerer(response_model=Person)(table("large", "small"))
    large, small = out.to_pylist()
    assert (large["ok"], large["answer"]) == (False, None)
    assert large["error"].startswith("OverflowError: ")
    assert small["ok"] is True


async def test_batches_overlap(answerer: Make, simulator: Simulator) -> None:
    """Rows of several batches are in flight together: the provider waits for all before it answers one."""
    make = answerer()
    await make(table("first"))
    simulator.faults(Fault("stall", at="before_headers"))
    async with anyio.create_task_group() as group:
        for name in "abcd":
            group.start_soon(make, table(f"{name}1", f"{name}2"))
        await simulator.seen.wait_async(lambda seen: seen.requests == 9)
        group.cancel_scope.cancel()


async def test_a_wrong_key_ends_the_job(answerer: Make, simulator: Simulator) -> None:
    """An error that every row will have is raised, before all rows are spent on it."""
    simulator.faults(Fault("status", code=401))
    with pytest.raises(AuthenticationError):
        await answerer()(table(*(f"r{n}" for n in range(400))))
    with pytest.raises(AuthenticationError):
        await answerer()(table(*(f"r{n}" for n in range(400))))


async def test_results_are_not_sent_again(answerer: Make, simulator: Simulator, tmp_path: Path) -> None:
    """What is in the folder is taken from there, by another worker, with the same columns and values."""
    arguments: dict[str, Any] = {"results": tmp_path / "answers", "run_id": "one", "response_model": Person, "id": "n"}
    rows = table(*(f"row {n}" for n in range(50)), n=[*range(50)])
    first = await answerer(**arguments)(rows)
    sent = simulator.seen.requests
    assert sent == 50
    again = await answerer(**arguments)(rows.slice(10))
    assert simulator.seen.requests == sent
    assert again.equals(first.slice(10))


async def test_what_changes_is_sent_again(answerer: Make, simulator: Simulator, tmp_path: Path) -> None:
    """Another prompt, another parameter and another run are other rows."""
    arguments: dict[str, Any] = {"results": tmp_path, "run_id": "one"}
    for changed in ({}, {"template": "Tell {text}"}, {"temperature": 0.5}, {"run_id": "two"}, {}):
        await answerer(**{**arguments, **changed})(table("a", "b"))
    assert simulator.seen.requests == 8


async def test_failures_are_sent_again_by_the_next_execution(
    answerer: Make, simulator: Simulator, tmp_path: Path
) -> None:
    """A worker that is started again keeps what failed; another execution sends it once more."""
    simulator.faults(Fault("status", code=400, contains="poison"))
    arguments: dict[str, Any] = {"results": tmp_path, "run_id": "one", "execution": "e1"}
    rows = table("a", "poison")
    for expected, execution in ((2, "e1"), (2, "e1"), (3, "e2")):
        out = await answerer(**{**arguments, "execution": execution})(rows)
        assert [row["ok"] for row in out.to_pylist()] == [True, False]
        assert simulator.seen.requests == expected


async def test_files_are_merged(answerer: Make, simulator: Simulator, tmp_path: Path) -> None:
    """Many small files become one, and nothing of them is lost."""
    make = answerer(results=tmp_path, run_id="one")
    for n in range(70):
        await make(table(f"row {n}"))
    files = [*(tmp_path / "one").iterdir()]
    assert len(files) == 7
    again = await answerer(results=tmp_path, run_id="one")(table(*(f"row {n}" for n in range(70))))
    assert all(row["ok"] for row in again.to_pylist())
    assert simulator.seen.requests == 70


async def test_a_file_that_was_being_written(answerer: Make, simulator: Simulator, tmp_path: Path) -> None:
    """What a killed worker left half-written is not read."""
    arguments: dict[str, Any] = {"results": tmp_path, "run_id": "one"}
    await answerer(**arguments)(table("a"))
    (whole,) = (tmp_path / "one").iterdir()
    whole.with_name("x-y-000001.parquet.partial").write_bytes(whole.read_bytes()[:20])
    await answerer(**arguments)(table("a", "b"))
    assert simulator.seen.requests == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"template": None}, "one of template and messages"),
        ({"messages": "chat"}, "one of template and messages"),
        ({"template": None, "messages": "chat", "system": "Be brief"}, "belong to a template"),
        ({"options": {"api_key": "sk-x"}}, "api_key is not sent to workers"),
        ({"extra_headers": {"Authorization": "x"}}, "extra_headers is not sent to workers"),
        ({"run_id": "one"}, "results and run_id belong together"),
        ({"max_concurrency": 0}, "must be at least 1"),
    ],
)
async def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    """Arguments are checked when they are given."""
    given: dict[str, Any] = {"template": "Say {text}", **arguments}
    with pytest.raises(ConfigError, match=message):
        Answerer(**given)


async def test_a_missing_column(answerer: Make) -> None:
    """A column that the rows do not have is named, with the nearest."""
    with pytest.raises(ConfigError, match=r"Did you mean \{text\}"):
        await answerer(template="Say {texx}")(table("a"))
