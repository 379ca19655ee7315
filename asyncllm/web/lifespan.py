"""The life of clients within that of an application."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from ..client import AsyncLLM

State = Mapping[str, Any]


def lifespan(
    *clients: AsyncLLM, own: Callable[[Any], AbstractAsyncContextManager[State | None]] | None = None
) -> Callable[[Any], AbstractAsyncContextManager[State]]:
    """Return a lifespan that warms clients up at the start of an application, and closes them at its end.

    ASGI servers end the lifespan when the last response has ended, streams included.

    Args:
        *clients: The clients.
        own: The application's own lifespan, whose state is passed on; its code runs while the clients are open.

    Raises:
        AsyncLLMError: At the start: the configuration is wrong, or there is no key.

    Example:
        ```python
        from fastapi import FastAPI
        from asyncllm import web

        llm = AsyncLLM("fast")
        app = FastAPI(lifespan=web.lifespan(llm))
        ```
    """

    @asynccontextmanager
    async def run(app: object) -> AsyncGenerator[State, None]:
        async with AsyncExitStack() as stack:
            for client in clients:
                await stack.enter_async_context(client)
            for client in clients:
                await client.warm_up()
            state = None if own is None else await stack.enter_async_context(own(app))
            yield {} if state is None else state

    return run
