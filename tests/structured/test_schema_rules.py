"""The schema that a type is asked for with, and the message about an answer that does not fit."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, Optional

import pytest
from pydantic import BaseModel, Field

from asyncllm.structured.schema.answer_type import AnswerType, canonical, list_of, type_name


class Point(BaseModel):
    """A point.

    Args:
        x: Across.
    """

    x: int


class Line(BaseModel):
    start: Point
    end: Point


def answer_type(wanted: Any) -> Any:
    """Return the type of an answer, of a Python type or a JSON Schema."""
    return AnswerType(wanted)


def answer_list(wanted: Any) -> Any:
    """Return the type of a list of what a Python type or a JSON Schema describes."""
    return list_of(wanted)


def extra(**values: Any) -> Any:
    """Return a field with some additions to its schema."""
    return Field(json_schema_extra=values)


def refusal(response_model: Any, text: str) -> tuple[str, str]:
    """Return the class and the message of the error of an answer that is no value of a type."""
    with pytest.raises(Exception, match=r".") as caught:
        answer_type(response_model).read(text)
    return type(caught.value).__name__, str(caught.value)


class TestNames:
    """The names of types, for providers and for messages."""

    @pytest.mark.parametrize(
        ("title", "name"),
        [
            ("Point", "Point"),
            ("a-b_c9", "a-b_c9"),
            ("Page[Item, int]", "Page_Item_int"),
            ("  spaced  out  ", "spaced_out"),
            ("naïve", "na_ve"),
            ("x" * 70, "x" * 64),
            ("日本", "Answer"),
            ("", "Answer"),
            (7, "Answer"),
            (None, "Answer"),
        ],
    )
    def test_a_name_is_what_every_provider_takes(self, title: object, name: str) -> None:
        """Letters, digits, `_` and `-`, at most 64 of them; where nothing is left, it is `Answer`."""
        schema = {"title": title, "type": "object", "properties": {"a": {"type": "integer"}}}
        if not isinstance(title, str):
            del schema["title"]
        found = answer_type(schema)
        assert (found.name, found.title) == (name, name)

    @pytest.mark.parametrize(
        ("response_model", "title", "name"),
        [
            (Point, "Point", "Point"),
            (int, "int", "Answer"),
            (list[int], "list[int]", "Answer"),
            (Optional[int], "Optional[int]", "Answer"),  # noqa: UP045  # that it loses its module is what is tested
            (int | None, "int | None", "Answer"),
            ({"type": "integer"}, "JSON Schema", "Answer"),
            ({"title": "Count", "type": "integer"}, "Count", "Count"),
        ],
    )
    def test_a_message_calls_a_type_as_its_author_does(self, response_model: Any, title: str, name: str) -> None:
        """What is wrapped into an object still goes by its own name."""
        found = answer_type(response_model)
        assert (found.title, found.name, repr(found)) == (title, name, f"AnswerType({title})")
        assert type_name(response_model) == title

    def test_the_docstring_is_that_of_the_type_itself(self) -> None:
        """It describes the fields of a model; an inherited one, or that of a list, does not."""
        assert answer_type(Point).documentation() == "A point.\n\nArgs:\n    x: Across."
        assert answer_type(Line).documentation() is None
        assert answer_type(list[Point]).documentation() is None
        assert answer_type(int).documentation() is None


class TestObjectsAtTheTop:
    """Providers take objects alone."""

    def test_what_is_no_object_is_asked_for_as_the_value_of_one(self) -> None:
        """Python types and schemas are wrapped alike; the answer is taken out again."""
        for response_model in (int, {"type": "integer"}):
            found = answer_type(response_model)
            assert found.wrapped
            assert found.schema["type"] == "object"
            assert found.schema["required"] == ["value"]
            assert found.read('{"value": 7}') == 7

    def test_a_list_may_come_without_its_wrapping(self) -> None:
        """Models leave it out when they are asked for a list."""
        assert answer_type(list[int]).read("[1, 2]") == [1, 2]
        assert answer_type(list[int]).read('{"value": [1, 2]}') == [1, 2]

    def test_a_schema_becomes_a_definition_of_its_wrapping(self) -> None:
        """Its title stays on top, its dialect and its own definitions too, and references point to where things are."""
        schema = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "Numbers",
            "type": "array",
            "items": {"anyOf": [{"$ref": "#/$defs/Answer"}, {"$ref": "#"}, {"$ref": "#/items"}]},
            "$defs": {"Answer": {"type": "integer"}},
        }
        assert answer_type(schema).schema == {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "Numbers",
            "type": "object",
            "properties": {"value": {"$ref": "#/$defs/Answer_"}},
            "required": ["value"],
            "additionalProperties": False,
            "$defs": {
                "Answer": {"type": "integer"},
                "Answer_": {
                    "title": "Numbers",
                    "type": "array",
                    "items": {
                        "anyOf": [
                            {"$ref": "#/$defs/Answer"},
                            {"$ref": "#/$defs/Answer_"},
                            {"$ref": "#/$defs/Answer_/items"},
                        ]
                    },
                },
            },
        }
        assert "$schema" not in answer_type({"type": "integer"}).schema
        assert answer_type({"type": "integer"}).schema["title"] == "Answer"

    def test_a_list_of_a_schema_has_its_items(self) -> None:
        """The schema moves into the definitions, and its items are read by it."""
        several = answer_list(
            {"type": "integer", "minimum": 1, "$schema": "https://json-schema.org/draft/2020-12/schema"}
        )
        assert several == {
            "type": "array",
            "items": {"$ref": "#/$defs/Answer"},
            "$defs": {"Answer": {"type": "integer", "minimum": 1}},
        }
        assert answer_type(several).read("[3, 1]") == [3, 1]
        assert refusal(several, "[3, 0]") == ("BadAnswerError", "1: 0 is less than the minimum of 1")
        assert list_of(int) == list[int]

    def test_a_reference_at_the_top_is_resolved(self) -> None:
        """A recursive model is a mere reference to one of its definitions, which providers refuse."""
        tree = {"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}}}}
        schema = {"$ref": "#/$defs/Tree", "$defs": {"Tree": tree}, "title": "Root"}
        found = answer_type(schema)
        assert not found.wrapped
        assert found.schema == {**tree, "title": "Root", "$defs": {"Tree": tree}}

    @pytest.mark.parametrize(
        "schema",
        [
            {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"type": "integer"}}},
            {"$ref": "#/$defs/A", "$defs": {"A": True}},
            {"$ref": "#/other/A", "other": {"A": {"type": "integer"}}},
        ],
    )
    def test_other_references_are_wrapped(self, schema: dict[str, Any]) -> None:
        """A reference to a reference, or to no object, is the value of one."""
        found = answer_type(schema)
        assert found.wrapped
        assert found.read('{"value": 7}') == 7


class TestMaps:
    """What a schema says of the keys of a map."""

    @pytest.mark.parametrize(
        ("keys", "says"),
        [
            (str, None),
            (int, {"pattern": "^-?[0-9]+$"}),
            (float, {"pattern": r"^-?[0-9]+(\.[0-9]+)?$"}),
            (bool, {"enum": ["true", "false"]}),
            (Literal["a", "b"], None),
            (Literal[1, 2], {"enum": ["1", "2"]}),
            (Literal[1, "b"], {"enum": ["1", "b"]}),
            (Literal[True], {"enum": ["true"]}),
        ],
    )
    def test_keys_that_are_no_texts_are_described(self, keys: Any, says: dict[str, Any] | None) -> None:
        """JSON has texts alone as keys; pydantic reads numbers and booleans back from them."""
        schema = answer_type(dict[keys, int]).schema["properties"]["value"]
        if says is not None:
            assert schema["propertyNames"] == says
        else:
            assert schema.get("propertyNames", {}).get("pattern") is None


class TestRefusals:
    """What is said of an answer that is no value of the type."""

    @pytest.mark.parametrize("response_model", [int, {"type": "integer"}], ids=str)
    def test_text_that_is_no_json(self, response_model: Any) -> None:
        """The words of the parser follow, of a type and of a schema."""
        assert refusal(response_model, "Sorry.") == (
            "NotJSONError",
            "The answer is not valid JSON: expected value at line 1 column 1.",
        )

    def test_each_problem_has_a_line_with_its_path(self) -> None:
        """The path names fields and positions; a problem of the whole is that of the answer."""
        assert refusal(Line, '{"start": {"x": "a"}, "end": {}}') == (
            "BadAnswerError",
            "start.x: Input should be a valid integer, unable to parse string as an integer\nend.x: Field required",
        )
        assert refusal(Line, "[]") == ("BadAnswerError", "the answer: Input should be an object")

    @pytest.mark.parametrize(("count", "lines"), [(20, 20), (21, 21), (30, 21)])
    def test_a_long_list_of_problems_is_cut(self, count: int, lines: int) -> None:
        """The first twenty are shown, and how many more there are."""
        _, message = refusal(list[int], json.dumps(["a"] * count))
        shown = message.splitlines()
        assert len(shown) == lines
        assert shown[19].startswith("19: ")
        if count > 20:
            assert shown[20] == f"and {count - 20} more problems of this kind"

    def test_a_schema_names_every_problem(self) -> None:
        """The problems of an answer come in the order of the document, with their paths."""
        schema = {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "array", "items": {"type": "string"}}},
            "required": ["a", "c"],
        }
        assert refusal(schema, '{"b": ["x", 1], "a": "y"}') == (
            "BadAnswerError",
            "the answer: 'c' is a required property\na: 'y' is not of type 'integer'\nb.1: 1 is not of type 'string'",
        )

    def test_formats_of_a_schema_are_checked(self) -> None:
        """`format` is more than a remark."""
        schema = {"type": "string", "format": "date"}
        assert refusal(schema, '{"value": "yesterday"}') == ("BadAnswerError", "value: 'yesterday' is not a 'date'")


class TestTypesThatCannotBeAskedFor:
    """They are refused when they are given, and not when an answer comes."""

    def test_a_class_without_a_schema(self) -> None:
        """The reason is pydantic's, in one line."""
        with pytest.raises(TypeError) as caught:
            answer_type(type("Unaskable", (), {}))
        assert str(caught.value).startswith(
            "Unaskable is no type that can be asked for: Unable to generate pydantic-core"
        )
        assert "\n" not in str(caught.value)

    def test_a_schema_that_is_none(self) -> None:
        """The message says where."""
        with pytest.raises(
            TypeError, match=r"^this is not a JSON Schema: 'intger' is not valid .* at \$\.properties\.a"
        ):
            answer_type({"type": "object", "properties": {"a": {"type": "intger"}}})

    @pytest.mark.parametrize("where", [{"$ref": "other.json"}, {"items": [{"$ref": "other.json"}]}])
    def test_a_schema_that_needs_another_document(self, where: dict[str, Any]) -> None:
        """Nothing is fetched."""
        with pytest.raises(
            TypeError, match=r"^a JSON Schema that refers to another document cannot be asked for: 'other\.json'$"
        ):
            answer_type({"type": "object", "properties": {"a": where}})


class TestCanonical:
    """The keys under which prepared types are kept."""

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ({"type": "object", "title": "A"}, {"title": "A", "type": "object"}),
            (list[int], list[int]),
            (Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]),
            (Annotated[int, extra(a=[1, {2}])], Annotated[int, extra(a=[1, {2}])]),
            (dict[str, Literal["a"]], dict[str, Literal["a"]]),
            (int | None, int | None),
            (Point, Point),
        ],
    )
    def test_what_means_the_same_is_one(self, one: Any, other: Any) -> None:
        """Equal types, made anew for each call, are prepared once."""
        assert canonical(one) == canonical(other)
        assert hash(canonical(one)) == hash(canonical(other))

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ({"type": "object", "title": "A"}, {"type": "object", "title": "B"}),
            (list[int], list[str]),
            (list[int], set[int]),
            (int | str, str | int),
            (Literal[1], Literal[True]),
            (Literal["a", "b"], Literal["b", "a"]),
            (Annotated[int, Field(ge=1)], Annotated[int, Field(ge=2)]),
            (Annotated[int, Field(ge=1)], Annotated[float, Field(ge=1)]),
            (Annotated[list[int], Field(min_length=1)], Annotated[list[str], Field(min_length=1)]),
            (Annotated[int, Field(description="a")], Annotated[int, Field(description="b")]),
            (Annotated[int, extra(a=[1])], Annotated[int, extra(a=(1,))]),
            (Annotated[int, extra(a={1})], Annotated[int, extra(a={2})]),
        ],
    )
    def test_what_means_something_else_is_another(self, one: Any, other: Any) -> None:
        """A type is never answered with one that was prepared for another."""
        assert canonical(one) != canonical(other)
        hash(canonical(one))
