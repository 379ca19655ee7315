"""The tools that are sent as they are; litellm rewrites the others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from pydantic_core import to_json

from asyncllm.transports.json_values import is_array, is_object

from .parameter_rules import ParameterVerdict

_TOOL_KEYS = frozenset(("type", "function"))
_FUNCTION_KEYS = frozenset(("name", "description", "parameters", "strict"))
_COMBINATORS = frozenset(("allOf", "anyOf", "const", "enum", "not", "oneOf"))
_REFERENCES = frozenset(("$ref", "$id", "$schema"))


@dataclass(frozen=True, slots=True)
class PlainTools:
    """The judge of `tools` at an endpoint, by what it takes of OpenAI's tools.

    Attributes:
        strict: Tools with `strict` are sent as they are.
        closed: So are schemas with `additionalProperties: false`.
        references: So are schemas with `$ref`, `$id` or `$schema`.
        combinators: So are schemas with `anyOf` and its like at the top.
        regexes: So is every `pattern`, not only those that Python's `re` takes.
        mixed: So are tools together with `response_format`.
    """

    strict: bool = True
    closed: bool = True
    references: bool = True
    combinators: bool = True
    regexes: bool = True
    mixed: bool = True
    _watched: tuple[bytes, ...] = field(init=False)

    def __post_init__(self) -> None:
        names = {
            **dict.fromkeys(("additionalProperties",), self.closed),
            **dict.fromkeys(_REFERENCES, self.references),
            **dict.fromkeys(("pattern", "patternProperties"), self.regexes),
            "strict": self.strict,
        }
        watched = tuple(f'"{name}"'.encode() for name, is_taken in names.items() if not is_taken)
        object.__setattr__(self, "_watched", watched)

    def __call__(self, tools: object, params: Mapping[str, object]) -> ParameterVerdict:
        """Return the verdict on the tools of a request."""
        if not is_array(tools) or not (self.mixed or "response_format" not in params):
            return ParameterVerdict.ELSEWHERE
        return ParameterVerdict.SENT if all(map(self._is_plain, tools)) else ParameterVerdict.ELSEWHERE

    def _is_plain(self, tool: object) -> bool:
        if not is_object(tool) or not tool.keys() <= _TOOL_KEYS or tool.get("type") != "function":
            return False
        function = tool.get("function")
        if not is_object(function) or not function.keys() <= _FUNCTION_KEYS:
            return False
        if not self.strict and "strict" in function:
            return False
        schema = function.get("parameters")
        if not is_object(schema):
            return schema is None
        if not self.combinators and not _COMBINATORS.isdisjoint(schema):
            return False
        return not _mentions(schema, self._watched) or all(self._takes(*member) for member in _members(schema))

    def _takes(self, name: str, value: object) -> bool:
        # A property may have one of these names too. litellm then serves the request, which does no harm.
        if name == "additionalProperties":
            return self.closed or value is not False
        if name in _REFERENCES:
            return self.references
        if name == "pattern":
            return self.regexes or not isinstance(value, str) or _compiles(value)
        if name == "strict":
            return self.strict
        return self.regexes or name != "patternProperties"


def _mentions(schema: Mapping[str, object], names: Sequence[bytes]) -> bool:
    """Return whether one of the names may be in a schema."""
    if not names:
        return False
    # Most schemas have none of them, and encoding one is ten times as fast as a walk through it.
    try:
        text = to_json(schema)
    except ValueError:  # with something in it that is no JSON, which is not refused here
        return True
    return any(name in text for name in names)


def _members(value: object) -> Iterator[tuple[str, object]]:
    """Walk through the members of every object inside a value."""
    if is_object(value):
        for name, inner in value.items():
            yield name, inner
            yield from _members(inner)
    elif is_array(value):
        for inner in value:
            yield from _members(inner)


@lru_cache(256)  # the patterns of the schemas that one process sends
def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True
