"""The matrix of wrongly typed fields: each field of an answer, and of a stream's events, replaced by each JSON type.

`python -m tests.faults.wrong_types` plays all of its cells, and prints how many there are and how they end.
"""

from __future__ import annotations

import copy
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import anyio

from asyncllm import AsyncLLM, AsyncLLMError, Completion
from asyncllm.completions.call_record import CallRecord
from asyncllm.completions.chunk import Chunk
from asyncllm.completions.chunk_assembly import ChunkAssembly
from asyncllm.completions.surrogates import mend_answer
from asyncllm.simulator import Fault, Simulator
from asyncllm.transports.wire.formats import openai
from asyncllm.transports.wire.formats.anthropic.answers import read_answer as read_claude
from asyncllm.transports.wire.formats.anthropic.events import AnthropicEvents
from asyncllm.transports.wire.formats.format import EventReader
from tests.support.secrets import SECRET

Shape = Literal["plain", "stream"]
SHAPES: tuple[Shape, ...] = ("plain", "stream")
TYPES: Mapping[str, object] = {
    "null": None,
    "true": True,
    "number": 7,
    "string": "text",
    "list": ["text"],
    "empty list": [],
    "object": {"a": 1},
}
# Far above the time of any call: one that takes longer hangs.
_HANGS_AFTER_S = 30.0


@dataclass(frozen=True)
class Format:
    """A provider's format, with an answer and a stream that have every field that is read.

    Attributes:
        model: A model that is asked in it.
        answer: A whole answer.
        events: The data of a stream's events.
        end: What a stream ends with, as it is sent.
        read_answer: Reads a whole answer.
        open_reader: Makes a reader of events.
        path: Where its clients find it, under the address of the simulator.
        transports: The transports whose reading is the package's own.
    """

    model: str
    answer: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]]
    end: str
    read_answer: Callable[[bytes], dict[str, object]]
    open_reader: Callable[[], EventReader]
    path: str = ""
    transports: tuple[str, ...] = ("wire",)


_CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
_USAGE = {
    "prompt_tokens": 3,
    "completion_tokens": 2,
    "total_tokens": 5,
    "prompt_tokens_details": {"cached_tokens": 1},
    "completion_tokens_details": {"reasoning_tokens": 1},
}
_MESSAGE = {
    "role": "assistant",
    "content": "hi",
    "refusal": None,
    "reasoning_content": "so",
    "tool_calls": [_CALL],
}
_HEAD = {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini", "system_fingerprint": "fp"}
_LOGPROBS = {"content": [{"token": "hi", "logprob": -0.1, "bytes": None, "top_logprobs": []}]}

_CLAUDE = {
    "id": "m",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5",
    "usage": {"input_tokens": 3, "output_tokens": 2, "cache_read_input_tokens": 1, "cache_creation_input_tokens": 0},
}


def _block(index: int, block: Mapping[str, object], delta: Mapping[str, object]) -> list[Mapping[str, object]]:
    """Return the events of one block of Claude's."""
    return [
        {"type": "content_block_start", "index": index, "content_block": block},
        {"type": "content_block_delta", "index": index, "delta": delta},
        {"type": "content_block_stop", "index": index},
    ]


FORMATS: Mapping[str, Format] = {
    "openai": Format(
        model="openai/gpt-4o-mini",
        answer={
            **_HEAD,
            "choices": [{"index": 0, "message": _MESSAGE, "logprobs": _LOGPROBS, "finish_reason": "stop"}],
            "usage": _USAGE,
        },
        events=[
            {**_HEAD, "choices": [{"index": 0, "delta": _MESSAGE, "logprobs": _LOGPROBS, "finish_reason": None}]},
            {**_HEAD, "choices": [{"index": 0, "delta": {"content": " there"}, "finish_reason": None}]},
            {**_HEAD, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
            {**_HEAD, "choices": [], "usage": _USAGE},
        ],
        end="data: [DONE]\n\n",
        read_answer=openai.read_answer,
        open_reader=openai.ChunkReader,
        path="/v1",
        transports=("wire", "litellm"),
    ),
    "anthropic": Format(
        model="anthropic/claude-sonnet-4-5",
        answer={
            **_CLAUDE,
            "content": [
                {"type": "thinking", "thinking": "so", "signature": "s"},
                {"type": "text", "text": "hi"},
                {"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": 1}},
            ],
            "stop_reason": "tool_use",
        },
        events=[
            {"type": "message_start", "message": {**_CLAUDE, "content": [], "stop_reason": None}},
            *_block(0, {"type": "thinking", "thinking": ""}, {"type": "thinking_delta", "thinking": "so"}),
            *_block(1, {"type": "text", "text": ""}, {"type": "text_delta", "text": "hi"}),
            *_block(
                2,
                {"type": "tool_use", "id": "call_1", "name": "f", "input": {}},
                {"type": "input_json_delta", "partial_json": "{}"},
            ),
            {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 2}},
            {"type": "message_stop"},
        ],
        end="",
        read_answer=read_claude,
        open_reader=AnthropicEvents,
    ),
}


class Cell(NamedTuple):
    """One field with a value of another type."""

    shape: Shape
    field: str
    type: str
    sent: Any


Field = tuple[Shape, str, str]
"""A cell without what is sent: shape, field and type."""


class Ending(NamedTuple):
    """How reading ended: the name of the error, or what was read.

    Attributes:
        error: The name of the error; empty when there was an answer.
        outside: Why it is outside of what is documented; empty when it is not.
        answer: The text, the reasoning, the tool calls and the finish reason.
    """

    error: str = ""
    outside: str = ""
    answer: tuple[object, ...] = ()


def cells(format: Format) -> Iterator[Cell]:
    """Yield the cells of a format, without the field's own type where it would be no change."""
    for shape, sent in (("plain", format.answer), ("stream", list(format.events))):
        for path in _paths(sent):
            for name, value in TYPES.items():
                mutant = copy.deepcopy(sent)
                parent: Any = mutant
                for key in path[:-1]:
                    parent = parent[key]
                if parent[path[-1]] != value:
                    parent[path[-1]] = value
                    yield Cell(shape, ".".join(map(str, path)), name, mutant)  # type: ignore[arg-type]


def read(format: Format, cell: Cell) -> Ending:
    """Read a cell with the format's readers alone."""
    try:
        if cell.shape == "plain":
            data = format.read_answer(json.dumps(cell.sent).encode())
        else:
            data = _assembled(format, cell.sent)
        mend_answer(data)
        return _ending(Completion(data, CallRecord("default", format.model, "p", "wire")))
    except AsyncLLMError as error:
        return Ending(type(error).__name__)
    except Exception as error:
        return Ending(outside=f"{type(error).__name__}: {error}")


async def play(llm: AsyncLLM, simulator: Simulator, format: Format, cell: Cell) -> Ending:
    """Have a cell sent by a provider, and read it with a client."""
    if cell.shape == "plain":
        text = json.dumps(cell.sent)
    else:
        text = "".join(f"data: {json.dumps(event)}\n\n" for event in cell.sent) + format.end
    simulator.faults(Fault("garbage", code=200, text=text))
    try:
        with anyio.fail_after(_HANGS_AFTER_S):
            if cell.shape == "plain":
                return _ending(await llm.acompletion("hi"))
            async with llm.stream("hi") as stream:
                async for chunk in stream:
                    _use_chunk(chunk)
            return _ending(stream.completion)
    except AsyncLLMError as error:
        return Ending(type(error).__name__)
    except Exception as error:
        return Ending(outside=f"{type(error).__name__}: {error}")


async def play_all(format: Format, transport: str, chosen: Iterable[Cell]) -> dict[Field, Ending]:
    """Play cells over a transport, by their shape, field and type."""
    with Simulator() as simulator:
        async with AsyncLLM(
            model=format.model,
            base_url=simulator.root_url + format.path,
            api_key=SECRET,
            transport=transport,  # type: ignore[arg-type]
            num_retries=0,
        ) as llm:
            return {cell[:3]: await play(llm, simulator, format, cell) for cell in chosen}


def _assembled(format: Format, events: Sequence[object]) -> dict[str, Any]:
    reader, assembly = format.open_reader(), ChunkAssembly()
    for event in events:
        for chunk in reader.feed(json.dumps(event).encode()):
            assembly.add(chunk)
            _use_chunk(Chunk(chunk))
    return assembly.result()


def _use_chunk(chunk: Chunk) -> None:
    """Read every attribute of a chunk."""
    assert isinstance(chunk.text, str)
    assert isinstance(chunk.reasoning, str)
    repr((chunk.refusal, chunk.tool_calls, chunk.usage, chunk.choices, chunk.finish_reason, chunk.logprobs))


def _ending(completion: Completion) -> Ending:
    """Read every attribute of an answer, and check the types of those that are declared."""
    for name in ("message", "choices", "cost_usd", "cost_basis"):
        getattr(completion, name)
    repr(completion)
    completion.to_dict()
    texts = (completion.text, completion.reasoning, completion.model)
    assert all(isinstance(text, str) for text in texts), texts
    optional = (completion.refusal, completion.finish_reason, completion.id)
    assert all(text is None or isinstance(text, str) for text in optional), optional
    counts = (completion.usage.input_tokens, completion.usage.output_tokens, completion.usage.total_tokens)
    assert all(count is None or isinstance(count, int) for count in counts), counts
    calls = tuple((call.id, call.name, call.arguments) for call in completion.tool_calls)
    assert all(isinstance(text, str) for call in calls for text in call), calls
    return Ending(answer=(completion.text, completion.reasoning, calls, completion.finish_reason))


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path to everything in a JSON value."""
    if path:
        yield path
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _paths(inner, (*path, key))


def different(one: Mapping[Field, Ending], other: Mapping[Field, Ending]) -> dict[Field, tuple[Ending, Ending]]:
    """Return the cells that end differently by two ways, with both endings."""
    return {field: (one[field], other[field]) for field in one if one[field] != other[field]}


def main() -> int:
    """Play every cell by every way, print a line for each, and return the exit code."""
    outside = 0
    for name, format in FORMATS.items():
        every = list(cells(format))
        ways = {"readers": {cell[:3]: read(format, cell) for cell in every}}
        for transport in format.transports:
            ways[transport] = anyio.run(play_all, format, transport, every)
        for way, endings in ways.items():
            wrong = {field: ending.outside for field, ending in endings.items() if ending.outside}
            outside += len(wrong)
            ended = ", ".join(f"{count} {error or 'read'}" for error, count in _counted(endings).items())
            print(f"{name} by {way}: {len(endings)} cells: {ended}; {len(wrong)} outside of the documented errors")
            for field, why in wrong.items():
                print("   ", *field, why)
        for field, both in different(ways["wire"], ways[format.transports[-1]]).items():
            print("    differs over litellm:", *field, *both)
    return min(outside, 1)


def _counted(endings: Mapping[Field, Ending]) -> Counter[str]:
    return Counter(ending.error for ending in endings.values() if not ending.outside)


if __name__ == "__main__":
    sys.exit(main())
