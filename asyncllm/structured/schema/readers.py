"""Readers of values: pydantic for types, jsonschema for JSON Schemas."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from .json_schema import references

T = TypeVar("T")

# Of the problems of an answer, as many as a model can act upon; a list of a thousand bad items repeats itself.
_SHOWN_PROBLEMS = 20
_LONE_SURROGATE = "The answer is not valid JSON: it has a lone surrogate."


class BadAnswerError(Exception):
    """An answer is no value of the type; the message is for the model and the user alike."""


class NotJSONError(BadAnswerError):
    """A text is not a JSON document."""


Read = Callable[[str, object], T]
"""Reads a value from a whole JSON document, with a context for pydantic's validators.

It raises NotJSONError when the text is not a document, and BadAnswerError when it is no value of the type.
"""


def type_reader(adapter: TypeAdapter[T]) -> Read[T]:
    """Return the reader of a type that pydantic validates."""

    def read(text: str, context: object) -> T:
        try:
            return adapter.validate_json(text, context=context)
        except ValidationError as error:
            problems = error.errors(include_url=False, include_context=False, include_input=False)
        except UnicodeEncodeError:
            raise NotJSONError(_LONE_SURROGATE) from None
        if [problem["type"] for problem in problems] == ["json_invalid"]:
            raise NotJSONError(f"The answer is not valid JSON: {problems[0]['msg'].removeprefix('Invalid JSON: ')}.")
        raise _bad_answer([(problem["loc"], problem["msg"]) for problem in problems])

    return read


def schema_reader(schema: Mapping[str, object]) -> Read[object]:
    """Return the reader of a JSON Schema; its values are plain data.

    Raises:
        TypeError: The schema is invalid, or refers to another document.
    """
    # Imported with the first schema: most users never have one.
    from jsonschema import SchemaError
    from jsonschema.validators import Draft202012Validator, validator_for

    for reference in references(schema):
        if not reference.startswith("#"):
            raise TypeError(f"a JSON Schema that refers to another document cannot be asked for: {reference!r}")
    kind = validator_for(schema, default=Draft202012Validator)
    try:
        kind.check_schema(dict(schema))
    except SchemaError as error:
        raise TypeError(f"this is not a JSON Schema: {error.message} at {error.json_path}") from None
    validator = kind(schema, format_checker=kind.FORMAT_CHECKER)

    def read(text: str, context: object) -> object:
        value: Any = parsed(text)
        problems = sorted(validator.iter_errors(value), key=lambda problem: problem.json_path)
        if problems:
            raise _bad_answer([(problem.absolute_path, problem.message) for problem in problems])
        return value

    return read


def parsed(text: str) -> object:
    """Read a whole JSON document as plain data.

    Raises:
        NotJSONError: The text is none.
    """
    try:
        return from_json(text)
    except ValueError as error:
        raise NotJSONError(f"The answer is not valid JSON: {error}.") from None
    except TypeError:
        raise NotJSONError(_LONE_SURROGATE) from None


def _bad_answer(problems: list[tuple[Iterable[str | int], str]]) -> BadAnswerError:
    lines = [
        f"{'.'.join(map(str, path)) or 'the answer'}: {message}" for path, message in islice(problems, _SHOWN_PROBLEMS)
    ]
    if len(problems) > _SHOWN_PROBLEMS:
        lines.append(f"and {len(problems) - _SHOWN_PROBLEMS} more problems of this kind")
    return BadAnswerError("\n".join(lines))
