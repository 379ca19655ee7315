"""A web handler: the answer streams to the browser, and a closed tab stops the model.

A plain ASGI application: uvicorn --app-dir examples web_handler:app, then
curl -N "http://127.0.0.1:8000/?q=Tell+me+a+story"
"""

from __future__ import annotations

import json
import os
from typing import Any
from urllib.parse import parse_qs

import anyio

from asyncllm import AsyncLLM, AsyncLLMError

# One client for the whole process: its connections and limits are shared by all requests.
llm = AsyncLLM(model=os.environ.get("MODEL", "simulated/demo"), max_concurrency=200, deadline=120, idle_timeout=20)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Serve one connection, or the life of the server."""
    if scope["type"] == "lifespan":
        await receive()
        await llm.warm_up()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await llm.aclose()
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "http":
        question = parse_qs(scope["query_string"].decode()).get("q", ["Tell me a story."])[0]
        async with anyio.create_task_group() as group:
            group.start_soon(watch, receive, group.cancel_scope)
            await answer(question, send)
            group.cancel_scope.cancel()


async def watch(receive: Any, scope: anyio.CancelScope) -> None:
    """Cancel the answer when the browser has gone; that closes the connection to the provider."""
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def answer(question: str, send: Any) -> None:
    """Send the answer as server-sent events, as it comes."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    try:
        async with llm.stream(question) as stream:
            async for chunk in stream:
                body = f"data: {json.dumps(chunk.text)}\n\n".encode()
                await send({"type": "http.response.body", "body": body, "more_body": True})
    except AsyncLLMError as error:
        body = f"event: error\ndata: {json.dumps(error.message)}\n\n".encode()
        await send({"type": "http.response.body", "body": body, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
