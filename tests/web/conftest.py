"""Readers of an application: one in the process, on both backends, and a server for real connections."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import pytest
import uvicorn

from asyncllm import AsyncLLM
from asyncllm.config.options import Options
from asyncllm.simulator import Simulator
from tests.support.secrets import SECRET


class Visitor:
    """A client of an ASGI application in the same task tree.

    Attributes:
        status: The status that was sent; 0 before.
        headers: The headers that were sent.
        body: What has been sent so far.
        is_complete: Whether the body has ended as it should.
        got_something: Set with the first byte.
        reads: Cleared by a test whose visitor stops reading.
    """

    def __init__(self, path: str = "/", headers: dict[str, str] | None = None) -> None:
        pairs = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
        self._scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": pairs}
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.is_complete = False
        self.got_something = anyio.Event()
        self._left = anyio.Event()
        self._may_read: anyio.Event | None = None
        self._has_asked = False

    async def visit(self, app: Any) -> Visitor:
        """Send a request, and read the response to its end."""
        scope = self._scope | {"asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": "1.1"}
        await app(scope | {"scheme": "http", "server": ("test", 80), "root_path": ""}, self._receive, self._send)
        return self

    def leave(self) -> None:
        """Close the connection."""
        self._left.set()

    def stop_reading(self) -> None:
        """Take nothing more."""
        self._may_read = anyio.Event()

    def events(self) -> list[tuple[str, Any]]:
        """Return the server-sent events, each with its name and its decoded data."""
        found: list[tuple[str, Any]] = []
        for block in self.body.decode().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
            if "data" in fields:
                data = fields["data"]
                found.append((fields.get("event", ""), data if data == "[DONE]" else json.loads(data)))
        return found

    async def _receive(self) -> dict[str, Any]:
        if not self._has_asked:
            self._has_asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            return
        self.body += message.get("body", b"")
        self.is_complete = not message.get("more_body", False)
        if self.body:
            self.got_something.set()
        if self._may_read is not None and not self._left.is_set():
            await self._may_read.wait()


@contextmanager
def served(app: Any) -> Iterator[str]:
    """Serve an application on loopback, in a thread with an asyncio loop; yield its address."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, ws="none", lifespan="on"))
    started = threading.Event()
    startup = server.startup

    async def startup_and_say(*args: Any, **options: Any) -> None:
        try:
            await startup(*args, **options)
        finally:
            started.set()

    server.startup = startup_and_say  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run, name="uvicorn")
    thread.start()
    started.wait()
    try:
        assert server.started
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def options(simulator: Simulator) -> Options:
    """The options of a client of the simulator, with waits too short to notice."""
    return {
        "model": "openai/gpt-4o-mini",
        "base_url": simulator.url,
        "api_key": SECRET,
        "retry_min_wait": 0.001,
        "retry_max_wait": 0.002,
    }


@pytest.fixture
async def llm(options: Options, anyio_backend: str) -> AsyncIterator[AsyncLLM]:
    """A client of the simulator."""
    async with AsyncLLM(**options) as client:
        yield client


def scripted(**script: object) -> dict[str, dict[str, object]]:
    """Return the `extra_body` that tells the simulator what to answer."""
    return {"simulator": script}
