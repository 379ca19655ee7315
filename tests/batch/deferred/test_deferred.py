"""Deferred batches: the same outcomes as live ones, by the providers' batch APIs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import anyio
import pytest
from pydantic import BaseModel, field_validator

from asyncllm import (
    LLM,
    AsyncLLM,
    BudgetExceededError,
    ExtractionError,
    Journal,
    JournalError,
    NotCachedError,
    Request,
    UnsupportedError,
)
from asyncllm.batch.deferred.job import DeferredJob
from asyncllm.batch.deferred.providers import limits
from asyncllm.batch.progress import Progress
from asyncllm.batch.report import figures
from asyncllm.batch.report.text import text
from asyncllm.models import batch_prices
from asyncllm.simulator import BatchFaults, Simulator

from .conftest import POLL_S, is_live, options_of

pytestmark = pytest.mark.anyio


def questions(count: int) -> list[Request]:
    return [Request(f"question {n}", id=f"q-{n}", data=n) for n in range(count)]


def states_of(job: DeferredJob[Any]) -> list[str]:
    """Return the states of a job's batches; none before its journal is there."""
    try:
        return [batch.state for batch in job.status.batches]
    except JournalError:
        return []


async def cancelled_when(states: list[str], job: DeferredJob[Any], run: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    """Run something, and cancel it when the batches of a job are in some states."""
    async with anyio.create_task_group() as group:
        group.start_soon(run)
        with anyio.fail_after(30):
            while states_of(job) != states:  # noqa: ASYNC110
                await anyio.sleep(POLL_S)  # the journal is read from the disk
        group.cancel_scope.cancel()


async def test_a_deferred_batch_has_the_outcomes_of_a_live_one(llm: AsyncLLM, simulator: Simulator, path: Path) -> None:
    """Texts, ids, data and order are those of a live batch; the cost is half of it."""
    live = await llm.gather(questions(5))
    done = await llm.gather(questions(5), deferred=True, journal=path, poll_s=POLL_S)
    assert [o.error for o in done] == [None] * 5
    assert [(o.index, o.id, o.data, o.text, o.value) for o in done] == [
        (o.index, o.id, o.data, o.text, o.value) for o in live
    ]
    assert [o.cost_usd for o in done] == [pytest.approx((o.cost_usd or 0) / 2) for o in live]
    assert sum(simulator.batches.billed.values()) == 5
    assert [entry.text for entry in Journal(path).outcomes()] == [o.text for o in live]


async def test_a_second_run_creates_no_batch(llm: AsyncLLM, simulator: Simulator, path: Path) -> None:
    """What the journal has comes from it, and a new item alone is sent."""
    await llm.gather(questions(3), deferred=True, journal=path, poll_s=POLL_S)
    again = await llm.gather(questions(4), deferred=True, journal=path, poll_s=POLL_S)
    assert [o.from_journal for o in again] == [True, True, True, False]
    assert sorted(simulator.batches.billed.values()) == [1] * 4


@pytest.mark.leaks
async def test_a_job_is_submitted_and_taken_up_by_another_client(
    llm: AsyncLLM, provider: str, simulator: Simulator, secret_key: str, path: Path
) -> None:
    """`submit` returns when everything is with the provider; another client waits for the outcomes."""
    simulator.batches.takes_s = 1000
    job = await llm.submit(questions(4), journal=path)
    assert job.status.is_with_provider
    assert not job.status.has_ended
    assert [(b.state, b.requests, b.answered) for b in (await job.refresh()).batches] == [("sent", 4, 0)]
    simulator.batches.advance(1000)
    async with AsyncLLM(**options_of(provider, simulator, secret_key)) as other:
        taken_up = other.deferred(path, poll_s=POLL_S)
        async with taken_up.outcomes(ordered=True) as outcomes:
            texts = [(o.index, o.id, o.text) async for o in outcomes]
        assert taken_up.status.has_ended
        async with taken_up.outcomes() as outcomes:  # once more, from the journal
            assert sorted([(o.index, o.id, o.text) async for o in outcomes]) == texts
    assert [id for _, id, _ in texts] == ["q-0", "q-1", "q-2", "q-3"]
    assert sum(simulator.batches.billed.values()) == 4


async def test_a_submitted_job_is_continued_by_map(llm: AsyncLLM, simulator: Simulator, path: Path) -> None:
    """The same requests again wait for what is with the provider, and create nothing."""
    simulator.batches.takes_s = 1000
    await llm.submit(questions(3), journal=path)
    simulator.batches.advance(1000)
    done = await llm.gather(questions(3), deferred=True, journal=path, poll_s=POLL_S)
    assert [(o.id, o.data, o.ok) for o in done] == [(f"q-{n}", n, True) for n in range(3)]
    assert sum(simulator.batches.billed.values()) == 3


async def test_a_cancelled_job_says_so_for_each_request(llm: AsyncLLM, simulator: Simulator, path: Path) -> None:
    """Cancelled requests end with an error, cost nothing, and are sent again by the next run."""
    simulator.batches.takes_s = 1000
    job = await llm.submit(questions(2), journal=path)
    await job.cancel()
    async with job.outcomes() as outcomes:
        errors = [str(o.error) async for o in outcomes]
    assert len(errors) == 2
    assert all("cancelled" in error for error in errors)
    assert not simulator.batches.billed
    simulator.batches.takes_s = 0
    done = await llm.gather(questions(2), deferred=True, journal=path, poll_s=POLL_S)
    assert [o.ok for o in done] == [True, True]


class Ticket(BaseModel):
    topic: Literal["delivery", "refund"]
    number: int


async def test_typed_answers_are_of_their_type(llm: AsyncLLM, simulator: Simulator, path: Path) -> None:
    """A typed batch has values, also when it is taken up again with the type."""
    done = await llm.gather(["a", "b"], response_model=Ticket, deferred=True, journal=path, poll_s=POLL_S)
    assert [o.error for o in done] == [None, None]
    assert all(type(o.value) is Ticket for o in done)
    async with llm.deferred(path, response_model=Ticket).outcomes(ordered=True) as outcomes:
        assert [o.value async for o in outcomes] == [o.value for o in done]


async def test_a_typed_answer_that_is_not_valid_is_asked_for_again_live(
    llm: AsyncLLM, simulator: Simulator, path: Path
) -> None:
    """A bad answer of the batch is one attempt; the next goes out live with the reason."""

    class Odd(Ticket):
        @field_validator("number")
        @classmethod
        def is_first_refused(cls, value: int) -> int:
            attempts.append(value)
            if len(attempts) == 1:
                raise ValueError("try again")
            return value

    attempts: list[int] = []
    (outcome,) = await llm.gather(["a"], response_model=Odd, deferred=True, journal=path, poll_s=POLL_S)
    assert outcome.ok, outcome.error
    assert type(outcome.value) is Odd
    assert is_live(simulator.seen.paths[-1])
    assert "try again" in str(simulator.seen.bodies[-1])


class Fussy(Ticket):
    """A type that refuses the first answers that it is given."""

    refusals: ClassVar[list[int]] = []

    @field_validator("number")
    @classmethod
    def is_refused(cls, value: int) -> int:
        if cls.refusals:
            cls.refusals.pop()
            raise ValueError("try again")
        return value


@pytest.mark.parametrize("refusals", [1, 2])
async def test_a_typed_answer_that_is_not_valid_goes_into_another_round(
    llm: AsyncLLM, simulator: Simulator, path: Path, refusals: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `reask="deferred"` nothing is sent live, the reason goes along, and every answer counts in the cost."""
    monkeypatch.setattr(Fussy, "refusals", [0] * refusals)
    options: dict[str, Any] = {"deferred": True, "journal": path, "poll_s": POLL_S, "reask": "deferred"}
    done = await llm.gather(["a", "b"], response_model=Fussy, **options)
    assert [(o.error, type(o.value)) for o in done] == [(None, Fussy)] * 2
    assert not any(map(is_live, simulator.seen.paths))
    assert sum(simulator.batches.billed.values()) == 2 + refusals
    # Both answers of the first batch may have been refused, or one of them twice.
    spent = sum(o.cost_usd or 0 for o in done)
    assert spent > 1.5 * min(o.cost_usd or 0 for o in await llm.gather(["a", "b"], response_model=Ticket))
    assert Journal(path).summary().cost_usd == pytest.approx(spent)


async def test_an_answer_that_is_never_valid_ends_with_all_its_attempts(
    llm: AsyncLLM, simulator: Simulator, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After `max_reasks` rounds the error has every answer."""
    monkeypatch.setattr(Fussy, "refusals", [0] * 9)
    options: dict[str, Any] = {"deferred": True, "journal": path, "poll_s": POLL_S, "reask": "deferred"}
    (outcome,) = await llm.gather(["a"], response_model=Fussy, **options)
    assert isinstance(outcome.error, ExtractionError)
    assert len(outcome.error.attempts) == 3
    assert [b.requests for b in llm.deferred(path).status.batches] == [1, 1, 1]


async def test_a_round_of_re_asks_is_continued_by_another_run(
    llm: AsyncLLM, simulator: Simulator, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an answer has cost that was refused is not lost, and not paid again, when the run ends in between."""
    monkeypatch.setattr(Fussy, "refusals", [0])
    options: dict[str, Any] = {"journal": path, "poll_s": POLL_S, "reask": "deferred"}
    simulator.batches.takes_s = 1000
    job = await llm.submit(["a"], response_model=Fussy, **options)
    simulator.batches.advance(1000)
    again = partial(llm.gather, ["a"], response_model=Fussy, deferred=True, **options)
    await cancelled_when(["ended", "sent"], job, again)
    simulator.batches.advance(1000)
    (outcome,) = await again()
    assert outcome.ok
    assert sum(simulator.batches.billed.values()) == 2
    assert outcome.usage is not None
    assert outcome.completion is not None
    assert (outcome.usage.input_tokens or 0) > (outcome.completion.usage.input_tokens or 0)


async def test_requests_are_split_by_the_limits(
    llm: AsyncLLM, provider: str, simulator: Simulator, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that is larger than a batch may be makes several, and all outcomes come in order."""
    monkeypatch.setitem(limits.LIMITS, provider, replace(limits.LIMITS[provider], requests=3))
    done = await llm.gather(questions(7), deferred=True, journal=path, poll_s=POLL_S)
    assert [o.id for o in done if o.ok] == [f"q-{n}" for n in range(7)]
    assert [b.requests for b in llm.deferred(path).status.batches] == [3, 3, 1]


async def test_identical_requests_are_sent_once(llm: AsyncLLM, simulator: Simulator, path: Path) -> None:
    """With `deduplicate`, duplicates share the answer of the first, cost nothing, and are in the journal."""
    requests = [Request(f"question {n % 2}", id=f"q-{n}", data=n) for n in range(6)]
    options: dict[str, Any] = {"deferred": True, "deduplicate": True, "journal": path, "poll_s": POLL_S}
    done = await llm.gather(requests, **options)
    assert [(o.id, o.data, o.error, o.duplicate_of) for o in done] == [
        (f"q-{n}", n, None, None if n < 2 else n % 2) for n in range(6)
    ]
    assert all(f"question {n % 2}" in o.text for n, o in enumerate(done))
    assert [o.cost_usd for o in done[2:]] == [0.0] * 4
    assert simulator.batches.billed == {"question 0": 1, "question 1": 1}
    more = await llm.gather([*requests, Request("question 0", id="new")], **options)
    assert [(o.ok, o.from_journal, o.duplicate_of) for o in more[5:]] == [(True, True, 1), (True, True, 0)]
    assert sum(simulator.batches.billed.values()) == 2


async def test_duplicates_of_what_is_with_the_provider_wait_for_it(
    llm: AsyncLLM, simulator: Simulator, path: Path
) -> None:
    """A job that is continued finds identical requests that are under way, also in another process's input."""
    simulator.batches.takes_s = 1000
    options: dict[str, Any] = {"deduplicate": True, "journal": path, "poll_s": POLL_S}
    job = await llm.submit([Request("same", id="one"), Request("same", id="two")], **options)
    assert ([b.requests for b in job.status.batches], job.status.waiting) == ([1], 2)
    simulator.batches.advance(1000)
    three = [Request("same", id=id) for id in ("one", "two", "three")]
    done = await llm.gather(three, deferred=True, **options)
    assert [(o.id, o.ok, o.duplicate_of) for o in done] == [("one", True, None), ("two", True, 0), ("three", True, 0)]
    assert simulator.batches.billed == {"same": 1}


async def test_answers_come_from_the_cache_and_go_into_it(
    provider: str, simulator: Simulator, secret_key: str, tmp_path: Path, anyio_backend: str
) -> None:
    """What was answered live is in no batch, and what a batch answered is not sent again, live or deferred."""
    own = {**options_of(provider, simulator, secret_key), "cache": str(tmp_path / "answers.db")}
    options: dict[str, Any] = {"deferred": True, "poll_s": POLL_S}
    async with AsyncLLM(**own) as llm:
        live = await llm.acompletion("question 0")
        done = await llm.gather(questions(3), journal=tmp_path / "a.journal", **options)
        assert [o.completion.record.cached for o in done if o.completion] == [True, False, False]
        assert (done[0].text, done[0].cost_usd) == (live.text, 0.0)
        assert sum(simulator.batches.billed.values()) == 2
        assert (await llm.acompletion("question 1")).record.cached
        again = await llm.gather(questions(3), journal=tmp_path / "b.journal", **options)
        assert [(o.text, o.cost_usd) for o in again] == [(o.text, 0.0) for o in done]
        typed = await llm.gather(["a"], response_model=Ticket, journal=tmp_path / "c.journal", **options)
        assert await llm.extract(Ticket, "a") == typed[0].value
        assert sum(simulator.batches.billed.values()) == 3
        only = await llm.gather(["question 1", "new"], journal=tmp_path / "d.journal", cache="only", **options)
        assert [type(o.error).__name__ for o in only] == ["NoneType", "NotCachedError"]
        fresh = await llm.gather(["question 1"], journal=tmp_path / "e.journal", cache="refresh", **options)
        assert [o.completion.record.cached for o in fresh if o.completion] == [False]
    assert sum(map(is_live, simulator.seen.paths)) == 1


async def test_requests_use_the_cache_as_each_asks_for_it(
    provider: str, simulator: Simulator, secret_key: str, tmp_path: Path, anyio_backend: str
) -> None:
    """`cache=` of a request comes before that of the batch, and holds for its answer too."""
    own = {**options_of(provider, simulator, secret_key), "cache": str(tmp_path / "answers.db")}
    options: dict[str, Any] = {"deferred": True, "poll_s": POLL_S}
    async with AsyncLLM(**own) as llm:
        await llm.acompletion("known")
        requests = [
            Request("known"),
            Request("known", cache=False),
            Request("known", cache="refresh"),
            Request("never kept", cache=False),
            Request("unknown", cache="only"),
        ]
        done = await llm.gather(requests, journal=tmp_path / "a.journal", **options)
        assert [o.completion.record.cached for o in done if o.completion] == [True, False, False, False]
        assert type(done[4].error) is NotCachedError
        assert simulator.batches.billed == {"known": 2, "never kept": 1}
        kept = await llm.gather(["known", "never kept"], journal=tmp_path / "b.journal", cache="only", **options)
        assert [o.ok for o in kept] == [True, False]
        live = [Request("live", cache=False), Request("live", cache=True)]
        simulator.batches.faults = BatchFaults(expired=1.0)
        for journal, cached in (("c.journal", [False, False]), ("d.journal", [False, True])):
            sent = await llm.gather(live, journal=tmp_path / journal, on_expired="live", **options)
            assert [o.completion.record.cached for o in sent if o.completion] == cached


async def test_a_full_queue_is_waited_out(
    llm: AsyncLLM, provider: str, simulator: Simulator, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches that do not fit into the account's queue are sent when others have ended; no request fails for it."""
    monkeypatch.setitem(limits.LIMITS, provider, replace(limits.LIMITS[provider], requests=2))
    simulator.batches.max_enqueued_tokens = 7
    simulator.batches.speed_up(1000)
    simulator.batches.takes_s = 10
    done = await llm.gather(questions(6), deferred=True, journal=path, poll_s=POLL_S)
    assert [o.error for o in done] == [None] * 6
    assert sorted(simulator.batches.billed.values()) == [1] * 6


async def test_a_batch_that_never_fits_into_the_queue_is_divided(
    llm: AsyncLLM, simulator: Simulator, path: Path
) -> None:
    """A batch that is refused while none of the job is under way becomes smaller."""
    simulator.batches.max_enqueued_tokens = 7
    done = await llm.gather(questions(8), deferred=True, journal=path, poll_s=POLL_S)
    assert [o.error for o in done] == [None] * 8
    assert sorted(simulator.batches.billed.values()) == [1] * 8


@pytest.mark.parametrize(
    ("own", "live"), [({"max_concurrency": 3}, 3), ({"requests_per_minute": 60_000}, 8)], ids=["slots", "rate"]
)
async def test_what_the_limits_leave_free_goes_out_live(
    simulator: Simulator, secret_key: str, path: Path, anyio_backend: str, own: dict[str, Any], live: int
) -> None:
    """With `deferred="auto"`, as many requests as there is room for are sent live, and the others in a batch."""
    options: dict[str, Any] = {"deferred": "auto", "journal": path, "poll_s": POLL_S}
    async with AsyncLLM(**options_of("openai", simulator, secret_key), **own) as llm:
        done = await llm.gather(questions(8), **options)
        again = await llm.gather(questions(8), **options)
    assert [(o.id, o.error) for o in done] == [(f"q-{n}", None) for n in range(8)]
    transports = [o.completion.record.transport if o.completion else "" for o in done]
    assert transports == ["wire"] * live + ["deferred"] * (8 - live)
    assert sum(map(is_live, simulator.seen.paths)) == live
    assert sum(simulator.batches.billed.values()) == 8 - live
    assert all(o.from_journal for o in again)


async def test_a_full_queue_leaves_requests_to_be_sent_live(
    provider: str,
    simulator: Simulator,
    secret_key: str,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    anyio_backend: str,
) -> None:
    """While batches wait for room in the provider's queue, `auto` goes on live."""
    monkeypatch.setitem(limits.LIMITS, provider, replace(limits.LIMITS[provider], requests=2))
    simulator.batches.max_enqueued_tokens = 7
    simulator.batches.takes_s = 10
    simulator.batches.speed_up(1000)
    async with AsyncLLM(**options_of(provider, simulator, secret_key), max_concurrency=1) as llm:
        done = await llm.gather(questions(6), deferred="auto", journal=path, poll_s=POLL_S)
    assert [o.error for o in done] == [None] * 6
    assert 0 < sum(map(is_live, simulator.seen.paths)) < 6
    assert sum(map(is_live, simulator.seen.paths)) + sum(simulator.batches.billed.values()) == 6


async def test_the_budget_is_reserved_at_the_prices_of_batches(llm: AsyncLLM, simulator: Simulator, path: Path) -> None:
    """What may cost more than is left is not sent."""
    requests = [Request(f"question {n}", max_tokens=1000) for n in range(4)]
    assert llm.model_info.prices is not None
    worst_usd = 1000 * (batch_prices(llm.model_info.prices)[0].standard.output or 0)
    options: dict[str, Any] = {"deferred": True, "journal": path, "poll_s": POLL_S}
    done = await llm.gather(requests, budget_usd=worst_usd * 2.5, **options)
    assert [o.ok for o in done] == [True, True, False, False]
    assert all(isinstance(o.error, BudgetExceededError) for o in done[2:])
    assert sum(simulator.batches.billed.values()) == 2


@pytest.mark.leaks
def test_a_blocking_client_submits_and_waits(simulator: Simulator, secret_key: str, path: Path) -> None:
    """`LLM` has the same job, without await."""
    with LLM(**options_of("openai", simulator, secret_key)) as blocking:
        job = blocking.submit(questions(2), journal=path)
        assert job.refresh().is_with_provider
        with blocking.deferred(path, poll_s=POLL_S).outcomes() as outcomes:
            assert sorted(o.id or "" for o in outcomes if o.ok) == ["q-0", "q-1"]
        assert job.status.has_ended
        with blocking.map(questions(2), deferred=True, journal=path, poll_s=POLL_S) as outcomes:
            assert [o.from_journal for o in outcomes] == [True, True]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "needs journal"),
        ({"journal": "x.journal", "on_expired": "wait"}, "on_expired is one of"),
        ({"journal": "x.journal", "reask": "later"}, "reask is one of"),
        ({"journal": "x.journal", "poll_s": 0}, "poll_s"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], says: str) -> None:
    """What a deferred batch cannot do is said before anything is sent."""
    with pytest.raises(ValueError, match=says):
        AsyncLLM(model="openai/gpt-4o-mini", api_key="k").map([], deferred=True, **options)


async def test_a_provider_without_batches_is_refused(path: Path, secret_key: str, anyio_backend: str) -> None:
    """The message lists the providers that are served, and names the remedy."""
    async with AsyncLLM(model="deepseek/deepseek-chat", api_key=secret_key) as llm:
        with pytest.raises(UnsupportedError, match="openai, azure, anthropic") as caught:
            await llm.gather(["a"], deferred=True, journal=path)
    assert "live" in str(caught.value.hint)


async def test_a_request_with_headers_of_its_own_fails_alone(llm: AsyncLLM, path: Path) -> None:
    """A batch has one set of headers; a request that needs others is told so."""
    requests = [Request("a"), Request("b", extra_headers={"x-one": "1"})]
    done = await llm.gather(requests, deferred=True, journal=path, poll_s=POLL_S)
    assert [o.ok for o in done] == [True, False]
    assert "extra_headers" in str(done[1].error)


async def test_an_input_that_can_be_read_once_is_taken_as_it_comes(
    llm: AsyncLLM, simulator: Simulator, path: Path
) -> None:
    """A generator is packed while it is read, and its outcomes come by `map` in any order."""
    options: dict[str, Any] = {"deferred": True, "journal": path, "poll_s": POLL_S}
    async with llm.map((Request(f"question {n}", data=n) for n in range(5)), **options) as outcomes:
        assert sorted([(o.index, o.data) async for o in outcomes]) == [(n, n) for n in range(5)]


async def test_leaving_the_block_early_keeps_what_is_with_the_provider(
    llm: AsyncLLM, simulator: Simulator, path: Path
) -> None:
    """A run that is cancelled while it waits loses nothing: the next takes the results."""
    simulator.batches.takes_s = 1000
    await cancelled_when(
        ["sent"], llm.deferred(path), partial(llm.gather, questions(3), deferred=True, journal=path, poll_s=POLL_S)
    )
    assert llm.deferred(path).status.is_with_provider
    simulator.batches.advance(1000)
    assert all(o.ok for o in await llm.gather(questions(3), deferred=True, journal=path, poll_s=POLL_S))
    assert sorted(simulator.batches.billed.values()) == [1] * 3


async def test_an_async_input_and_a_progress_report(llm: AsyncLLM, simulator: Simulator, path: Path) -> None:
    """An async generator is an input too, and the progress is reported as the provider is asked."""

    async def coming() -> AsyncIterator[str]:
        for n in range(3):
            yield f"question {n}"

    reports: list[Progress] = []
    simulator.batches.speed_up(1000)
    simulator.batches.takes_s = 1
    done = await llm.gather(coming(), deferred=True, journal=path, poll_s=POLL_S, progress=reports.append)
    assert [o.ok for o in done] == [True] * 3
    assert (reports[-1].finished, reports[-1].done, reports[-1].taken) == (True, 3, 3)
    assert reports[0].resumed is not None
    first = next(report.deferred for report in reports if report.deferred is not None)
    assert (first.waiting, first.sent, first.at_provider) == (0, 1, 3)
    assert first.window_ends_at > first.oldest_at > 0
    assert reports[-1].saved_usd == pytest.approx(reports[-1].cost_usd)


async def test_the_report_has_rounds_waiting_and_saving(
    llm: AsyncLLM, simulator: Simulator, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its figures are those of the batches at the provider, and half of the cost is saved."""
    monkeypatch.setattr(Fussy, "refusals", [0])
    options: dict[str, Any] = {"deferred": True, "journal": path, "poll_s": POLL_S, "reask": "deferred"}
    done = await llm.gather(["a", "b"], response_model=Fussy, **options)
    found = figures(Journal(path))
    assert found.deferred is not None
    assert (found.deferred.batches, found.deferred.rounds, found.deferred.unread) == (2, 2, 0)
    assert found.deferred.waited_s >= found.deferred.longest_s > 0
    assert found.deferred.saved_usd > 0
    shown = text(found, "night")
    assert "in 2 rounds at the provider" in shown
    assert "beside the same answers live" in shown
    is_known = batch_prices(llm.model_info.prices)[1] if llm.model_info.prices is not None else False
    basis = "known" if is_known else "estimated"
    assert [o.cost_basis for o in done] == [basis] * 2
    assert [entry.cost_basis for entry in Journal(path).outcomes()] == [basis] * 2
