"""JSON Schemas of odd forms as types: right answers are taken, and wrong ones refused."""

from __future__ import annotations

import json
import string
from contextlib import suppress
from typing import Any

import pytest

from asyncllm import AsyncLLM, ExtractionError
from asyncllm.simulator import Fault, Simulator
from asyncllm.structured.schema.answer_type import AnswerType
from asyncllm.structured.schema.readers import BadAnswerError, schema_reader

pytestmark = pytest.mark.anyio

A = {"type": "object", "properties": {"a": {"type": "integer"}}}
B = {"type": "object", "properties": {"b": {"type": "string"}}}
URN = "urn:example:orders"

# A schema, a value that is valid for it and one that is not.
SCHEMAS: dict[str, tuple[Any, Any, Any]] = {
    "allOf beside additionalProperties": (
        {"type": "object", "allOf": [A], "additionalProperties": False},
        {},
        {"a": 1},
    ),
    "anyOf beside additionalProperties": (
        {"type": "object", "anyOf": [A, B], "additionalProperties": False},
        {},
        {"b": "x"},
    ),
    "oneOf beside unevaluatedProperties": (
        {
            "type": "object",
            "oneOf": [{**A, "required": ["a"]}, {**B, "required": ["b"]}],
            "unevaluatedProperties": False,
        },
        {"b": "x"},
        {"b": "x", "c": 1},
    ),
    "allOf beside unevaluatedProperties": (
        {"type": "object", "allOf": [A], "unevaluatedProperties": False},
        {"a": 1},
        {"c": 1},
    ),
    "allOf beside properties of the same name": (
        {"type": "object", "properties": {"a": {"type": "integer"}}, "allOf": [{"properties": {"a": {"minimum": 3}}}]},
        {"a": 3},
        {"a": 2},
    ),
    "a union beside fields of its own": (
        {"type": "object", "properties": {"x": {**A, "anyOf": [B]}}, "required": ["x"]},
        {"x": {"a": 1, "b": "x"}},
        {"x": {"a": 1, "b": 2}},
    ),
    "a tree by the reference to its root": (
        {"properties": {"a": {"$ref": "#"}}, "additionalProperties": False},
        {"a": {"a": {}}},
        {"a": {"b": {}}},
    ),
    "a reference beside fields": (
        {
            "$defs": {"A": A},
            "$ref": "#/$defs/A",
            "properties": {"b": {"type": "string"}},
            "unevaluatedProperties": False,
        },
        {"a": 1, "b": "x"},
        {"a": 1, "c": 2},
    ),
    "a reference beside fields, in a field": (
        {"type": "object", "$defs": {"A": A}, "properties": {"x": {"$ref": "#/$defs/A", "required": ["a"]}}},
        {"x": {"a": 1}},
        {"x": {}},
    ),
    "an anchor": ({"$defs": {"A": {**A, "$anchor": "here"}}, "$ref": "#here"}, {"a": 1}, {"a": "x"}),
    "an identifier": (
        {"$id": URN, "properties": {"x": {"$ref": "#/$defs/A"}}, "$defs": {"A": A}},
        {"x": {"a": 1}},
        {"x": {"a": "x"}},
    ),
    "references of a document within": (
        {
            "type": "object",
            "properties": {"x": {"$id": URN, "$ref": "#/$defs/A", "$defs": {"A": A}}},
            "$defs": {"A": B},
        },
        {"x": {"a": 1, "b": 1}},
        {"x": {"a": "x"}},
    ),
    "something like a reference in data": (
        {"properties": {"a": {"enum": [{"$ref": "other.json"}]}}, "additionalProperties": False},
        {"a": {"$ref": "other.json"}},
        {"a": {"$ref": "#/$defs/Answer"}},
    ),
    "digits and letters in a pattern are ASCII": (
        {"type": "object", "patternProperties": {r"^\d[\w.]$": {"type": "integer"}}, "additionalProperties": False},
        {"1.": 1},
        {"١.": 1},
    ),
}


@pytest.mark.parametrize("mode", ["json_schema", "tools"])
@pytest.mark.parametrize("name", SCHEMAS)
async def test_right_answers_are_taken_and_wrong_ones_refused(
    options: dict[str, Any], simulator: Simulator, mode: Any, name: str
) -> None:
    """In both schema modes, bare and wrapped alike."""
    schema, right, wrong = SCHEMAS[name]
    async with AsyncLLM(**options, structured_mode=mode, max_reasks=0) as llm:
        for answer in answers(schema, right):
            simulator.faults(Fault("answer", text=answer))
            assert await llm.extract(schema, "?") == right
        for answer in answers(schema, wrong):
            simulator.faults(Fault("answer", text=answer))
            with pytest.raises(ExtractionError):
                await llm.extract(schema, "?")


def answers(schema: Any, value: object) -> list[str]:
    """Return the texts of a value: itself, and within an object where the schema is asked for as a value."""
    return [json.dumps(value), *([json.dumps({"value": value})] if AnswerType(schema).wrapped else [])]


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"properties": {"a": {"$ref": "#/$defs/Missing"}}}, "has no part '#/\\$defs/Missing'"),
        ({"properties": {"a": {"$ref": "#missing"}}}, "has no part '#missing'"),
        ({"$dynamicRef": "other.json#a"}, "refers to another document.*'other.json#a'"),
        ({"type": "object", "dependencies": {"a": ["b"]}}, "dependentRequired"),
        ({"$schema": "https://example.com/own", "type": "object"}, "unknown draft.*'https://example.com/own'"),
    ],
)
async def test_a_schema_that_would_not_be_read_as_it_is_meant_is_refused_before_sending(
    llm: AsyncLLM, simulator: Simulator, mode: str, schema: Any, message: str
) -> None:
    """One TypeError that names the part and the remedy; nothing is sent."""
    with pytest.raises(TypeError, match=message):
        await llm.extract(schema, "?", structured_mode=mode)
    assert simulator.seen.requests == 0


@pytest.mark.parametrize("draft", ["http://json-schema.org/draft-07/schema#", "http://json-schema.org/schema#"])
async def test_older_drafts_and_the_newest_are_read_by_their_own_rules(
    llm: AsyncLLM, simulator: Simulator, draft: str
) -> None:
    """The draft that a schema names decides; one without a version is the newest."""
    keyword = "dependencies" if "07" in draft else "dependentRequired"
    schema = {"$schema": draft, "type": "object", keyword: {"a": ["b"]}}
    simulator.faults(Fault("answer", text='{"value": {"a": 1}}'))
    with pytest.raises(ExtractionError, match="'b' is a dependency of 'a'"):
        await llm.extract(schema, "?", structured_mode="tools", max_reasks=0)


async def test_an_answer_that_is_nested_too_deeply_is_no_answer(llm: AsyncLLM, simulator: Simulator) -> None:
    """A recursive schema does not end in an error of the interpreter."""
    schema = {"type": "object", "properties": {"a": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}}
    simulator.faults(Fault("answer", text='{"a":' * 190 + "{}" + "}" * 190))
    with pytest.raises(ExtractionError, match="nested too deeply"):
        await llm.extract(schema, "?", structured_mode="tools", max_reasks=0)


async def test_a_union_that_holds_itself_is_no_answer(llm: AsyncLLM, simulator: Simulator, mode: str) -> None:
    """A schema that no validator can come to the end of refuses every answer."""
    union = {"anyOf": [{"$ref": "#/$defs/U"}, {"type": "string"}]}
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/U"}}, "$defs": {"U": union}}
    simulator.faults(Fault("answer", text='{"a": "x"}'))
    with pytest.raises(ExtractionError, match="nested too deeply"):
        await llm.extract(schema, "?", structured_mode=mode, max_reasks=0)


@pytest.mark.parametrize(
    ("pattern", "letters"),
    [
        (r"^\d$", string.digits),
        (r"^[\d]$", string.digits),
        (r"^[\d.]$", string.digits + "."),
        (r"^\w$", string.digits + string.ascii_letters + "_"),
        (r"^[\w]$", string.digits + string.ascii_letters + "_"),
        (r"^\\d$", ""),
        (r"^[^\d]$", "".join(sorted({*string.printable, "٣", "é"} - {*string.digits, "\n"}))),
    ],
)
def test_a_class_of_characters_is_that_of_json_schema(pattern: str, letters: str) -> None:
    """Digits and letters are those of ASCII, alone and in a class of more, and no others."""
    read = schema_reader({"type": "string", "pattern": pattern})
    accepted = set()
    for letter in {*string.printable, "٣", "é"}:
        with suppress(BadAnswerError):
            read(json.dumps(letter), None)
            accepted.add(letter)
    assert accepted - {"\n"} == set(letters)
