"""The models of a LiteLLM proxy, as it reports them."""

from __future__ import annotations

import pytest

from asyncllm import AsyncLLM
from asyncllm.simulator import Fault, Simulator

pytestmark = pytest.mark.anyio


def client(simulator: Simulator, model: str = "asyncllm-simulator", key: str = "key", **options: object) -> AsyncLLM:
    return AsyncLLM(model=f"litellm_proxy/{model}", base_url=simulator.url, api_key=key, **options)  # type: ignore[arg-type]


async def test_prices_and_limits_are_the_proxys(simulator: Simulator) -> None:
    """A call is priced by what the proxy says of its model, and `model_info` tells it."""
    async with client(simulator) as llm:
        completion = await llm.acompletion("Hello!", max_tokens=10)
        usage = completion.usage
        assert usage.input_tokens is not None
        assert usage.output_tokens is not None
        assert completion.cost_usd == pytest.approx((usage.input_tokens * 1.0 + usage.output_tokens * 4.0) / 1e6)
        assert llm.model_info.context_window == 128_000


async def test_the_proxy_is_asked_once(simulator: Simulator) -> None:
    """Clients of one endpoint and key share what the proxy said."""
    for _ in range(3):
        async with client(simulator) as llm:
            await llm.acompletion("Hello!")
    assert list(simulator.seen.paths).count("/model/info") == 1


async def test_own_prices_come_before_the_proxys(simulator: Simulator) -> None:
    """A price that the profile names is kept."""
    async with client(simulator, input_cost_per_token=1.0, output_cost_per_token=0.0) as llm:
        completion = await llm.acompletion("Hello!")
        assert completion.cost_usd == completion.usage.input_tokens


async def test_a_proxy_that_does_not_say_holds_nothing_up(simulator: Simulator) -> None:
    """A proxy without model information serves the call all the same, at an unknown cost."""
    simulator.faults(Fault("status", code=500, path="/model/info"))
    async with client(simulator, model="a-model-of-its-own", key="another-key") as llm:
        completion = await llm.acompletion("Hello!")
        assert completion.text
        assert completion.cost_usd is None


async def test_the_key_stays_with_the_proxy(simulator: Simulator) -> None:
    """The key that is sent to ask is the profile's, in the usual header."""
    async with client(simulator, key="the-proxy-key") as llm:
        await llm.acompletion("Hello!")
    assert simulator.seen.keys == {"the-proxy-key"}
