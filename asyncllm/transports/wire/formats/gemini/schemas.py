"""JSON Schemas in the API's subset of OpenAPI schemas, as litellm writes them.

Source: litellm/llms/vertex_ai/common_utils.py, build_vertex_schema.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from asyncllm.transports.wire.rules.parameter_rules import names

from ..format import UnservedError
from ..json_values import JsonObject, is_list, is_mapping, is_object
from ..schema_references import DEFINITIONS, definitions_in, resolved

# The keywords of the subset. Source: litellm/types/llms/vertex_ai.py, Schema.
_KEYWORDS = names(
    """
    anyOf default description enum example format items maxItems maxLength maxProperties maximum minItems minLength
    minProperties minimum nullable pattern properties propertyOrdering required title type
    """
)
_FORMATS = ("enum", "date-time")  # the others are refused
# Move into the alternatives of a type that is one of several.
_OF_CONTAINERS = names("additionalProperties items maxItems maxProperties minItems minProperties properties required")
_ALTERNATIVES = ("anyOf", "oneOf", "allOf")
# What the subset cannot say, and JSON Schema as the API takes it can.
_ONLY_JSON_SCHEMA = ("oneOf", "prefixItems")


def subset(schema: Mapping[str, object], *, ordered: bool = False) -> JsonObject:
    """Return a schema in the API's subset, with references resolved and other keywords left out.

    Args:
        schema: The schema.
        ordered: Whether to name the order of properties, which an answer otherwise has by their names.

    Raises:
        UnservedError: The subset cannot express it.
    """
    rest = {name: value for name, value in schema.items() if name not in DEFINITIONS}
    definitions = definitions_in(schema)
    made = _converted(resolved(rest, definitions) if definitions else rest)
    if ordered:
        _add_order(made)
    return made


def needs_json_schema(schema: Mapping[str, object]) -> bool:
    """Return whether the subset would lose something that JSON Schema as the API takes it has."""
    definitions = definitions_in(schema)
    rest = {name: value for name, value in schema.items() if name not in DEFINITIONS}
    return any(map(_is_lost, _nodes(resolved(rest, definitions) if definitions else rest)))


def _is_lost(node: Mapping[str, object]) -> bool:
    values = node.get("enum")
    return (
        isinstance(node.get("$ref"), str)  # a recursive one
        or is_mapping(node.get("additionalProperties"))
        or any(is_list(node.get(name)) for name in _ONLY_JSON_SCHEMA)
        or (is_list(values) and any(not isinstance(value, str) for value in values))
    )


def _nodes(node: object) -> Iterator[Mapping[str, object]]:
    """Return a schema and all schemas in it."""
    if not is_mapping(node):
        return
    yield node
    for name, value in node.items():
        if name == "properties" and is_mapping(value):
            for inner in value.values():
                yield from _nodes(inner)
        elif name in ("items", "additionalProperties"):
            yield from _nodes(value)
        elif name in (*_ALTERNATIVES, "prefixItems") and is_list(value):
            for inner in value:
                yield from _nodes(inner)


def _converted(node: object, *, is_alternative: bool = False) -> JsonObject:
    """Return one schema in the subset.

    Args:
        node: The schema.
        is_alternative: Whether it is, or is part of, one of several alternatives.
    """
    if not is_mapping(node):
        raise UnservedError("a part of a schema is no object")
    made: JsonObject = dict(node)
    if "const" in made and isinstance(made["const"], str):
        made.setdefault("enum", [made["const"]])
    alternatives = made.get("anyOf")
    if is_list(alternatives) and not is_alternative:
        made["anyOf"] = _nullable(alternatives)
    _split_types(made)
    _keep_enum(made, is_alternative=is_alternative)
    if str(made.get("type")).lower() == "array" and made.get("items", {}) == {}:
        made["items"] = {"type": "object"}
    if not any(name in made for name in ("type", *_ALTERNATIVES)):
        made["type"] = "object"
    _settle_properties(made, is_alternative=is_alternative)
    if "items" in made and made["items"] is not None:
        made["items"] = _converted(made["items"], is_alternative=is_alternative)
    alternatives = made.get("anyOf")
    if is_list(alternatives) and alternatives:
        return _alternatives(made, [_converted(inner, is_alternative=True) for inner in alternatives])
    return {name: value for name, value in made.items() if name in _KEYWORDS and _is_kept(name, value)}


def _is_kept(name: str, value: object) -> bool:
    return name != "format" or value in _FORMATS


def _nullable(alternatives: object) -> list[JsonObject]:
    """Say of the alternatives that they may be null, rather than have null among them."""
    listed = [dict(inner) for inner in alternatives if is_mapping(inner)] if is_list(alternatives) else []
    others: list[JsonObject] = [inner or {"type": "object"} for inner in listed if inner.get("type") != "null"]
    if not others:
        raise UnservedError("litellm refuses a schema of null alone")
    if len(others) < len(listed):
        return [{**inner, "nullable": True} for inner in others]
    return others


def _split_types(made: JsonObject) -> None:
    """Replace a list of types by alternatives."""
    types = made.get("type")
    if not is_list(types):
        return
    if len(types) == 1:
        made["type"] = types[0]
        return
    moved = {name: made[name] for name in _OF_CONTAINERS if name in made}
    containers = ("object", "array")
    made["anyOf"] = [{"type": kind, **(moved if kind in containers else {})} for kind in types]
    if any(kind in containers for kind in types):
        for name in moved:
            del made[name]
    del made["type"]


def _keep_enum(made: JsonObject, *, is_alternative: bool) -> None:
    """Keep an enum of texts only, without the empty one, which the API refuses."""
    values = made.get("enum")
    if not is_list(values):
        return
    if str(made.get("type")).lower() != "string":
        del made["enum"]
    elif not is_alternative:
        made["enum"] = [None if value == "" else value for value in values]


def _settle_properties(made: JsonObject, *, is_alternative: bool) -> None:
    properties = made.get("properties")
    if properties is None:
        return
    if not is_mapping(properties):
        raise UnservedError("the properties of a schema are no object")
    made["type"] = "object"
    if not properties:  # which the API refuses
        del made["properties"]
        made.pop("required", None)
        return
    if made.get("required", ()) is None:
        del made["required"]
    made["properties"] = {name: _converted(inner, is_alternative=is_alternative) for name, inner in properties.items()}


def _alternatives(made: JsonObject, alternatives: list[JsonObject]) -> JsonObject:
    """Return alternatives alone, with the title and description of them all, since the API takes no more."""
    named = {name: made[name] for name in ("title", "description") if made.get(name)}
    return {"anyOf": [{**inner, **named} for inner in alternatives]}


def _add_order(made: JsonObject) -> None:
    properties = made.get("properties")
    if is_mapping(properties):
        made.setdefault("propertyOrdering", list(properties))
        for inner in properties.values():
            if is_object(inner):
                _add_order(inner)
    items = made.get("items")
    if is_object(items):
        _add_order(items)
