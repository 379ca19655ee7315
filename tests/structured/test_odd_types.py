"""Types of real code: aliases, private attributes, odd names, keys that are not strings."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import pickle
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, Optional, TypeVar

import pytest
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    RootModel,
    StringConstraints,
    computed_field,
)
from pydantic import dataclasses as pydantic_dataclasses
from pydantic.alias_generators import to_camel
from typing_extensions import TypeAliasType, TypedDict

from asyncllm import AsyncLLM
from asyncllm.simulator import Fault, Simulator
from asyncllm.structured import prompting
from asyncllm.structured.prompting import MODES, Prepared
from asyncllm.structured.schema.answer_type import AnswerType, canonical

pytestmark = pytest.mark.anyio

TEXT = "Jane Doe, jane@example.com, 41 years, since 2024-03-05, 12.50 EUR, XYZ"

T = TypeVar("T")


class Tree(BaseModel, Generic[T]):
    """A generic model that contains itself."""

    value: T
    children: list[Tree[T]] = []


class Cat(BaseModel):
    """A variant whose discriminator has an alias."""

    pet_type: Literal["cat"] = Field("cat", alias="petType")
    meows: int


class Dog(BaseModel):
    """Another variant."""

    pet_type: Literal["dog"] = Field("dog", alias="petType")
    barks: float


class Owner(BaseModel):
    """A union with a discriminator that has an alias."""

    pet: Annotated[Cat | Dog, Field(discriminator="pet_type")]


class Camel(BaseModel):
    """Names from a generator."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    first_name: str
    home_address: str | None = None


class Computed(BaseModel):
    """A computed field and a private attribute."""

    model_config = ConfigDict(frozen=True)

    a: int
    _seen: int = PrivateAttr(default=0)

    @computed_field  # type: ignore[prop-decorator]  # as pydantic's documentation has it
    @property
    def double(self) -> int:
        """Twice as much."""
        return 2 * self.a


class Shadows(BaseModel):
    """Field names of pydantic's own, and names in other scripts."""

    model_config = ConfigDict(protected_namespaces=(), extra="forbid")

    model_name: str
    schema_: str = Field(alias="schema")
    copy_: int = Field(alias="copy")
    größe: int
    名前: str


@dataclasses.dataclass(frozen=True)
class Scaled:
    """A frozen dataclass that computes a field from an InitVar."""

    amount: int
    factor: dataclasses.InitVar[int] = 5
    result: int = dataclasses.field(init=False, default=0)

    def __post_init__(self, factor: int) -> None:
        object.__setattr__(self, "result", self.amount * factor)


@pydantic_dataclasses.dataclass
class Aliased:
    """A dataclass with other names in JSON."""

    amount: int = Field(alias="Amount")
    unit: str = Field(default="kg", alias="Unit")


@dataclasses.dataclass
class PlainAliased:
    """The same without pydantic's decorator."""

    amount: Annotated[int, Field(alias="Amount")]
    unit: str = Field(default="kg", alias="Unit")


class Titled(TypedDict):
    """A TypedDict with another name in JSON."""

    amount: Annotated[int, Field(alias="Amount")]


class Row(NamedTuple):
    """A named tuple with defaults."""

    number: int
    label: str = "none"


def members(name: str, count: int, length: int) -> Any:
    """Make an enumeration with a number of string members."""
    make: Any = enum.Enum
    return make(name, {f"M{number}": f"{number:0{length}}" for number in range(count)})


class Level(enum.IntEnum):
    """An enumeration of numbers."""

    LOW = 1
    HIGH = 2


class Mixed(enum.Enum):
    """An enumeration of values of different types."""

    ONE = 1
    TWO = "two"


class Price(BaseModel):
    """Constraints on a decimal, and a union of dates."""

    amount: Annotated[Decimal, Field(gt=0, max_digits=8, decimal_places=2)]
    code: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
    when: dt.date | dt.datetime


class Nothing(BaseModel):
    """A model without fields."""


Tagged = RootModel[dict[Level, list[Optional[int]]]]  # noqa: UP045  # as users of older code write it
Huge = members("Huge", 1200, 1)
JSON = TypeAliasType("JSON", "dict[str, JSON] | list[JSON] | str | int | None")

TYPES: dict[str, Any] = {
    "recursive generic": Tree[int],
    "discriminator with an alias": Owner,
    "alias generator": Camel,
    "computed, private, frozen": Computed,
    "names of pydantic's own": Shadows,
    "dataclass with InitVar": Scaled,
    "dataclass with aliases": Aliased,
    "plain dataclass with aliases": PlainAliased,
    "TypedDict with an alias": Titled,
    "NamedTuple with defaults": Row,
    "enum of numbers": Level,
    "mixed enum": Mixed,
    "huge enum": Huge,
    "constraints": Price,
    "constraints in a union": Annotated[int, Field(ge=1)] | Annotated[str, Field(min_length=2)],
    "model without fields": Nothing,
    "dict of numbers": dict[int, Computed],
    "dict of enum members": Tagged,
    "dict of dates": dict[dt.date, int],
    "dict of booleans": dict[bool, int],
    "nested options": Optional[list[list[int] | None]],  # noqa: UP045
    "alias that contains itself": JSON,
    "empty tuple": tuple[()],
    "anything": Any,
}


@pytest.mark.parametrize("name", TYPES)
async def test_odd_types_come_back_and_grow(llm: AsyncLLM, name: str) -> None:
    """In every mode the first answer is a value that pickles, and a stream ends with the same value."""
    wanted = TYPES[name]
    for mode in MODES:
        extraction = await llm.extract_with_completion(wanted, TEXT, structured_mode=mode, max_reasks=0)
        value = extraction.value
        assert pickle.loads(pickle.dumps(value)) == value, mode
        async with llm.stream_partial(wanted, TEXT, structured_mode=mode) as stream:
            snapshots = [snapshot async for snapshot in stream]
            assert await stream.final() == value, mode
        assert snapshots, mode


@pytest.mark.parametrize("wanted", [Aliased, PlainAliased, Titled, Scaled])
async def test_snapshots_show_fields_that_have_another_name_in_json(
    llm: AsyncLLM, simulator: Simulator, wanted: Any
) -> None:
    """The last snapshot has the fields of the answer under their Python names, and no others than the type."""
    name = "amount" if wanted is Scaled else "Amount"
    simulator.faults(Fault("answer", text=f'{{"{name}": 12, "factor": 3}}'))
    async with llm.stream_partial(wanted, "How much?", structured_mode="json") as stream:
        *_, last = [snapshot async for snapshot in stream]
    shown = last if isinstance(last, dict) else vars(last)
    assert shown["amount"] == 12
    assert "factor" not in shown


class Left(BaseModel):
    """Fits what Right fits."""

    name: str


class Right(BaseModel):
    """Fits what Left fits."""

    name: str


async def test_the_order_of_a_union_counts(llm: AsyncLLM, simulator: Simulator) -> None:
    """`A | B` equals `B | A` in Python; what fits both is a value of the one that was named first."""
    simulator.faults(Fault("answer", text='{"value": {"name": "x"}}'))
    assert type(await llm.extract(Left | Right, "Who?")) is Left
    assert type(await llm.extract(Right | Left, "Who?")) is Right


def upper(value: Any) -> Any:
    """A validator."""
    return value


@pytest.mark.parametrize(
    "make",
    [
        lambda: Annotated[int, Field(ge=1, description="A number", examples=[1])],
        lambda: list[Annotated[str, StringConstraints(min_length=1), BeforeValidator(upper)]],
        lambda: Optional[Annotated[int, Field(json_schema_extra={"unit": ["kg"]})]],  # noqa: UP045
    ],
    ids=["field", "list", "optional"],
)
async def test_a_type_that_is_written_out_in_each_call_is_prepared_once(make: Any) -> None:
    """Annotations with the same content are the same type, although Python compares them as different."""
    first = await prompting.prepared(make(), "json")
    assert await prompting.prepared(make(), "json") is first


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (int | str, str | int),
        (list[int | str], list[str | int]),
        (Literal[1], Literal[True]),
        (Annotated[int, Field(ge=1)], Annotated[int, Field(ge=2)]),
        (Annotated[int, BeforeValidator(upper)], Annotated[int, BeforeValidator(lambda value: value)]),
        ({"type": "object"}, {"type": "array"}),
    ],
    ids=["union", "union in a list", "literal", "constraint", "validator", "JSON Schema"],
)
def test_types_that_differ_are_told_apart(one: Any, other: Any) -> None:
    """A prepared type is never used for another one, even where Python compares them as equal."""
    assert canonical(one) != canonical(other)


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        (int, {"pattern": "^-?[0-9]+$"}),
        (bool, {"enum": ["true", "false"]}),
        (Level, {"enum": ["1", "2"]}),
        (dt.date, {"format": "date"}),
        (str, None),
    ],
)
def test_the_model_is_told_what_keys_look_like(keys: Any, names: Any) -> None:
    """Keys of JSON are strings; the schema of a map of numbers describes them."""
    mapping: Any = dict
    schema: Any = AnswerType(mapping[keys, int]).schema
    assert schema["properties"]["value"].get("propertyNames") == names


def test_what_is_too_long_for_a_strict_schema_is_sent_without() -> None:
    """A provider refuses strict schemas with more than a thousand enum values, or very long ones."""
    strict = {}
    for wanted in (Huge, members("Long", 300, 100), members("Fine", 300, 1)):
        asked = Prepared(AnswerType(wanted), "json_schema")._params["response_format"]["json_schema"]
        strict[wanted.__name__] = "strict" in asked
    assert strict == {"Huge": False, "Long": False, "Fine": True}


class Closed(BaseModel):
    """A model whose schema litellm changes for some providers."""

    model_config = ConfigDict(extra="forbid")

    name: str


async def test_no_provider_changes_what_is_sent_to_another(
    llm: AsyncLLM, options: dict[str, Any], simulator: Simulator
) -> None:
    """litellm changes tools in place for some providers; those of the type, and of the caller, stay as they are."""
    tool = {"type": "function", "function": {"name": "f", "parameters": Closed.model_json_schema()}}
    changing = {**options, "model": "hosted_vllm/any", "transport": "litellm"}
    async with AsyncLLM(**changing) as other:
        await other.extract(Closed, TEXT, structured_mode="tools")
        await other.acompletion(TEXT, tools=[tool])
    await llm.extract(Closed, TEXT, structured_mode="tools")
    changed, _, sent = (body["tools"][0]["function"]["parameters"] for body in simulator.seen.bodies)
    assert "additionalProperties" not in changed
    assert sent["additionalProperties"] is False
    assert tool["function"]["parameters"] == Closed.model_json_schema()  # type: ignore[index]
