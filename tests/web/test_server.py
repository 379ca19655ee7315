"""Applications behind a real server: what clients see, and what is closed when they leave or the server ends."""

from __future__ import annotations

import json
import socket
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx
import openai
import pytest
from fastapi import Depends, FastAPI
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from asyncllm import AsyncLLM, AuthenticationError, web
from asyncllm.config.options import Options
from asyncllm.simulator import Fault, Simulator
from tests.web.conftest import Visitor, scripted, served


def chat_app(llm: AsyncLLM, protocol: Any, **params: Any) -> Starlette:
    """Return an application that streams one answer."""

    async def chat(_request: Request) -> Response:
        return web.stream_response(llm.stream("Tell me a story.", **params), protocol)

    app = Starlette(routes=[Route("/v1/chat/completions", chat, methods=["GET", "POST"])], lifespan=web.lifespan(llm))
    web.add_error_handlers(app)
    return app


def test_openais_own_client_reads_a_stream(options: Options) -> None:
    """What `openai` sends is a stream of chat completions to OpenAI's SDK, in pieces and with an end."""
    app = chat_app(AsyncLLM(**options), "openai", extra_body=scripted(text="An answer of several chunks, in all."))
    with served(app) as url, openai.OpenAI(base_url=f"{url}/v1", api_key="any") as client:
        messages: Any = [{"role": "user", "content": "hi"}]
        with client.chat.completions.create(model="any", messages=messages, stream=True) as stream:
            texts = [chunk.choices[0].delta.content or "" for chunk in stream]
    assert len(texts) > 2
    assert "".join(texts) == "An answer of several chunks, in all."


def test_openais_own_client_reads_claude(options: Options, simulator: Simulator) -> None:
    """The chunks of a provider of another format are chat completions too, all of one answer."""
    claude: Options = {**options, "model": "anthropic/claude-sonnet-4-5", "base_url": simulator.root_url}
    app = chat_app(AsyncLLM(**claude), "openai", extra_body=scripted(text="An answer of several chunks, in all."))
    with served(app) as url, openai.OpenAI(base_url=f"{url}/v1", api_key="any") as client:
        messages: Any = [{"role": "user", "content": "hi"}]
        with client.chat.completions.create(model="any", messages=messages, stream=True) as stream:
            chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "An answer of several chunks, in all."
    assert {(chunk.object, chunk.model) for chunk in chunks} == {("chat.completion.chunk", "claude-sonnet-4-5")}
    assert len({(chunk.id, chunk.created) for chunk in chunks}) == 1


def test_openais_own_client_raises_the_error_of_a_stream(options: Options, simulator: Simulator) -> None:
    """An interruption is an error to it, and no end."""
    simulator.faults(Fault("cut", after_chunks=2))
    with (
        served(chat_app(AsyncLLM(**options), "openai")) as url,
        openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client,
        client.chat.completions.create(model="any", messages=[], stream=True) as stream,
        pytest.raises(openai.APIError, match="The answer was interrupted"),
    ):
        list(stream)


def test_a_text_that_breaks_off_has_no_end(options: Options, simulator: Simulator) -> None:
    """A client sees that the body is not complete."""
    simulator.faults(Fault("cut", after_chunks=2))
    with (
        served(chat_app(AsyncLLM(**options), "text")) as url,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        httpx.get(f"{url}/v1/chat/completions", trust_env=False)


def test_a_closed_tab_closes_the_providers_connection(options: Options, simulator: Simulator) -> None:
    """The server tells that a socket was closed, and the provider's connection is closed while it says nothing."""
    simulator.faults(Fault("stall", after_chunks=2))
    llm = AsyncLLM(**options)
    with served(chat_app(llm, "events")) as url:
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as tab:
            tab.sendall(b"GET /v1/chat/completions HTTP/1.1\r\nHost: test\r\n\r\n")
            assert tab.recv(1).startswith(b"H")
            simulator.seen.wait(lambda seen: seen.in_flight == 1)
        simulator.seen.wait(lambda seen: seen.connections_open == 0)
    assert llm.stats().in_flight == 0


@pytest.mark.leaks
def test_a_server_that_ends_sends_its_streams_to_the_end(options: Options, simulator: Simulator) -> None:
    """The client is closed after the last stream, and nothing is left of either."""
    llm = AsyncLLM(**options)
    body = scripted(text="x" * 640, tokens_per_s=400)
    got: list[bytes] = []
    with served(chat_app(llm, "text", extra_body=body)) as url:
        reader = urllib.request.urlopen(f"{url}/v1/chat/completions")
        got.append(reader.read(16))
    # The server was asked to end in the middle of the answer, and its thread has ended.
    got.append(reader.read())
    reader.close()
    assert b"".join(got) == b"x" * 640
    simulator.seen.wait(lambda seen: seen.connections_open == 0)


@pytest.mark.anyio
async def test_a_lifespan_opens_clients_around_ones_own(options: Options, anyio_backend: str) -> None:
    """One's own lifespan runs while the clients are open, and its state is that of the application."""
    llm, other = AsyncLLM(**options), AsyncLLM(**options)
    said: list[str] = []

    @asynccontextmanager
    async def own(_app: Starlette) -> AsyncIterator[dict[str, str]]:
        said.append((await llm.acompletion("hi", extra_body=scripted(text="before"))).text)
        yield {"greeting": "hello"}
        said.append((await other.acompletion("hi", extra_body=scripted(text="after"))).text)

    async with web.lifespan(llm, other, own=own)(Starlette()) as state:
        assert state == {"greeting": "hello"}
    assert said == ["before", "after"]
    for client in (llm, other):
        with pytest.raises(RuntimeError, match="closed"):
            await client.acompletion("hi")


@pytest.mark.anyio
async def test_a_server_does_not_start_without_a_key(anyio_backend: str) -> None:
    """A mistake in the configuration is found at the start rather than by the first user."""
    async with AsyncLLM(model="openai/gpt-4o-mini") as llm:
        with pytest.raises(AuthenticationError, match="there is no key"):
            async with web.lifespan(llm)(Starlette()):
                raise AssertionError


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 60.0),
        ({"X-Request-Timeout": "30"}, 30.0),
        ({"X-Request-Timeout": "1.5s"}, 1.5),
        ({"X-Request-Timeout": "500ms"}, 0.5),
        ({"X-Request-Timeout": "2m"}, 60.0),
        ({"grpc-timeout": "5S"}, 5.0),
        ({"grpc-timeout": "250m"}, 0.25),
        ({"grpc-timeout": "1H"}, 60.0),
        ({"X-Request-Timeout": "soon"}, None),
        ({"X-Request-Timeout": "0"}, None),
        ({"X-Request-Timeout": "-1"}, None),
        ({"grpc-timeout": "5"}, None),
    ],
)
async def test_a_request_says_how_long_it_waits(headers: dict[str, str], seconds: float | None) -> None:
    """Both headers are read, none asks for more than is allowed, and nonsense is refused."""
    app = FastAPI()

    @app.get("/")
    async def show(deadline: Annotated[float, Depends(web.request_deadline(longest=60.0))]) -> dict[str, Any]:
        return {"deadline": deadline}

    visitor = await Visitor(headers=headers).visit(app)
    assert visitor.status == (400 if seconds is None else 200)
    assert seconds is None or json.loads(visitor.body) == {"deadline": seconds}
    web.add_error_handlers(app)
    app.middleware_stack = None  # built with the first request, and anew with the handlers
    visitor = await Visitor(headers=headers).visit(app)
    if seconds is None:
        assert visitor.headers["content-type"] == "application/problem+json"
        problem = json.loads(visitor.body)
        assert (problem["status"], problem["code"]) == (400, "bad_request")
        assert next(iter(headers)).lower() in problem["detail"]


@pytest.mark.parametrize(
    ("messages", "place"),
    [
        ([], ["body", "messages"]),
        ([{"role": "wizard", "content": "hi"}], ["body", "messages", 0, "role"]),
        ([{"content": "hi"}], ["body", "messages", 0, "role"]),
        ([{"role": "user"}], ["body", "messages"]),
        ([{"role": "user", "content": {"text": "hi"}}], ["body", "messages", 0, "content"]),
        ("hi", ["body", "messages"]),
    ],
)
def test_malformed_messages_are_answered_with_422(llm_of_web: AsyncLLM, messages: object, place: list[object]) -> None:
    """FastAPI names the place, before anything is sent."""
    with served(chat_of(llm_of_web)) as url:
        answer = httpx.post(f"{url}/chat", json={"messages": messages}, trust_env=False)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][: len(place)] == place


def test_messages_are_sent_as_they_came(llm_of_web: AsyncLLM, simulator: Simulator) -> None:
    """With what the type does not name: tool calls, parts, names."""
    call = {"id": "call-1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    messages: list[dict[str, Any]] = [
        {"role": "user", "name": "ada", "content": [{"type": "text", "text": "Look."}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call-1", "content": "Nothing."},
    ]
    with served(chat_of(llm_of_web)) as url:
        answer = httpx.post(f"{url}/chat", json={"messages": messages}, trust_env=False)
    assert answer.status_code == 200
    del messages[1]["content"]  # servers that check take no null
    assert simulator.seen.bodies[-1]["messages"] == messages


class Ask(BaseModel):
    """The body of a request."""

    messages: web.ChatMessages


@pytest.fixture
def llm_of_web(options: Options) -> AsyncLLM:
    """A client that the application opens and closes."""
    return AsyncLLM(**options)


def chat_of(llm: AsyncLLM) -> FastAPI:
    """Return an application that answers messages."""
    app = FastAPI(lifespan=web.lifespan(llm))
    web.add_error_handlers(app)

    @app.post("/chat")
    async def chat(ask: Ask) -> Response:
        return web.stream_response(llm.stream(ask.messages))

    return app


@pytest.mark.anyio
async def test_the_deadline_of_a_request_ends_the_call(options: Options, simulator: Simulator) -> None:
    """A call that is not answered in the time that its client waits is a 504, and its connection is closed."""
    simulator.faults(Fault("stall"))
    read = web.request_deadline(longest=60.0)

    async def ask(request: Request) -> Response:
        return JSONResponse((await llm.acompletion("hi", deadline=read(request))).text)

    app = Starlette(routes=[Route("/", ask)])
    web.add_error_handlers(app)
    async with AsyncLLM(**options) as llm:
        visitor = await Visitor(headers={"X-Request-Timeout": "50ms"}).visit(app)
        assert visitor.status == 504
        await simulator.seen.wait_async(lambda seen: seen.connections_open == 0)


def test_requests_are_answered_while_a_stream_waits(options: Options, simulator: Simulator) -> None:
    """A silent stream keeps nothing else from being answered."""
    simulator.faults(Fault("stall", after_chunks=1, times=1))
    with served(chat_app(AsyncLLM(**options), "text")) as url, httpx.Client(trust_env=False) as client:
        address = f"{url}/v1/chat/completions"
        with client.stream("GET", address) as silent:
            assert silent.status_code == 200
            assert client.get(address).text.startswith("Simulated answer")
