"""JSON Schemas in the subset that Gemini's API takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from asyncllm.transports.wire.formats.format import UnservedError
from asyncllm.transports.wire.formats.gemini.schemas import needs_json_schema, subset


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ({"type": "string", "minLength": 2, "$comment": "x"}, {"type": "string", "minLength": 2}),
        ({"type": "string", "format": "email"}, {"type": "string"}),
        ({"type": "string", "format": "date-time"}, {"type": "string", "format": "date-time"}),
        ({"type": "string", "const": "a"}, {"type": "string", "enum": ["a"]}),
        ({"type": "string", "enum": ["a", ""]}, {"type": "string", "enum": ["a", None]}),
        ({"type": "array"}, {"type": "array", "items": {"type": "object"}}),
        ({"type": ["string"]}, {"type": "string"}),
        ({}, {"type": "object"}),
        ({"properties": {}, "required": []}, {"type": "object"}),
        (
            {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None, "title": "A"},
            {"anyOf": [{"type": "string", "nullable": True, "title": "A"}]},
        ),
        (
            {"type": ["array", "string"], "items": {"type": "integer"}},
            {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "string"}]},
        ),
    ],
)
def test_keywords(given: Mapping[str, Any], made: Mapping[str, Any]) -> None:
    """What the API refuses is left out, or said otherwise, at any depth."""
    assert subset(of(a=given)) == of(a=made)
    assert subset(of(a={"type": "array", "items": of(b=given)})) == of(a={"type": "array", "items": of(b=made)})


def test_references_are_resolved() -> None:
    """Under both names of definitions, and through each other."""
    definitions = {"A": of(b={"$ref": "#/$defs/B"}), "B": {"type": "integer"}}
    for name in ("$defs", "definitions"):
        assert subset({**of(a={"$ref": f"#/{name}/A"}), name: definitions}) == of(a=of(b={"type": "integer"}))


def test_the_order_of_an_answers_properties() -> None:
    """The API has them by their names otherwise; an order that is given stays."""
    made = subset({**of(b={"type": "string"}, a={"type": "array", "items": of(z={}, y={})})}, ordered=True)
    assert made["propertyOrdering"] == ["b", "a"]
    assert made["properties"]["a"]["items"]["propertyOrdering"] == ["z", "y"]  # type: ignore[index]
    assert subset({**of(b={}, a={}), "propertyOrdering": ["a", "b"]}, ordered=True)["propertyOrdering"] == ["a", "b"]


@pytest.mark.parametrize("schema", [of(a=True), of(a={"anyOf": [{"type": "null"}]}), {"properties": []}])
def test_schemas_that_are_left_to_litellm(schema: Mapping[str, Any]) -> None:
    """It refuses them, or has its own way with them."""
    with pytest.raises(UnservedError):
        subset(schema)


@pytest.mark.parametrize(
    ("schema", "needed"),
    [
        (of(a={"type": "string", "format": "email"}), False),
        (of(a={"type": "object", "additionalProperties": False}), False),
        (of(a={"type": "object", "additionalProperties": {"type": "string"}}), True),
        (of(a={"type": "array", "items": {"oneOf": [{"type": "string"}, {"type": "integer"}]}}), True),
        (of(a={"anyOf": [{"type": "integer", "enum": [1]}, {"type": "null"}]}), True),
        (of(oneOf={"type": "string"}, enum={"type": "string", "enum": ["a"]}), False),
        ({**of(a={"$ref": "#/$defs/A"}), "$defs": {"A": of(a={"$ref": "#/$defs/A"})}}, True),
        ({**of(a={"$ref": "#/$defs/A"}), "$defs": {"A": of(a={"type": "string"})}}, False),
    ],
)
def test_what_the_subset_cannot_say(schema: Mapping[str, Any], needed: bool) -> None:
    """Maps, alternatives of which one holds, numbers to choose from, and trees."""
    assert needs_json_schema(schema) is needed
