"""Values that are valid for a JSON Schema, and take what they can from a text.

Understood: `$ref` within the document (recursive too), `allOf`, `anyOf`, `oneOf`, `enum`, `const`, `type` (one or
several), `default`, the bounds of numbers, strings, arrays and objects, `multipleOf`, `pattern`, `format`,
`prefixItems`, `uniqueItems`, `additionalProperties`, `patternProperties`, `propertyNames`. `not`, `if` and
`dependent...` are ignored, and `oneOf` is taken for `anyOf`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import count, islice
from typing import cast

from .field_values import Field, find_boolean, find_member, find_number, find_text, has_own_value
from .json_schema import (
    BINDING,
    Schema,
    bounds,
    fits_string,
    is_member,
    is_same,
    merge,
    schema_of_other,
    type_of,
    without,
)
from .json_values import is_array, is_object
from .regex_strings import matching_string
from .text_values import TextValues

# A reference inside itself is followed this often; two levels show that a type is recursive.
_MAX_REPEATS = 2
# Below this depth optional fields are left out, so that wide recursive types stay small.
_OPTIONAL_DEPTH = 4
# A longer chain of references beside other keywords is taken for endless.
_MAX_CHAINED_REFS = 10
# Keywords that constrain a value beyond the bounds of its type.
_CHOICES = frozenset(("allOf", "anyOf", "oneOf", "const"))
# Plain keys that are tried for a schema of property names.
_KEYS_TRIED = 1000


class _ImpossibleError(Exception):
    """This branch of the schema admits no value that the simulator can make."""


def typed_answer(schema: Mapping[str, object] | bool, text: str, *, salt: str = "") -> object:
    """Return a value for a schema, made out of a text.

    Args:
        schema: The JSON Schema; the whole document, so that references resolve.
        text: Where values are looked for first.
        salt: Makes other stable choices where the text decides nothing.

    Returns:
        The value; None when the schema admits nothing that the simulator can make.
    """
    document = cast("Schema | bool", schema)
    try:
        return _ValueMaker(document, text, salt).make(document, Field(""))
    except _ImpossibleError:
        return None


class _ValueMaker:
    """Makes the values of one document; every method raises `_ImpossibleError` where there is none."""

    def __init__(self, document: Schema | bool, text: str, salt: str) -> None:
        self._document = document
        self._text = TextValues(text)
        self._salt = salt
        self._open_refs: list[str] = []

    def make(self, schema: Schema | bool, field: Field) -> object:
        if isinstance(schema, bool):
            if not schema:
                raise _ImpossibleError
            return find_text(field, self._text, self._salt)
        if "$ref" in schema:
            return self._follow(schema["$ref"], schema, field)
        field = field.described(schema)
        if "allOf" in schema:
            merged: Schema | bool = without(schema, "allOf")
            for part in schema["allOf"]:
                merged = merge(merged, self._without_ref(part))
            return self.make(merged, field)
        if "const" in schema:
            return schema["const"]
        if "default" in schema and is_member(schema, schema["default"]) and not self._is_in_text(schema, field):
            return schema["default"]
        if "enum" in schema:
            members = [member for member in schema["enum"] if is_member(schema, member)]
            if not members:
                raise _ImpossibleError
            return find_member(members, field, self._text, self._salt)
        if branches := self._branches(schema):
            return self._first_possible(branches, field)
        return self._of_type(type_of(schema), schema, field)

    def _of_type(self, kind: str, schema: Schema, field: Field) -> object:
        if kind == "object":
            return self._object(schema)
        if kind == "array":
            return self._array(schema, field)
        if kind in ("integer", "number"):
            low, high = bounds(schema, kind)
            return _bounded(schema, kind, find_number(field, self._text, low, high, self._salt))
        if kind == "boolean":
            return find_boolean(field, self._text)
        return None if kind == "null" else self._string(schema, field)

    def _follow(self, ref: str, schema: Schema, field: Field) -> object:
        if self._open_refs.count(ref) >= _MAX_REPEATS:
            raise _ImpossibleError
        self._open_refs.append(ref)
        try:
            return self.make(merge(self._resolve(ref), without(schema, "$ref")), field)
        finally:
            self._open_refs.pop()

    def _resolve(self, ref: str) -> Schema | bool:
        found: object = self._document
        if not ref.startswith("#"):
            raise _ImpossibleError
        for part in ref[1:].split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            try:
                found = found[int(key)] if is_array(found) else found[key] if is_object(found) else None
            except (KeyError, IndexError, ValueError):
                raise _ImpossibleError from None
        if isinstance(found, bool) or is_object(found):
            return cast("Schema | bool", found)
        raise _ImpossibleError

    def _without_ref(self, part: Schema | bool) -> Schema | bool:
        """Return a schema with its reference resolved, so that it can be merged or looked into."""
        for _ in range(_MAX_CHAINED_REFS):
            if isinstance(part, bool) or "$ref" not in part:
                return part
            part = merge(self._resolve(part["$ref"]), without(part, "$ref"))
        raise _ImpossibleError

    def _branches(self, schema: Schema) -> Sequence[Schema | bool]:
        for key, branches in (("anyOf", schema.get("anyOf")), ("oneOf", schema.get("oneOf"))):
            if branches is not None:
                rest = without(schema, key, "default")
                if BINDING.isdisjoint(rest):
                    return branches
                return [merge(rest, self._without_ref(branch)) for branch in branches]
        kinds = schema.get("type")
        return [merge(schema, {"type": kind}) for kind in kinds] if isinstance(kinds, list) else ()

    def _first_possible(self, branches: Sequence[Schema | bool], field: Field) -> object:
        """Take the first branch that can be made; null only where the text has nothing, or nothing else is possible."""
        others = [branch for branch in branches if isinstance(branch, bool) or branch.get("type") != "null"]
        is_nullable = len(others) < len(branches)
        if not is_nullable or (others and self._is_in_text(others[0], field)):
            for branch in others:
                with suppress(_ImpossibleError):
                    return self.make(branch, field)
        if is_nullable:
            return None
        raise _ImpossibleError

    def _is_in_text(self, schema: Schema | bool, field: Field) -> bool:
        """Return whether the text has a value for an optional field; structures and choices are always worth making."""
        flat = self._without_ref(schema)
        if isinstance(flat, bool) or "enum" in flat or "const" in flat:
            return True
        kind = type_of(flat)
        return kind in ("object", "array", "") or has_own_value(field.described(flat), kind, self._text)

    def _object(self, schema: Schema) -> dict[str, object]:
        properties, required = schema.get("properties", {}), schema.get("required", ())
        least, most = schema.get("minProperties", 0), schema.get("maxProperties", math.inf)
        made: dict[str, object] = {}
        for name in dict.fromkeys([*properties, *required]):
            part = properties[name] if name in properties else schema_of_other(schema, name)
            if name in required:
                made[name] = self.make(part, Field(name))
            elif len(made) < most - len({*required} - made.keys()) and len(self._open_refs) < _OPTIONAL_DEPTH:
                with suppress(_ImpossibleError):
                    made[name] = self.make(part, Field(name))
        if not properties and most > 0 and len(self._open_refs) < _OPTIONAL_DEPTH:
            # A map shows one entry where it may have some.
            self._add_entries(made, schema, max(least, 1))
        elif len(made) < least:
            self._add_entries(made, schema, least)
        if len(made) < least:
            raise _ImpossibleError
        return made

    def _add_entries(self, made: dict[str, object], schema: Schema, wanted: int) -> None:
        """Add entries to a map (an object with free keys) until it has as many as wanted, where that is possible."""
        for key in islice(self._keys(schema), wanted + len(made) + 50):
            if len(made) >= wanted:
                return
            if key in made or key in schema.get("properties", {}):
                continue
            try:
                made[key] = self.make(schema_of_other(schema, key), Field(key))
            except _ImpossibleError:
                return

    def _keys(self, schema: Schema) -> Iterator[str]:
        names = self._without_ref(schema.get("propertyNames", True))
        if not isinstance(names, bool) and "enum" in names:
            yield from map(str, names["enum"])
        elif not isinstance(names, bool) and names:
            yield self._string(names, Field("key").described(names))
            plain = (key for number in range(1, _KEYS_TRIED) for key in (f"key{number}", str(number)))
            yield from (key for key in plain if fits_string(names, key))
        elif schema.get("additionalProperties", True) is False:
            for pattern in schema.get("patternProperties", {}):
                made = (matching_string(pattern, length, math.inf) for length in range(1, 30))
                yield from (key for key in made if key is not None)
        else:
            yield from (f"key{number}" for number in count(1))

    def _array(self, schema: Schema, field: Field) -> list[object]:
        prefix = schema.get("prefixItems", ())
        made = [self.make(part, field) for part in prefix]
        low, high = schema.get("minItems", 0), schema.get("maxItems", math.inf)
        items = schema.get("items", not prefix)
        # A list shows one item, unless a recursive type would grow by it.
        is_recursive = not isinstance(items, bool) and items.get("$ref") in self._open_refs
        wanted = max(low, 0 if is_recursive else 1)
        if len(made) >= high:
            return made[: int(high)]
        try:
            for value in self._items(items, field.singular(), wanted):
                if len(made) >= min(wanted, high):
                    break
                if not schema.get("uniqueItems") or not any(is_same(value, other) for other in made):
                    made.append(value)
        except _ImpossibleError:
            pass
        if len(made) < low:
            raise _ImpossibleError
        return made

    def _items(self, items: Schema | bool, field: Field, wanted: int) -> Iterator[object]:
        """Make items; the same text gives the same value again, so further ones are told apart by their number."""
        yield self.make(items, field)
        flat = self._without_ref(items)
        for number in range(wanted * 4):
            yield self._variant(items, flat, field, number)

    def _variant(self, items: Schema | bool, flat: Schema | bool, field: Field, number: int) -> object:
        if isinstance(flat, bool) or not flat:
            return number
        if "enum" in flat:
            return flat["enum"][number % len(flat["enum"])]
        kind, is_plain = type_of(flat), flat.keys().isdisjoint(_CHOICES)
        if kind in ("integer", "number") and is_plain:
            return _bounded(flat, kind, number)
        if kind == "boolean":
            return number % 2 == 0
        value = self.make(items, field)
        if isinstance(value, str) and kind == "string" and is_plain and "format" not in flat:
            texts = (f"{value}{number}", chr(ord("a") + number % 26))
            return next((text for text in texts if fits_string(flat, text)), value)
        return value

    def _string(self, schema: Schema, field: Field) -> str:
        found = find_text(field, self._text, self._salt)
        if "format" in schema or fits_string(schema, found):
            return found
        low, high = schema.get("minLength", 0), schema.get("maxLength")
        if "pattern" in schema:
            words = (word.strip(".,;:!?()\"'") for word in self._text.text.split())
            fitting = next((word for word in words if word and fits_string(schema, word)), None)
            made = fitting or matching_string(schema["pattern"], low, math.inf if high is None else high)
            if made is None:
                raise _ImpossibleError
            return made
        return found[:high].ljust(low, ".")


def _bounded(schema: Schema, kind: str, value: float) -> float:
    """Move a number into the bounds and onto the grid of `multipleOf`."""
    low, high = bounds(schema, kind)
    if not low <= value <= high:
        value = low if math.isfinite(low) and (value < low or not math.isfinite(high)) else high
    if step := schema.get("multipleOf", 1 if kind == "integer" else 0):
        value = round(value / step) * step
        if value < low:
            value = math.ceil(low / step) * step
        if value > high:
            value = math.floor(high / step) * step
        value = round(value, 12)
    if not low <= value <= high:
        raise _ImpossibleError
    return int(value) if kind == "integer" else value
