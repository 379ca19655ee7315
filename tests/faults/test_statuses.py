"""The classes and retries of every status from 400 to 599, in the words of every provider."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import anyio
import pytest

from asyncllm import (
    AsyncLLM,
    AsyncLLMError,
    AuthenticationError,
    BadRequestError,
    ContentPolicyError,
    ContextWindowExceededError,
    NotFoundError,
    PermissionDeniedError,
    ProviderError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
)
from asyncllm.pipeline.retry import is_retryable
from asyncllm.simulator import Fault, Simulator
from asyncllm.simulator.formats.error_bodies import STYLES
from tests.support.secrets import SECRET

EVERY = range(400, 600)
SOME = (400, 401, 402, 403, 404, 405, 408, 409, 413, 418, 422, 429, 451, 499, 500, 501, 502, 503, 504, 520, 524, 529)
REASONS: Mapping[str, type[ProviderError]] = {
    "context_window": ContextWindowExceededError,
    "content_policy": ContentPolicyError,
    "quota": QuotaExceededError,
    "tokens": RateLimitError,
}


@dataclass(frozen=True)
class Route:
    """How litellm reaches a provider, and the style of its errors."""

    model: str
    style: str
    path: str = "/v1"
    faults_path: str | None = None


ROUTES = {
    "openai": Route("openai/gpt-4o-mini", "openai"),
    "azure": Route("azure/gpt-4o", "azure", ""),
    "anthropic": Route("anthropic/claude-sonnet-4-5", "anthropic", ""),
    "gemini": Route("gemini/gemini-2.5-flash", "gemini", "", "*:*enerateContent"),
    "mistral": Route("mistral/mistral-small-latest", "mistral"),
    "vllm": Route("hosted_vllm/my-own-model", "vllm"),
    "openrouter": Route("openrouter/openai/gpt-4o-mini", "openrouter"),
}


def class_of(status: int) -> type[ProviderError]:
    """Return the class that a status has by itself."""
    if status >= 500:
        return ServerError
    return {
        400: BadRequestError,
        401: AuthenticationError,
        402: QuotaExceededError,
        403: PermissionDeniedError,
        404: NotFoundError,
        413: BadRequestError,
        422: BadRequestError,
        429: RateLimitError,
    }.get(status, ProviderError)


def is_transient(status: int) -> bool:
    """Return whether a retry may succeed after a status."""
    return status >= 500 or status in (408, 409, 429)


def status_fault(status: int, style: str, path: str | None = None) -> Fault:
    # A short Retry-After, so that the next request does not wait for the cooldown.
    wait = 0.001 if status == 429 else None
    return Fault("status", code=status, style=style, retry_after=wait, retry_after_form="ms", path=path)


async def mistakes(llm: AsyncLLM, simulator: Simulator, faults: Iterable[Fault], *, stream: bool = False) -> list[str]:
    """Make a call for each fault, and return a line for each that ended with the wrong error."""
    wrong = []
    for fault in faults:
        simulator.faults(fault)
        try:
            await (llm.stream("hi").collect() if stream else llm.acompletion("hi"))
        except AsyncLLMError as error:
            status = getattr(error, "status_code", None)
            expected = REASONS[fault.reason] if fault.reason else class_of(fault.code or 0)
            again = expected is RateLimitError if fault.reason else is_transient(fault.code or 0)
            if type(error) is not expected or (fault.code or status) != status or is_retryable(error) is not again:
                wrong.append(f"{fault.code or fault.reason}: {type(error).__name__} {status}, {error}")
        else:
            wrong.append(f"{fault.code or fault.reason}: an answer")
    return wrong


def client(simulator: Simulator, route: Route, transport: str) -> AsyncLLM:
    options = {"api_version": "2024-10-21"} if route.model.startswith("azure/") else {}
    return AsyncLLM(
        model=route.model,
        base_url=simulator.root_url + route.path,
        api_key=SECRET,
        transport=transport,  # type: ignore[arg-type]
        num_retries=0,
        **options,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("style", STYLES)
def test_every_status_over_the_wire(simulator: Simulator, style: str) -> None:
    """All two hundred statuses are classified by their number, in the words of each provider."""

    async def run() -> list[str]:
        async with client(simulator, ROUTES["openai"], "wire") as llm:
            return await mistakes(llm, simulator, [status_fault(status, style) for status in EVERY])

    assert not anyio.run(run)
    assert simulator.seen.requests == len(EVERY)


def test_every_status_over_litellm(simulator: Simulator) -> None:
    """litellm knows some twenty statuses; all two hundred end by their number, each in one provider's words."""
    styles = list(STYLES)

    async def run() -> list[str]:
        async with client(simulator, ROUTES["openai"], "litellm") as llm:
            faults = [status_fault(status, styles[status % len(styles)]) for status in EVERY]
            return await mistakes(llm, simulator, faults)

    assert not anyio.run(run)
    assert simulator.seen.requests == len(EVERY)


OVER_BOTH = [*((route, "litellm") for route in ROUTES), ("anthropic", "wire"), ("gemini", "wire")]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize(("route", "transport"), OVER_BOTH)
def test_statuses_of_a_provider(simulator: Simulator, route: str, transport: str, stream: bool) -> None:
    """On the way that litellm takes to each provider, with the provider's own words, the wire's status decides.

    So it does in Anthropic's and Gemini's formats on the wire.
    """
    way = ROUTES[route]

    async def run() -> list[str]:
        async with client(simulator, way, transport) as llm:
            faults = [status_fault(status, way.style, way.faults_path) for status in SOME]
            return await mistakes(llm, simulator, faults, stream=stream)

    assert not anyio.run(run)
    assert simulator.seen.requests == len(SOME)


@pytest.mark.parametrize("transport", ["wire", "litellm"])
@pytest.mark.parametrize("style", STYLES)
def test_reasons_in_every_style(simulator: Simulator, style: str, transport: str) -> None:
    """Errors about a prompt, a policy or an account are recognised in each provider's own words."""

    async def run() -> list[str]:
        async with client(simulator, ROUTES["openai"], transport) as llm:
            faults = [Fault("status", reason=reason, style=style, retry_after=0.001) for reason in REASONS]
            return await mistakes(llm, simulator, faults)

    assert not anyio.run(run)


@pytest.mark.parametrize(("route", "transport"), [one for one in OVER_BOTH if one[0] != "openai"])
def test_reasons_of_a_provider(simulator: Simulator, route: str, transport: str) -> None:
    """On the way that litellm takes to each provider, its own classes do not hide what the provider said."""
    way = ROUTES[route]

    async def run() -> list[str]:
        async with client(simulator, way, transport) as llm:
            faults = [
                Fault("status", reason=reason, style=way.style, retry_after=0.001, path=way.faults_path)
                for reason in REASONS
            ]
            return await mistakes(llm, simulator, faults)

    assert not anyio.run(run)
