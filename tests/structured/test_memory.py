"""Memory of typed answers: a bounded number of prepared types, and no class per call."""

from __future__ import annotations

import gc
import json
import tracemalloc
from typing import Any

import pytest
from pydantic import BaseModel, create_model

from asyncllm import AsyncLLM
from asyncllm.completions.call_record import CallRecord
from asyncllm.completions.completion import Completion
from asyncllm.messages import Request
from asyncllm.models import ModelInfo
from asyncllm.simulator import Fault, Simulator
from asyncllm.structured import TypedForms, extract, prompting

pytestmark = pytest.mark.anyio

_GENERATED = 20
_CALLS = 600  # enough for a leak of a kilobyte a call to stand out from what Python itself keeps


def generated(number: int) -> type[BaseModel]:
    """Make a model, as code that generates models does."""
    return create_model(f"Model{number}", name=(str, ...), items=(list[int], ...))


def classes() -> int:
    """Count the classes that are alive."""
    gc.collect()
    return sum(issubclass(type(thing), type) for thing in gc.get_objects())


class AnyEndpoint:
    """An endpoint of a model that follows schemas."""

    profile = model = "m"
    info = ModelInfo("m", "openai", response_schema=True)

    def __init__(self) -> None:
        self.refused_modes: set[str] = set()


async def answered(forms: TypedForms[Any]) -> Completion:
    """Return the same answer every time."""
    await forms.request(AnyEndpoint())
    text = json.dumps({"name": "Jane", "items": [1, 2, 3]})
    message = {"role": "assistant", "content": text}
    data: dict[str, Any] = {"choices": [{"message": message, "finish_reason": "stop"}], "model": "m"}
    return Completion(data, CallRecord("default", "m", "openai", "wire"))


async def test_memory_and_classes_stay_flat() -> None:
    """Many calls for the same types leave no memory and no class behind."""
    models = [generated(number) for number in range(_GENERATED)]

    async def run(count: int) -> None:
        for number in range(count):
            wanted = models[number % _GENERATED]
            await extract(wanted, Request("Who?"), answered, mode="auto", max_reasks=0)

    await run(2 * _GENERATED)
    before = classes()
    tracemalloc.start()
    try:
        await run(_GENERATED)
        gc.collect()
        start = tracemalloc.get_traced_memory()[0]
        await run(_CALLS)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - start
    finally:
        tracemalloc.stop()
    assert classes() == before
    assert grown < 100 * _CALLS


async def test_prepared_types_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Types made for one call each are not all kept."""
    monkeypatch.setattr(prompting, "KEPT", 5)
    for number in range(8):
        await prompting.prepared(generated(number), "json")
    assert len(prompting._kept) <= 5


async def test_streams_make_no_class(llm: AsyncLLM, simulator: Simulator) -> None:
    """The partial type of a type is made once."""
    simulator.faults(Fault("answer", text='{"name": "Jane", "items": [1, 2, 3]}'))
    wanted = generated(0)
    counts = []
    for _ in range(3):
        async with llm.stream_partial(wanted, "Who?", structured_mode="json") as stream:
            await stream.final()
        counts.append(classes())
    assert counts[1] == counts[2]
