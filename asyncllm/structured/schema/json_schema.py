"""Parts of JSON Schemas, and the form that providers take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from typing_extensions import TypeIs

_DEFINITIONS = "$defs"
_NAME = "Answer"  # of a schema that is moved into the definitions
# A reference that leads to itself is a valid schema.
_MOST_REFERENCES = 100
# Keywords that say nothing about the values, beside which a reference means what it refers to.
ANNOTATIONS = frozenset(
    (
        "$comment",
        "$defs",
        "$schema",
        "default",
        "deprecated",
        "description",
        "examples",
        "readOnly",
        "title",
        "writeOnly",
    )
)
# Keywords that hold data, in which nothing is a reference; and those that hold schemas by names of the user's.
_DATA = frozenset(("const", "default", "dependentRequired", "enum", "examples"))
_BY_NAME = frozenset(("$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties"))


def is_object(value: object) -> TypeIs[Mapping[str, object]]:
    """Return whether a value is a JSON object; the keys of JSON are strings."""
    return isinstance(value, (dict, Mapping))  # for a dict the first check takes a tenth of the time


def is_array(value: object) -> TypeIs[list[object] | tuple[object, ...]]:
    """Return whether a value is a JSON array; Python code may write it as a tuple."""
    return isinstance(value, list | tuple)


def object_in(node: Mapping[str, object], key: str) -> Mapping[str, object]:
    """Return the object that a keyword has; an empty one where it has none."""
    value = node.get(key)
    return value if is_object(value) else {}


def array_in(node: Mapping[str, object], key: str) -> Sequence[object]:
    """Return the array that a keyword has; an empty one where it has none."""
    value = node.get(key)
    return value if is_array(value) else ()


def resolved(root: Mapping[str, object], node: object) -> Mapping[str, object] | None:
    """Follow the references of a part of a schema; return None where they lead to no object."""
    for _ in range(_MOST_REFERENCES):
        reference = node.get("$ref") if is_object(node) else None
        if not isinstance(reference, str):
            return node if is_object(node) else None
        node = root
        for step in reference.removeprefix("#").split("/")[1:]:
            node = node.get(step.replace("~1", "/").replace("~0", "~")) if is_object(node) else None
    return None


def with_object_at_top(schema: Mapping[str, object]) -> Mapping[str, object]:
    """Return a schema whose top is not a reference to one of its definitions, as that of a recursive model is."""
    if schema.keys() - ANNOTATIONS != {"$ref"}:
        return schema
    reference = schema.get("$ref")
    name = reference.removeprefix(f"#/{_DEFINITIONS}/") if isinstance(reference, str) else ""
    target = object_in(object_in(schema, _DEFINITIONS), name)
    if not target or "$ref" in target:
        return schema
    return {**target, **{key: value for key, value in schema.items() if key != "$ref"}}


def as_value(schema: Mapping[str, object], field: str) -> dict[str, object]:
    """Return the schema of an object with one field that the schema describes; references stay valid."""
    name, definitions = _as_definition(schema)
    around: dict[str, object] = {
        "title": str(schema.get("title") or _NAME),
        "type": "object",
        "properties": {field: {"$ref": f"#/{_DEFINITIONS}/{name}"}},
        "required": [field],
        "additionalProperties": False,
        _DEFINITIONS: definitions,
    }
    return {"$schema": schema["$schema"], **around} if "$schema" in schema else around


def as_items(schema: Mapping[str, object]) -> dict[str, object]:
    """Return the schema of a list whose items the schema describes; references stay valid."""
    name, definitions = _as_definition(schema)
    return {"type": "array", "items": {"$ref": f"#/{_DEFINITIONS}/{name}"}, _DEFINITIONS: definitions}


def _as_definition(schema: Mapping[str, object]) -> tuple[str, dict[str, object]]:
    """Return the definitions of a schema with the schema itself as one of them, and its name there."""
    definitions = object_in(schema, _DEFINITIONS)
    name = _NAME
    while name in definitions:
        name += "_"
    # An identifier would make it a document of its own, whose references lead no further.
    own = {key: value for key, value in schema.items() if key not in ("$id", "$schema", _DEFINITIONS)}
    return name, {key: _moved(value, name) for key, value in {**definitions, name: own}.items()}


def _moved(node: object, name: str) -> object:
    """Return a part of a schema after the schema has become a definition."""
    if is_array(node):
        return [_moved(item, name) for item in node]
    if not is_object(node) or "$id" in node:
        return node
    moved: dict[str, object] = {}
    for key, value in node.items():
        if key in ("$ref", "$dynamicRef") and isinstance(value, str):
            is_own = value == "#" or (value.startswith("#/") and not value.startswith(f"#/{_DEFINITIONS}/"))
            moved[key] = f"#/{_DEFINITIONS}/{name}{value[1:]}" if is_own else value  # an anchor needs no path
        elif key in _BY_NAME and is_object(value):
            moved[key] = {inner: _moved(part, name) for inner, part in value.items()}
        else:
            moved[key] = value if key in _DATA else _moved(value, name)
    return moved
