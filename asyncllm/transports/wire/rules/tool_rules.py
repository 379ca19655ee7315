"""Which tools are sent as they are; litellm rewrites the others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from pydantic_core import to_json

from .parameter_rules import Judge, ParameterVerdict

_TOOL_KEYS = frozenset(("type", "function"))
_FUNCTION_KEYS = frozenset(("name", "description", "parameters", "strict"))
_COMBINATORS = frozenset(("allOf", "anyOf", "const", "enum", "not", "oneOf"))


def plain_tools(
    *,
    strict: bool = True,
    closed: bool = True,
    references: bool = True,
    combinators: bool = True,
    regexes: bool = True,
    mixed: bool = True,
) -> Judge:
    """Make the judge of `tools`.

    Args:
        strict: Tools with `strict` are sent as they are.
        closed: So are schemas with `additionalProperties: false`.
        references: So are schemas with `$ref`, `$id` or `$schema`.
        combinators: So are schemas with `anyOf` and its like at the top.
        regexes: So is every `pattern`, not only those that Python's `re` takes.
        mixed: So are tools together with `response_format`.
    """

    free = {
        **dict.fromkeys((b"additionalProperties",), closed),
        **dict.fromkeys((b"$ref", b"$id", b"$schema"), references),
        **dict.fromkeys((b"pattern", b"patternProperties"), regexes),
        b"strict": strict,
    }
    watched = [b'"%s"' % name for name, is_free in free.items() if not is_free]

    def judge(tools: Any, params: Mapping[str, Any]) -> ParameterVerdict:
        if not isinstance(tools, list | tuple) or not (mixed or "response_format" not in params):
            return ParameterVerdict.ELSEWHERE
        return ParameterVerdict.SENT if all(map(is_plain, tools)) else ParameterVerdict.ELSEWHERE

    def is_plain(tool: Any) -> bool:
        if not isinstance(tool, Mapping) or not tool.keys() <= _TOOL_KEYS or tool.get("type") != "function":
            return False
        function = tool.get("function")
        if not isinstance(function, Mapping) or not function.keys() <= _FUNCTION_KEYS:
            return False
        if not strict and "strict" in function:
            return False
        schema = function.get("parameters")
        if not isinstance(schema, Mapping):
            return schema is None
        if not combinators and not _COMBINATORS.isdisjoint(schema):
            return False
        return not _mentions(schema, watched) or all(is_sent(name, value) for name, value in _members(schema))

    def is_sent(name: str, value: Any) -> bool:
        # A property may have one of these names too. Then litellm is asked for nothing, which does no harm.
        if name == "additionalProperties":
            return closed or value is not False
        if name in ("$ref", "$id", "$schema"):
            return references
        if name == "pattern":
            return regexes or not isinstance(value, str) or _compiles(value)
        if name == "strict":
            return strict
        return regexes or name != "patternProperties"

    return judge


def _mentions(schema: Mapping[str, Any], names: Sequence[bytes]) -> bool:
    """Tell whether one of the names may be in a schema; most have none, and encoding is ten times as fast as a walk."""
    if not names:
        return False
    try:
        text = to_json(schema)
    except ValueError:  # with something in it that is no JSON, it is not for this to refuse
        return True
    return any(name in text for name in names)


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    """Walk through the members of every table inside a value."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield name, inner
            if isinstance(inner, Mapping | list):
                yield from _members(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _members(inner)


@lru_cache(256)  # the patterns of the schemas that one process sends
def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True
