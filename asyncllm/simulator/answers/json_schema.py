"""JSON Schemas: what type they are of, which values lie within them, and two of them joined into one."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]

_KEYWORDS_OF_TYPE = {
    "object": {"properties", "required", "additionalProperties", "patternProperties", "propertyNames", "minProperties"},
    "array": {"items", "prefixItems", "minItems", "maxItems", "uniqueItems"},
    "string": {"pattern", "format", "minLength", "maxLength"},
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
}


def type_of(schema: Schema) -> str:
    """Give the type that a schema names or its keywords imply; empty when it could be any."""
    kind = schema.get("type")
    if isinstance(kind, str):
        return kind
    return next((name for name, keywords in _KEYWORDS_OF_TYPE.items() if keywords & schema.keys()), "")


def all_keywords() -> set[str]:
    """Give the keywords that bind a value of some type."""
    return {keyword for keywords in _KEYWORDS_OF_TYPE.values() for keyword in keywords}


def bounds(schema: Schema, kind: str) -> tuple[float, float, float | None]:
    """Give the closed bounds; an open one is moved inwards by one or, for a number, by the least step that counts."""
    low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    if isinstance(above := schema.get("exclusiveMinimum"), int | float):
        low = max(low, math.floor(above) + 1 if kind == "integer" else math.nextafter(above, math.inf))
    if isinstance(below := schema.get("exclusiveMaximum"), int | float):
        high = min(high, math.ceil(below) - 1 if kind == "integer" else math.nextafter(below, -math.inf))
    return low, high, schema.get("multipleOf")


def fits_string(schema: Schema, text: str) -> bool:
    """Say whether a string has the length and the pattern of a schema."""
    if len(text) < schema.get("minLength", 0) or len(text) > schema.get("maxLength", math.inf):
        return False
    pattern = schema.get("pattern")
    try:
        return pattern is None or re.search(pattern, text) is not None
    except re.error:
        return False


def is_within(schema: Schema, value: Any) -> bool:
    """Say whether a string or a number lies within the bounds of a schema."""
    if isinstance(value, str):
        return fits_string(schema, value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        low, high, _ = bounds(schema, "number")
        return bool(low <= value <= high)
    return True


def is_of_type(value: Any, kind: str | list[str]) -> bool:
    """Say whether a value is of a JSON type, or of one of several."""
    kinds = [kind] if isinstance(kind, str) else kind
    name = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}.get(
        type(value), "null"
    )
    return name in kinds or (name == "integer" and "number" in kinds)


def schema_of_other(schema: Schema, name: str) -> Schema | bool:
    """Give the schema of a property that `properties` does not name."""
    for pattern, part in schema.get("patternProperties", {}).items():
        if re.search(pattern, name):
            return _as_schema(part)
    return _as_schema(schema.get("additionalProperties", True))


def _as_schema(part: Any) -> Schema | bool:
    return part if isinstance(part, Mapping | bool) else True


def is_same(one: Any, other: Any) -> bool:
    """Say whether two values are the same in JSON."""
    # JSON tells true from 1, Python's equality does not.
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def merge(one: Schema | bool, other: Schema | bool) -> Schema | bool:
    """Join two schemas that both have to hold."""
    if isinstance(one, bool) or isinstance(other, bool):
        return False if False in (one, other) else (other if one is True else one)
    merged = dict(one)
    for key, value in other.items():
        merged[key] = _JOINS[key](merged[key], value) if key in merged and key in _JOINS else value
    if merged.get("type") == [] or merged.get("enum") == []:
        return False
    return merged


def _join_types(one: Any, other: Any) -> Any:
    ones, others = ([kind] if isinstance(kind, str) else list(kind) for kind in (one, other))
    both = [kind for kind in ones if kind in others]
    # An integer is a number too, so the two have the integers in common.
    if (
        "integer" not in both
        and "integer" in {*ones, *others}
        and all({"integer", "number"} & {*x} for x in (ones, others))
    ):
        both.append("integer")
    return both[0] if len(both) == 1 else both


def _join_properties(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    return {**one, **{name: merge(one[name], part) if name in one else part for name, part in other.items()}}


_JOINS: dict[str, Any] = {
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
