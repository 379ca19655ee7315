"""Typed answers: valid for any schema, and with the plain values of a text."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import Any, Literal, Optional
from uuid import UUID

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter

from asyncllm.simulator.answers.regex_strings import matching_string
from asyncllm.simulator.answers.typed import typed_answer

INVOICE = """\
Acme Tools GmbH
Invoice INV-2024-0117
Date: 5 March 2024
Due: 04.04.2024
Name: Jane van Doe
Email: jane.doe@example.org

- 2 x Hammer, red at $12.50
- 10 x Nails (box) $3.20

Subtotal: $57.00
Tax: $10.83
Total: $67.83
"""
MAIL = """\
Hello,
my order #A-10293 never arrived. This is urgent! Please refund the 49,90 € to my account.
See https://example.de/orders/10293.
Best regards,
Jörg Müller
joerg@example.de
"""

_NAMES = st.sampled_from(["email", "total", "date", "items", "customer", "is_urgent", "rating", "x", "née", "a b"])
_TEXTS = st.sampled_from([INVOICE, MAIL, "", "12 34 56", "日本語のテキスト 2024-05-06", "{% x %}"])


def _bounded(low: str, high: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy for two bounds, the lower not above the upper, each of which may be absent."""
    pair = st.tuples(values, values).map(sorted)
    both = pair.map(lambda ends: {low: ends[0], high: ends[1]})
    return st.one_of(st.just({}), values.map(lambda v: {low: v}), values.map(lambda v: {high: v}), both)


_INTEGERS = _bounded("minimum", "maximum", st.integers(-1000, 1000)).map(lambda bounds: {"type": "integer", **bounds})
_NUMBERS = _bounded("minimum", "maximum", st.floats(-1e6, 1e6)).map(lambda bounds: {"type": "number", **bounds})
_STEPS = st.builds(
    lambda step, low: {"type": "integer", "multipleOf": step, "minimum": low, "maximum": low + 2 * step},
    st.integers(1, 50),
    st.integers(-500, 500),
)
_OPEN = st.integers(-100, 100).map(lambda low: {"type": "number", "exclusiveMinimum": low, "exclusiveMaximum": low + 1})
_STRINGS = st.one_of(
    _bounded("minLength", "maxLength", st.integers(0, 300)).map(lambda bounds: {"type": "string", **bounds}),
    st.sampled_from(["email", "date", "date-time", "uuid", "uri", "ipv4", "ipv6"]).map(
        lambda name: {"type": "string", "format": name}
    ),
    st.sampled_from([r"^[A-Z]{3}-\d{4}$", r"^\d{5}$", r"^(red|green)+$", r"\w+@\w+\.com", r"^[^aeiou]{2,4}$"]).map(
        lambda pattern: {"type": "string", "pattern": pattern}
    ),
)
_SCALARS = st.one_of(
    _INTEGERS,
    _NUMBERS,
    _STEPS,
    _OPEN,
    _STRINGS,
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"const": 7}, {"enum": ["a", "b", None, 3]}]),
    st.sampled_from([{"type": ["string", "null"]}, {"type": ["integer", "string"]}, {"type": "integer", "default": 4}]),
)


def _containers(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    objects = st.dictionaries(_NAMES, inner, max_size=4).flatmap(
        lambda properties: st.builds(
            lambda required, more: {
                "type": "object",
                "properties": properties,
                "required": sorted(required),
                "additionalProperties": more,
            },
            st.sets(st.sampled_from(sorted(properties))) if properties else st.just(set()),
            st.booleans(),
        )
    )
    maps = st.builds(
        lambda values, least: {"type": "object", "additionalProperties": values, "minProperties": least},
        inner,
        st.integers(0, 4),
    )
    arrays = st.builds(
        lambda items, ends: {"type": "array", "items": items, **ends},
        inner,
        _bounded("minItems", "maxItems", st.integers(0, 5)),
    )
    tuples = st.lists(inner, min_size=1, max_size=3).map(
        lambda parts: {"type": "array", "prefixItems": parts, "items": False, "minItems": len(parts)}
    )
    choices = st.lists(inner, min_size=1, max_size=3).map(lambda branches: {"anyOf": branches})
    return st.one_of(objects, maps, arrays, tuples, choices)


_SCHEMAS = st.recursive(_SCALARS, _containers, max_leaves=12)


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(schema=_SCHEMAS, text=_TEXTS)
def test_any_schema_gets_a_valid_value(schema: dict[str, Any], text: str) -> None:
    """For every schema and text, the answer is valid for the schema."""
    value = typed_answer(schema, text)
    checker = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    checker.validate(value)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 9}, "uniqueItems": True, "minItems": 6},
        {"type": "array", "items": {"type": "string"}, "uniqueItems": True, "minItems": 5},
        {"type": "array", "items": {"enum": ["a", "b", "c"]}, "uniqueItems": True, "minItems": 3},
        {"type": "array", "items": {"type": "boolean"}, "uniqueItems": True, "minItems": 2},
        {"allOf": [{"type": "integer", "minimum": 3}, {"maximum": 5}, {"multipleOf": 2}]},
        {
            "type": "object",
            "properties": {"a": {"type": "string"}, "b": {"type": "integer"}},
            "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
        },
        {"oneOf": [{"type": "integer", "maximum": -1}, {"type": "string", "pattern": "^x"}]},
        {"type": "object", "patternProperties": {"^n_": {"type": "integer"}}, "additionalProperties": False},
        {"type": "object", "propertyNames": {"enum": ["de", "fr"]}, "minProperties": 2},
        {"enum": [1, 2, 3], "minimum": 3},
        {"type": "number", "exclusiveMinimum": 0, "multipleOf": 0.25},
        {"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "string", "minLength": 3}}},
        True,
        {},
    ],
)
def test_rarer_keywords_are_honoured(schema: Any) -> None:
    """Answers also meet the keywords that libraries seldom use."""
    jsonschema.validate(typed_answer(schema, MAIL), schema)


class Node(BaseModel):
    """A type that contains itself in every way."""

    value: int
    next: Optional[Node] = None  # noqa: UP045
    children: list[Node] = []
    by_name: dict[str, Node] = {}


class Ping(BaseModel):
    """One variant of a tagged union."""

    kind: Literal["ping"]
    count: int


class Note(BaseModel):
    """The other variant."""

    kind: Literal["note"]
    author: str


class Holder(BaseModel):
    """Holds a tagged union."""

    event: Ping | Note = Field(discriminator="kind")


@pytest.mark.parametrize(
    "type_",
    [
        Node,
        list[Node],
        Holder,
        dict[str, list[int]],
        tuple[int, str],
        set[int],
        Decimal,
        list[tuple[str, float]],
        dt.datetime,
        dt.time,
        UUID,
    ],
)
def test_types_of_pydantic_get_values_that_validate(type_: Any) -> None:
    """The schemas of pydantic get values that it accepts, those of recursive types included."""
    adapter: TypeAdapter[Any] = TypeAdapter(type_)
    adapter.validate_python(typed_answer(adapter.json_schema(), MAIL))


def test_recursion_without_an_end_has_no_value() -> None:
    """A type that can only be infinite gets no value, rather than endless recursion."""
    schema = {"$ref": "#/$defs/A", "$defs": {"A": {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}}}}
    assert typed_answer(schema, "") is not None
    schema["$defs"]["A"]["required"] = ["a"]  # type: ignore[index]
    assert typed_answer(schema, "") is None


class Invoice(BaseModel):
    """A typical type of extraction."""

    number: str
    name: str = Field(description="Name of the customer")
    email: str
    date: dt.date
    due: Optional[dt.date] = None  # noqa: UP045
    tax: float
    total: Decimal
    currency: str = Field(pattern="^[A-Z]{3}$")
    phone: str | None = None


def test_an_invoice_is_read_sensibly() -> None:
    """Over an invoice every field has the value that a reader would give, and what it does not name is null."""
    assert Invoice.model_validate(typed_answer(Invoice.model_json_schema(), INVOICE)) == Invoice(
        number="INV-2024-0117",
        name="Jane van Doe",
        email="jane.doe@example.org",
        date=dt.date(2024, 3, 5),
        due=dt.date(2024, 4, 4),
        tax=10.83,
        total=Decimal("67.83"),
        currency="USD",
        phone=None,
    )


def test_a_mail_is_read_sensibly() -> None:
    """Over a mail every field has the value that a reader would give, in any spelling of its name."""

    class Ticket(BaseModel):
        customer: str
        order_number: str
        linkToOrder: str
        amount: float
        currency: str
        is_urgent: bool
        is_spam: bool
        topic: Literal["delivery", "refund", "other"]
        city: str | None

    assert typed_answer(Ticket.model_json_schema(), MAIL) == {
        "customer": "Jörg Müller",
        "order_number": "A-10293",
        "linkToOrder": "https://example.de/orders/10293",
        "amount": 49.9,
        "currency": "EUR",
        "is_urgent": True,
        "is_spam": False,
        "topic": "refund",
        "city": None,
    }


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("Lost and found: my invoice", "lost_and_found"),
        ("My billing, and my shipping", "billing"),
        ("Good day!", "other"),
    ],
)
def test_the_member_that_the_text_names_first_is_chosen(text: str, category: str) -> None:
    """A member of an enumeration is chosen by its name in the text; without one it is `other`, where there is that."""
    assert typed_answer({"enum": ["shipping", "billing", "lost_and_found", "other"]}, text) == category


def test_a_number_is_the_first_of_the_text_that_fits() -> None:
    """A number that nothing is said about is the first one within its bounds, dates and codes apart."""
    schema = {"type": "integer", "maximum": 100}
    assert typed_answer(schema, "On 2025-01-31, of order A-77: 1,200 or 36 pieces?") == 36


@pytest.mark.parametrize(
    "written", ["2024-03-05", "05.03.2024", "03/05/2024", "5 March 2024", "March 5th, 2024", "Mar 5, 2024"]
)
def test_dates_are_read_in_several_spellings(written: str) -> None:
    """A date is given in ISO form, however it is written."""
    assert typed_answer({"type": "string", "format": "date"}, f"We met on {written}.") == "2024-03-05"


@pytest.mark.parametrize(
    ("written", "value"), [("$1,234.56", 1234.56), ("1.234,56 €", 1234.56), ("EUR 99", 99), ("£0.50", 0.5)]
)
def test_amounts_are_read_in_several_spellings(written: str, value: float) -> None:
    """An amount is read with points and commas, before and after its currency."""
    schema = {"type": "object", "properties": {"amount": {"type": "number"}}, "required": ["amount"]}
    assert typed_answer(schema, f"Please pay {written} soon.") == {"amount": value}


@pytest.mark.parametrize(
    "pattern",
    [r"^\d{3}-[a-f]{2}$", r"^(?:ab|cd)+x?$", r"(a)\1b", r"^[^\W\d_]{4}$", r"^\+\d+$", "ü[à-é]", "^[一-龥]+$"],
)
def test_patterns_are_met(pattern: str) -> None:
    """The patterns that schemas have get a string that matches."""
    made = matching_string(pattern, 0, math.inf)
    assert made is not None
    jsonschema.validate(made, {"pattern": pattern})


def test_pattern_that_cannot_be_met_has_no_string() -> None:
    """A pattern that is too hard gets no string, rather than a wrong one."""
    assert matching_string(r"^(?=b)a$", 0, math.inf) is None
    assert matching_string(r"(", 0, math.inf) is None
