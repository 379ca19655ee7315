"""Random models and values: asked for, answered, and streamed in any pieces."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any, Literal, NamedTuple
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter, create_model

from asyncllm import LLM
from asyncllm.simulator import Fault, Simulator
from asyncllm.structured.partial.shapes import HIDDEN
from asyncllm.structured.partial.snapshots import Snapshots
from asyncllm.structured.prompting import MODES
from asyncllm.structured.schema.answer_type import AnswerType
from tests.structured.test_partial_values import assert_grows, pieces, plain, snapshots_of, texts

CHECKS = [
    HealthCheck.too_slow,
    HealthCheck.data_too_large,
    HealthCheck.filter_too_much,
    HealthCheck.large_base_example,
    HealthCheck.function_scoped_fixture,
]


def bounded(examples: int) -> settings:
    """Limit a property to a number of examples, the same in every run."""
    return settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=CHECKS)


class Colour(enum.Enum):
    """An enumeration with a member that begins like another."""

    RED = "red"
    REDDISH = "reddish"


class Pair(NamedTuple):
    """A list in JSON."""

    left: int
    right: str


@dataclasses.dataclass
class Size:
    """A dataclass."""

    width: int
    unit: str = "cm"


@dataclass(frozen=True)
class Kind:
    """A type, with a strategy for its JSON."""

    annotation: Any
    data: st.SearchStrategy[Any]


SCALARS = (
    Kind(str, texts),
    Kind(int, st.integers()),
    Kind(float, st.floats(allow_nan=False, allow_infinity=False)),
    Kind(bool, st.booleans()),
    Kind(Decimal, st.decimals(allow_nan=False, allow_infinity=False, places=2).map(str)),
    Kind(dt.date, st.dates().map(str)),
    Kind(dt.datetime, st.datetimes().map(dt.datetime.isoformat)),
    Kind(UUID, st.uuids().map(str)),
    Kind(Colour, st.sampled_from(["red", "reddish"])),
    Kind(Literal["a", "ab", 1], st.sampled_from(["a", "ab", 1])),
    Kind(Pair, st.tuples(st.integers(), texts).map(list)),
    Kind(Size, st.fixed_dictionaries({"width": st.integers()}, optional={"unit": texts})),
    Kind(Any, st.none() | st.integers() | texts),
)


# As values, for a type checker cannot know what they are made of.
LIST: Any = list
DICT: Any = dict
TUPLE: Any = tuple


def larger(inner: st.SearchStrategy[Kind]) -> st.SearchStrategy[Kind]:
    """Make kinds that contain others."""
    return st.one_of(
        inner.map(lambda kind: Kind(LIST[kind.annotation], st.lists(kind.data, max_size=3))),
        inner.map(lambda kind: Kind(DICT[str, kind.annotation], st.dictionaries(texts, kind.data, max_size=3))),
        inner.map(lambda kind: Kind(kind.annotation | None, st.none() | kind.data)),
        st.tuples(inner, inner).map(
            lambda two: Kind(TUPLE[two[0].annotation, two[1].annotation], st.tuples(two[0].data, two[1].data).map(list))
        ),
        models(inner),
    )


def models(inner: st.SearchStrategy[Kind]) -> st.SearchStrategy[Kind]:
    """Make models with fields of these kinds; some have an alias, some may be left out."""
    names = st.sampled_from(["name", "größe", "items", "x1", "class_"])
    return st.dictionaries(names, st.tuples(inner, st.booleans(), st.booleans()), min_size=1, max_size=4).map(modelled)


def modelled(fields: dict[str, tuple[Kind, bool, bool]]) -> Kind:
    """Make one model."""
    shape: dict[str, Any] = {}
    needed: dict[str, st.SearchStrategy[Any]] = {}
    left_out: dict[str, st.SearchStrategy[Any]] = {}
    for name, (kind, is_optional, is_renamed) in fields.items():
        key = f"{name}-key" if is_renamed else name
        alias: dict[str, Any] = {"alias": key} if is_renamed else {}
        if is_optional:
            shape[name] = (kind.annotation | None, Field(None, **alias))
            left_out[key] = st.none() | kind.data
        else:
            shape[name] = (kind.annotation, Field(**alias))
            needed[key] = kind.data
    model = create_model("Model", **shape)
    return Kind(model, st.fixed_dictionaries(needed, optional=left_out))


SMALL: st.SearchStrategy[Kind] = st.recursive(st.sampled_from(SCALARS), larger, max_leaves=5)
MODELS = models(SMALL)


@bounded(100)
@given(data=st.data())
def test_any_cut_of_any_value_grows_to_the_same_end(data: st.DataObject) -> None:
    """For random models and values, strings extend, nothing else changes, and every cut ends in the same value."""
    kind = data.draw(MODELS)
    text = json.dumps(data.draw(kind.data), ensure_ascii=data.draw(st.booleans()))
    whole = snapshots_of(kind.annotation, text, len(text))
    grown = snapshots_of(kind.annotation, text)
    for before, after in pairwise(grown):
        assert plain(before) != plain(after)
        assert_grows(plain(before), plain(after))
    assert list(map(plain, grown[-1:])) == list(map(plain, whole))
    cut = pieces(text, data)
    assert plain(snapshots_in(kind.annotation, cut)) == plain(whole[0] if whole else None)


def snapshots_in(wanted: Any, cut: list[str]) -> Any:
    """Return the last snapshot of a text that comes in pieces."""
    snapshots = Snapshots(AnswerType(wanted).shape())
    for piece in cut:
        snapshots.feed(piece)
    snapshots.advance()
    value = snapshots.latest
    return None if value is HIDDEN else value


@pytest.fixture
def blocking(options: dict[str, Any]) -> Iterator[LLM]:
    """A blocking client, as hypothesis draws outside of a loop."""
    with LLM(transport="wire", max_reasks=0, **options) as llm:
        yield llm


@bounded(40)
@given(data=st.data())
def test_any_value_of_any_model_comes_through(data: st.DataObject, blocking: LLM, simulator: Simulator) -> None:
    """An answer for a random model is the value that pydantic reads from it, whole and streamed."""
    kind = data.draw(MODELS)
    answer = json.dumps(data.draw(kind.data))
    expected = TypeAdapter(kind.annotation).validate_json(answer)
    mode = data.draw(st.sampled_from(MODES))
    simulator.faults(Fault("answer", text=answer))
    value: Any = blocking.extract(kind.annotation, "What is it?", structured_mode=mode)
    assert type(value) is kind.annotation
    assert value == expected
    size = data.draw(st.integers(1, 40))
    script = {"simulator": {"chunk_chars": size}}
    with blocking.stream_partial(kind.annotation, "What?", structured_mode=mode, extra_body=script) as stream:
        assert stream.final() == expected


@bounded(40)
@given(data=st.data())
def test_the_simulator_answers_for_any_model(data: st.DataObject, blocking: LLM, simulator: Simulator) -> None:
    """The simulator's answer for a random model is valid in every mode, at the first attempt."""
    simulator.faults()
    wanted: type[BaseModel] = data.draw(MODELS).annotation
    for mode in MODES:
        value = blocking.extract(wanted, "Red, 7 cm, 2024-05-06", structured_mode=mode)
        assert wanted.model_validate_json(value.model_dump_json(by_alias=True)) == value
