"""The events of Gemini's streams, and what happens when they are not what they should be."""

from __future__ import annotations

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
from asyncllm.transports.wire.formats.gemini.answers import read_answer
from asyncllm.transports.wire.formats.gemini.events import GeminiEvents

from .gemini_answers import ANSWERS, BLOCKED, CALL, CALL_2, USAGE, candidate, events_of

HEAD = {"modelVersion": "gemini-2.5-flash", "responseId": "resp_1"}


def event(*parts: Mapping[str, Any], reason: str | None = None, index: int = 0, **fields: Any) -> dict[str, Any]:
    return {"candidates": [candidate(*parts, reason=reason, index=index)], **HEAD, **fields}


def fed(reader: GeminiEvents, *events: Mapping[str, Any]) -> list[Any]:
    return [chunk for one in events for chunk in reader.feed(json.dumps(one).encode())]


def deltas(reader: GeminiEvents, *events: Mapping[str, Any]) -> list[Any]:
    return [choice["delta"] for chunk in fed(reader, *events) for choice in chunk["choices"]]


def test_a_stream_of_text() -> None:
    """The usage comes with the end, and the stream has no mark of it."""
    reader = GeminiEvents()
    assert deltas(reader, event({"text": ""})) == []
    assert not reader.has_begun
    assert deltas(reader, event({"text": "Hel"}, usageMetadata=USAGE)) == [{"role": "assistant", "content": "Hel"}]
    assert reader.has_begun
    assert deltas(reader, event({"text": "lo"})) == [{"content": "lo"}]
    assert not reader.is_whole
    finish, usage = fed(reader, event({"text": "!"}, reason="STOP", usageMetadata=USAGE))
    assert finish["choices"] == [{"index": 0, "delta": {"content": "!"}, "finish_reason": "stop"}]
    assert usage["choices"] == []
    assert Usage.from_dict(usage["usage"]).total_tokens == 28
    assert reader.is_whole
    assert not reader.has_ended


def test_chunks_are_named_after_the_answer() -> None:
    """Id and model are the provider's; without one, the model is the one that was asked."""
    (chunk,) = fed(GeminiEvents(model="asked"), event({"text": "Hi"}))
    assert (chunk["id"], chunk["model"]) == ("resp_1", "gemini-2.5-flash")
    assert chunk["object"] == "chat.completion.chunk"
    (chunk,) = fed(GeminiEvents(model="asked"), {"candidates": [candidate({"text": "Hi"})]})
    assert chunk["model"] == "asked"


def test_a_stream_of_calls() -> None:
    """They come whole and are numbered over all events; the reason comes later."""
    reader = GeminiEvents()
    first, second, last = fed(reader, event(CALL), event(CALL_2), event({"text": ""}, reason="STOP"))
    calls = [chunk["choices"][0]["delta"]["tool_calls"][0] for chunk in (first, second)]
    assert [(call["id"], call["index"]) for call in calls] == [("fc_1", 0), ("fc_2", 1)]
    assert last["choices"] == [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]


def test_thoughts_come_as_they_grow_and_whole_at_their_end() -> None:
    """The end is the first other part, or that of the answer."""
    thoughts = [event({"text": text, "thought": True}) for text in ("Fr", "ance")]
    made = deltas(GeminiEvents(), *thoughts, event({"text": "Paris"}), event({"text": "."}))
    assert [delta.get("reasoning_content") for delta in made] == ["Fr", "ance", None, None]
    whole = {"type": "thinking", "thinking": "France"}
    assert [delta.get("thinking_blocks") for delta in made] == [None, None, [whole], None]
    assert [delta.get("content") for delta in made] == [None, None, "Paris", "."]
    made = deltas(GeminiEvents(), *thoughts, event(reason="MAX_TOKENS"))
    assert made[-1]["thinking_blocks"] == [whole]


def test_signatures_are_all_kept() -> None:
    """Those of later parts come beside those of earlier ones, since a later delta replaces an earlier one."""
    signed = [event({"text": text, "thoughtSignature": text}) for text in ("a", "b")]
    made = deltas(GeminiEvents(), *signed, event(reason="STOP"))
    assert made[1]["provider_specific_fields"] == {"thought_signatures": ["a", "b"]}


def test_several_candidates() -> None:
    """Each ends by itself, and the answer with the last."""
    reader = GeminiEvents()
    made = fed(reader, event({"text": "a"}), event({"text": "b"}, index=1), event(reason="STOP", usageMetadata=USAGE))
    assert [choice["index"] for chunk in made for choice in chunk["choices"]] == [0, 1, 0]
    assert not reader.is_whole
    made = fed(reader, event(reason="MAX_TOKENS", index=1, usageMetadata=USAGE))
    assert made[0]["choices"][0]["finish_reason"] == "length"
    assert "usage" in made[1]
    assert reader.is_whole


def test_a_prompt_that_was_blocked() -> None:
    """There is no candidate, and the answer is whole."""
    reader = GeminiEvents()
    finish, usage = fed(reader, BLOCKED)
    assert finish["choices"][0]["finish_reason"] == "content_filter"
    assert usage["usage"]["prompt_tokens"] == 20
    assert reader.is_whole


def test_a_usage_that_comes_after_the_end() -> None:
    """It counts, in place of an earlier one."""
    reader, assembly = GeminiEvents(), ChunkAssembly()
    late = {"usageMetadata": {**USAGE, "candidatesTokenCount": 9, "totalTokenCount": 29}, **HEAD}
    for chunk in fed(reader, event({"text": "Hi"}, reason="STOP", usageMetadata=USAGE), late):
        assembly.add(chunk)
    assert Usage.from_dict(assembly.usage).output_tokens == 9


def test_the_sources_of_an_answer() -> None:
    """They come with a late event, and are kept beside the choices."""
    grounding = {"webSearchQueries": ["a"]}
    last = {"candidates": [candidate({"text": "!"}, groundingMetadata=grounding)], **HEAD}
    assembly = ChunkAssembly()
    for chunk in fed(GeminiEvents(), event({"text": "Hi"}), last):
        assembly.add(chunk)
    assert assembly.result()["vertex_ai_grounding_metadata"] == [grounding]


def test_unknown_parts_and_fields_are_ignored() -> None:
    """The API adds new ones at any time."""
    made = deltas(GeminiEvents(), event({"hologram": {"light": 1}}), {"weather": 3, **HEAD}, {"candidates": []})
    assert made == []


def test_a_proxys_mark_of_the_end() -> None:
    """Some send OpenAI's."""
    reader = GeminiEvents()
    fed(reader, event({"text": "Hi"}, reason="STOP"))
    assert reader.feed(b"[DONE]") == []
    assert reader.has_ended


@pytest.mark.parametrize("before", [[], [event({"text": "Hi"})]])
def test_an_overloaded_provider(before: Sequence[Mapping[str, Any]]) -> None:
    """The event is a ServerError of its code, first or later, also in a list; the key does not get into it."""
    error = {"error": {"code": 503, "message": "The model is overloaded: sk-secret-key", "status": "UNAVAILABLE"}}
    for data in (error, [error]):
        reader = GeminiEvents(("sk-secret-key",))
        fed(reader, *before)
        with pytest.raises(ServerError, match="overloaded") as caught:
            reader.feed(json.dumps(data).encode())
        assert caught.value.status_code == 503
        assert "sk-secret-key" not in str(caught.value)


def test_an_error_without_a_status() -> None:
    """Before the answer it is no answer, and then an interruption."""
    error = json.dumps({"error": {"status": "ODD", "message": "Hm."}}).encode()
    with pytest.raises(MalformedResponseError, match="sent an error: Hm"):
        GeminiEvents().feed(error)
    reader = GeminiEvents()
    fed(reader, event({"text": "Hi"}))
    with pytest.raises(StreamInterruptedError, match="broke the stream off: Hm"):
        reader.feed(error)


@pytest.mark.parametrize("data", [b"{", b"3", b"[1]", b'"text"', b"null", b'{"candidates": [{"content": 3}]}'])
def test_what_is_no_event(data: bytes) -> None:
    """Before the answer it is a MalformedResponseError that shows it, and then an interruption."""
    with pytest.raises(MalformedResponseError):
        GeminiEvents().feed(data)
    reader = GeminiEvents()
    fed(reader, event({"text": "Hi"}))
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
    record = CallRecord(profile="p", model="m", provider="gemini", transport="wire")
    completion = Completion(data, record)
    assert isinstance(completion.text, str)
    assert isinstance(completion.reasoning, str)
    assert isinstance(completion.finish_reason, str | None)
    assert all(isinstance(call.arguments, str) for call in completion.tool_calls)
    json.dumps(completion.to_dict())


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_wrongly_typed_answers(wrong: Any) -> None:
    """Whatever is wrong in an answer, it can be used, or it is one of our errors."""
    for answer in ANSWERS.values():
        for other in altered(answer, wrong):
            try:
                data = read_answer(json.dumps(other).encode())
            except AsyncLLMError:
                continue
            use(data)


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_wrongly_typed_events(wrong: Any) -> None:
    """Whatever is wrong in an event, what the stream makes can be used, or it is one of our errors."""
    for answer in ANSWERS.values():
        events = list(events_of(answer, pieces=1))
        for index, one in enumerate(events):
            for other in altered(one, wrong):
                reader, assembly = GeminiEvents(), ChunkAssembly()
                try:
                    for each in (*events[:index], other, *events[index + 1 :]):
                        for chunk in reader.feed(json.dumps(each).encode()):
                            assembly.add(chunk)
                            assert isinstance(Chunk(chunk).text, str)
                            assert isinstance(Chunk(chunk).reasoning, str)
                except AsyncLLMError:
                    continue
                use(assembly.result())
