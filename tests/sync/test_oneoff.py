"""One call without a client of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest

import asyncllm
from asyncllm.simulator import Simulator


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without any configuration."""
    monkeypatch.chdir(tmp_path)


def test_the_model_alone_is_enough(simulator: Simulator) -> None:
    """With a model, an endpoint and a key, no file is needed; they are no parameters of the call."""
    options = {"model": "openai/gpt-4o", "base_url": simulator.url, "api_key": "one-off"}
    completion = asyncllm.completion("Hello!", temperature=0.5, **options)  # type: ignore[arg-type]
    assert completion.text
    body = simulator.seen.bodies[-1]
    assert body["temperature"] == 0.5
    assert not {"base_url", "api_key"} & body.keys()


@pytest.mark.anyio
async def test_every_one_off_takes_fields_of_the_profile() -> None:
    """Calls, typed answers and batches are made with the options that a client would take."""
    assert (await asyncllm.acompletion("Hello!", model="simulated/demo")).text
    assert await asyncllm.aextract(int, "I have 3 apples.", model="simulated/demo") == 3
    outcomes = await asyncllm.agather(["a", "b"], model="simulated/demo", max_concurrency=1)
    assert [outcome.ok for outcome in outcomes] == [True, True]


def test_a_misspelt_parameter_is_refused() -> None:
    """What is neither a parameter nor a field is refused as by a client."""
    with pytest.raises(TypeError, match="temperature"):
        asyncllm.completion("Hello!", model="simulated/demo", temprature=1)  # type: ignore[call-arg]
