"""Wrong answers of every kind and their results; the table of docs/guides/typed-answers.md."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

from asyncllm import (
    AsyncLLM,
    DeadlineExceededError,
    ExtractionError,
    IncompleteOutputError,
    Reask,
    RefusalError,
    ServerError,
)
from asyncllm.simulator import Fault, Script, Simulator
from asyncllm.structured.reading import documents
from asyncllm.structured.schema.readers import BadAnswerError

pytestmark = pytest.mark.anyio


class Person(BaseModel):
    """Ignores fields that it does not have, as pydantic does by default."""

    name: str
    age: int


class Exact(Person):
    """Forbids them."""

    model_config = ConfigDict(extra="forbid")


JANE = '{"name": "Jane", "age": 41}'
JOE = '{"name": "Joe", "age": 7}'
TAKEN = Person(name="Jane", age=41)

# What the first answer says, and why it is asked again; None where it is taken as it is.
ANSWERS: dict[str, tuple[str, str | None]] = {
    "invalid JSON": ('{"name": "Jane", "age": 41,}', "not valid JSON"),
    "cut without saying so": ('{"name": "Jane", "age": 41', "not valid JSON"),
    "wrong type": ('{"name": "Jane", "age": "old"}', "age: "),
    "missing field": ('{"name": "Jane"}', "age: Field required"),
    "extra field": ('{"name": "Jane", "age": 41, "mood": "good"}', None),
    "fenced": (f"```json\n{JANE}\n```", None),
    "chatty": (f"Sure! Here you {{are}} [1]:\n{JANE}\nAnything else?", None),
    "after thoughts": (f"<think>Perhaps {JOE}? No.</think>{JANE}", None),
    "thoughts without their beginning": (f"Let me see.</think>\n{JANE}", None),
    "thoughts without an end": (f"<think>Perhaps {JOE}? No, {JANE}", "never closes its <think>"),
    "the same object twice": (f"{JANE}\n```json\n{JANE}\n```", None),
    "two objects": (f"{JOE} or {JANE}", "2 JSON documents"),
    "an object within a broken one": (f'{{"person": {JANE}, "note": ', "not valid JSON"),
    "list of one": (f"[{JANE}]", "the answer: Input should be an object"),
    "empty": ("", "empty"),
    "null": ("null", "the answer: Input should be an object"),
    "words": ("I do not know.", "not valid JSON"),
    "not the whole number": ('{"name": "Jane", "age": 41.5}', "age: "),
}


@pytest.mark.parametrize("kind", ANSWERS)
async def test_a_wrong_answer_is_taken_only_when_it_is_plain_what_was_meant(
    llm: AsyncLLM, simulator: Simulator, mode: str, kind: str
) -> None:
    """An answer with exactly one value is read; any other is asked for again, with the reason."""
    text, reason = ANSWERS[kind]
    simulator.faults(Script([Fault("answer", text=text), Fault("answer", text=JANE)]))
    extraction = await llm.extract_with_completion(Person, "Who?", structured_mode=mode)
    assert extraction.value == TAKEN
    assert len(extraction.attempts) == (1 if reason is None else 2)
    if reason is not None and (mode, kind) != ("tools", "empty"):
        assert reason in (extraction.attempts[0].error or "")


async def test_an_extra_field_that_the_type_forbids_is_asked_again(llm: AsyncLLM, simulator: Simulator) -> None:
    """The type decides whether other fields are allowed."""
    simulator.faults(Script([Fault("answer", text=ANSWERS["extra field"][0]), Fault("answer", text=JANE)]))
    extraction = await llm.extract_with_completion(Exact, "Who?", structured_mode="json")
    assert "mood: Extra inputs are not permitted" in (extraction.attempts[0].error or "")


def scripted(**script: Any) -> dict[str, Any]:
    """Make the body that scripts the simulator."""
    return {"simulator": script}


@pytest.mark.parametrize(
    "calls",
    [
        [{"name": "other", "arguments": {"name": "Jane", "age": 41}}],
        [{"name": "Person", "arguments": {"name": "Jane", "age": 41}}, {"name": "other", "arguments": {}}],
        [{"name": "Person", "arguments": JANE}, {"name": "Person", "arguments": JOE}],
    ],
    ids=["another tool", "another tool as well", "twice, with different arguments"],
)
async def test_calls_that_are_not_the_one_asked_for_are_no_answer(llm: AsyncLLM, calls: Any) -> None:
    """A call of another tool, or two different calls, are asked again, though each might be read."""
    with pytest.raises(ExtractionError) as caught:
        await llm.extract(Person, "Who?", structured_mode="tools", max_reasks=1, extra_body=scripted(tool_calls=calls))
    assert [("call" in (attempt.error or "")) for attempt in caught.value.attempts] == [True, True]


async def test_a_text_instead_of_the_call_is_read(llm: AsyncLLM) -> None:
    """Arguments in the text instead of a tool call are read."""
    found = await llm.extract(Person, "Who?", structured_mode="tools", extra_body=scripted(text=JANE))
    assert found == TAKEN


async def test_a_refusal_ends_the_call(llm: AsyncLLM, simulator: Simulator, mode: str) -> None:
    """A model that declines is not asked again, in any mode."""
    with pytest.raises(RefusalError, match="I will not") as caught:
        await llm.extract(Person, "Who?", structured_mode=mode, extra_body=scripted(refusal="I will not"))
    assert simulator.seen.requests == 1
    assert caught.value.usage is not None


async def test_a_content_filter_ends_the_call(llm: AsyncLLM, simulator: Simulator) -> None:
    """An answer that the provider's filter stopped is not asked again."""
    filtered = scripted(text='{"name": "Jane', finish_reason="content_filter")
    with pytest.raises(RefusalError, match="content filter"):
        await llm.extract(Person, "Who?", structured_mode="json", extra_body=filtered)
    assert simulator.seen.requests == 1


async def test_a_cut_answer_ends_the_call_with_what_came(llm: AsyncLLM, simulator: Simulator, mode: str) -> None:
    """An answer cut by the token limit is not asked for again; the error has the complete fields, and only these."""
    simulator.faults(Fault("answer", text='{"name": "Jane Miller", "age": 4123456}'))
    with pytest.raises(IncompleteOutputError, match="token limit") as caught:
        await llm.extract(Person, "Who?", structured_mode=mode, max_tokens=9)
    partial: Any = caught.value.partial
    assert simulator.seen.requests == 1
    assert (partial.name, partial.age) == ("Jane Miller", None)
    assert caught.value.usage == caught.value.attempts[0].completion.usage


async def test_a_reask_holds_the_last_bad_answer_and_nothing_older(
    llm: AsyncLLM, simulator: Simulator, mode: str
) -> None:
    """The conversation of a re-ask is the first one, the last answer and the reason: it does not grow."""
    bad = [f'{{"name": "Jane", "age": "bad{number}"}}' for number in range(4)]
    simulator.faults(Script([*(Fault("answer", text=text) for text in bad), Fault("answer", text=JANE)]))
    await llm.extract(Person, "Who?", structured_mode=mode, max_reasks=4)
    bodies = simulator.seen.bodies
    assert len({len(body["messages"]) for body in bodies[1:]}) == 1
    assert "bad3" in str(bodies[4])
    assert not any(old in str(bodies[4]) for old in ("bad0", "bad1", "bad2"))


async def test_the_error_says_everything_on_one_screen(llm: AsyncLLM, simulator: Simulator) -> None:
    """The error shows the request, the answers, their problems and the cost on one screen."""
    simulator.faults(Fault("answer", text='{"name": "' + "x" * 5000 + '"}'))
    with pytest.raises(ExtractionError) as caught:
        await llm.extract(Person, "Who is it? " * 200, structured_mode="json_schema", max_reasks=9)
    message = str(caught.value)
    for part in ("Person", "json_schema", "10 attempts", "$", "Who is it?", "age: Field required"):
        assert part in message
    assert len(message) < 24 * 100
    assert str(pickle.loads(pickle.dumps(caught.value))) == message


async def test_a_check_may_ask_again(llm: AsyncLLM, simulator: Simulator) -> None:
    """The reason of an asynchronous check goes to the model, and its next answer is checked as well."""
    simulator.faults(Script([Fault("answer", text=JOE), Fault("answer", text=JANE)]))
    seen = []

    async def grown_up(person: Person) -> None:
        seen.append(person.name)
        if person.age < 18:
            raise Reask("Name an adult.")

    extraction = await llm.extract_with_completion(Person, "Who?", check=grown_up, structured_mode="json")
    assert extraction.value == TAKEN
    assert seen == ["Joe", "Jane"]
    assert extraction.attempts[0].error == "Name an adult."
    assert "Name an adult." in str(simulator.seen.bodies[1]["messages"])


async def test_an_error_of_a_check_is_the_callers_own(llm: AsyncLLM, simulator: Simulator) -> None:
    """Only Reask asks again; any other error of a check is raised."""

    def broken(person: Person) -> None:
        raise KeyError("database")

    simulator.faults(Fault("answer", text=JANE))
    with pytest.raises(KeyError):
        await llm.extract(Person, "Who?", check=broken)
    assert simulator.seen.requests == 1


class Known(BaseModel):
    """A type whose validator uses the context."""

    name: str

    @field_validator("name")
    @classmethod
    def must_be_known(cls, value: str, info: ValidationInfo) -> str:
        """Ask again for a name that is not on the list."""
        assert info.context is not None
        if value not in info.context["known"]:
            raise Reask(f"{value} is not on the list")
        return value


async def test_validators_have_their_context_and_may_ask_again(llm: AsyncLLM, simulator: Simulator) -> None:
    """The validation context reaches pydantic and no request."""
    simulator.faults(Script([Fault("answer", text=JOE), Fault("answer", text=JANE)]))
    known = await llm.extract(Known, "Who?", validation_context={"known": ["Jane"]}, structured_mode="json")
    assert known.name == "Jane"
    first, second = simulator.seen.bodies
    assert "known" not in str(first["messages"][-1])
    assert "Joe is not on the list" in str(second["messages"])


async def test_the_deadline_holds_for_all_attempts_together(llm: AsyncLLM, simulator: Simulator) -> None:
    """A re-ask does not begin a new deadline."""
    simulator.faults(Script([None, Fault("answer", text="nothing"), Fault("stall")]))
    await llm.extract(Person, "Jane, aged 41")
    with pytest.raises(DeadlineExceededError):
        await llm.extract(Person, "Who?", deadline=1, num_retries=0)
    assert simulator.seen.requests == 3


async def test_transport_failures_are_no_reasks(either: AsyncLLM, simulator: Simulator) -> None:
    """Over either transport, num_retries is for a failing provider, and max_reasks for a bad answer."""
    down = Fault("status", code=503)
    simulator.faults(Script([down, Fault("answer", text="nothing"), down, Fault("answer", text=JANE)]))
    found = await either.extract(Person, "Who?", num_retries=1, max_reasks=1, structured_mode="json")
    assert found == TAKEN
    simulator.faults(Script([Fault("answer", text="nothing"), down, down]))
    with pytest.raises(ServerError) as caught:
        await either.extract(Person, "Who?", num_retries=1, max_reasks=1, structured_mode="json")
    assert caught.value.status_code == 503


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('a {b} [c] {"x": 1}', ['{"x": 1}']),
        ('see [1] and [2]: {"x": [1]}', ['{"x": [1]}']),
        ("first [1], [2, 3]", ["[1]", "[2, 3]"]),
        ('<think>{"x": 0}</think> {"x": 1}', ['{"x": 1}']),
        ('{"x": "<think>"} then {"y": 2}', ['{"x": "<think>"}', '{"y": 2}']),
        ("nothing", []),
    ],
)
def test_documents_are_told_from_words(text: str, found: list[str]) -> None:
    """Brackets in words, footnotes and thoughts are not documents."""
    assert documents(text) == found


@pytest.mark.parametrize("text", ['{"x": {"y": 1}', 'so: {"x": 1,} and {"y": 2}', '[{"x": 1}, {"y"]', '{"a":' * 5000])
def test_what_a_broken_document_holds_is_not_taken_for_it(text: str) -> None:
    """An object inside a broken document is not taken, although it is valid by itself."""
    with pytest.raises(BadAnswerError, match="not valid JSON"):
        documents(text)
