"""The events of Anthropic's streams, and what happens when they are not what they should be."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from asyncllm.completions.call_record import CallRecord
from asyncllm.completions.chunk import Chunk
from asyncllm.completions.chunk_assembly import ChunkAssembly
from asyncllm.completions.completion import Completion
from asyncllm.completions.usage import Usage
from asyncllm.errors import AsyncLLMError, MalformedResponseError, ServerError, StreamInterruptedError
from asyncllm.transports.wire.formats.anthropic.answers import read_answer
from asyncllm.transports.wire.formats.anthropic.events import AnthropicEvents

from .anthropic_answers import ANSWERS, JSON_ANSWERS, REDACTED, events_of

START = {
    "type": "message_start",
    "message": {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5-20250929",
        "content": [],
        "stop_reason": None,
        "usage": {"input_tokens": 25, "output_tokens": 1},
    },
}
STOP = {"type": "message_stop"}


def begun(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def grown(index: int, **delta: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def ended(reason: str | None = "end_turn", **usage: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": usage}


def text(said: str) -> dict[str, Any]:
    return grown(0, type="text_delta", text=said)


def deltas(reader: AnthropicEvents, *events: Mapping[str, Any]) -> list[Any]:
    chunks: list[Any] = [chunk for event in events for chunk in reader.feed(json.dumps(event).encode())]
    return [choice["delta"] for chunk in chunks for choice in chunk["choices"]]


def usage_of(*events: Mapping[str, Any]) -> Usage:
    reader, assembly = AnthropicEvents(), ChunkAssembly()
    for event in events:
        for chunk in reader.feed(json.dumps(event).encode()):
            assembly.add(chunk)
    return Usage.from_dict(assembly.usage)


def test_a_stream_of_text() -> None:
    """Nothing is handed out before the first text, so that a request that fails until then can be sent again."""
    reader = AnthropicEvents()
    assert deltas(reader, START, {"type": "ping"}, begun(0, type="text", text="")) == []
    assert not reader.has_begun
    assert deltas(reader, text("Hel")) == [{"role": "assistant", "content": "Hel"}]
    assert reader.has_begun
    assert deltas(reader, text("lo")) == [{"content": "lo"}]
    assert deltas(reader, {"type": "content_block_stop", "index": 0}) == []
    assert not reader.is_whole
    last: Any = reader.feed(json.dumps(ended(output_tokens=7)).encode())
    finish, usage = last
    assert finish["choices"] == [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    assert usage["choices"] == []
    assert Usage.from_dict(usage["usage"]).total_tokens == 32
    assert reader.is_whole
    assert not reader.has_ended
    assert deltas(reader, STOP) == []
    assert reader.has_ended


def test_chunks_are_named_after_the_message() -> None:
    """Id and model are the provider's."""
    reader = AnthropicEvents()
    deltas(reader, START)
    (chunk,) = reader.feed(json.dumps(text("Hi")).encode())
    assert (chunk["id"], chunk["model"]) == ("msg_01", "claude-sonnet-4-5-20250929")
    assert chunk["object"] == "chat.completion.chunk"


def test_a_stream_of_calls() -> None:
    """Arguments come in pieces, and a call without any has an empty object."""
    reader = AnthropicEvents()
    first = deltas(
        reader,
        START,
        begun(0, type="tool_use", id="toolu_1", name="f", input={}),
        grown(0, type="input_json_delta", partial_json=""),
        grown(0, type="input_json_delta", partial_json='{"a"'),
        grown(0, type="input_json_delta", partial_json=":1}"),
        {"type": "content_block_stop", "index": 0},
    )
    calls = [delta["tool_calls"][0] for delta in first]
    assert calls[0]["id"] == "toolu_1"
    assert [call["function"].get("arguments") for call in calls] == ["", '{"a"', ":1}"]
    second = deltas(
        reader,
        begun(1, type="tool_use", id="toolu_2", name="g", input={}),
        {"type": "content_block_stop", "index": 1},
    )
    assert [call["tool_calls"][0]["index"] for call in second] == [1, 1]
    assert second[1]["tool_calls"][0]["function"]["arguments"] == "{}"


def test_arguments_that_come_with_the_beginning_of_a_call() -> None:
    """Some servers send them so, and no pieces."""
    made = deltas(
        AnthropicEvents(),
        begun(0, type="tool_use", id="toolu_1", name="f", input={"a": 1}),
        {"type": "content_block_stop", "index": 0},
    )
    assert json.loads(made[-1]["tool_calls"][0]["function"]["arguments"]) == {"a": 1}


def test_thinking_comes_as_it_grows_and_whole_at_its_end() -> None:
    """So that a reader sees it, and the block can go back with its signature."""
    made = deltas(
        AnthropicEvents(),
        begun(0, type="thinking", thinking="", signature=""),
        grown(0, type="thinking_delta", thinking="Fr"),
        grown(0, type="thinking_delta", thinking="ance"),
        grown(0, type="signature_delta", signature="abc"),
        {"type": "content_block_stop", "index": 0},
        begun(1, **REDACTED),
        {"type": "content_block_stop", "index": 1},
    )
    assert [delta.get("reasoning_content") for delta in made] == ["Fr", "ance", None, ""]
    blocks = [block for delta in made for block in delta.get("thinking_blocks", ())]
    assert blocks == [{"type": "thinking", "thinking": "France", "signature": "abc"}, REDACTED]


def test_unknown_events_blocks_and_deltas_are_passed_over() -> None:
    """The API adds new ones at any time."""
    made = deltas(
        AnthropicEvents(),
        {"type": "weather_report", "wind": 3},
        {"type": "ping"},
        begun(0, type="hologram", light=1),
        grown(0, type="hologram_delta", light=2),
        grown(0, type="input_json_delta", partial_json='{"a":1}'),
        {"type": "content_block_stop", "index": 0},
        begun(1, type="mcp_tool_use", id="m1", name="f", input={}),
        {"type": "content_block_stop", "index": 1},
    )
    assert made == []


def test_later_figures_replace_earlier_ones() -> None:
    """A stream that first counts the whole prompt, and then splits it, counts nothing twice."""
    start = copy.deepcopy(START)
    start["message"]["usage"] = {"input_tokens": 1000, "output_tokens": 0}  # type: ignore[index]
    end = ended(input_tokens=200, cache_read_input_tokens=800, output_tokens=50)
    usage = usage_of(start, text("Hi"), end, STOP)
    assert (usage.input_tokens, usage.cached_tokens, usage.output_tokens) == (1000, 800, 50)


def test_figures_of_the_beginning_count_where_the_end_has_none() -> None:
    """Anthropic's own end may give the answer's tokens alone; a null takes nothing back."""
    start = copy.deepcopy(START)
    start["message"]["usage"] |= {"cache_read_input_tokens": 100}  # type: ignore[index]
    usage = usage_of(start, text("Hi"), ended(output_tokens=9, input_tokens=None), STOP)
    assert (usage.input_tokens, usage.cached_tokens, usage.output_tokens) == (125, 100, 9)


def test_a_stream_that_never_counts_the_answer_has_no_usage() -> None:
    """The beginning counts a token of what has not been made yet."""
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
    assert usage_of(START, text("Hi"), end, STOP).output_tokens is None


def test_a_stream_without_a_reason_ends_by_its_mark() -> None:
    """It is an ordinary end."""
    reader = AnthropicEvents()
    deltas(reader, START, text("Hi"), ended(None, output_tokens=2))
    assert not reader.is_whole
    finish, usage = reader.feed(json.dumps(STOP).encode())
    assert finish["choices"][0]["finish_reason"] == "stop"  # type: ignore[index]
    assert usage["usage"]["completion_tokens"] == 2  # type: ignore[index]
    assert reader.is_whole


def test_a_proxys_mark_of_the_end() -> None:
    """Some send OpenAI's after Anthropic's; before the reason it is no end."""
    reader = AnthropicEvents()
    assert reader.feed(b"[DONE]") == []
    assert not reader.has_ended
    deltas(reader, START, text("Hi"), ended(output_tokens=2))
    assert reader.feed(b"[DONE]") == []
    assert reader.has_ended


@pytest.mark.parametrize("after", [[], [text("Hi")]])
def test_an_overloaded_provider(after: Sequence[Mapping[str, Any]]) -> None:
    """The event is a ServerError of status 529, first or later."""
    reader = AnthropicEvents(("sk-secret-key",))
    deltas(reader, START, *after)
    event = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded sk-secret-key"}}
    with pytest.raises(ServerError, match="Overloaded") as caught:
        reader.feed(json.dumps(event).encode())
    assert caught.value.status_code == 529
    assert "sk-secret-key" not in str(caught.value)


def test_an_error_of_an_unknown_type() -> None:
    """Before the answer it is no answer, and then an interruption."""
    event = json.dumps({"type": "error", "error": {"type": "odd_error", "message": "Hm."}}).encode()
    with pytest.raises(MalformedResponseError, match="sent an error: Hm"):
        AnthropicEvents().feed(event)
    reader = AnthropicEvents()
    deltas(reader, text("Hi"))
    with pytest.raises(StreamInterruptedError, match="broke the stream off: Hm"):
        reader.feed(event)


@pytest.mark.parametrize("data", [b"{", b"3", b"[1]", b'"text"', b"null", b'{"type": "content_block_delta"}'])
def test_what_is_no_event(data: bytes) -> None:
    """Before the answer it is a MalformedResponseError that shows it, and then an interruption."""
    with pytest.raises(MalformedResponseError):
        AnthropicEvents().feed(data)
    reader = AnthropicEvents()
    deltas(reader, text("Hi"))
    with pytest.raises(StreamInterruptedError):
        reader.feed(data)


WRONG: tuple[Any, ...] = (None, True, -1, 0.5, "wrong", [], ["wrong"], {}, {"wrong": [1]}, [[{}]])


def altered(value: Any, wrong: Any) -> Iterator[Any]:
    """Yield copies of a value, each with another part of it replaced."""
    yield wrong
    if isinstance(value, dict):
        for name, inner in value.items():
            for other in altered(inner, wrong):
                yield {**value, name: other}
            yield {key: kept for key, kept in value.items() if key != name}
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            for other in altered(inner, wrong):
                yield [*value[:index], other, *value[index + 1 :]]


def use(data: Any) -> None:
    """Read of an answer what its users read of it."""
    record = CallRecord(profile="p", model="m", provider="anthropic", transport="wire")
    completion = Completion(data, record)
    assert isinstance(completion.text, str)
    assert isinstance(completion.reasoning, str)
    assert isinstance(completion.finish_reason, str | None)
    assert all(isinstance(call.arguments, str) for call in completion.tool_calls)
    json.dumps(completion.to_dict())


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
@pytest.mark.parametrize("by_tool", [False, True])
def test_wrongly_typed_answers(wrong: Any, by_tool: bool) -> None:
    """Whatever is wrong in an answer, it can be used, or it is one of our errors."""
    for answer in (JSON_ANSWERS if by_tool else ANSWERS).values():
        for other in altered(answer, wrong):
            try:
                data = read_answer(json.dumps(other).encode(), answers_by_tool=by_tool)
            except AsyncLLMError:
                continue
            use(data)


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
@pytest.mark.parametrize("by_tool", [False, True])
def test_wrongly_typed_events(wrong: Any, by_tool: bool) -> None:
    """Whatever is wrong in an event, what the stream makes can be used, or it is one of our errors."""
    for answer in (JSON_ANSWERS if by_tool else ANSWERS).values():
        events = list(events_of(answer, pieces=1))
        for index, event in enumerate(events):
            for other in altered(event, wrong):
                reader, assembly = AnthropicEvents(answers_by_tool=by_tool), ChunkAssembly()
                try:
                    for each in (*events[:index], other, *events[index + 1 :]):
                        for chunk in reader.feed(json.dumps(each).encode()):
                            assembly.add(chunk)
                            assert isinstance(Chunk(chunk).text, str)
                            assert isinstance(Chunk(chunk).reasoning, str)
                except AsyncLLMError:
                    continue
                use(assembly.result())


def test_a_block_that_is_never_closed_ends_with_the_next_or_the_answer() -> None:
    """Thinking is not lost when its end is."""
    made = deltas(
        AnthropicEvents(),
        begun(0, type="thinking", thinking="", signature=""),
        grown(0, type="thinking_delta", thinking="Hm."),
        begun(1, type="text", text="Yes"),
        ended(output_tokens=1),
    )
    blocks = [block for delta in made for block in delta.get("thinking_blocks", ())]
    assert [block["thinking"] for block in blocks] == ["Hm."]
    assert any(delta.get("content") == "Yes" for delta in made)


def test_deltas_without_the_beginning_of_their_block() -> None:
    """Some servers leave it out."""
    made = deltas(AnthropicEvents(), grown(0, type="thinking_delta", thinking="Hm."), ended(output_tokens=1))
    assert made[1]["thinking_blocks"][0]["thinking"] == "Hm."
