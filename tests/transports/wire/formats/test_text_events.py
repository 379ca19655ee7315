"""Events that are read without decoding give the chunks that decoding gives."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from asyncllm.completions.text_chunk import AnyChunk, TextChunk, chunk_data
from asyncllm.transports.wire.formats.anthropic.events import AnthropicEvents
from asyncllm.transports.wire.formats.format import EventReader
from asyncllm.transports.wire.formats.openai import ChunkReader

TEXTS = ("Hel", "lo", "", " \\ ", 'a "b"', "\n", "é", "😀", "\u2028", '{"content": "x"}', '","content":"', "\x7f", "~~")


def openai_event(delta: dict[str, Any], reason: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return json.dumps({**head, "choices": [choice], **more}).encode()


def padded_event(text: str, padding: str) -> bytes:
    """Return an event as OpenAI writes it."""
    event = json.loads(openai_event({"content": text}, obfuscation=padding))
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()


def claude_event(kind: str, **fields: Any) -> bytes:
    return json.dumps({"type": kind, **fields}).encode()


def claude_text(text: str, index: int = 0) -> bytes:
    return claude_event("content_block_delta", index=index, delta={"type": "text_delta", "text": text})


CALL = {"tool_calls": [{"index": 0, "id": "1", "function": {"name": "f", "arguments": "{}"}}]}
PLAIN = [openai_event({"content": text}) for text in TEXTS]
OPENAI: dict[str, list[bytes]] = {
    "texts": [openai_event({"role": "assistant", "content": ""}), *PLAIN, openai_event({}, "stop"), b"[DONE]"],
    "raw characters": [json.dumps(json.loads(event), ensure_ascii=False).encode() for event in PLAIN],
    "no spaces": [json.dumps(json.loads(event), separators=(",", ":")).encode() for event in PLAIN],
    "a role each time": [openai_event({"role": "assistant", "content": text}) for text in TEXTS],
    "another second": [event.replace(b'"created": 1', b'"created": %d' % (at // 4)) for at, event in enumerate(PLAIN)],
    "usage with each": [openai_event({"content": text}, usage={"prompt_tokens": 1}) for text in TEXTS],
    "calls between": [*PLAIN[:4], openai_event(CALL), *PLAIN[4:], openai_event({}, "stop")],
    "an end in the middle": [*PLAIN[:4], openai_event({"content": "x"}, "length"), *PLAIN[4:]],
    "half a pair": [*PLAIN[:2], openai_event({"content": "\ud83d"}), openai_event({"content": "\ude00"})],
    "a field twice": [event.replace(b'{"content":', b'{"content": "y", "content":') for event in PLAIN],
    "the text elsewhere": [openai_event({"content": text}, content=text) for text in TEXTS],
    "the text before": [b'{"content": "z", ' + event[1:] for event in PLAIN],
    "logprobs": [event.replace(b'"logprobs": null', b'"logprobs": {"content": []}') for event in PLAIN],
    "two choices": [openai_event({"content": "a"}), PLAIN[0], PLAIN[0].replace(b'"index": 0', b'"index": 1'), PLAIN[1]],
}
BEGIN = [
    claude_event("message_start", message={"id": "m1", "model": "claude", "usage": {"input_tokens": 1}}),
    claude_event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
]
END = [
    claude_event("content_block_stop", index=0),
    claude_event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 2}),
    claude_event("message_stop"),
]
CITATION = {"type": "citations_delta", "citation": {"type": "char_location", "cited_text": "Hello"}}
CLAUDE: dict[str, list[bytes]] = {
    "texts": [*BEGIN, *map(claude_text, TEXTS), *END],
    "citations of the text": [
        *BEGIN,
        *map(claude_text, TEXTS),
        claude_event("content_block_delta", index=0, delta=CITATION),
        *END,
    ],
    "blocks": [*BEGIN, *map(claude_text, TEXTS), END[0], BEGIN[1], *(claude_text(text, 1) for text in TEXTS), *END],
    "arguments between": [
        *BEGIN,
        *map(claude_text, TEXTS[:4]),
        END[0],
        claude_event("content_block_start", index=1, content_block={"type": "tool_use", "id": "1", "name": "f"}),
        claude_event("content_block_delta", index=1, delta={"type": "input_json_delta", "partial_json": '{"text": 1}'}),
        *map(claude_text, TEXTS[4:]),
        *END,
    ],
}
STREAMS: list[tuple[Callable[[], EventReader], Sequence[bytes]]] = [
    *((ChunkReader, events) for events in OPENAI.values()),
    *((AnthropicEvents, events) for events in CLAUDE.values()),
]


def read(reader: EventReader, events: Sequence[bytes]) -> list[AnyChunk]:
    """Read events as a stream of the wire does."""
    chunks: list[AnyChunk] = []
    for event in events:
        assert reader.texts is not None
        chunk = reader.texts.chunk(event)
        chunks += reader.feed(event) if chunk is None else [chunk]
    return chunks


@pytest.mark.parametrize(("open_reader", "events"), STREAMS, ids=[*OPENAI, *(f"claude, {name}" for name in CLAUDE)])
def test_events_give_the_chunks_that_decoding_gives(
    open_reader: Callable[[], EventReader], events: Sequence[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether an event is decoded or recognized by its bytes makes no difference to its chunk."""
    monkeypatch.setattr("time.time", lambda: 0.0)
    decoding = open_reader()
    decoded = [chunk for event in events for chunk in decoding.feed(event)]
    reader = open_reader()
    assert [chunk_data(chunk) for chunk in read(reader, events)] == decoded
    assert (reader.has_begun, reader.has_ended, reader.is_whole) == (True, decoding.has_ended, decoding.is_whole)


@pytest.mark.parametrize(
    ("open_reader", "events"),
    [(ChunkReader, OPENAI["texts"]), (ChunkReader, OPENAI["no spaces"]), (AnthropicEvents, CLAUDE["texts"])],
)
def test_texts_are_recognized(open_reader: Callable[[], EventReader], events: Sequence[bytes]) -> None:
    """Of a stream of texts only the first events, the last ones and empty ones are decoded."""
    again = [event for event in events if b'"lo"' in event] * 20
    chunks = read(open_reader(), [*events[:3], *again])
    assert sum(isinstance(chunk, TextChunk) for chunk in chunks) >= 19


def test_padding_of_events_is_no_difference() -> None:
    """OpenAI pads events to one length with a field of random letters."""
    events = [padded_event(text, "aB3" * (at + 1)) for at, text in enumerate(TEXTS)]
    chunks = read(ChunkReader(), [openai_event({"role": "assistant", "content": ""}), *events])
    assert sum(isinstance(chunk, TextChunk) for chunk in chunks) >= len(TEXTS) - 2
    assert [chunk_data(chunk)["choices"][0]["delta"]["content"] for chunk in chunks[1:]] == list(TEXTS)


@pytest.mark.parametrize("end", ['"},"obfuscation":"a"}', '","error":{"message":"x"}}'])
def test_padding_hides_nothing(end: str) -> None:
    """What is no padding at the very end makes an event unlike the others."""
    padded = padded_event("a", "aa")
    reader = ChunkReader()
    read(reader, [padded, padded, padded])
    assert reader.texts.chunk(padded) is not None
    assert reader.texts.chunk(padded.replace(b'"}', end.encode())) is None


def test_a_stream_of_ever_new_events_is_not_learnt_for_ever() -> None:
    """Learning stops where it never pays."""
    events = [openai_event({"content": "a"}, seen=at) for at in range(100)]
    reader = ChunkReader()
    assert not any(isinstance(chunk, TextChunk) for chunk in read(reader, events))
    same = openai_event({"content": "a"}, seen=0)
    assert not any(isinstance(chunk, TextChunk) for chunk in read(reader, [same, same, same]))


def test_a_chunk_of_the_text_is_a_copy() -> None:
    """A reader that changes a chunk changes no other one."""
    event = openai_event({"content": "a"})
    first, second, third = (chunk_data(chunk) for chunk in read(ChunkReader(), [event] * 4)[1:])
    first["choices"][0]["delta"]["content"] = second["model"] = "changed"
    assert third["choices"][0]["delta"]["content"] == "a"
    assert third["model"] == "m"
