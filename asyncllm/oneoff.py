"""One call without a client of one's own: made for it, and closed after it; async and blocking."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, cast, overload

from .batch.options import OF_THE_BATCH, BatchOptions
from .client import AsyncLLM
from .completions.completion import Completion
from .config.options import Options
from .messages import Messages
from .parameters import KNOWN, CallOptions
from .sync.loop_thread import run

if TYPE_CHECKING:
    # Names for type checkers; nothing is imported.
    from typing_extensions import TypeForm

    from .batch.input import Requests
    from .batch.outcome import Outcome
    from .structured import Check

T = TypeVar("T")

# Fields of the profile that are no parameters of a call; with `model` among them, no file is needed.
_OF_THE_CLIENT = frozenset(Options.__annotations__) - KNOWN
# A batch has these itself, as a client has; its slots are the client's.
_OF_THE_BATCH = OF_THE_BATCH - {"max_concurrency"}


async def acompletion(messages: Messages, *, profile: str | None = None, **params: Unpack[CallOptions]) -> Completion:
    """Send messages once and return the answer; as `AsyncLLM.acompletion`, with a client for this call alone.

    Args:
        messages: As for `AsyncLLM.acompletion`.
        profile: The name of a profile of config.toml; None for the default one.
        **params: As for `AsyncLLM.acompletion`; a field of the profile is for this client.

    Example:
        ```python
        answer = await asyncllm.acompletion("Name a colour.", profile="fast")
        print(answer.text)
        ```
    """
    if "stream" in params:
        raise TypeError("a stream needs a client that lives as long: use AsyncLLM(...).stream() or LLM(...).stream()")
    async with _client(profile, params) as llm:
        return await llm.acompletion(messages, **params)


def completion(messages: Messages, *, profile: str | None = None, **params: Unpack[CallOptions]) -> Completion:
    """Send messages once and return the answer; as `acompletion`, blocking.

    Example:
        ```python
        print(asyncllm.completion("Name a colour.", profile="fast").text)
        ```
    """
    return run(lambda: acompletion(messages, profile=profile, **params))


@overload
async def aextract(
    response_model: TypeForm[T],
    messages: Messages,
    *,
    profile: str | None = None,
    check: Check[T] | None = None,
    validation_context: object = None,
    **params: Unpack[CallOptions],
) -> T: ...


@overload
async def aextract(
    response_model: Mapping[str, object],
    messages: Messages,
    *,
    profile: str | None = None,
    check: Check[Any] | None = None,
    validation_context: object = None,
    **params: Unpack[CallOptions],
) -> Any: ...


async def aextract(
    response_model: Any,
    messages: Messages,
    *,
    profile: str | None = None,
    check: Check[Any] | None = None,
    validation_context: object = None,
    **params: Unpack[CallOptions],
) -> Any:
    """Ask once for a value of a type and return it; as `AsyncLLM.extract`, with a client for this call alone.

    Args:
        response_model: As for `AsyncLLM.extract`.
        messages: As for `AsyncLLM.acompletion`.
        profile: The name of a profile of config.toml; None for the default one.
        check: As for `AsyncLLM.extract`.
        validation_context: As for `AsyncLLM.extract`.
        **params: As for `AsyncLLM.acompletion`; a field of the profile is for this client.

    Example:
        ```python
        legs = await asyncllm.aextract(int, "How many legs has a spider?")
        ```
    """
    async with _client(profile, params) as llm:
        return await llm.extract(response_model, messages, check=check, validation_context=validation_context, **params)


@overload
def extract(
    response_model: TypeForm[T],
    messages: Messages,
    *,
    profile: str | None = None,
    check: Check[T] | None = None,
    validation_context: object = None,
    **params: Unpack[CallOptions],
) -> T: ...


@overload
def extract(
    response_model: Mapping[str, object],
    messages: Messages,
    *,
    profile: str | None = None,
    check: Check[Any] | None = None,
    validation_context: object = None,
    **params: Unpack[CallOptions],
) -> Any: ...


def extract(
    response_model: Any,
    messages: Messages,
    *,
    profile: str | None = None,
    check: Check[Any] | None = None,
    validation_context: object = None,
    **params: Unpack[CallOptions],
) -> Any:
    """Ask once for a value of a type and return it; as `aextract`, blocking.

    Example:
        ```python
        legs = asyncllm.extract(int, "How many legs has a spider?")
        ```
    """
    return run(
        lambda: aextract(
            response_model, messages, profile=profile, check=check, validation_context=validation_context, **params
        )
    )


@overload
async def agather(
    requests: Requests, *, profile: str | None = None, response_model: TypeForm[T], **options: Unpack[BatchOptions]
) -> list[Outcome[T]]: ...


@overload
async def agather(
    requests: Requests,
    *,
    profile: str | None = None,
    response_model: Mapping[str, object] | None = None,
    **options: Unpack[BatchOptions],
) -> list[Outcome[Any]]: ...


async def agather(
    requests: Requests, *, profile: str | None = None, response_model: Any = None, **options: Unpack[BatchOptions]
) -> list[Outcome[Any]]:
    """Send many requests, return their outcomes in order; as `AsyncLLM.gather`, with a client for this batch alone.

    Args:
        requests: As for `AsyncLLM.gather`.
        profile: The name of a profile of config.toml; None for the default one.
        response_model: As for `AsyncLLM.gather`.
        **options: As for `AsyncLLM.gather`; a field of the profile is for this client.

    Example:
        ```python
        outcomes = await asyncllm.agather(["Name a colour.", "Name a fruit."], profile="fast")
        print([outcome.text for outcome in outcomes])
        ```
    """
    async with _client(profile, options, kept=_OF_THE_BATCH) as llm:
        return await llm.gather(requests, response_model=response_model, **options)


@overload
def gather(
    requests: Requests, *, profile: str | None = None, response_model: TypeForm[T], **options: Unpack[BatchOptions]
) -> list[Outcome[T]]: ...


@overload
def gather(
    requests: Requests,
    *,
    profile: str | None = None,
    response_model: Mapping[str, object] | None = None,
    **options: Unpack[BatchOptions],
) -> list[Outcome[Any]]: ...


def gather(
    requests: Requests, *, profile: str | None = None, response_model: Any = None, **options: Unpack[BatchOptions]
) -> list[Outcome[Any]]:
    """Send many requests and return their outcomes in order; as `agather`, blocking.

    Example:
        ```python
        outcomes = asyncllm.gather(["Name a colour.", "Name a fruit."], profile="fast")
        print([outcome.text for outcome in outcomes])
        ```
    """
    return run(lambda: agather(requests, profile=profile, response_model=response_model, **options))


def _client(profile: str | None, params: CallOptions | BatchOptions, *, kept: frozenset[str] = frozenset()) -> AsyncLLM:
    """Return the client of a call; the fields of its profile, but for `kept`, are taken out of the parameters."""
    given = cast(dict[str, Any], params)
    options: Any = {name: given.pop(name) for name in (_OF_THE_CLIENT - kept) & given.keys()}
    return AsyncLLM(profile, **options)
