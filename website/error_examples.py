"""An example of each error's message, for the page of troubleshooting: `python -m website.error_examples` writes them.

Each comes from a real run against the simulator.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import anyio
from pydantic import BaseModel

from asyncllm import AsyncLLM, AsyncLLMError, Image, Journal, Message, Text, errors
from asyncllm.testing import Fault, recorded, simulated_provider

from .marks import replace_between

PAGE = Path(__file__).parents[1] / "docs" / "troubleshooting.md"
MODEL = "openai/gpt-5-mini"
_PIXEL = b"GIF89a\1\0\1\0\0\0\0;"  # read by its first bytes alone


class Invoice(BaseModel):
    """What the typed examples ask for."""

    number: str
    total: float


@contextlib.contextmanager
def client(*faults: Fault, **options: Any) -> Iterator[AsyncLLM]:
    """Yield a client of a provider with these faults, which retries nothing."""
    with simulated_provider(faults=list(faults)) as provider:
        given: dict[str, Any] = {"base_url": provider.url, "api_key": "any", "num_retries": 0, **options}
        yield AsyncLLM(model=MODEL, **given)


async def ask(*faults: Fault, **options: Any) -> None:
    """Make a plain call."""
    with client(*faults, **options) as llm:
        async with llm:
            await llm.acompletion("Name a colour.")


async def stream(*faults: Fault) -> None:
    """Read a stream to its end."""
    with client(*faults) as llm:
        async with llm, llm.stream("Tell me a story.") as story:
            async for _ in story:
                pass


async def extract(script: dict[str, object]) -> None:
    """Ask for an invoice, and get the answer of a script."""
    with client() as llm:
        async with llm:
            await llm.extract(Invoice, "Read this invoice.", extra_body={"simulator": script}, max_reasks=0)


async def wrong_configuration() -> None:
    AsyncLLM(model=MODEL, temprature=0.2, timeout="20")  # type: ignore[call-arg, arg-type]  # both are the mistakes


async def too_many_waiting() -> None:
    with client(max_concurrency=1, max_queue=0) as llm:
        async with llm, llm.stream("Tell me a story."):
            await llm.acompletion("Name a colour.")


async def too_expensive() -> None:
    prices = {"input_cost_per_token": 0.001, "output_cost_per_token": 0.001, "max_output_tokens": 1000}
    await ask(budget_usd=0.5, **prices)


async def too_large() -> None:
    await ask(tokens_per_minute=1000, max_output_tokens=5000)


async def too_late() -> None:
    await ask(Fault("status", code=503), num_retries=9, deadline=0.2, retry_min_wait=0.01)


async def too_slow() -> None:
    await ask(Fault("stall"), timeout=0.2)


async def not_cached() -> None:
    with client(cache="answers.sqlite") as llm:
        async with llm:
            await llm.acompletion("Name a colour.", cache="only")


async def not_recorded() -> None:
    with client() as llm:
        async with llm:
            with recorded("refunds.jsonl"):
                await llm.acompletion("May I return it?")
            with recorded("refunds.jsonl", mode="none"):
                await llm.acompletion("Can I return it?")


async def stalled() -> None:
    with client(Fault("status", code=429, retry_after=3600)) as llm:
        async with llm:
            for outcome in await llm.gather(["Name a colour."]):
                outcome.unwrap()


async def no_images() -> None:
    picture = Message(role="user", content=[Text("What is this?"), Image.from_bytes(_PIXEL)])
    with client(disable_vision=True) as llm:
        async with llm:
            await llm.acompletion(picture)


async def no_journal() -> None:
    Journal("tickets.journal").summary()


def _fault(kind: Literal["ask", "stream"], *faults: Fault) -> Callable[[], Awaitable[None]]:
    return lambda: stream(*faults) if kind == "stream" else ask(*faults)


def _status(code: int) -> Callable[[], Awaitable[None]]:
    return _fault("ask", Fault("status", code=code))


def _reason(reason: str) -> Callable[[], Awaitable[None]]:
    return _fault("ask", Fault("status", reason=reason))


EXAMPLES: dict[type[AsyncLLMError], Callable[[], Awaitable[None]]] = {
    errors.ConfigError: wrong_configuration,
    errors.UnsupportedError: no_images,
    errors.ProviderError: _status(418),
    errors.AuthenticationError: _status(401),
    errors.PermissionDeniedError: _status(403),
    errors.BadRequestError: _status(400),
    errors.ContextWindowExceededError: _reason("context_window"),
    errors.ContentPolicyError: _reason("content_policy"),
    errors.NotFoundError: _status(404),
    errors.RateLimitError: _fault("ask", Fault("status", code=429, retry_after=20)),
    errors.QuotaExceededError: _reason("quota"),
    errors.ServerError: _status(503),
    errors.ProviderConnectionError: _fault("ask", Fault("refuse")),
    errors.ProviderTimeoutError: too_slow,
    errors.MalformedResponseError: _fault("ask", Fault("garbage", what="html")),
    errors.StreamInterruptedError: _fault("stream", Fault("cut", after_chunks=2)),
    errors.DeadlineExceededError: too_late,
    errors.BudgetExceededError: too_expensive,
    errors.OverloadedError: too_many_waiting,
    errors.RequestTooLargeError: too_large,
    errors.NotCachedError: not_cached,
    errors.RecordingError: not_recorded,
    errors.StalledError: stalled,
    errors.JournalError: no_journal,
    errors.ExtractionError: lambda: extract({"text": '{"number": "R-17"}'}),
    errors.RefusalError: lambda: extract({"refusal": "I cannot help with that."}),
    errors.IncompleteOutputError: lambda: extract({"text": '{"number": "R-1', "finish_reason": "length"}),
}


async def message(kind: type[AsyncLLMError]) -> str:
    """Return the message of an error of exactly this class."""
    try:
        await EXAMPLES[kind]()
    except kind as error:
        return re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8400", str(error).replace(f"{Path.cwd()}/", ""))
    raise AssertionError(f"{kind.__name__} was not raised")


async def write() -> None:
    """Write each message into the page."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for kind in EXAMPLES:
            replace_between(PAGE, kind.__name__, f"```text\n{await message(kind)}\n```")


if __name__ == "__main__":
    anyio.run(write)
