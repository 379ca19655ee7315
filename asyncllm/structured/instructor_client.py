"""instructor's own clients, bound to the pipeline."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from ..completions.chunk import Chunk
from ..completions.completion import Completion
from ..completions.stream import CompletionStream
from ..completions.view import View
from ..messages import Messages

if TYPE_CHECKING:
    from instructor import AsyncInstructor, Instructor
    from instructor import Mode as InstructorMode


class ChunkIterator(Iterator[Chunk], AbstractContextManager[object], Protocol):
    """A blocking stream of chunks."""


def async_instructor(
    complete: Callable[..., Awaitable[Completion]], stream: Callable[..., CompletionStream], mode: str
) -> AsyncInstructor:
    """Return an instructor client whose requests go through the pipeline.

    Args:
        complete: Sends messages and parameters, and returns the answer.
        stream: The same, and returns the stream.
        mode: How types are asked for: `tools`, `json_schema`, `json` or `md_json`.
    """
    from instructor import AsyncInstructor
    from instructor.v2.core.providers import Provider

    async def create(*, messages: Messages, **params: object) -> View | AsyncIterator[View]:
        if params.pop("stream", False):
            return _chunks(stream(messages, **params))
        # Code written for instructor reads the form of chat completions.
        return View((await complete(messages, **params)).to_dict())

    patched, chosen = _patched(create, mode)
    return AsyncInstructor(client=None, create=patched, mode=chosen, provider=Provider.OPENAI)


def blocking_instructor(
    complete: Callable[..., Completion], stream: Callable[..., ChunkIterator], mode: str
) -> Instructor:
    """Return a blocking instructor client; as `async_instructor`."""
    from instructor import Instructor
    from instructor.v2.core.providers import Provider

    def create(*, messages: Messages, **params: object) -> View | Iterator[View]:
        if params.pop("stream", False):
            return _blocking_chunks(stream(messages, **params))
        return View(complete(messages, **params).to_dict())

    patched, chosen = _patched(create, mode)
    return Instructor(client=None, create=patched, mode=chosen, provider=Provider.OPENAI)


def _patched(create: Callable[..., object], mode: str) -> tuple[Callable[..., Any], InstructorMode]:
    from instructor import Mode as InstructorMode
    from instructor.v2.core.patch import patch_v2
    from instructor.v2.core.providers import Provider

    chosen = InstructorMode[mode.upper()]
    return patch_v2(create, Provider.OPENAI, chosen), chosen


async def _chunks(stream: CompletionStream) -> AsyncIterator[View]:
    async with stream:
        async for chunk in stream:
            yield View(chunk.data)


def _blocking_chunks(stream: ChunkIterator) -> Iterator[View]:
    with stream:
        for chunk in stream:
            yield View(chunk.data)
