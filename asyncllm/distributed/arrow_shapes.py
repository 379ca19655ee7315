"""Arrow types of typed answers, derived from their JSON Schema, and values that fit them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from ..batch.files import AnswerSchema
from ..narrowing import is_list, is_mapping, list_or_empty, mapping_or_empty
from .packages import arrow

Part: TypeAlias = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ArrowShape:
    """An Arrow type, and the function that makes JSON data a value of it."""

    type: Any
    fit: Callable[[Any], object]


class StructAnswers(AnswerSchema):
    """The type of typed answers, as JSON Schema, as JSON data and as an Arrow type.

    Objects are structs, arrays lists, and objects with any keys maps. What has no one type in Arrow, such as a union or
    a type that contains itself, is JSON text. Dates are ISO 8601 texts.
    """

    def __init__(self, response_model: Any) -> None:
        super().__init__(response_model)
        if not isinstance(response_model, Mapping):
            self.schema = self._adapter.json_schema(by_alias=False, mode="serialization")
        self.shape = shape_of(self.schema, self.schema, ())

    def dump(self, value: object) -> object:
        return self._adapter.dump_python(value, mode="json", by_alias=False)


def shape_of(part: object, root: Part, within: tuple[str, ...]) -> ArrowShape:
    """Return the shape of a part of a JSON Schema.

    Args:
        part: The part.
        root: The whole schema, with its definitions.
        within: The references that lead to the part.
    """
    schema = mapping_or_empty(part)
    reference = schema.get("$ref")
    if isinstance(reference, str):
        return _JSON if reference in within else shape_of(_definition(reference, root), root, (*within, reference))
    options = [option for option in _branches(schema) if mapping_or_empty(option).get("type") != "null"]
    if options:
        return shape_of(options[0], root, within) if len(options) == 1 else _JSON
    kind = _type_of(schema)
    if kind == "object":
        return _object(schema, root, within)
    if kind == "array" and "prefixItems" not in schema and is_mapping(schema.get("items")):
        return _list(shape_of(schema["items"], root, within))
    return _SCALARS.get(kind, _JSON)


def _object(schema: Part, root: Part, within: tuple[str, ...]) -> ArrowShape:
    properties = mapping_or_empty(schema.get("properties"))
    rest = schema.get("additionalProperties")
    if not properties:
        return _map(shape_of(rest, root, within)) if is_mapping(rest) and rest else _JSON
    if rest:
        return _JSON
    fields = {name: shape_of(part, root, within) for name, part in properties.items()}

    def fit(value: Mapping[str, object]) -> object:
        return {name: _fitted(shape, value.get(name)) for name, shape in fields.items()}

    return ArrowShape(arrow.struct([(name, shape.type) for name, shape in fields.items()]), fit)


def _list(items: ArrowShape) -> ArrowShape:
    return ArrowShape(arrow.list_(items.type), lambda value: [_fitted(items, item) for item in value])


def _map(values: ArrowShape) -> ArrowShape:
    return ArrowShape(
        arrow.map_(arrow.string(), values.type),
        lambda value: [(key, _fitted(values, item)) for key, item in value.items()],
    )


def _fitted(shape: ArrowShape, value: object) -> object:
    return None if value is None else shape.fit(value)


def _branches(schema: Part) -> list[object]:
    """Return the alternatives of a schema; none where it has no more than its own type."""
    for name in ("anyOf", "oneOf", "allOf"):
        if branches := list_or_empty(schema.get(name)):
            return [*branches]
    return []


def _type_of(schema: Part) -> str:
    """Return the one type of a schema besides null; an empty text where there are several, or none."""
    kind = schema.get("type")
    if is_list(kind):
        named = [name for name in kind if name != "null"]
        kind = named[0] if len(named) == 1 else None
    if kind is None and (given := list_or_empty(schema.get("enum")) or [schema.get("const")]):
        return "string" if all(isinstance(value, str) for value in given) else ""
    return kind if isinstance(kind, str) else ""


def _definition(reference: str, root: Part) -> object:
    definitions = {**mapping_or_empty(root.get("definitions")), **mapping_or_empty(root.get("$defs"))}
    return definitions.get(reference.rpartition("/")[2], root if reference == "#" else None)


def _text(value: object) -> str:
    # Arrow holds UTF-8, which has no form for a lone surrogate.
    return str(value).encode("utf-8", "backslashreplace").decode()


def _integer(value: object) -> int:
    number = int(cast(int, value))
    if not -(2**63) <= number < 2**63:
        raise OverflowError(f"{number} does not fit 64 bits")
    return number


_JSON = ArrowShape(arrow.string(), lambda value: _text(json.dumps(value, ensure_ascii=False)))
_SCALARS: Mapping[str, ArrowShape] = {
    "string": ArrowShape(arrow.string(), _text),
    "integer": ArrowShape(arrow.int64(), _integer),
    "number": ArrowShape(arrow.float64(), float),
    "boolean": ArrowShape(arrow.bool_(), bool),
}
