"""One application behind uvicorn, over asyncllm or a peer: `python -m benchmarks.web.server PEER PROVIDER [OPTIONS]`.

It prints its port. `/plain` and `/stream` ask the provider, `/state` says what the process holds and has used.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

MODEL, MESSAGES = "gpt-4o-mini", [{"role": "user", "content": "Name a colour."}]
Handler = Callable[[Request], Awaitable[Response]]


def asyncllm_app(provider: str, options: dict[str, Any]) -> Starlette:
    """Return the application over asyncllm."""
    from asyncllm import AsyncLLM, web

    llm = AsyncLLM(model=f"openai/{MODEL}", base_url=provider, api_key="any", **{"max_concurrency": 5000} | options)

    def params(request: Request) -> dict[str, Any]:
        tenant, script = request.query_params.get("tenant"), request.query_params.get("script")
        body = {} if script is None else {"extra_body": {"simulator": json.loads(script)}}
        return body if tenant is None else {**body, "tenant": tenant}

    async def plain(request: Request) -> Response:
        return JSONResponse((await llm.acompletion(MESSAGES, **params(request))).text)

    async def stream(request: Request) -> Response:
        return web.stream_response(llm.stream(MESSAGES, **params(request)), "openai")

    app = _app(plain, stream, lifespan=web.lifespan(llm))
    web.add_error_handlers(app)
    return app


def openai_app(provider: str, _options: dict[str, Any]) -> Starlette:
    """Return the application over the openai SDK."""
    from openai import AsyncOpenAI, DefaultAioHttpClient

    try:
        client = AsyncOpenAI(base_url=provider, api_key="any", http_client=DefaultAioHttpClient())
    except RuntimeError:  # without httpx-aiohttp
        client = AsyncOpenAI(base_url=provider, api_key="any")
    messages: Any = MESSAGES

    async def plain(_request: Request) -> Response:
        answer = await client.chat.completions.create(model=MODEL, messages=messages)
        return JSONResponse(answer.choices[0].message.content)

    async def stream(_request: Request) -> Response:
        chunks = await client.chat.completions.create(model=MODEL, messages=messages, stream=True)
        return StreamingResponse(_events(chunks), media_type="text/event-stream")

    return _app(plain, stream)


def litellm_app(provider: str, _options: dict[str, Any]) -> Starlette:
    """Return the application over litellm."""
    import litellm

    options: Any = {"model": f"openai/{MODEL}", "messages": MESSAGES, "api_base": provider, "api_key": "any"}

    async def plain(_request: Request) -> Response:
        answer: Any = await litellm.acompletion(**options)
        return JSONResponse(answer.choices[0].message.content)

    async def stream(_request: Request) -> Response:
        return StreamingResponse(
            _events(await litellm.acompletion(**options, stream=True)), media_type="text/event-stream"
        )

    return _app(plain, stream)


PEERS = {"asyncllm": asyncllm_app, "openai": openai_app, "litellm": litellm_app}


async def _events(chunks: Any) -> AsyncIterator[str]:
    async for chunk in chunks:
        yield f"data: {chunk.model_dump_json()}\n\n"
    yield "data: [DONE]\n\n"


async def _state(_request: Request) -> Response:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])  # noqa: ASYNC240  # no disk
    return JSONResponse(
        {"cpu_s": time.process_time(), "rss_mb": pages * 4096 / 2**20, "tasks": len(asyncio.all_tasks())}
    )


def _app(plain: Handler, stream: Handler, **options: Any) -> Starlette:
    return Starlette(routes=[Route("/plain", plain), Route("/stream", stream), Route("/state", _state)], **options)


def main() -> None:
    """Serve until stdin is closed."""
    peer, provider, *rest = sys.argv[1:]
    app = PEERS[peer](provider, json.loads(rest[0]) if rest else {})
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_level="critical", access_log=False, ws="none", backlog=8192)
    )

    async def serve() -> None:
        serving = asyncio.ensure_future(server.serve())
        while not server.started:  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.01)
        print(server.servers[0].sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        server.should_exit = server.force_exit = True
        await serving

    asyncio.run(serve())


if __name__ == "__main__":
    main()
