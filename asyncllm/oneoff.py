"""One call without a client of one's own: made for it, and closed after it; blocking and async."""

from __future__ import annotations

from typing import Any, TypeVar, Unpack

from .batch.input import Requests
from .batch.options import OF_THE_BATCH, BatchOptions
from .batch.outcome import Outcome
from .client import AsyncLLM
from .completions.completion import Completion
from .config.options import Options
from .messages import Messages
from .parameters import KNOWN, CallOptions
from .sync.loop_thread import run

T = TypeVar("T")

# Fields that are no parameters of the call as well; with `model` among them, no file is needed.
_OF_THE_CLIENT = frozenset(Options.__annotations__) - KNOWN
# A batch has these itself, as a client has; its slots are the client's.
_OF_THE_BATCH = OF_THE_BATCH - {"max_concurrency"}


def completion(messages: Messages, *, profile: str | None = None, **params: Unpack[CallOptions]) -> Completion:
    """Send messages once and return the answer; as `AsyncLLM.acompletion`, with a client for this call alone.

    Args:
        messages: As for `AsyncLLM.acompletion`.
        profile: The name of a profile of config.toml; None for the default one.
        **params: As for `AsyncLLM.acompletion`; a field of the profile is for this client.
    """
    return run(lambda: acompletion(messages, profile=profile, **params))


def extract(
    response_model: type[T], messages: Messages, *, profile: str | None = None, **params: Unpack[CallOptions]
) -> T:
    """Ask once for a value of a type and return it; as `AsyncLLM.extract`, with a client for this call alone.

    Args:
        response_model: As for `AsyncLLM.extract`.
        messages: As for `AsyncLLM.acompletion`.
        profile: The name of a profile of config.toml; None for the default one.
        **params: As for `AsyncLLM.acompletion`; a field of the profile is for this client.
    """
    return run(lambda: aextract(response_model, messages, profile=profile, **params))


def gather(
    requests: Requests, *, profile: str | None = None, response_model: Any = None, **options: Unpack[BatchOptions]
) -> list[Outcome[Any]]:
    """Send many requests, return their outcomes in order; as `AsyncLLM.gather`, with a client for this batch alone.

    Args:
        requests: As for `AsyncLLM.gather`.
        profile: The name of a profile of config.toml; None for the default one.
        response_model: As for `AsyncLLM.gather`.
        **options: As for `AsyncLLM.gather`; a field of the profile is for this client.
    """
    return run(lambda: agather(requests, profile=profile, response_model=response_model, **options))


async def acompletion(messages: Messages, *, profile: str | None = None, **params: Unpack[CallOptions]) -> Completion:
    """Send messages once and return the answer; as `AsyncLLM.acompletion`, with a client for this call alone.

    Args:
        messages: As for `AsyncLLM.acompletion`.
        profile: The name of a profile of config.toml; None for the default one.
        **params: As for `AsyncLLM.acompletion`; a field of the profile is for this client.
    """
    if "stream" in params:
        raise TypeError("a stream needs a client that lives as long: use AsyncLLM(...).stream() or LLM(...).stream()")
    async with _client(profile, params) as llm:
        return await llm.acompletion(messages, **params)


async def aextract(
    response_model: type[T], messages: Messages, *, profile: str | None = None, **params: Unpack[CallOptions]
) -> T:
    """Ask once for a value of a type and return it; as `AsyncLLM.extract`, with a client for this call alone.

    Args:
        response_model: As for `AsyncLLM.extract`.
        messages: As for `AsyncLLM.acompletion`.
        profile: The name of a profile of config.toml; None for the default one.
        **params: As for `AsyncLLM.acompletion`; a field of the profile is for this client.
    """
    async with _client(profile, params) as llm:
        value: T = await llm.extract(response_model, messages, **params)
        return value


async def agather(
    requests: Requests, *, profile: str | None = None, response_model: Any = None, **options: Unpack[BatchOptions]
) -> list[Outcome[Any]]:
    """Send many requests, return their outcomes in order; as `AsyncLLM.gather`, with a client for this batch alone.

    Args:
        requests: As for `AsyncLLM.gather`.
        profile: The name of a profile of config.toml; None for the default one.
        response_model: As for `AsyncLLM.gather`.
        **options: As for `AsyncLLM.gather`; a field of the profile is for this client.
    """
    async with _client(profile, options, kept=_OF_THE_BATCH) as llm:
        return await llm.gather(requests, response_model=response_model, **options)


def _client(profile: str | None, params: Any, *, kept: frozenset[str] = frozenset()) -> AsyncLLM:
    """Make the client of a call, with the fields of the profile that are taken out of its parameters, `kept` aside."""
    options: Any = {name: params.pop(name) for name in (_OF_THE_CLIENT - kept) & params.keys()}
    return AsyncLLM(profile, **options)
