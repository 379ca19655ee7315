"""The columns of a table of results: those of the input, and those of the answers beside them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from .result_record import RowResult

Kind = Literal["str", "int", "float", "bool", "json"]

# A column of the input that is called like one of the results keeps its name; the other one gets this before it.
_OURS = "asyncllm_"
_INT64 = range(-(2**63), 2**63)
_BY_JSON_TYPE: dict[str, Kind] = {"string": "str", "integer": "int", "number": "float", "boolean": "bool"}


class SeenColumns:
    """Finds the columns that rows of any shape need, and what they hold.

    A column whose values are all texts, numbers or truth values is one of these; any other holds JSON.
    """

    def __init__(self) -> None:
        self._kinds: dict[str, Kind | None] = {}

    def see(self, row: Mapping[str, Any]) -> None:
        """Take a row into account."""
        for name, value in row.items():
            before = self._kinds.get(name)
            self._kinds[name] = before if before == "json" or value is None else _joined(before, _kind(value))

    @property
    def kinds(self) -> dict[str, Kind]:
        """The columns, in the order of their first appearance."""
        return {name: kind or "str" for name, kind in self._kinds.items()}


class AnswerColumns:
    """The columns that an answer fills.

    Args:
        schema: The JSON Schema of typed answers, whose fields become `answer.FIELD`; None when they are texts.
        taken: The columns of the input.

    Attributes:
        kinds: Their names and what they hold.
        texts: Those whose text a model or a provider wrote.
    """

    def __init__(self, schema: Mapping[str, Any] | None, taken: Iterable[str]) -> None:
        self._fields = _fields(schema) if schema is not None else {}
        answer: dict[str, Kind] = {f"answer.{name}": kind for name, kind in self._fields.items()}
        if not answer:
            answer["answer"] = "json" if schema is not None else "str"
        kinds = {**answer, **_ABOUT}
        names = {name: f"{_OURS}{name}" if name in set(taken) else name for name in kinds}
        self._names = tuple(names.values())
        self.kinds: dict[str, Kind] = {names[name]: kind for name, kind in kinds.items()}

    def cells(self, answer: RowResult) -> dict[str, Any]:
        """Return the values of these columns for an answer."""
        if not self._fields:
            given = [answer.value if answer.typed else answer.text]
        else:
            value = answer.value if isinstance(answer.value, Mapping) else {}
            given = [value.get(name) for name in self._fields]
        usage, error = answer.usage or {}, answer.error or {}
        about = [
            answer.ok,
            f"{error['type']}: {error['message']}" if error else None,
            answer.finish_reason,
            answer.model,
            usage.get("input_tokens"),
            usage.get("output_tokens"),
            # Sums of prices have digits behind the last one that means anything.
            None if answer.cost_usd is None else round(answer.cost_usd, 12),
        ]
        return dict(zip(self._names, [*given, *about], strict=True))


_ABOUT: dict[str, Kind] = {
    "ok": "bool",
    "error": "str",
    "finish_reason": "str",
    "model": "str",
    "input_tokens": "int",
    "output_tokens": "int",
    "cost_usd": "float",
}


def as_kind(value: Any, kind: Kind) -> Any:
    """Return a value as a typed column of that kind takes it."""
    if value is None:
        return None
    if kind == "json":
        return json.dumps(value, ensure_ascii=False, default=str)
    convert = _CONVERTERS.get(kind)
    return value if convert is None else convert(value)


def as_text(value: Any) -> str:
    """Return a value as a cell of a text file: empty for null, JSON for what is no text and no number."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | Mapping | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


# UTF-8, which typed columns hold without exception, has no place for half of a surrogate pair.
_CONVERTERS: dict[Kind, Callable[[Any], Any]] = {
    "float": float,
    "str": lambda value: str(value).encode("utf-8", "backslashreplace").decode(),
}


def _kind(value: Any) -> Kind:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if value in _INT64 else "json"
    return "float" if isinstance(value, float) else "str" if isinstance(value, str) else "json"


def _joined(before: Kind | None, kind: Kind) -> Kind:
    if before is None or before == kind:
        return kind
    return "float" if {before, kind} == {"int", "float"} else "json"


def _fields(schema: Mapping[str, Any]) -> dict[str, Kind]:
    """Return the fields of an object's schema; none when it is of no object, or of one with any fields."""
    schema = _followed(schema, schema)
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return {}
    return {name: _kind_of_schema(_followed(part, schema)) for name, part in properties.items()}


def _kind_of_schema(schema: Mapping[str, Any]) -> Kind:
    options = [option for option in schema.get("anyOf") or [schema] if option.get("type") != "null"]
    types = options[0].get("type") if len(options) == 1 else None
    if isinstance(types, list):
        named = [name for name in types if name != "null"]
        types = named[0] if len(named) == 1 else None
    return _BY_JSON_TYPE.get(types, "json") if isinstance(types, str) else "json"


def _followed(part: Any, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a reference to a definition of the schema itself."""
    reference = part.get("$ref") if isinstance(part, Mapping) else None
    if isinstance(reference, str):
        part = (schema.get("$defs") or {}).get(reference.rpartition("/")[2])
    return part if isinstance(part, Mapping) else {}
