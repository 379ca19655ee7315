"""Answers that are not in the form that was asked for, and plainly hold the value."""

from __future__ import annotations

import json
from datetime import date
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from asyncllm import AsyncLLM, ExtractionError
from asyncllm.simulator import Fault, Simulator

pytestmark = pytest.mark.anyio


class Person(BaseModel):
    name: str
    age: int | None = None


class Step(BaseModel):
    """Looks like a call itself."""

    name: str
    arguments: dict[str, int]


JANE = {"name": "Jane", "age": 41}
CALL = {"name": "Person", "arguments": JANE}

# How models write a call in their text.
WRITTEN = {
    "in words": f"Person({json.dumps(JANE)})",
    "bare": json.dumps(JANE),
    "fenced": f"Here it is:\n```json\n{json.dumps(JANE)}\n```",
    "named beside its arguments": json.dumps(CALL),
    "with arguments that are a text": json.dumps({**CALL, "arguments": json.dumps(JANE)}),
    "with parameters": json.dumps({"name": "Person", "parameters": JANE}),
    "as a function": json.dumps({"type": "function", "function": CALL}),
    "in a list": json.dumps([CALL]),
    "between marks": f"<tool_call>\n{json.dumps(CALL)}\n</tool_call>",
}


def in_text(text: str) -> dict[str, Any]:
    """Make the body that has the simulator answer in its text, without a call."""
    return {"simulator": {"text": text}}


@pytest.mark.parametrize("kind", WRITTEN)
async def test_a_call_that_is_written_instead_of_made_is_the_answer(llm: AsyncLLM, mode: str, kind: str) -> None:
    """In any mode, also where the type would take the call itself for a value."""
    found = await llm.extract(Person, "Who?", structured_mode=mode, max_reasks=0, extra_body=in_text(WRITTEN[kind]))
    assert found == Person(name="Jane", age=41)


async def test_a_value_that_looks_like_a_call_is_the_value(llm: AsyncLLM) -> None:
    """A type with fields of these names is read as it is."""
    text = json.dumps({"name": "Step", "arguments": {"n": 1}})
    found = await llm.extract(Step, "Which?", structured_mode="json", max_reasks=0, extra_body=in_text(text))
    assert found == Step(name="Step", arguments={"n": 1})


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({**CALL, "name": "other"}),
        json.dumps([CALL, CALL]),
        json.dumps({"name": "Person", "arguments": {"age": 41}}),
        f"{json.dumps(JANE)} or {json.dumps({**JANE, 'age': 7})}",
        '"arguments"',
        '{"arguments": ',
    ],
    ids=["of another tool", "twice", "with wrong arguments", "two candidates", "a word", "cut"],
)
async def test_what_is_not_plainly_the_call_is_asked_again(llm: AsyncLLM, simulator: Simulator, text: str) -> None:
    """Nothing is guessed."""

    class Exact(Person, extra="forbid"):
        pass

    Exact.__name__ = "Person"
    with pytest.raises(ExtractionError):
        await llm.extract(Exact, "Who?", structured_mode="tools", max_reasks=1, extra_body=in_text(text))
    assert simulator.seen.requests == 2


# Types that are asked for as the `value` of an object, a value without it, and the same read.
BARE: dict[str, tuple[Any, str, object]] = {
    "list": (list[int], "[1, 2]", [1, 2]),
    "number": (int, "42", 42),
    "map": (dict[str, int], '{"a": 1}', {"a": 1}),
    "text": (Literal["red", "blue"], '"red"', "red"),
    "date": (date, '"2026-01-31"', date(2026, 1, 31)),
    "null": (int | None, "null", None),
    "model of a union": (Person | int, json.dumps(JANE), Person(name="Jane", age=41)),
    "schema": ({"type": "object", "additionalProperties": {"type": "integer"}}, '{"a": 1}', {"a": 1}),
}


@pytest.mark.parametrize(
    "around", ["{}", "```json\n{}\n```", "<think>42?</think>\n{}"], ids=["bare", "fenced", "thoughts"]
)
@pytest.mark.parametrize("kind", BARE)
async def test_a_value_without_its_object_is_the_answer(llm: AsyncLLM, mode: str, kind: str, around: str) -> None:
    """A model that leaves the object out is not asked again."""
    response_model, text, value = BARE[kind]
    body = in_text(around.replace("{}", text))
    assert await llm.extract(response_model, "?", structured_mode=mode, max_reasks=0, extra_body=body) == value


@pytest.mark.parametrize(
    ("response_model", "text", "reason"),
    [
        (int, '"red"', "valid integer"),
        (int, "```\n1\n``` or ```\n2\n```", "2 JSON documents"),
        (int, "It is 42.", "not valid JSON"),
        (dict[str, int], '{"a": "x"}', "value: Field required"),
        # What is in the object that was asked for is the value, and nothing else is tried.
        (dict[str, int], '{"value": 1}', "value: Input should be an object"),
    ],
)
async def test_a_value_that_does_not_validate_is_asked_again(
    llm: AsyncLLM, response_model: Any, text: str, reason: str
) -> None:
    """The reason is that of the form that was asked for."""
    with pytest.raises(ExtractionError, match=reason):
        await llm.extract(response_model, "?", structured_mode="json", max_reasks=0, extra_body=in_text(text))


async def test_streams_read_the_text_of_a_model_that_calls_no_tool(llm: AsyncLLM, simulator: Simulator) -> None:
    """Snapshots and items come from the text until a tool is called."""
    body = in_text(f"Sure: {json.dumps(JANE)}")
    async with llm.stream_partial(Person, "Who?", structured_mode="tools", extra_body=body) as stream:
        snapshots = [snapshot async for snapshot in stream]
        assert await stream.final() == Person(name="Jane", age=41)
    assert snapshots[-1].name == "Jane"
    body = in_text(json.dumps([JANE, JANE]))
    async with llm.stream_items(Person, "Who?", structured_mode="tools", extra_body=body) as items:
        assert [item.age async for item in items] == [41, 41]
    simulator.faults(Fault("answer", text=json.dumps(JANE)))
    async with llm.stream_partial(Person, "Who?", structured_mode="tools") as stream:
        assert await stream.final() == Person(name="Jane", age=41)
