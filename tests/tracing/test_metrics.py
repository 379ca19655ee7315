"""Metrics: those of the conventions, and what only the package knows."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from asyncllm import AsyncLLM, BadRequestError, ServerError
from asyncllm.config.options import Options
from asyncllm.simulator import Fault, Simulator
from tests.tracing.conftest import Recording, recorded

pytestmark = pytest.mark.anyio


async def test_calls_are_measured(llm: AsyncLLM, recording: Recording) -> None:
    """Duration, tokens and cost, with the attributes that the conventions ask for."""
    usage = {
        "prompt_tokens_details": {"cached_tokens": 3, "audio_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    completion = await llm.acompletion("hi", extra_body={"simulator": {"usage": usage}})
    (duration,) = recording.points("gen_ai.client.inference.duration")
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
    sent, received = completion.usage.input_tokens or 0, completion.usage.output_tokens
    kinds = ("input_tokens", "output_tokens", "cache_read.input_tokens", "reasoning.output_tokens")
    counted = {
        (kind, point.attributes["gen_ai.token.modality"]): point.value
        for kind in kinds
        for point in recording.points(f"gen_ai.client.inference.usage.{kind}")
    }
    assert counted == {
        ("input_tokens", "unknown"): sent - 1,
        ("input_tokens", "audio"): 1,
        ("output_tokens", "unknown"): received,
        ("cache_read.input_tokens", "unknown"): 3,
        ("reasoning.output_tokens", "unknown"): 2,
    }
    (each,) = recording.points("gen_ai.client.inference.operation.output_tokens")
    assert (each.count, each.sum) == (1, received)
    (cost,) = recording.points("asyncllm.cost")
    assert cost.value == pytest.approx(completion.cost_usd)


async def test_without_opting_in_metrics_have_the_older_names(llm: AsyncLLM) -> None:
    """As spans have; none is recorded under both."""
    for recording in recorded():
        completion = await llm.acompletion("hi")
        assert recording.points("gen_ai.client.operation.duration")[0].count == 1
        tokens = {
            point.attributes["gen_ai.token.type"]: point.sum for point in recording.points("gen_ai.client.token.usage")
        }
        assert tokens == {"input": completion.usage.input_tokens, "output": completion.usage.output_tokens}
        assert not recording.points("gen_ai.client.inference.duration")


async def test_tokens_that_were_not_reported_are_not_counted(
    llm: AsyncLLM, recording: Recording, simulator: Simulator
) -> None:
    """A call that failed, and a stream that was left, are 0 tokens: estimates are for spans."""
    simulator.faults(Fault("status", code=400, times=1), Fault("stall", after_chunks=2))
    with pytest.raises(BadRequestError):
        await llm.acompletion("hi")
    async with llm.stream("hi") as stream:
        await anext(stream)
    points = recording.points("gen_ai.client.inference.operation.input_tokens")
    assert {point.attributes["error.type"]: (point.count, point.sum) for point in points} == {
        "BadRequestError": (1, 0),
        "cancelled": (1, 0),
    }
    counters = recording.points("gen_ai.client.inference.usage.input_tokens")
    assert {point.value for point in counters} == {0}
    assert not any("error.type" in point.attributes for point in counters)


async def test_answers_of_the_cache_took_no_tokens(options: Options, recording: Recording, tmp_path: Path) -> None:
    """A call that the cache answered counts as a call, and not as tokens."""
    cached: Options = {**options, "cache": str(tmp_path / "answers.db")}
    async with AsyncLLM(**cached) as llm:
        first = await llm.acompletion("hi")
        assert (await llm.acompletion("hi")).record.cached
    points = recording.points("gen_ai.client.inference.operation.input_tokens")
    assert {point.attributes.get("asyncllm.cached"): (point.count, point.sum) for point in points} == {
        None: (1, first.usage.input_tokens),
        True: (1, 0),
    }


async def test_streams_are_measured_by_their_chunks(llm: AsyncLLM, recording: Recording) -> None:
    """One time to the first chunk, and one time for each chunk after it."""
    chunks = [chunk async for chunk in llm.stream("hi")]
    (first,) = recording.points("gen_ai.client.inference.time_to_first_chunk")
    (others,) = recording.points("gen_ai.client.inference.time_per_output_chunk")
    assert (first.count, others.count) == (1, len(chunks) - 1)


async def test_errors_are_measured_apart(llm: AsyncLLM, recording: Recording, simulator: Simulator) -> None:
    """Failed calls have their error among the attributes; retries and 429s are counted."""
    simulator.faults(Fault("status", code=429, times=2), Fault("status", code=500))
    with pytest.raises(ServerError):
        await llm.acompletion("hi", num_retries=2)
    (duration,) = recording.points("gen_ai.client.inference.duration")
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


async def test_what_adaptive_control_found_is_seen(llm: AsyncLLM, recording: Recording, simulator: Simulator) -> None:
    """The number in flight from the first answer on, and the rate once a 429 has shown that there is one."""
    await llm.gather(["hi"] * 3)
    (in_flight,) = recording.points("asyncllm.adaptive.in_flight")
    assert in_flight.value >= 1
    assert in_flight.attributes == {"asyncllm.profile": "default", "gen_ai.request.model": "openai/gpt-4o-mini"}
    assert not recording.points("asyncllm.adaptive.rate")
    simulator.faults(Fault("status", code=429, retry_after=0.01, retry_after_form="ms", times=1))
    await llm.gather(["hi"] * 3)
    (rate,) = recording.points("asyncllm.adaptive.rate")
    assert rate.value > 0


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
    used = recording.points("gen_ai.client.inference.usage.input_tokens")
    assert sum(point.value for point in used) == first.usage.input_tokens
    assert [point.value for point in recording.points("asyncllm.cost")] == [pytest.approx(first.cost_usd)]
    durations = recording.points("gen_ai.client.inference.duration")
    assert {point.attributes.get("asyncllm.cached"): point.count for point in durations} == {None: 1, True: 2}
    asked, *others = [dict(span.attributes or {}) for span in recording.spans]
    assert ["asyncllm.cached" in asked, "gen_ai.usage.input_tokens" in asked] == [False, True]
    for other in others:
        assert (other["asyncllm.cached"], other["asyncllm.cost_usd"]) == (True, 0.0)
        assert other["asyncllm.saved_usd"] == first.cost_usd
        assert "gen_ai.usage.input_tokens" not in other
