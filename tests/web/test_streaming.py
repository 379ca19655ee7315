"""Streams as responses: what each protocol sends, who closes what, and what an error becomes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from fastapi import BackgroundTasks, FastAPI
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from asyncllm import AsyncLLM, web
from asyncllm.simulator import Fault, Simulator
from asyncllm.web import streaming
from asyncllm.web.protocols import EventEncoding
from asyncllm.web.streaming import AnswerResponse
from tests.web.conftest import Visitor, scripted

pytestmark = pytest.mark.anyio

PROTOCOLS = ("openai", "events", "ui", "text")
ANSWER = "An answer, piece by piece, of more than one chunk; ä, 漢, \U0001f600."


class Invoice(BaseModel):
    """What typed streams ask for."""

    number: str
    total: float


INVOICE = json.dumps({"number": "R-2025-0417", "total": 12.5})


def app_of(respond: Callable[[], Response]) -> Starlette:
    """Return an application whose only route answers with a response that is made for each request."""

    async def handle(_request: object) -> Response:
        return respond()

    app = Starlette(routes=[Route("/", handle)])
    web.add_error_handlers(app)
    return app


def texts(visitor: Visitor, protocol: str) -> str:
    """Put together the text that a visitor was sent."""
    if protocol == "text":
        return visitor.body.decode()
    said: list[str] = []
    for name, data in visitor.events():
        if protocol == "openai" and data != "[DONE]":
            said += [choice["delta"].get("content") or "" for choice in data["choices"]]
        elif protocol == "events" and name == "delta" and data != "[DONE]":
            said.append(data["text"])
        elif protocol == "ui" and data != "[DONE]" and data["type"] == "text-delta":
            said.append(data["delta"])
    return "".join(said)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_the_pieces_make_up_the_answer(llm: AsyncLLM, simulator: Simulator, protocol: Any) -> None:
    """Every protocol carries the whole text, ends, and asks proxies not to buffer; the connection is released."""
    app = app_of(lambda: web.stream_response(llm.stream("hi", extra_body=scripted(text=ANSWER)), protocol))
    visitor = await Visitor().visit(app)
    assert (visitor.status, visitor.is_complete) == (200, True)
    assert texts(visitor, protocol) == ANSWER
    assert visitor.headers["cache-control"] == "no-cache, no-transform"
    assert visitor.headers["x-accel-buffering"] == "no"
    kind = "text/plain" if protocol == "text" else "text/event-stream"
    assert visitor.headers["content-type"].startswith(kind)
    assert llm.stats().in_flight == 0
    assert llm.stats().succeeded == 1


async def test_events_end_with_usage_and_cost(llm: AsyncLLM) -> None:
    """`done` has what the completion has."""
    visitor = await Visitor().visit(app_of(lambda: web.stream_response(llm.stream("hi"), "events")))
    name, done = visitor.events()[-1]
    assert name == "done"
    assert done["finish_reason"] == "stop"
    assert done["usage"]["basis"] == "known"
    assert done["usage"]["output_tokens"] > 0
    assert done["cost_usd"] == pytest.approx(llm.stats().cost_usd)


async def test_events_carry_reasoning_and_tool_calls(llm: AsyncLLM) -> None:
    """A delta has what its chunk has, under names of its own."""
    calls = [{"name": "get_weather", "arguments": {"city": "Paris"}}]
    body = scripted(reasoning="Paris is asked for.", tool_calls=calls)
    visitor = await Visitor().visit(app_of(lambda: web.stream_response(llm.stream("hi", extra_body=body))))
    deltas = [data for name, data in visitor.events() if name == "delta"]
    assert "".join(delta.get("reasoning", "") for delta in deltas) == "Paris is asked for."
    pieces = [call["function"] for delta in deltas for call in delta.get("tool_calls", [])]
    assert "".join(piece.get("arguments", "") for piece in pieces) == '{"city": "Paris"}'


async def test_the_ui_stream_carries_tool_calls(llm: AsyncLLM) -> None:
    """The input of each call grows, and is there as a value at the end; one that is no JSON is an error of its part."""
    calls = [{"name": "get_weather", "arguments": {"city": city}} for city in ("Paris", "Lima")]
    body = scripted(tool_calls=calls, chunk_chars=5)
    visitor = await Visitor().visit(app_of(lambda: web.stream_response(llm.stream("hi", extra_body=body), "ui")))
    parts = [data for _, data in visitor.events() if data != "[DONE]"]
    begun = [part["toolCallId"] for part in parts if part["type"] == "tool-input-start"]
    assert len(set(begun)) == 2
    for call_id, city in zip(begun, ("Paris", "Lima"), strict=True):
        deltas = [part["inputTextDelta"] for part in parts if part["type"] == "tool-input-delta"]
        assert json.dumps({"city": city}) in "".join(deltas)
        (given,) = [part for part in parts if part["type"] == "tool-input-available" and part["toolCallId"] == call_id]
        assert (given["toolName"], given["input"]) == ("get_weather", {"city": city})
    assert parts[-1]["finishReason"] == "tool-calls"
    cut = scripted(tool_calls=calls[:1], chunk_chars=5, finish_reason="length", answer_tokens=3)
    visitor = await Visitor().visit(
        app_of(lambda: web.stream_response(llm.stream("hi", max_tokens=3, extra_body=cut), "ui"))
    )
    failed = [data for _, data in visitor.events() if data != "[DONE]" and data["type"] == "tool-input-error"]
    assert [part["errorText"] for part in failed] == ["The arguments are no JSON."]


@pytest.mark.parametrize("include_usage", [False, True])
async def test_the_chunk_without_choices_is_sent_when_asked_for(llm: AsyncLLM, include_usage: bool) -> None:
    """Clients that read `choices[0]` of every chunk, as most do, break on the one with the usage."""
    visitor = await Visitor().visit(
        app_of(lambda: web.stream_response(llm.stream("hi"), "openai", include_usage=include_usage))
    )
    *chunks, (_, done) = visitor.events()
    assert done == "[DONE]"
    assert {chunk["object"] for _, chunk in chunks} == {"chat.completion.chunk"}
    assert any(not chunk["choices"] and chunk["usage"] for _, chunk in chunks) is include_usage


@pytest.mark.parametrize(("protocol", "name"), [("events", "partial"), ("ui", "data-partial")])
async def test_a_value_grows(llm: AsyncLLM, protocol: Any, name: str) -> None:
    """Snapshots of a typed stream grow up to the validated value."""
    body = scripted(text=INVOICE, chunk_chars=4, events_per_write=1)
    made = lambda: web.stream_response(llm.stream_partial(Invoice, "hi", extra_body=body), protocol)  # noqa: E731
    visitor = await Visitor().visit(app_of(made))
    if protocol == "events":
        values = [data for event, data in visitor.events() if event == name]
        assert visitor.events()[-1][1]["value"] == json.loads(INVOICE)
    else:
        parts = [data for _, data in visitor.events() if data != "[DONE]" and data["type"] == name]
        assert {part["id"] for part in parts} == {"partial"}
        values = [part["data"] for part in parts]
    assert len(values) > 2
    assert values[-1] == json.loads(INVOICE)
    assert "R-2025-0417".startswith(values[0]["number"] or "")


@pytest.mark.parametrize("protocol", ["events", "ui", "text"])
async def test_items_come_one_by_one(llm: AsyncLLM, protocol: Any) -> None:
    """Each item of a list is sent when it is complete; `text` sends JSON Lines."""
    items = [{"number": f"R-{n}", "total": n + 0.5} for n in range(3)]
    body = scripted(text=json.dumps({"value": items}))
    made = lambda: web.stream_response(llm.stream_items(Invoice, "hi", extra_body=body), protocol)  # noqa: E731
    visitor = await Visitor().visit(app_of(made))
    if protocol == "text":
        assert visitor.headers["content-type"] == "application/jsonl"
        got = [json.loads(line) for line in visitor.body.splitlines()]
    elif protocol == "events":
        got = [data for event, data in visitor.events() if event == "item"]
    else:
        got = [data["data"] for _, data in visitor.events() if data != "[DONE]" and data["type"] == "data-item"]
    assert got == items


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_an_error_before_the_first_chunk_is_a_status(llm: AsyncLLM, simulator: Simulator, protocol: Any) -> None:
    """A stream that cannot begin is answered like any call: with the status of its error."""
    simulator.faults(Fault("status", code=429, retry_after=7))
    busy = llm.with_options(num_retries=0)
    visitor = await Visitor().visit(app_of(lambda: web.stream_response(busy.stream("hi"), protocol)))
    assert (visitor.status, visitor.headers["retry-after"]) == (503, "7")
    assert json.loads(visitor.body)["code"] == "busy"


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_an_error_after_it_is_an_event(llm: AsyncLLM, simulator: Simulator, protocol: Any) -> None:
    """A stream that breaks off says so in the protocol's own way; a plain text, which cannot, is cut."""
    simulator.faults(Fault("cut", after_chunks=2))
    visitor = await Visitor().visit(app_of(lambda: web.stream_response(llm.stream("hi"), protocol)))
    assert visitor.status == 200
    detail = "The answer was interrupted."
    if protocol == "openai":
        assert visitor.events()[-1][1]["error"]["message"] == detail
    elif protocol == "events":
        name, problem = visitor.events()[-1]
        assert (name, problem["status"], problem["detail"]) == ("error", 502, detail)
    elif protocol == "ui":
        assert [data for _, data in visitor.events()[-2:]] == [{"type": "error", "errorText": detail}, "[DONE]"]
    assert visitor.is_complete is (protocol != "text")


async def test_a_value_that_does_not_fit_is_an_error_event(llm: AsyncLLM) -> None:
    """An answer that is no value of the type is found out at its end."""
    body = scripted(text='{"number": "R-1", "total": "much"}')
    made = lambda: web.stream_response(llm.stream_partial(Invoice, "hi", extra_body=body))  # noqa: E731
    visitor = await Visitor().visit(app_of(made))
    name, problem = visitor.events()[-1]
    assert (name, problem["code"]) == ("error", "bad_answer")


async def test_an_answer_that_begins_anew(llm: AsyncLLM, simulator: Simulator) -> None:
    """`events` says so, the other protocols cannot: they end with an error rather than mix two answers."""
    simulator.faults(Fault("cut", after_chunks=2, times=1))
    made = lambda: web.stream_response(llm.stream("hi", on_interrupt="restart"), "events")  # noqa: E731
    visitor = await Visitor().visit(app_of(made))
    names = [name for name, _ in visitor.events()]
    assert names.count("restart") == 1
    assert names[-1] == "done"
    simulator.faults(Fault("cut", after_chunks=2, times=1))
    made = lambda: web.stream_response(llm.stream("hi", on_interrupt="restart"), "openai")  # noqa: E731
    visitor = await Visitor().visit(app_of(made))
    assert visitor.events()[-1][1]["error"]["type"] == "interrupted"
    assert llm.stats().in_flight == 0


@pytest.mark.parametrize("after_chunks", [0, 2])
async def test_who_leaves_closes_the_providers_connection(
    llm: AsyncLLM, simulator: Simulator, after_chunks: int
) -> None:
    """Before the first chunk and after it: the provider's connection is closed, and nothing is left."""
    simulator.faults(Fault("stall", after_chunks=after_chunks))
    visitor = Visitor()
    async with anyio.create_task_group() as group:
        group.start_soon(visitor.visit, app_of(lambda: web.stream_response(llm.stream("hi"), "events")))
        await simulator.seen.wait_async(lambda seen: seen.in_flight == 1)
        if after_chunks:
            await visitor.got_something.wait()
        visitor.leave()
    await simulator.seen.wait_async(lambda seen: seen.connections_open == 0)
    assert visitor.status == (200 if after_chunks else 499)
    assert (llm.stats().in_flight, llm.stats().cancelled) == (0, 1)


async def test_a_slow_reader_slows_the_provider(llm: AsyncLLM, simulator: Simulator) -> None:
    """A visitor that takes nothing stops the sending long before a long answer is on its way, and loses nothing."""
    whole = 80_000_000  # more than the kernel's buffers on both sides take up
    body = scripted(answer_tokens=whole // 4, chunk_chars=4000)
    visitor = Visitor()
    visitor.stop_reading()
    async with anyio.create_task_group() as group:
        made = lambda: web.stream_response(llm.stream("hi", extra_body=body), "text")  # noqa: E731
        group.start_soon(visitor.visit, app_of(made))
        await visitor.got_something.wait()
        before, sent = -1, 0
        while before != sent:
            before, sent = sent, simulator.seen.bytes_sent
            await anyio.sleep(0.1)  # as long as more is sent
        assert len(visitor.body) <= 4000
        assert simulator.seen.bytes_sent < whole
        visitor.leave()
    await simulator.seen.wait_async(lambda seen: seen.connections_open == 0)


async def test_a_very_long_answer_is_not_held(llm: AsyncLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a reader has been sent is not kept, usage and cost are sent all the same; an answer of usual length is."""
    body = scripted(answer_tokens=25_000, chunk_chars=4000)
    for most, is_kept in ((20_000, False), (500_000, True)):
        monkeypatch.setattr(streaming, "_KEPT_CHARS", most)
        stream = llm.stream("hi", extra_body=body)
        response = web.stream_response(stream, "events")
        visitor = await Visitor().visit(response)
        assert len(texts(visitor, "events")) > 90_000
        assert visitor.events()[-1][1]["usage"]["output_tokens"] > 20_000
        assert bool(stream.completion.text) is is_kept


@pytest.mark.parametrize("leaves", [False, True])
async def test_tasks_in_the_background_find_the_answer(llm: AsyncLLM, simulator: Simulator, leaves: bool) -> None:
    """FastAPI's background tasks run when the stream has ended, and when its reader has left."""
    if leaves:
        simulator.faults(Fault("stall", after_chunks=2))
    stored: list[str] = []
    app = FastAPI()

    @app.get("/")
    async def chat(tasks: BackgroundTasks) -> Response:
        stream = llm.stream("hi", extra_body=scripted(text=ANSWER))
        tasks.add_task(lambda: stored.append(stream.completion.text))
        return web.stream_response(stream)

    visitor = Visitor()
    async with anyio.create_task_group() as group:
        group.start_soon(visitor.visit, app)
        await visitor.got_something.wait()
        if leaves:
            visitor.leave()
    assert stored[0]
    assert ANSWER.startswith(stored[0])
    assert (stored[0] == ANSWER) is not leaves


async def test_a_reader_that_left_before_the_first_chunk_has_no_answer(llm: AsyncLLM, simulator: Simulator) -> None:
    """The text is empty then, and `completion` says why there is none."""
    simulator.faults(Fault("stall", at="after_headers"))
    found: list[str] = []
    app = FastAPI()

    @app.get("/")
    async def chat(tasks: BackgroundTasks) -> Response:
        stream = llm.stream("hi")

        def look() -> None:
            with pytest.raises(RuntimeError, match="closed before its first chunk"):
                _ = stream.completion
            found.append(stream.text)

        tasks.add_task(look)
        return web.stream_response(stream)

    visitor = Visitor()
    async with anyio.create_task_group() as group:
        group.start_soon(visitor.visit, app)
        await simulator.seen.wait_async(lambda seen: seen.in_flight == 1)
        visitor.leave()
    assert found == [""]


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self._changed = anyio.Event()
        self.waiting_until = 0.0

    def now(self) -> float:
        """Return the time in seconds."""
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock has been moved far enough."""
        until = self.waiting_until = self.now_s + seconds
        while self.now_s < until:
            await self._changed.wait()
        await anyio.lowlevel.checkpoint()

    async def move(self, seconds: float) -> None:
        """Move it, and let those who wait for it run."""
        self.now_s += seconds
        self._changed.set()
        self._changed = anyio.Event()
        await anyio.wait_all_tasks_blocked()


async def test_a_comment_keeps_a_silent_stream_alive(llm: AsyncLLM, simulator: Simulator) -> None:
    """After 15 s without data a comment is sent, and again after 15 s more, not before."""
    simulator.faults(Fault("stall", after_chunks=2))
    visitor, clock = Visitor(), Clock()
    async with anyio.create_task_group() as group:
        stream = llm.stream("hi")
        response = AnswerResponse(stream, EventEncoding(), sleep=clock.sleep, now=clock.now)
        group.start_soon(visitor.visit, app_of(lambda: response))
        await visitor.got_something.wait()
        await anyio.wait_all_tasks_blocked()
        for seconds, comments in ((14.0, 0), (1.5, 1), (13.0, 1), (2.5, 2)):
            await clock.move(seconds)
            assert visitor.body.count(b": keep-alive\n\n") == comments
        visitor.leave()


async def test_what_cannot_be_sent_is_refused_at_once(llm: AsyncLLM) -> None:
    """A mistake in the handler is found when the response is made."""
    with pytest.raises(TypeError, match="use 'events', 'ui' or 'text'"):
        web.stream_response(llm.stream_partial(Invoice, "hi"), "openai")
    with pytest.raises(ValueError, match="protocol must be"):
        web.stream_response(llm.stream("hi"), "sse")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not str"):
        web.stream_response("hi")  # type: ignore[arg-type]


async def test_a_bug_in_the_middle_is_no_end(llm: AsyncLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that is not the library's own ends the stream with an error event, and reaches the server."""

    def broken(*_: object) -> bytes:
        raise KeyError("a bug")

    monkeypatch.setattr(EventEncoding, "end", broken)
    visitor = Visitor()
    with pytest.raises(KeyError):
        await visitor.visit(app_of(lambda: web.stream_response(llm.stream("hi"), "events")))
    assert visitor.events()[-1][1]["code"] == "internal"
    assert not visitor.is_complete
