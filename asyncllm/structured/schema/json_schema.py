"""JSON Schemas as types: validated by jsonschema, and brought into the form that providers take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from pydantic_core import PydanticCustomError, ValidationError, from_json

_DEFINITIONS = "$defs"
_NAME = "Answer"  # of a schema that is moved into the definitions


class SchemaAdapter:
    """Reads JSON that is valid for a schema; what it gives is what JSON has: dicts, lists, texts and numbers.

    Raises:
        TypeError: The schema is none, or refers to another document.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        for reference in _references(schema):
            if not reference.startswith("#"):
                raise TypeError(f"a JSON Schema that refers to another document cannot be asked for: {reference!r}")
        self._check()

    def validate_json(self, data: str, /, *, context: Any = None) -> Any:
        """Read a document; `context` is pydantic's and means nothing here.

        Raises:
            ValidationError: It is no JSON, or not valid.
        """
        try:
            value = from_json(data)
        except ValueError as error:
            raise _error([((), "json_invalid", f"Invalid JSON: {error}")], data) from None
        problems = [
            (tuple(problem.absolute_path), "json_schema", problem.message)
            for problem in sorted(self._validator.iter_errors(value), key=lambda problem: problem.json_path)
        ]
        if problems:
            raise _error(problems, data)
        return value

    def _check(self) -> None:
        from jsonschema import SchemaError

        try:
            self._kind.check_schema(self._schema)
        except SchemaError as error:
            raise TypeError(f"this is not a JSON Schema: {error.message} at {error.json_path}") from None

    @cached_property
    def _kind(self) -> Any:
        # Imported with the first schema: most users never have one.
        from jsonschema.validators import Draft202012Validator, validator_for

        return validator_for(self._schema, default=Draft202012Validator)

    @cached_property
    def _validator(self) -> Any:
        return self._kind(self._schema, format_checker=self._kind.FORMAT_CHECKER)


def with_object_at_top(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema whose top is no mere reference to one of its definitions, as that of a recursive model is."""
    reference = schema.get("$ref")
    name = reference.removeprefix(f"#/{_DEFINITIONS}/") if isinstance(reference, str) else None
    target = schema.get(_DEFINITIONS, {}).get(name)
    if name is None or not isinstance(target, dict) or "$ref" in target:
        return schema
    return {**target, **{key: value for key, value in schema.items() if key != "$ref"}}


def as_value(schema: Mapping[str, Any], field: str) -> dict[str, Any]:
    """Return the schema of an object with one field that the schema describes; references stay valid."""
    name, definitions = _as_definition(schema)
    around: dict[str, Any] = {
        "title": str(schema.get("title") or _NAME),
        "type": "object",
        "properties": {field: {"$ref": f"#/{_DEFINITIONS}/{name}"}},
        "required": [field],
        "additionalProperties": False,
        _DEFINITIONS: definitions,
    }
    return {"$schema": schema["$schema"], **around} if "$schema" in schema else around


def as_items(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a list whose items the schema describes; references stay valid."""
    name, definitions = _as_definition(schema)
    return {"type": "array", "items": {"$ref": f"#/{_DEFINITIONS}/{name}"}, _DEFINITIONS: definitions}


def _as_definition(schema: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the definitions of a schema with the schema itself as one of them, and its name there."""
    definitions = schema.get(_DEFINITIONS, {})
    name = _NAME
    while name in definitions:
        name += "_"
    own = _moved({key: value for key, value in schema.items() if key not in ("$schema", _DEFINITIONS)}, name)
    return name, {**{key: _moved(value, name) for key, value in definitions.items()}, name: own}


def _moved(node: Any, name: str) -> Any:
    """Return a part of a schema after the schema has become a definition."""
    if isinstance(node, list):
        return [_moved(item, name) for item in node]
    if not isinstance(node, Mapping):
        return node
    moved = {key: _moved(value, name) for key, value in node.items()}
    reference = node.get("$ref")
    if isinstance(reference, str) and not reference.startswith(f"#/{_DEFINITIONS}/"):
        moved["$ref"] = f"#/{_DEFINITIONS}/{name}{reference[1:]}"
    return moved


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        reference = node.get("$ref")
        if isinstance(reference, str):
            yield reference
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _error(problems: list[tuple[tuple[Any, ...], str, str]], data: str) -> ValidationError:
    # pydantic's own error, so that whoever reads answers meets one kind.
    return ValidationError.from_exception_data(
        "JSON Schema",
        [
            {"type": PydanticCustomError(kind, "{message}", {"message": message}), "loc": path, "input": data}
            for path, kind, message in problems
        ],
        input_type="json",
    )
