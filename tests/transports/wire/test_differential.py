"""The wire and litellm send the same requests and give the same results, but for the differences listed here.

`ASYNCLLM_GRID=all` runs the larger grid. How much of the grid the wire serves is printed by
`pytest tests/wire/test_differential.py -k share -s`.
"""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from asyncllm import AsyncLLM, AsyncLLMError, UnsupportedError
from asyncllm.config.options import Options
from asyncllm.messages import Request
from asyncllm.simulator import Simulator
from tests.support.secrets import SECRET
from tests.transports.wire.grid import MODELS, Case, cases

EVERY = os.environ.get("ASYNCLLM_GRID") == "all"

# The simulator masks the values of the first two, and says beside them which key it was.
HEADERS = (
    "authorization",
    "api-key",
    "content-type",
    "http-referer",
    "x-title",
    "openai-organization",
    "openai-project",
    "x-request-source",
)

# At least these are served by the wire: the share of a provider's grid, in percent.
SERVED = {"openai": 85, "hosted_vllm": 85, "groq": 80, "openrouter": 85, "litellm_proxy": 85}
if EVERY:  # a pair goes to litellm when either of its parameters does
    SERVED = {provider: least - 10 for provider, least in SERVED.items()}


@dataclass(frozen=True)
class Difference:
    """A case in which the wire's way is the better one; the reason stands in docs/transports.md."""

    name: str
    providers: frozenset[str]
    params: frozenset[str] = frozenset()
    messages: frozenset[str] = frozenset()
    of_streams: bool = False
    results_only: bool = False

    def covers(self, case: Case) -> bool:
        names = set(case.params_name.split("+"))
        concerned = names & self.params or case.messages_name in self.messages or (self.of_streams and case.stream)
        return bool(concerned) and case.provider in self.providers


DIFFERENCES = (
    Difference(
        "extra_body never changes the model", frozenset(("openrouter", "mistral")), frozenset(("extra_body_model",))
    ),
    Difference("empty messages are sent", frozenset(("mistral",)), messages=frozenset(("empty",))),
    # Without a question for it Mistral gives the usage, and the simulator does not: both estimate it, each in its way.
    Difference("usage of streams", frozenset(("mistral",)), of_streams=True, results_only=True),
)


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio alone: what is sent does not depend on the backend, and the grid is long."""
    return "asyncio"


@pytest.fixture(scope="module")
def simulators() -> Iterator[tuple[Simulator, Simulator]]:
    """One simulator for each transport, so that their requests are told apart."""
    with Simulator() as one, Simulator() as other:
        yield one, other


def options(provider: str, model: str, simulator: Simulator) -> Options:
    url = simulator.root_url if provider == "azure" else simulator.url
    return {"model": f"{provider}/{model}", "base_url": url, "api_key": SECRET, "num_retries": 0}


class Both:
    """The same client over both transports."""

    def __init__(self, provider: str, model: str, simulators: tuple[Simulator, Simulator]) -> None:
        self.simulators = simulators
        self.litellm = AsyncLLM(**options(provider, model, simulators[0])).with_options(transport="litellm")
        self.auto = AsyncLLM(**options(provider, model, simulators[1]))

    async def aclose(self) -> None:
        await self.litellm.aclose()
        await self.auto.aclose()

    async def is_served(self, case: Case) -> bool:
        """Return whether the wire would serve a case."""
        target = await self.auto._shared.endpoint(self.auto.config)
        try:
            return target.call(Request(case.messages, **case.params), 1.0).request is not None
        except UnsupportedError:
            return True  # an image for a model that sees none: refused before any transport

    async def differences(self, case: Case) -> dict[str, tuple[Any, Any]]:
        """Send a case over both, and return where requests and results differ."""
        expected = await sent(self.litellm, self.simulators[0], case)
        got = await sent(self.auto, self.simulators[1], case)
        return {name: (expected[name], got[name]) for name in expected if expected[name] != got[name]}


async def sent(llm: AsyncLLM, simulator: Simulator, case: Case) -> dict[str, Any]:
    """Send a case, and return what the simulator saw and what came of it."""
    simulator.reset()
    result: dict[str, Any]
    try:
        if case.stream:
            completion = await llm.stream(case.messages, **case.params).collect()
        else:
            completion = await llm.acompletion(case.messages, **case.params)
    except AsyncLLMError as error:
        result = {"error": type(error).__name__, "status": getattr(error, "status_code", None)}
    else:
        calls = [(call.name, call.arguments) for call in completion.tool_calls]
        result = {
            "answer": (completion.text, completion.reasoning, completion.refusal, completion.finish_reason, calls),
            "usage": (completion.usage, completion.cost_usd),
        }
    exchanges = [exchange for exchange in simulator.seen.exchanges if exchange.method == "POST"]
    return {
        "paths": [exchange.path for exchange in exchanges],
        "bodies": [json.loads(exchange.body) for exchange in exchanges],
        "headers": [{name: exchange.headers.get(name) for name in HEADERS} for exchange in exchanges],
        "keys": [exchange.key for exchange in exchanges],
        "result": result,
    }


@pytest.fixture
async def share() -> AsyncIterator[dict[str, Counter[bool]]]:
    """Counts what the wire serves."""
    counted: dict[str, Counter[bool]] = {}
    yield counted
    for provider, counts in counted.items():
        print(f"{provider:14}{counts[True]:6} of {counts.total():6} = {percent(counts):5.1f} %")


def percent(counts: Counter[bool]) -> float:
    return 100 * counts[True] / counts.total()


@pytest.mark.anyio
@pytest.mark.usefixtures("litellm_imported")
@pytest.mark.allow_refused_network  # litellm looks for the tokenizer of a llama on the network
@pytest.mark.parametrize("provider", MODELS)
async def test_requests_and_results_are_the_same(
    provider: str, simulators: tuple[Simulator, Simulator], caplog: pytest.LogCaptureFixture
) -> None:
    """What the wire serves, it sends as litellm does, and it gives the same answer for it."""
    caplog.set_level(logging.ERROR, "asyncllm")
    found: dict[str, Mapping[str, Any]] = {}
    for model in MODELS[provider]:
        both = Both(provider, model, simulators)
        for case in cases(provider, model, every=EVERY):
            if await both.is_served(case):
                differences = await both.differences(case)
                known = [difference for difference in DIFFERENCES if difference.covers(case)]
                if any(difference.results_only for difference in known):
                    differences.pop("result", None)
                    known = []
                if differences and not known:
                    found[str(case)] = differences
        await both.aclose()
    assert found == {}


@pytest.mark.anyio
async def test_the_share_that_the_wire_serves(
    share: dict[str, Counter[bool]], simulators: tuple[Simulator, Simulator], caplog: pytest.LogCaptureFixture
) -> None:
    """Nearly everything goes by wire at the providers that matter most."""
    caplog.set_level(logging.ERROR, "asyncllm")  # one event for every case that drops something
    for provider, models in MODELS.items():
        share[provider] = Counter()
        for model in models:
            both = Both(provider, model, simulators)
            for case in cases(provider, model, every=EVERY, sampled=EVERY):
                share[provider][await both.is_served(case)] += 1
            await both.aclose()
    assert {name: percent(share[name]) for name, least in SERVED.items() if percent(share[name]) < least} == {}
