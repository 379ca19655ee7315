"""Chunks put together: the same answer however it was cut into pieces."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncllm.completions.call_record import CallRecord
from asyncllm.completions.chunk_assembly import ChunkAssembly, ToolCallAssembly
from asyncllm.completions.completion import Completion
from asyncllm.messages import Message

ARGUMENTS = st.lists(st.text(min_size=1, max_size=6), max_size=5)
CALLS = st.lists(st.tuples(st.sampled_from(["add", "say", "look_up"]), ARGUMENTS), min_size=1, max_size=4)


def chunk(**delta: Any) -> dict[str, Any]:
    finish = delta.pop("finish_reason", None)
    index = delta.pop("index", 0)
    return {"id": "c1", "model": "m", "choices": [{"index": index, "delta": delta, "finish_reason": finish}]}


def deltas(calls: list[tuple[str, list[str]]], ids: str, indexes: str) -> list[list[dict[str, Any]]]:
    """Write calls as a provider would that gives `ids` once or in every delta, and `indexes` true, all 0, or none."""
    written = []
    for number, (name, pieces) in enumerate(calls):
        call: list[dict[str, Any]] = [{"function": {"name": name, "arguments": ""}}]
        call += [{"function": {"arguments": piece}} for piece in pieces]
        for place, delta in enumerate(call):
            if indexes != "none":
                delta["index"] = number if indexes == "true" else 0
            if ids == "repeated" or place == 0:
                delta["id"] = f"id_{number}"
        written.append(call)
    return written


def expected(calls: list[tuple[str, list[str]]]) -> list[tuple[str, str, str]]:
    return [(f"id_{number}", name, "".join(pieces)) for number, (name, pieces) in enumerate(calls)]


def assembled(pieces: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    calls = ToolCallAssembly()
    for piece in pieces:
        calls.add(piece)
    return [(c["id"], c["function"]["name"], c["function"]["arguments"]) for c in calls.result()]


@pytest.mark.parametrize("indexes", ["true", "zero", "none"])
@pytest.mark.parametrize("ids", ["once", "repeated"])
@given(calls=CALLS)
def test_calls_one_after_the_other(ids: str, indexes: str, calls: list[tuple[str, list[str]]]) -> None:
    """Ids once or in every delta, indexes true, all 0 or missing: the calls come out whole and in order."""
    assert assembled([d for call in deltas(calls, ids, indexes) for d in call]) == expected(calls)


@pytest.mark.parametrize(("ids", "indexes"), [("once", "true"), ("repeated", "true"), ("repeated", "none")])
@given(calls=CALLS, random=st.randoms(use_true_random=False))
def test_calls_side_by_side(ids: str, indexes: str, calls: list[tuple[str, list[str]]], random: Any) -> None:
    """Deltas of parallel calls may come mixed, as long as each says by index or id where it belongs."""
    waiting = deltas(calls, ids, indexes)
    heads, mixed = [call.pop(0) for call in waiting], []
    while any(waiting):
        mixed.append(random.choice([call for call in waiting if call]).pop(0))
    assert assembled(heads + mixed) == expected(calls)


@given(calls=st.lists(st.tuples(st.sampled_from(["add", "say"]), ARGUMENTS.filter(bool)), min_size=1, max_size=4))
def test_calls_without_id_and_index(calls: list[tuple[str, list[str]]]) -> None:
    """Without either, a name that follows arguments begins the next call; ids are made up and differ."""
    bare = [
        {"function": d["function"]} for call in deltas(calls, "once", "none") for d in call
    ]  # as a few local servers send them
    found = assembled(bare)
    assert [(name, arguments) for _, name, arguments in found] == [(n, "".join(pieces)) for n, pieces in calls]
    assert len({id for id, _, _ in found}) == len(calls)


@pytest.mark.parametrize(
    "names",
    [["look_up"], ["look_up", None], ["look_up", "look_up"], ["look", "look_up"], ["look", "_up"], ["", "look_up"]],
)
def test_a_name_in_every_style(names: list[str | None]) -> None:
    """A name comes once, repeated, growing, or in pieces."""
    calls = ToolCallAssembly()
    for name in names:
        calls.add({"index": 0, "id": "a", "function": {"name": name, "arguments": ""}})
    assert calls.result()[0]["function"]["name"] == "look_up"


@given(text=st.text(max_size=60), cuts=st.lists(st.integers(0, 60), max_size=6))
def test_a_text_is_the_same_however_it_is_cut(text: str, cuts: list[int]) -> None:
    """The pieces of a text are joined in order, and the text can be read at any time."""
    places = [0, *sorted(cuts), len(text)]
    pieces = [text[a:b] for a, b in pairwise(places)]
    assembly, so_far = ChunkAssembly(), ""
    for piece in pieces:
        assembly.add(chunk(content=piece))
        so_far += piece
        assert assembly.text == so_far
    assert assembly.result()["choices"][0]["message"]["content"] == "".join(pieces)


def test_the_answer_has_the_form_of_a_plain_one() -> None:
    """Head, choices, finish reasons and usage stand where a plain chat completion has them."""
    assembly = ChunkAssembly()
    assembly.add(chunk(role="assistant", content="a"))
    assembly.add(chunk(index=1, role="assistant", content="x"))
    assembly.add(chunk(content="b", finish_reason="stop"))
    assert not assembly.finished
    assembly.add(chunk(index=1, finish_reason="length"))
    assembly.add({"id": "c1", "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}})
    assert assembly.finished
    assert assembly.result() == {
        "id": "c1",
        "model": "m",
        "object": "chat.completion",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "ab"}, "finish_reason": "stop"},
            {"index": 1, "message": {"role": "assistant", "content": "x"}, "finish_reason": "length"},
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2},
    }


def test_what_a_provider_adds_is_kept() -> None:
    """Lists that grow are joined, objects are merged, and anything else is as it last came."""
    assembly = ChunkAssembly()
    assembly.add(chunk(annotations=[1], provider_specific_fields={"a": 1}, flag=False))
    assembly.add(chunk(annotations=[2], provider_specific_fields={"b": 2}, flag=True))
    message = assembly.result()["choices"][0]["message"]
    assert message["annotations"] == [1, 2]
    assert message["provider_specific_fields"] == {"a": 1, "b": 2}
    assert message["flag"] is True


def test_logprobs_are_joined() -> None:
    """The log probabilities of all chunks stand at the answer, in order."""
    assembly = ChunkAssembly()
    for token in "ab":
        choice = {"index": 0, "delta": {"content": token}, "logprobs": {"content": [{"token": token}], "refusal": None}}
        assembly.add({"choices": [choice]})
    assert assembly.result()["choices"][0]["logprobs"] == {"content": [{"token": "a"}, {"token": "b"}]}


def test_thinking_in_pieces_is_put_together() -> None:
    """A block ends with its signature, and the next one begins."""
    assembly = ChunkAssembly()
    pieces: list[dict[str, Any]] = [
        {"type": "thinking", "thinking": "Fr"},
        {"type": "thinking", "thinking": "ance"},
        {"type": "thinking", "thinking": "", "signature": "s1"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "thinking", "thinking": "Whole.", "signature": "s2"},
        {"type": "thinking", "thinking": "Another.", "signature": "s3"},
    ]
    for piece in pieces:
        assembly.add(chunk(thinking_blocks=[piece]))
    assert assembly.result()["choices"][0]["message"]["thinking_blocks"] == [
        {"type": "thinking", "thinking": "France", "signature": "s1"},
        *pieces[3:],
    ]


def test_thinking_goes_back_with_the_message() -> None:
    """What the provider has signed is in the message that is put into the conversation, unchanged."""
    blocks = [{"type": "thinking", "thinking": "France.", "signature": "s"}, {"type": "redacted_thinking", "data": "x"}]
    said = {"role": "assistant", "content": "Paris", "thinking_blocks": blocks}
    record = CallRecord(profile="p", model="m", provider="anthropic", transport="wire")
    message = Completion({"choices": [{"index": 0, "message": said, "finish_reason": "stop"}]}, record).message
    assert message.to_dict() == said
    assert Message.from_dict(said) == message


def test_everything_written_counts() -> None:
    """What an estimate of the usage is made of has the reasoning and the tool calls in it."""
    assembly = ChunkAssembly()
    assembly.add(chunk(reasoning_content="why", content="what"))
    assembly.add(chunk(tool_calls=[{"index": 0, "id": "a", "function": {"name": "add", "arguments": "{}"}}]))
    assert sorted(assembly.written) == sorted("whywhatadd{}")


def test_nothing_is_nothing() -> None:
    """Before the first chunk there is no text, no usage and no choice."""
    assembly = ChunkAssembly()
    assert (assembly.text, assembly.usage, assembly.empty, assembly.finished) == ("", None, True, False)
    assert assembly.result()["choices"] == []
