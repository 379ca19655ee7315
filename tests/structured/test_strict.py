"""Strict schemas, where the strict subset can express the type."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, create_model

from asyncllm.simulator.answers.typed import typed_answer
from asyncllm.structured.schema.answer_type import AnswerType
from asyncllm.structured.schema.strict import strict_schema

CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much, HealthCheck.large_base_example]


class Leaf(BaseModel):
    """A nested model with every way of being optional."""

    model_config = ConfigDict(title="Leaf")

    name: str = Field(description="The name.", min_length=2, max_length=90)
    size: int = 3
    tags: list[str] = Field(default_factory=list)
    note: str | None = None
    kind: Literal["leaf"] = "leaf"


class Other(BaseModel):
    """Another variant."""

    kind: Literal["other"] = "other"
    day: dt.date = dt.date(2024, 1, 1)


class Tree(BaseModel):
    """A recursive model, with references that have descriptions and defaults."""

    leaf: Leaf = Field(description="The leaf.")
    spare: Leaf = Leaf(name="spare")
    branch: Tree | None = None
    either: Annotated[Leaf | Other, Field(discriminator="kind")]


def strict_of(wanted: Any) -> Any:
    """Make the strict schema of a type."""
    return strict_schema(AnswerType(wanted).schema)


def objects_of(node: Any) -> list[Any]:
    """List the objects in a schema."""
    if isinstance(node, list):
        return [found for item in node for found in objects_of(item)]
    if not isinstance(node, dict):
        return []
    found = [node] if node.get("type") == "object" else []
    return found + [inner for value in node.values() for inner in objects_of(value)]


def keywords_of(node: Any) -> set[str]:
    """List the keywords of a schema, wherever in it."""
    if isinstance(node, list):
        return {found for item in node for found in keywords_of(item)}
    if not isinstance(node, dict):
        return set()
    found = set(node)
    for key, value in node.items():
        parts = value.values() if key in ("properties", "$defs") else [value]
        found |= {inner for part in parts for inner in keywords_of(part)}
    return found


def test_every_field_is_required_and_no_other_is_allowed() -> None:
    """In every object of a strict schema, all fields are required and there are no others."""
    found = objects_of(strict_of(Tree).schema)
    assert len(found) >= 3
    for node in found:
        assert node["required"] == list(node["properties"])
        assert node["additionalProperties"] is False


def test_only_keywords_of_the_subset_are_left() -> None:
    """Keywords outside of the subset are removed, or moved to the description."""
    schema = strict_of(Tree).schema
    assert not keywords_of(schema) & {"default", "oneOf", "discriminator", "minLength", "maxLength"}
    leaf = schema["$defs"]["Leaf"]["properties"]
    assert leaf["name"]["description"] == "The name. (maxLength: 90, minLength: 2)"
    assert leaf["size"] == {
        "anyOf": [{"type": "integer", "title": "Size"}, {"type": "null"}],
        "description": "(default: 3)",
    }
    assert schema["properties"]["leaf"] == {"anyOf": [{"$ref": "#/$defs/Leaf"}], "description": "The leaf."}
    assert leaf["kind"]["const"] == "leaf"


def test_a_null_in_the_place_of_a_field_left_out_means_its_default() -> None:
    """A strict answer reads like one without its null fields, in unions and recursive types too."""
    left_out = {"name": "ab", "size": None, "tags": None, "note": None, "kind": "leaf"}
    value = {
        "leaf": left_out,
        "spare": None,
        "branch": {"leaf": left_out, "spare": None, "branch": None, "either": {"kind": "other", "day": None}},
        "either": left_out,
    }
    tree = Tree.model_validate(strict_of(Tree).without_nulls(value))
    assert tree.leaf == Leaf(name="ab")
    assert tree.spare == Leaf(name="spare")
    assert tree.branch is not None
    assert tree.branch.either == Other()
    assert tree.either == Leaf(name="ab")


class Open(BaseModel):
    """Takes any other field."""

    model_config = ConfigDict(extra="allow")
    name: str


@pytest.mark.parametrize(
    "wanted",
    [
        dict[str, int],
        tuple[int, str],
        list[Any],
        Open,
        {"type": "object", "properties": {"a": {"not": {"type": "string"}}}},
        {"type": "object", "properties": {"a": {"allOf": [{"type": "string"}, {"minLength": 2}]}}},
        {"type": "object", "properties": {"a": {"type": "object"}}},
        {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["b"]},
        {"type": "object", "properties": {"a": {"$ref": "#/properties/b"}, "b": {"type": "integer"}}},
    ],
    ids=str,
)
def test_what_the_subset_cannot_say_is_sent_without_strict(wanted: Any) -> None:
    """Maps, tuples, any value and conditions would be lost in a strict schema, so there is none."""
    assert strict_of(wanted) is None


fields = st.sampled_from(
    [
        (int, ...),
        (str, ...),
        (bool, False),
        (float, 1.5),
        (int | None, None),
        (list[int], Field(default_factory=list)),
        (Literal["a", "b"], "a"),
        (Literal[1, "b", None], ...),
        (dt.date | None, ...),
        (Leaf, ...),
        (Leaf | None, None),
        (list[Leaf | Other], ...),
        (Annotated[int, Field(ge=1, le=9)], 4),
    ]
)


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=CHECKS)
@given(
    shape=st.dictionaries(st.sampled_from("abcdef"), fields, min_size=1), text=st.sampled_from(["", "7 b 2024-05-06"])
)
def test_an_answer_to_a_strict_schema_is_a_value_of_the_type(shape: dict[str, Any], text: str) -> None:
    """For random models, an answer that follows the strict schema is valid, with nulls as fields left out."""
    model: type[BaseModel] = create_model("Model", **shape)
    strict = strict_of(model)
    jsonschema.Draft202012Validator.check_schema(strict.schema)
    answer = typed_answer(strict.schema, text)
    TypeAdapter(model).validate_python(strict.without_nulls(answer))
    everything_null = dict.fromkeys(strict.schema["properties"])
    kept = strict.without_nulls(everything_null)
    assert set(kept) >= {name for name, field in model.model_fields.items() if field.is_required()}
