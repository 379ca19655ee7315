"""Whole answers of Anthropic's read as litellm reads them, but for the differences listed here; and by themselves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from asyncllm.completions.chunk_assembly import ChunkAssembly
from asyncllm.completions.usage import Usage
from asyncllm.errors import (
    AuthenticationError,
    MalformedResponseError,
    ProviderError,
    RateLimitError,
    ServerError,
)
from asyncllm.transports.litellm.importing import import_litellm
from asyncllm.transports.wire.formats.anthropic.answers import read_answer
from asyncllm.transports.wire.formats.anthropic.events import AnthropicEvents

from .anthropic_answers import ANSWERS, CALL, CITED, JSON_ANSWERS, TEXT, THINKING, events_of, message, sse, usage
from .anthropic_litellm import by_litellm

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
JSON_PARAMS = {"response_format": {"type": "json_schema", "json_schema": {"name": "c", "schema": SCHEMA}}}
# A model without native structured output, so that a tool stands for the format.
OLDER = "claude-3-haiku-20240307"

# What differs by the name of the answer, and why.
DIFFERENCES: Mapping[str, Mapping[str, str]] = {
    # Without a count of the provider's, litellm counts the tokens of the thoughts itself.
    **{
        name: {"reasoning_tokens": "the provider does not say, and what it shows is a summary of what it thought"}
        for name in ("thinking", "thinking_call", "redacted", "hidden")
    },
}
STREAM_DIFFERENCES: Mapping[str, Mapping[str, str]] = {
    **DIFFERENCES,
    "redacted": {
        **DIFFERENCES["redacted"],
        "reasoning": "there was thinking, and nothing of it is shown, as in a whole answer",
    },
    "tier": {"tier": "litellm loses it when it puts chunks together"},
}


def facts(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return what callers read of an answer."""
    choice = answer["choices"][0]
    said = choice["message"]
    calls = said.get("tool_calls") or ()
    fields = said.get("provider_specific_fields") or {}
    used = answer.get("usage") or {}
    details = used.get("prompt_tokens_details") or {}
    return {
        "content": said.get("content") or "",
        "reasoning": said.get("reasoning_content"),
        "thinking": said.get("thinking_blocks") or None,
        "calls": [(call["id"], call["function"]["name"], call["function"]["arguments"]) for call in calls],
        "finish_reason": choice["finish_reason"],
        "citations": fields.get("citations"),
        "searches": fields.get("web_search_results"),
        "results": fields.get("tool_results"),
        "container": fields.get("container"),
        "tokens": [used.get(f"{name}_tokens") for name in ("prompt", "completion", "total")],
        "cache": [used.get(f"cache_{name}_input_tokens") for name in ("creation", "read")],
        "cached": [details.get(name) for name in ("cached_tokens", "cache_creation_tokens", "text_tokens")],
        "kinds": details.get("cache_creation_token_details"),
        "reasoning_tokens": (used.get("completion_tokens_details") or {}).get("reasoning_tokens"),
        "tier": used.get("service_tier"),
        "geo": used.get("inference_geo"),
        "searched": (used.get("server_tool_use") or {}).get("web_search_requests"),
    }


def differing(theirs: Mapping[str, Any], ours: Mapping[str, Any], known: Mapping[str, str]) -> dict[str, Any]:
    """Return where two answers differ without a reason."""
    one, other = facts(theirs), facts(ours)
    return {name: (one[name], other[name]) for name in one if one[name] != other[name] and name not in known}


def streamed(events: Sequence[Mapping[str, Any]], *, answers_by_tool: bool = False) -> dict[str, Any]:
    """Read events, and put the chunks together."""
    reader, assembly = AnthropicEvents(answers_by_tool=answers_by_tool), ChunkAssembly()
    for event in events:
        for chunk in reader.feed(json.dumps(event).encode()):
            assembly.add(chunk)
    assert reader.has_ended
    assert reader.is_whole
    return assembly.result()


@pytest.mark.usefixtures("litellm_imported")
@pytest.mark.parametrize("name", ANSWERS)
def test_answers_are_read_as_litellm_reads_them(name: str) -> None:
    """Text, thinking, calls, reason and usage are the same, and so is litellm's response made of them."""
    answer = ANSWERS[name]
    theirs = by_litellm("claude-sonnet-4-5", [{"role": "user", "content": "Hi"}], {}, answer=answer).result
    ours = read_answer(json.dumps(answer).encode())
    known = DIFFERENCES.get(name, {})
    assert differing(theirs.model_dump(), ours, known) == {}
    assert differing(import_litellm().ModelResponse(**ours).model_dump(), ours, known) == {}


@pytest.mark.usefixtures("litellm_imported")
@pytest.mark.parametrize("name", JSON_ANSWERS)
def test_the_tool_for_a_format_is_read_as_litellm_reads_it(name: str) -> None:
    """Its arguments are the content, and the answer ends by itself."""
    answer = JSON_ANSWERS[name]
    theirs = by_litellm(OLDER, [{"role": "user", "content": "Hi"}], JSON_PARAMS, answer=answer).result
    ours = read_answer(json.dumps(answer).encode(), answers_by_tool=True)
    assert differing(theirs.model_dump(), ours, {}) == {}


@pytest.mark.usefixtures("litellm_imported")
@pytest.mark.parametrize("name", ANSWERS)
def test_streams_are_read_as_litellm_reads_them(name: str) -> None:
    """What litellm's chunks make, the chunks of the format make."""
    if name in ("search", "pause", "code", "cited"):
        pytest.skip("litellm's chunks of server tools and citations cannot be put together; see the next test")
    answer = ANSWERS[name]
    events = list(events_of(answer))
    asked = [{"role": "user", "content": "Hi"}]
    chunks = by_litellm("claude-sonnet-4-5", asked, {}, answer=sse(events), stream=True).result
    theirs: Any = import_litellm()
    built = theirs.stream_chunk_builder(chunks).model_dump()
    assert differing(built, streamed(events), STREAM_DIFFERENCES.get(name, {})) == {}


@pytest.mark.parametrize("name", ANSWERS)
def test_streams_make_the_same_answers(name: str) -> None:
    """The chunks of a stream make what the whole answer is, thinking blocks with signatures included."""
    whole = facts(read_answer(json.dumps(ANSWERS[name]).encode()))
    for pieces in (1, 4, 50):
        assert facts(streamed(list(events_of(ANSWERS[name], pieces=pieces)))) == whole


@pytest.mark.parametrize("name", JSON_ANSWERS)
def test_streams_of_a_format_make_the_same_answers(name: str) -> None:
    """The arguments of the tool that stands for a format are the text of a stream; what came before them stays."""
    whole = facts(read_answer(json.dumps(JSON_ANSWERS[name]).encode(), answers_by_tool=True))
    ours = facts(streamed(list(events_of(JSON_ANSWERS[name])), answers_by_tool=True))
    if name == "json_after_text":
        whole["content"] = TEXT["text"] + whole["content"]
    assert ours == whole


def read(answer: Mapping[str, Any]) -> dict[str, Any]:
    return read_answer(json.dumps(answer).encode())


def choice(answer: Mapping[str, Any]) -> Any:
    return answer["choices"][0]


def test_an_answer_keeps_the_providers_names() -> None:
    """Id and model are the provider's; litellm makes up an id."""
    answer = read(message(TEXT))
    assert (answer["id"], answer["model"]) == ("msg_01", "claude-sonnet-4-5-20250929")
    assert answer["object"] == "chat.completion"
    assert choice(answer)["message"] == {"role": "assistant", "content": "Paris is the capital."}


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("something_new", "stop"),
        (None, "stop"),
    ],
)
def test_why_a_model_stopped(reason: str | None, expected: str) -> None:
    """A full context window cuts an answer as a limit does; what is not known is an ordinary end."""
    assert choice(read(message(TEXT, reason=reason)))["finish_reason"] == expected
    events = list(events_of(message(TEXT, reason=reason)))
    assert streamed(events)["choices"][0]["finish_reason"] == expected


def test_the_arguments_for_a_format_are_given_whole() -> None:
    """An object with a field named `values` stays an object; litellm takes the field for the answer."""
    call = {"type": "tool_use", "id": "toolu_1", "name": "json_tool_call", "input": {"values": [1], "total": 1}}
    answer = read_answer(json.dumps(message(call, reason="tool_use")).encode(), answers_by_tool=True)
    assert json.loads(choice(answer)["message"]["content"]) == {"values": [1], "total": 1}
    assert choice(answer)["finish_reason"] == "stop"


def test_thinking_stays_beside_the_arguments_for_a_format() -> None:
    """litellm loses it."""
    call = {"type": "tool_use", "id": "toolu_1", "name": "json_tool_call", "input": {}}
    answer = read_answer(json.dumps(message(THINKING, call, reason="tool_use")).encode(), answers_by_tool=True)
    assert choice(answer)["message"]["thinking_blocks"] == [THINKING]


def test_a_tool_of_that_name_is_the_callers_where_no_format_was_asked_for() -> None:
    """Nothing is read into a tool's name."""
    call = {"type": "tool_use", "id": "toolu_1", "name": "json_tool_call", "input": {"a": 1}}
    (made,) = choice(read(message(call, reason="tool_use")))["message"]["tool_calls"]
    assert made["function"] == {"name": "json_tool_call", "arguments": '{"a": 1}'}


def test_citations_carry_the_text_that_they_support() -> None:
    """They stand by block, as litellm has them."""
    fields = choice(read(message(TEXT, CITED)))["message"]["provider_specific_fields"]
    (citation,) = CITED["citations"]
    assert fields["citations"] == [[{**citation, "supported_text": "Paris."}]]


def test_cached_tokens_are_parts_of_the_prompt() -> None:
    """Anthropic counts them beside the others."""
    written = {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200}
    answer = read(
        message(
            TEXT,
            **usage(cache_creation_input_tokens=300, cache_read_input_tokens=1000, cache_creation=written),
        )
    )
    found = Usage.from_dict(answer["usage"])
    assert (found.input_tokens, found.output_tokens) == (1320, 8)
    assert (found.cached_tokens, found.cache_write_tokens, found.cache_write_1h_tokens) == (1000, 300, 200)
    assert found.reasoning_tokens == 0


def test_an_answer_without_a_usage_has_an_unknown_one() -> None:
    """Nothing is made up."""
    answer = message(TEXT)
    del answer["usage"]
    assert "usage" not in read(answer)
    assert Usage.from_dict(read(answer).get("usage")).input_tokens is None


@pytest.mark.parametrize(
    ("kind", "status", "expected"),
    [
        ("overloaded_error", 529, ServerError),
        ("api_error", 500, ServerError),
        ("rate_limit_error", 429, RateLimitError),
        ("authentication_error", 401, AuthenticationError),
    ],
)
def test_an_error_with_the_status_of_an_answer(kind: str, status: int, expected: type[ProviderError]) -> None:
    """Its type says which status it should have had; the key does not get into it."""
    error = {"type": "error", "error": {"type": kind, "message": "Not now, sk-secret-key."}, "request_id": "req_1"}
    with pytest.raises(expected) as caught:
        read_answer(json.dumps(error).encode(), ("sk-secret-key",))
    assert caught.value.status_code == status
    assert "sk-secret-key" not in str(caught.value)
    assert "Not now" in str(caught.value)


def test_an_error_of_an_unknown_type() -> None:
    """It is an answer that is none."""
    with pytest.raises(MalformedResponseError, match="sent an error: Hm"):
        read({"type": "error", "error": {"type": "odd_error", "message": "Hm."}})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b'{"content": null}',
        b'{"content": {}}',
        b'{"content": ["text"]}',
        b'{"content": [{"type": "text"}]}',
        b'{"content": [{"type": "text", "text": 3}]}',
        b'{"content": [{"type": "tool_use", "id": 1, "name": "f", "input": {}}, {"type": "text", "text": ""}]}',
        b'{"content": [], "usage": 3}',
        b'{"content": [], "stop_reason": {}}',
        b'{"content": [{"type": "thinking", "thinking": {}}, {"type": "text", "text": ""}]}',
        b'{"content": [], "x": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"content": [], "x": "\\ud800", "y": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
)
def test_what_is_no_answer(body: bytes) -> None:
    """It is a MalformedResponseError, which shows how it begins."""
    with pytest.raises(MalformedResponseError, match="sent no answer") as caught:
        read_answer(body)
    assert caught.value.status_code == 200


def test_a_lone_surrogate_is_read() -> None:
    """JSON can say it, and models have written it."""
    answer = read_answer(json.dumps(message({"type": "text", "text": "a\ud800"})).encode())
    assert choice(answer)["message"]["content"] == "a\ud800"


def test_calls_are_in_the_form_of_chat_completions() -> None:
    """With arguments as a JSON text."""
    (call,) = choice(read(message(CALL, reason="tool_use")))["message"]["tool_calls"]
    assert call["id"] == "toolu_1"
    assert json.loads(call["function"]["arguments"]) == CALL["input"]


def test_a_refusal_says_why_where_the_provider_does() -> None:
    """The explanation is the message's refusal, whole and streamed."""
    details = {"type": "refusal", "category": "bio", "explanation": "It could do harm."}
    answer = message(reason="refusal", stop_details=details)
    for made in (read(answer), streamed(list(events_of(answer)))):
        assert choice(made)["message"]["refusal"] == "It could do harm."
        assert choice(made)["finish_reason"] == "content_filter"
