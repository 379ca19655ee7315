"""A value that is valid for a JSON Schema and takes what it can from a text.

Understood: `$ref` within the document (recursive too), `allOf`, `anyOf`, `oneOf`, `enum`, `const`, `type` (one or
several), `default`, the bounds of numbers, strings, arrays and objects, `multipleOf`, `pattern`, `format`,
`prefixItems`, `uniqueItems`, `additionalProperties`, `patternProperties`, `propertyNames`. `not`, `if` and
`dependent...` are ignored, and `oneOf` is taken for `anyOf`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import count, islice
from typing import Any

from .field_values import Field, find_boolean, find_member, find_number, find_text, has_own_value
from .json_schema import (
    Schema,
    all_keywords,
    bounds,
    fits_string,
    is_of_type,
    is_same,
    is_within,
    merge,
    schema_of_other,
    type_of,
)
from .patterns import matching_string
from .text_values import TextValues

# A reference met again inside itself this often is not followed further; two levels show that a type is recursive.
_MAX_REPEATS = 2
# Below this depth fields that may be left out are left out, so that wide recursive types stay small.
_OPTIONAL_DEPTH = 4
# Long lists in the text (a log, a table) shall not make endless answers.
_MAX_ITEMS = 20
# A pattern that none of so many plain keys fits has no more of them.
_KEYS_TRIED = 1000
_MISSING = object()


class _ImpossibleError(Exception):
    """This branch of the schema admits no value that the simulator can make."""


def typed_answer(schema: Schema, text: str, *, salt: str = "") -> Any:
    """Make a value for a schema out of a text.

    Args:
        schema: The JSON Schema; the whole document, so that references resolve.
        text: Where values are looked for first.
        salt: Makes other stable choices where the text decides nothing.

    Returns:
        The value; None when the schema admits nothing that the simulator can make.
    """
    try:
        return _ValueMaker(schema, text, salt).make(schema, Field("", ""), TextValues(text))
    except _ImpossibleError:
        return None


class _ValueMaker:
    def __init__(self, root: Schema, text: str, salt: str) -> None:
        self._root = root
        self._salt = salt
        self._text = text
        self._open_refs: list[str] = []

    def make(self, schema: Schema | bool, field: Field, values: TextValues) -> Any:
        if isinstance(schema, bool):
            if not schema:
                raise _ImpossibleError
            return find_text(field, values, self._salt)
        if "$ref" in schema:
            return self._follow(schema, field, values)
        field = field.described(schema)
        if "allOf" in schema:
            return self.make(self._merged_all(schema), field, values)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._member(schema, field, values)
        if branches := self._branches(schema):
            return self._first_possible(branches, schema, field, values)
        return self._plain(schema, field, values)

    def _follow(self, schema: Schema, field: Field, values: TextValues) -> Any:
        ref = schema["$ref"]
        if self._open_refs.count(ref) >= _MAX_REPEATS:
            raise _ImpossibleError
        siblings = {key: value for key, value in schema.items() if key != "$ref"}
        self._open_refs.append(ref)
        try:
            return self.make(merge(self._resolve(ref), siblings), field, values)
        finally:
            self._open_refs.pop()

    def _resolve(self, ref: str) -> Schema | bool:
        target: Any = self._root
        if not ref.startswith("#"):
            raise _ImpossibleError
        for part in ref[1:].split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            try:
                target = target[int(key)] if isinstance(target, list) else target[key]
            except (KeyError, IndexError, ValueError, TypeError):
                raise _ImpossibleError from None
        if not isinstance(target, Mapping | bool):
            raise _ImpossibleError
        return target

    def _merged_all(self, schema: Schema) -> Schema | bool:
        merged: Schema | bool = {key: value for key, value in schema.items() if key != "allOf"}
        for part in schema["allOf"]:
            merged = merge(merged, self._without_ref(part))
        return merged

    def _without_ref(self, part: Schema | bool) -> Schema | bool:
        # A reference beside others has to be taken apart to be merged; a chain of references ends or is impossible.
        for _ in range(10):
            if isinstance(part, bool) or "$ref" not in part:
                return part
            part = merge(self._resolve(part["$ref"]), {key: value for key, value in part.items() if key != "$ref"})
        raise _ImpossibleError

    def _branches(self, schema: Schema) -> list[Schema | bool]:
        for key in ("anyOf", "oneOf"):
            if key in schema:
                rest = {k: v for k, v in schema.items() if k not in (key, "default")}
                if not set(rest) & {"$ref", "type", "properties", "required", "anyOf", "oneOf", *all_keywords()}:
                    return list(schema[key])
                return [merge(rest, self._without_ref(branch)) for branch in schema[key]]
        if isinstance(types := schema.get("type"), list):
            return [{**schema, "type": one} for one in types]
        return []

    def _first_possible(self, branches: list[Schema | bool], schema: Schema, field: Field, values: TextValues) -> Any:
        """Take the first branch that can be made; null only where the text has nothing, or nothing else is possible."""
        default = schema.get("default", _MISSING)
        nullable = any(isinstance(branch, Mapping) and branch.get("type") == "null" for branch in branches)
        others = [branch for branch in branches if not (isinstance(branch, Mapping) and branch.get("type") == "null")]
        if (nullable or default is not _MISSING) and others and not self._is_told(others[0], field, values):
            return None if default is _MISSING else default
        if len(others) > 1:
            others = self._by_tag(others, values)
        for branch in others:
            try:
                return self.make(branch, field, values)
            except _ImpossibleError:
                continue
        if nullable:
            return None
        raise _ImpossibleError

    def _is_told(self, schema: Schema | bool, field: Field, values: TextValues) -> bool:
        """Say whether the text itself has a value for an optional field; structures are always worth making."""
        flat = schema if isinstance(schema, bool) else self._without_ref(schema)
        if isinstance(flat, bool) or "enum" in flat or "const" in flat:
            return True
        kind = type_of(flat)
        if kind in ("object", "array", ""):
            return True
        return has_own_value(field.described(flat), kind, values)

    def _by_tag(self, branches: list[Schema | bool], values: TextValues) -> list[Schema | bool]:
        """Put the variant of a union first whose tag or title occurs in the text."""

        def said(branch: Schema | bool) -> bool:
            flat = self._without_ref(branch)
            if isinstance(flat, bool):
                return False
            tags = [str(flat.get("title", ""))]
            tags += [
                str(p["const"]) for p in flat.get("properties", {}).values() if isinstance(p, Mapping) and "const" in p
            ]
            return any(tag and tag.lower().replace("_", " ") in values.text.lower() for tag in tags)

        return sorted(branches, key=lambda branch: not said(branch))

    def _member(self, schema: Schema, field: Field, values: TextValues) -> Any:
        wanted = schema.get("type")
        members = [member for member in schema["enum"] if wanted is None or is_of_type(member, wanted)]
        members = [member for member in members if is_within(schema, member)]
        if not members:
            raise _ImpossibleError
        return find_member(members, field, values, self._salt)

    def _plain(self, schema: Schema, field: Field, values: TextValues) -> Any:
        kind = type_of(schema)
        if kind == "object":
            return self._object(schema, values)
        if kind == "array":
            return self._array(schema, field, values)
        if kind in ("integer", "number"):
            return self._number(schema, kind, field, values)
        if kind == "boolean":
            return find_boolean(field, values)
        if kind == "null":
            return None
        return self._string(schema, field, values)

    def _object(self, schema: Schema, values: TextValues) -> dict[str, Any]:
        properties: Mapping[str, Any] = schema.get("properties", {})
        required = list(schema.get("required", ()))
        made: dict[str, Any] = {}
        for name in [*properties, *(key for key in required if key not in properties)]:
            part = properties.get(name, schema_of_other(schema, name))
            field = Field(name, "")
            if name in required:
                made[name] = self.make(part, field, values)
            elif len(made) < schema.get("maxProperties", math.inf) - len(set(required) - set(made)):
                self._optional(made, name, part, field, values)
        least = schema.get("minProperties", 0)
        # A map shows one entry where it may have some, unless it lies deep within a recursive type.
        shown = (
            min(1, schema.get("maxProperties", 1)) if not properties and len(self._open_refs) < _OPTIONAL_DEPTH else 0
        )
        if len(made) < max(least, shown):
            self._add_keys(made, schema, values, max(least, shown))
        return made

    def _optional(self, made: dict[str, Any], name: str, part: Schema | bool, field: Field, values: TextValues) -> None:
        try:
            flat = self._without_ref(part)
            if isinstance(flat, Mapping) and "default" in flat and not self._is_told(flat, field, values):
                made[name] = flat["default"]
            elif len(self._open_refs) < _OPTIONAL_DEPTH:
                made[name] = self.make(part, field, values)
        except _ImpossibleError:
            return

    def _add_keys(self, made: dict[str, Any], schema: Schema, values: TextValues, wanted: int) -> None:
        """Give a map (an object with free keys) entries: as many as it must have, or one to show."""
        for key in islice(self._keys(schema, values), wanted + len(made) + 50):
            if len(made) >= wanted:
                return
            if key in made or key in schema.get("properties", {}):
                continue
            try:
                made[key] = self.make(schema_of_other(schema, key), Field(key, ""), values)
            except _ImpossibleError:
                break
        if len(made) < schema.get("minProperties", 0):
            raise _ImpossibleError

    def _keys(self, schema: Schema, values: TextValues) -> Iterator[str]:
        names = schema.get("propertyNames", True)
        flat = self._without_ref(names)
        patterns = list(schema.get("patternProperties", {}))
        if isinstance(flat, Mapping) and "enum" in flat:
            yield from flat["enum"]
            return
        if isinstance(flat, Mapping) and flat:
            described = {"type": "string", **flat}
            yield self._string(described, Field("key", "").described(described), values)
            for number in range(1, _KEYS_TRIED):
                yield from (key for key in (f"key{number}", str(number)) if fits_string(flat, key))
            return
        if patterns and schema.get("additionalProperties", True) is False:
            for pattern in patterns:
                for length in range(1, 30):
                    if (key := matching_string(pattern, length, None)) is not None:
                        yield key
            return
        yield from (label.replace(" ", "_") for label in values.labels)
        yield from (f"key{number}" for number in count(1))

    def _array(self, schema: Schema, field: Field, values: TextValues) -> list[Any]:
        prefix = schema.get("prefixItems", [])
        made = [self.make(part, field, values) for part in prefix]
        low, high = schema.get("minItems", 0), schema.get("maxItems", _MAX_ITEMS)
        items = schema.get("items", not prefix)
        unique = schema.get("uniqueItems", False)
        if high < len(made):
            return made[:high]
        try:
            for value in self._items(items, field, values, low - len(made), high - len(made)):
                if not (unique and any(is_same(value, other) for other in made)):
                    made.append(value)
                if len(made) >= high:
                    break
        except _ImpossibleError:
            if len(made) < low:
                raise
        if len(made) < low:
            raise _ImpossibleError
        return made

    def _items(self, items: Schema | bool, field: Field, values: TextValues, low: int, high: int) -> Iterator[Any]:
        """Make the items: one from each line that looks like one, else those found, and more where there must be."""
        if items is False or high <= 0:
            return
        flat = items if isinstance(items, bool) else self._without_ref(items)
        ref = items.get("$ref") if isinstance(items, Mapping) else None
        if ref is not None and ref in self._open_refs:
            # A recursive type ends its branches here, unless it must not.
            sources = [values] * low
        elif isinstance(flat, Mapping) and type_of(flat) == "object":
            sources = [TextValues(line) for line in values.item_lines[:_MAX_ITEMS]] or [values]
        elif isinstance(flat, Mapping) and "enum" in flat:
            found = [member for member in flat["enum"] if str(member).lower().replace("_", " ") in values.text.lower()]
            if found:
                yield from found[:high]
            sources = [values] if not found else []
        else:
            lines = field.lines(values)
            if (
                lines
                and isinstance(flat, Mapping)
                and type_of(flat) == "string"
                and all(fits_string(flat, x) for x in lines)
            ):
                yield from lines[:high]
            sources = [values] if not lines else []
        for source in sources:
            yield self.make(items, field.singular(), source)
        # The same text gives the same value again, so further ones are told apart by their number; a set needs that.
        for number in range(low * 4 + 4 if low > 0 else 0):
            yield self._variant(items, flat, field, values, number)

    def _variant(self, items: Schema | bool, flat: Schema | bool, field: Field, values: TextValues, number: int) -> Any:
        if isinstance(flat, bool):
            return number
        if "enum" in flat:
            return flat["enum"][number % len(flat["enum"])]
        kind = type_of(flat)
        if kind in ("integer", "number") and "anyOf" not in flat:
            return self._bounded(flat, kind, number)
        if kind == "boolean":
            return number % 2 == 0
        value = self.make(items, field.singular(), values)
        if isinstance(value, str) and fits_string(flat, numbered := f"{value}{number}"):
            return numbered
        if (
            isinstance(value, str)
            and flat.get("maxLength")
            and fits_string(flat, numbered := chr(ord("a") + number % 26))
        ):
            return numbered
        return value

    def _number(self, schema: Schema, kind: str, field: Field, values: TextValues) -> Any:
        low, high, _ = bounds(schema, kind)
        found = find_number(field, values, kind, low, high, self._salt)
        return self._bounded(schema, kind, found)

    def _bounded(self, schema: Schema, kind: str, value: float) -> Any:
        """Move a number into the bounds and onto the grid of `multipleOf`."""
        low, high, step = bounds(schema, kind)
        if kind == "integer" and step is None:
            step = 1
        if value < low or value > high:
            value = low if math.isfinite(low) and value < low else high if math.isfinite(high) else low
        if step:
            value = round(value / step) * step
            if value < low:
                value = math.ceil(low / step) * step
            if value > high:
                value = math.floor(high / step) * step
            value = round(value, 12)
        if kind == "integer":
            value = int(value)
        if value < low or value > high:
            raise _ImpossibleError
        return value

    def _string(self, schema: Schema, field: Field, values: TextValues) -> str:
        low: int = schema.get("minLength", 0)
        high: int | None = schema.get("maxLength")
        found = find_text(field, values, self._salt)
        if fits_string(schema, found):
            return found
        if "format" in schema:
            return found
        if pattern := schema.get("pattern"):
            words = (word.strip(".,;:!?()\"'") for word in self._text.split())
            for candidate in islice(words, 500):
                if candidate and fits_string(schema, candidate):
                    return candidate
            for candidate in ("10.00", "10", "2025-01-31", "user@example.com", "A-100"):
                if fits_string(schema, candidate):
                    return candidate
            made = matching_string(pattern, low, high)
            if made is None:
                raise _ImpossibleError
            return made
        if high is not None:
            cut = found[:high].rstrip()
            found = cut if len(cut) >= low else found[:high]
        return found + "." * (low - len(found))
