"""Readers of values: pydantic for types, jsonschema for JSON Schemas."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Container, Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from .json_schema import is_object

if TYPE_CHECKING:
    from referencing import Resource

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
        TypeError: The schema is invalid, refers to another document or to a part that it does not have, or uses what
            its draft does not know.
    """
    # Imported with the first schema: most users never have one.
    from jsonschema import SchemaError
    from jsonschema.validators import Draft202012Validator, validator_for
    from referencing import Registry
    from referencing.jsonschema import specification_with

    own = copy.deepcopy(dict(schema))
    kind = validator_for(own, default=Draft202012Validator)
    draft = kind.META_SCHEMA["$schema"]
    if str(own.get("$schema", draft)).rstrip("#") not in (draft.rstrip("#"), *_UNVERSIONED):
        raise TypeError(
            f"a JSON Schema of an unknown draft cannot be asked for: {own['$schema']!r}; without $schema it is read as"
            " one of draft 2020-12"
        )
    try:
        kind.check_schema(own)
    except SchemaError as error:
        raise TypeError(f"this is not a JSON Schema: {error.message} at {error.json_path}") from None
    root: Resource[Any] = specification_with(draft).create_resource(own)
    registry: Registry[Any] = Registry()
    _adapt(root, registry.resolver_with_root(root), kind.VALIDATORS)
    validator = kind(own, format_checker=kind.FORMAT_CHECKER)

    def read(text: str, context: object) -> object:
        value: Any = parsed(text)
        try:
            problems = sorted(validator.iter_errors(value), key=lambda problem: problem.json_path)
        except RecursionError:
            raise BadAnswerError("The answer is nested too deeply.") from None
        if problems:
            raise _bad_answer([(problem.absolute_path, problem.message) for problem in problems])
        return value

    return read


# What schemas name when they mean the newest draft.
_UNVERSIONED = ("http://json-schema.org/schema", "https://json-schema.org/schema")


def _adapt(part: Resource[Any], resolver: Any, keywords: Container[str]) -> None:
    """Check the references of a part of a schema, and write its patterns as Python's.

    Raises:
        TypeError: It cannot be read as it is meant.
    """
    from referencing.exceptions import Unresolvable

    schema: object = part.contents
    if not isinstance(schema, dict):
        return
    schema = cast("dict[str, object]", schema)
    for reference in (schema.get(keyword) for keyword in ("$ref", "$dynamicRef")):
        if not isinstance(reference, str):
            continue
        if not reference.startswith("#"):
            raise TypeError(f"a JSON Schema that refers to another document cannot be asked for: {reference!r}")
        try:
            resolver.lookup(reference)
        except Unresolvable:
            raise TypeError(f"this JSON Schema has no part {reference!r}, to which it refers") from None
    if "dependencies" in schema and "dependencies" not in keywords:
        raise TypeError(
            "its draft of JSON Schema ignores `dependencies`; use dependentRequired or dependentSchemas, or name an"
            " older draft in $schema"
        )
    for inner in part.subresources():
        _adapt(inner, resolver.in_subresource(inner), keywords)
    if isinstance(pattern := schema.get("pattern"), str):
        schema["pattern"] = _python_pattern(pattern)
    if is_object(patterns := schema.get("patternProperties")):
        schema["patternProperties"] = {_python_pattern(key): value for key, value in patterns.items()}


def _python_pattern(pattern: str) -> str:
    r"""Return a pattern in which `\d` and `\w` are ASCII, as in JSON Schema, and others are as in Python.

    Source: JSON Schema Core, "Regular Expressions", and ECMA-262, "CharacterClassEscape".
    """
    is_in_class = False

    def python(found: re.Match[str]) -> str:
        nonlocal is_in_class
        mark = found[0]
        is_in_class = mark == "[" or (is_in_class and mark != "]")
        ascii_only = _ASCII.get(mark)
        return mark if ascii_only is None else ascii_only if is_in_class else f"[{ascii_only}]"

    return _MARK.sub(python, pattern)


_MARK = re.compile(r"\\.|[\[\]]", re.DOTALL)
_ASCII = {r"\d": "0-9", r"\w": "A-Za-z0-9_"}


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
