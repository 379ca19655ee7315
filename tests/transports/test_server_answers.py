"""Answers as servers of OpenAI's format send them, read alike over both transports."""

from __future__ import annotations

import json
from typing import Any

import pytest

from asyncllm import AsyncLLM, Completion
from asyncllm.simulator import Fault, Simulator

pytestmark = pytest.mark.anyio

HIGH, LOW = "\ud83d", "\ude00"
END = "data: [DONE]\n\n"
DONE = {"index": 0, "delta": {}, "finish_reason": "stop"}


def message(content: object = None, **fields: object) -> str:
    """Return the body of a whole answer."""
    said = {"role": "assistant", "content": content, **fields}
    choice = {"index": 0, "message": said, "finish_reason": "stop"}
    usage = {"prompt_tokens": 4, "completion_tokens": 1, "total_tokens": 5}
    return json.dumps(
        {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
    )


def called(**call: object) -> str:
    return message(tool_calls=[{"id": "a", "type": "function", **call}])


def event(delta: object = None, *, finish: str | None = None, **fields: object) -> str:
    """Return an event of a stream."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, **fields}
    return f"data: {json.dumps(chunk)}\n\n"


def stream(*deltas: object) -> str:
    """Return a stream of deltas that ends well."""
    return "".join(map(event, deltas)) + event({}, finish="stop") + END


def calling(*arguments: object) -> str:
    head: dict[str, object] = {"id": "a", "type": "function"}
    deltas = [
        {"tool_calls": [{"index": 0, **(head if not at else {}), "function": {"name": "f", "arguments": piece}}]}
        for at, piece in enumerate(arguments)
    ]
    return stream({"role": "assistant", **deltas[0]}, *deltas[1:])


THOUGHT = [{"type": "thinking", "thinking": [{"type": "text", "text": "so"}]}, {"type": "text", "text": "hello"}]

# What is sent, and the text, the reasoning, the tool calls and the finish reason that are read.
PLAIN: dict[str, tuple[str, Any]] = {
    "arguments are an object": (
        called(function={"name": "f", "arguments": {"city": "Oslo"}}),
        ("", "", [("a", "f", {"city": "Oslo"})], "tool_calls"),
    ),
    "arguments are PHP's empty object": (
        called(function={"name": "f", "arguments": []}),
        ("", "", [("a", "f", {})], "tool_calls"),
    ),
    "the id of a call is a number": (
        called(id=7, function={"name": "f", "arguments": "{}"}),
        ("", "", [("7", "f", {})], "tool_calls"),
    ),
    "a call has no id": (
        called(id=None, function={"name": "f", "arguments": "{}"}),
        ("", "", [("call_0", "f", {})], "tool_calls"),
    ),
    "content in parts": (
        message([{"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}]),
        ("hello", "", [], "stop"),
    ),
    "thoughts among the parts": (message(THOUGHT), ("hello", "so", [], "stop")),
    "a reference among the parts": (
        message([{"type": "text", "text": "hello"}, {"type": "reference", "reference_ids": [1]}]),
        ("hello", "", [], "stop"),
    ),
    "half a pair": (message(f"a{HIGH}b"), ("a\ufffdb", "", [], "stop")),
    "half a pair at the end": (message(f"a{HIGH}"), ("a\ufffd", "", [], "stop")),
    "half a pair in the reasoning": (message("a", reasoning_content=f"{LOW}b"), ("a", "\ufffdb", [], "stop")),
    "half a pair in arguments": (
        called(function={"name": "f", "arguments": f'{{"x": "{HIGH}"}}'}),
        ("", "", [("a", "f", {"x": "\ufffd"})], "tool_calls"),
    ),
    "a pair in two parts": (
        message([{"type": "text", "text": HIGH}, {"type": "text", "text": LOW}]),
        ("\N{GRINNING FACE}", "", [], "stop"),
    ),
}
STREAMS: dict[str, tuple[str, Any]] = {
    "arguments are an object": (calling({"city": "Oslo"}), ("", "", [("a", "f", {"city": "Oslo"})], "tool_calls")),
    "arguments are null first": (calling(None, "{}"), ("", "", [("a", "f", {})], "tool_calls")),
    "content in parts": (
        stream({"content": [{"type": "text", "text": "hel"}]}, {"content": [{"type": "text", "text": "lo"}]}),
        ("hello", "", [], "stop"),
    ),
    "thoughts among the parts": (
        stream({"content": THOUGHT[:1]}, {"content": THOUGHT[1:]}),
        ("hello", "so", [], "stop"),
    ),
    "a pair in two chunks": (
        stream({"content": f"ok {HIGH}"}, {"content": f"{LOW}!"}),
        ("ok \N{GRINNING FACE}!", "", [], "stop"),
    ),
    "a pair around a chunk without text": (
        stream({"content": f"ok {HIGH}"}, {"content": ""}, {"content": LOW}),
        ("ok \N{GRINNING FACE}", "", [], "stop"),
    ),
    "half a pair": (stream({"content": f"ok {HIGH}"}, {"content": " then"}), ("ok \ufffd then", "", [], "stop")),
    "half a pair twice": (
        stream({"content": HIGH}, {"content": HIGH + LOW}),
        ("\ufffd\N{GRINNING FACE}", "", [], "stop"),
    ),
    "half a pair at the end": (stream({"content": f"ok {HIGH}"}), ("ok \ufffd", "", [], "stop")),
    "half a pair, and no finish reason": (event({"content": f"ok {HIGH}"}) + END, ("ok \ufffd", "", [], None)),
    "a pair of the reasoning in two chunks": (
        stream({"reasoning_content": f"so {HIGH}"}, {"reasoning_content": LOW, "content": "a"}),
        ("a", "so \N{GRINNING FACE}", [], "stop"),
    ),
    "a pair of arguments in two chunks": (
        calling(f'{{"x": "{HIGH}', f'{LOW}"}}'),
        ("", "", [("a", "f", {"x": "\N{GRINNING FACE}"})], "tool_calls"),
    ),
    "half a pair in arguments": (
        calling(f'{{"x": "{HIGH}', '"}'),
        ("", "", [("a", "f", {"x": "\ufffd"})], "tool_calls"),
    ),
    "no stream, but the whole answer": (message("all at once"), ("all at once", "", [], "stop")),
    "the whole answer over several lines, after a byte order mark": (
        "\ufeff\r\n" + json.dumps(json.loads(message("all at once")), indent=2),
        ("all at once", "", [], "stop"),
    ),
    "the whole answer with tool calls": (
        called(function={"name": "f", "arguments": {"city": "Oslo"}}),
        ("", "", [("a", "f", {"city": "Oslo"})], "tool_calls"),
    ),
    "the whole answer as an event": (f"data: {message('all at once')}\n\n{END}", ("all at once", "", [], "stop")),
    "no finish reason, but the mark of the end": (event({"content": "hi"}) + END, ("hi", "", [], None)),
    "a byte order mark, a retry line, comments and names": (
        "\ufeffretry: 3000\r\n\r\n: wait\r\n\r\nid: 1\r\nevent: message\r\n"
        + stream({"content": "hi"}).replace("\n", "\r\n"),
        ("hi", "", [], "stop"),
    ),
    "events that are no chunks": (
        'data: {"type": "ping"}\n\ndata: \n\n' + stream({"content": "hi"}),
        ("hi", "", [], "stop"),
    ),
}
USAGES = {
    "beside the choices (Groq)": event(
        {}, finish="stop", x_groq={"usage": {"prompt_tokens": 4, "completion_tokens": 1}}
    ),
    "with the finish reason": event({}, finish="stop", usage={"prompt_tokens": 4, "completion_tokens": 1}),
    "in a chunk of its own": event({}, finish="stop") + event(usage={"prompt_tokens": 4, "completion_tokens": 1}),
    "before one without counts (MiniMax)": (
        event(usage={"prompt_tokens": 4, "completion_tokens": 1})
        + event({}, finish="stop", usage={"total_tokens": 0, "total_characters": 0})
    ),
}


def read(completion: Completion) -> tuple[object, ...]:
    calls = [(call.id, call.name, json.loads(call.arguments)) for call in completion.tool_calls]
    return completion.text, completion.reasoning, calls, completion.finish_reason


@pytest.mark.parametrize("name", PLAIN)
async def test_a_plain_answer(llm: AsyncLLM, simulator: Simulator, name: str) -> None:
    """Text, reasoning and tool calls are texts, whatever form a server gives them."""
    sent, expected = PLAIN[name]
    simulator.faults(Fault("garbage", code=200, text=sent))
    completion = await llm.acompletion("hi")
    assert read(completion) == expected
    json.dumps(completion.to_dict(), ensure_ascii=False).encode()


@pytest.mark.parametrize("name", STREAMS)
async def test_a_stream(llm: AsyncLLM, simulator: Simulator, name: str) -> None:
    """The chunks are texts that can be shown at once, and make the answer together."""
    sent, expected = STREAMS[name]
    simulator.faults(Fault("garbage", code=200, text=sent))
    async with llm.stream("hi") as opened:
        chunks = [chunk async for chunk in opened]
    assert read(opened.completion) == expected
    assert "".join(chunk.text for chunk in chunks) == opened.completion.text
    assert "".join(chunk.reasoning for chunk in chunks) == opened.completion.reasoning
    for chunk in chunks:
        json.dumps(chunk.data, ensure_ascii=False).encode()


@pytest.mark.parametrize("where", USAGES)
async def test_the_usage_of_a_stream(llm: AsyncLLM, simulator: Simulator, where: str) -> None:
    """The counts of a stream are found in every place where servers put them."""
    simulator.faults(Fault("garbage", code=200, text=event({"content": "hi"}) + USAGES[where] + END))
    completion = await llm.stream("hi").collect()
    assert (completion.usage.input_tokens, completion.usage.output_tokens) == (4, 1)
    assert (completion.usage.basis, completion.finish_reason) == ("known", "stop")


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
async def test_a_usage_that_was_not_sent_is_estimated(llm: AsyncLLM, simulator: Simulator, streamed: bool) -> None:
    """Without counts on the wire, the usage is an estimate: neither zeros nor another library's guess pass as known."""
    data = json.loads(message("hi"))
    del data["usage"]
    text = stream({"content": "hi"}) if streamed else json.dumps(data)
    simulator.faults(Fault("garbage", code=200, text=text))
    completion = await (llm.stream("hi").collect() if streamed else llm.acompletion("hi"))
    assert completion.usage.basis == "estimated"
    assert completion.usage.output_tokens
