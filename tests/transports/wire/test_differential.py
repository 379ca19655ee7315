"""The wire and litellm send the same requests and give the same results, but for the differences listed here.

`ASYNCLLM_GRID=all` runs the larger grid. How much of the grid the wire serves is printed by
`pytest tests/wire/test_differential.py -k share -s`.
"""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from asyncllm import AsyncLLM, AsyncLLMError, UnsupportedError
from asyncllm.config.options import Options
from asyncllm.messages import Request
from asyncllm.simulator import Simulator
from asyncllm.transports.wire import connections
from tests.support.secrets import SECRET
from tests.transports.wire.formats.anthropic_grid import DIFFERENCES as ANTHROPIC_DIFFERENCES
from tests.transports.wire.formats.anthropic_grid import GRID as ANTHROPIC_GRID
from tests.transports.wire.formats.gemini_grid import DIFFERENCES as GEMINI_DIFFERENCES
from tests.transports.wire.formats.gemini_grid import GRID as GEMINI_GRID
from tests.transports.wire.formats.gemini_litellm import in_api_spelling
from tests.transports.wire.grid import GRIDS as OPENAI_GRIDS
from tests.transports.wire.grid import Case, Difference

EVERY = os.environ.get("ASYNCLLM_GRID") == "all"
_A_FEW = 10  # every tenth case of a grid
GRIDS = {**OPENAI_GRIDS, "anthropic": ANTHROPIC_GRID, "gemini": GEMINI_GRID}

# The simulator masks the values of the first four, and says beside them which key it was.
HEADERS = (
    "authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "anthropic-beta",
    "anthropic-version",
    "content-type",
    "http-referer",
    "x-title",
    "openai-organization",
    "openai-project",
    "x-request-source",
)

# At least these are served by the wire: the share of a provider's grid, in percent.
SERVED = {
    "openai": 85,
    "hosted_vllm": 85,
    "groq": 80,
    "openrouter": 85,
    "litellm_proxy": 85,
    "anthropic": 95,
    "gemini": 85,
}
if EVERY:  # a pair goes to litellm when either of its parameters does
    SERVED = {provider: least - 10 for provider, least in SERVED.items()}


_MODEL = Difference("extra_body_model", "", "extra_body never changes the model")
_THINKING = Difference("thinking_back", "messages", "servers of OpenAI's format refuse Claude's thinking blocks")
DIFFERENCES = {
    "openai": (_THINKING,),
    "azure": (_THINKING,),
    "groq": (_THINKING,),
    "openrouter": (_THINKING, _MODEL),
    "deepseek": (_THINKING,),
    "mistral": (
        _MODEL,
        Difference("empty", "", "empty messages are sent"),
        # Without a question for it Mistral gives the usage, and the simulator does not: each estimates it.
        Difference("stream", "answer.usage answer.reasoning_tokens answer.cost", "usage of streams"),
    ),
    "anthropic": (
        *ANTHROPIC_DIFFERENCES,
        Difference("", "answer.reasoning_tokens", "litellm counts those of the summary with a tokenizer"),
        Difference(
            " ".join(name for name in ANTHROPIC_GRID.params if "schema" in name),
            "tools",
            "litellm breaks the references of a schema that it sends as a tool",
        ),
        Difference("stream_options", "answer.usage answer.cost", "every stream has its usage"),
    ),
    "gemini": (
        *GEMINI_DIFFERENCES,
        Difference("stream", "answer.reasoning_tokens", "litellm puts 0 for those of which the provider says nothing"),
        Difference("stream_options", "answer.usage answer.cost", "every stream has its usage"),
    ),
}
"""The cases in which the wire's way is the better one, by provider."""


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
    url = simulator.root_url if provider in ("azure", "anthropic", "gemini") else simulator.url
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
        names = expected.keys() | got.keys()
        return {name: (expected.get(name), got.get(name)) for name in names if expected.get(name) != got.get(name)}


async def sent(llm: AsyncLLM, simulator: Simulator, case: Case) -> dict[str, Any]:
    """Send a case, and return what the simulator saw and what came of it, each field by its name."""
    simulator.reset()
    found: dict[str, Any]
    try:
        if case.stream:
            completion = await llm.stream(case.messages, **case.params).collect()
        else:
            completion = await llm.acompletion(case.messages, **case.params)
    except AsyncLLMError as error:
        found = {"answer.error": type(error).__name__, "answer.status": getattr(error, "status_code", None)}
    else:
        found = {
            "answer.text": completion.text,
            "answer.reasoning": completion.reasoning,
            "answer.refusal": completion.refusal,
            "answer.finish_reason": completion.finish_reason,
            "answer.calls": [(call.name, call.arguments) for call in completion.tool_calls],
            "answer.usage": replace(completion.usage, reasoning_tokens=None),
            "answer.reasoning_tokens": completion.usage.reasoning_tokens,
            "answer.cost": None if completion.cost_usd is None else round(completion.cost_usd, 12),
        }
    exchanges = [exchange for exchange in simulator.seen.exchanges if exchange.method == "POST"]
    found["paths"] = [exchange.path for exchange in exchanges]
    for exchange in exchanges:
        body = json.loads(exchange.body)
        found |= in_api_spelling(body) if case.provider == "gemini" else body
        found |= {name: exchange.headers.get(name) for name in HEADERS}
        found["key"] = exchange.key
    return found


def unlisted(differences: Mapping[str, Any], covering: Sequence[Difference]) -> set[str]:
    """Return the names of differences that are not listed; a request that differs has another answer."""
    left = differences.keys() - {field for one in covering for field in one.fields.split()}
    is_request_listed = any(not field.startswith("answer.") for one in covering for field in one.fields.split())
    return {name for name in left if not (is_request_listed and name.startswith("answer."))}


async def unknown_differences(both: Both, cases: Sequence[Case]) -> dict[str, Mapping[str, Any]]:
    """Send cases over both, close them, and return the differences that are not listed, by the case."""
    found: dict[str, Mapping[str, Any]] = {}
    for case in cases:
        covering = [one for one in DIFFERENCES.get(case.provider, ()) if one.covers(case)]
        if await both.is_served(case) and all(one.fields for one in covering):
            differences = await both.differences(case)
            if unknown := unlisted(differences, covering):
                found[str(case)] = {name: differences[name] for name in unknown}
    await both.aclose()
    return found


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
@pytest.mark.parametrize("provider", GRIDS)
async def test_requests_and_results_are_the_same(
    provider: str, simulators: tuple[Simulator, Simulator], caplog: pytest.LogCaptureFixture
) -> None:
    """What the wire serves, it sends as litellm does, and it gives the same answer for it."""
    caplog.set_level(logging.ERROR, "asyncllm")
    for model in GRIDS[provider].models:
        cases = list(GRIDS[provider].cases(provider, model, every=EVERY))
        assert await unknown_differences(Both(provider, model, simulators), cases) == {}


@pytest.mark.anyio
@pytest.mark.usefixtures("litellm_imported")
@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini"])
async def test_they_are_the_same_by_the_session(
    provider: str,
    simulators: tuple[Simulator, Simulator],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A few of each format show that nothing depends on how the wire sends a request."""
    caplog.set_level(logging.ERROR, "asyncllm")
    monkeypatch.setattr(connections, "is_supported", lambda: False)
    model = GRIDS[provider].models[0]
    cases = list(GRIDS[provider].cases(provider, model, every=False))[::_A_FEW]
    assert await unknown_differences(Both(provider, model, simulators), cases) == {}


@pytest.mark.anyio
async def test_the_share_that_the_wire_serves(
    share: dict[str, Counter[bool]], simulators: tuple[Simulator, Simulator], caplog: pytest.LogCaptureFixture
) -> None:
    """Nearly everything goes by wire at the providers that matter most."""
    caplog.set_level(logging.ERROR, "asyncllm")  # one event for every case that drops something
    for provider, grid in GRIDS.items():
        share[provider] = Counter()
        for model in grid.models:
            both = Both(provider, model, simulators)
            for case in grid.cases(provider, model, every=EVERY, sampled=EVERY):
                share[provider][await both.is_served(case)] += 1
            await both.aclose()
    assert {name: percent(share[name]) for name, least in SERVED.items() if percent(share[name]) < least} == {}
