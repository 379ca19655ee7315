"""instructor: the parts that are relied upon, and its own clients."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any, get_overloads

import anyio
import pytest
from pydantic import BaseModel, field_validator

from asyncllm import LLM, AsyncLLM, Request
from asyncllm.completions.view import View
from asyncllm.simulator import Fault, Script, Simulator
from asyncllm.structured.prompting import MODES, Mode, Prepared, handlers
from asyncllm.structured.schema.answer_type import AnswerType

pytestmark = pytest.mark.anyio


class Person(BaseModel):
    """A person."""

    name: str
    age: int

    @field_validator("name")
    @classmethod
    def must_be_named(cls, value: str) -> str:
        """Refuse one name."""
        if value == "Nobody":
            raise ValueError("somebody has a name")
        return value


JANE = '{"name": "Jane", "age": 41}'


def test_what_is_asked_is_what_instructor_asks(mode: Mode) -> None:
    """A conversation with what was learnt from a request handler equals the handler's own."""
    form = Prepared(AnswerType(Person), mode)
    conversation = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who?"}]
    asked = form.request(Request(conversation))
    messages, params = asked.messages, asked.params
    given = {"messages": [dict(message) for message in conversation]}
    theirs = handlers(mode).request_handler(Person, given)[1]
    assert [message["role"] for message in messages] == [message["role"] for message in theirs["messages"]]
    for ours, other in zip(messages, theirs.pop("messages"), strict=True):
        assert ours["content"].split() == other["content"].split()
    if mode == "json_schema":
        spec = params["response_format"]["json_schema"]
        assert (spec.pop("strict"), spec["schema"].pop("additionalProperties")) == (True, False)
    assert params == theirs


def test_the_handlers_of_every_mode_are_there() -> None:
    """instructor's registry has a request and a re-ask handler for each of the four modes, called as they are here."""
    for mode in MODES:
        found = handlers(mode)
        inspect.signature(found.request_handler).bind(Person, {})
        inspect.signature(found.reask_handler).bind({}, None, ValueError())


def test_a_reask_says_what_was_wrong_in_instructors_words(mode: Mode) -> None:
    """A re-ask handler adds the bad answer and the reason; without an answer, the reason alone."""
    message: dict[str, Any] = {"role": "assistant", "content": "nonsense"}
    if mode == "tools":
        call = {"id": "1", "type": "function", "function": {"name": "Person", "arguments": "{}"}}
        message = {"role": "assistant", "content": "", "tool_calls": [call]}
    answered = View({"choices": [{"message": message}]})
    for given, count in ((answered, 2), (None, 1)):
        asked = handlers(mode).reask_handler({"messages": []}, given, ValueError("age is missing"))
        assert len(asked["messages"]) == count
        assert "age is missing" in asked["messages"][-1]["content"]


async def test_its_client_creates_through_the_pipeline(either: AsyncLLM, simulator: Simulator, mode: Mode) -> None:
    """Code written for instructor runs on this client: re-asks are instructor's, retries are ours."""
    client = either.with_options(structured_mode=mode, num_retries=1).instructor()
    down = Fault("status", code=503)
    bad = Fault("answer", text='{"name": "Nobody", "age": 1}')
    simulator.faults(Script([down, bad, Fault("answer", text=JANE)]))
    messages: Any = [{"role": "user", "content": "Who?"}]
    person, completion = await client.create_with_completion(messages=messages, response_model=Person, max_retries=1)
    assert (person.name, person.age) == ("Jane", 41)
    assert completion.usage.prompt_tokens > 0
    assert simulator.seen.requests == 3


async def test_its_client_streams_partials_and_iterables(llm: AsyncLLM, simulator: Simulator) -> None:
    """create_partial and create_iterable read our streams."""
    client = llm.with_options(structured_mode="tools").instructor()
    messages: Any = [{"role": "user", "content": "Who?"}]
    simulator.faults(Fault("answer", text=JANE))
    partials = [partial async for partial in client.create_partial(messages=messages, response_model=Person)]
    assert (partials[-1].name, partials[-1].age) == ("Jane", 41)
    simulator.faults(Fault("answer", text=f'{{"tasks": [{JANE}, {JANE}]}}'))
    people = [person async for person in client.create_iterable(messages=messages, response_model=Person)]
    assert [person.name for person in people] == ["Jane", "Jane"]


async def test_its_hooks_are_called(llm: AsyncLLM, simulator: Simulator) -> None:
    """instructor's hooks see what is sent and what comes."""
    client = llm.with_options(structured_mode="json").instructor()
    simulator.faults(Fault("answer", text=JANE))
    seen: list[str] = []
    client.on("completion:kwargs", lambda *_, **__: seen.append("asked"))
    client.on("completion:response", lambda response: seen.append(response.choices[0].message.content))
    messages: Any = [{"role": "user", "content": "Who?"}]
    await client.create(messages=messages, response_model=Person, max_tokens=100)
    assert seen == ["asked", JANE]
    assert simulator.seen.bodies[0]["max_tokens"] == 100


def test_its_blocking_client_works_as_well(simulator: Simulator, options: dict[str, Any]) -> None:
    """`LLM.instructor()` is instructor's blocking client."""
    with LLM(transport="wire", structured_mode="json", **options) as llm:
        simulator.faults(Fault("answer", text=JANE))
        messages: Any = [{"role": "user", "content": "Who?"}]
        client = llm.instructor()
        assert client.create(messages=messages, response_model=Person).name == "Jane"
        names = [partial.name for partial in client.create_partial(messages=messages, response_model=Person)]
        assert names[-1] == "Jane"


@pytest.mark.parametrize("name", ["extract", "extract_with_completion", "stream_partial", "stream_items", "instructor"])
def test_the_blocking_api_mirrors_the_typed_calls(name: str) -> None:
    """Both clients take the same arguments for a typed call, and show type checkers the same overloads."""
    ours, blocking = getattr(AsyncLLM, name), getattr(LLM, name)
    assert list(inspect.signature(ours).parameters.values()) == list(inspect.signature(blocking).parameters.values())
    assert len(get_overloads(ours)) == len(get_overloads(blocking))


async def test_many_first_calls_prepare_a_type_once(llm: AsyncLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks that ask for a new type at the same time wait for one preparation."""
    from asyncllm.structured import prompting

    made = []

    class Counted(Prepared):
        def __init__(self, *args: Any) -> None:
            made.append(args)
            super().__init__(*args)

    monkeypatch.setattr(prompting, "Prepared", Counted)

    class Fresh(BaseModel):
        age: int

    found: list[Any] = []

    async def ask() -> None:
        found.append(await llm.extract(Fresh, "I am 41"))

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(ask)
    assert found == [Fresh(age=41)] * 10
    assert len(made) == 1


def test_an_iterable_is_a_list() -> None:
    """`Iterable[T]`, as instructor's users write it, is asked for as a list."""
    schema: Any = AnswerType(Iterable[int]).schema
    assert schema["properties"]["value"]["type"] == "array"
