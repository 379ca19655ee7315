"""Replacement of the references in a JSON Schema by what they refer to."""

from __future__ import annotations

from collections.abc import Mapping

from .format import UnservedError
from .json_values import JsonObject, is_list, is_mapping, is_object

DEFINITIONS = ("$defs", "definitions")
"""The keywords under which a schema keeps its definitions."""

# Resolving references can multiply a schema without bound; no real one comes near this many nodes.
_MOST_NODES = 100_000


def resolved(schema: Mapping[str, object], definitions: Mapping[str, object]) -> JsonObject:
    """Return a schema with references replaced by their definitions; a recursive reference stays.

    Args:
        schema: The schema, without its own definitions.
        definitions: The definitions by name.

    Raises:
        UnservedError: The resolved schema is too large, or no object.
    """
    return _Resolver().resolve(schema, definitions)


def definitions_in(node: Mapping[str, object]) -> JsonObject:
    """Return the definitions of a schema by name."""
    return {name: value for key in DEFINITIONS if is_mapping(found := node.get(key)) for name, value in found.items()}


class _Resolver:
    """Replaces references, within a limit for the size of the result."""

    def __init__(self) -> None:
        self._left = _MOST_NODES

    def resolve(self, node: object, definitions: Mapping[str, object]) -> JsonObject:
        resolved = self._resolve(node, definitions, frozenset())
        if not is_object(resolved):
            raise UnservedError("a response_format has no schema that is an object")
        return resolved

    def _resolve(self, node: object, definitions: Mapping[str, object], inside: frozenset[str]) -> object:
        self._left -= 1
        if self._left < 0:
            raise UnservedError("a schema is too large when its references are resolved")
        if is_list(node):
            return [self._resolve(item, definitions, inside) for item in node]
        if not is_mapping(node):
            return node
        known = {**definitions, **definitions_in(node)} if any(name in node for name in DEFINITIONS) else definitions
        reference = node.get("$ref")
        if isinstance(reference, str):
            name = reference.rpartition("/")[2]
            if name in inside or name not in definitions:
                return dict(node)
            return self._resolve(definitions[name], definitions, inside | {name})
        return {name: self._resolve(value, known, inside) for name, value in node.items()}
