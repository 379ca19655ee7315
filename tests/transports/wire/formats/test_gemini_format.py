"""The URLs and headers of Gemini's requests, what is left to litellm, and what a model does not take."""

from __future__ import annotations

import json
from typing import Any

import pytest

from asyncllm.parameters import FixedParams
from asyncllm.transports.base import Connection
from asyncllm.transports.wire.formats.format import Unserved, WireFormat
from asyncllm.transports.wire.formats.gemini import GeminiFormat, GeminiRequest, open_format

KEY = "AIzaSy-test-key"
ASK = ({"role": "user", "content": "Hi"},)
SCHEMA = {"type": "json_schema", "json_schema": {"name": "c", "schema": {"type": "object", "properties": {}}}}
TOOL = {"type": "function", "function": {"name": "f"}}
GOOGLE = "https://generativelanguage.googleapis.com"


def format_of(model: str = "gemini-2.5-flash", key: str | None = KEY, **options: Any) -> GeminiFormat:
    made = open_format(Connection("gemini", key, options), model)
    assert isinstance(made, GeminiFormat)
    return made


def served(fmt: WireFormat, params: Any = None, messages: Any = ASK, **kwargs: Any) -> GeminiRequest:
    made = fmt.request(messages, params or {}, **kwargs)
    assert isinstance(made, GeminiRequest), made
    return made


def media(**part: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [part]}]


def calling(**function: Any) -> list[dict[str, Any]]:
    call = {"id": "a", "type": "function", "function": {"name": "f", **function}}
    return [{"role": "assistant", "content": None, "tool_calls": [call]}]


@pytest.mark.parametrize(
    ("model", "base_url", "url"),
    [
        ("gemini-2.5-flash", None, f"{GOOGLE}/v1beta/models/gemini-2.5-flash"),
        ("gemini-3-flash-preview", None, f"{GOOGLE}/v1alpha/models/gemini-3-flash-preview"),
        ("gemini-2.5-flash", "https://host.test/v1beta", "https://host.test/v1beta/models/gemini-2.5-flash"),
        ("gemini-3-flash-preview", "https://host.test/x/", "https://host.test/x/models/gemini-3-flash-preview"),
    ],
)
def test_urls(model: str, base_url: str | None, url: str) -> None:
    """The version is a part of the base URL; the method says whether the answer is streamed."""
    fmt = format_of(model, **({"base_url": base_url} if base_url else {}))
    assert served(fmt).url == f"{url}:generateContent"
    assert served(fmt, stream=True).url == f"{url}:streamGenerateContent?alt=sse"


def test_the_headers_of_a_plain_request() -> None:
    """They are one object for all requests, so that what is made of them can be kept."""
    fmt = format_of(extra_headers={"X-Team": "blue"})
    assert fmt.headers == {"x-goog-api-key": KEY, "X-Team": "blue"}
    assert served(fmt).headers is fmt.headers


def test_headers_of_the_caller_come_last() -> None:
    """Whatever the case of their names; those of a call over those of its profile."""
    fmt = format_of(extra_headers={"X-Team": "blue", "X-Goog-Api-Key": "another"})
    headers = served(fmt, {"extra_headers": {"x-team": "red"}}).headers
    assert {name.lower(): value for name, value in headers.items()} == {"x-team": "red", "x-goog-api-key": "another"}


@pytest.mark.parametrize(
    ("key", "options", "reason"),
    [
        (None, {}, "no key"),
        (KEY, {"base_url": "https://host.test/v1?x=1"}, "address"),
        (KEY, {"api_version": "1"}, "address"),
    ],
)
def test_endpoints_that_are_left_to_litellm(key: str | None, options: dict[str, Any], reason: str) -> None:
    """Other credentials, and URLs that are not base URLs."""
    made = open_format(Connection("gemini", key, options), "gemini-2.5-flash")
    assert isinstance(made, Unserved)
    assert reason in made.reason


@pytest.mark.parametrize(
    ("params", "messages", "reason"),
    [
        ({"web_search_options": {}}, ASK, "search and functions"),
        ({"include_server_side_tool_invocations": True}, ASK, "Google's own tools"),
        ({"functions": [{"name": "f"}]}, ASK, "functions is mapped"),
        ({"zz_new": 1}, ASK, "zz_new is not a known parameter"),
        ({"response_format": dict}, ASK, "schema of a class given"),
        ({"response_format": {"response_schema": 3}}, ASK, "no schema that is an object"),
        ({"tools": [{"googleSearch": {}}]}, ASK, "other than functions"),
        ({"tools": 3}, ASK, "no list"),
        ({"tools": [TOOL], "tool_choice": "any"}, ASK, "tool_choice has an unknown form"),
        ({"reasoning_effort": "enormous"}, ASK, "refuses the reasoning_effort"),
        ({"thinking": "much"}, ASK, "no object"),
        ({"stop": 3}, ASK, "stop is neither"),
        ({"modalities": "text"}, ASK, "modalities is no list"),
        ({}, [{"role": "function", "name": "f", "content": "1"}], "role 'function'"),
        ({}, [{"role": "tool", "content": "1"}], "names no call"),
        ({}, [{"role": "assistant", "content": None, "function_call": {"name": "f"}}], "function_call"),
        ({}, [{**ASK[0], "cache_control": {"type": "ephemeral"}}], "marked to be cached"),
        ({}, media(type="text", text="x", cache_control={"type": "ephemeral"}), "marked to be cached"),
        ({}, media(type="image_url", image_url={"url": "https://host.test/a.png"}), "fetched by litellm"),
        ({}, media(type="file", file={"file_id": "gs://bucket/a.pdf"}), "type of a file in a bucket"),
        ({}, media(type="file", file={"file_data": "JVBERi0="}), "neither in base64 nor uploaded"),
        ({}, media(type="video_url", video_url={"url": "x"}), "'video_url'"),
        ({}, calling(arguments="{"), "no JSON"),
        ({}, [{"role": "system", "content": [{"type": "image_url"}]}], "other parts than texts"),
    ],
)
def test_requests_that_are_left_to_litellm(params: dict[str, Any], messages: Any, reason: str) -> None:
    """With the reason, which `transport = "wire"` gives."""
    made = format_of().request(messages, params)
    assert isinstance(made, Unserved)
    assert reason in made.reason


@pytest.mark.parametrize(
    ("model", "params", "dropped"),
    [
        ("gemini-2.5-flash", {"seed": 1, "n": 2, "logit_bias": {}, "user": "u"}, ("logit_bias", "user")),
        ("gemini-2.5-flash", {"frequency_penalty": 1, "repetition_penalty": 1.1}, ("repetition_penalty",)),
        ("gemini-3-flash-preview", {"frequency_penalty": 1, "presence_penalty": 1},
         ("frequency_penalty", "presence_penalty")),
        ("gemini-2.0-flash", {"reasoning_effort": "low", "thinking": {}}, ("reasoning_effort", "thinking")),
        ("gemini-2.5-flash", {"tools": [TOOL], "parallel_tool_calls": False}, ("parallel_tool_calls",)),
        ("gemini-2.5-flash", {"tools": [TOOL], "parallel_tool_calls": True, "stream_options": {}}, ()),
    ],
)  # fmt: skip
def test_parameters_that_a_model_does_not_take(model: str, params: dict[str, Any], dropped: tuple[str, ...]) -> None:
    """They are named, so that they can be reported or refused."""
    request = served(format_of(model), params)
    assert request.dropped == dropped
    assert not set(dropped) & request.body.keys()


@pytest.mark.parametrize("params", [{}, {"max_tokens": 5, "temperature": 0.5}, {"tools": [TOOL]}])
@pytest.mark.parametrize("stream", [False, True])
def test_fixed_parameters_are_encoded_once(params: dict[str, Any], stream: bool) -> None:
    """The body is the same, also where the messages add to the configuration."""
    detailed = {"url": "data:image/png;base64,AAAA", "detail": "low"}
    image = media(type="image_url", image_url=detailed)
    for messages in (({"role": "system", "content": "Be brief."}, *ASK), image):
        for fmt in (format_of(), format_of("gemini-3-flash-preview")):
            loose = served(fmt, params, messages, stream=stream)
            fixed = served(fmt, FixedParams(params), messages, stream=stream)
            assert json.loads(loose.encode()) == json.loads(fixed.encode()) == loose.body == fixed.body


def test_extra_body_is_put_over_everything_but_the_model() -> None:
    """An object is added to the one that is there, in either spelling of its name."""
    extra = {"generation_config": {"topP": 0.4}, "systemInstruction": {"parts": []}, "model": "x", "simulator": {}}
    messages = ({"role": "system", "content": "Be brief."}, *ASK)
    for params in ({"temperature": 0.1, "extra_body": extra}, FixedParams(temperature=0.1, extra_body=extra)):
        body = json.loads(served(format_of(), params, messages).encode())
        assert body["generationConfig"] == {"temperature": 0.1, "topP": 0.4}
        assert body["systemInstruction"] == {"parts": []}
        assert body["simulator"] == {}
        assert "model" not in body


def test_a_request_is_made_of_its_own_parts() -> None:
    """Nothing of the caller's is changed, and nothing of one request gets into another."""
    schema = {"type": "object", "properties": {"a": {"type": ["string", "null"]}, "b": {"$ref": "#/$defs/B"}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": {**schema, "$defs": {"B": {"enum": ["x"]}}}}}
    messages = [*ASK, {"role": "assistant", "content": "Yes", "reasoning_content": "Hm."}]
    params = FixedParams(tools=[tool], response_format={"type": "json_object", "response_schema": schema})
    before = json.dumps([messages, params])
    for model in ("gemini-2.5-flash", "gemini-flash-latest"):
        fmt = format_of(model)
        first = json.dumps(served(fmt, params, messages).body)
        served(fmt, params, [*messages, {"role": "user", "content": "Go on"}])
        assert json.dumps(served(fmt, params, messages).body) == first
    assert json.dumps([messages, params]) == before


def test_a_foreign_call_is_marked_as_one() -> None:
    """Newer models demand a signature of the first call of a turn; another model's call has none."""
    call = {"id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [*ASK, {"role": "assistant", "content": None, "tool_calls": [call, {**call, "id": "toolu_2"}]}]
    contents: Any = served(format_of("gemini-3-flash-preview"), messages=messages).body["contents"]
    first, second = contents[1]["parts"]
    assert first["thoughtSignature"] == "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="
    assert "thoughtSignature" not in second
    assert [first["functionCall"]["id"], second["functionCall"]["id"]] == ["toolu_1", "toolu_2"]
    contents = served(format_of(), messages=messages).body["contents"]
    assert contents[1]["parts"] == [{"functionCall": {"name": "f", "args": {}}}] * 2


def test_rate_limits_are_not_in_the_headers() -> None:
    """The API says them in errors alone."""
    assert format_of().limit_headers({"server": "x"}) == {}
