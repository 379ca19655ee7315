"""Requests for the comparison of Gemini's format with litellm, beside those of the common grid."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from tests.transports.wire.grid import MESSAGES as COMMON_MESSAGES
from tests.transports.wire.grid import PARAMS as COMMON_PARAMS
from tests.transports.wire.grid import PNG, STREAMED, Difference, Grid

MODELS = (
    "gemini-1.5-pro",
    "gemini-2.0-flash",
    "gemini-2.5-flash-lite",
    "gemini-2.5-flash",
    "gemini-2.5-pro",
    "gemini-flash-latest",
    "gemini-3-flash-preview",
    "gemini-3.1-pro-preview",
    "gemini-3.1-flash-lite",
    "gemini-3.5-flash",
    "gemini-3.8-flash",
    "gemini-4-argon",
    "gemini-2.5-flash-preview-tts",
    "gemini-7-pro",
    "gemma-3-27b-it",
    "gemma-4-31b-it",
    "learnlm-1.5-pro-experimental",
)

LEADING = ("gemini-2.5-flash", "gemini-3-flash-preview", "gemini-flash-latest")
"""The models that meet every request: by budget, by level, and without JSON Schema."""
RETIRED = "gemini-1.5-pro gemini-2.0-flash"

PDF = "data:application/pdf;base64,JVBERi0="
FILE = "https://generativelanguage.googleapis.com/v1beta/files/abc-123"


def function(name: str, **schema: Any) -> dict[str, Any]:
    """Make a tool whose parameters have a schema."""
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object", **schema}}}


def _format(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "c", "schema": schema, "strict": True}}}


_WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather somewhere.",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "minLength": 2, "format": "city", "title": "City"},
                "days": {"type": ["integer", "null"], "description": "How many."},
                "when": {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}], "default": None},
                "unit": {"type": "string", "enum": ["C", "F", ""]},
                "tags": {"type": "array"},
                "place": {"$ref": "#/$defs/Place"},
                "extra": {"type": "object", "properties": {}},
                "any": {},
                "how": {"type": ["string", "array"], "items": {"type": "string"}, "title": "How"},
            },
            "required": ["city"],
            "additionalProperties": False,
            "$defs": {
                "Place": {
                    "type": "object",
                    "properties": {"at": {"$ref": "#/$defs/Point"}, "name": {"type": "string", "exclusiveMinimum": 1}},
                },
                "Point": {"type": "object", "properties": {"x": {"type": "number"}}, "required": None},
            },
        },
    },
}
_BARE = {"type": "function", "function": {"name": "ping", "description": "Pings."}}
SCHEMA: Mapping[str, Any] = {
    "title": "Order",
    "type": "object",
    "properties": {
        "id": {"type": "string", "pattern": "^[a-z]+$"},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/Line"}, "minItems": 1},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "description": "A note."},
    },
    "required": ["id"],
    "additionalProperties": False,
    "$defs": {"Line": {"type": "object", "properties": {"sku": {"type": "string"}}, "additionalProperties": False}},
}

PARAMS: Mapping[str, Mapping[str, Any]] = {
    **COMMON_PARAMS,
    "tools_full": {"tools": [_WEATHER, _BARE]},
    "tools_null": {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]},
    "tools_no_properties": {"tools": [function("f", properties={}, required=[])]},
    "tools_recursive": {
        "tools": [
            function(
                "f",
                properties={"n": {"$ref": "#/$defs/N"}},
                **{"$defs": {"N": {"type": "object", "properties": {"n": {"$ref": "#/$defs/N"}}}}},
            )
        ]
    },
    "tools_one_of": {"tools": [function("f", properties={"a": {"oneOf": [{"type": "string"}, {"type": "integer"}]}})]},
    "tools_map": {
        "tools": [function("f", properties={"a": {"type": "object", "additionalProperties": {"type": "string"}}})]
    },
    "tools_numbers": {"tools": [function("f", properties={"a": {"type": "integer", "enum": [1, 2]}})]},
    "tools_const": {"tools": [function("f", properties={"a": {"type": "string", "const": "x"}})]},
    "tools_several_serial": {"tools": [_WEATHER, _BARE], "parallel_tool_calls": False},
    "tools_several_parallel": {"tools": [_WEATHER, _BARE], "parallel_tool_calls": True},
    "schema": _format(SCHEMA),
    "schema_older": {"response_format": {"type": "json_object", "response_schema": SCHEMA}},
    "schema_tools": {**_format(SCHEMA), "tools": [_WEATHER]},
    "schema_strict_property": _format({"type": "object", "properties": {"strict": {"type": "boolean"}}}),
    "stops_many": {"stop": ["a", "b", "c", "d", "e", "f"]},
    "top_logprobs": {"top_logprobs": 3},
    "effort_medium": {"reasoning_effort": "medium"},
    "effort_disable": {"reasoning_effort": "disable"},
    "effort_object": {"reasoning_effort": {"effort": "low", "summary": "concise"}},
    "thinking_zero": {"thinking": {"type": "enabled", "budget_tokens": 0}},
    "thinking_disabled": {"thinking": {"type": "disabled"}},
    "thinking_adaptive": {"thinking": {"type": "adaptive"}},
    "thinking_bare": {"thinking": {"type": "enabled"}},
    "thinking_over_effort": {"reasoning_effort": "low", "thinking": {"type": "enabled", "budget_tokens": 6000}},
    "thinking_config": {"thinkingConfig": {"thinkingBudget": 99}},
    "safety": {"safety_settings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]},
    "cached": {"cached_content": "cachedContents/abc"},
    "tier_auto": {"service_tier": "auto"},
    "tier_default": {"service_tier": "default"},
    "modalities_image": {"modalities": ["text", "image"], "imageConfig": {"aspectRatio": "1:1"}},
    "media_resolution": {"mediaResolution": "MEDIA_RESOLUTION_LOW"},
    "extra_config": {"temperature": 0.3, "extra_body": {"generationConfig": {"topP": 0.4}}},
    "extra_system": {"extra_body": {"system_instruction": {"parts": [{"text": "Be kind."}]}}},
    "extra_tools": {"extra_body": {"tools": [{"googleSearch": {}}]}},
    "extra_labels": {"extra_body": {"labels": {"team": "blue"}}},
}

_CALL: Mapping[str, Any] = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "get_weather", "arguments": '{"city": "Bonn"}'},
}
_OTHER: Mapping[str, Any] = {"id": "call_2", "type": "function", "function": {"name": "get_time", "arguments": "{}"}}
_ASK = {"role": "user", "content": "Weather in Bonn?"}
_BRIEF = {"role": "system", "content": "Be brief."}
_RAIN = {"role": "tool", "tool_call_id": "call_1", "content": "Rain."}
_NOON = {"role": "tool", "tool_call_id": "call_2", "content": '{"time": "noon"}'}
_SIGNATURE: Mapping[str, Any] = {"provider_specific_fields": {"thought_signature": "c2ln"}}
_SIGNED = {**_CALL, **_SIGNATURE}
_SIGNED_ID = {**_CALL, "id": "call_1__thought__c2ln"}
_TEXT = {"type": "text", "text": "Look."}
_IMAGE = {"type": "image_url", "image_url": {"url": PNG}}


def _user(*parts: Mapping[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def _file(**fields: Any) -> Sequence[Mapping[str, Any]]:
    return (_user(_TEXT, {"type": "file", "file": fields}),)


def _detail(*details: str) -> Sequence[Mapping[str, Any]]:
    return (_user(_TEXT, *({"type": "image_url", "image_url": {"url": PNG, "detail": one}} for one in details)),)


def _calling(*calls: Mapping[str, Any], content: Any = None, **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, "tool_calls": list(calls), **fields}


def _result(*parts: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return (_ASK, _calling(_CALL), {**_RAIN, "content": list(parts)})


MESSAGES: Mapping[str, Sequence[Mapping[str, Any]]] = {
    **COMMON_MESSAGES,
    "systems": ({"role": "system", "content": "One."}, {"role": "developer", "content": "Two."}, _ASK),
    "system_alone": ({"role": "system", "content": "Greet."},),
    "system_middle": (
        _ASK,
        {"role": "system", "content": "Be brief."},
        {"role": "assistant", "content": "Rain."},
        _ASK,
    ),
    "system_between_users": (_ASK, {"role": "system", "content": "Be brief."}, _ASK),
    "system_parts_two": ({"role": "system", "content": [_TEXT, _TEXT]}, _ASK),
    "image_alone": (_user(_IMAGE),),
    "image_text": (_user({"type": "image_url", "image_url": PNG}),),
    "image_format": (_user(_TEXT, {"type": "image_url", "image_url": {"url": PNG, "format": "image/webp"}}),),
    "image_details": _detail("low", "ultra_high", "medium"),
    "image_auto": _detail("auto"),
    "pdf": _file(file_data=PDF, filename="a.pdf"),
    "uploaded": _file(file_id=FILE),
    "uploaded_format": _file(file_id=FILE, format="application/pdf"),
    "uploaded_image": (_user(_TEXT, {"type": "image_url", "image_url": {"url": FILE}}),),
    "bucket": _file(file_id="gs://bucket/a.pdf", format="application/pdf"),
    "bucket_jpg": _file(file_id="gs://bucket/a", format="image/jpg"),
    "video": _file(file_id=FILE, format="video/mp4", detail="low", video_metadata={"fps": 2, "start_offset": "1s"}),
    "audio_mp3": (_user(_TEXT, {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "audio/mp3"}}),),
    "empty_part": (_user({"type": "text", "text": ""}, _TEXT),),
    "empty_parts": (_user({"type": "text", "text": ""}),),
    "no_content": ({"role": "user", "content": None},),
    "calls": (
        _ASK,
        _calling(_CALL, _OTHER, content="Let me see."),
        _RAIN,
        _NOON,
        {"role": "assistant", "content": "Rain at noon."},
        _ASK,
    ),
    "calls_then_user": (_ASK, _calling(_CALL), _RAIN, _ASK),
    "calls_in_a_row": (_ASK, _calling(_CALL), _RAIN, _calling(_OTHER), _NOON),
    "calls_same": (_ASK, _calling(_CALL, {**_CALL, "id": "call_3"}), _RAIN, {**_RAIN, "tool_call_id": "call_3"}),
    "call_empty_arguments": (_ASK, _calling({**_OTHER, "function": {"name": "get_time", "arguments": ""}}), _NOON),
    "signed": (_ASK, _calling(_SIGNED, _OTHER), _RAIN, _NOON),
    "signed_function": (
        _ASK,
        _calling(
            {**_CALL, "function": {**_CALL["function"], "provider_specific_fields": {"thought_signature": "c2ln"}}}
        ),
        _RAIN,
    ),
    "signed_id": (_ASK, _calling(_SIGNED_ID, _OTHER), {**_RAIN, "tool_call_id": "call_1__thought__c2ln"}, _NOON),
    "signed_text": (
        _ASK,
        {"role": "assistant", "content": "Rain.", "provider_specific_fields": {"thought_signatures": ["dGV4dA=="]}},
        _ASK,
    ),
    "signed_text_and_call": (
        _ASK,
        _calling(_SIGNED, content="Let me see.", provider_specific_fields={"thought_signatures": ["c2ln"]}),
        _RAIN,
    ),
    "thinking_loop": (
        _ASK,
        _calling(
            _SIGNED_ID,
            content="Let me see.",
            reasoning_content="Rain, most likely.",
            thinking_blocks=[{"type": "thinking", "thinking": "Rain, most likely."}],
            provider_specific_fields={"thought_signatures": ["dGV4dA==", "c2ln"]},
        ),
        {**_RAIN, "tool_call_id": "call_1__thought__c2ln"},
        {"role": "assistant", "content": "Rain.", "reasoning_content": "So it is."},
        _ASK,
    ),
    "result_object": (_ASK, _calling(_CALL), {**_RAIN, "content": ' {"sky": "grey"}'}),
    "result_list": (_ASK, _calling(_CALL), {**_RAIN, "content": "[1, 2]"}),
    "result_broken": (_ASK, _calling(_CALL), {**_RAIN, "content": '{"sky": '}),
    "result_parts": _result(_TEXT, _TEXT),
    "result_image": _result(_TEXT, _IMAGE),
    "result_pdf": _result(_TEXT, {"type": "file", "file": {"file_data": PDF}}),
    "result_image_text": (_ASK, _calling(_CALL), {**_RAIN, "content": PNG}),
    "result_named": (_ASK, {"role": "tool", "tool_call_id": "call_9", "name": "get_weather", "content": "Rain."}),
    "assistant_parts": (_ASK, {"role": "assistant", "content": [_TEXT, _TEXT]}, _ASK),
    "assistant_image": (
        _ASK,
        {"role": "assistant", "content": "There.", "images": [_IMAGE]},
        _ASK,
    ),
    "assistants": (_ASK, {"role": "assistant", "content": "Rain."}, {"role": "assistant", "content": "Or sun."}, _ASK),
    "assistant_nothing": (_ASK, {"role": "assistant", "content": None}, _ASK),
    "assistant_first": ({"role": "assistant", "content": "Hello!"}, _ASK),
}

TOOL_LOOPS = ("thinking_loop", "calls", "result_image", "signed_id")
"""Messages that are tried with parameters about tools and thinking as well."""

LOOP_PARAMS = ("tools", "tools_required", "tools_none", "effort_high", "thinking", "schema_tools", "effort_tools")

GRID = Grid(
    # Those that differ most come first.
    models=tuple(sorted(MODELS, key=LEADING.__contains__, reverse=True)),
    leading=len(LEADING),
    params=PARAMS,
    messages=MESSAGES,
    pairs=list(itertools.product(LOOP_PARAMS, TOOL_LOOPS)),
    streamed=(*STREAMED, "tools_required", "tools_full", "schema", "schema_tools", "thinking", "effort_medium", "n"),
    streamed_messages=("thinking_loop", "result_image", "calls_in_a_row", "pdf", "signed_id"),
)
"""The requests of the comparison of the whole client."""

DIFFERENCES = (
    Difference("tool_choice_alone", "toolConfig", "the API refuses a choice without tools"),
    Difference("extra_body_model", "model", "the profile decides the model, which is no field of the body"),
    Difference("logprobs", "generationConfig", "litellm drops top_logprobs, which the API takes"),
    Difference("stops_many", "generationConfig", "litellm keeps four, which is OpenAI's limit; the API takes five"),
    Difference("schema_strict_property", "generationConfig", "litellm removes properties of the name `strict`"),
    Difference(
        "tools_recursive tools_one_of tools_map tools_numbers",
        "tools",
        "litellm loses what the API's subset cannot say, and parametersJsonSchema can",
    ),
    Difference("tools_const", "tools", "litellm loses a constant, which is an enum of one value"),
    Difference("calls_same", "contents", "litellm loses one of two equal calls, but neither result"),
    Difference("call_empty_arguments", "contents", "litellm sends an argument that nobody gave"),
    Difference("extra_system", "system_instruction systemInstruction", "one spelling, so that no field comes twice"),
    Difference(RETIRED, "contents systemInstruction", "litellm takes an unlisted model for one without system prompts"),
)
