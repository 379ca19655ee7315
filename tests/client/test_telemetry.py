"""Events: what happened, for whoever listens, and nothing for nobody."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from asyncllm import AsyncLLM, ServerError, telemetry
from asyncllm.simulator import Fault, Latency, Script, Simulator
from tests.support.secrets import SECRET


class Listener(logging.Handler):
    """Keeps the events that it receives."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.lines: list[str] = []
        # The simulator's own lines are no events; an error here would break its connections.
        self.addFilter(lambda record: record.name == telemetry.LOGGER.name)

    def emit(self, record: logging.LogRecord) -> None:
        self.events.append((record.event, record.fields))  # type: ignore[attr-defined]
        self.lines.append(record.getMessage())


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    """Somebody who listens to everything of this package."""
    heard = Listener()
    monkeypatch.setattr(telemetry.LOGGER, "level", logging.DEBUG)
    telemetry.LOGGER.addHandler(heard)
    yield heard
    telemetry.LOGGER.removeHandler(heard)


@pytest.mark.anyio
async def test_an_answered_call_is_one_event(llm: AsyncLLM, listener: Listener) -> None:
    """The event has the model, the way, the tokens and the cost as fields, and no null ones."""
    completion = await llm.acompletion("a secret question")
    ((event, fields),) = listener.events
    assert event == "call.done"
    assert fields["model"] == "openai/gpt-4o-mini"
    assert fields["request_id"] == "req_sim1"
    assert (fields["attempts"], fields["finish_reason"], fields["usage"]) == (1, "stop", "known")
    assert fields["output_tokens"] == completion.usage.output_tokens
    assert fields["cost_usd"] == completion.cost_usd
    assert None not in fields.values()
    assert listener.lines[0].startswith("call.done profile=default model=openai/gpt-4o-mini")


@pytest.mark.anyio
async def test_prompts_and_answers_are_not_told(llm: AsyncLLM, listener: Listener) -> None:
    """Without `log_prompts` no event holds a word of the answer; with it, the answer is a field."""
    completion = await llm.acompletion("a secret question")
    assert completion.text not in str(listener.events)
    await llm.with_options(log_prompts=True).acompletion("a secret question")
    assert listener.events[-1][1]["answer"] == completion.text


@pytest.mark.anyio
async def test_no_event_holds_the_key(llm: AsyncLLM, simulator: Simulator, listener: Listener) -> None:
    """Neither a failure nor a retry nor an interruption tells the key, even when the provider echoes it."""
    echo = f"the key {SECRET} is no good"
    simulator.faults(Fault("status", code=500, message=echo))
    with pytest.raises(ServerError):
        await llm.acompletion("hi", num_retries=1)
    assert [event for event, _ in listener.events] == ["call.retry", "call.failed"]
    assert SECRET not in f"{listener.events} {listener.lines}"


@pytest.mark.anyio
async def test_a_percent_sign_is_no_format(llm: AsyncLLM, simulator: Simulator, listener: Listener) -> None:
    """What a provider says is data: `%s` in it stays as it is."""
    simulator.faults(Fault("status", code=500, message="100%s of %d"))
    with pytest.raises(ServerError):
        await llm.acompletion("hi", num_retries=0)
    assert "100%s of %d" in listener.lines[0]


def test_nothing_is_built_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a handler that would show it, an event is not even begun, warnings included."""
    alone = logging.getLogger("asyncllm.test.alone")
    alone.propagate = False
    alone.setLevel(logging.DEBUG)
    alone.addHandler(logging.NullHandler())
    monkeypatch.setattr(telemetry, "LOGGER", alone)
    monkeypatch.setattr(telemetry, "_logger", lambda: pytest.fail("an event was built for nobody"))
    assert not telemetry.listening(telemetry.WARNING)
    telemetry.emit(telemetry.WARNING, "call.failed", model="m")


def test_a_level_that_is_not_wanted_is_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener for warnings costs nothing on the way of a call that succeeds."""
    quiet = logging.getLogger("asyncllm.test.quiet")
    quiet.propagate = False
    quiet.setLevel(logging.WARNING)
    quiet.addHandler(Listener())
    monkeypatch.setattr(telemetry, "LOGGER", quiet)
    assert telemetry.listening(telemetry.WARNING)
    assert not telemetry.listening(telemetry.INFO)


def run(options: dict[str, Any], backend: str, simulator: Simulator, listener: Listener) -> list[tuple[str, Any]]:
    """One run of everything that tells something; what it told, without what differs from run to run."""
    simulator.reset()
    simulator.latency(Latency(tokens_per_s=400))  # so that the chunks before a cut are read before it
    simulator.faults(
        Script(
            [
                None,
                Fault("status", code=500),
                None,
                Fault("cut", after_chunks=3),
                Fault("stall", after_chunks=3),
                Fault("stall"),
            ]
        )
    )

    async def main() -> None:
        async with AsyncLLM(**options, num_retries=1) as llm:
            await llm.acompletion("an answer")
            await llm.acompletion("a retry")
            with pytest.raises(Exception, match=r"cut|interrupted|broken"):
                await llm.stream("an interruption").collect()
            async with llm.stream("left early") as stream:
                await anext(stream)
            async with anyio.create_task_group() as group:
                group.start_soon(llm.acompletion, "a cancellation")
                await simulator.seen.wait_async(lambda seen: seen.requests == 6)
                group.cancel_scope.cancel()

    listener.events.clear()
    anyio.run(main, backend=backend)
    varying = {"elapsed_s", "wait_s", "first_token_s", "output_tokens", "cost_usd", "message"}
    return [(event, {k: v for k, v in fields.items() if k not in varying}) for event, fields in listener.events]


def test_both_backends_tell_the_same(options: dict[str, Any], simulator: Simulator, listener: Listener) -> None:
    """The same run gives the same events with the same fields under asyncio and under trio."""
    told = run(options, "asyncio", simulator, listener)
    assert told == run(options, "trio", simulator, listener)
    assert [event for event, _ in told] == [
        "call.done",
        "call.retry",
        "call.done",
        "call.interrupted",
        "call.interrupted",
        "call.cancelled",
    ]
    assert [fields.get("error") for _, fields in told][3:5] == ["StreamInterruptedError", "cancelled"]
    assert [fields["usage"] for _, fields in told if "usage" in fields] == [
        *("known", "known"),
        *("estimated", "estimated"),  # what had come until then
        "unknown",
    ]
