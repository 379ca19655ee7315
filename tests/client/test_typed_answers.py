"""Typed answers through the pipeline: exactly the type that was asked for, with re-asks."""

from __future__ import annotations

from enum import Enum
from typing import Any, Literal, Optional

import pytest
from pydantic import BaseModel, field_validator

from asyncllm import (
    AsyncLLM,
    BadRequestError,
    ExtractionError,
    IncompleteOutputError,
    Outcome,
    RefusalError,
    Request,
    ServerError,
)
from asyncllm.simulator import Fault, Script, Simulator

pytestmark = pytest.mark.anyio

MODES = ["tools", "json_schema", "json", "md_json"]


class Person(BaseModel):
    """A person."""

    name: str
    email: str


class Mood(Enum):
    GOOD = "good"
    BAD = "bad"


class Shouted(BaseModel):
    text: str

    @field_validator("text")
    @classmethod
    def must_be_loud(cls, value: str) -> str:
        if not value.isupper():
            raise ValueError("write it in capitals")
        return value


def answer(text: str, **options: Any) -> Fault:
    return Fault("answer", text=text, **options)


@pytest.mark.parametrize("mode", MODES)
async def test_a_model_is_exactly_the_users_class(llm: AsyncLLM, mode: str) -> None:
    """In every mode the value is of the given class, and read from the answer."""
    person = await llm.extract(Person, "I am Jane Miller, jane@example.com", structured_mode=mode)
    assert type(person) is Person
    assert person.email == "jane@example.com"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (list[int], '{"value": [3, 4]}', [3, 4]),
        (int, '{"value": 7}', 7),
        (Literal["yes", "no"], '{"value": "no"}', "no"),
        (Mood, '{"value": "bad"}', Mood.BAD),
        (Optional[Person], '{"value": null}', None),  # noqa: UP045  # as users of older code write it
    ],
    ids=str,
)
async def test_other_types_come_as_themselves(
    llm: AsyncLLM, simulator: Simulator, mode: str, kind: Any, text: str, value: Any
) -> None:
    """A type that is not an object is asked for as the value of one, and unwrapped."""
    simulator.faults(answer(text))
    found = await llm.extract(kind, "what is it?", structured_mode=mode)
    assert found == value
    assert type(found) is type(value)


async def test_a_bad_answer_is_asked_again_with_what_was_wrong(llm: AsyncLLM, simulator: Simulator) -> None:
    """A re-ask has the reason of the refusal; usage and cost are those of both answers."""
    simulator.faults(Script([answer('{"text": "quiet"}'), answer('{"text": "LOUD"}')]))
    extraction = await llm.extract_with_completion(Shouted, "say it", structured_mode="json_schema")
    first, second = extraction.attempts
    assert extraction.value == Shouted(text="LOUD")
    assert "write it in capitals" in (first.error or "")
    assert second.error is None
    assert extraction.completion is second.completion
    assert extraction.usage.output_tokens == sum(a.completion.usage.output_tokens or 0 for a in extraction.attempts)
    assert extraction.cost_usd == pytest.approx(sum(a.completion.cost_usd or 0 for a in extraction.attempts))
    assert "write it in capitals" in str(simulator.seen.bodies[1]["messages"][-1])


async def test_reasks_come_to_an_end(llm: AsyncLLM, simulator: Simulator) -> None:
    """After `max_reasks` the error shows the answers, the reasons and the cost."""
    simulator.faults(answer('{"text": "quiet"}'))
    with pytest.raises(ExtractionError) as caught:
        await llm.extract(Shouted, "say it", max_reasks=1, structured_mode="json_schema")
    error = caught.value
    assert simulator.seen.requests == 2
    assert len(error.attempts) == 2
    assert "write it in capitals" in error.message
    assert "quiet" in error.message
    assert (error.cost_usd or 0) > 0
    assert error.usage is not None
    assert error.completion is error.attempts[-1].completion


async def test_no_reask_is_one_request(llm: AsyncLLM, simulator: Simulator) -> None:
    """`max_reasks = 0` asks once."""
    simulator.faults(answer("no JSON at all"))
    with pytest.raises(ExtractionError):
        await llm.extract(Person, "who?", max_reasks=0)
    assert simulator.seen.requests == 1


async def test_retries_and_reasks_are_not_mixed(llm: AsyncLLM, simulator: Simulator) -> None:
    """A failing provider is retried up to `num_retries` in each attempt, without using a re-ask."""
    down = Fault("status", code=500)
    simulator.faults(Script([down, answer('{"text": "quiet"}'), down, answer('{"text": "LOUD"}')]))
    extraction = await llm.extract_with_completion(
        Shouted, "say it", max_reasks=1, num_retries=1, structured_mode="json_schema"
    )
    assert [len(a.completion.record.attempts) for a in extraction.attempts] == [2, 2]
    assert simulator.seen.requests == 4


async def test_a_provider_error_is_not_asked_again(llm: AsyncLLM, simulator: Simulator) -> None:
    """A provider error is raised as it is, never as an ExtractionError."""
    simulator.faults(Fault("status", code=400))
    with pytest.raises(BadRequestError):
        await llm.extract(Person, "who?")
    assert simulator.seen.requests == 1
    simulator.faults(Fault("status", code=500))
    with pytest.raises(ServerError):
        await llm.extract(Person, "who?", num_retries=0)
    assert simulator.seen.requests == 2


async def test_a_refusal_has_its_own_error(llm: AsyncLLM, simulator: Simulator) -> None:
    """A model that declines is not asked again."""
    with pytest.raises(RefusalError, match="I would rather not") as caught:
        await llm.extract(
            Person,
            "who?",
            structured_mode="json_schema",
            extra_body={"simulator": {"refusal": "I would rather not"}},
        )
    assert simulator.seen.requests == 1
    assert caught.value.completion is not None


async def test_a_cut_answer_has_its_own_error(llm: AsyncLLM, simulator: Simulator) -> None:
    """An answer cut by the token limit is not asked for again, and its error has the partial value."""
    simulator.faults(answer('{"name": "Jane Miller", "email": "jane@example.com"}'))
    with pytest.raises(IncompleteOutputError) as caught:
        await llm.extract(Person, "who?", max_tokens=6, structured_mode="json_schema")
    assert simulator.seen.requests == 1
    partial: Any = caught.value.partial
    assert (partial.name, partial.email) == ("Jane Miller", None)


@pytest.mark.parametrize("mode", MODES)
async def test_the_users_text_is_sent_as_it_is(llm: AsyncLLM, simulator: Simulator, mode: str) -> None:
    """Braces and tags in the user's text are sent as they are."""
    text = "{{ 7 * 7 }} {% if x %} jane@example.com {# note #} {name}"
    await llm.extract(Person, text, structured_mode=mode)
    users = [message["content"] for message in simulator.seen.bodies[0]["messages"] if message["role"] == "user"]
    assert any(text in str(content) for content in users)


async def test_asking_changes_nothing_of_the_callers(llm: AsyncLLM, simulator: Simulator) -> None:
    """A re-ask does not change the caller's messages and parameters."""
    messages = [{"role": "user", "content": "say it"}]
    request = Request(messages, temperature=0.5)
    simulator.faults(Script([answer("nothing"), answer('{"text": "LOUD"}')]))
    await llm.extract(Shouted, request, structured_mode="json_schema")
    assert messages == [{"role": "user", "content": "say it"}]
    assert request.messages == ({"role": "user", "content": "say it"},)
    assert dict(request.params) == {"temperature": 0.5}


async def test_a_batch_is_typed_for_all_or_for_each(llm: AsyncLLM) -> None:
    """`response_model` holds for requests that name none of their own."""
    requests = [Request("I am Jane Miller, jane@example.com"), Request("I have 3", response_model=list[int])]
    outcomes: list[Outcome[Any]] = list(await llm.gather(requests, response_model=Person))
    assert type(outcomes[0].value) is Person
    assert type(outcomes[1].value) is list
    assert all((outcome.cost_usd or 0) > 0 for outcome in outcomes)


async def test_a_failed_typed_item_says_what_it_cost(llm: AsyncLLM, simulator: Simulator) -> None:
    """An item without a valid answer has its error, its last answer and the cost of all its answers."""
    simulator.faults(answer("nothing"))
    (outcome,) = await llm.gather(["who?"], response_model=Person, max_reasks=1)
    assert isinstance(outcome.error, ExtractionError)
    assert outcome.cost_usd == outcome.error.cost_usd
    assert outcome.completion is outcome.error.completion
    assert outcome.text == "nothing" or outcome.completion is not None


async def test_a_type_given_to_a_plain_call_points_to_extract(llm: AsyncLLM) -> None:
    """`response_model` in acompletion is a TypeError that says what to call."""
    with pytest.raises(TypeError, match="extract"):
        await llm.acompletion("hi", response_model=Person)  # type: ignore[call-overload]
