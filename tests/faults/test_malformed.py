"""Answers with junk in them: each is an answer or an error of the package, never a crash."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from asyncllm import AsyncLLM, CompletionStream, MalformedResponseError, ServerError, StreamInterruptedError
from asyncllm.completions.usage import UNKNOWN_USAGE, Usage
from asyncllm.simulator import Fault, Simulator
from asyncllm.transports import size_limits
from asyncllm.transports.bodies import decode
from asyncllm.transports.errors import failure
from asyncllm.transports.wire.formats.openai import read_answer
from tests.support.secrets import SECRET

pytestmark = pytest.mark.anyio

JUNK: tuple[Any, ...] = (None, True, -1, 1e300, "", "text", [], ["text"], [None], [[]], {}, {"a": 1})
CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
ANSWER = {
    "id": "chatcmpl-1",
    "model": "gpt-4o-mini",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "hi", "refusal": None, "reasoning": "so", "tool_calls": [CALL]},
            "logprobs": {"content": [{"token": "hi", "logprob": -0.1}]},
            "finish_reason": "stop",
        }
    ],
    "usage": {
        "prompt_tokens": 3,
        "completion_tokens": 2,
        "prompt_tokens_details": {"cached_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 1},
    },
}
GOOGLE_ERROR = {
    "error": {
        "code": 503,
        "message": "The model is overloaded.",
        "status": "UNAVAILABLE",
        "innererror": {"code": "x"},
        "metadata": {"raw": "behind it", "provider_name": "P"},
        "details": [{"@type": "RetryInfo", "retryDelay": "0.001s"}, {"violations": [{"quotaId": "PerMinute"}]}],
    }
}
CHUNK = {
    **ANSWER,
    "choices": [
        {"index": 0, "delta": ANSWER["choices"][0]["message"], "logprobs": None, "finish_reason": None},  # type: ignore[index]
    ],
}


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path to everything in a JSON value."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from paths(inner, (*path, key))


def mutants(value: Any) -> list[Any]:
    """Return copies of a value in which each part in turn is replaced with junk, or left out."""
    found = []
    for path in paths(value):
        if not path:
            continue
        for junk in (*JUNK, ...):
            mutant = copy.deepcopy(value)
            parent = mutant
            for key in path[:-1]:
                parent = parent[key]
            if junk is ...:
                del parent[path[-1]]
            else:
                parent[path[-1]] = junk
            found.append(mutant)
    return found


def use(answer: Any) -> None:
    """Read every attribute of an answer."""
    for name in ("text", "reasoning", "refusal", "tool_calls", "message", "finish_reason", "choices", "cost_usd"):
        getattr(answer, name)
    repr(answer)
    answer.to_dict()


async def read(stream: CompletionStream) -> None:
    """Read a stream to its end, with every attribute of its chunks."""
    async for chunk in stream:
        repr((chunk.text, chunk.reasoning, chunk.refusal, chunk.tool_calls, chunk.usage, chunk.choices))


@pytest.fixture
def llm(simulator: Simulator) -> AsyncLLM:
    return AsyncLLM(model="openai/gpt-4o-mini", base_url=simulator.url, api_key=SECRET, transport="wire", num_retries=0)


async def test_a_plain_answer_with_junk_in_it(llm: AsyncLLM, simulator: Simulator) -> None:
    """An answer with junk anywhere can be read, or is a MalformedResponseError."""
    bodies = [json.dumps(mutant) for mutant in mutants(ANSWER)]
    outcomes = {"read": 0, "refused": 0}
    async with llm:
        for body in bodies:
            simulator.faults(Fault("garbage", text=body))
            try:
                use(await llm.acompletion("hi"))
            except MalformedResponseError:
                outcomes["refused"] += 1
            else:
                outcomes["read"] += 1
    assert simulator.seen.requests == len(bodies) > 300
    assert min(outcomes.values()) > 50


async def test_a_stream_with_junk_in_it(llm: AsyncLLM, simulator: Simulator) -> None:
    """A stream with junk in an event ends with what came before, and closes its connection."""
    # All but the mutant that ends the answer properly.
    events = [event for event in map(json.dumps, mutants(CHUNK)) if '"finish_reason": "text"' not in event]
    async with llm:
        for event in events:
            simulator.faults(Fault("garbage", text=event, after_chunks=2))
            with pytest.raises(StreamInterruptedError) as caught:
                await read(llm.stream("hi"))
            assert caught.value.partial is not None
            assert "Simulated answer" in caught.value.partial.text or '"index": -1' in event
            use(caught.value.partial)
        await simulator.seen.wait_async(lambda seen: not seen.in_flight)
    assert simulator.seen.requests == len(events) > 300


async def test_an_error_with_junk_in_it(llm: AsyncLLM, simulator: Simulator) -> None:
    """The status of an error decides, with junk anywhere in its body."""
    bodies = [json.dumps(mutant) for mutant in mutants(GOOGLE_ERROR)]
    async with llm:
        for number, body in enumerate(bodies):
            simulator.faults(Fault("garbage", code=503, text=body))
            # Each with a key of its own, since the delay that most of them ask for is per key.
            with pytest.raises(ServerError) as caught:
                await llm.with_options(api_key=f"{SECRET}-{number}").acompletion("hi")
            assert caught.value.status_code == 503
            assert caught.value.retry_after in (0.001, None)


@pytest.mark.parametrize("usage", [None, [], "text", {}, {"prompt_tokens": "3"}, {"prompt_tokens": -1}])
def test_a_usage_without_counts_is_unknown(usage: Any) -> None:
    """A usage without counts of tokens is unknown, and never 0."""
    assert Usage.from_dict(usage if isinstance(usage, dict) else None) == UNKNOWN_USAGE


def test_counts_are_whole_numbers() -> None:
    """Whole floats are counts; a value of another type is unknown, and the other counts stay."""
    usage = Usage.from_dict({"prompt_tokens": 3.0, "completion_tokens": "2", "prompt_tokens_details": [1]})
    assert (usage.input_tokens, usage.output_tokens, usage.cached_tokens) == (3, None, None)


def test_arguments_that_come_decoded_are_encoded() -> None:
    """Some servers send the arguments of a tool call as an object; they are encoded as JSON text."""
    answer = copy.deepcopy(ANSWER)
    answer["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] = {"city": "Rome"}  # type: ignore[index]
    read: Any = read_answer(json.dumps(answer).encode())
    assert read["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == '{"city": "Rome"}'


@pytest.mark.parametrize("depth", [300, 100_000])
def test_deep_nesting_is_refused(depth: int) -> None:
    """JSON nested more deeply than any answer is refused by the decoder, before recursive code reads it."""
    with pytest.raises(ValueError, match="recursion limit"):
        decode(b"[" * depth + b"]" * depth)


def test_a_large_error_is_read_from_its_start() -> None:
    """Of a page of megabytes with an error status only the beginning is read."""
    body = b"<p>bad gateway</p>" + b"x" * (size_limits.MAX_ERROR_BYTES * 4)
    assert failure(502, body).message.startswith("bad gateway xxx")
