"""The type of an answer, as a command line names it: `module:Model`, or a file with a JSON Schema."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..suggestions import nearest
from .terminal.exit_codes import UsageProblem

_HOW = "Give MODULE:MODEL, for example invoices:Invoice for invoices.py here, or a file with a JSON Schema."


def response_type(name: str) -> Any:
    """Return the type that a name stands for.

    Args:
        name: `module:Model`, with the working directory among the places of modules; or the path of a `.json` file.

    Raises:
        UsageProblem: There is no such thing.
    """
    if name.endswith(".json") or Path(name).is_file():
        return _from_schema(Path(name))
    module_name, colon, path = name.partition(":")
    if not colon or not path:
        raise UsageProblem(f"{name!r} names no type.", _HOW)
    found: Any = _module(module_name)
    for step in path.split("."):
        if not hasattr(found, step):
            near = nearest(step, [known for known in vars(found) if not known.startswith("_")])
            raise UsageProblem(f"{module_name} has no {path!r}{f'; did you mean {near!r}?' if near else '.'}", _HOW)
        found = getattr(found, step)
    return found


def dumper(wanted: Any, name: str) -> Callable[[Any], Any]:
    """Return a function that turns a value of the type into JSON data.

    Args:
        wanted: The type.
        name: How the command line names it.

    Raises:
        UsageProblem: It is no type that can be read from JSON.
    """
    from pydantic import TypeAdapter

    try:
        adapter: TypeAdapter[Any] = TypeAdapter(wanted)
        adapter.json_schema()
    except Exception as error:  # given something else than a type, pydantic fails in many ways
        reason = str(error).partition("\n")[0]
        raise UsageProblem(f"{name} is no type that can be read from JSON: {reason}.", _HOW) from None
    return lambda value: adapter.dump_python(value, mode="json")


def schema_of(wanted: Any) -> dict[str, Any]:
    """Return the JSON Schema of a type that can be read from JSON."""
    from pydantic import TypeAdapter

    schema: dict[str, Any] = TypeAdapter(wanted).json_schema()
    return schema


def _module(name: str) -> Any:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name.removesuffix(".py").replace("/", "."))
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise UsageProblem(f"there is no module {name!r} here or among the installed ones.", _HOW) from None
        raise UsageProblem(f"importing {name} failed: {error}.") from error
    except Exception as error:
        raise UsageProblem(f"importing {name} failed: {type(error).__name__}: {error}") from error


def _from_schema(path: Path) -> Any:
    """Make a type of a JSON Schema: its values are what JSON has, validated by the schema."""
    import jsonschema

    try:
        schema = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise UsageProblem(f"{path} is not valid JSON: {error}.") from None
    if not isinstance(schema, dict):
        raise UsageProblem(f"{path} is not a JSON Schema: it is no object.", _HOW)
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise UsageProblem(f"{path} is not a JSON Schema: {error.message} at {error.json_path}.") from None
    title = schema.get("title")
    name = re.sub(r"\W+", "_", title if isinstance(title, str) else path.name.partition(".")[0]).strip("_")
    validator = kind(schema, format_checker=kind.FORMAT_CHECKER)
    return _schema_type(name or "Answer", _inlined(schema, schema, (), path), validator)


def _schema_type(name: str, schema: dict[str, Any], validator: Any) -> Any:
    from pydantic_core import core_schema

    def checked(value: Any) -> Any:
        problems = sorted(validator.iter_errors(value), key=lambda problem: problem.json_path)
        if problems:
            raise ValueError("; ".join(f"{problem.json_path}: {problem.message}" for problem in problems))
        return value

    class Value:
        @classmethod
        def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
            return core_schema.no_info_after_validator_function(checked, core_schema.any_schema())

        @classmethod
        def __get_pydantic_json_schema__(cls, core: Any, handler: Any) -> Any:
            return schema

    Value.__name__ = Value.__qualname__ = name
    Value.__doc__ = schema.get("description")
    return Value


def _inlined(part: Any, whole: dict[str, Any], inside: tuple[str, ...], path: Path) -> Any:
    """Put what a `$ref` refers to in its place, because pydantic knows only references that it made itself."""
    if isinstance(part, list):
        return [_inlined(item, whole, inside, path) for item in part]
    if not isinstance(part, dict):
        return part
    reference = part.get("$ref")
    if isinstance(reference, str):
        if reference in inside:
            raise UsageProblem(f"{path} refers to {reference!r} within itself.", "Use a pydantic model: MODULE:MODEL.")
        beside = {name: value for name, value in part.items() if name not in ("$ref", "$defs")}
        target = _inlined(_found(reference, whole, path), whole, (*inside, reference), path)
        return {**target, **_inlined(beside, whole, inside, path)} if isinstance(target, dict) else target
    dropped = ("$defs", "definitions") if part is whole else ()
    return {name: _inlined(value, whole, inside, path) for name, value in part.items() if name not in dropped}


def _found(reference: str, whole: dict[str, Any], path: Path) -> Any:
    """Follow a JSON pointer, such as `#/$defs/address`."""
    if not reference.startswith("#"):
        raise UsageProblem(f"{path} refers to {reference!r}, another document.", "Put that into the $defs of this one.")
    found: Any = whole
    for step in filter(None, reference[1:].split("/")):
        name = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, dict) or name not in found:
            raise UsageProblem(f"{path} refers to {reference!r}, which it does not have.")
        found = found[name]
    return found
