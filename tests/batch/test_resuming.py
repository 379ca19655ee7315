"""A batch with a journal: what is done is not sent again, and what is sent again is known before."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
from pydantic import BaseModel, field_validator

import asyncllm
from asyncllm import AsyncLLM, BadRequestError, BudgetExceededError, Journal, JournalError, Request
from asyncllm.batch.progress import Progress
from asyncllm.simulator import Fault, Simulator
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


class Ticket(BaseModel):
    topic: Literal["delivery", "refund"]
    number: int


def questions(count: int) -> list[Request]:
    return [Request(f"question {n}", id=f"q-{n}") for n in range(count)]


async def test_a_second_run_sends_nothing(llm: AsyncLLM, simulator: Simulator, path: Path) -> None:
    """What the journal has comes from it: the text, the answer, the cost and the tokens, marked as such."""
    first = await llm.gather([f"question {n}" for n in range(30)], journal=path)
    assert simulator.seen.requests == 30
    again = await llm.gather([f"question {n}" for n in range(30)], journal=path)
    assert simulator.seen.requests == 30
    assert [o.text for o in again] == [o.text for o in first]
    assert [(o.cost_usd, o.usage, o.index) for o in again] == [(o.cost_usd, o.usage, o.index) for o in first]
    assert all(o.from_journal for o in again)
    assert not any(o.from_journal for o in first)
    assert again[3].completion is not None
    assert first[3].completion is not None
    assert again[3].completion.to_dict() == first[3].completion.to_dict()
    assert again[3].attempts == first[3].attempts


async def test_typed_values_come_back_as_what_they_were(llm: AsyncLLM, simulator: Simulator, path: Path) -> None:
    """A value from the journal is of exactly the type that is asked for."""
    first = await llm.gather(["a", "b"], response_model=Ticket, journal=path)
    again = await llm.gather(["a", "b"], response_model=Ticket, journal=path)
    assert [o.value for o in again] == [o.value for o in first]
    assert all(type(o.value) is Ticket and o.from_journal for o in again)
    assert [entry.value for entry in Journal(path).outcomes()] == [o.unwrap().model_dump() for o in first]
    assert simulator.seen.requests == 2


async def test_an_answer_that_fits_no_longer_is_asked_for_again(
    llm: AsyncLLM, simulator: Simulator, path: Path
) -> None:
    """A validator is no part of a schema; what it refuses now is sent again, and not handed over."""
    strict = False

    class Number(BaseModel):
        number: int

        @field_validator("number")
        @classmethod
        def check(cls, number: int) -> int:
            if strict and number != 7:
                raise ValueError("it must be 7")
            return number

    simulator.faults(Fault("answer", text='{"number": 1}'))
    await llm.gather(["a"], response_model=Number, journal=path)
    strict = True
    simulator.faults(Fault("answer", text='{"number": 7}'))
    (outcome,) = await llm.gather(["a"], response_model=Number, journal=path)
    assert (outcome.value, outcome.from_journal) == (Number(number=7), False)
    assert Journal(path).summary().runs[1].again == {"type changed": 1}


async def test_failed_items_are_sent_again(llm: AsyncLLM, simulator: Simulator, path: Path) -> None:
    """An error is no answer: the next run tries again, and only that."""
    simulator.faults(Fault("status", code=400, contains="question 3"))
    outcomes = await llm.gather(questions(10), journal=path)
    assert [o.index for o in outcomes if not o.ok] == [3]
    assert Journal(path).summary().failed == {"BadRequestError": 1}
    simulator.faults()
    outcomes = await llm.gather(questions(10), journal=path)
    assert simulator.seen.requests == 11
    assert all(o.ok for o in outcomes)
    assert [o.from_journal for o in outcomes].count(False) == 1
    assert Journal(path).summary().runs[1].again == {"failed": 1}


async def test_truncated_answers_are_asked_for_again(llm: AsyncLLM, simulator: Simulator, path: Path) -> None:
    """An answer that the token limit cut is handed over, and is sent again by the next run."""
    (outcome,) = await llm.gather(["count to a hundred"], journal=path, max_tokens=2)
    assert outcome.completion is not None
    assert outcome.completion.finish_reason == "length"
    assert Journal(path).summary().truncated == 1
    (outcome,) = await llm.gather(["count to a hundred"], journal=path, max_tokens=2)
    assert (outcome.from_journal, simulator.seen.requests) == (False, 2)
    assert Journal(path).summary().runs[1].again == {"truncated": 1}


async def test_what_cannot_be_sent_is_in_the_journal_too(llm: AsyncLLM, path: Path) -> None:
    """An item of which no request can be made fails alone, with its index and its id."""
    requests: list[Any] = [42, {"role": "usr", "content": "x"}, Request("x", id="c", temprature=1), "fine", object()]
    outcomes = await llm.gather(requests, journal=path)
    assert [o.ok for o in outcomes] == [False, False, False, True, False]
    entries = list(Journal(path).outcomes())
    assert [(e.index, e.id, e.error) for e in entries] == [
        (0, None, "TypeError"),
        (1, None, "ValueError"),
        (2, "c", "TypeError"),
        (3, None, None),
        (4, None, "TypeError"),
    ]
    (run,) = Journal(path).summary().runs
    assert (run.failed, run.again) == (0, {})  # nothing was sent for them, and nothing again
    assert all(e.started_at and run.started_at <= e.started_at <= (run.ended_at or 0.0) for e in entries)


async def test_an_outcome_is_committed_when_it_is_handed_over(llm: AsyncLLM, path: Path) -> None:
    """An outcome that was handed over is in the journal."""
    async with llm.map(questions(20), journal=path, max_concurrency=3) as outcomes:
        async for outcome in outcomes:
            assert outcome.index in {entry.index for entry in Journal.read(path).outcomes()}


@pytest.mark.parametrize("named", [True, False])
async def test_a_row_inserted_at_the_top_is_sent_alone(
    llm: AsyncLLM, simulator: Simulator, path: Path, named: bool
) -> None:
    """Positions mean nothing: the rows after a new one are known, with an id and without."""
    rows = [Request(f"question {n}", id=f"q-{n}" if named else None) for n in range(20)]
    await llm.gather(rows, journal=path)
    outcomes = await llm.gather([Request("a new one", id="new" if named else None), *rows], journal=path)
    assert simulator.seen.requests == 21
    assert [o.index for o in outcomes if not o.from_journal] == [0]
    assert [entry.index for entry in Journal(path).outcomes()] == list(range(21))


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("lazy", [True, False])
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"temperature": 0.9}, "temperature changed"),
        ({"model": "openai/gpt-4o"}, "model changed"),
        ({"max_tokens": 500}, "max_tokens changed"),
    ],
)
async def test_what_a_change_affects_is_sent_again_and_said_before(
    llm: AsyncLLM,
    simulator: Simulator,
    path: Path,
    caplog: pytest.LogCaptureFixture,
    named: bool,
    lazy: bool,
    change: dict[str, Any],
    reason: str,
) -> None:
    """A changed parameter or model affects the items that have none of their own; how many is known at the start."""
    own: dict[str, Any] = {"temperature": 0.1, "model": "openai/gpt-4o-mini", "max_tokens": 100}
    rows = [Request(f"question {n}", id=f"q-{n}" if named else None, **(own if n < 4 else {})) for n in range(10)]
    await llm.gather(rows, journal=path)
    told: list[tuple[Progress, int]] = []
    with caplog.at_level(logging.INFO, "asyncllm"):
        requests = (row for row in rows) if lazy else rows
        outcomes = await llm.gather(
            requests,
            journal=path,
            progress=lambda progress: told.append((progress, simulator.seen.requests)),
            **change,
        )
    assert [o.from_journal for o in outcomes] == [True] * 4 + [False] * 6
    assert simulator.seen.requests == 16
    first, sent = told[0]
    assert sent == 10
    assert first.resumed is not None
    assert (first.resumed.done, first.resumed.again) == (4, {reason: 6})
    assert reason.split()[0] in first.resumed.changed
    assert Journal(path).summary().runs[1].again == {reason: 6}
    said = [record.getMessage() for record in caplog.records if record.getMessage().startswith("batch.resumed")]
    assert len(said) == 1
    assert f"6 {reason}" in said[0]


async def test_a_changed_prompt_is_said_before(llm: AsyncLLM, simulator: Simulator, path: Path) -> None:
    """A list is looked through first: what of it is new or has changed is known before anything is sent."""
    await llm.gather(questions(5), journal=path)
    rows = [*questions(4), Request("another question", id="q-4"), Request("one more", id="q-5")]

    def stop(progress: Progress) -> None:
        assert progress.resumed is not None
        resumed = progress.resumed
        raise LookupError(resumed.done, dict(resumed.again), resumed.new, resumed.in_words())

    with pytest.raises(LookupError) as told:
        await llm.gather(rows, journal=path, progress=stop)
    done, again, new, words = told.value.args
    assert (done, again, new) == (4, {"prompt changed": 1}, 1)
    assert words == "run 2: 4 done; 1 to be sent again (1 prompt changed); 1 new"
    assert simulator.seen.requests == 5
    assert Journal(path).summary().done == 5


async def test_answers_of_other_settings_are_kept(llm: AsyncLLM, simulator: Simulator, path: Path) -> None:
    """Items without ids are known by what is sent: going back to earlier settings costs nothing."""
    for temperature in (0.1, 0.9, 0.1):
        await llm.gather(["a", "b"], journal=path, temperature=temperature)
    assert simulator.seen.requests == 4


async def test_a_cancelled_batch_keeps_what_was_done(llm: AsyncLLM, simulator: Simulator, path: Path) -> None:
    """What was answered is in the journal; what was in flight is counted as paid for, perhaps, and sent again."""
    simulator.faults(Fault("stall", contains="slow"))
    requests = [Request("slow" if n % 5 == 4 else f"quick {n}", id=f"{n}") for n in range(20)]
    async with anyio.create_task_group() as group:

        async def run() -> None:
            await llm.gather(requests, journal=path, max_concurrency=5)

        group.start_soon(run)

        def is_stuck() -> bool:
            summary = Journal(path).summary() if path.exists() else None
            return summary is not None and (summary.done, summary.in_flight) == (16, 4)

        await until(is_stuck)
        group.cancel_scope.cancel()
    summary = Journal.read(path).summary()
    assert (summary.done, summary.unknown, summary.waiting, summary.running) == (16, 4, 4, False)
    assert summary.runs[0].ended == "stopped"
    assert 0 < summary.unknown_usd < summary.cost_usd
    simulator.faults()
    told: list[Progress] = []
    outcomes = await llm.gather(requests, journal=path, progress=told.append)
    assert all(o.ok for o in outcomes)
    assert simulator.seen.requests == 24
    assert told[0].resumed is not None
    assert (told[0].resumed.unknown, told[0].resumed.again) == (4, {"unknown": 4})
    assert list(path.parent.iterdir()) == [path]


async def test_a_batch_that_is_left_is_stopped(llm: AsyncLLM, simulator: Simulator, path: Path) -> None:
    """Leaving the block early ends the run; another one goes on from there."""
    async with llm.map(questions(20), journal=path, max_concurrency=2) as outcomes:
        async for _ in outcomes:
            break
    assert Journal(path).summary().runs[0].ended == "stopped"
    sent = simulator.seen.requests
    outcomes_ = await llm.gather(questions(20), journal=path)
    assert all(o.ok for o in outcomes_)
    assert simulator.seen.requests - sent == 20 - sum(o.from_journal for o in outcomes_)


async def test_a_journal_is_written_by_one_batch_at_a_time(llm: AsyncLLM, path: Path) -> None:
    """A second batch on it is refused; the first one goes on."""
    async with llm.map(questions(5), journal=path) as outcomes:
        with pytest.raises(JournalError, match="in use by another run"):
            await llm.gather(questions(5), journal=path)
        assert len([o async for o in outcomes]) == 5


async def test_the_first_error_of_a_batch_is_in_the_journal(llm: AsyncLLM, simulator: Simulator, path: Path) -> None:
    """`on_error="raise"` ends the run with the error, after it was written down."""
    simulator.faults(Fault("status", code=400))
    with pytest.raises(BadRequestError):
        await llm.gather(questions(5), journal=path, on_error="raise", max_concurrency=1)
    assert Journal(path).summary().failed == {"BadRequestError": 1}
    assert simulator.seen.requests == 1


async def test_stop_after_errors(llm: AsyncLLM, simulator: Simulator) -> None:
    """The error that makes it so many ends the batch, and says so; those before it were handed over."""
    simulator.faults(Fault("status", code=400, contains="bad"))
    given = []

    async def run() -> None:
        requests = ["good", "bad 1", "bad 2", "good", "bad 3", *["good"] * 50]
        async with llm.map(requests, stop_after_errors=3, max_concurrency=1) as outcomes:
            async for outcome in outcomes:
                given.append(outcome.ok)

    with pytest.raises(BadRequestError) as error:
        await run()
    assert error.value.__notes__ == ["The batch ends with this error: 3 of its items have failed."]
    assert given.count(False) <= 2
    assert simulator.seen.requests == 5


async def test_the_budget_goes_on_across_runs(llm: AsyncLLM, simulator: Simulator, path: Path) -> None:
    """What the runs before have cost is spent: another run of the same journal has what is left."""
    options: Any = {"journal": path, "max_tokens": 1000, "max_concurrency": 1}
    (first,) = await llm.gather(["question"], **options)
    assert first.cost_usd is not None
    # Enough for one more answer at its worst, if nothing had been spent.
    worst = 1000 * 0.6e-6 + 0.1e-4
    (refused,) = await llm.gather(["another"], budget_usd=worst, **options)
    assert isinstance(refused.error, BudgetExceededError)
    (allowed,) = await llm.gather(["another"], budget_usd=worst + first.cost_usd, **options)
    assert allowed.ok
    assert simulator.seen.requests == 2


async def test_prompts_and_data_are_kept_when_asked_for(llm: AsyncLLM, path: Path, secret_key: str) -> None:
    """A journal that shall hold them does; a key is in no journal, even where a header has one."""
    journal = Journal(path, keep_prompts=True, keep_data=True)
    request = Request("my prompt", data={"row": 1, "thing": object}, extra_headers={"x-extra": secret_key})
    await llm.gather([request], journal=journal)
    (entry,) = journal.outcomes()
    assert entry.prompt == [{"role": "user", "content": "my prompt"}]
    assert entry.data == {"row": 1, "thing": "<class 'object'>"}
    assert secret_key.encode() not in await anyio.Path(path).read_bytes()


@pytest.mark.parametrize("kind", ["generator", "async generator"])
async def test_lazy_input_is_resumed_as_it_comes(llm: AsyncLLM, simulator: Simulator, path: Path, kind: str) -> None:
    """An input that can be read once is looked up as it is read."""

    def rows() -> Iterator[Request]:
        yield from questions(50)

    async def arows() -> AsyncIterator[Request]:
        for request in questions(50):
            yield request

    for _ in range(2):
        outcomes = await llm.gather(rows() if kind == "generator" else arows(), journal=path, max_concurrency=8)
        assert [o.id for o in outcomes] == [f"q-{n}" for n in range(50)]
    assert simulator.seen.requests == 50


async def test_ordered_outcomes_from_a_journal(llm: AsyncLLM, simulator: Simulator, path: Path) -> None:
    """What is known and what is sent come in the order of the input."""
    await llm.gather(questions(40)[::2], journal=path)
    async with llm.map(questions(40), journal=path, ordered=True, max_concurrency=3) as outcomes:
        given = [o async for o in outcomes]
    assert [o.index for o in given] == list(range(40))
    assert [o.from_journal for o in given] == [True, False] * 20
    assert simulator.seen.requests == 40


async def test_samples_say_how_a_run_went(llm: AsyncLLM, path: Path) -> None:
    """The time series of a run ends with all of its items."""
    await llm.gather(questions(10), journal=path)
    last = list(Journal(path).samples())[-1]
    assert (last.run, last.done, last.failed, last.in_flight, last.waiting) == (1, 10, 0, 0, 0)
    assert last.tokens > 0
    assert last.cost_usd == pytest.approx(Journal(path).summary().cost_usd)


@pytest.mark.leaks
async def test_nothing_is_left_behind(llm: AsyncLLM, path: Path) -> None:
    """The writer's thread and files end with the batch, and so does the thread that reads the input."""
    await llm.gather((request for request in questions(5)), journal=path, durability="full")
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("wrong", "error", "match"),
    [
        ({"stop_after_errors": 0}, ValueError, "at least 1"),
        ({"on_error": "ignore"}, ValueError, "'return' or 'raise'"),
        ({"budget_usd": -1}, ValueError, "negative"),
        ({"durability": "full"}, TypeError, "given by its path"),
        ({"journal": 7}, TypeError, "a Journal or a path, not int"),
        ({"progress": "yes"}, TypeError, "True, False or a function"),
    ],
)
async def test_wrong_options_are_refused(
    llm: AsyncLLM, wrong: dict[str, Any], error: type[Exception], match: str
) -> None:
    """An option that makes no sense is the caller's mistake, and is said before anything is read."""
    with pytest.raises(error, match=match):
        await llm.gather(["a"], **wrong)


async def test_a_batch_without_a_client_takes_the_same(
    simulator: Simulator, path: Path, options: dict[str, Any], anyio_backend: str
) -> None:
    """The one-off gather gives the batch what is the batch's, and the client what is the client's."""
    for budget, kept in ((1.0, False), (1.0, True)):
        wanted: Any = {**options, "journal": path, "deduplicate": True, "budget_usd": budget, "max_tokens": 50}
        outcomes = await asyncllm.agather(["a", "a", "b"], max_concurrency=7, **wanted)
        assert [o.from_journal for o in outcomes] == [kept] * 3
    assert simulator.seen.requests == 2
