"""Schemas of native structured output and of tools are those that litellm sends."""

from __future__ import annotations

import copy
import json
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asyncllm.transports.litellm.importing import import_litellm
from asyncllm.transports.wire.formats.anthropic.schemas import output_schema, tool_schema
from asyncllm.transports.wire.formats.format import UnservedError

from .anthropic_grid import SCHEMA

EXAMPLES = 1000 if os.environ.get("ASYNCLLM_GRID") == "all" else 60

KEYWORDS: dict[str, Any] = {
    "minLength": 2,
    "maximum": 7,
    "uniqueItems": True,
    "not": {"type": "null"},
    "pattern": "^a",
    "description": "Text.",
    "enum": ["a", 1, None, True],
    "const": "a",
    "format": "date",
    "title": "T",
    "default": {"minimum": 1},
}
TYPES = st.sampled_from(["string", "integer", "number", "boolean", "null", "object", "array"])
REFERENCE = st.sampled_from([{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/B"}, {"$ref": "#/$defs/Unknown"}])


def node(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(
        {},
        optional={
            **{name: st.just(value) for name, value in KEYWORDS.items()},
            "type": TYPES | st.lists(TYPES, min_size=1, max_size=2),
            "properties": st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
            "items": inner,
            "anyOf": st.lists(inner, max_size=2),
            "oneOf": st.lists(inner, max_size=2),
            "allOf": st.lists(inner, max_size=2),
            "prefixItems": st.lists(inner, max_size=2),
        },
    )


NODE = st.recursive(REFERENCE | node(st.just({"type": "string"})), node, max_leaves=6)
WHOLE = st.builds(
    lambda root, a, b: {**root, "$defs": {"A": a, "B": b}}, NODE.filter(lambda n: "$ref" not in n), NODE, NODE
)


def by_litellm(schema: Any) -> Any:
    import_litellm()
    from litellm.llms.anthropic.chat.transformation import AnthropicConfig

    config: Any = AnthropicConfig()
    value = {"type": "json_schema", "json_schema": {"name": "c", "schema": copy.deepcopy(schema)}}
    return config.map_response_format_to_anthropic_output_format(value)["schema"]


@pytest.mark.usefixtures("litellm_imported")
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(schema=WHOLE)
def test_any_schema_becomes_the_same(schema: dict[str, Any]) -> None:
    """References resolved, keywords in the description, objects closed."""
    before = json.dumps(schema)
    assert output_schema(schema) == by_litellm(schema)
    assert json.dumps(schema) == before


@pytest.mark.usefixtures("litellm_imported")
def test_a_schema_with_everything() -> None:
    """The one of the grid, whose result can be read."""
    made: Any = output_schema(SCHEMA)
    assert made == by_litellm(SCHEMA)
    assert made["properties"]["id"]["description"] == "Its id. Note: minimum length: 2."
    assert "type" not in made["properties"]["kind"]
    assert made["properties"]["lines"]["items"]["additionalProperties"] is False


def test_a_schema_that_grows_without_bound_is_left_to_litellm() -> None:
    """Resolving it would take all memory."""
    levels = {f"L{n}": {"anyOf": [{"$ref": f"#/$defs/L{n + 1}"}] * 4} for n in range(20)}
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/L0"}}, "$defs": {**levels, "L20": {}}}
    with pytest.raises(UnservedError, match="too large"):
        output_schema(schema)


@pytest.mark.parametrize("parameters", [None, {}, {"type": "string"}, {"anyOf": [{}], "required": ["a"]}])
def test_a_tools_schema_is_an_object(parameters: Any) -> None:
    """The API takes nothing else."""
    made = tool_schema(parameters)
    assert made["type"] == "object"
    assert made["properties"] == {}
    assert "anyOf" not in made
