"""The simulator in the Anthropic and Ollama formats, and the requests that each format refuses."""

from __future__ import annotations

import json

import pytest

from asyncllm.simulator import Simulator

from .http import ANTHROPIC, QUESTION, chat, messages, ollama, post, request

SCHEMA = {"type": "object", "properties": {"email": {"type": "string"}}, "required": ["email"]}
TOOL = {"name": "save_contact", "description": "Save a contact", "input_schema": SCHEMA}


def test_anthropic_answer_is_a_message(simulator: Simulator) -> None:
    """An answer is a message with one text block, a stop reason and usage."""
    answer = messages(simulator).json
    assert answer["content"][0]["text"].startswith("Simulated answer to:")
    assert answer["stop_reason"] == "end_turn"
    assert answer["usage"]["output_tokens"] > 0


def test_anthropic_stream_has_every_event_in_order(simulator: Simulator) -> None:
    """A stream opens and closes the message and each block, pings once, and adds up to the plain text."""
    events = messages(simulator, stream=True).events
    kinds = [event["type"] for event in events]
    assert kinds[:3] == ["message_start", "content_block_start", "ping"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    text = "".join(event["delta"]["text"] for event in events if event["type"] == "content_block_delta")
    assert text == messages(simulator).json["content"][0]["text"]


def test_anthropic_tool_is_called(simulator: Simulator) -> None:
    """A forced tool gives a tool_use block, whose streamed input adds up to the plain one."""
    params = {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "save_contact"}}
    answer = messages(simulator, "Save x@example.org", **params).json
    (block,) = answer["content"]
    assert (answer["stop_reason"], block["type"], block["input"]) == (
        "tool_use",
        "tool_use",
        {"email": "x@example.org"},
    )
    events = messages(simulator, "Save x@example.org", stream=True, **params).events
    pieces = [event["delta"]["partial_json"] for event in events if event["type"] == "content_block_delta"]
    assert json.loads("".join(pieces)) == block["input"]


def test_anthropic_cache_is_written_then_read(simulator: Simulator) -> None:
    """A marked system prompt is written to the cache by the first request and read by the second."""
    system = [{"type": "text", "text": "y" * 400, "cache_control": {"type": "ephemeral"}}]
    first, second = (messages(simulator, system=system).json["usage"] for _ in range(2))
    assert (first["cache_creation_input_tokens"], first["cache_read_input_tokens"]) == (100, 0)
    assert (second["cache_creation_input_tokens"], second["cache_read_input_tokens"]) == (0, 100)


def test_anthropic_limit_and_stop_sequence_are_reasons(simulator: Simulator) -> None:
    """The stop reason is `max_tokens` or `stop_sequence`."""
    assert messages(simulator, max_tokens=2).json["stop_reason"] == "max_tokens"
    stopped = messages(simulator, stop_sequences=["answer"]).json
    assert (stopped["stop_reason"], stopped["stop_sequence"]) == ("stop_sequence", "answer")


def test_anthropic_thinking_comes_first(simulator: Simulator) -> None:
    """With thinking enabled the first block is the thinking."""
    answer = messages(simulator, thinking={"type": "enabled", "budget_tokens": 1024}, max_tokens=2000).json
    assert [block["type"] for block in answer["content"]] == ["thinking", "text"]


def test_anthropic_version_is_required(simulator: Simulator) -> None:
    """Without the header anthropic-version the request is refused."""
    answer = post(simulator, "/v1/messages", {"model": "sim", "max_tokens": 5, "messages": QUESTION})
    assert answer.status == 400
    assert "anthropic-version" in answer.json["error"]["message"]


def test_anthropic_needs_max_tokens(simulator: Simulator) -> None:
    """A request without max_tokens is refused."""
    answer = post(simulator, "/v1/messages", {"model": "sim", "messages": QUESTION}, **ANTHROPIC)
    assert answer.status == 400
    assert "max_tokens" in answer.json["error"]["message"]


def test_ollama_streams_lines_by_default(simulator: Simulator) -> None:
    """Without `stream: false` the answer comes as lines, the last of them with the counts."""
    lines = ollama(simulator).lines
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
    plain = ollama(simulator, stream=False).json
    assert "".join(line["message"]["content"] for line in lines) == plain["message"]["content"]
    assert lines[-1]["eval_count"] == plain["eval_count"]


def test_ollama_follows_a_schema(simulator: Simulator) -> None:
    """`format` takes a schema, and the answer is valid for it."""
    answer = ollama(simulator, "Mail me: z@example.org", stream=False, format=SCHEMA).json
    assert json.loads(answer["message"]["content"]) == {"email": "z@example.org"}


def test_ollama_calls_tools_with_decoded_arguments(simulator: Simulator) -> None:
    """Tool calls carry their arguments as an object."""
    tool = {"type": "function", "function": {"name": "save_contact", "parameters": SCHEMA}}
    answer = ollama(simulator, "Save the contact q@example.org", stream=False, tools=[tool]).json
    assert answer["message"]["tool_calls"] == [
        {"function": {"name": "save_contact", "arguments": {"email": "q@example.org"}}}
    ]


def test_ollama_honours_num_predict(simulator: Simulator) -> None:
    """num_predict is the token limit of Ollama."""
    answer = ollama(simulator, stream=False, options={"num_predict": 4}).json
    assert (answer["eval_count"], answer["done_reason"]) == (4, "length")


def test_ollama_lists_and_shows_models(simulator: Simulator) -> None:
    """/api/tags and /api/show answer; a model that does not exist is a 404."""
    name = request(simulator, "GET", "/api/tags").json["models"][0]["name"]
    assert "simulator" in name
    assert post(simulator, "/api/show", {"model": name}).json["capabilities"]
    assert post(simulator, "/api/show", {"model": "no-such-model"}).status == 404


def test_unknown_paths_are_refused_in_the_format_of_the_client(simulator: Simulator) -> None:
    """A wrong path is a 404 in the format of the client."""
    assert request(simulator, "POST", "/v1/nope").json["error"]["type"] == "invalid_request_error"
    assert request(simulator, "POST", "/v1/nope", headers=ANTHROPIC).json["error"]["type"] == "not_found_error"
    assert isinstance(request(simulator, "POST", "/api/nope").json["error"], str)
    assert request(simulator, "POST", "/v1/nope").status == 404


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", "/v1/chat/completions", "POST"), ("DELETE", "/v1/messages", "POST"), ("POST", "/v1/models", "GET")],
)
def test_wrong_methods_are_refused(simulator: Simulator, method: str, path: str, allowed: str) -> None:
    """A wrong method is a 405 that names the allowed one."""
    answer = request(simulator, method, path)
    assert (answer.status, answer.headers["allow"]) == (405, allowed)


@pytest.mark.parametrize("header", ["Authorization", "x-api-key", "api-key"])
def test_only_accepted_keys_are_served(header: str) -> None:
    """With `keys`, only these are accepted, in the header of any provider."""
    with Simulator(keys={"right"}) as sim:
        statuses = []
        for key in ("right", "wrong"):
            value = f"Bearer {key}" if header == "Authorization" else key
            body = json.dumps({"model": "sim", "messages": QUESTION}).encode()
            statuses.append(request(sim, "POST", "/v1/chat/completions", body, {header: value}).status)
        assert statuses == [200, 401]
        assert sim.seen.keys == {"right", "wrong"}


def test_missing_keys_are_refused_in_every_format() -> None:
    """With `keys`, a request without any is a 401 in each provider's words, lists of models included."""
    with Simulator(keys=["right"]) as sim:
        answers = [chat(sim), messages(sim), ollama(sim), request(sim, "GET", "/v1/models")]
    assert [answer.status for answer in answers] == [401] * 4
    assert answers[0].json["error"]["code"] == "invalid_api_key"
    assert answers[1].json["error"]["type"] == "authentication_error"
