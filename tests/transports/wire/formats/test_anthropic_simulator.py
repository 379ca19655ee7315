"""The format against the simulator over HTTP: what it asks is understood, and what comes back is read."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import pytest

from asyncllm.completions.chunk_assembly import ChunkAssembly
from asyncllm.completions.usage import Usage
from asyncllm.errors import QuotaExceededError, RateLimitError, ServerError
from asyncllm.simulator import Fault, Simulator
from asyncllm.transports.base import Connection
from asyncllm.transports.errors import failure
from asyncllm.transports.wire.formats.anthropic import AnthropicFormat, AnthropicRequest, open_format
from asyncllm.transports.wire.sse import SSEParser

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "c",
        "schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
ASK = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is the capital of France?"})


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator() as running:
        yield running


def format_of(simulator: Simulator, model: str) -> AnthropicFormat:
    made = open_format(Connection("anthropic", "sk-test-key", {"base_url": simulator.root_url}), model)
    assert isinstance(made, AnthropicFormat)
    return made


def post(fmt: AnthropicFormat, request: AnthropicRequest) -> tuple[int, dict[str, str], bytes]:
    address = urlsplit(fmt.url)
    connection = http.client.HTTPConnection(address.netloc, timeout=10)
    try:
        headers = {"Content-Type": "application/json", **request.headers}
        connection.request("POST", address.path, request.encode(), headers)
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        connection.close()


def ask(
    simulator: Simulator,
    params: Mapping[str, Any],
    *,
    model: str = "claude-sonnet-4-5",
    messages: Sequence[Mapping[str, Any]] = ASK,
    stream: bool = False,
) -> Any:
    """Send a request and return its answer in the chat-completions form."""
    simulator.reset()
    fmt = format_of(simulator, model)
    request = fmt.request(messages, params, stream=stream)
    assert isinstance(request, AnthropicRequest)
    status, _, body = post(fmt, request)
    assert status == 200, body
    if not stream:
        return request.read_answer(body)
    reader, assembly, parser = request.open_reader(), ChunkAssembly(), SSEParser(1 << 20)
    for data in (*parser.feed(body), *parser.end()):
        for chunk in reader.feed(data) if data else ():
            assembly.add(chunk)
    assert reader.has_ended
    return assembly.result()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "claude-opus-5-5", "claude-3-haiku-20240307"])
def test_a_text(simulator: Simulator, model: str, stream: bool) -> None:
    """With the usage of the provider."""
    answer = ask(simulator, {"max_tokens": 5000}, model=model, stream=stream)
    assert answer["choices"][0]["message"]["content"]
    assert answer["choices"][0]["finish_reason"] == "stop"
    usage = Usage.from_dict(answer["usage"])
    assert usage.basis == "known"
    assert usage.total_tokens


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_and_its_result(simulator: Simulator, stream: bool) -> None:
    """The calls of an answer go back with their results."""
    params = {"tools": [TOOL], "tool_choice": "required"}
    answer = ask(simulator, params, stream=stream)
    said = answer["choices"][0]["message"]
    (call,) = said["tool_calls"]
    assert call["function"]["name"] == "get_weather"
    assert "city" in json.loads(call["function"]["arguments"])
    result = {"role": "tool", "tool_call_id": call["id"], "content": "Rain."}
    again = ask(simulator, {"tools": [TOOL]}, messages=[*ASK, said, result], stream=stream)
    assert again["choices"][0]["message"]["content"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "claude-3-haiku-20240307"])
def test_an_object_of_a_schema(simulator: Simulator, model: str, stream: bool) -> None:
    """Natively, or by the tool that stands for it: either way it is the text."""
    answer = ask(simulator, {"response_format": SCHEMA}, model=model, stream=stream)
    assert "city" in json.loads(answer["choices"][0]["message"]["content"])
    assert answer["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "claude-opus-4-8"])
def test_thinking_goes_round(simulator: Simulator, model: str, stream: bool) -> None:
    """Its blocks come with signatures, and go back."""
    params = {"reasoning_effort": "low", "extra_body": {"simulator": {"reasoning": "Let me see.", "text": "Paris."}}}
    said = ask(simulator, params, model=model, stream=stream)["choices"][0]["message"]
    assert said["reasoning_content"] == "Let me see."
    assert said["thinking_blocks"] == [{"type": "thinking", "thinking": "Let me see.", "signature": "simulated"}]
    ask(simulator, {}, model=model, messages=[*ASK, said, {"role": "user", "content": "And of Spain?"}])
    sent = json.loads(simulator.seen.exchanges[-1].body)
    assert sent["messages"][1]["content"][0] == said["thinking_blocks"][0]


def test_what_is_cached_is_counted(simulator: Simulator) -> None:
    """As a part of the prompt, written once and read then."""
    marked = {"role": "system", "content": "Be brief. " * 500, "cache_control": {"type": "ephemeral"}}
    messages: list[dict[str, Any]] = [marked, ASK[1]]
    first = Usage.from_dict(ask(simulator, {}, messages=messages)["usage"])
    assert first.cache_write_tokens or first.cached_tokens
    assert first.input_tokens is not None
    assert first.input_tokens > (first.cache_write_tokens or 0) + (first.cached_tokens or 0)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault("status", code=529), ServerError),
        (Fault("status", code=429), RateLimitError),
        (Fault("status", code=400, reason="quota"), QuotaExceededError),
    ],
)
def test_errors(simulator: Simulator, fault: Fault, expected: type[Exception]) -> None:
    """They are of the classes of any provider's."""
    simulator.reset()
    simulator.faults(fault)
    fmt = format_of(simulator, "claude-sonnet-4-5")
    request = fmt.request(ASK, {})
    assert isinstance(request, AnthropicRequest)
    status, headers, body = post(fmt, request)
    assert isinstance(failure(status, body, headers), expected)
