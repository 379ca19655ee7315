"""Tenants: who waits is served in turn over them, each within limits of its own, and none is remembered for ever."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncllm import AsyncLLM, BudgetExceededError, OverloadedError, Request, StreamInterruptedError
from asyncllm.config.options import Options
from asyncllm.limits import Admission, Needs, ProviderLimits, Slots, TenantLimits, admit
from asyncllm.limits.tenants import Tenants
from asyncllm.pipeline.deadline import Deadline
from asyncllm.simulator import Fault, Simulator

from .virtual_provider import Clock

FOREVER = Deadline(None)


class Lab:
    """The slots of one client, whose requests are named, and note their turn.

    Attributes:
        turns: The names of the requests that were admitted, in order.
    """

    def __init__(self, number: int = 1, clock: Clock | None = None, **limits: Any) -> None:
        self.clock = clock or Clock()
        self.limits = ProviderLimits(self.clock)
        self.slots = Slots(number, tenant_limits=TenantLimits(**limits), clock=self.clock)
        self.turns: list[str] = []
        self._open: dict[str, Admission] = {}

    async def enter(self, name: str, tenant: str | None, worst_usd: float = 0.0, **needs: Any) -> None:
        """Wait for a slot, and keep it."""
        asked = Needs(worst_usd=worst_usd, tenant=tenant, **needs)
        self._open[name] = await admit(self.slots, self.limits, asked, FOREVER)
        self.turns.append(name)

    async def leave(self, name: str | None = None, cost_usd: float = 0.0) -> None:
        """End a request, or the one that was admitted first, and let the next one in."""
        name = next(iter(self._open)) if name is None else name
        self._open.pop(name).release(0, cost_usd)
        await anyio.wait_all_tasks_blocked()

    async def leave_all(self) -> None:
        """End one request after the other."""
        while self._open:
            await self.leave()


@pytest.mark.anyio
async def test_a_flood_delays_another_by_one_turn_at_most() -> None:
    """A tenant with 1,000 waiting requests has one in every turn; within it, first come is first served."""
    lab = Lab()
    async with anyio.create_task_group() as group:
        await lab.enter("first", "flood")
        for number in range(1000):  # which of them is first is up to the backend
            group.start_soon(lab.enter, f"flood {number}", "flood")
        await anyio.wait_all_tasks_blocked()
        for name in ("a 0", "a 1", "b 0"):
            group.start_soon(lab.enter, name, name[0])
            await anyio.wait_all_tasks_blocked()
        for _ in range(7):
            await lab.leave()
        turns = ["flood" if name.startswith("flood") else name for name in lab.turns]
        assert turns == ["first", "flood", "a 0", "b 0", "flood", "a 1", "flood", "flood"]
        group.cancel_scope.cancel()
    assert lab.slots.waiting == 0


@pytest.mark.anyio
async def test_without_tenants_first_come_is_first_served() -> None:
    """Requests that name none are one tenant among the others."""
    lab = Lab()
    async with anyio.create_task_group() as group:
        await lab.enter("held", None)
        for name, tenant in (("1", None), ("2", None), ("3", "acme"), ("4", None)):
            group.start_soon(lab.enter, name, tenant)
            await anyio.wait_all_tasks_blocked()
        await lab.leave_all()
    assert lab.turns == ["held", "1", "3", "2", "4"]


@pytest.mark.anyio
async def test_batches_yield_to_live_calls() -> None:
    """With `priority="batch"` a request goes when no live call waits, whatever the order of arrival."""
    lab = Lab()
    async with anyio.create_task_group() as group:
        await lab.enter("held", None)
        for name, yields in (("batch 1", True), ("batch 2", True), ("live 1", False), ("live 2", False)):
            group.start_soon(lambda name, yields: lab.enter(name, "acme", yields=yields), name, yields)
            await anyio.wait_all_tasks_blocked()
        await lab.leave_all()
    assert lab.turns == ["held", "live 1", "live 2", "batch 1", "batch 2"]


@pytest.mark.anyio
async def test_a_tenant_has_its_share_of_the_slots_alone() -> None:
    """Its own limit holds up its own requests, in their order, and nobody else's."""
    lab = Lab(3, max_concurrency=1)
    async with anyio.create_task_group() as group:
        for name in ("a 0", "a 1", "a 2", "b 0"):
            group.start_soon(lab.enter, name, name[0])
            await anyio.wait_all_tasks_blocked()
        assert lab.turns == ["a 0", "b 0"]
        assert lab.slots.limited_by == "tenant"
        await lab.leave("b 0")
        assert lab.turns == ["a 0", "b 0"]
        await lab.leave("a 0")
        assert lab.turns == ["a 0", "b 0", "a 1"]
        assert {name: (s.in_flight, s.waiting) for name, s in lab.slots.tenants.stats().items()} == {
            "a": (1, 1),
            "b": (0, 0),
        }
        await lab.leave_all()


@pytest.mark.anyio
async def test_a_tenant_has_a_rate_of_its_own(anyio_backend: str) -> None:
    """Its requests wait for its own rate; another's go."""
    clock = Clock()
    lab = Lab(10, clock, requests_per_minute=60)
    async with anyio.create_task_group() as group:
        for name in ("a 0", "a 1", "b 0"):
            group.start_soon(lab.enter, name, name[0])
            await anyio.wait_all_tasks_blocked()
        assert lab.turns == ["a 0", "b 0"]
        clock.now += 1.1
        lab.slots.serve()
        await anyio.wait_all_tasks_blocked()
        assert lab.turns == ["a 0", "b 0", "a 1"]


@pytest.mark.anyio
async def test_a_tenant_has_a_budget_of_its_own() -> None:
    """It waits while its reservations are open, and is refused when its budget is spent; another is not."""
    lab = Lab(10, budget_usd=1.0)
    async with anyio.create_task_group() as group:
        await lab.enter("a 0", "a", 0.6)
        group.start_soon(lab.enter, "a 1", "a", 0.6)
        await anyio.wait_all_tasks_blocked()
        await lab.enter("b 0", "b", 0.6)
        assert lab.turns == ["a 0", "b 0"]
        await lab.leave("a 0", cost_usd=0.1)
        assert lab.turns == ["a 0", "b 0", "a 1"]
        await lab.leave("a 1", cost_usd=0.5)
        with pytest.raises(BudgetExceededError, match=r"budget of the tenant 'a' of \$1"):
            await lab.enter("a 2", "a", 0.6)
        assert lab.slots.tenants.stats()["a"].spent_usd == pytest.approx(0.6)
        await lab.enter("a 3", "a", 0.3)


@pytest.mark.anyio
async def test_a_tenant_has_a_queue_of_its_own() -> None:
    """Beyond it, its callers are refused, and are told whose limit it was."""
    lab = Lab(1, max_queue=1)
    async with anyio.create_task_group() as group:
        await lab.enter("a 0", "a")
        group.start_soon(lab.enter, "a 1", "a")
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(
            OverloadedError, match="1 caller of the tenant 'a' waits already, and tenant_max_queue is 1"
        ) as caught:
            await lab.enter("a 2", "a")
        assert caught.value.tenant == "a"
        assert pickle.loads(pickle.dumps(caught.value)).tenant == "a"
        group.start_soon(lab.enter, "b 0", "b")
        await anyio.wait_all_tasks_blocked()
        await lab.leave_all()
    assert lab.turns == ["a 0", "a 1", "b 0"]


@pytest.mark.anyio
async def test_a_tenant_cannot_fill_the_queue() -> None:
    """Without a limit of its own it may have as many callers waiting as the queue has room for others."""
    lab = Lab(2)
    lab.slots.max_queue = 5
    refused: list[OverloadedError] = []

    async def ask(name: str) -> None:
        try:
            await lab.enter(name, name[0])
        except OverloadedError as error:
            refused.append(error)

    async with anyio.create_task_group() as group:
        for name in (*(f"b {number}" for number in range(12)), "c 0", "c 1", "d 0"):
            group.start_soon(ask, name)
            await anyio.wait_all_tasks_blocked()
        waiting = {name: (one.in_flight, one.waiting) for name, one in lab.slots.tenants.stats().items()}
        assert waiting == {"b": (2, 3), "c": (0, 1), "d": (0, 1)}
        assert [error.tenant for error in refused] == ["b"] * 7 + ["c"]
        assert "3 callers of the tenant 'b' wait already, and the rest of max_queue = 5" in str(refused[0])
        with pytest.raises(OverloadedError, match="5 callers wait already, and max_queue is 5") as caught:
            await lab.enter("e 0", "e")
        assert caught.value.tenant is None
        await lab.leave_all()
    assert len(lab.turns) == 7


@pytest.mark.anyio
async def test_callers_without_a_tenant_may_fill_the_queue() -> None:
    """`max_queue` alone holds for them, and `tenant_max_queue` alone for a tenant that has one."""
    for tenant, own in ((None, None), ("a", 3)):
        lab = Lab(1, max_queue=own)
        lab.slots.max_queue = 3
        async with anyio.create_task_group() as group:
            for number in range(4):
                group.start_soon(lab.enter, str(number), tenant)
                await anyio.wait_all_tasks_blocked()
            assert lab.slots.waiting == 3
            with pytest.raises(OverloadedError, match="max_queue is 3"):
                await lab.enter("4", "b")
            await lab.leave_all()


@pytest.mark.anyio
@pytest.mark.parametrize("is_left", [True, False])
async def test_a_stream_that_is_cut_short_is_spent(
    options: Options, simulator: Simulator, is_left: bool, anyio_backend: str
) -> None:
    """By its reader or by the provider: what has arrived without a budget, and the worst case with one."""
    simulator.faults(Fault("cut", after_chunks=3))
    for budget_usd in (None, 1.0):
        limited: Options = {**options, "max_output_tokens": 1000, "tenant_budget_usd": budget_usd}
        async with AsyncLLM(**limited) as llm:
            try:
                async with llm.stream("hi", tenant="acme") as stream:
                    async for _ in stream:
                        if is_left:
                            break
            except StreamInterruptedError:
                assert not is_left
            spent_usd, arrived_usd = llm.stats().tenants["acme"].spent_usd, llm.stats().cost_usd
            assert arrived_usd > 0
            if budget_usd is None:
                assert spent_usd == pytest.approx(arrived_usd)
            else:
                assert spent_usd > 10 * arrived_usd


@pytest.mark.anyio
async def test_leaving_streams_does_not_get_around_a_budget(
    options: Options, simulator: Simulator, anyio_backend: str
) -> None:
    """Each one that is left after its first chunk counts as its worst case, until none fits."""
    simulator.faults(Fault("stall", after_chunks=1))
    prices: Options = {"input_cost_per_token": 1e-7, "output_cost_per_token": 1e-6, "max_output_tokens": 1000}
    limited: Options = {**options, **prices, "tenant_budget_usd": 0.0025}
    async with AsyncLLM(**limited) as llm:
        for _ in range(2):
            async with llm.stream("hi", tenant="acme") as stream:
                await anext(stream)
        with pytest.raises(BudgetExceededError, match="tenant 'acme'"):
            await llm.acompletion("hi", tenant="acme")


@pytest.mark.parametrize("budget_usd", [None, 1.0])
def test_tenants_are_forgotten(budget_usd: float | None) -> None:
    """Ten thousand are known at most; idle ones are forgotten after a while, unless they have spent of a budget."""
    known = Tenants(TenantLimits(budget_usd=budget_usd))
    for number in range(12_000):
        known.get(str(number), 0.0)
    assert len(known.stats()) == 10_000
    for number in range(6_000):
        known.get(f"later {number}", 1000.0)
    assert len(known.stats()) == (10_000 if budget_usd else 6_000)


def test_a_tenant_in_use_is_not_forgotten() -> None:
    """However many others come."""
    known = Tenants(TenantLimits())
    known.get("acme", 0.0).take(0.0, 0.0)
    for number in range(11_000):
        known.get(str(number), float(number))
    assert known.stats()["acme"].in_flight == 1


@given(data=st.data())
def test_whatever_happens_nobody_is_lost(data: st.DataObject) -> None:
    """Arrivals, endings and cancellations in any order: all are served, and the counts are zero at the end."""

    async def run() -> None:
        lab = Lab(data.draw(st.integers(1, 3)), max_concurrency=data.draw(st.sampled_from([None, 1, 2])))
        scopes: dict[str, anyio.CancelScope] = {}
        cancelled: set[str] = set()

        async def ask(name: str, tenant: str | None, yields: bool) -> None:
            with anyio.CancelScope() as scopes[name]:
                await lab.enter(name, tenant, yields=yields)

        async with anyio.create_task_group() as group:
            for number in range(data.draw(st.integers(1, 20))):
                step = data.draw(st.sampled_from(["ask", "ask", "leave", "cancel"]))
                if step == "ask":
                    tenant = data.draw(st.sampled_from([None, "a", "b"]))
                    group.start_soon(ask, str(number), tenant, data.draw(st.booleans()))
                elif step == "leave" and lab._open:
                    await lab.leave()
                elif step == "cancel" and (waiting := [name for name in scopes if name not in lab.turns]):
                    cancelled.add(waiting[0])
                    scopes[waiting[0]].cancel()
                await anyio.wait_all_tasks_blocked()
            await lab.leave_all()
        assert set(lab.turns) == set(scopes) - cancelled
        assert (lab.slots.in_use, lab.slots.waiting, lab.slots.callers_waiting) == (0, 0, 0)
        assert all((one.in_flight, one.waiting) == (0, 0) for one in lab.slots.tenants.stats().values())

    async def in_time() -> None:
        with anyio.fail_after(20):
            await run()

    anyio.run(in_time)


@pytest.mark.anyio
async def test_calls_streams_and_batches_name_their_tenant(llm: AsyncLLM, simulator: Simulator, tmp_path: Path) -> None:
    """By argument or on the Request, whose own comes first in a batch; none of it is sent, or part of a journal."""
    await llm.acompletion("hi", tenant="a")
    await llm.acompletion(Request("hi", tenant="b", priority="batch"))
    await llm.stream("hi", tenant="c").collect()
    requests = [Request("hi", tenant="d"), Request("hello")]
    journal = tmp_path / "batch.journal"
    await llm.gather(requests, tenant="e", priority="batch", journal=journal)
    assert {name: stats.admitted for name, stats in llm.stats().tenants.items()} == {
        "a": 1,
        "b": 1,
        "c": 1,
        "d": 1,
        "e": 1,
    }
    assert not any({"tenant", "priority"} & body.keys() for body in simulator.seen.bodies)
    before = simulator.seen.requests
    await llm.gather(requests, tenant="f", journal=journal)
    assert simulator.seen.requests == before


@pytest.mark.anyio
async def test_a_tenants_limits_are_those_of_the_profile(
    options: Options, simulator: Simulator, anyio_backend: str
) -> None:
    """The fields of the profile hold for each tenant of the client, and its views share them."""
    simulator.faults(Fault("stall", after_chunks=1, times=1))
    limited: Options = {**options, "tenant_max_concurrency": 1, "tenant_max_queue": 0}
    async with AsyncLLM(**limited) as llm, llm.stream("hi", tenant="a"):
        with pytest.raises(OverloadedError, match="tenant_max_queue"):
            await llm.with_options(timeout=5).acompletion("hi", tenant="a")
        assert (await llm.acompletion("hi", tenant="b")).text
        with pytest.raises(TypeError, match="whose tenants a view shares"):
            llm.with_options(tenant_max_concurrency=2)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"tenant": 7}, TypeError, "tenant must be a name"),
        ({"tenant": ""}, TypeError, "tenant must be a name"),
        ({"priority": "low"}, ValueError, "priority must be 'live' or 'batch'"),
    ],
)
def test_mistakes_are_named(options: Any, error: type[Exception], text: str) -> None:
    """A tenant is a name, and a priority one of two."""
    with pytest.raises(error, match=text):
        Request("hi", **options)


def test_requests_keep_their_tenant() -> None:
    """Copies and pickles have it, and a copy may replace it."""
    request = Request("hi", tenant="acme", priority="batch", temperature=0.5)
    assert pickle.loads(pickle.dumps(request)) == request
    assert (Request(request).tenant, Request(request, tenant="other").tenant) == ("acme", "other")
    assert request.params == {"temperature": 0.5}
