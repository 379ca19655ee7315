"""Keyword by keyword: what the strict subset keeps, says in words, drops and refuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from asyncllm.structured.schema.strict import strict_schema


def strict(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the strict schema, which there must be."""
    made = strict_schema(schema)
    assert made is not None
    return made.schema


def object_of(field: Any, **more: Any) -> dict[str, Any]:
    """Return the schema of an object with one required field."""
    return {"type": "object", "properties": {"a": field}, "required": ["a"], **more}


def field_of(field: Any) -> Any:
    """Return what becomes of a field."""
    return strict(object_of(field))["properties"]["a"]


def is_refused(schema: Mapping[str, Any]) -> bool:
    return strict_schema(schema) is None


@pytest.mark.parametrize(
    "field",
    [
        {"type": "string", "description": "A text.", "title": "Text"},
        {"type": "string", "pattern": "^a"},
        {"type": "number", "minimum": 1, "maximum": 9, "multipleOf": 2},
        {"type": "number", "exclusiveMinimum": 1, "exclusiveMaximum": 9},
        {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3},
        {"type": "string", "enum": ["a", "b"]},
        {"type": "string", "const": "a"},
        {"anyOf": [{"type": "string"}, {"type": "null"}]},
        {"type": ["string", "null"]},
        *(
            {"type": "string", "format": name}
            for name in ("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid")
        ),
    ],
    ids=str,
)
def test_what_the_subset_knows_is_kept(field: dict[str, Any]) -> None:
    """These are sent as they are, and the provider holds the model to them."""
    assert field_of(field) == field


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("contentEncoding", "base64"),
        ("contentMediaType", "image/png"),
        ("maxContains", 3),
        ("maxLength", 90),
        ("maxProperties", 3),
        ("minContains", 1),
        ("minLength", 2),
        ("minProperties", 1),
        ("uniqueItems", True),
        ("format", "binary"),
    ],
)
def test_what_the_subset_does_not_know_is_said_in_words(keyword: str, value: object) -> None:
    """The description tells the model; validation holds it to that afterwards."""
    assert field_of({"type": "string", keyword: value}) == {"type": "string", "description": f"({keyword}: {value})"}
    assert field_of({"type": "string", "description": "A text.", keyword: value}) == {
        "type": "string",
        "description": f"A text. ({keyword}: {value})",
    }


def test_several_words_share_a_bracket() -> None:
    """They come in the order of the schema; a default is shown as Python writes it."""
    field = {"type": "string", "minLength": 2, "default": "ab", "maxLength": 9}
    assert field_of(field)["description"] == "(minLength: 2, default: 'ab', maxLength: 9)"


@pytest.mark.parametrize(
    "keyword",
    ["$comment", "$id", "$schema", "deprecated", "discriminator", "examples", "readOnly", "writeOnly"],
)
def test_what_says_nothing_of_the_values_is_dropped(keyword: str) -> None:
    """Remarks for people and programs are no part of what a model may answer."""
    assert field_of({"type": "string", keyword: "x"}) == {"type": "string"}


@pytest.mark.parametrize(
    "field",
    [
        True,
        {},
        {"description": "anything"},
        {"type": "object"},
        {"type": "object", "properties": {}, "additionalProperties": True},
        {"type": "object", "properties": {}, "additionalProperties": {"type": "string"}},
        {"type": ["object", "null"]},
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"type": "array"},
        {"type": ["array", "null"]},
        {"type": "array", "items": True},
        {"type": "array", "prefixItems": [{"type": "string"}]},
        {"type": "string", "not": {"const": "a"}},
        {"type": "string", "if": {}, "then": {}},
        {"allOf": [{"type": "string"}, {"type": "integer"}]},
        {"allOf": [True]},
        {"$ref": "#/properties/b"},
        {"$ref": "#/$defs/a/properties/b"},
        {"$ref": "#"},
        {"type": "object", "properties": {"b": {"type": "string"}}, "required": ["c"]},
        {"type": "string", "required": ["c"]},
        {"type": "string", "$defs": {"A": {"type": "string"}}},
    ],
    ids=str,
)
def test_what_the_subset_cannot_say_has_no_strict_schema(field: Any) -> None:
    """Rather than another schema, the plain one is sent."""
    assert is_refused(object_of(field, **{"$defs": {"a": {"type": "string"}}}))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string"},
        {"type": "array", "items": {"type": "string"}},
        {"anyOf": [object_of({"type": "string"}), object_of({"type": "integer"})]},
        {**object_of({"type": "string"}), "anyOf": [{"type": "object", "properties": {}}]},
        {"$ref": "#/$defs/A", "$defs": {"A": object_of({"type": "string"})}},
    ],
    ids=str,
)
def test_the_top_is_an_object(schema: dict[str, Any]) -> None:
    """Nothing else may be the top of a strict schema, unions of objects included."""
    assert is_refused(schema)


def test_an_object_has_all_its_fields_and_no_others() -> None:
    """All fields are required, in the order of the schema; what may be left out may be null."""
    made = strict(
        {
            "type": "object",
            "properties": {"b": {"type": "string"}, "a": {"type": "integer", "description": "A number."}},
            "required": ["b"],
            "additionalProperties": False,
        }
    )
    assert made == {
        "type": "object",
        "properties": {
            "b": {"type": "string"},
            "a": {"anyOf": [{"type": "integer"}, {"type": "null"}], "description": "A number."},
        },
        "required": ["b", "a"],
        "additionalProperties": False,
    }
    assert list(made["required"]) == ["b", "a"]


@pytest.mark.parametrize(
    "field",
    [
        {"type": ["string", "null"]},
        {"type": "null"},
        {"anyOf": [{"type": "string"}, {"type": "null"}]},
        {"oneOf": [{"type": "string"}, {"type": "null"}]},
        {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/none"}]},
        {"enum": ["a", None]},
        {"$ref": "#/$defs/none"},
        {"const": "a"},
        {"type": "string", "enum": ["a"]},
    ],
    ids=str,
)
def test_a_field_that_may_be_null_or_has_one_value_means_what_it_says(field: dict[str, Any]) -> None:
    """Its null is a value, not a field left out; the tag of a variant is always there."""
    schema = {"type": "object", "properties": {"a": field}, "$defs": {"none": {"type": "null"}}}
    made = strict_schema(schema)
    assert made is not None
    assert not made.has_nulls
    assert made.without_nulls({"a": None}) == {"a": None}
    assert made.schema["required"] == ["a"]


@pytest.mark.parametrize(
    ("field", "kinds"),
    [
        ({"enum": ["a", "b"]}, "string"),
        ({"enum": [1, 2]}, "integer"),
        ({"enum": [True]}, "boolean"),
        ({"enum": [1.5, 2.5]}, "number"),
        ({"enum": [1, "b", None]}, ["integer", "string", "null"]),
        ({"enum": [1, "b", 2]}, ["integer", "string"]),
        ({"const": "a"}, "string"),
        ({"const": None}, "null"),
        ({"const": 7}, "integer"),
    ],
    ids=str,
)
def test_values_have_their_types_beside_them(field: dict[str, Any], kinds: Any) -> None:
    """The subset wants a type; where a schema lists values alone, it is theirs, each once."""
    assert field_of(field) == {**field, "type": kinds}
    assert field_of({**field, "type": "string"}) == {**field, "type": "string"}


@pytest.mark.parametrize("value", [[], [1], {}, {"b": 1}], ids=str)
def test_a_list_or_an_object_as_a_value_has_no_strict_form(value: object) -> None:
    """The subset wants the items or the properties of their type, and there are none."""
    assert is_refused(object_of({"const": value}))
    assert is_refused(object_of({"enum": ["a", value]}))


def test_one_of_is_any_of() -> None:
    """The subset knows no exclusive choice; where both are there, the schema has conditions that it cannot say."""
    branches = [{"type": "string"}, {"type": "integer"}]
    assert field_of({"oneOf": branches}) == {"anyOf": branches}
    assert is_refused(object_of({"oneOf": branches, "anyOf": branches}))


def test_a_single_all_of_is_what_it_holds() -> None:
    """pydantic writes a reference with a description so; what stands beside it wins."""
    assert field_of({"allOf": [{"type": "string", "title": "A"}], "title": "B"}) == {"type": "string", "title": "B"}


def test_nothing_stands_beside_a_reference() -> None:
    """A reference with a description becomes a union of one."""
    schema = object_of({"$ref": "#/$defs/A", "description": "An A."}, **{"$defs": {"A": {"type": "string"}}})
    assert strict(schema)["properties"]["a"] == {"anyOf": [{"$ref": "#/$defs/A"}], "description": "An A."}
    assert strict(object_of({"$ref": "#/$defs/A"}, **{"$defs": {"A": {"type": "string"}}}))["properties"]["a"] == {
        "$ref": "#/$defs/A"
    }


class TestLimits:
    """What a strict schema may hold at the most."""

    @pytest.mark.parametrize(("count", "fits"), [(5000, True), (5001, False)])
    def test_properties(self, count: int, fits: bool) -> None:
        """5,000 properties, those of nested objects included."""
        inner = {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(count - 2)}}
        outer = {"type": "object", "properties": {"a": inner, "b": {"type": "string"}}, "required": ["a"]}
        assert is_refused(outer) is not fits

    @pytest.mark.parametrize(("count", "fits"), [(1000, True), (1001, False)])
    def test_enum_values(self, count: int, fits: bool) -> None:
        """1,000 values of all enums together."""
        first = {"enum": list(range(200))}
        rest = [{"enum": list(range(at, min(at + 200, count)))} for at in range(200, count, 200)]
        fields = {f"p{n}": field for n, field in enumerate([first, *rest])}
        schema = {"type": "object", "properties": fields, "required": list(fields)}
        assert is_refused(schema) is not fits

    @pytest.mark.parametrize(
        ("count", "characters", "fits"),
        [(250, 15_001, True), (251, 15_000, True), (251, 15_001, False)],
    )
    def test_characters_of_an_enum(self, count: int, characters: int, fits: bool) -> None:
        """15,000 characters of an enum that has more than 250 values."""
        values = [f"{n:03}" for n in range(count)]
        values[-1] += "x" * (characters - 3 * count)
        assert is_refused(object_of({"type": "string", "enum": values})) is not fits


class TestNulls:
    """Reading an answer to a strict schema: a null that could not be left out is left out."""

    LEAF: dict[str, Any] = {  # noqa: RUF012  # nothing changes it
        "type": "object",
        "properties": {"kind": {"const": "leaf"}, "size": {"type": "integer"}},
        "required": ["kind"],
    }
    NODE: dict[str, Any] = {  # noqa: RUF012
        "type": "object",
        "properties": {"kind": {"const": "node"}, "size": {"type": ["integer", "null"]}},
        "required": ["kind"],
    }

    def without_nulls(self, schema: dict[str, Any], value: Any) -> Any:
        made = strict_schema(schema)
        assert made is not None
        return made.without_nulls(value)

    def test_in_lists_and_objects(self) -> None:
        """At any depth, by reference too; other values stay as they are."""
        schema = {
            "type": "object",
            "properties": {
                "leaf": self.LEAF,
                "several": {"type": "array", "items": {"$ref": "#/$defs/leaf"}},
                "note": {"type": "string"},
            },
            "$defs": {"leaf": self.LEAF},
        }
        leaf, large = {"kind": "leaf", "size": None}, {"kind": "leaf", "size": 3}
        assert self.without_nulls(schema, {"leaf": leaf, "several": [leaf, large], "note": None}) == {
            "leaf": {"kind": "leaf"},
            "several": [{"kind": "leaf"}, large],
        }
        assert self.without_nulls(schema, {"leaf": None, "several": None, "note": "x"}) == {"note": "x"}

    @pytest.mark.parametrize("union", ["anyOf", "oneOf"])
    def test_the_variant_of_a_union_decides(self, union: str) -> None:
        """Variants of the same fields are told apart by their tags."""
        schema = object_of({union: [{"$ref": "#/$defs/leaf"}, self.NODE]}, **{"$defs": {"leaf": self.LEAF}})
        assert self.without_nulls(schema, {"a": {"kind": "leaf", "size": None}}) == {"a": {"kind": "leaf"}}
        assert self.without_nulls(schema, {"a": {"kind": "node", "size": None}}) == {
            "a": {"kind": "node", "size": None}
        }

    def test_the_variant_of_a_union_in_a_union(self) -> None:
        """Unions may nest."""
        inner = {"anyOf": [self.NODE, self.LEAF]}
        schema = object_of({"anyOf": [{"type": "string"}, inner]})
        assert self.without_nulls(schema, {"a": {"kind": "leaf", "size": None}}) == {"a": {"kind": "leaf"}}
        assert self.without_nulls(schema, {"a": "text"}) == {"a": "text"}

    def test_fields_that_are_not_in_the_schema_stay(self) -> None:
        """Validation has the last word on them."""
        schema = {"type": "object", "properties": {"a": {"type": "string"}}}
        assert self.without_nulls(schema, {"a": None, "b": None}) == {"b": None}

    def test_nothing_changes_where_all_fields_are_required(self) -> None:
        """The value itself is given back."""
        value = {"a": None}
        assert self.without_nulls(object_of({"type": "string"}), value) is value

    def test_names_with_slashes_are_found(self) -> None:
        """A reference writes `/` as `~1` and `~` as `~0`; the subset takes none to a nested definition."""
        schema = {
            "type": "object",
            "properties": {"a": {"$ref": "#/$defs/x~1y"}, "b": {"$ref": "#/$defs/x~0y"}},
            "$defs": {"x/y": self.LEAF, "x~y": self.NODE},
        }
        leaf, node = {"kind": "leaf", "size": None}, {"kind": "node", "size": None}
        assert self.without_nulls(schema, {"a": leaf, "b": node}) == {"a": {"kind": "leaf"}, "b": node}
