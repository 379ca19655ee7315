"""What can be asked for: any type that pydantic validates, or a JSON Schema, with its schema and its reader."""

from __future__ import annotations

import copy
import inspect
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, JsonRef, JsonSchemaValue
from pydantic_core.core_schema import DictSchema

from .json_schema import SchemaAdapter, as_items, as_value, with_object_at_top

if TYPE_CHECKING:
    from ..partial.shapes import Shape

VALUE = "value"
"""The field that holds an answer which is no object by itself: providers take objects alone as the top of a schema."""

# What OpenAI takes as the name of a tool or of a schema, the narrowest rule among the providers.
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_-]+")
_LONGEST_NAME = 64
# Of what is wrong with an answer, as much as a model can act upon; a list of a thousand bad items repeats itself.
_SHOWN_PROBLEMS = 20


class BadAnswerError(Exception):
    """An answer is no value of the type; the message says why, to the model and to the user alike."""


class NotJSONError(BadAnswerError):
    """A text is no JSON document."""


class _Adapter(Protocol):
    """What reads JSON: pydantic's adapter of a type, or the one of a JSON Schema."""

    def validate_json(self, data: str, /, *, context: Any = None) -> Any: ...


class BareType:
    """A type whose JSON is read as it stands.

    Args:
        adapter: Reads it.
    """

    def __init__(self, adapter: _Adapter) -> None:
        self._adapter = adapter

    def read(self, text: str, context: Any = None) -> Any:
        """Read a value from a whole JSON document.

        Raises:
            NotJSONError: The text is none.
            BadAnswerError: It is one, and no value of the type.
        """
        try:
            return self._adapter.validate_json(text, context=context)
        except ValidationError as error:
            raise _refused(error) from None
        except UnicodeEncodeError:
            raise NotJSONError("The answer is not valid JSON: it has half of a surrogate pair.") from None


class AnswerType:
    """A type of answers, made once.

    Attributes:
        response_model: The type as it was given.
        name: Its name, as providers take names.
        title: Its name, as a message calls it.
        wrapped: Whether it is asked for as the `value` of an object.
        schema: Its JSON Schema, with an object at the top.

    Raises:
        TypeError: It is no type that can be asked for.
    """

    def __init__(self, response_model: Any) -> None:
        self.response_model = response_model
        own, schema = _adapter_of(response_model)
        schema = with_object_at_top(schema)
        self.wrapped = schema.get("type") != "object" or "properties" not in schema
        self._bare = BareType(own)
        self._asked = self._bare
        if self.wrapped:
            adapter, schema = _wrapped(response_model, own, schema)
            self._asked = BareType(adapter)
        self.schema = schema
        title = schema.get("title")
        self.name = _NOT_IN_A_NAME.sub("_", title if isinstance(title, str) else "").strip("_")[:_LONGEST_NAME]
        self.name = self.name or "Answer"
        self.title = type_name(response_model) if self.wrapped else self.name

    def __repr__(self) -> str:
        return f"AnswerType({self.title})"

    def shape(self) -> Shape:
        """Return how a value looks while it grows; the top one, with the wrapping taken off."""
        from ..partial.partial_types import root_shape, schema_shape

        if isinstance(self.response_model, Mapping):
            return schema_shape(self.schema, VALUE if self.wrapped else None)
        return root_shape(self.response_model, VALUE if self.wrapped else None)

    def documentation(self) -> str | None:
        """Return the docstring of the type itself, whose Args section describes its fields."""
        text = None if self.wrapped else getattr(self.response_model, "__dict__", {}).get("__doc__")
        return inspect.cleandoc(text) if isinstance(text, str) else None

    def read(self, text: str, context: Any = None) -> Any:
        """Read a value from a whole JSON document.

        Raises:
            NotJSONError: The text is none.
            BadAnswerError: It is one, and no value of the type.
        """
        if not self.wrapped or text.startswith("["):
            return self._bare.read(text, context)
        value = self._asked.read(text, context)
        return value[VALUE] if isinstance(value, dict) else value.value

    def items(self) -> BareType:
        """Return the type of the items of this one, a list."""
        if isinstance(self.response_model, Mapping):
            definitions = {"$defs": self.response_model["$defs"]}
            return BareType(SchemaAdapter({**self.response_model["items"], **definitions}))
        return BareType(TypeAdapter(get_args(self.response_model)[0]))


def list_of(response_model: Any) -> Any:
    """Return the type of a list of a type."""
    return as_items(response_model) if isinstance(response_model, Mapping) else list[response_model]


def canonical(response_model: Any) -> Any:
    """Return what types have in common that mean the same, to be the key of a cache; JSON Schemas go by their content.

    `A | B` equals `B | A`, and is another type: where both fit, the first one is taken. And two
    `Annotated[int, Field(ge=1)]` are not equal.
    """
    if isinstance(response_model, type):
        return response_model
    if isinstance(response_model, Mapping):
        return ("schema", json.dumps(response_model, sort_keys=True, separators=(",", ":")))
    origin, arguments = get_origin(response_model), get_args(response_model)
    if origin is None:
        return _hashable(response_model)
    if origin is Literal:
        return (origin, *((type(value), value) for value in arguments))
    if origin is Annotated:
        return (origin, canonical(arguments[0]), *map(_hashable, arguments[1:]))
    return (origin, *map(canonical, arguments))


def _hashable(value: Any) -> Any:
    """Return what has a hash and stands for a value, in the key of a cache that keeps the value itself."""
    if isinstance(value, FieldInfo):
        return (FieldInfo, *(_hashable(getattr(value, name, None)) for name in FieldInfo.__slots__))
    if isinstance(value, list | tuple):
        return (type(value), *map(_hashable, value))
    if isinstance(value, set):
        return (set, frozenset(map(_hashable, value)))
    if isinstance(value, dict):
        return (dict, *((_hashable(key), _hashable(item)) for key, item in value.items()))
    try:
        hash(value)
    except TypeError:
        # Whoever keeps a type keeps its parts, so that an id stays its own.
        return ("id", id(value))
    return (type(value), value)


def _adapter_of(response_model: Any) -> tuple[Any, dict[str, Any]]:
    if isinstance(response_model, Mapping):
        schema = copy.deepcopy(dict(response_model))
        return SchemaAdapter(schema), schema
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(response_model)
        return adapter, adapter.json_schema(schema_generator=_TypeSchema)
    except PydanticUserError as error:
        reason = error.message.partition("\n")[0]
        raise TypeError(f"{type_name(response_model)} is no type that can be asked for: {reason}") from error


class _TypeSchema(GenerateJsonSchema):
    """pydantic's schema of a type, which also says of a map what its keys look like when they are no texts.

    In JSON they are texts all the same: pydantic reads them back, and leaves it to the model to guess it.
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


def _wrapped(response_model: Any, own: Any, schema: dict[str, Any]) -> tuple[_Adapter, dict[str, Any]]:
    if isinstance(own, SchemaAdapter):
        around = as_value(schema, VALUE)
        return SchemaAdapter(around), around
    model: type[BaseModel] = create_model("Answer", **{VALUE: (response_model, ...)})  # type: ignore[call-overload]
    adapter: TypeAdapter[Any] = TypeAdapter(model)
    return adapter, adapter.json_schema(schema_generator=_TypeSchema)


def _refused(error: ValidationError) -> BadAnswerError:
    details = error.errors(include_url=False, include_context=False, include_input=False)
    if len(details) == 1 and details[0]["type"] == "json_invalid":
        return NotJSONError(f"The answer is not valid JSON: {details[0]['msg'].removeprefix('Invalid JSON: ')}.")
    lines = [f"{'.'.join(map(str, d['loc'])) or 'the answer'}: {d['msg']}" for d in details[:_SHOWN_PROBLEMS]]
    if len(details) > _SHOWN_PROBLEMS:
        lines.append(f"and {len(details) - _SHOWN_PROBLEMS} more problems of this kind")
    return BadAnswerError("\n".join(lines))


def type_name(response_model: Any) -> str:
    """Return how a type is called in a message."""
    if isinstance(response_model, Mapping):
        return str(response_model.get("title") or "JSON Schema")
    return response_model.__name__ if isinstance(response_model, type) else str(response_model).replace("typing.", "")
