"""Conversion of tools and tool_choice."""

from __future__ import annotations

from collections.abc import Mapping

from ..format import UnservedError
from ..json_values import JsonObject, is_list, is_mapping
from .capabilities import Capabilities
from .schemas import needs_json_schema, subset

_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}


def convert_tools(tools: object, capabilities: Capabilities) -> list[JsonObject]:
    """Return the tools of a request: one, of all functions.

    Raises:
        UnservedError: litellm has to map one of them.
    """
    if not is_list(tools):
        raise UnservedError("tools is no list")
    return [{"functionDeclarations": [_declaration(tool, capabilities) for tool in tools]}]


def convert_choice(choice: object) -> JsonObject:
    """Return the API's toolConfig for a tool_choice.

    Raises:
        UnservedError: It is none of the known forms.
    """
    if isinstance(choice, str) and choice in _MODES:
        return {"functionCallingConfig": {"mode": _MODES[choice]}}
    function = choice.get("function") if is_mapping(choice) else None
    name = function.get("name") if is_mapping(function) else None
    if not isinstance(name, str):
        raise UnservedError("tool_choice has an unknown form")
    return {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": [name]}}


def _declaration(tool: object, capabilities: Capabilities) -> JsonObject:
    function = tool.get("function") if is_mapping(tool) else None
    if not is_mapping(tool) or not is_mapping(function) or tool.get("type", "function") != "function":
        raise UnservedError("tools other than functions are mapped by litellm")
    name, schema = function.get("name"), function.get("parameters")
    if not isinstance(name, str):
        raise UnservedError("a tool has no name")
    made: JsonObject = {"name": name}
    if function.get("description") is not None:
        made["description"] = function["description"]
    if is_mapping(schema):
        made.update(_parameters(schema, capabilities))
    elif schema:
        raise UnservedError("the parameters of a tool are no object")
    elif schema is not None:
        made["parameters"] = {"type": "object"}
    return made


def _parameters(schema: Mapping[str, object], capabilities: Capabilities) -> JsonObject:
    if not needs_json_schema(schema):
        return {"parameters": subset(schema)}
    if not capabilities.has_json_schemas:
        raise UnservedError("the model takes no JSON Schema, and the API's subset cannot express that of a tool")
    return {"parametersJsonSchema": dict(schema)}
