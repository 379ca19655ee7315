"""JSON Schemas that a provider can hold a model to: OpenAI's strict subset, which the others take as well.

Source: OpenAI's guide to structured outputs, "Supported schemas".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_KEPT = frozenset(
    (
        "$ref",
        "anyOf",
        "const",
        "description",
        "enum",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "items",
        "maxItems",
        "maximum",
        "minItems",
        "minimum",
        "multipleOf",
        "pattern",
        "properties",
        "title",
        "type",
    )
)
_FORMATS = frozenset(("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"))
# The model is told these in words, and the value is validated by them afterwards.
_SAID = frozenset(
    (
        "contentEncoding",
        "contentMediaType",
        "maxContains",
        "maxLength",
        "maxProperties",
        "minContains",
        "minLength",
        "minProperties",
        "uniqueItems",
    )
)
# Without meaning for the values that are allowed.
_DROPPED = frozenset(("$comment", "$id", "$schema", "deprecated", "discriminator", "examples", "readOnly", "writeOnly"))
# What a strict schema may hold at the most; beyond, the provider refuses the request.
_MOST_PROPERTIES = 5000
_MOST_ENUM_VALUES = 1000
_MANY_ENUM_VALUES, _MOST_ENUM_CHARACTERS = 250, 15_000  # of one enum with so many values
_NULL: dict[str, Any] = {"type": "null"}
_TYPES: Mapping[type, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    type(None): "null",
    list: "array",
    dict: "object",
}


class _NotStrictError(Exception):
    """The schema allows what the strict subset cannot say."""


@dataclass(frozen=True, slots=True)
class StrictSchema:
    """A schema in the strict subset, for a type's own schema.

    A field that may be left out has to be there in the strict subset; it may be null instead.

    Attributes:
        schema: The strict schema.
        original: The type's own.
        has_nulls: Whether there are such fields.
    """

    schema: dict[str, Any]
    original: Mapping[str, Any]
    has_nulls: bool

    def without_nulls(self, value: Any) -> Any:
        """Return an answer without the fields that are null because they could not be left out."""
        return _Nulls(self.original).left_out(self.original, value) if self.has_nulls else value


def strict_schema(schema: Mapping[str, Any]) -> StrictSchema | None:
    """Make a schema strict.

    Returns:
        None when the strict subset cannot say what the schema allows (maps, tuples, any value, conditions), or not at
        such a length.
    """
    maker = _StrictSchemaMaker(schema)
    try:
        made = maker.made(schema, top=True)
    except _NotStrictError:
        return None
    if maker.properties > _MOST_PROPERTIES or maker.enum_values > _MOST_ENUM_VALUES:
        return None
    return StrictSchema(made, schema, maker.has_nulls)


class _StrictSchemaMaker:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._nulls = _Nulls(root)
        self.has_nulls = False
        self.properties = 0
        self.enum_values = 0

    def made(self, node: Any, *, top: bool = False) -> dict[str, Any]:
        if not isinstance(node, Mapping):
            raise _NotStrictError  # true: any value
        notes: list[str] = []
        made: dict[str, Any] = {}
        for key, value in self._normal(node).items():
            if key == "$defs" and top:
                made["$defs"] = {name: self.made(part) for name, part in value.items()}
            elif key == "properties":
                made["properties"] = self._properties(node)
                made["required"] = list(value)
                made["additionalProperties"] = False
            elif key == "items":
                made["items"] = self.made(value)
            elif key == "anyOf":
                made["anyOf"] = [self.made(branch) for branch in value]
            elif key in _KEPT or (key == "format" and value in _FORMATS):
                made[key] = value
            elif key in _SAID or key == "format":
                notes.append(f"{key}: {value}")
            elif key == "default":
                notes.append(f"default: {value!r}")
            elif key not in _DROPPED and key not in ("required", "additionalProperties"):
                raise _NotStrictError
        _check(node, made, top)
        self.properties += len(made.get("properties", ()))
        self.enum_values += len(made.get("enum", ()))
        if notes:
            made["description"] = f"{made.get('description', '')} ({', '.join(notes)})".strip()
        if "$ref" in made and len(made) > 1:
            made = {"anyOf": [{"$ref": made.pop("$ref")}], **made}  # the subset takes nothing beside a reference
        return made

    def _normal(self, node: Mapping[str, Any]) -> dict[str, Any]:
        """Write a part of a schema with the keywords of the subset, where it says the same with others."""
        normal = dict(node)
        parts = normal.get("allOf")
        if parts is not None and len(parts) == 1 and isinstance(parts[0], Mapping):
            normal = {**parts[0], **{key: value for key, value in normal.items() if key != "allOf"}}
        if "oneOf" in normal and "anyOf" not in normal:
            normal["anyOf"] = normal.pop("oneOf")
        if "type" not in normal and ("enum" in normal or "const" in normal):
            values = normal["enum"] if "enum" in normal else [normal["const"]]
            kinds = list(dict.fromkeys(_TYPES[type(value)] for value in values))
            normal["type"] = kinds[0] if len(kinds) == 1 else kinds
        return normal

    def _properties(self, node: Mapping[str, Any]) -> dict[str, Any]:
        made = {}
        for name, part in node["properties"].items():
            made[name] = self.made(part)
            if self._nulls.means_left_out(node, name):
                self.has_nulls = True
                said = {key: made[name].pop(key) for key in ("description",) if key in made[name]}
                made[name] = {"anyOf": [made[name], _NULL], **said}
        return made


class _Nulls:
    """Which fields are null where they are meant to be left out."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root

    def means_left_out(self, node: Mapping[str, Any], name: str) -> bool:
        """Tell whether a field may be left out and may not be null by itself."""
        if name in node.get("required", ()):
            return False
        part = self.resolved(node["properties"][name])
        # A field that can have one value alone, the tag of a variant, is that value whether or not it may be left out.
        return not ("const" in part or len(part.get("enum", ())) == 1 or self._may_be_null(part))

    def left_out(self, node: Any, value: Any) -> Any:
        """Return the value of a part of the schema without such fields."""
        node = self.resolved(node)
        if isinstance(value, list):
            return [self.left_out(node.get("items"), item) for item in value]
        if not isinstance(value, dict):
            return value
        node = self._variant(node, value)
        properties = node.get("properties", {})
        return {
            name: self.left_out(properties.get(name), item)
            for name, item in value.items()
            if item is not None or name not in properties or not self.means_left_out(node, name)
        }

    def resolved(self, node: Any) -> Mapping[str, Any]:
        while isinstance(node, Mapping) and "$ref" in node:
            target: Any = self._root
            for step in node["$ref"].removeprefix("#").split("/")[1:]:
                target = target.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(target, Mapping) else None
            if target is None:
                raise _NotStrictError
            node = target
        return node if isinstance(node, Mapping) else {}

    def _variant(self, node: Mapping[str, Any], value: dict[str, Any]) -> Mapping[str, Any]:
        """Return the branch of a union that an object belongs to: it has every field of it, and its tag."""
        for branch in (*node.get("anyOf", ()), *node.get("oneOf", ())):
            found = self._variant(self.resolved(branch), value)
            properties = found.get("properties", {})
            tags = {name: self.resolved(part).get("const") for name, part in properties.items()}
            if properties.keys() == value.keys() and all(tags[n] in (None, value[n]) for n in tags):
                return found
        return node

    def _may_be_null(self, part: Mapping[str, Any]) -> bool:
        kinds = part.get("type", ())
        if "null" in ((kinds,) if isinstance(kinds, str) else kinds):
            return True
        if None in part.get("enum", ()):
            return True
        return any(self._may_be_null(self.resolved(b)) for b in (*part.get("anyOf", ()), *part.get("oneOf", ())))


def _check(node: Mapping[str, Any], made: Mapping[str, Any], top: bool) -> None:
    """Refuse what would allow other values than the subset can say."""
    kinds = made.get("type", ())
    kinds = (kinds,) if isinstance(kinds, str) else kinds
    properties = node.get("properties")
    if "object" in kinds and (properties is None or node.get("additionalProperties", False) is not False):
        raise _NotStrictError
    if not set(node.get("required", ())) <= set(properties or ()):
        raise _NotStrictError
    if "array" in kinds and "items" not in node:
        raise _NotStrictError
    if not made.keys() & {"$ref", "anyOf", "type"}:
        raise _NotStrictError
    reference = made.get("$ref", "#/$defs/")
    if not reference.startswith("#/$defs/") or "/" in reference.removeprefix("#/$defs/"):
        raise _NotStrictError
    if top and ("properties" not in made or "anyOf" in made):
        raise _NotStrictError
    values = made.get("enum", ())
    if len(values) > _MANY_ENUM_VALUES and sum(len(str(value)) for value in values) > _MOST_ENUM_CHARACTERS:
        raise _NotStrictError
