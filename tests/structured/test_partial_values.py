"""Growing values: nesting, shapes and snapshots, without a provider."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import pickle
from decimal import Decimal
from enum import Enum
from itertools import pairwise
from typing import Annotated, Any, Literal, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, RootModel, TypeAdapter
from pydantic_core import from_json
from typing_extensions import TypeAliasType, TypedDict

from asyncllm.structured.nesting import Nesting
from asyncllm.structured.partial.shapes import HIDDEN, WholeShape
from asyncllm.structured.partial.snapshots import Snapshots
from asyncllm.structured.schema.answer_type import AnswerType

CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much, HealthCheck.large_base_example]

bounded = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=CHECKS)


texts = st.text(st.characters(exclude_categories=["Cs"]))
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=15,
).filter(lambda value: isinstance(value, dict | list))


def pieces(text: str, data: st.DataObject) -> list[str]:
    """Cut a text anywhere."""
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=12)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@bounded
@given(value=documents, data=st.data(), escaped=st.booleans(), indent=st.sampled_from([None, 2]))
def test_any_cut_of_a_document_reads_the_same(value: Any, data: st.DataObject, escaped: bool, indent: Any) -> None:
    """However a document is cut, its nesting ends where it ends, and its value is that of the whole text."""
    text = json.dumps(value, ensure_ascii=escaped, indent=indent)
    nesting = Nesting()
    snapshots = Snapshots(WholeShape())
    for piece in pieces(text, data):
        list(nesting.feed(piece))
        snapshots.feed(piece)
        snapshots.advance()
    assert nesting.is_complete
    assert nesting.end == len(text)
    assert snapshots.latest == value


BROKEN = [
    *('{"a":1,}', "[1,]", '{"a" 1}', '{"a":01}', '{"a":.5}', '{"a":+}', '{"a":}', "{a", "[tru]", "[NaN]", "{]", "[}"),
    *('{"a":"\\x"}', '{"a":"\\ud83d"}', '{"a":"\\ud83dx"}', '{"a":"\\u00g0"}', '{"a":"\n"}', "1", '"a"'),
    *('["\ud83d"]', "[1 2]", '{"a":1 "b":2}', '["a" "b"]', "[" * 300, "[" * 300 + "]" * 300),
]


@pytest.mark.parametrize("text", BROKEN)
@pytest.mark.parametrize("size", [1, 1000])
def test_invalid_json_is_never_complete(text: str, size: int) -> None:
    """Invalid JSON is never shown as complete, in one piece or in many."""
    snapshots = Snapshots(WholeShape())
    for start in range(0, len(text), size):
        snapshots.feed(text[start : start + size])
        snapshots.advance()
    assert snapshots.latest is HIDDEN


class Colour(Enum):
    """An enumeration."""

    RED = "red"
    REDDISH = "reddish"


class Line(BaseModel):
    """A nested model."""

    text: str
    count: int


class Cat(BaseModel):
    """One variant."""

    kind: Literal["cat"]
    name: str


class Dog(BaseModel):
    """Another variant."""

    age: int
    kind: Literal["dog"]


class Node(BaseModel):
    """A recursive model."""

    label: str
    children: list[Node] = []


class Pair(NamedTuple):
    """A list in JSON."""

    left: int
    right: int


@dataclasses.dataclass
class Data:
    """A dataclass."""

    name: str
    lines: list[Line]


class Typed(TypedDict):
    """A TypedDict."""

    name: str
    size: int


class Tags(RootModel[list[str]]):
    """A list by name."""


class Everything(BaseModel):
    """A model with a field of every kind."""

    title: str
    count: int
    ratio: float
    done: bool
    day: dt.date
    price: Decimal
    colour: Colour
    size: Literal["s", "m"]
    note: str | None
    lines: list[Line]
    table: dict[str, list[int]]
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    either: int | str
    unique: set[int]
    pair: Pair
    data: Data
    typed: Typed
    tags: Tags
    node: Node
    anything: Any
    named: str = Field(alias="Named")


WHOLE: dict[str, Any] = {
    "title": "A “title” with \\ and \n and 😀",
    "count": 12345,
    "ratio": -1.5e3,
    "done": False,
    "day": "2024-03-05",
    "price": "10.50",
    "colour": "reddish",
    "size": "m",
    "note": "none at all",
    "lines": [{"text": "first", "count": 10}, {"text": "", "count": 20}],
    "table": {"a": [10, 20], "b": []},
    "pet": {"age": 31, "kind": "dog"},
    "either": "text",
    "unique": [11, 12],
    "pair": [13, 14],
    "data": {"name": "Jane", "lines": [{"text": "x", "count": 15}]},
    "typed": {"name": "Joe", "size": 16},
    "tags": ["one", "two"],
    "node": {"label": "root", "children": [{"label": "leaf", "children": []}]},
    "anything": {"x": [1, "two"]},
    "Named": "by alias",
}


def snapshots_of(wanted: Any, text: str, size: int = 1, *, every: bool = True) -> list[Any]:
    """Feed a text in pieces and take the snapshots."""
    snapshots = Snapshots(AnswerType(wanted).shape())
    taken = []
    for start in range(0, len(text), size):
        snapshots.feed(text[start : start + size])
        if (every or snapshots.is_due) and snapshots.advance():
            taken.append(snapshots.latest)
    return taken


def plain(value: Any) -> Any:
    """Turn a snapshot into plain data that can be compared."""
    if isinstance(value, BaseModel):
        return {name: plain(item) for name, item in value.__dict__.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: plain(item) for name, item in vars(value).items()}
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def assert_grows(before: Any, after: Any) -> None:
    """Assert that strings extend, lists get longer, missing values come, and nothing else changes."""
    if before is None:
        return
    if isinstance(before, str) and isinstance(after, str):
        assert after.startswith(before)
    elif isinstance(before, dict):
        for name, item in before.items():
            assert_grows(item, after[name])
    elif isinstance(before, list):
        assert len(after) >= len(before)
        for one, other in zip(before, after, strict=False):
            assert_grows(one, other)
    else:
        assert after == before
        assert type(after) is type(before)


def test_a_value_of_every_kind_grows_to_the_whole() -> None:
    """Fed by characters, no value is shown before it is right, and at the end all are there."""
    taken = snapshots_of(Everything, json.dumps(WHOLE))
    for before, after in pairwise(taken):
        assert plain(before) != plain(after)
        assert_grows(plain(before), plain(after))
    final = TypeAdapter(Everything).validate_json(json.dumps(WHOLE))
    last = taken[-1]
    assert (last.title, last.day, last.price, last.colour) == (final.title, final.day, final.price, final.colour)
    assert (last.either, last.unique, last.pair, last.named) == ("text", {11, 12}, Pair(13, 14), "by alias")
    assert (last.pet.kind, last.pet.age) == ("dog", 31)
    assert (last.data.name, last.typed["size"], last.tags) == ("Jane", 16, ["one", "two"])
    assert last.node.children[0].label == "leaf"


def test_the_first_snapshot_comes_with_the_first_value() -> None:
    """There is no snapshot without a value, and one at once with the first."""
    snapshots = Snapshots(AnswerType(Line).shape())
    snapshots.feed('{"count": 1')
    assert not snapshots.advance()
    snapshots.feed(",")
    assert snapshots.is_due
    assert snapshots.advance()
    first: Any = snapshots.latest
    assert (first.text, first.count) == (None, 1)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"count": 12', HIDDEN),
        ('{"count": "no", "text": "x', {"text": "x", "count": None}),
        ('{"text": 5, "count": 6}', {"text": None, "count": 6}),
        ('{"text": {"x": 1}, "count": 6}', {"text": None, "count": 6}),
        ('{"other": [1, {"text": "y"}], "count": 6}', {"text": None, "count": 6}),
        ('{"count": 1, "count": 2}', {"text": None, "count": 1}),
        ('{"text": "a" oops', {"text": "a", "count": None}),
        ('[{"text": "a"}]', HIDDEN),
        ('Here: ```json\n{"text": "a"', {"text": "a", "count": None}),
        ('<think>{"text": "no"}</think>{"text": "a"', {"text": "a", "count": None}),
        ('{"text": "a"} or {"text": "b"}', {"text": "a", "count": None}),
        ("{}", {"text": None, "count": None}),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize("is_late", [False, True])
def test_what_does_not_fit_is_not_shown(text: str, shown: Any, size: int, is_late: bool) -> None:
    """Values of another kind, unknown keys and broken JSON are not shown; the rest is, and nothing is raised."""
    snapshots = Snapshots(AnswerType(Line).shape())
    for start in range(0, len(text), size):
        snapshots.feed(text[start : start + size])
        if not is_late:
            snapshots.advance()
    snapshots.advance()
    value = snapshots.latest
    assert (value if value is HIDDEN else plain(value)) == shown


@pytest.mark.parametrize(
    ("wanted", "text", "last"),
    [
        (list[Line], '{"value": [{"text": "a", "count": 1}, {"text": "b', [("a", 1), ("b", None)]),
        (list[Line], '[{"text": "a", "count": 1}', [("a", 1)]),
        (str, '{"value": "grow', "grow"),
        (dict[str, str], '{"value": {"a": "b', {"a": "b"}),
        (
            {"type": "object", "properties": {"a": {"type": "string"}, "b": {"enum": ["x", "xy"]}}},
            '{"a": "t", "b": "x',
            {"a": "t"},
        ),
        ({"type": "array", "items": {"type": "integer"}}, '{"value": [1, 22', [1]),
    ],
)
def test_types_that_are_no_object_grow_too(wanted: Any, text: str, last: Any) -> None:
    """Snapshots of a wrapped type are without the object around it."""
    taken = snapshots_of(wanted, text)[-1]
    if isinstance(taken, list):
        taken = [tuple(plain(item).values()) if isinstance(item, BaseModel) else item for item in taken]
    assert taken == last


def test_a_partial_value_serialises_and_pickles() -> None:
    """A partial value is named after its type, serialises by the model's names, and pickles."""
    partial = snapshots_of(Everything, '{"count": 5, "Named": "x", "day": "2024-03-05", "colour": "red"}')[-1]
    assert type(partial).__name__ == "PartialEverything"
    assert json.loads(partial.model_dump_json(exclude_unset=True)) == {
        "count": 5,
        "named": "x",
        "day": "2024-03-05",
        "colour": "red",
    }
    assert pickle.loads(pickle.dumps(partial)) == partial
    data = snapshots_of(Data, '{"name": "x"')[-1]
    assert dataclasses.asdict(data) == {"name": "x", "lines": None}
    assert pickle.loads(pickle.dumps(data)) == data
    assert snapshots_of(Typed, '{"name": "x"')[-1] == {"name": "x", "size": None}


class Nested(RootModel["list[Nested] | int"]):
    """A model that contains itself without an object between."""


Name = TypeAliasType("Name", str)


class Named(BaseModel):
    """A model with an alias twice."""

    first: Name
    last: Name


def test_named_types_grow_wherever_they_are_used() -> None:
    """An alias grows in each of its fields; a type that contains itself is shown."""
    taken = snapshots_of(Named, '{"first": "Jane", "last": "Do')
    assert (taken[-1].first, taken[-1].last) == ("Jane", "Do")
    assert snapshots_of(Nested, '{"value": [1, [2]]}')[-1] == [Nested(1), Nested([Nested(2)])]


@bounded
@given(data=st.data())
def test_any_prefix_and_any_cut_grow_the_same_way(data: st.DataObject) -> None:
    """For any value and any cut, strings extend, the rest stays, and the end is the same."""
    line = st.fixed_dictionaries({"text": texts, "count": st.integers()})
    value = data.draw(
        st.fixed_dictionaries(
            {"title": texts, "lines": st.lists(line, max_size=4)},
            optional={
                "ratio": st.floats(allow_nan=False, allow_infinity=False),
                "either": st.one_of(texts, st.integers()),
                "table": st.dictionaries(texts, st.lists(st.integers())),
                "pet": st.one_of(
                    st.fixed_dictionaries({"kind": st.just("cat"), "name": texts}),
                    st.fixed_dictionaries({"age": st.integers(), "kind": st.just("dog")}),
                ),
                "day": st.dates().map(str),
                "colour": st.sampled_from(["red", "reddish"]),
                "note": st.none() | texts,
                "anything": documents,
            },
        )
    )
    text = json.dumps(value, ensure_ascii=data.draw(st.booleans()))
    whole = snapshots_of(Everything, text, len(text))
    snapshots = Snapshots(AnswerType(Everything).shape())
    before = None
    for piece in pieces(text, data):
        snapshots.feed(piece)
        if snapshots.advance():
            after = plain(snapshots.latest)
            if before is not None:
                assert after != before
                assert_grows(before, after)
            before = after
    assert (before is None) == (not whole)
    if whole:
        assert before == plain(whole[-1])


MARKS = [*'{}[],:"\\1x\n\ud83d', '"title":', '"lines": [', "null", "\\ud83d", "NaN"]


@bounded
@given(data=st.data())
def test_broken_documents_take_nothing_back(data: st.DataObject) -> None:
    """Wherever a document is broken, snapshots grow up to there, and nothing is raised."""
    text = json.dumps(WHOLE)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text) - 1))
        text = text[:at] + data.draw(st.sampled_from(MARKS)) + text[at + data.draw(st.integers(0, 5)) :]
    before = None
    for shown in map(plain, snapshots_of(Everything, text, data.draw(st.sampled_from([1, 7, 60])))):
        assert_grows(before, shown)
        before = shown


def test_the_work_stays_in_proportion_to_the_text() -> None:
    """Snapshots become rarer as the text grows: their number does not grow with that of the pieces."""
    counts = []
    for size in (20_000, 80_000):
        text = json.dumps({"text": "x" * size, "count": 1})
        counts.append(len(snapshots_of(Line, text, 4, every=False)))
    assert counts[1] < 2 * counts[0]
    assert from_json(text)["count"] == snapshots_of(Line, text, 4, every=False)[-1].count
