"""JSON Schemas for native structured output and for tools.

Source: litellm/llms/anthropic/chat/transformation.py, filter_anthropic_output_schema, which follows Anthropic's SDK.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from ..format import UnservedError
from ..json_values import JsonObject, is_list, is_mapping
from ..schema_references import DEFINITIONS, resolved

# Keywords that constrained decoding does not support, and the notes that replace them in the description.
_NOTES = {
    "minItems": "minimum number of items: {}",
    "maxItems": "maximum number of items: {}",
    "uniqueItems": "all array items must be unique",
    "contains": "array must contain an item matching: {}",
    "minContains": "minimum number of matching items: {}",
    "maxContains": "maximum number of matching items: {}",
    "prefixItems": "leading items must match, in order: {}",
    "minimum": "minimum value: {}",
    "maximum": "maximum value: {}",
    "exclusiveMinimum": "exclusive minimum value: {}",
    "exclusiveMaximum": "exclusive maximum value: {}",
    "multipleOf": "must be a multiple of {}",
    "minLength": "minimum length: {}",
    "maxLength": "maximum length: {}",
    "minProperties": "minimum number of properties: {}",
    "maxProperties": "maximum number of properties: {}",
    "patternProperties": "properties whose names match each pattern must satisfy: {}",
    "propertyNames": "property names must satisfy: {}",
    "dependentRequired": "dependent required properties: {}",
    "dependentSchemas": "dependent schemas: {}",
    "unevaluatedProperties": "unevaluated properties must satisfy: {}",
    "if": "conditional (if): {}",
    "then": "conditional (then): {}",
    "else": "conditional (else): {}",
    "not": "must not match: {}",
}
# Keywords at the top of a tool's schema; others are left out. Source: litellm's AnthropicInputSchema.
_TOOL_KEYS = ("type", "properties", "additionalProperties", "required", "$defs", "strict")

_TYPES: Mapping[str, tuple[type, ...]] = {
    "null": (type(None),),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "string": (str,),
    "array": (list,),
    "object": (dict,),
}


def output_schema(schema: Mapping[str, object]) -> JsonObject:
    """Return a schema for native structured output: references resolved, unsupported keywords replaced by notes.

    Raises:
        UnservedError: The resolved schema is too large.
    """
    definitions = next((found for name in DEFINITIONS if is_mapping(found := schema.get(name))), None)
    rest = {name: value for name, value in schema.items() if name not in DEFINITIONS}
    return _supported(resolved(rest, definitions) if definitions else rest)


def tool_schema(schema: object) -> JsonObject:
    """Return the parameters of a function as a tool's schema.

    Raises:
        UnservedError: litellm has to resolve older kinds of definitions.
    """
    if not is_mapping(schema):
        schema = {}
    if "definitions" in schema or "components" in schema:
        raise UnservedError("litellm resolves the older definitions of a tool's schema")
    whole = {**schema, "type": "object", "properties": schema.get("properties", {})}
    return {name: value for name, value in whole.items() if name in _TOOL_KEYS}


def _supported(schema: object) -> JsonObject:
    """Remove the unsupported keywords, and note them in the description."""
    if not is_mapping(schema):
        raise UnservedError("a part of a response_format's schema is no object")
    result: JsonObject = {}
    notes = [_note(name, schema[name]) for name in _NOTES if name in schema and schema[name] is not False]
    if notes:
        described = schema.get("description", "")
        note = f"Note: {', '.join(notes)}."
        result["description"] = f"{described} {note}" if described else note
    for name, value in schema.items():
        if name in _NOTES or (notes and name == "description") or (name == "type" and _contradicts(schema)):
            continue
        if name in ("properties", "$defs") and is_mapping(value):
            result[name] = {key: _supported_or_same(inner) for key, inner in value.items()}
        elif name == "items" and is_mapping(value):
            result[name] = _supported(value)
        elif name in ("anyOf", "oneOf", "allOf") and is_list(value):
            # The API does not support `oneOf`; Anthropic's SDK replaces it by `anyOf` as well.
            target = "anyOf" if name == "oneOf" else name
            before = result.get(target)
            result[target] = [*(before if is_list(before) else ()), *map(_supported_or_same, value)]
        else:
            result[name] = value
    if result.get("type") == "object":
        result["additionalProperties"] = False
    return result


def _supported_or_same(schema: object) -> object:
    return _supported(schema) if is_mapping(schema) else schema


def _note(name: str, value: object) -> str:
    return _NOTES[name].format(json.dumps(value) if isinstance(value, dict | list) else value)


def _contradicts(schema: Mapping[str, object]) -> bool:
    """Return whether an `enum` has values that are not of the declared type."""
    values, declared = schema.get("enum"), schema.get("type")
    if not is_list(values) or declared is None:
        return False
    if isinstance(declared, list):
        return True
    kinds = _TYPES.get(declared) if isinstance(declared, str) else None
    if kinds is None:
        return False
    return any(not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds) for value in values)
