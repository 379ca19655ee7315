"""Types of answers by their names on the command line: `module:Model`, or a file with a JSON Schema."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from ...errors import nearest
from .exit_codes import UsageProblem

if TYPE_CHECKING:
    from ...batch.files import AnswerSchema

_HOW = "Give MODULE:MODEL, for example invoices:Invoice for invoices.py here, or a file with a JSON Schema."


def response_type(name: str) -> Any:
    """Return the type of a name.

    Args:
        name: `module:Model`, where modules are also looked for in the working directory; or the path of a `.json` file.
    """
    if name.endswith(".json") or Path(name).is_file():
        return _json_schema(Path(name))
    module_name, colon, path = name.partition(":")
    if not colon or not path:
        raise UsageProblem(f"{name!r} names no type.", _HOW)
    found: object = _module(module_name)
    for step in path.split("."):
        if not hasattr(found, step):
            near = nearest(step, [known for known in vars(found) if not known.startswith("_")])
            raise UsageProblem(f"{module_name} has no {path!r}{f'; did you mean {near!r}?' if near else '.'}", _HOW)
        found = getattr(found, step)
    return found


def answer_schema(wanted: object, name: str) -> AnswerSchema:
    """Return the JSON Schema of a type, and how its values become JSON data."""
    from ...batch.files import AnswerSchema

    try:
        return AnswerSchema(wanted)
    except Exception as error:  # pydantic fails in many ways when it is given something other than a type
        reason = str(error).partition("\n")[0]
        raise UsageProblem(f"{name} is no type that can be read from JSON: {reason}.", _HOW) from None


def _module(name: str) -> ModuleType:
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


def _json_schema(path: Path) -> dict[str, object]:
    from ...structured.schema.answer_type import AnswerType

    try:
        loaded: object = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise UsageProblem(f"{path} is not valid JSON: {error}.") from None
    if not isinstance(loaded, dict):
        raise UsageProblem(f"{path} is not a JSON Schema: it is no object.", _HOW)
    schema: Any = cast(dict[str, object], loaded)
    try:
        AnswerType(schema)
    except TypeError as error:
        raise UsageProblem(f"{path}: {error}.", _HOW) from None
    for reference in _references(schema):
        if not _resolves(reference, schema):
            raise UsageProblem(f"{path} refers to {reference!r}, which it does not have.")
    # Providers and models see the title.
    return {"title": path.name.partition(".")[0], **schema}


def _references(part: object) -> Iterator[str]:
    """Yield the references of a JSON Schema."""
    if isinstance(part, dict):
        fields = cast(dict[str, object], part)
        if isinstance(reference := fields.get("$ref"), str):
            yield reference
        part = list(fields.values())
    if isinstance(part, list):
        for item in cast(list[object], part):
            yield from _references(item)


def _resolves(reference: str, schema: dict[str, object]) -> bool:
    from referencing import Registry
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012

    registry: Registry[Any] = Registry()
    try:
        registry.resolver_with_root(DRAFT202012.create_resource(schema)).lookup(reference)
    except Unresolvable:
        return False
    return True
