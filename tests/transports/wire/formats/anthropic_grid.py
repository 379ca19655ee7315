"""Requests for the comparison of Anthropic's format with litellm, beside those of the common grid."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from tests.transports.wire.grid import MESSAGES as COMMON_MESSAGES
from tests.transports.wire.grid import PARAMS as COMMON_PARAMS
from tests.transports.wire.grid import PNG, STREAMED, Difference, Grid

MODELS = (
    "claude-3-haiku-20240307",
    "claude-3-5-sonnet-20241022",
    "claude-3-7-sonnet-20250219",
    "claude-sonnet-4-20250514",
    "claude-opus-4-1",
    "claude-opus-4-5",
    "claude-sonnet-4-5",
    "claude-haiku-4-5",
    "claude-opus-4-6",
    "claude-sonnet-4-6",
    "claude-opus-4-7",
    "claude-opus-4-8",
    "claude-opus-5",
    "claude-opus-5-5",
    "claude-fable-5",
    "claude-newfamily-7",
    "my-claude",
    "kimi-k2-0905-preview",
)

LEADING = ("claude-3-haiku-20240307", "claude-sonnet-4-5", "claude-opus-4-6", "claude-opus-5-5")
"""The models that meet every request: those that differ most."""

PDF = "data:application/pdf;base64,JVBERi0="
_MARK = {"type": "ephemeral"}
_HOUR = {"type": "ephemeral", "ttl": "1h"}
_WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather somewhere.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "minLength": 2}},
            "required": ["city"],
            "title": "Weather",
        },
    },
}
_BARE = {"type": "function", "function": {"name": "ping"}}
_NATIVE = {"name": "lookup", "description": "Looks up.", "input_schema": {"type": "object", "properties": {}}}
SCHEMA: Mapping[str, Any] = {
    "title": "Order",
    "description": "An order.",
    "type": "object",
    "properties": {
        "id": {"type": "string", "pattern": "^[a-z]+$", "minLength": 2, "description": "Its id."},
        "amount": {"type": "number", "exclusiveMinimum": 0, "multipleOf": 0.5},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/Line"}, "minItems": 1, "uniqueItems": False},
        "note": {"oneOf": [{"type": "string", "maxLength": 9}, {"type": "null"}]},
        "kind": {"enum": ["a", 1], "type": "string"},
        "extra": {"type": "object", "patternProperties": {"^x": {"type": "string"}}},
    },
    "required": ["id"],
    "$defs": {
        "Line": {
            "type": "object",
            "properties": {"sku": {"type": "string"}, "part": {"$ref": "#/$defs/Part"}},
        },
        "Part": {"anyOf": [{"type": "integer", "minimum": 1}, {"allOf": [{"type": "string"}]}]},
    },
}
_FORMAT = {"type": "json_schema", "json_schema": {"name": "order", "schema": SCHEMA}}

PARAMS: Mapping[str, Mapping[str, Any]] = {
    **{name: params for name, params in COMMON_PARAMS.items() if "max_output_tokens" not in params},
    "max_tokens_fraction": {"max_tokens": 63.6},
    "stops_many": {"stop": ["a", "b", "c", "d", "e"]},
    "user_email": {"user": "ann@example.com"},
    "user_telephone": {"user": "+49 123 4567890"},
    "metadata_user": {"metadata": {"user_id": "u-7", "team": "blue"}},
    "metadata_over_user": {"user": "u-1", "metadata": {"user_id": "u-7"}},
    "tier_auto": {"service_tier": "auto"},
    "tier_standard": {"service_tier": "standard_only"},
    "tools_bare": {"tools": [_BARE, _WEATHER]},
    "tools_native": {"tools": [_NATIVE]},
    "tools_marked": {"tools": [_BARE, {**_WEATHER, "cache_control": _HOUR}]},
    "tools_marked_inside": {"tools": [{"type": "function", "function": {"name": "ping", "cache_control": _MARK}}]},
    "tools_serial": {"tools": [_WEATHER], "tool_choice": "auto", "parallel_tool_calls": False},
    "tools_required_serial": {"tools": [_WEATHER], "tool_choice": "required", "parallel_tool_calls": False},
    "tools_none_serial": {"tools": [_WEATHER], "tool_choice": "none", "parallel_tool_calls": False},
    "tools_any": {"tools": [_WEATHER], "tool_choice": "any"},
    "tools_auto_object": {"tools": [_WEATHER], "tool_choice": {"type": "auto"}},
    "schema": {"response_format": _FORMAT},
    "schema_older": {"response_format": {"type": "json_object", "response_schema": SCHEMA}},
    "schema_tools": {"response_format": _FORMAT, "tools": [_WEATHER]},
    "schema_tools_auto": {"response_format": _FORMAT, "tools": [_WEATHER], "tool_choice": "auto"},
    "schema_effort": {"response_format": _FORMAT, "reasoning_effort": "low"},
    "schema_effort_none": {"response_format": _FORMAT, "reasoning_effort": "none"},
    "effort_medium": {"reasoning_effort": "medium"},
    "effort_max": {"reasoning_effort": "max"},
    "effort_object": {"reasoning_effort": {"effort": "low", "summary": "concise"}},
    "effort_limit": {"reasoning_effort": "low", "max_tokens": 8000},
    "effort_tight": {"reasoning_effort": "high", "max_tokens": 4096},
    "effort_no_room": {"reasoning_effort": "high", "max_tokens": 500},
    "thinking_limit": {"thinking": {"type": "enabled", "budget_tokens": 5000}, "max_tokens": 9000},
    "thinking_long": {"thinking": {"type": "enabled", "budget_tokens": 20_000}},
    "thinking_display": {"thinking": {"type": "enabled", "budget_tokens": 2048, "display": "omitted"}},
    "thinking_camel": {"thinking": {"type": "enabled", "budgetTokens": 3000}},
    "thinking_adaptive": {"thinking": {"type": "adaptive"}},
    "thinking_adaptive_tight": {"thinking": {"type": "adaptive"}, "max_tokens": 1500},
    "thinking_adaptive_no_room": {"thinking": {"type": "adaptive"}, "max_tokens": 1000},
    "thinking_disabled": {"thinking": {"type": "disabled"}},
    "thinking_true": {"thinking": True},
    "thinking_false": {"thinking": False},
    "thinking_over_effort": {"reasoning_effort": "low", "thinking": {"type": "enabled", "budget_tokens": 6000}},
    "effort_forced": {"tools": [_WEATHER], "tool_choice": "required", "reasoning_effort": "low"},
    "cache_control": {"cache_control": _MARK},
    "beta": {"extra_headers": {"anthropic-beta": "context-1m-2025-08-07"}},
    "beta_schema": {"extra_headers": {"Anthropic-Beta": "context-1m-2025-08-07"}, "response_format": _FORMAT},
}

_CALL = {"id": "toolu_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Bonn"}'}}
_OTHER = {"id": "toolu_2", "type": "function", "function": {"name": "get_time", "arguments": ""}}
_ASK = {"role": "user", "content": "Weather in Bonn?"}
_RAIN = {"role": "tool", "tool_call_id": "toolu_1", "content": "Rain."}
_NOON = {"role": "tool", "tool_call_id": "toolu_2", "content": "Noon."}
_THOUGHT = {"type": "thinking", "thinking": "Rain, most likely.", "signature": "sig1"}
_HIDDEN = {"type": "redacted_thinking", "data": "c2VjcmV0"}


def _system(text: str) -> dict[str, Any]:
    return {"role": "system", "content": text}


def _user(*parts: Mapping[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def _result(*parts: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    calling = {"role": "assistant", "content": None, "tool_calls": [_CALL]}
    return (_ASK, calling, {**_RAIN, "content": list(parts)})


_TEXT = {"type": "text", "text": "Look."}
_IMAGE = {"type": "image_url", "image_url": {"url": PNG}}
_DOCUMENT = {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}, "title": "A"}

MESSAGES: Mapping[str, Sequence[Mapping[str, Any]]] = {
    **COMMON_MESSAGES,
    "systems": (_system("One."), {"role": "developer", "content": "Two."}, _ASK),
    "systems_marked": (_system("One."), {**_system("Two."), "cache_control": _HOUR}, _ASK),
    "system_parts_marked": (
        {"role": "system", "content": [_TEXT, {**_TEXT, "cache_control": _MARK}, {"type": "text", "text": ""}]},
        _ASK,
    ),
    "system_empty": (_system(""), _ASK),
    "system_last": (_ASK, {"role": "assistant", "content": "Rain."}, _ASK, _system("Be brief.")),
    "system_middle": (_ASK, _system("Be brief."), {"role": "assistant", "content": "Rain."}, _ASK),
    "system_before_user": (_ASK, {"role": "assistant", "content": "Rain."}, _system("Be brief."), _ASK),
    "system_in_tool_loop": (
        _ASK,
        {"role": "assistant", "content": None, "tool_calls": [_CALL]},
        _system("Be brief."),
        _RAIN,
        {"role": "assistant", "content": "Rain."},
        _ASK,
    ),
    "users_marked": ({**_ASK, "cache_control": _MARK}, _user({**_TEXT, "cache_control": _HOUR}), _ASK),
    "image_address": (_user(_TEXT, {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}),),
    "image_text": (_user({"type": "image_url", "image_url": "https://example.com/a.png"}),),
    "image_format": (_user({"type": "image_url", "image_url": {"url": PNG, "format": "image/webp"}}),),
    "image_marked": (_user({**_IMAGE, "cache_control": _MARK}),),
    "pdf": (_user({"type": "file", "file": {"file_data": PDF, "filename": "a.pdf"}}),),
    "pdf_marked": (_user({"type": "file", "file": {"file_data": PDF}, "cache_control": _MARK}),),
    "pdf_address": (_user({"type": "file", "file": {"file_id": "https://example.com/a.pdf"}}),),
    "pdf_id": (_user({"type": "file", "file": {"file_id": "file_1", "format": "application/pdf"}}),),
    "image_id": (_user({"type": "file", "file": {"file_id": "file_1", "format": "image/png"}}),),
    "file_id": (_user({"type": "file", "file": {"file_id": "file_1"}}),),
    "document": (_user(_TEXT, _DOCUMENT),),
    "text_file": (_user({"type": "file", "file": {"file_data": "data:text/plain;base64,R3LDvMOfZQ=="}}),),
    "image_file": (_user({"type": "file", "file": {"file_data": PNG}}),),
    "pdf_as_image": (_user({"type": "image_url", "image_url": {"url": PDF}}),),
    "blank_beside_image": (_user({"type": "text", "text": " "}, _IMAGE),),
    "blank": ({"role": "user", "content": " \n"},),
    "blank_part": (_user({"type": "text", "text": ""}),),
    "calls": (
        _ASK,
        {"role": "assistant", "content": "Let me see.", "tool_calls": [_CALL, _OTHER]},
        _RAIN,
        _NOON,
        {"role": "assistant", "content": "Rain at noon."},
        _ASK,
    ),
    "calls_repeated": (
        _ASK,
        {"role": "assistant", "content": None, "tool_calls": [_CALL]},
        {"role": "assistant", "content": "Once more.", "tool_calls": [_CALL, _OTHER]},
        _RAIN,
    ),
    "call_marked": (
        _ASK,
        {"role": "assistant", "content": None, "tool_calls": [{**_CALL, "cache_control": _MARK}]},
        {**_RAIN, "cache_control": _MARK},
    ),
    "call_ids": (
        _ASK,
        {"role": "assistant", "content": None, "tool_calls": [{**_CALL, "id": "call:1/ü"}]},
        {**_RAIN, "tool_call_id": "call:1/ü"},
    ),
    "result_then_user": (_ASK, {"role": "assistant", "content": None, "tool_calls": [_CALL]}, _RAIN, _ASK),
    "result_parts": _result(_TEXT, {**_TEXT, "cache_control": _MARK}),
    "result_image": _result(_TEXT, _IMAGE),
    "result_image_address": _result({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}),
    "result_pdf": _result({"type": "file", "file": {"file_data": PDF}}),
    "result_pdf_as_image": _result({"type": "image_url", "image_url": {"url": PDF}}),
    "result_empty": (_ASK, {"role": "assistant", "content": None, "tool_calls": [_CALL]}, {**_RAIN, "content": ""}),
    "result_error": (
        _ASK,
        {"role": "assistant", "content": None, "tool_calls": [_CALL]},
        {**_RAIN, "content": "Timed out.", "is_error": True},
    ),
    "thinking": (
        _ASK,
        {
            "role": "assistant",
            "content": "Rain?",
            "reasoning_content": "Rain, most likely.",
            "thinking_blocks": [_THOUGHT],
        },
        _ASK,
    ),
    "thinking_loop": (
        _ASK,
        {"role": "assistant", "content": None, "thinking_blocks": [_THOUGHT, _HIDDEN], "tool_calls": [_CALL]},
        _RAIN,
        {"role": "assistant", "content": "Rain.", "thinking_blocks": [_HIDDEN]},
        _ASK,
    ),
    "thinking_empty_text": (
        _ASK,
        {"role": "assistant", "content": "", "thinking_blocks": [_THOUGHT], "tool_calls": [_CALL]},
        _RAIN,
    ),
    "thinking_unsigned": (
        _ASK,
        {
            "role": "assistant",
            "content": "Rain.",
            "thinking_blocks": [{"type": "thinking", "thinking": "Hm.", "signature": None}],
        },
        _ASK,
    ),
    "thinking_inline": (_ASK, {"role": "assistant", "content": [_THOUGHT, _TEXT], "tool_calls": [_CALL]}, _RAIN),
    "hidden_inline": (_ASK, {"role": "assistant", "content": [_HIDDEN, _TEXT]}, _ASK),
    "assistant_parts": (_ASK, {"role": "assistant", "content": [_TEXT, {**_TEXT, "cache_control": _MARK}]}, _ASK),
    "assistants": (_ASK, {"role": "assistant", "content": "Rain."}, {"role": "assistant", "content": "Or sun."}, _ASK),
    "assistant_nothing": (_ASK, {"role": "assistant", "content": None}, _ASK),
    "assistant_last_space": (_ASK, {"role": "assistant", "content": "It is "}),
    "assistant_first": ({"role": "assistant", "content": "Hello!"}, _ASK),
}


TOOL_LOOPS = ("thinking_loop", "calls", "result_image", "system_in_tool_loop")
"""Messages that are tried with parameters about tools and thinking as well."""

LOOP_PARAMS = ("tools", "tools_required", "tools_none", "effort_high", "thinking_limit", "schema_tools", "effort_tools")

GRID = Grid(
    # Those that differ most come first.
    models=tuple(sorted(MODELS, key=LEADING.__contains__, reverse=True)),
    leading=len(LEADING),
    params=PARAMS,
    messages=MESSAGES,
    pairs=list(itertools.product(LOOP_PARAMS, TOOL_LOOPS)),
    streamed=(*STREAMED, "tools_required", "schema", "schema_tools", "thinking", "effort_medium", "cache_control"),
    streamed_messages=("thinking_loop", "result_image", "system_in_tool_loop", "pdf", "cache_part"),
)
"""The requests of the comparison of the whole client."""

DIFFERENCES = (
    Difference("tools_empty", "tools", "no tools are left out"),
    Difference("tool_choice_alone parallel_alone", "tool_choice", "the API refuses a choice without tools"),
    Difference("tools_any", "tool_choice", "Anthropic's own word for `required` is taken"),
    Difference("stops_many", "stop_sequences", "litellm keeps four, which is OpenAI's limit"),
    Difference("tier_auto tier_standard", "service_tier", "litellm drops it"),
    Difference(
        "extra_body extra_body_over extra_body_model",
        "extra_body min_p chat_template_kwargs temperature",
        "litellm sends a field of this name, which the API refuses, rather than what it holds",
    ),
    Difference("text_file", "messages", "the API takes texts as texts"),
    Difference("image_file", "messages", "the API takes no image as a document"),
    Difference("pdf_as_image", "messages", "the API takes no PDF as an image"),
    Difference("file_id", "messages", "a file is for the model to read, rather than for the code execution tool"),
    Difference("pdf_address", "anthropic-beta", "an address needs no beta"),
    Difference("result_error", "messages", "litellm cannot say that a tool failed"),
    Difference("hidden_inline", "messages", "litellm loses redacted thinking that stands in a content"),
    Difference(
        "blank_beside_image tool_result_empty_text thinking_empty_text",
        "messages",
        "litellm puts words into an empty text beside something else",
    ),
    *(
        Difference(
            "", "thinking", "the API refuses a budget that leaves no room for the answer", f"reasoning_effort {limit}"
        )
        for limit in ("max_tokens", "max_completion_tokens")
    ),
    *(
        Difference("", "tool_choice", "the API refuses to force a tool while the model thinks", f"tool_choice {name}")
        for name in ("reasoning_effort", "thinking")
    ),
)
