"""Any type in, exactly that type out: the type table, in every mode, on both backends."""

from __future__ import annotations

import dataclasses
import datetime as dt
import pickle
from decimal import Decimal
from enum import Enum
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NotRequired,
    Optional,
    TypeVar,
    assert_type,
)
from uuid import UUID

import jsonschema
import pytest
from pydantic import BaseModel, Field, RootModel, TypeAdapter
from typing_extensions import TypedDict

from asyncllm import AsyncLLM, Request
from asyncllm.simulator import Fault, Simulator
from asyncllm.structured import list_of
from asyncllm.structured.partial.shapes import Growth
from asyncllm.structured.prompting import MODES, Prepared, prepared
from asyncllm.structured.schema.answer_type import AnswerType
from asyncllm.structured.schema.readers import BadAnswerError

if TYPE_CHECKING:
    pass

pytestmark = pytest.mark.anyio

TEXT = """\
Invoice INV-7 of 2024-03-05 for Jane Doe <jane@example.org>, id 7d444840-9dc0-11d1-b245-5ffdce74fad2, red, circle.
- 2 x Hammer, red at $12.50
- 10 x Nails at $3.20
Total: $57.00
"""

T = TypeVar("T")


class Colour(Enum):
    """An enumeration whose values differ from its names."""

    RED = "red"
    GREEN = "green"


class LineItem(BaseModel):
    """A nested model."""

    description: str
    quantity: int = 1
    price: Decimal | None = None


class Invoice(BaseModel):
    """A model with every kind of field."""

    number: str
    customer: str
    date: dt.date
    items: list[LineItem] = Field(default_factory=list)
    total: Decimal
    colour: Colour = Colour.GREEN
    note: str | None = None


class Box(BaseModel, Generic[T]):
    """A generic model."""

    content: T


class Node(BaseModel):
    """A recursive model."""

    name: str
    children: list[Node] = []


class Names(RootModel[list[str]]):
    """A model that is a list."""


@dataclasses.dataclass
class Person:
    """A dataclass."""

    name: str
    email: str
    age: int = 30


class Movie(TypedDict):
    """A TypedDict."""

    title: str
    year: NotRequired[int]


class Point(NamedTuple):
    """A named tuple."""

    x: float
    y: float


class Circle(BaseModel):
    """One variant of a union."""

    kind: Literal["circle"] = "circle"
    radius: float


class Square(BaseModel):
    """The other variant."""

    kind: Literal["square"] = "square"
    side: float


SCHEMA = {
    "title": "Order",
    "type": "object",
    "properties": {"customer": {"type": "string"}, "total": {"type": "number"}, "tags": {"$ref": "#/$defs/tags"}},
    "required": ["customer", "total"],
    "$defs": {"tags": {"type": "array", "items": {"type": "string"}}},
}
TREE = {"type": "object", "properties": {"name": {"type": "string"}, "child": {"$ref": "#"}}, "required": ["name"]}
SCHEMAS: dict[str, dict[str, Any]] = {
    "schema": SCHEMA,
    "schema of a list": {"type": "array", "items": {"type": "integer"}, "minItems": 1},
    "schema that refers to itself": TREE,
    "schema of a list that refers to itself": {"type": "array", "items": TREE | {"properties": {"of": {"$ref": "#"}}}},
}

TYPES: dict[str, Any] = {
    "BaseModel": Invoice,
    "generic": Box[int],
    "generic of a model": Box[LineItem],
    "recursive": Node,
    "RootModel": Names,
    "dataclass": Person,
    "TypedDict": Movie,
    "NamedTuple": Point,
    "Enum": Colour,
    "Literal": Literal["red", "green"],
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "datetime": dt.datetime,
    "date": dt.date,
    "Decimal": Decimal,
    "UUID": UUID,
    "list": list[LineItem],
    "set": set[int],
    "tuple": tuple[int, str],
    "tuple of any length": tuple[str, ...],
    "dict": dict[str, list[int]],
    "Optional": Optional[int],  # noqa: UP045
    "Optional model": Invoice | None,
    "union": LineItem | Person,
    "union with plain ones": int | str,
    "Annotated": Annotated[int, Field(ge=1, le=5)],
    "discriminated": Annotated[Circle | Square, Field(discriminator="kind")],
    "list of a union": list[Circle | Square],
}


@pytest.mark.parametrize("name", TYPES)
async def test_a_value_has_exactly_the_type_asked_for(llm: AsyncLLM, name: str) -> None:
    """In every mode a value is valid, of the user's own class, and pickles."""
    wanted = TYPES[name]
    adapter: TypeAdapter[Any] = TypeAdapter(wanted)
    for mode in MODES:
        extraction = await llm.extract_with_completion(wanted, TEXT, structured_mode=mode)
        value = extraction.value
        assert [attempt.error for attempt in extraction.attempts] == [None], mode
        if isinstance(wanted, type) and name not in ("TypedDict", "generic of a model"):
            assert type(value) is wanted, mode
        assert adapter.validate_json(adapter.dump_json(value)) == value, mode
        assert pickle.loads(pickle.dumps(value)) == value, mode


@pytest.mark.parametrize("name", SCHEMAS)
async def test_a_json_schema_gives_plain_data_that_is_valid(llm: AsyncLLM, name: str) -> None:
    """Values of a JSON Schema are plain data, validated by it and its references."""
    for mode in MODES:
        value = await llm.extract(SCHEMAS[name], TEXT, structured_mode=mode)
        jsonschema.validate(value, SCHEMAS[name])
        assert type(value) in (dict, list), mode


async def test_every_type_comes_over_both_transports(either: AsyncLLM, mode: str) -> None:
    """A typed call means the same over either transport."""
    invoice = await either.extract(Invoice, TEXT, structured_mode=mode)
    assert type(invoice) is Invoice
    assert (invoice.total, invoice.date) == (Decimal("57.00"), dt.date(2024, 3, 5))
    assert {type(item) for item in invoice.items} == {LineItem}


async def test_a_bare_list_is_taken_for_a_list(llm: AsyncLLM, simulator: Simulator) -> None:
    """An answer without the object around a list is read."""
    simulator.faults(answer("[1, 2]"))
    assert await llm.extract(list[int], "numbers", structured_mode="json") == [1, 2]


async def test_a_type_is_prepared_once_for_each_mode(llm: AsyncLLM, simulator: Simulator) -> None:
    """Every request for a type is the same as the first, and no class is made again."""
    before = [type_ for type_ in BaseModel.__subclasses__() if type_.__name__ == "Answer"]
    for _ in range(3):
        await llm.extract(list[LineItem], TEXT, structured_mode="json_schema")
    made = [type_ for type_ in BaseModel.__subclasses__() if type_.__name__ == "Answer"]
    assert len(made) - len(before) <= 1
    first, second, third = simulator.seen.bodies
    assert first == second == third


async def test_a_batch_takes_a_type_for_each_request(llm: AsyncLLM) -> None:
    """A request's own type overrides the batch's, and may be a JSON Schema."""
    requests = [Request(TEXT), Request(TEXT, response_model=int), Request(TEXT, response_model=SCHEMA)]
    outcomes = await llm.gather(requests, response_model=Invoice)
    assert [type(outcome.unwrap()) for outcome in outcomes] == [Invoice, int, dict]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (object(), "no type that can be asked for"),
        ({"type": "nonsense"}, "not a JSON Schema"),
        ({"$ref": "https://example.org/schema.json"}, "another document"),
    ],
)
async def test_what_is_no_type_is_refused_before_anything_is_sent(
    llm: AsyncLLM, simulator: Simulator, wanted: Any, said: str
) -> None:
    """A type that cannot be asked for is a TypeError with the reason, and no request is sent."""
    with pytest.raises(TypeError, match=said):
        await llm.extract(wanted, "hi")
    assert simulator.seen.requests == 0


async def test_a_schema_that_leads_nowhere_is_asked_for_as_it_is() -> None:
    """A reference to itself is a valid schema; following it comes to an end."""
    schema: Any = {"type": "object", "properties": {"a": {"$ref": "#/properties/a"}}}
    for mode in MODES:
        form = Prepared(AnswerType(schema), mode)
        assert form.shape.show({"a": 1}, Growth()) == {"a": 1}


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        (list[str], "unicode string"),
        ({"type": "array"}, r"^The answer is not valid JSON: it has a lone surrogate\.$"),
    ],
    ids=["type", "schema"],
)
def test_a_lone_surrogate_is_a_bad_answer(wanted: Any, says: str) -> None:
    """Text that cannot be encoded is a bad answer, for a type and for a JSON Schema."""
    with pytest.raises(BadAnswerError, match=says):
        AnswerType(wanted).read('["\ud83d"]')


async def test_checkers_infer_any_type() -> None:
    """The type of the value is known to type checkers, also of a union or a list."""
    form = await prepared(int | None, "json")
    assert_type(form, Prepared[int | None])
    assert_type(form.answer_type.read('{"value": 1}'), int | None)
    items = await prepared(list_of(Invoice), "json")
    assert_type(items, Prepared[list[Invoice]])


async def test_a_parameter_that_says_otherwise_is_refused(llm: AsyncLLM) -> None:
    """A parameter that the typed call sets itself is refused."""
    with pytest.raises(TypeError, match="response_format"):
        await llm.extract(int, "hi", structured_mode="json", response_format={"type": "text"})


async def test_braces_of_a_template_go_through_untouched(llm: AsyncLLM, simulator: Simulator, mode: str) -> None:
    """The user's text is never rendered as a template."""
    text = "{{ 7 * 7 }} {% raise %} {name} age 41"
    await llm.extract(int, text, structured_mode=mode, validation_context={"name": "secret"})
    body = simulator.seen.bodies[-1]
    assert any(text in str(message["content"]) for message in body["messages"])
    assert "secret" not in str(body)


def test_names_are_what_providers_take() -> None:
    """The name of a tool or a schema has neither brackets nor other scripts, and is never empty."""
    names = [AnswerType(wanted).name for wanted in (Box[int], list[LineItem], type("Größe", (BaseModel,), {}))]
    assert names == ["Box_int", "Answer", "Gr_e"]


def answer(text: str) -> Any:
    """Make the simulator answer with a text."""
    return Fault("answer", text=text)
