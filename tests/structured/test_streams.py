"""Typed streams: growing snapshots and items as they close, over both transports and in every mode."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from pydantic import BaseModel

from asyncllm import (
    LLM,
    AsyncLLM,
    ExtractionError,
    IncompleteOutputError,
    RefusalError,
    SkippedItem,
    StreamInterruptedError,
)
from asyncllm.simulator import Fault, Simulator
from asyncllm.structured.items import ListSplitter

pytestmark = pytest.mark.anyio


class Line(BaseModel):
    """A line of an invoice."""

    text: str
    count: int = 1


class Invoice(BaseModel):
    """The type of the streams."""

    vendor: str
    lines: list[Line]


TEXT = '{"vendor": "Acme Tools", "lines": [{"text": "Hammer", "count": 20}, {"text": "Nails", "count": 500}]}'
WHOLE = Invoice.model_validate_json(TEXT)
ITEMS = '{"value": [{"text": "Hammer", "count": 20}, {"text": "a \\"}] b"}, {"text": "Nails", "count": 500}]}'
LINES = [Line(text="Hammer", count=20), Line(text='a "}] b'), Line(text="Nails", count=500)]


def small_chunks(**script: Any) -> dict[str, Any]:
    """Make the simulator stream three characters at a time."""
    return {"simulator": {"chunk_chars": 3, **script}}


async def read(stream: Any, into: list[Any]) -> None:
    """Read a stream to its end, and keep the values before an error."""
    async for value in stream:
        into.append(value)


async def test_snapshots_grow_to_the_validated_value(
    either: AsyncLLM, simulator: Simulator, transport: str, mode: str
) -> None:
    """In every mode and over each transport, snapshots come early and the final value is the user's own type.

    Gemini sends the arguments of a call whole.
    """
    simulator.faults(Fault("answer", text=TEXT))
    async with either.stream_partial(Invoice, "Read it.", structured_mode=mode, extra_body=small_chunks()) as stream:
        snapshots = [snapshot async for snapshot in stream]
        value = await stream.final()
    assert (type(value), value) == (Invoice, WHOLE)
    if (transport, mode) == ("gemini", "tools"):
        assert snapshots[0].vendor == "Acme Tools"
        return
    assert "Acme Tools".startswith(snapshots[0].vendor)
    assert snapshots[0].vendor != "Acme Tools"
    assert snapshots[0].lines is None
    counts = [line.count for snapshot in snapshots for line in snapshot.lines or ()]
    assert set(counts) == {None, 20, 500}
    assert snapshots[-1].lines[1].text == "Nails"
    assert stream.completion.usage.basis == "known"


async def test_final_reads_without_a_loop(llm: AsyncLLM, simulator: Simulator) -> None:
    """Without a loop over the snapshots `final()` reads to the end."""
    simulator.faults(Fault("answer", text=TEXT))
    async with llm.stream_partial(Invoice, "Read it.") as stream:
        assert await stream.final() == WHOLE
    assert stream.latest is not None


async def test_an_interval_holds_snapshots_back_but_not_the_last(llm: AsyncLLM, simulator: Simulator) -> None:
    """There is no second snapshot within the interval; the last one comes at the end."""
    simulator.faults(Fault("answer", text=TEXT))
    async with llm.stream_partial(Invoice, "Read it.", min_interval=3600, extra_body=small_chunks()) as stream:
        snapshots = [snapshot async for snapshot in stream]
    assert len(snapshots) == 2
    assert snapshots[-1].lines[1].count == 500


async def test_a_bad_answer_of_a_stream_is_not_asked_again(llm: AsyncLLM, simulator: Simulator) -> None:
    """Snapshots show a bad answer; `final()` raises with its problem, after one request."""
    simulator.faults(Fault("answer", text='{"vendor": "Acme", "lines": 7}'))
    async with llm.stream_partial(Invoice, "Read it.") as stream:
        assert [snapshot.vendor async for snapshot in stream][-1] == "Acme"
        with pytest.raises(ExtractionError, match="lines: ") as caught:
            await stream.final()
    assert caught.value.partial.vendor == "Acme"  # type: ignore[attr-defined]
    assert simulator.seen.requests == 1


async def test_a_cut_answer_ends_the_snapshots_with_an_error(llm: AsyncLLM, simulator: Simulator) -> None:
    """A loop over the snapshots raises when the answer was cut."""
    simulator.faults(Fault("answer", text=TEXT))
    seen: list[Any] = []
    async with llm.stream_partial(Invoice, "Read it.", max_tokens=8) as stream:
        with pytest.raises(IncompleteOutputError) as caught:
            await read(stream, seen)
    assert seen
    assert caught.value.partial.vendor == "Acme Tools"  # type: ignore[attr-defined]
    assert caught.value.usage is not None


async def test_a_refusal_ends_the_snapshots_with_an_error(llm: AsyncLLM) -> None:
    """A refusal in a stream is a RefusalError, from the loop and from `final()`."""
    refusing = {"simulator": {"refusal": "I will not"}}
    async with llm.stream_partial(Invoice, "Read it.", extra_body=refusing) as stream:
        with pytest.raises(RefusalError, match="I will not"):
            await stream.final()
        with pytest.raises(RefusalError, match="I will not"):
            await stream.final()


async def test_an_interruption_carries_the_value_so_far(either: AsyncLLM, simulator: Simulator) -> None:
    """An interrupted stream raises with the typed value so far, and with the answer and its usage."""
    script = small_chunks(text=TEXT, fault={"kind": "cut", "at": "body", "after_chunks": 12})
    with pytest.raises(StreamInterruptedError) as caught:
        async with either.stream_partial(Invoice, "Read it.", structured_mode="json", extra_body=script) as stream:
            await stream.final()
    with pytest.raises(StreamInterruptedError):
        await stream.final()
    assert caught.value.partial_value.vendor == "Acme Tools"  # type: ignore[attr-defined]
    assert caught.value.partial is not None
    assert caught.value.partial.usage.output_tokens


@pytest.mark.leaks
async def test_leaving_early_closes_the_connection(llm: AsyncLLM, simulator: Simulator) -> None:
    """A `break` ends the request at the provider."""
    simulator.faults(Fault("stall", after_chunks=6))
    async with llm.stream_partial(Invoice, "Acme Tools", extra_body=small_chunks(text=TEXT)) as stream:
        async for _ in stream:
            break
    await llm.aclose()
    await simulator.seen.wait_async(lambda seen: seen.connections_open == 0)


async def test_items_come_as_they_close(either: AsyncLLM, simulator: Simulator, mode: str) -> None:
    """Each item is of the user's own type, and comes before the list has ended."""
    simulator.faults(Fault("answer", text=ITEMS))
    async with either.stream_items(Line, "Read it.", structured_mode=mode, extra_body=small_chunks()) as stream:
        first = await anext(stream)
        with pytest.raises(RuntimeError, match="complete"):
            _ = stream.completion
        rest = [item async for item in stream]
    assert [first, *rest] == LINES
    assert type(first) is Line
    assert stream.skipped == []


@pytest.mark.parametrize("size", [1, 2, 7, 500])
@pytest.mark.parametrize(
    ("wanted", "text", "items"),
    [
        (Line, ITEMS[len('{"value": ') : -1], LINES),
        (Line, f"Here:\n```json\n{ITEMS}\n```", LINES),
        (int, '{"value": [1, 22 , 333]}', [1, 22, 333]),
        (int | None, '{"value": [1, null]}', [1, None]),
        (str, '{"value": ["a", "b\\u00e9", ""]}', ["a", "bé", ""]),
        (list[int], '{"value": [[1], [], [2, 3]]}', [[1], [], [2, 3]]),
        ({"type": "object", "required": ["a"]}, '{"value": [{"a": {"value": [1]}}]}', [{"a": {"value": [1]}}]),
        (Line, '{"value": []}', []),
    ],
)
async def test_items_of_any_type_and_any_cut(
    llm: AsyncLLM, wanted: Any, text: str, items: list[Any], size: int
) -> None:
    """A bare list, a fenced one, scalars and lists in lists are cut where the items end."""
    script = {"simulator": {"text": text, "chunk_chars": size}}
    async with llm.stream_items(wanted, "Read it.", structured_mode="json", extra_body=script) as stream:
        assert [item async for item in stream] == items


def test_the_text_of_complete_items_is_not_kept() -> None:
    """However long a list is, what is kept of its text is the incomplete item."""
    splitter = ListSplitter()
    splitter.feed('{"value": [')
    for number in range(1000):
        for piece in ('{"text": "', "x" * 100, '", "count": ', str(number), "}", ", "):
            splitter.feed(piece)
        assert splitter.items.popleft() == Line(text="x" * 100, count=number).model_dump_json().replace(
            '":', '": '
        ).replace(',"', ', "')
        assert splitter.unfinished == ""
        assert len(pickle.dumps(splitter)) < 1000


BAD = '{"value": [{"text": "a"}, {"text": 5}, {"text": "c"}]}'


async def test_a_bad_item_raises_after_those_before_it(llm: AsyncLLM, simulator: Simulator) -> None:
    """By default a bad item ends the stream, after the items before it."""
    simulator.faults(Fault("answer", text=BAD))
    seen: list[Any] = []
    async with llm.stream_items(Line, "Read it.") as stream:
        with pytest.raises(ExtractionError, match=r"item 1 of a list.*\n.*\n.*\n.*text: ") as caught:
            await read(stream, seen)
    assert seen == [Line(text="a")]
    assert caught.value.partial == '{"text": 5}'


async def test_a_bad_item_may_be_skipped_and_is_reported(llm: AsyncLLM, simulator: Simulator) -> None:
    """With `on_invalid="skip"` the rest is delivered, and the bad item is in `skipped`."""
    simulator.faults(Fault("answer", text=BAD))
    async with llm.stream_items(Line, "Read it.", on_invalid="skip") as stream:
        assert [item.text async for item in stream] == ["a", "c"]
    assert stream.skipped == [SkippedItem(1, '{"text": 5}', "text: Input should be a valid string")]


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ('{"value": [{"text": "a"}, {"text": "b"', ExtractionError, "not valid JSON"),
        ('{"value": [{"text": "a"}]} {"value": []}', ExtractionError, "2 JSON documents"),
        ('{"value": 7}', ExtractionError, "no list"),
        ("no", ExtractionError, "not valid JSON"),
        ("", ExtractionError, "empty"),
    ],
)
async def test_a_list_that_does_not_end_well_raises(
    llm: AsyncLLM, text: str, error: type[Exception], said: str
) -> None:
    """A loop over the items raises unless the list is complete and the only one."""
    async with llm.stream_items(
        Line, "Read it.", structured_mode="json", extra_body={"simulator": {"text": text}}
    ) as stream:
        with pytest.raises(error, match=said):
            [item async for item in stream]


async def test_a_list_cut_by_the_token_limit_raises_after_its_items(llm: AsyncLLM, simulator: Simulator) -> None:
    """The complete items are delivered, and the end of the loop raises."""
    simulator.faults(Fault("answer", text=ITEMS))
    seen: list[Any] = []
    async with llm.stream_items(Line, "Read it.", max_tokens=14) as stream:
        with pytest.raises(IncompleteOutputError):
            await read(stream, seen)
    assert seen == LINES[:1]


async def test_a_field_left_out_of_an_item_has_its_default(llm: AsyncLLM, simulator: Simulator) -> None:
    """A null that stands for a field left out of a strict answer is the field's default."""
    simulator.faults(Fault("answer", text='{"value": [{"text": "a", "count": null}]}'))
    async with llm.stream_items(Line, "Read it.", structured_mode="json_schema") as stream:
        assert [item async for item in stream] == [Line(text="a", count=1)]


async def test_an_unknown_on_invalid_is_refused(llm: AsyncLLM) -> None:
    """A misspelt `on_invalid` does not silently raise or skip."""
    with pytest.raises(ValueError, match="'raise' or 'skip'"):
        llm.stream_items(Line, "Read it.", on_invalid="drop")  # type: ignore[call-overload]


def test_the_blocking_api_streams_types_as_well(simulator: Simulator, options: dict[str, Any]) -> None:
    """Snapshots, the final value, items and checks, without await."""
    with LLM(transport="wire", **options) as llm:
        simulator.faults(Fault("answer", text=TEXT))
        with llm.stream_partial(Invoice, "Read it.", extra_body=small_chunks()) as stream:
            snapshots = list(stream)
            assert stream.final() == WHOLE
            assert stream.latest == snapshots[-1]
        simulator.faults(Fault("answer", text=BAD))
        with llm.stream_items(Line, "Read it.", on_invalid="skip") as items:
            assert [item.text for item in items] == ["a", "c"]
        assert [skipped.index for skipped in items.skipped] == [1]
        assert json.loads(items.completion.text or items.completion.tool_calls[0].arguments)
