"""JSON Schemas that a provider can hold a model to: OpenAI's strict subset, which the others take as well.

Source: OpenAI's guide to structured outputs, "Supported schemas".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .json_schema import ANNOTATIONS, array_in, is_array, is_object, object_in, resolved

_STRUCTURE = frozenset(("$ref", "anyOf", "const", "description", "enum", "items", "properties", "title", "type"))
_LIMITS = frozenset(("exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "multipleOf"))
_KEPT = _STRUCTURE | _LIMITS | frozenset(("maxItems", "minItems", "pattern"))
_FORMATS = frozenset(("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"))
# Told to the model in words; the value is validated by them afterwards.
_TOLD_OF_TEXTS = frozenset(("contentEncoding", "contentMediaType", "format", "maxLength", "minLength"))
_TOLD_OF_OTHERS = frozenset(("maxContains", "maxProperties", "minContains", "minProperties", "uniqueItems"))
_TOLD = _TOLD_OF_TEXTS | _TOLD_OF_OTHERS
_DROPPED = ANNOTATIONS - {"$defs"} | {"$id", "discriminator"}
# What a strict schema may hold at most; beyond, the provider refuses the request.
_MOST_PROPERTIES = 5000
_MOST_ENUM_VALUES = 1000
_MANY_ENUM_VALUES, _MOST_ENUM_CHARACTERS = 250, 15_000  # of one enum with so many values
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
    """The schema allows what the strict subset cannot express."""


@dataclass(frozen=True, slots=True)
class StrictSchema:
    """A schema in the strict subset, for a type's own schema.

    A field that may be left out has to be there in the strict subset; it may be null instead.

    Attributes:
        schema: The strict schema.
        original: The type's own.
        has_nulls: Whether there are such fields.
    """

    schema: dict[str, object]
    original: Mapping[str, object]
    has_nulls: bool

    def without_nulls(self, value: object) -> object:
        """Return an answer without the fields that are null because they could not be left out."""
        return _Nulls(self.original).left_out(self.original, value) if self.has_nulls else value


def strict_schema(schema: Mapping[str, object]) -> StrictSchema | None:
    """Make a schema strict.

    Returns:
        None when the strict subset cannot express what the schema allows (maps, tuples, any value, conditions), or not
        at such a length.
    """
    maker = _StrictSchemaMaker(schema)
    try:
        made = maker.made(schema, is_top=True)
    except (_NotStrictError, RecursionError):  # a reference may lead to itself
        return None
    if maker.properties > _MOST_PROPERTIES or maker.enum_values > _MOST_ENUM_VALUES:
        return None
    return StrictSchema(made, schema, maker.has_nulls)


class _StrictSchemaMaker:
    def __init__(self, root: Mapping[str, object]) -> None:
        self._nulls = _Nulls(root)
        self.has_nulls = False
        self.properties = 0
        self.enum_values = 0

    def made(self, node: object, *, is_top: bool = False) -> dict[str, object]:
        if not is_object(node):
            raise _NotStrictError  # true: any value
        made: dict[str, object] = {}
        notes: list[str] = []
        if not is_top and "$id" in node and "'$ref'" in repr(node):
            raise _NotStrictError  # a document of its own, whose references lead no further
        node = _normal(node)
        for key, value in node.items():
            if key == "$defs" and is_top and is_object(value):
                made["$defs"] = {name: self.made(part) for name, part in value.items()}
            elif key == "properties" and is_object(value):
                made["properties"] = {name: self._property(node, name, part) for name, part in value.items()}
                made["required"] = list(value)
                made["additionalProperties"] = False
            elif key == "items":
                made["items"] = self.made(value)
            elif key == "anyOf" and is_array(value):
                made["anyOf"] = [self.made(branch) for branch in value]
            elif key in _KEPT or (key == "format" and value in _FORMATS):
                made[key] = value
            elif key in _TOLD:
                notes.append(f"{key}: {value}")
            elif key == "default":
                notes.append(f"default: {value!r}")
            elif key not in _DROPPED and key not in ("required", "additionalProperties"):
                raise _NotStrictError
        _check(node, made)
        has_fields, has_branches = "properties" in made, "anyOf" in made
        if (is_top and not has_fields) or (has_fields and has_branches):  # the subset forbids all other fields in each
            raise _NotStrictError
        self.properties += len(object_in(made, "properties"))
        self.enum_values += len(array_in(made, "enum"))
        if notes:
            made["description"] = f"{made.get('description', '')} ({', '.join(notes)})".strip()
        if "$ref" in made and len(made) > 1:
            if made.keys() - ANNOTATIONS != {"$ref"}:
                raise _NotStrictError
            made = {"anyOf": [{"$ref": made.pop("$ref")}], **made}  # the subset allows nothing beside a reference
        return made

    def _property(self, node: Mapping[str, object], name: str, part: object) -> dict[str, object]:
        made = self.made(part)
        if not self._nulls.means_left_out(node, name):
            return made
        self.has_nulls = True
        description = {key: made.pop(key) for key in ("description",) if key in made}
        return {"anyOf": [made, {"type": "null"}], **description}


class _Nulls:
    """The fields that are null where they are meant to be left out."""

    def __init__(self, root: Mapping[str, object]) -> None:
        self._root = root

    def means_left_out(self, node: Mapping[str, object], name: str) -> bool:
        """Return whether a field may be left out and may not be null by itself."""
        if name in array_in(node, "required"):
            return False
        part = self._resolved(object_in(node, "properties")[name])
        # A field that can have one value alone, the tag of a variant, is that value whether or not it may be left out.
        return not ("const" in part or len(array_in(part, "enum")) == 1 or self._may_be_null(part))

    def left_out(self, node: object, value: object) -> object:
        """Return the value of a part of the schema without such fields."""
        part = self._resolved(node)
        if is_array(value):
            return [self.left_out(part.get("items"), item) for item in value]
        if not is_object(value):
            return value
        part = self._variant(part, value)
        properties = object_in(part, "properties")
        return {
            name: self.left_out(properties.get(name), item)
            for name, item in value.items()
            if item is not None or name not in properties or not self.means_left_out(part, name)
        }

    def _resolved(self, node: object) -> Mapping[str, object]:
        if not is_object(node):
            return {}
        part = resolved(self._root, node)
        if part is None:
            raise _NotStrictError
        return _normal(part)

    def _variant(self, node: Mapping[str, object], value: Mapping[str, object]) -> Mapping[str, object]:
        """Return the branch of a union that an object belongs to: it has every field of it, and its tag."""
        for branch in _branches(node):
            found = self._variant(self._resolved(branch), value)
            properties = object_in(found, "properties")
            tags = {name: self._resolved(part).get("const") for name, part in properties.items()}
            if properties.keys() == value.keys() and all(tags[name] in (None, value[name]) for name in tags):
                return found
        return node

    def _may_be_null(self, part: Mapping[str, object]) -> bool:
        if "null" in _types(part) or None in array_in(part, "enum"):
            return True
        return any(self._may_be_null(self._resolved(branch)) for branch in _branches(part))


def _normal(node: Mapping[str, object]) -> dict[str, object]:
    """Return a part of a schema with the keywords of the subset in place of others that mean the same."""
    normal = dict(node)
    parts = array_in(node, "allOf")
    if len(parts) == 1 and is_object(parts[0]) and node.keys() - ANNOTATIONS == {"allOf"}:
        normal = {**parts[0], **{key: value for key, value in normal.items() if key != "allOf"}}
    if "oneOf" in normal and "anyOf" not in normal:
        normal["anyOf"] = normal.pop("oneOf")
    if "type" not in normal and ("enum" in normal or "const" in normal):
        values = array_in(normal, "enum") if "enum" in normal else [normal["const"]]
        types = list(dict.fromkeys(_type_of(value) for value in values))
        normal["type"] = types[0] if len(types) == 1 else types
    return normal


def _check(node: Mapping[str, object], made: Mapping[str, object]) -> None:
    """Raise if a part of a schema allows what the subset cannot express."""
    types, properties = _types(made), node.get("properties")
    if "object" in types and (properties is None or node.get("additionalProperties", False) is not False):
        raise _NotStrictError
    if not set(array_in(node, "required")) <= object_in(node, "properties").keys():
        raise _NotStrictError
    if "array" in types and "items" not in node:
        raise _NotStrictError
    if not made.keys() & {"$ref", "anyOf", "type"}:
        raise _NotStrictError
    reference = str(made.get("$ref", "#/$defs/"))
    if not reference.startswith("#/$defs/") or "/" in reference.removeprefix("#/$defs/"):
        raise _NotStrictError
    values = array_in(made, "enum")
    if len(values) > _MANY_ENUM_VALUES and sum(len(str(value)) for value in values) > _MOST_ENUM_CHARACTERS:
        raise _NotStrictError


def _type_of(value: object) -> str:
    for kind, name in _TYPES.items():
        if isinstance(value, kind):
            return name
    raise _NotStrictError


def _types(node: Mapping[str, object]) -> Sequence[object]:
    kind = node.get("type")
    return (kind,) if isinstance(kind, str) else array_in(node, "type")


def _branches(node: Mapping[str, object]) -> list[object]:
    return [*array_in(node, "anyOf"), *array_in(node, "oneOf")]
