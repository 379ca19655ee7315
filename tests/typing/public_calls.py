"""The types that checkers infer for every public call. Only type checkers read this module; nothing runs."""

from __future__ import annotations

from typing import Any, assert_type

from pydantic import BaseModel

import asyncllm
from asyncllm import (
    LLM,
    AsyncLLM,
    Chunk,
    Completion,
    CompletionStream,
    Extraction,
    ItemStream,
    LLMConfig,
    ModelInfo,
    Outcome,
    OutcomeStream,
    PartialStream,
    SkippedItem,
    Stats,
    ToolCall,
    Usage,
)
from asyncllm.models import TokenCount
from asyncllm.sync.streams import BlockingItems, BlockingOutcomes, BlockingPartials, BlockingStream


class Invoice(BaseModel):
    """A type that is asked for."""

    total: float


class Receipt(BaseModel):
    """Another one."""

    total: float


SCHEMA: dict[str, object] = {"type": "object"}


async def calls(llm: AsyncLLM) -> None:
    """Plain calls and streams of the async client."""
    assert_type(await llm.acompletion("hi", temperature=0.2), Completion)
    assert_type(await llm.acompletion("hi", stream=True), CompletionStream)
    async with llm.stream("hi") as stream:
        assert_type(stream, CompletionStream)
        async for chunk in stream:
            assert_type(chunk, Chunk)
    assert_type(stream.completion, Completion)
    assert_type(stream.completion.usage, Usage)
    assert_type(stream.completion.cost_usd, float | None)
    assert_type(stream.completion.tool_calls, tuple[ToolCall, ...])
    assert_type(llm.with_options(timeout=3), AsyncLLM)
    assert_type(llm.stats(), Stats)
    assert_type(llm.config, LLMConfig)
    assert_type(llm.model_info, ModelInfo)
    assert_type(await llm.count_tokens("hi"), TokenCount)


async def typed_calls(llm: AsyncLLM) -> None:
    """Typed answers: any type form is inferred; the value of a JSON Schema is plain data."""
    assert_type(await llm.extract(Invoice, "hi"), Invoice)
    assert_type(await llm.extract(Invoice | None, "hi"), Invoice | None)
    assert_type(await llm.extract(Invoice | Receipt, "hi"), Invoice | Receipt)
    assert_type(await llm.extract(dict[str, Invoice], "hi"), dict[str, Invoice])
    assert_type(await llm.extract(list[Invoice], "hi"), list[Invoice])
    assert_type(await llm.extract(int, "hi"), int)
    assert_type(await llm.extract(SCHEMA, "hi"), Any)
    assert_type(await llm.extract_with_completion(Invoice | None, "hi"), Extraction[Invoice | None])
    assert_type((await llm.extract_with_completion(Invoice, "hi")).value, Invoice)
    assert_type(await llm.extract_with_completion(SCHEMA, "hi"), Extraction[Any])
    async with llm.stream_partial(Invoice, "hi") as partials:
        assert_type(partials, PartialStream[Invoice])
        async for partial in partials:
            assert_type(partial, Invoice)
        assert_type(await partials.final(), Invoice)
    assert_type(llm.stream_partial(Invoice | Receipt, "hi"), PartialStream[Invoice | Receipt])
    assert_type(llm.stream_partial(SCHEMA, "hi"), PartialStream[Any])
    async with llm.stream_items(Invoice, "hi") as items:
        assert_type(items, ItemStream[Invoice])
        async for item in items:
            assert_type(item, Invoice)
        assert_type(items.skipped, list[SkippedItem])
    assert_type(llm.stream_items(Invoice | Receipt, "hi"), ItemStream[Invoice | Receipt])
    assert_type(llm.stream_items(SCHEMA, "hi"), ItemStream[Any])


async def batches(llm: AsyncLLM) -> None:
    """Batches: the outcomes of a response model hold its values."""
    assert_type(await llm.gather(["hi"], response_model=Invoice), list[Outcome[Invoice]])
    assert_type(await llm.gather(["hi"], response_model=Invoice | None), list[Outcome[Invoice | None]])
    assert_type(await llm.gather(["hi"], response_model=SCHEMA), list[Outcome[Any]])
    assert_type(await llm.gather(["hi"]), list[Outcome[Any]])
    async with llm.map(["hi"], response_model=Invoice, ordered=True) as outcomes:
        assert_type(outcomes, OutcomeStream[Invoice])
        async for outcome in outcomes:
            assert_type(outcome, Outcome[Invoice])
            assert_type(outcome.value, Invoice | None)
            assert_type(outcome.unwrap(), Invoice)
            assert_type(outcome.completion, Completion | None)
    assert_type(llm.map(["hi"], response_model=dict[str, Invoice]), OutcomeStream[dict[str, Invoice]])
    assert_type(llm.map(["hi"]), OutcomeStream[Any])


def blocking_calls(llm: LLM) -> None:
    """The blocking client infers what the async one does."""
    assert_type(llm.completion("hi"), Completion)
    assert_type(llm.completion("hi", stream=True), BlockingStream)
    with llm.stream("hi") as stream:
        for chunk in stream:
            assert_type(chunk, Chunk)
    assert_type(stream.collect(), Completion)
    assert_type(llm.extract(Invoice, "hi"), Invoice)
    assert_type(llm.extract(Invoice | None, "hi"), Invoice | None)
    assert_type(llm.extract(dict[str, Invoice], "hi"), dict[str, Invoice])
    assert_type(llm.extract(SCHEMA, "hi"), Any)
    assert_type(llm.extract_with_completion(Invoice | Receipt, "hi"), Extraction[Invoice | Receipt])
    with llm.stream_partial(Invoice, "hi") as partials:
        assert_type(partials, BlockingPartials[Invoice])
        for partial in partials:
            assert_type(partial, Invoice)
        assert_type(partials.latest, Invoice | None)
        assert_type(partials.final(), Invoice)
    with llm.stream_items(Invoice | Receipt, "hi") as items:
        assert_type(items, BlockingItems[Invoice | Receipt])
        for item in items:
            assert_type(item, Invoice | Receipt)
    assert_type(llm.gather(["hi"], response_model=Invoice), list[Outcome[Invoice]])
    assert_type(llm.gather(["hi"]), list[Outcome[Any]])
    with llm.map(["hi"], response_model=Invoice | None) as outcomes:
        assert_type(outcomes, BlockingOutcomes[Invoice | None])
        for outcome in outcomes:
            assert_type(outcome, Outcome[Invoice | None])
    assert_type(llm.stats(), Stats)
    assert_type(llm.count_tokens("hi"), TokenCount)


async def one_off_calls() -> None:
    """The one-off functions are as fully typed as the clients."""
    assert_type(await asyncllm.acompletion("hi", profile="fast", temperature=0.2), Completion)
    assert_type(await asyncllm.aextract(Invoice | None, "hi"), Invoice | None)
    assert_type(await asyncllm.aextract(SCHEMA, "hi"), Any)
    assert_type(await asyncllm.agather(["hi"], response_model=Invoice), list[Outcome[Invoice]])
    assert_type(await asyncllm.agather(["hi"]), list[Outcome[Any]])
    assert_type(asyncllm.completion("hi"), Completion)
    assert_type(asyncllm.extract(dict[str, Invoice], "hi"), dict[str, Invoice])
    assert_type(asyncllm.extract(SCHEMA, "hi"), Any)
    assert_type(asyncllm.gather(["hi"], response_model=Invoice | Receipt), list[Outcome[Invoice | Receipt]])
