"""Metrics: those of the conventions, and what only the package knows."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from asyncllm import AsyncLLM, ServerError
from asyncllm.config.options import Options
from asyncllm.simulator import Fault, Simulator
from tests.tracing.conftest import Recording

pytestmark = pytest.mark.anyio


async def test_calls_are_measured(llm: AsyncLLM, recording: Recording) -> None:
    """Duration, tokens and cost, with the attributes that the conventions ask for."""
    completion = await llm.acompletion("hi")
    (duration,) = recording.points("gen_ai.client.operation.duration")
    assert duration.count == 1
    assert duration.sum > 0
    assert duration.attributes.keys() == {
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "gen_ai.response.model",
        "server.address",
        "server.port",
    }
    tokens = {
        point.attributes["gen_ai.token.type"]: point.sum for point in recording.points("gen_ai.client.token.usage")
    }
    assert tokens == {"input": completion.usage.input_tokens, "output": completion.usage.output_tokens}
    (cost,) = recording.points("asyncllm.cost")
    assert cost.value == pytest.approx(completion.cost_usd)


async def test_streams_are_measured_by_their_chunks(llm: AsyncLLM, recording: Recording) -> None:
    """One time to the first chunk, and one time for each chunk after it."""
    chunks = [chunk async for chunk in llm.stream("hi")]
    (first,) = recording.points("gen_ai.client.operation.time_to_first_chunk")
    (others,) = recording.points("gen_ai.client.operation.time_per_output_chunk")
    assert (first.count, others.count) == (1, len(chunks) - 1)


async def test_errors_are_measured_apart(llm: AsyncLLM, recording: Recording, simulator: Simulator) -> None:
    """Failed calls have their error among the attributes; retries and 429s are counted."""
    simulator.faults(Fault("status", code=429, times=2), Fault("status", code=500))
    with pytest.raises(ServerError):
        await llm.acompletion("hi", num_retries=2)
    (duration,) = recording.points("gen_ai.client.operation.duration")
    assert duration.attributes["error.type"] == "ServerError"
    (retries,), (throttled,) = recording.points("asyncllm.retries"), recording.points("asyncllm.throttled")
    assert (retries.value, throttled.value) == (2, 2)


async def test_what_waits_is_seen(options: Options, recording: Recording, simulator: Simulator) -> None:
    """Slots in use, requests that wait, and how long they waited."""
    simulator.faults(Fault("stall", after_chunks=1, times=1))
    limited: Options = {**options, "max_concurrency": 1}
    async with AsyncLLM(**limited) as llm, anyio.create_task_group() as group, llm.stream("hi"):
        group.start_soon(llm.acompletion, "hi")
        await anyio.wait_all_tasks_blocked()
        names = ("in_flight", "waiting", "limit")
        seen = [recording.points(f"asyncllm.{name}")[0].value for name in names]
        assert seen == [1, 1, 1]
    (queued,) = recording.points("asyncllm.queue.duration")
    assert queued.count == 1


async def test_closed_clients_are_not_observed(options: Options, recording: Recording) -> None:
    """A client that is gone leaves nothing in the gauges."""
    async with AsyncLLM(**options) as llm:
        await llm.acompletion("hi")
    assert recording.points("asyncllm.in_flight")
    del llm
    from tests.support.waiting import collect

    collect([])
    assert not recording.points("asyncllm.in_flight")


async def test_answers_of_the_cache_are_measured_apart(options: Options, recording: Recording, tmp_path: Path) -> None:
    """They are counted with what they save, and add neither tokens nor cost; their span says so."""
    cached_options: Options = {**options, "cache": str(tmp_path / "answers.sqlite")}
    async with AsyncLLM(**cached_options) as llm:
        first = await llm.acompletion("hi")
        await llm.acompletion("hi")
        await llm.stream("hi").collect()
    (cached,), (saved,) = recording.points("asyncllm.cached"), recording.points("asyncllm.saved")
    assert (cached.value, saved.value) == (2, pytest.approx(2 * (first.cost_usd or 0.0)))
    assert sum(point.count for point in recording.points("gen_ai.client.token.usage")) == 2
    assert [point.value for point in recording.points("asyncllm.cost")] == [pytest.approx(first.cost_usd)]
    durations = recording.points("gen_ai.client.operation.duration")
    assert {point.attributes.get("asyncllm.cached"): point.count for point in durations} == {None: 1, True: 2}
    asked, *others = [dict(span.attributes or {}) for span in recording.spans]
    assert ["asyncllm.cached" in asked, "gen_ai.usage.input_tokens" in asked] == [False, True]
    for other in others:
        assert (other["asyncllm.cached"], other["asyncllm.cost_usd"]) == (True, 0.0)
        assert other["asyncllm.saved_usd"] == first.cost_usd
        assert "gen_ai.usage.input_tokens" not in other
