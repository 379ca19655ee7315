"""JSON Schemas: their keywords, types and bounds, and the join of two."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict, cast

Schema = TypedDict(
    "Schema",
    {
        "$ref": str,
        "$defs": Mapping[str, "Schema | bool"],
        "allOf": Sequence["Schema | bool"],
        "anyOf": Sequence["Schema | bool"],
        "oneOf": Sequence["Schema | bool"],
        "const": object,
        "default": object,
        "enum": Sequence[object],
        "title": str,
        "description": str,
        "type": str | list[str],
        "properties": Mapping[str, "Schema | bool"],
        "required": Sequence[str],
        "additionalProperties": "Schema | bool",
        "patternProperties": Mapping[str, "Schema | bool"],
        "propertyNames": "Schema | bool",
        "minProperties": int,
        "maxProperties": int,
        "items": "Schema | bool",
        "prefixItems": Sequence["Schema | bool"],
        "minItems": int,
        "maxItems": int,
        "uniqueItems": bool,
        "pattern": str,
        "format": str,
        "minLength": int,
        "maxLength": int,
        "minimum": float,
        "maximum": float,
        "exclusiveMinimum": float,
        "exclusiveMaximum": float,
        "multipleOf": float,
    },
    total=False,
)

_KEYWORDS_OF_TYPE: Mapping[str, frozenset[str]] = {
    "object": frozenset(
        ("properties", "required", "additionalProperties", "patternProperties", "propertyNames", "minProperties")
    ),
    "array": frozenset(("items", "prefixItems", "minItems", "maxItems", "uniqueItems")),
    "string": frozenset(("pattern", "format", "minLength", "maxLength")),
    "number": frozenset(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")),
}
# The keywords that constrain a value, or refer to schemas that do.
BINDING = frozenset(("$ref", "type", "anyOf", "oneOf")).union(*_KEYWORDS_OF_TYPE.values())

_JSON_TYPES: Mapping[type, str] = {
    bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object",
}  # fmt: skip


def type_of(schema: Schema) -> str:
    """Return the type that a schema names or its keywords imply; empty when it could be any."""
    kind = schema.get("type")
    if isinstance(kind, str):
        return kind
    return next((name for name, keywords in _KEYWORDS_OF_TYPE.items() if keywords & schema.keys()), "")


def bounds(schema: Schema, kind: str) -> tuple[float, float]:
    """Return the closed bounds; an open one is moved inwards by one or, for a number, by the smallest step."""
    low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    if (above := schema.get("exclusiveMinimum")) is not None:
        low = max(low, math.floor(above) + 1 if kind == "integer" else math.nextafter(above, math.inf))
    if (below := schema.get("exclusiveMaximum")) is not None:
        high = min(high, math.ceil(below) - 1 if kind == "integer" else math.nextafter(below, -math.inf))
    return low, high


def fits_string(schema: Schema, text: str) -> bool:
    """Return whether a string has the length and the pattern of a schema."""
    if not schema.get("minLength", 0) <= len(text) <= schema.get("maxLength", math.inf):
        return False
    try:
        return "pattern" not in schema or re.search(schema["pattern"], text) is not None
    except re.error:
        return False


def is_member(schema: Schema, value: object) -> bool:
    """Return whether a member of an enumeration is of the type and within the bounds of a schema."""
    kind = _JSON_TYPES.get(type(value), "null")
    kinds = schema.get("type", kind)
    if kind not in kinds and not (kind == "integer" and "number" in kinds):
        return False
    if isinstance(value, str):
        return fits_string(schema, value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        low, high = bounds(schema, "number")
        return low <= value <= high
    return True


def schema_of_other(schema: Schema, name: str) -> Schema | bool:
    """Return the schema of a property that `properties` does not name."""
    for pattern, part in schema.get("patternProperties", {}).items():
        if re.search(pattern, name):
            return part
    return schema.get("additionalProperties", True)


def is_same(one: object, other: object) -> bool:
    """Return whether two values are equal in JSON, where true is not 1 as it is in Python."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def without(schema: Schema, *keywords: str) -> Schema:
    """Return a schema without some of its keywords."""
    return cast("Schema", {key: value for key, value in schema.items() if key not in keywords})


def merge(one: Schema | bool, other: Schema | bool) -> Schema | bool:
    """Return the schema of the values that are valid for both."""
    if isinstance(one, bool):
        return other if one else False
    if isinstance(other, bool):
        return one if other else False
    merged: dict[str, object] = {**one}
    for key, value in other.items():
        join = _JOINS.get(key) if key in merged else None
        merged[key] = join(merged[key], value) if join else value
    return False if [] in (merged.get("type"), merged.get("enum")) else cast("Schema", merged)


def _join_types(one: str | list[str], other: str | list[str]) -> str | list[str]:
    ones, others = ([kind] if isinstance(kind, str) else kind for kind in (one, other))
    both = [kind for kind in ones if kind in others]
    # An integer is a number too, so the two have the integers in common.
    if "integer" in {*ones, *others} - {*both} and all({"integer", "number"} & {*kinds} for kinds in (ones, others)):
        both.append("integer")
    return both[0] if len(both) == 1 else both


def _join_properties(
    one: Mapping[str, Schema | bool], other: Mapping[str, Schema | bool]
) -> Mapping[str, Schema | bool]:
    return {**one, **{name: merge(one[name], part) if name in one else part for name, part in other.items()}}


_JOINS: Mapping[str, Callable[[Any, Any], object]] = {
    "type": _join_types,
    "properties": _join_properties,
    "required": lambda one, other: list(dict.fromkeys([*one, *other])),
    "enum": lambda one, other: [member for member in one if member in other],
    "allOf": lambda one, other: [*one, *other],
    "$defs": lambda one, other: {**one, **other},
    "items": merge,
    "additionalProperties": merge,
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), min),
}
