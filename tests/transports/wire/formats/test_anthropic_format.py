"""Where Anthropic's requests go, with which headers, what is left to litellm, and what its rate-limit headers say."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from asyncllm.limits.adaptive.rate_limit_headers import duration_s
from asyncllm.parameters import FixedParams
from asyncllm.transports.base import Connection
from asyncllm.transports.wire.formats.anthropic import AnthropicFormat, AnthropicRequest, open_format
from asyncllm.transports.wire.formats.anthropic.limit_headers import limit_headers
from asyncllm.transports.wire.formats.format import FormatRequest, Unserved, WireFormat

KEY = "sk-ant-api-key"
ASK = ({"role": "user", "content": "Hi"},)
SCHEMA = {"type": "json_schema", "json_schema": {"name": "c", "schema": {"type": "object", "properties": {}}}}
TOOL = {"type": "function", "function": {"name": "f"}}


def format_of(model: str = "claude-sonnet-4-5", key: str | None = KEY, **options: Any) -> AnthropicFormat:
    made = open_format(Connection("anthropic", key, options), model)
    assert isinstance(made, AnthropicFormat)
    return made


def served(fmt: WireFormat, params: dict[str, Any] | None = None, messages: Any = ASK, **kwargs: Any) -> FormatRequest:
    made = fmt.request(messages, params or {}, **kwargs)
    assert isinstance(made, AnthropicRequest), made
    return made


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        (None, "https://api.anthropic.com/v1/messages"),
        ("https://host.test", "https://host.test/v1/messages"),
        ("https://host.test/", "https://host.test/v1/messages"),
        ("https://host.test/v1", "https://host.test/v1/messages"),
        ("https://host.test/v1/", "https://host.test/v1/messages"),
        ("https://host.test/anthropic", "https://host.test/anthropic/v1/messages"),
        ("https://host.test/v1/messages", "https://host.test/v1/messages"),
    ],
)
def test_the_address(base_url: str | None, url: str) -> None:
    """A base URL may have the version, or the whole path."""
    assert format_of(**({"base_url": base_url} if base_url else {})).url == url


def test_the_headers_of_a_plain_request() -> None:
    """They are one object for all requests, so that what is made of them can be kept."""
    fmt = format_of(extra_headers={"X-Team": "blue"})
    assert fmt.headers == {"anthropic-version": "2023-06-01", "x-api-key": KEY, "X-Team": "blue"}
    assert served(fmt).headers is fmt.headers


def test_a_login_travels_as_a_bearer() -> None:
    """Tokens of a login are no keys."""
    fmt = format_of(key="sk-ant-oat01-token")
    headers = served(fmt, {"response_format": SCHEMA}).headers
    assert headers["Authorization"] == "Bearer sk-ant-oat01-token"
    assert "x-api-key" not in headers
    assert headers["anthropic-beta"] == "oauth-2025-04-20,structured-outputs-2025-11-13"


def test_headers_of_the_caller_come_last() -> None:
    """Whatever the case of their names; those of a call over those of its profile."""
    fmt = format_of(extra_headers={"X-Team": "blue", "X-Api-Key": "another"})
    assert fmt.headers["X-Api-Key"] == "another"
    assert "x-api-key" not in fmt.headers
    headers = served(fmt, {"extra_headers": {"x-team": "red"}}).headers
    assert {name.lower(): value for name, value in headers.items()}["x-team"] == "red"
    assert len(headers) == 3


def test_betas_are_united() -> None:
    """What a request needs stands beside what its caller asks for; the same betas have one set of headers."""
    fmt = format_of()
    params = {"response_format": SCHEMA, "extra_headers": {"Anthropic-Beta": "context-1m-2025-08-07, new-beta"}}
    headers = {name.lower(): value for name, value in served(fmt, params).headers.items()}
    assert headers["anthropic-beta"] == "context-1m-2025-08-07,new-beta,structured-outputs-2025-11-13"
    once, again = (served(fmt, {"response_format": SCHEMA}).headers for _ in range(2))
    assert once is again
    file = {"type": "file", "file": {"file_id": "file_1"}}
    request = served(fmt, messages=[{"role": "user", "content": [file]}])
    assert request.headers["anthropic-beta"] == "files-api-2025-04-14"


@pytest.mark.parametrize(
    ("key", "options"),
    [
        (None, {}),
        (KEY, {"base_url": "https://host.test/v1?x=1"}),
        (KEY, {"api_version": "1"}),
    ],
)
def test_what_is_left_to_litellm_at_all(key: str | None, options: dict[str, Any]) -> None:
    """A login of another kind, and addresses that are no base."""
    assert isinstance(open_format(Connection("anthropic", key, options), "claude-sonnet-4-5"), Unserved)


@pytest.mark.parametrize(
    ("params", "messages", "reason"),
    [
        ({"web_search_options": {}}, ASK, "web_search_options is mapped by litellm"),
        ({"context_management": {"edits": []}}, ASK, "context_management is mapped"),
        ({"zz_new": 1}, ASK, "zz_new is not a known parameter"),
        ({"response_format": dict}, ASK, "schema of a class given"),
        ({"response_format": {"json_schema": {"name": "c"}}}, ASK, "no schema"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, ASK, "tools of type"),
        ({"tools": [{**TOOL, "defer_loading": True}]}, ASK, "betas that a tool needs"),
        ({"tools": [{"type": "function", "function": {"name": "a.b"}}]}, ASK, "renames tools"),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"definitions": {}}}}]},
            ASK,
            "older definitions",
        ),
        ({"tools": [TOOL], "tool_choice": {"type": "mystery"}}, ASK, "tool_choice has an unknown form"),
        ({"reasoning_effort": "enormous"}, ASK, "refuses the reasoning_effort"),
        ({"thinking": {"type": "enabled", "display": "updates"}}, ASK, "beta"),
        ({"thinking": "much"}, ASK, "neither an object"),
        ({"stop": 3}, ASK, "stop is neither"),
        ({}, [{"role": "function", "name": "f", "content": "1"}], "role 'function'"),
        ({}, [{"role": "tool", "content": "1"}], "names no call"),
        ({}, [{"role": "assistant", "content": "Hi", "prefix": True}], "prefix"),
        (
            {},
            [{"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": ""}}],
            "function_call",
        ),
        (
            {},
            [{"role": "assistant", "content": "x", "provider_specific_fields": {"web_search_results": [{}]}}],
            "server tools",
        ),
        ({}, [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}], "input_audio"),
        (
            {},
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://host.test/a.png"}}]}],
            "neither an https: URL nor",
        ),
        (
            {},
            [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f", "format": "text/csv"}}]}],
            "code execution",
        ),
        (
            {},
            [
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{"}}],
                }
            ],
            "no JSON",
        ),
    ],
)
def test_what_is_left_to_litellm(params: dict[str, Any], messages: Any, reason: str) -> None:
    """With the reason, which `transport = "wire"` gives."""
    made = format_of().request(messages, params)
    assert isinstance(made, Unserved)
    assert reason in made.reason


@pytest.mark.parametrize(
    ("model", "params", "dropped"),
    [
        ("claude-sonnet-4-5", {"response_format": {"type": "json_object"}}, ("response_format",)),
        ("claude-sonnet-4-5", {"seed": 1, "temperature": 0, "n": 1}, ("seed",)),
        ("claude-sonnet-4-5", {"n": 2, "logprobs": True}, ("n", "logprobs")),
        ("claude-opus-4-7", {"temperature": 0.2, "top_p": 1, "top_k": 3}, ("temperature", "top_p", "top_k")),
        ("claude-opus-4-7", {"temperature": 1}, ()),
        ("claude-3-haiku-20240307", {"reasoning_effort": "low", "thinking": {}}, ("reasoning_effort", "thinking")),
        ("claude-opus-5-5", {"tools": [TOOL], "tool_choice": "required"}, ("tool_choice",)),
        ("claude-opus-5-5", {"thinking": {"type": "disabled"}}, ("thinking",)),
        ("claude-sonnet-4-5", {"reasoning_effort": "high", "max_tokens": 1024}, ("reasoning_effort",)),
        ("claude-sonnet-4-5", {"service_tier": "flex"}, ("service_tier",)),
        ("claude-sonnet-4-5", {"metadata": {"team": "blue"}}, ("metadata",)),
        ("claude-sonnet-4-5", {"metadata": {"user_id": "u"}, "stream_options": {}}, ()),
    ],
)
def test_what_a_model_does_not_take_is_named(model: str, params: dict[str, Any], dropped: tuple[str, ...]) -> None:
    """So that it can be told, or refused."""
    request = served(format_of(model), params)
    assert request.dropped == dropped
    assert not {"seed", "n", "logprobs", "top_k"} & request.body.keys()


@pytest.mark.parametrize("params", [{}, {"max_tokens": 5, "temperature": 0.5}, {"tools": [TOOL]}])
@pytest.mark.parametrize("stream", [False, True])
def test_fixed_parameters_are_encoded_once(params: dict[str, Any], stream: bool) -> None:
    """What comes of it is the same."""
    messages = ({"role": "system", "content": "Be brief."}, *ASK)
    for fmt in (format_of(), format_of("claude-opus-5-5")):
        loose = served(fmt, params, messages, stream=stream)
        fixed = served(fmt, FixedParams(params), messages, stream=stream)
        assert json.loads(loose.encode()) == json.loads(fixed.encode()) == loose.body == fixed.body
        assert loose.body.get("stream") is (True if stream else None)


def test_extra_body_is_put_over_everything_but_the_model() -> None:
    """Over what the parameters make, and over messages and system prompt."""
    extra = {"temperature": 0.9, "system": "Other.", "model": "other", "simulator": {"text": "x"}}
    messages = ({"role": "system", "content": "Be brief."}, *ASK)
    for params in ({"temperature": 0.1, "extra_body": extra}, FixedParams(temperature=0.1, extra_body=extra)):
        body = json.loads(served(format_of(), params, messages).encode())
        assert body["model"] == "claude-sonnet-4-5"
        assert (body["temperature"], body["system"], body["simulator"]) == (0.9, "Other.", {"text": "x"})


def test_a_tool_that_stands_for_a_format_is_known_to_the_readers() -> None:
    """Whole or streamed, its arguments are the answer."""
    request = served(format_of("claude-3-haiku-20240307"), {"response_format": SCHEMA})
    call = {"type": "tool_use", "id": "t", "name": "json_tool_call", "input": {"a": 1}}
    answer = {"content": [call], "stop_reason": "tool_use"}
    data: Any = request.read_answer(json.dumps(answer).encode())
    assert data["choices"][0]["message"]["content"] == '{"a": 1}'
    reader = request.open_reader()
    events = (
        {"type": "content_block_start", "index": 0, "content_block": {**call, "input": {}}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": '{"a":1}'}},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
    )
    chunks: list[Any] = [chunk for event in events for chunk in reader.feed(json.dumps(event).encode())]
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    assert "".join(choice["delta"].get("content") or "" for choice in choices) == '{"a":1}'
    assert choices[-1]["finish_reason"] == "stop"


def test_a_request_is_made_of_its_own_parts() -> None:
    """Nothing of the caller's is changed, and nothing of one request gets into another."""
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "Hi "}]},
        {"role": "assistant", "content": "Yes ", "thinking_blocks": [{"type": "thinking", "signature": "s"}]},
    ]
    params = FixedParams(tools=[TOOL])
    before = json.dumps([messages, params])
    fmt = format_of()
    first = json.dumps(served(fmt, params, messages).body)
    served(fmt, params, [*messages, {"role": "user", "content": "Go on"}])
    assert json.dumps(served(fmt, params, messages).body) == first
    assert json.dumps([messages, params]) == before


NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def test_rate_limit_headers_have_the_usual_names() -> None:
    """Times become seconds, in the form that the usual headers have."""
    headers = {
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "49",
        "anthropic-ratelimit-requests-reset": "2026-01-01T12:00:59Z",
        "anthropic-ratelimit-input-tokens-limit": "40000",
        "anthropic-ratelimit-input-tokens-reset": "2026-01-01T11:59:00Z",
        "anthropic-ratelimit-tokens-reset": "soon",
        "anthropic-ratelimit-output-tokens-reset": "2026-01-01T12:00:00",
        "retry-after": "3",
    }
    found = limit_headers(headers, NOW)
    assert found == {
        "x-ratelimit-limit-requests": "50",
        "x-ratelimit-remaining-requests": "49",
        "x-ratelimit-reset-requests": "59.000s",
        "x-ratelimit-limit-input-tokens": "40000",
        "x-ratelimit-reset-input-tokens": "0.000s",
    }
    assert duration_s(found["x-ratelimit-reset-requests"]) == 59.0
    assert format_of().limit_headers({}) == {}
