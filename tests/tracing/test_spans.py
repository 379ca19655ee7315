"""Spans: one for each call, with what the conventions ask for, whichever way it ends."""

from __future__ import annotations

import json
import pickle
from typing import Any

import anyio
import pytest
from opentelemetry.trace import SpanKind, StatusCode
from pydantic import BaseModel

from asyncllm import LLM, AsyncLLM, ExtractionError, Request, ServerError, StreamInterruptedError, telemetry
from asyncllm.config.options import Options
from asyncllm.simulator import Fault, Script, Simulator
from asyncllm.tracing.wrappers import is_own_host
from tests.support.secrets import SECRET
from tests.tracing.conftest import Recording, recorded

pytestmark = pytest.mark.anyio

CHAT = "chat gpt-4o-mini"


def scripted(**script: object) -> dict[str, dict[str, object]]:
    """Return the `extra_body` that tells the simulator what to answer."""
    return {"simulator": script}


async def test_a_call_is_a_span(llm: AsyncLLM, recording: Recording, simulator: Simulator) -> None:
    """Its attributes are those of the conventions: provider, models, parameters, usage, server."""
    usage = {
        "prompt_tokens_details": {"cached_tokens": 3, "cache_creation_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    params: Any = {"temperature": 0.5, "top_p": 0.9, "max_tokens": 200, "seed": 7, "stop": ["END"], "n": 2}
    params["reasoning_effort"] = "low"
    completion = await llm.acompletion(
        "hi", presence_penalty=0.1, frequency_penalty=0.2, extra_body=scripted(usage=usage), **params
    )
    span = recording.span(CHAT)
    attributes = dict(span.attributes or {})
    port = int(simulator.url.rpartition(":")[2].removesuffix("/v1"))
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.max_tokens": 200,
        "gen_ai.request.seed": 7,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.request.choice.count": 2,
        "gen_ai.request.presence_penalty": 0.1,
        "gen_ai.request.frequency_penalty": 0.2,
        "gen_ai.request.reasoning.level": "low",
        "gen_ai.response.model": completion.model,
        "gen_ai.response.id": completion.id,
        "gen_ai.response.finish_reasons": ("stop", "stop"),
        "gen_ai.usage.input_tokens": completion.usage.input_tokens,
        "gen_ai.usage.output_tokens": completion.usage.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": 3,
        "gen_ai.usage.cache_write.input_tokens": 4,
        "gen_ai.usage.reasoning.output_tokens": 2,
        "server.address": "127.0.0.1",
        "server.port": port,
        "asyncllm.cost_usd": completion.cost_usd,
        "asyncllm.transport": "wire",
    }
    assert {name: attributes.get(name) for name in expected} == expected
    assert (span.kind, span.status.status_code) == (SpanKind.CLIENT, StatusCode.UNSET)
    assert not span.events
    assert "gen_ai.request.stream" not in attributes


async def test_without_opting_in_the_older_names_are_used(llm: AsyncLLM) -> None:
    """As the specification asks: `gen_ai.system` until the latest conventions are asked for."""
    usage = {"prompt_tokens_details": {"cache_creation_tokens": 4}}
    for recording in recorded():
        await llm.acompletion("hi", extra_body=scripted(usage=usage))
        attributes = dict(recording.span(CHAT).attributes or {})
        assert attributes["gen_ai.system"] == "openai"
        assert attributes["gen_ai.usage.cache_creation.input_tokens"] == 4
        assert "gen_ai.provider.name" not in attributes


async def test_a_stream_is_a_span_to_its_last_chunk(llm: AsyncLLM, recording: Recording) -> None:
    """The span begins with the request and ends with the stream; it has the time to the first chunk."""
    async with llm.stream("hi") as stream:
        async for _ in stream:
            assert not recording.spans
    attributes = dict(recording.span(CHAT).attributes or {})
    assert attributes["gen_ai.request.stream"] is True
    assert attributes["gen_ai.response.time_to_first_chunk"] == stream.record.first_token_s
    assert attributes["gen_ai.usage.output_tokens"] == stream.completion.usage.output_tokens


async def test_a_stream_that_is_left_is_cancelled_and_no_error(
    llm: AsyncLLM, recording: Recording, simulator: Simulator
) -> None:
    """Leaving early ends the span, with what is known."""
    simulator.faults(Fault("stall", after_chunks=2))
    async with llm.stream("hi") as stream:
        await anext(stream)
    span = recording.span(CHAT)
    assert span.status.status_code is StatusCode.UNSET
    assert dict(span.attributes or {})["asyncllm.cancelled"] is True
    assert dict(span.attributes or {})["gen_ai.response.finish_reasons"] == ("error",)


async def test_an_interrupted_stream_is_an_error(llm: AsyncLLM, recording: Recording, simulator: Simulator) -> None:
    """The span has the class of the error and the usage so far."""
    simulator.faults(Fault("cut", after_chunks=2))
    with pytest.raises(StreamInterruptedError):
        await llm.stream("hi").collect()
    span = recording.span(CHAT)
    assert span.status.status_code is StatusCode.ERROR
    assert "Error" in str(dict(span.attributes or {})["error.type"])
    assert dict(span.attributes or {})["asyncllm.usage.basis"] == "estimated"


async def test_attempts_and_waits_are_events(llm: AsyncLLM, recording: Recording, simulator: Simulator) -> None:
    """A retried call is one span, whose events say what each attempt met, in order."""
    simulator.faults(Fault("status", code=503, times=2))
    await llm.acompletion("hi")
    span = recording.span(CHAT)
    events = [dict(event.attributes or {}) for event in span.events]
    assert [event.get("error.type") for event in events] == ["ServerError", "ServerError", None]
    assert [event.get("http.response.status_code") for event in events] == [503, 503, None]
    assert all(event["asyncllm.attempt.waited_s"] for event in events[:2])
    assert [event["asyncllm.attempt.number"] for event in events] == [1, 2, 3]
    times = [event.timestamp for event in span.events]
    assert times == sorted(times)
    assert span.start_time is not None
    assert times[0] >= span.start_time


async def test_a_failed_call_has_its_error(llm: AsyncLLM, recording: Recording, simulator: Simulator) -> None:
    """The status is an error with its class, and without the provider's words."""
    simulator.faults(Fault("status", code=500, message="the prompt was: hi"))
    with pytest.raises(ServerError):
        await llm.acompletion("hi", num_retries=1)
    span = recording.span(CHAT)
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "ServerError")
    assert dict(span.attributes or {})["error.type"] == "ServerError"
    assert len(span.events) == 2
    assert "the prompt was" not in span.to_json()


async def test_a_cancelled_call_ends_its_span(llm: AsyncLLM, recording: Recording, simulator: Simulator) -> None:
    """A cancellation is no error, and leaves no span open."""
    simulator.faults(Fault("stall"))
    async with anyio.create_task_group() as group:
        group.start_soon(llm.acompletion, "hi")
        await simulator.seen.wait_async(lambda seen: seen.in_flight == 1)
        group.cancel_scope.cancel()
    span = recording.span(CHAT)
    assert span.status.status_code is StatusCode.UNSET
    assert dict(span.attributes or {})["asyncllm.cancelled"] is True


def configure_backup(simulator: Simulator, folder: Any, monkeypatch: pytest.MonkeyPatch, api_key: str = SECRET) -> None:
    """Write a configuration in which another profile, with that key, stands in for the default one."""
    monkeypatch.chdir(folder)
    (folder / "config.toml").write_text(
        f"""
        [llm]
        model = "openai/gpt-4o-mini"
        base_url = "{simulator.url}"
        api_key = "{SECRET}"
        fallbacks = ["backup"]
        num_retries = 0
        [llm.backup]
        model = "openai/gpt-4o"
        api_key = "{api_key}"
        """
    )


async def test_fallbacks_are_part_of_the_call(
    options: Options, recording: Recording, simulator: Simulator, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that another profile served is one span, with an event for each attempt and the model that answered."""
    configure_backup(simulator, tmp_path, monkeypatch)
    simulator.faults(Fault("status", code=503, times=1))
    async with AsyncLLM() as llm:
        await llm.acompletion("hi")
    (span,) = recording.spans
    assert [(event.attributes or {}).get("asyncllm.attempt.profile") for event in span.events] == ["default", "backup"]
    assert dict(span.attributes or {})["gen_ai.response.model"] == "gpt-4o"


async def test_a_failed_call_names_the_profiles_that_were_skipped(
    options: Options, recording: Recording, simulator: Simulator, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its span has an event for each profile that was sent nothing, as that of an answered call has."""
    configure_backup(simulator, tmp_path, monkeypatch, api_key="another-key")
    simulator.faults(Script([Fault("status", code=429, retry_after=600), None, Fault("status", code=500)]))
    async with AsyncLLM() as llm:
        await llm.acompletion("hi")
        with pytest.raises(ServerError) as caught:
            await llm.acompletion("hi")
    assert pickle.loads(pickle.dumps(caught.value)).skipped.keys() == {"default"}
    (event,) = [event for event in recording.spans[-1].events if event.name == "asyncllm.fallback"]
    assert dict(event.attributes or {}) == {
        "asyncllm.profile": "default",
        "asyncllm.reason": "the provider asked for a longer pause than retry_max_wait",
    }


async def test_a_stream_that_does_not_begin_is_an_error(
    llm: AsyncLLM, recording: Recording, simulator: Simulator
) -> None:
    """Its span ends with the error of the opening."""
    simulator.faults(Fault("status", code=500))
    with pytest.raises(ServerError):
        await llm.stream("hi", num_retries=0).collect()
    assert dict(recording.span(CHAT).attributes or {})["error.type"] == "ServerError"


async def test_formats_and_single_stops_are_attributes(llm: AsyncLLM, recording: Recording) -> None:
    """A stop that is one text is a list of one, and a format of JSON an output type."""
    await llm.acompletion("hi", stop="END", response_format={"type": "json_object"})
    attributes = dict(recording.span(CHAT).attributes or {})
    assert attributes["gen_ai.request.stop_sequences"] == ("END",)
    assert attributes["gen_ai.output.type"] == "json"


class Invoice(BaseModel):
    """What typed calls ask for."""

    number: str
    total: float


async def test_a_typed_call_has_its_asks_within(llm: AsyncLLM, recording: Recording) -> None:
    """Each ask is a call of its own, within the span of the typed call, which says how often it asked again."""
    answers = iter(['{"number": "R-1"}', '{"number": "R-1", "total": 2}'])

    def check(value: Invoice) -> None:
        if next(answers).count("total") == 0:
            from asyncllm import Reask

            raise Reask("again")

    await llm.extract(Invoice, "hi", check=check)
    outer = recording.span("extract Invoice")
    inner = [span for span in recording.spans if span.name == CHAT]
    assert len(inner) == 2
    assert outer.context is not None
    assert all(span.parent is not None and span.parent.span_id == outer.context.span_id for span in inner)
    assert dict(outer.attributes or {})["asyncllm.reasks"] == 1
    assert [event.name for event in outer.events] == ["asyncllm.reask"]


async def test_a_typed_call_that_fails_is_an_error(llm: AsyncLLM, recording: Recording) -> None:
    """Its span has the error, and its asks are calls that were answered."""
    with pytest.raises(ExtractionError):
        await llm.extract(Invoice, "hi", max_reasks=0, extra_body=scripted(text="none"))
    outer = recording.span("extract Invoice")
    assert outer.status.status_code is StatusCode.ERROR
    assert dict(outer.attributes or {})["error.type"] == "ExtractionError"
    assert recording.span(CHAT).status.status_code is StatusCode.UNSET


async def test_without_an_sdk_nothing_is_recorded(llm: AsyncLLM) -> None:
    """Switched on before an SDK is there, calls and streams are as without tracing, and go out without a trace."""
    telemetry.instrument()
    try:
        assert (await llm.acompletion("hi")).text
        assert (await llm.stream("hi").collect()).text
    finally:
        telemetry.uninstrument()


async def test_a_batch_that_is_left_by_an_error_is_one(llm: AsyncLLM, recording: Recording) -> None:
    """The span of a batch has the error that its block was left by."""

    async def leave() -> None:
        async with llm.map(["a", "b"]) as outcomes:
            await anext(outcomes)
            raise KeyError("the caller's own")

    with pytest.raises(KeyError):
        await leave()
    batch = recording.span("batch")
    assert batch.status.status_code is StatusCode.ERROR
    assert dict(batch.attributes or {})["error.type"] == "KeyError"


async def test_items_of_a_batch_are_traces_linked_to_it(
    llm: AsyncLLM, recording: Recording, simulator: Simulator
) -> None:
    """A batch is a span, and each of its items a trace of its own with a link to it."""
    simulator.faults(Fault("status", code=400, times=1))
    await llm.gather([Request("a"), Request("b"), Request("c", response_model=Invoice)], max_concurrency=1)
    batch = recording.span("batch")
    assert batch.context is not None
    roots = [span for span in recording.spans if span.parent is None and span is not batch]
    assert len(roots) == 3
    for span in roots:
        assert span.context is not None
        assert span.context.trace_id != batch.context.trace_id
        assert [link.context.span_id for link in span.links] == [batch.context.span_id]
    assert dict(batch.attributes or {}) == {"asyncllm.batch.items": 3, "asyncllm.batch.failed": 1}


@pytest.mark.parametrize("transport", ["wire", "litellm"])
async def test_the_callers_span_is_the_parent(
    options: Options, recording: Recording, transport: Any, simulator: Simulator
) -> None:
    """On both backends and transports, streams too; and the trace goes on at an endpoint of one's own."""
    tracer = recording.tracer_provider.get_tracer("test")
    chosen: Options = {**options, "transport": transport}
    async with AsyncLLM(**chosen) as llm:
        with tracer.start_as_current_span("request") as request:
            await llm.acompletion("hi")
            await llm.stream("hi").collect()
    chats = [span for span in recording.spans if span.name == CHAT]
    context = request.get_span_context()
    assert len(chats) == 2
    assert all(span.parent is not None and span.parent.span_id == context.span_id for span in chats)
    sent = [headers["traceparent"].split("-") for headers in simulator.seen.headers]
    assert [parts[1] for parts in sent] == [f"{context.trace_id:032x}"] * 2
    assert [parts[2] for parts in sent] == [f"{span.context.span_id:016x}" for span in chats if span.context]


async def test_no_trace_goes_to_a_provider(
    options: Options, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trace's context is for hosts of one's own, and for those that are named."""
    monkeypatch.setattr("asyncllm.tracing.wrappers.is_own_host", lambda _host: False)
    for named in ((), ("127.0.0.1",)):
        for _ in recorded(propagate_to=named):
            async with AsyncLLM(**options) as llm:
                await llm.acompletion("hi")
        assert ("traceparent" in simulator.seen.headers[-1]) is bool(named)


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("10.0.0.5", True),
        ("::1", True),
        ("vllm", True),
        ("vllm.models.svc.cluster.local", True),
        ("api.openai.com", False),
        ("8.8.8.8", False),
    ],
)
def test_hosts_of_ones_own(host: str, own: bool) -> None:
    """Private addresses, names without a dot, and names that only a network of one's own resolves."""
    assert is_own_host(host) is own


async def test_content_is_recorded_on_request_alone(llm: AsyncLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither prompt nor answer without `capture_content`; with it, both in the conventions' form, and never a key."""
    messages: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "a secret question"}]
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "false")
    for recording in recorded():
        await llm.acompletion(messages)
        assert "secret question" not in recording.span(CHAT).to_json()
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "span_only")
    for recording in recorded():
        completion = await llm.acompletion(messages)
        span = recording.span(CHAT)
        attributes = dict(span.attributes or {})
        assert json.loads(str(attributes["gen_ai.system_instructions"])) == [{"type": "text", "content": "Be brief."}]
        assert json.loads(str(attributes["gen_ai.input.messages"])) == [
            {"role": "user", "parts": [{"type": "text", "content": "a secret question"}]}
        ]
        (answer,) = json.loads(str(attributes["gen_ai.output.messages"]))
        assert answer["parts"] == [{"type": "text", "content": completion.text}]
        assert answer["finish_reason"] == "stop"
        assert SECRET not in span.to_json()


async def test_tool_calls_and_results_are_content(llm: AsyncLLM) -> None:
    """Calls of tools, their results and images have parts of their own."""
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    messages: Any = [
        {"role": "user", "content": [{"type": "text", "text": "look"}, image]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
    ]
    for recording in recorded(capture_content=True):
        await llm.acompletion(messages)
        shown = json.loads(str(dict(recording.span(CHAT).attributes or {})["gen_ai.input.messages"]))
        assert [message["parts"] for message in shown] == [
            [{"type": "text", "content": "look"}, {"type": "image_url"}],
            [{"type": "tool_call", "id": "c1", "name": "look", "arguments": "{}"}],
            [{"type": "tool_call_response", "id": "c1", "response": "a cat"}],
        ]


async def test_switched_off_nothing_is_recorded(llm: AsyncLLM) -> None:
    """`uninstrument` puts every method back as it was; doing either twice is harmless."""
    from asyncllm.tracing import instrumentation

    before = {(owner, name): getattr(owner, name) for owner, name in instrumentation._WRAPPED}
    for recording in recorded():
        telemetry.instrument()
        await llm.acompletion("hi")
        assert len(recording.spans) == 1
        telemetry.uninstrument()
        telemetry.uninstrument()
        await llm.acompletion("hi")
        assert len(recording.spans) == 1
    assert {(owner, name): getattr(owner, name) for owner, name in instrumentation._WRAPPED} == before


def test_blocking_calls_have_the_callers_span_as_parent(options: Options, recording: Recording) -> None:
    """A blocking client runs its calls on a thread of its own, and the trace goes on there."""
    with (
        LLM(**options) as llm,
        recording.tracer_provider.get_tracer("test").start_as_current_span("request") as request,
    ):
        llm.completion("hi")
        with llm.stream("hi") as stream:
            list(stream)
    chats = [span for span in recording.spans if span.name == CHAT]
    parents = [span.parent.span_id for span in chats if span.parent is not None]
    assert parents == [request.get_span_context().span_id] * 2
