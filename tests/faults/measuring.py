"""The measured endings of a case: calls of every shape, over both transports."""

from __future__ import annotations

import pickle
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import lru_cache
from typing import Any, Literal

import anyio
import pytest
import trustme
from pydantic import BaseModel

from asyncllm import AsyncLLM, AsyncLLMError, Completion
from asyncllm.completions.call_record import Attempt
from asyncllm.simulator import Simulator
from asyncllm.transports import size_limits
from asyncllm.transports.wire import connections
from tests.support.secrets import SECRET

from .cases import CELLS, FORMAT_CELLS, Case, Cell, Ending, Shape

Way = Literal["asyncio", "trio", "session"]
# Formats neither send nor wait: that they end alike on trio and by aiohttp's session is shown by OpenAI's.
WAYS: Mapping[Way, Sequence[Cell]] = {
    "asyncio": (*CELLS, *FORMAT_CELLS),
    "trio": CELLS,
    "session": [cell for cell in CELLS if cell[0] == "wire"],
}
_MODELS = {"claude": "anthropic/claude-sonnet-4-5", "gemini": "gemini/gemini-2.5-flash"}
# Far above the time of any cell: one that takes longer hangs.
_HANGS_AFTER_S = 60.0
_TEXT = "Paris, the capital of France, has 2000000 inhabitants."


class City(BaseModel):
    """The type of the typed calls."""

    name: str
    inhabitants: int


def measure(case: Case, way: Way) -> dict[Cell, Ending]:
    """Play a case to all of its cells at once: on a backend, or on asyncio by aiohttp's session."""
    with _low_bounds(), pytest.MonkeyPatch.context() as patch:
        if way == "session":
            patch.setattr(connections, "is_supported", lambda: False)
        return anyio.run(_measure, case, WAYS[way], backend="trio" if way == "trio" else "asyncio")


async def _measure(case: Case, played: Sequence[Cell]) -> dict[Cell, Ending]:
    endings: dict[Cell, Ending] = {}
    ready = [anyio.Event() for _ in played]

    async def play(cell: Cell, primed: anyio.Event) -> None:
        async with _client(case, cell, simulator) as llm:
            if case.primed:
                await llm.acompletion("hi", timeout=_HANGS_AFTER_S)
            primed.set()
            await started.wait()
            endings[cell] = await _play(llm, cell, simulator)

    with _server(case) as simulator:
        started = anyio.Event()
        with anyio.fail_after(_HANGS_AFTER_S):
            async with anyio.create_task_group() as calls:
                for cell, primed in zip(played, ready, strict=True):
                    calls.start_soon(play, cell, primed)
                for primed in ready:
                    await primed.wait()
                if case.fault is not None:
                    simulator.faults(case.fault)
                started.set()
        await simulator.seen.wait_async(lambda seen: not seen.in_flight and not seen.connections_open)
    return endings


async def _play(llm: AsyncLLM, cell: Cell, simulator: Simulator) -> Ending:
    key = _key(cell)
    before = simulator.seen.per_key[key]
    try:
        completion, attempts, error = await _ask(llm, cell[1])
    except AsyncLLMError as raised:
        _check(raised)
        completion, attempts, error = None, [*getattr(raised, "attempts", ())], type(raised).__name__
    requests = simulator.seen.per_key[key] - before
    return Ending(error, len(attempts), requests, _cost(completion, attempts))


async def _ask(llm: AsyncLLM, shape: Shape) -> tuple[Completion, list[Attempt], str]:
    """Make a call; return its answer, or what a stream had so far with its error."""
    if shape == "plain":
        completion = await llm.acompletion(_TEXT)
    elif shape == "typed":
        completion = (await llm.extract_with_completion(City, _TEXT)).completion
    else:
        stream = llm.stream(_TEXT)
        try:
            completion = await stream.collect()
        except AsyncLLMError as error:
            if error is not None and not _has_answer(stream):
                raise
            _check(error)
            return stream.completion, stream.record.attempts, type(error).__name__
    return completion, completion.record.attempts, ""


def _has_answer(stream: Any) -> bool:
    try:
        return bool(stream.completion)
    except RuntimeError:
        return False


def _cost(completion: Completion | None, attempts: list[Attempt]) -> str:
    lost = sum(attempt.billed == "possibly" for attempt in attempts)
    if completion is None:
        return "possible" if lost else "none"
    assert completion.cost_usd is not None
    return completion.cost_basis + (", and once possible" if lost else "")


def _check(error: AsyncLLMError) -> None:
    """Check that an error is one of the package, pickles, and holds no key."""
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy)) == (type(error), str(error))
    assert error.message
    assert len(error.message) < 1000
    link: BaseException | None = error
    while link is not None:
        assert type(link).__module__.startswith(("asyncllm.", "builtins"))
        assert SECRET not in f"{link!r} {link} {vars(link)}"
        link = link.__cause__ or link.__context__


@asynccontextmanager
async def _client(case: Case, cell: Cell, simulator: Simulator) -> AsyncIterator[AsyncLLM]:
    options: dict[str, Any] = {"timeout": _HANGS_AFTER_S, "first_token_timeout": _HANGS_AFTER_S, **case.options}
    model = _MODELS.get(cell[0])
    base_url = simulator.root_url if model else simulator.url
    url = {"http_as_https": base_url.replace("http://", "https://"), "nowhere": "http://provider.invalid/v1"}
    async with AsyncLLM(
        model=model or "openai/gpt-4o-mini",
        base_url=url.get(case.server, base_url),
        api_key=_key(cell),
        transport="litellm" if cell[0] == "litellm" else "wire",
        num_retries=1,
        retry_min_wait=0.001,
        retry_max_wait=0.002,
        **options,
    ) as llm:
        yield llm


@contextmanager
def _server(case: Case) -> Iterator[Simulator]:
    with Simulator(ssl_context=_untrusted() if case.server == "https" else None) as simulator:
        yield simulator


def _key(cell: Cell) -> str:
    return f"{SECRET}-{cell[0]}-{cell[1]}"


@lru_cache(1)
def _untrusted() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


@contextmanager
def _low_bounds() -> Iterator[None]:
    """Lower the bounds of answers, so that exceeding them takes no time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(size_limits, "MAX_ANSWER_BYTES", 1024 * 1024)
        patch.setattr(size_limits, "MAX_EVENT_BYTES", 256 * 1024)
        patch.setattr(size_limits, "MAX_STREAM_BYTES", 256 * 1024)
        yield
