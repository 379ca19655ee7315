"""Types of answers: any type that pydantic validates, or a JSON Schema."""

from __future__ import annotations

import copy
import inspect
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, cast, get_args, get_origin

from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, JsonRef, JsonSchemaValue
from pydantic_core.core_schema import DictSchema
from typing_extensions import TypedDict, TypeVar

from .json_schema import as_items, as_value, is_array, is_object, object_in, with_object_at_top
from .readers import BadAnswerError, Read, parsed, schema_reader, type_reader

if TYPE_CHECKING:
    from typing_extensions import TypeForm

    from ..partial.shapes import Shape

T = TypeVar("T", default=Any)

VALUE = "value"
"""The field that holds an answer that is no object by itself: providers take only objects at the top of a schema."""

# What OpenAI takes as the name of a tool or of a schema, the narrowest rule among the providers.
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_-]+")
_LONGEST_NAME = 64


class AnswerType(Generic[T]):
    """A type of answers, made once.

    Attributes:
        response_model: The type as it was given; of a JSON Schema, a copy.
        name: Its name, as providers take names.
        title: Its name in messages.
        wrapped: Whether it is asked for as the `value` of an object.
        schema: Its JSON Schema, with an object at the top.

    Raises:
        TypeError: It is no type that can be asked for.
    """

    def __init__(self, response_model: TypeForm[T]) -> None:
        self.response_model = copy.deepcopy(dict(response_model)) if is_object(response_model) else response_model
        self._read_own: Read[T]
        self._read_own, own_schema = _reader_of(self.response_model)
        self.schema: Mapping[str, object] = with_object_at_top(own_schema)
        self.wrapped = self.schema.get("type") != "object" or "properties" not in self.schema
        if self.wrapped:
            wrapped = as_value(self.schema, VALUE) if is_object(response_model) else _typed_dict(response_model)
            self._read_wrapped: Read[Mapping[str, T]]
            self._read_wrapped, self.schema = _reader_of(wrapped)
        title = self.schema.get("title")
        name = _NOT_IN_A_NAME.sub("_", title if isinstance(title, str) else "").strip("_")[:_LONGEST_NAME]
        self.name = name or "Answer"
        self.title = type_name(response_model) if self.wrapped else self.name

    def __repr__(self) -> str:
        return f"AnswerType({self.title})"

    def shape(self) -> Shape:
        """Return the shape of partial values, without the object around the value."""
        from ..partial.partial_types import root_shape

        return root_shape(self.response_model, VALUE if self.wrapped else None)

    def documentation(self) -> str | None:
        """Return the docstring of the type itself, whose Args section describes its fields."""
        text = None if self.wrapped else getattr(self.response_model, "__dict__", {}).get("__doc__")
        return inspect.cleandoc(text) if isinstance(text, str) else None

    def read(self, text: str, context: object = None) -> T:
        """Read a value from a whole JSON document, as `Read` does."""
        if not self.wrapped or not text.startswith("{"):
            return self._read_own(text, context)
        try:
            return self._read_wrapped(text, context)[VALUE]
        except BadAnswerError:
            value = parsed(text)
            if is_object(value) and VALUE not in value:  # the value itself, without the object around it
                with suppress(BadAnswerError):
                    return self._read_own(text, context)
            raise

    def items(self) -> Read[object]:
        """Return the reader of the items, of a type that is a list."""
        if not is_object(self.response_model):
            return type_reader(TypeAdapter(get_args(self.response_model)[0]))
        definitions = {"$defs": self.response_model["$defs"]}
        return schema_reader({**object_in(self.response_model, "items"), **definitions})


def list_of(response_model: TypeForm[T]) -> TypeForm[list[T]]:
    """Return the type of a list of a type."""
    kind: Any = list  # to checkers, what is in the brackets is no type
    made: Any = as_items(response_model) if is_object(response_model) else kind[response_model]
    return cast("TypeForm[list[T]]", made)


def type_name(response_model: object) -> str:
    """Return the name of a type in messages."""
    if is_object(response_model):
        return str(response_model.get("title") or "JSON Schema")
    return response_model.__name__ if isinstance(response_model, type) else str(response_model).replace("typing.", "")


def canonical(response_model: object) -> object:
    """Return the key of a type in a cache: equal for types that mean the same; JSON Schemas go by their content.

    `A | B` equals `B | A`, and is another type: where both fit, the first one is taken. And two
    `Annotated[int, Field(ge=1)]` are not equal.
    """
    if isinstance(response_model, type):
        return response_model
    if is_object(response_model):
        return ("schema", json.dumps(response_model, sort_keys=True, separators=(",", ":")))
    origin: object = get_origin(response_model)
    arguments = get_args(response_model)
    if origin is None:
        return _hashable(response_model)
    if origin is Literal:
        return (origin, *(_hashable(value) for value in arguments))
    if origin is Annotated:
        return (origin, canonical(arguments[0]), *map(_hashable, arguments[1:]))
    return (origin, *map(canonical, arguments))


def _hashable(value: object) -> object:
    """Return a hashable stand-in for a value, for the key of a cache that keeps the value itself."""
    kind: type[object] = type(value)
    if isinstance(value, FieldInfo):
        return (FieldInfo, *(_hashable(getattr(value, name, None)) for name in FieldInfo.__slots__))
    if is_array(value):
        return (kind, *map(_hashable, value))
    if is_object(value):
        return (kind, *((_hashable(key), _hashable(item)) for key, item in value.items()))
    if isinstance(value, set):
        return (set, frozenset(map(_hashable, cast("set[object]", value))))
    try:
        hash(value)
    except TypeError:
        # The cache keeps the type with its parts, so that no other object gets this id.
        return ("id", id(value))
    return (kind, value)


def _reader_of(response_model: object) -> tuple[Read[Any], Mapping[str, object]]:
    if is_object(response_model):
        return schema_reader(response_model), response_model
    try:
        adapter: TypeAdapter[object] = TypeAdapter(cast(Any, response_model))
        return type_reader(adapter), adapter.json_schema(schema_generator=_TypeSchema)
    except PydanticUserError as error:
        reason = error.message.partition("\n")[0]
        raise TypeError(f"{type_name(response_model)} is no type that can be asked for: {reason}") from error


def _typed_dict(response_model: object) -> object:
    make: Any = TypedDict  # checkers take it only with types that are written out
    return make("Answer", {VALUE: response_model})


class _TypeSchema(GenerateJsonSchema):
    """pydantic's schema of a type, which also describes the keys of a map when they are not strings.

    In JSON every key is a string: pydantic reads them back, but leaves the model to guess their form.
    """

    def dict_schema(self, schema: DictSchema) -> JsonSchemaValue:
        made = super().dict_schema(schema)
        keys = self.generate_inner(schema["keys_schema"]) if "keys_schema" in schema else {}
        if "$ref" in keys:
            keys = self.get_schema_from_definitions(JsonRef(keys["$ref"])) or {}
        values = keys.get("enum", [keys["const"]] if "const" in keys else ())
        if any(not isinstance(value, str) for value in values):
            made["propertyNames"] = {
                "enum": [value if isinstance(value, str) else json.dumps(value) for value in values]
            }
        elif not values and keys.get("type") in _KEYS:
            made["propertyNames"] = _KEYS[keys["type"]]
        return made


_KEYS: Mapping[str, JsonSchemaValue] = {
    "integer": {"pattern": "^-?[0-9]+$"},
    "number": {"pattern": r"^-?[0-9]+(\.[0-9]+)?$"},
    "boolean": {"enum": ["true", "false"]},
}
