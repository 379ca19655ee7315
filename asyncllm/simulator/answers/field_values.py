"""Values of single fields, found in a text by the name, description and format of the field."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar
from uuid import UUID

from .conversation import stable_number
from .json_schema import Schema
from .text_values import TextValues

T = TypeVar("T")

# Enough of a text to recognise it, for a string of no known kind.
_MAX_TEXT_CHARS = 120


@dataclass(frozen=True)
class Field:
    """A field of the answer: the name of its property and what its schema says about it."""

    name: str
    description: str = ""
    format: str = ""

    def described(self, schema: Schema) -> Field:
        """Return this field with what a schema says about it."""
        return Field(
            self.name or schema.get("title", ""),
            schema.get("description") or self.description,
            schema.get("format") or self.format,
        )

    def singular(self) -> Field:
        """Return the field of one item of a list."""
        return Field(re.sub(r"(?<=\w\w)s$", "", self.name), self.description, self.format)

    @cached_property
    def words(self) -> frozenset[str]:
        """The words of the name, in lower case."""
        return _words_of(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", self.name))


@dataclass(frozen=True)
class _Kind:
    """A kind of string: the names and formats of its fields, its finder, and a placeholder for texts that have none."""

    names: frozenset[str]
    find: Callable[[TextValues], Sequence[str]]
    placeholder: str = ""


# The first match counts: by the format of a field, then by its name, then by its description.
_KINDS = (
    _Kind(frozenset(("email", "mail", "idn-email")), lambda text: text.emails, "simulated@example.com"),
    _Kind(frozenset(("url", "uri", "link", "website")), lambda text: text.urls, "https://simulator.example.com/"),
    _Kind(frozenset(("date", "date-time", "due", "day")), lambda text: text.dates, "2025-01-31"),
    _Kind(frozenset(("currency",)), lambda text: text.currencies, "USD"),
    _Kind(frozenset(("city", "country", "location")), lambda text: text.places),
    _Kind(frozenset(("number", "order", "invoice", "code", "id")), lambda text: text.codes),
    _Kind(frozenset(("name", "customer", "person", "author", "who")), lambda text: text.names),
)
# Placeholders of formats that are not looked for in a text.
_OF_FORMAT: Mapping[str, str] = {
    "time": "12:00:00Z",
    "duration": "PT1H",
    "uri-reference": "/simulated",
    "hostname": "simulator.example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "ipvanyaddress": "192.0.2.1",
    "regex": ".*",
    "json-pointer": "/simulated",
    "json-string": '{"simulated": true}',
    "binary": "simulated",
    "base64url": "c2ltdWxhdGVk",
}
# Fields whose number is a sum of money.
_MONEY = frozenset(("total", "amount", "price", "cost", "tax", "sum", "fee"))


def find_text(field: Field, text: TextValues, salt: str) -> str:
    """Return a string for a field: from the text, else a placeholder of its kind."""
    if field.format == "uuid":
        return str(UUID(int=stable_number(field.name, text.text, salt) << 64, version=4))
    if field.format in _OF_FORMAT:
        return _OF_FORMAT[field.format]
    found = _own_text(field, text)
    if found is None:
        kind = _kind_of(field)
        found = kind.placeholder if kind else ""
    if field.format == "date-time":
        return f"{found}T00:00:00Z"
    return found or " ".join(text.text.split())[:_MAX_TEXT_CHARS] or f"simulated {field.name or 'text'}"


def find_number(field: Field, text: TextValues, low: float, high: float, salt: str) -> float:
    """Return a number for a field: its own, else the first within the bounds, else a small stable one."""
    found = _own_number(field, text)
    if found is None:
        found = next((number for number in text.numbers if low <= number <= high), None)
    return 1 + stable_number(field.name, text.text, salt) % 9 if found is None else found


def find_boolean(field: Field, text: TextValues) -> bool:
    """Return whether the text has a word of the field's name, short ones like `is` apart."""
    return any(len(word) > 3 and word in text.words for word in field.words)


def find_member(members: Sequence[T], field: Field, text: TextValues, salt: str) -> T:
    """Return the member of an enumeration that the text names first, else the one called `other`, else a stable one."""
    names = [str(member).lower().replace("_", " ") for member in members]
    lower = text.text.lower()
    found = ((re.search(rf"\b{re.escape(name)}\b", lower), index) for index, name in enumerate(names) if name)
    named = [(match.start(), index) for match, index in found if match]
    if named:
        return members[min(named)[1]]
    if "other" in names:
        return members[names.index("other")]
    return members[stable_number(field.name, text.text, salt) % len(members)]


def has_own_value(field: Field, kind: str, text: TextValues) -> bool:
    """Return whether the text has a value for a field of a scalar type, so that none needs to be made up."""
    if kind in ("integer", "number"):
        return _own_number(field, text) is not None
    return kind == "boolean" or _own_text(field, text) is not None


def _own_text(field: Field, text: TextValues) -> str | None:
    kind, label = _kind_of(field), text.labelled(field.words)
    if kind is not None:
        for source in filter(None, (label, text)):
            if found := kind.find(source):
                return found[0]
    return label.text if label is not None and not field.format else None


def _own_number(field: Field, text: TextValues) -> float | None:
    label = text.labelled(field.words)
    if label is not None and label.numbers:
        return label.numbers[0]
    if text.amounts and not field.words.isdisjoint(_MONEY):
        return max(amount for amount, _ in text.amounts)
    return None


def _kind_of(field: Field) -> _Kind | None:
    for words in (frozenset((field.format,)), field.words, _words_of(field.description)):
        for kind in _KINDS:
            if not kind.names.isdisjoint(words):
                return kind
    return None


def _words_of(text: str) -> frozenset[str]:
    return frozenset(word.lower() for word in re.findall(r"[^\W_]+", text))
