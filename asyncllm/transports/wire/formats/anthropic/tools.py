"""Conversion of tools and tool_choice."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..format import UnservedError
from ..json_values import JsonObject, is_list, is_mapping
from .schemas import tool_schema

# The tool that stands in for native structured output; its arguments are the answer.
# Source: litellm/constants.py, RESPONSE_FORMAT_TOOL_NAME.
JSON_TOOL = "json_tool_call"
# The API refuses tool calls in messages when a request has no tools. Source: litellm/utils.py, add_dummy_tool.
DUMMY_TOOLS: tuple[JsonObject, ...] = (
    {
        "name": "dummy_tool",
        "input_schema": {"type": "object", "properties": {}},
        "type": "custom",
        "description": "This is a dummy tool call",
    },
)

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")  # Source: the API's pattern of `tools.name`.
_TOOL_KEYS = frozenset(("type", "function", "cache_control"))
_FUNCTION_KEYS = frozenset(("name", "description", "parameters", "strict", "cache_control"))
_NATIVE_KEYS = frozenset(("type", "name", "description", "input_schema", "cache_control", "strict"))
_CHOICES = {"auto": "auto", "required": "any", "any": "any", "none": "none"}


def convert_tools(tools: object) -> list[JsonObject]:
    """Return the tools of a request.

    Raises:
        UnservedError: litellm has to map one of them.
    """
    if not is_list(tools):
        raise UnservedError("tools is no list")
    return [_tool(tool) for tool in tools]


def json_tool(schema: Mapping[str, object]) -> JsonObject:
    """Return the tool that stands in for a response format."""
    return {"name": JSON_TOOL, "input_schema": {"type": "object", **schema}}


def convert_choice(choice: object, parallel: object) -> JsonObject | None:
    """Return the API's tool_choice; None for its default.

    Args:
        choice: The `tool_choice` of a request, or None.
        parallel: Its `parallel_tool_calls`, or None.

    Raises:
        UnservedError: It is none of the known forms.
    """
    chosen = None if choice is None else _choice(choice)
    if parallel is None or (chosen is not None and chosen["type"] == "none"):
        return chosen
    return {**(chosen or {"type": "auto"}), "disable_parallel_tool_use": not parallel}


def _tool(tool: object) -> JsonObject:
    if not is_mapping(tool):
        raise UnservedError("a tool is no object")
    if "input_schema" in tool:
        if tool.keys() <= _NATIVE_KEYS and tool.get("type", "custom") == "custom":
            return dict(tool)
        raise UnservedError("litellm adds the betas that a tool needs")
    function = tool.get("function")
    if tool.get("type") != "function" or not is_mapping(function):
        raise UnservedError(f"tools of type {tool.get('type')!r} are mapped by litellm")
    if not tool.keys() <= _TOOL_KEYS or not function.keys() <= _FUNCTION_KEYS:
        raise UnservedError("litellm adds the betas that a tool needs")
    name = function.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UnservedError("litellm renames tools whose names the API refuses")
    made: JsonObject = {"name": name, "input_schema": tool_schema(function.get("parameters")), "type": "custom"}
    if function.get("description") is not None:
        made["description"] = function["description"]
    mark = tool.get("cache_control") or function.get("cache_control")
    if is_mapping(mark):
        made["cache_control"] = dict(mark)
    return made


def _choice(choice: object) -> JsonObject:
    kind = choice.get("type") if is_mapping(choice) else choice
    if isinstance(kind, str) and kind in _CHOICES:
        return {"type": _CHOICES[kind]}
    if is_mapping(choice):
        function = choice.get("function")
        name = choice.get("name") if kind == "tool" else function.get("name") if is_mapping(function) else None
        if isinstance(name, str):
            return {"type": "tool", "name": name}
    raise UnservedError("tool_choice has an unknown form")
