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
from asyncllm.errors import (
    AuthenticationError,
    ContextWindowExceededError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
)
from asyncllm.simulator import Fault, Simulator
from asyncllm.simulator.formats.gemini import SIGNATURE
from asyncllm.transports.base import Connection
from asyncllm.transports.errors import failure
from asyncllm.transports.wire.formats.gemini import GeminiFormat, GeminiRequest, open_format
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


def format_of(simulator: Simulator, model: str) -> GeminiFormat:
    made = open_format(Connection("gemini", "sk-test-key", {"base_url": simulator.root_url}), model)
    assert isinstance(made, GeminiFormat)
    return made


def post(request: GeminiRequest) -> tuple[int, dict[str, str], bytes]:
    address = urlsplit(request.url)
    connection = http.client.HTTPConnection(address.netloc, timeout=10)
    try:
        headers = {"Content-Type": "application/json", **request.headers}
        connection.request("POST", f"{address.path}?{address.query}", request.encode(), headers)
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        connection.close()


def ask(
    simulator: Simulator,
    params: Mapping[str, Any],
    *,
    model: str = "gemini-2.5-flash",
    messages: Sequence[Mapping[str, Any]] = ASK,
    stream: bool = False,
) -> Any:
    """Send a request and return its answer in the chat-completions form."""
    simulator.reset()
    fmt = format_of(simulator, model)
    request = fmt.request(messages, params, stream=stream)
    assert isinstance(request, GeminiRequest)
    status, _, body = post(request)
    assert status == 200, body
    if not stream:
        return request.read_answer(body)
    reader, assembly, parser = request.open_reader(), ChunkAssembly(), SSEParser(1 << 20)
    for data in (*parser.feed(body), *parser.end()):
        for chunk in reader.feed(data) if data else ():
            assembly.add(chunk)
    assert reader.is_whole
    return assembly.result()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["gemini-2.5-flash", "gemini-3-flash-preview", "gemini-flash-latest"])
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
@pytest.mark.parametrize("model", ["gemini-2.5-flash", "gemini-flash-latest"])
def test_an_object_of_a_schema(simulator: Simulator, model: str, stream: bool) -> None:
    """As JSON Schema, or in the API's subset."""
    answer = ask(simulator, {"response_format": SCHEMA}, model=model, stream=stream)
    assert "city" in json.loads(answer["choices"][0]["message"]["content"])
    assert answer["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("stream", [False, True])
def test_a_schema_that_the_subset_cannot_say(simulator: Simulator, stream: bool) -> None:
    """A function's parameters are JSON Schema then."""
    tree = {"type": "object", "properties": {"name": {"type": "string"}, "of": {"$ref": "#/$defs/T"}}}
    schema = {
        "$defs": {"T": {**tree, "required": ["name"]}},
        "type": "object",
        "properties": {"t": {"$ref": "#/$defs/T"}},
    }
    tool = {"type": "function", "function": {"name": "plant", "parameters": {**schema, "required": ["t"]}}}
    answer = ask(simulator, {"tools": [tool], "tool_choice": "required"}, stream=stream)
    (call,) = answer["choices"][0]["message"]["tool_calls"]
    assert "name" in json.loads(call["function"]["arguments"])["t"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["gemini-2.5-flash", "gemini-3-flash-preview"])
def test_signatures_go_round(simulator: Simulator, model: str, stream: bool) -> None:
    """That of the thoughts before a call comes back with the call, through a message of chat completions alone."""
    params = {"reasoning_effort": "low", "tools": [TOOL], "tool_choice": "required"}
    said = ask(simulator, params, model=model, stream=stream)["choices"][0]["message"]
    assert said["reasoning_content"]
    (call,) = said["tool_calls"]
    kept = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{name: call[name] for name in ("id", "type", "function")}],
    }
    result = {"role": "tool", "tool_call_id": call["id"], "content": "Rain."}
    ask(simulator, {"tools": [TOOL]}, model=model, messages=[*ASK, kept, result], stream=stream)
    sent = json.loads(simulator.seen.exchanges[-1].body)["contents"]
    assert sent[1]["parts"][0]["thoughtSignature"] == SIGNATURE
    assert "__thought__" not in json.dumps(sent)


def test_several_candidates(simulator: Simulator) -> None:
    """Each has its number, in a stream as well."""
    for stream in (False, True):
        answer = ask(simulator, {"n": 2}, stream=stream)
        assert [choice["index"] for choice in answer["choices"]] == [0, 1]
        assert all(choice["message"]["content"] for choice in answer["choices"])


def test_a_refusal(simulator: Simulator) -> None:
    """It ends with the reason of a filter, and has no text."""
    for stream in (False, True):
        answer = ask(simulator, {"extra_body": {"simulator": {"refusal": "No."}}}, stream=stream)
        assert answer["choices"][0]["finish_reason"] == "content_filter"


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault("status", code=503), ServerError),
        (Fault("status", code=429), RateLimitError),
        (Fault("status", reason="quota"), QuotaExceededError),
        (Fault("status", reason="context_window"), ContextWindowExceededError),
    ],
)
def test_errors(simulator: Simulator, fault: Fault, expected: type[Exception]) -> None:
    """They are of the classes of any provider's."""
    simulator.reset()
    simulator.faults(fault)
    request = format_of(simulator, "gemini-2.5-flash").request(ASK, {})
    assert isinstance(request, GeminiRequest)
    status, headers, body = post(request)
    assert isinstance(failure(status, body, headers), expected)


def test_the_wait_of_a_limit(simulator: Simulator) -> None:
    """It stands in the details of the error."""
    simulator.reset()
    simulator.faults(Fault("status", code=429))
    request = format_of(simulator, "gemini-2.5-flash").request(ASK, {})
    assert isinstance(request, GeminiRequest)
    status, headers, body = post(request)
    assert failure(status, body, headers).retry_after == 0.005


def test_a_wrong_key() -> None:
    """It is refused with 400, and is an AuthenticationError all the same."""
    with Simulator(keys=["another"]) as simulator:
        request = format_of(simulator, "gemini-2.5-flash").request(ASK, {})
        assert isinstance(request, GeminiRequest)
        status, headers, body = post(request)
    assert status == 400
    assert isinstance(failure(status, body, headers), AuthenticationError)
