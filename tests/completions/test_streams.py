"""An answer as it comes: its chunks, its end, and every way of leaving it."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import anyio
import pytest

from asyncllm import (
    AsyncLLM,
    AuthenticationError,
    DeadlineExceededError,
    ProviderTimeoutError,
    ServerError,
    StreamInterruptedError,
)
from asyncllm.simulator import Fault, Latency, Script, Simulator
from tests.support.waiting import collect, until

pytestmark = pytest.mark.anyio

# After these many chunks the simulator sends nothing more: whoever reads on waits, whoever leaves is seen leaving.
HALF_WAY = Fault("stall", after_chunks=3)


async def closed(simulator: Simulator) -> None:
    """Wait until the provider saw its connection close in the middle of the answer."""
    await simulator.seen.wait_async(lambda seen: seen.connections_aborted == 1 and seen.in_flight == 0, 20.0)


async def test_chunks_come_as_they_are_sent(llm: AsyncLLM, simulator: Simulator) -> None:
    """The first text is there while the provider still holds back the rest."""
    simulator.faults(HALF_WAY)
    async with llm.stream("hi") as stream:
        with anyio.fail_after(20):
            while not stream.text:
                await anext(stream)
        assert simulator.seen.in_flight == 1
        assert "Simulated answer".startswith(stream.text[:16])


async def test_a_whole_stream_is_a_whole_answer(llm: AsyncLLM) -> None:
    """The texts of the chunks are the text, and the end brings finish reason, usage and cost as known."""
    async with llm.stream("hi") as stream:
        text = "".join([chunk.text async for chunk in stream])
    completion = stream.completion
    assert text == stream.text == completion.text != ""
    assert completion.finish_reason == "stop"
    assert completion.usage.basis == "known"
    assert (completion.usage.output_tokens or 0) > 0
    assert (completion.cost_usd or 0) > 0
    assert completion.cost_basis == "known"
    assert completion.record.first_token_s is not None
    assert completion.record.request_id == "req_sim1"
    assert completion.record.attempts[-1].billed == "yes"


async def test_a_stream_gives_what_a_plain_call_gives(llm: AsyncLLM) -> None:
    """The assembled answer says the same as the plain one."""
    plain = await llm.acompletion("the same words")
    streamed = await llm.stream("the same words").collect()
    assert streamed.text == plain.text
    assert streamed.usage == plain.usage
    assert streamed.cost_usd == plain.cost_usd


async def test_the_habit_of_litellm_works(llm: AsyncLLM) -> None:
    """`async for chunk in await acompletion(stream=True)` with `chunk.choices[0].delta.content` reads every chunk."""
    text = ""
    async for chunk in await llm.acompletion("hi", stream=True):
        text += chunk.choices[0].delta.content or ""
    assert text.startswith("Simulated answer")


async def test_the_text_so_far_grows(llm: AsyncLLM) -> None:
    """`text` is what has come until now, at any time."""
    async with llm.stream("hi") as stream:
        seen = ""
        async for chunk in stream:
            seen += chunk.text
            assert stream.text == seen


async def test_the_answer_is_not_there_before_the_end(llm: AsyncLLM, simulator: Simulator) -> None:
    """`completion` of an open stream is a mistake that says what to do."""
    simulator.faults(HALF_WAY)
    async with llm.stream("hi") as stream:
        with pytest.raises(RuntimeError, match="read it to its end"):
            _ = stream.completion


async def test_reading_on_after_the_end_ends_at_once(llm: AsyncLLM) -> None:
    """A stream that has ended stays ended; collecting it gives its answer."""
    async with llm.stream("hi") as stream:
        first = await stream.collect()
        assert [chunk async for chunk in stream] == []
        assert await stream.collect() is first


async def test_tool_calls_are_assembled(llm: AsyncLLM) -> None:
    """Parallel tool calls come out of their deltas whole and in order."""
    calls = [{"name": "add", "arguments": {"a": 1, "b": 2}}, {"name": "say", "arguments": {"text": "x" * 50}}]
    tools = [
        {"type": "function", "function": {"name": call["name"], "parameters": {"type": "object"}}} for call in calls
    ]
    completion = await llm.stream("hi", tools=tools, extra_body={"simulator": {"tool_calls": calls}}).collect()
    assert [call.name for call in completion.tool_calls] == ["add", "say"]
    assert completion.tool_calls[1].arguments == '{"text": "' + "x" * 50 + '"}'
    assert len({call.id for call in completion.tool_calls}) == 2
    assert completion.finish_reason == "tool_calls"
    assert completion.text == ""


async def test_reasoning_and_refusal_are_kept_apart(llm: AsyncLLM) -> None:
    """What the model thinks and what it declines are no part of the text."""
    script = {"reasoning": "first I think about it", "text": "then I answer"}
    completion = await llm.stream("hi", extra_body={"simulator": script}).collect()
    assert (completion.reasoning, completion.text) == ("first I think about it", "then I answer")


async def leave_by_break(stream: Any) -> None:
    async with stream:
        async for _ in stream:
            break


async def leave_by_error(stream: Any) -> None:
    async def fail() -> None:
        async with stream:
            await anext(stream)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()


async def leave_by_return(stream: Any) -> None:
    async with stream:
        return


async def leave_by_cancellation(stream: Any) -> None:
    async with anyio.create_task_group() as group:

        async def read() -> None:
            async with stream:
                async for _ in stream:
                    pass

        group.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        await until(lambda: stream.text)
        group.cancel_scope.cancel()


async def leave_by_closing(stream: Any) -> None:
    await anext(stream)
    await stream.aclose()
    await stream.aclose()


@pytest.mark.parametrize(
    "leave", [leave_by_break, leave_by_error, leave_by_return, leave_by_cancellation, leave_by_closing]
)
async def test_leaving_closes_the_connection(llm: AsyncLLM, simulator: Simulator, leave: Any) -> None:
    """However a stream is left, the provider sees it, its place is free, and the usage so far is estimated."""
    simulator.faults(HALF_WAY)
    stream = llm.stream("hi")
    await leave(stream)
    await closed(simulator)
    assert llm.stats().in_flight == 0
    assert llm.stats().cancelled == 1
    assert stream.completion.usage.basis == "estimated"
    assert stream.completion.text == stream.text
    simulator.faults()
    assert (await llm.acompletion("again")).text


async def test_leaving_after_the_last_word_is_no_interruption(llm: AsyncLLM) -> None:
    """Who stops at the finish reason has the whole answer."""
    async with llm.stream("hi") as stream:
        async for chunk in stream:
            if chunk.finish_reason:
                break
    assert stream.completion.finish_reason == "stop"
    assert (llm.stats().succeeded, llm.stats().cancelled) == (1, 0)


async def test_an_abandoned_stream_is_closed_with_a_warning(llm: AsyncLLM, simulator: Simulator) -> None:
    """A stream that nobody closed lets go of its connection and its place, and names the line that opened it."""
    simulator.faults(HALF_WAY)
    streams: list[object] = [await llm.acompletion("hi", stream=True)]
    line = inspect.stack()[0].lineno - 1
    with pytest.warns(ResourceWarning, match=re.escape(f"{__file__}:{line}")):
        collect(streams)
    await closed(simulator)
    await until(lambda: not llm.stats().in_flight)
    assert llm.stats().cancelled == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault("cut", after_chunks=3),
        Fault("cut", after_chunks=3, framed=False),
        Fault("reset", after_chunks=3),
        Fault("error_event", after_chunks=3, code=500, message="the engine coughed"),
        Fault("garbage", after_chunks=3, what="invalid_json"),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.framed}",
)
async def test_an_interruption_is_told_from_an_end(llm: AsyncLLM, simulator: Simulator, fault: Fault) -> None:
    """A stream that did not end as it should is an error with the answer so far and its estimated cost."""
    simulator.latency(Latency(tokens_per_s=400))  # so that the chunks before the fault are read before it
    simulator.faults(fault)
    stream = llm.stream("hi", num_retries=2)
    with pytest.raises(StreamInterruptedError) as caught, anyio.fail_after(20):
        await stream.collect()
    error = caught.value
    assert error.partial is not None
    assert error.partial is stream.completion
    assert error.partial.text.startswith("Simulated answer")
    assert error.partial.finish_reason is None
    assert error.partial.usage.basis == "estimated"
    assert (error.partial.cost_usd or 0) > 0
    assert (error.model, error.profile, error.request_id) == ("openai/gpt-4o-mini", "default", "req_sim1")
    assert [attempt.error for attempt in error.attempts] == ["StreamInterruptedError"]
    assert (simulator.seen.requests, llm.stats().in_flight, llm.stats().failed) == (1, 0, 1)
    if fault.message:
        assert fault.message in error.message


async def test_a_stream_that_never_begins_is_an_ordinary_failure(llm: AsyncLLM, simulator: Simulator) -> None:
    """Without retries left, what fails before the first chunk is the error that a plain call would give."""
    simulator.faults(Fault("status", code=500))
    with pytest.raises(ServerError):
        async with llm.stream("hi", num_retries=0):
            pytest.fail("the block of a stream that did not open was entered")
    assert llm.stats().in_flight == 0


async def test_a_restart_begins_the_answer_anew(llm: AsyncLLM, simulator: Simulator) -> None:
    """With `on_interrupt="restart"` the reader is told, the text begins anew, and the record has both attempts."""
    simulator.latency(Latency(tokens_per_s=400))
    simulator.faults(Fault("cut", after_chunks=3, times=1))
    restarts, text = 0, ""
    async with llm.stream("hi", on_interrupt="restart") as stream:
        async for chunk in stream:
            if chunk.restarted:
                restarts, text = restarts + 1, ""
            text += chunk.text
    assert restarts == 1
    assert text == stream.text == stream.completion.text
    assert stream.completion.finish_reason == "stop"
    assert [attempt.error for attempt in stream.record.attempts] == ["StreamInterruptedError", None]
    assert simulator.seen.requests == 2


async def test_restarts_come_to_an_end(llm: AsyncLLM, simulator: Simulator) -> None:
    """At most `num_retries` restarts, then the interruption is raised."""
    simulator.latency(Latency(tokens_per_s=400))
    simulator.faults(Fault("cut", after_chunks=3))
    with pytest.raises(StreamInterruptedError):
        await llm.stream("hi", on_interrupt="restart", num_retries=2).collect()
    assert simulator.seen.requests == 3


async def test_a_restart_that_fails_keeps_the_part(llm: AsyncLLM, simulator: Simulator) -> None:
    """When the stream cannot be opened again, what had come before is still the answer so far."""
    simulator.latency(Latency(tokens_per_s=400))
    simulator.faults(Script([Fault("cut", after_chunks=3), Fault("status", code=401)]))
    stream = llm.stream("hi", on_interrupt="restart")
    with pytest.raises(AuthenticationError):
        await stream.collect()
    assert stream.completion.text.startswith("Simulated answer")


async def test_the_first_token_timeout_has_its_own_message(llm: AsyncLLM, simulator: Simulator) -> None:
    """A stream whose first chunk does not come in time says which limit it was."""
    simulator.faults(Fault("stall", at="after_headers"))
    with pytest.raises(ProviderTimeoutError, match=r"within first_token_timeout = 0\.5 s") as caught:
        await llm.stream("hi", first_token_timeout=0.5, num_retries=0).collect()
    assert caught.value.timeout == "first_token_timeout"
    await closed(simulator)


async def test_the_idle_timeout_says_what_had_arrived(llm: AsyncLLM, simulator: Simulator) -> None:
    """A stream that pauses for too long while it is read is closed, and says how far it had come."""
    simulator.faults(HALF_WAY)
    stream = llm.stream("hi", idle_timeout=0.05)
    with pytest.raises(ProviderTimeoutError, match=r"idle_timeout = 0\.05 s \(\d+ characters had arrived\)") as caught:
        await stream.collect()
    assert caught.value.timeout == "idle_timeout"
    assert stream.completion.text
    await closed(simulator)


async def test_the_readers_own_slowness_is_no_idling(llm: AsyncLLM) -> None:
    """The time that the reader takes between chunks does not count as the provider's."""
    async with llm.stream("hi", idle_timeout=0.5) as stream:
        await anext(stream)
        await anyio.sleep(0.6)
        assert (await stream.collect()).finish_reason == "stop"


async def test_the_deadline_of_a_stream_is_met_at_the_next_chunk(llm: AsyncLLM, simulator: Simulator) -> None:
    """A stream that is not over by its deadline ends with the deadline's error and its attempts."""
    simulator.faults(HALF_WAY)
    with pytest.raises(DeadlineExceededError, match="reading a stream") as caught, anyio.fail_after(20):
        await llm.stream("hi", deadline=1.0).collect()
    assert len(caught.value.attempts) == 1
    await closed(simulator)


async def test_a_paused_reader_stops_the_provider(llm: AsyncLLM, simulator: Simulator) -> None:
    """A reader that stops reading stops the sending, long before a long answer is all on its way."""
    whole = 80_000_000  # more than the kernel's buffers on both sides take up
    async with llm.stream("hi", extra_body={"simulator": {"answer_tokens": whole // 4, "chunk_chars": 4000}}) as stream:
        await anext(stream)
        before, sent = -1, 0
        for _ in range(100):
            before, sent = sent, simulator.seen.bytes_sent
            if before == sent:
                break
            await anyio.sleep(0.1)  # as long as more is sent
        assert before == sent
        assert simulator.seen.in_flight == 1
    await closed(simulator)


async def test_many_streams_are_read_side_by_side(llm: AsyncLLM, simulator: Simulator) -> None:
    """Streams of one client do not mix: each reader gets its own answer."""
    simulator.latency(Latency(tokens_per_s=2000))
    texts: dict[int, str] = {}

    async def read(number: int) -> None:
        texts[number] = (await llm.stream(f"question {number}").collect()).text

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(read, number)
    assert all(f'"question {number}"' in text for number, text in texts.items())
    assert len(texts) == 20


LONG: dict[str, Any] = {"simulator": {"answer_tokens": 25_000, "chunk_chars": 4000}}


async def test_a_text_that_is_too_long_is_dropped_on_request(llm: AsyncLLM) -> None:
    """The chunks bring all of it, usage and cost are the same, and nothing is held of the text."""
    whole = await llm.stream("hi", extra_body=LONG).collect()
    stream = llm.stream("hi", extra_body=LONG)
    stream.keep_at_most(20_000)
    sizes = [len(chunk.text) async for chunk in stream]
    assert sum(sizes) == len(whole.text) > 90_000
    completion = stream.completion
    assert (stream.text, completion.text) == ("", "")
    assert (completion.usage, completion.finish_reason) == (whole.usage, "stop")
    assert completion.cost_usd == whole.cost_usd


async def test_a_text_that_is_not_too_long_is_kept(llm: AsyncLLM) -> None:
    """The limit is one of length, not of kind."""
    stream = llm.stream("hi", extra_body=LONG)
    stream.keep_at_most(200_000)
    text = "".join([chunk.text async for chunk in stream])
    assert stream.text == stream.completion.text == text


async def test_the_estimate_of_a_dropped_text_is_that_of_the_whole(llm: AsyncLLM, simulator: Simulator) -> None:
    """A stream that is left has no usage of the provider: what was dropped is part of the estimate."""
    simulator.faults(Fault("stall", after_chunks=20))
    usages = []
    for most in (1_000_000, 20_000):
        stream = llm.stream("hi", extra_body=LONG)
        stream.keep_at_most(most)
        seen = 0
        async with stream:
            while seen < 76_000:  # all that comes before the stall, so that both have received the same
                seen += len((await anext(stream)).text)
        usages.append(stream.completion.usage)
    whole, dropped = usages
    assert dropped.basis == whole.basis == "estimated"
    assert dropped.output_tokens == pytest.approx(whole.output_tokens, rel=0.05)


@pytest.mark.parametrize("recorder", ["log_prompts", "cache"])
async def test_what_is_recorded_is_kept(llm: AsyncLLM, recorder: str, tmp_path: Path) -> None:
    """The log of prompts and the cache have the whole text, whatever the reader asked for."""
    keeping: Any = {"log_prompts": {"log_prompts": True}, "cache": {"cache": str(tmp_path / "answers.db")}}[recorder]
    async with llm.with_options(**keeping) as recording:
        stream = recording.stream("hi", extra_body=LONG)
        stream.keep_at_most(20_000)
        sizes = [len(chunk.text) async for chunk in stream]
        assert len(stream.completion.text) == sum(sizes)
