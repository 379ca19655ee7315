"""Identical requests: sent once, and each with its outcome."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from asyncllm import AsyncLLM, Journal, JournalEntry, Outcome, Request
from asyncllm.batch.item import BatchItem
from asyncllm.batch.journal.fingerprint import Fingerprint, Fingerprinter
from asyncllm.batch.journal.session import JournalSession
from asyncllm.batch.journal.store import JournalStore, Registered
from asyncllm.simulator import Fault, Latency, Simulator

from .journals import MODEL, outcome

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("journaled", [False, True])
@pytest.mark.parametrize("ordered", [False, True])
async def test_half_duplicates_are_half_the_requests(
    llm: AsyncLLM, simulator: Simulator, path: Path, journaled: bool, ordered: bool
) -> None:
    """Of a hundred items that come twice each, a hundred are sent; the others share their answers and cost nothing."""
    simulator.latency(Latency(first_token_s=0.003, spread=1.0))
    requests = [Request(f"question {n % 100}", id=f"{n}", data=n) for n in range(200)]
    options: Any = {"journal": path} if journaled else {}
    async with llm.map(requests, deduplicate=True, ordered=ordered, max_concurrency=10, **options) as outcomes:
        given = [outcome async for outcome in outcomes]
    assert simulator.seen.requests == 100
    given.sort(key=lambda outcome: outcome.index)
    assert [(o.index, o.id, o.data) for o in given] == [(n, f"{n}", n) for n in range(200)]
    assert all(f'"question {o.index % 100}"' in o.text for o in given)
    shared = [o for o in given if o.duplicate_of is not None]
    assert len(shared) == 100
    assert all(o.duplicate_of is not None and o.duplicate_of % 100 == o.index % 100 for o in shared)
    assert {o.cost_usd for o in shared} == {0.0}
    assert all((o.cost_usd or 0) > 0 for o in given if o.duplicate_of is None)
    if journaled:
        assert Journal(path).summary().cost_usd == pytest.approx(sum(o.cost_usd or 0 for o in given))
        entries = list(Journal(path).outcomes())
        assert {entry.elapsed_s for entry in entries if entry.duplicate_of is not None} == {0.0}
        assert all(entry.elapsed_s for entry in entries if entry.duplicate_of is None)


async def test_duplicates_that_are_in_flight_wait_for_the_first(llm: AsyncLLM, simulator: Simulator) -> None:
    """A hundred at once are one request."""
    outcomes = await llm.gather(["the same"] * 100, deduplicate=True)
    assert simulator.seen.requests == 1
    assert [o.duplicate_of for o in outcomes] == [None, *[0] * 99]


async def test_a_failure_is_shared_with_those_that_waited(llm: AsyncLLM, simulator: Simulator) -> None:
    """Who waited for a request that failed has its error; it is not tried again for each of them."""
    simulator.faults(Fault("status", code=400))
    outcomes = await llm.gather(["the same"] * 5, deduplicate=True)
    assert simulator.seen.requests == 1
    assert [type(o.error).__name__ for o in outcomes] == ["BadRequestError"] * 5


async def test_what_differs_is_no_duplicate(llm: AsyncLLM, simulator: Simulator) -> None:
    """Another parameter, type or model makes another request; an id and the caller's data do not."""
    requests = [
        Request("a", id="1"),
        Request("a", id="2", data="x"),
        Request("a", temperature=0.3),
        Request("a", model="openai/gpt-4o"),
        Request("a", response_model=int),
    ]
    outcomes = await llm.gather(requests, deduplicate=True)
    assert simulator.seen.requests == 4
    assert [o.duplicate_of for o in outcomes] == [None, 0, None, None, None]


async def test_typed_duplicates_have_their_values(llm: AsyncLLM, simulator: Simulator) -> None:
    """A shared answer is a value of the type, also long after the first of them has ended."""
    requests = [*["count"] * 3, *(f"other {n}" for n in range(30)), "count"]
    outcomes = await llm.gather(requests, response_model=list[int], deduplicate=True, max_concurrency=2)
    assert simulator.seen.requests == 31
    assert {str(outcomes[n].value) for n in (0, 1, 2, 33)} == {str(outcomes[0].value)}
    assert isinstance(outcomes[33].value, list)


async def test_duplicates_are_resumed_one_by_one(llm: AsyncLLM, simulator: Simulator, path: Path) -> None:
    """Each item has its entry, so that the next run finds all of them, and a new duplicate shares an old answer."""
    await llm.gather(["a", "b", "a"], deduplicate=True, journal=path)
    outcomes = await llm.gather(["a", "b", "a", "a"], deduplicate=True, journal=path)
    assert simulator.seen.requests == 2
    assert [(o.from_journal, o.duplicate_of) for o in outcomes[:3]] == [(True, None), (True, None), (True, 0)]
    assert outcomes[3].duplicate_of in (0, 2)
    assert outcomes[3].cost_usd == 0.0


async def test_without_it_every_item_is_sent(llm: AsyncLLM, simulator: Simulator, path: Path) -> None:
    """Asking the same twice may be meant: then each has an answer of its own, with a journal as well."""
    await llm.gather(["a", "a"])
    await llm.gather(["a", "a"], journal=path)
    assert simulator.seen.requests == 4


async def test_an_item_that_ends_while_its_twin_is_looked_up_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """The look-up did not find it yet, and still nothing is sent twice."""
    looked_up, recorded = threading.Event(), threading.Event()
    register = JournalStore.register

    def slow(store: JournalStore, items: Sequence[tuple[int, Fingerprint]]) -> list[Registered]:
        found = register(store, items)
        if items[0][0] == 1:
            looked_up.set()
            recorded.wait()
        return found

    async def restore(entry: JournalEntry, messages: object) -> tuple[str, None]:
        return entry.text, None

    monkeypatch.setattr(JournalStore, "register", slow)
    session: JournalSession[str] = JournalSession(None, Fingerprinter(MODEL, {}, {}), restore, deduplicate=True)
    await session.open(1)
    first, second = BatchItem(0, Request("a", id="one")), BatchItem(1, Request("a", id="two"))
    assert await session.register([first]) == ([first], [])
    known: list[Outcome[str]] = []

    async def look_up() -> None:
        to_send, ended = await session.register([second])
        assert not to_send
        known.extend(how for _, how in ended)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(look_up)
        await anyio.to_thread.run_sync(looked_up.wait)
        tasks.start_soon(session.record, first, outcome("hello"))
        await anyio.wait_all_tasks_blocked()
        recorded.set()
    await session.close("done")
    assert [(how.index, how.id, how.text, how.duplicate_of, how.cost_usd) for how in known] == [
        (1, "two", "hello", 0, 0.0)
    ]
