"""The columns of a table of results: those of the input, and those of the answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from ...narrowing import is_list, list_or_empty, mapping_or_empty
from .result_record import RowResult

Kind = Literal["str", "int", "float", "bool", "json"]

# Before the name of a column of the answers, where the input has one of the same name.
_PREFIX = "asyncllm_"
_INT64 = range(-(2**63), 2**63)
_BY_JSON_TYPE: dict[str, Kind] = {"string": "str", "integer": "int", "number": "float", "boolean": "bool"}


class InferredColumns:
    """The columns of rows that have fields of their own, with the kind of their values.

    A column whose values are all texts, all numbers or all booleans is of that kind; any other holds JSON.
    """

    def __init__(self) -> None:
        self._kinds: dict[str, Kind | None] = {}

    def add(self, row: Mapping[str, object]) -> None:
        """Take a row into account."""
        for name, value in row.items():
            before = self._kinds.get(name)
            self._kinds[name] = before if before == "json" or value is None else _joined(before, _kind(value))

    @property
    def kinds(self) -> dict[str, Kind]:
        """The columns, in the order of their first appearance."""
        return {name: kind or "str" for name, kind in self._kinds.items()}


class AnswerColumns:
    """The columns of the answers.

    Args:
        schema: The JSON Schema of typed answers, whose fields become `answer.FIELD`; None when they are texts.

    Attributes:
        kinds: Their names, and the kind of their values.
    """

    def __init__(self, schema: Mapping[str, object] | None, taken: Iterable[str], *, with_file: bool = False) -> None:
        self._with_file = with_file
        self._fields = _fields(schema) if schema is not None else {}
        answer: dict[str, Kind] = {f"answer.{name}": kind for name, kind in self._fields.items()}
        if not answer:
            answer["answer"] = "json" if schema is not None else "str"
        kinds: dict[str, Kind] = {**answer, **_ABOUT, **({"file": "str"} if with_file else {})}
        names = {name: f"{_PREFIX}{name}" if name in set(taken) else name for name in kinds}
        self._names = tuple(names.values())
        self.kinds: dict[str, Kind] = {names[name]: kind for name, kind in kinds.items()}

    def cells(self, answer: RowResult) -> dict[str, object]:
        """Return the values of these columns for an answer."""
        if not self._fields:
            given = [answer.value if answer.typed else answer.text]
        else:
            fields = mapping_or_empty(answer.value)
            given = [fields.get(name) for name in self._fields]
        usage, error = answer.usage or {}, answer.error or {}
        about = [
            answer.ok,
            f"{error['type']}: {error['message']}" if error else None,
            answer.finish_reason,
            answer.model,
            usage.get("input_tokens"),
            usage.get("output_tokens"),
            # Beyond this, the digits of a sum of prices are rounding errors.
            None if answer.cost_usd is None else round(answer.cost_usd, 12),
        ]
        file = [answer.file] if self._with_file else []
        return dict(zip(self._names, [*given, *about, *file], strict=True))


_ABOUT: dict[str, Kind] = {
    "ok": "bool",
    "error": "str",
    "finish_reason": "str",
    "model": "str",
    "input_tokens": "int",
    "output_tokens": "int",
    "cost_usd": "float",
}


def as_kind(value: object, kind: Kind) -> object:
    """Return a value for a typed column of that kind."""
    if value is None:
        return None
    if kind == "json":
        return json.dumps(value, ensure_ascii=False, default=str)
    convert = _CONVERTERS.get(kind)
    return value if convert is None else convert(value)


def as_text(value: object) -> str:
    """Return a value for a cell of a text file: empty for null, JSON for what is neither a text nor a number."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | Mapping | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


# Typed columns hold UTF-8, which has no form for a lone surrogate.
_CONVERTERS: dict[Kind, Callable[[Any], object]] = {
    "float": float,
    "str": lambda value: str(value).encode("utf-8", "backslashreplace").decode(),
}


def _kind(value: object) -> Kind:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if value in _INT64 else "json"
    return "float" if isinstance(value, float) else "str" if isinstance(value, str) else "json"


def _joined(before: Kind | None, kind: Kind) -> Kind:
    if before is None or before == kind:
        return kind
    return "float" if {before, kind} == {"int", "float"} else "json"


def _fields(schema: Mapping[str, object]) -> dict[str, Kind]:
    """Return the fields of an object's schema; none for any other, and for an object with any fields."""
    properties = mapping_or_empty(_resolved(schema, schema).get("properties"))
    return {name: _kind_of_schema(_resolved(part, schema)) for name, part in properties.items()}


def _kind_of_schema(schema: Mapping[str, object]) -> Kind:
    branches = list_or_empty(schema.get("anyOf")) or [schema]
    options = [option for branch in branches if (option := mapping_or_empty(branch)).get("type") != "null"]
    types = options[0].get("type") if len(options) == 1 else None
    if is_list(types):
        named = [name for name in types if name != "null"]
        types = named[0] if len(named) == 1 else None
    return _BY_JSON_TYPE.get(types, "json") if isinstance(types, str) else "json"


def _resolved(part: object, schema: Mapping[str, object]) -> Mapping[str, object]:
    """Return a part of a schema, or the definition that it refers to."""
    reference = mapping_or_empty(part).get("$ref")
    if isinstance(reference, str):
        definitions = {**mapping_or_empty(schema.get("definitions")), **mapping_or_empty(schema.get("$defs"))}
        part = definitions.get(reference.rpartition("/")[2])
    return mapping_or_empty(part)
