"""The value of one field: its name, description and format say what to look for in the text."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID

from .conversation import stable_number
from .text_values import UUID as UUID_PATTERN
from .text_values import Amount, TextValues, as_number
from .words import GENERIC, LANGUAGES, MONEY, NEGATIONS, NEGATIVE, NOT_TELLING, POSITIVE, SPEAKS_FOR, URGENT, VALUED_BY

# What a date is when the text has none: any stable one will do.
_SOME_DATE = "2025-01-31"
# A number is taken for a label's when it stands within this many characters of it.
_NEAR_CHARS = 40
_MAX_TEXT_CHARS = 120
# A grade out of how many: 2/5, 2 of 5, 2 out of 5.
_OF = re.compile(r"\b(\d+(?:[.,]\d)?)\s*(?:/|of|out of|von|sur)\s*(?:5|10|100)\b")
# What a price looks like where the text names no currency.
_PRICE = re.compile(r"(?<![\w.,])\d+(?:[.,]\d{3})*[.,]\d{2}(?![\w.,]*\d)")


@dataclass(frozen=True)
class Field:
    """A field of the answer: the name of its property and what its schema says about it."""

    name: str
    description: str
    format: str = ""

    def described(self, schema: Mapping[str, Any]) -> Field:
        """Add what a schema says to what is known."""
        return Field(
            self.name or str(schema.get("title", "")),
            str(schema.get("description") or self.description),
            str(schema.get("format") or self.format),
        )

    def singular(self) -> Field:
        """Give the field of one item of a list."""
        return Field(re.sub(r"(?<=\w\w)s$", "", self.name), self.description, self.format)

    @cached_property
    def words(self) -> set[str]:
        """The words of the name, in lower case."""
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", self.name)
        return {word.lower() for word in re.findall(r"[^\W_]+", name)}

    def is_about(self, *words: str) -> bool:
        """Say whether one of the words is in the name."""
        return not self.words.isdisjoint(words)

    def lines(self, values: TextValues) -> list[str]:
        """What a list of strings with this name holds: all addresses, else the list that follows its label."""
        for words, found in (
            (("emails", "email", "addresses"), values.emails),
            (("urls", "links", "url"), values.urls),
            (("names", "people", "persons", "participants", "attendees"), values.names),
            (("companies", "organizations", "organisations"), values.companies),
            (("phones", "numbers"), values.phones),
            (("dates",), [found.isoformat() for found, _, _ in values.dates]),
        ):
            if found and self.is_about(*words):
                return list(dict.fromkeys(found))
        label = _labelled(self, values)
        if label and "," in label:
            return [part.strip() for part in label.split(",") if part.strip()]
        if self.is_about("keywords", "tags", "topics"):
            long = sorted(set(values.words), key=lambda word: (-len(word), word))
            return [word for word in values.words if word in long[:3]][:3]
        return (
            [line.lstrip("-*• \t") for line in values.item_lines[:20]]
            if self.is_about("items", "points", "steps")
            else []
        )


def find_text(field: Field, values: TextValues, salt: str) -> str:
    """Find a string for a field, whatever it takes."""
    by_format = _FORMATS.get(field.format)
    if by_format is not None:
        return by_format(field, values, salt)
    return _own_text(field, values) or _some_text(field, values, salt)


def has_own_value(field: Field, kind: str, values: TextValues) -> bool:
    """Say whether the text itself has a value for the field, rather than one that the simulator would make up."""
    if kind == "boolean":
        return True
    if kind in ("integer", "number"):
        return _own_number(field, values) is not None
    if field.format in ("date", "date-time"):
        return bool(values.dates)
    if field.format == "email":
        return bool(values.emails)
    if field.format in ("uri", "url"):
        return bool(values.urls)
    return _own_text(field, values) is not None


def find_number(field: Field, values: TextValues, kind: str, low: float, high: float, salt: str) -> float:
    """Find a number for a field: labelled, an amount, by the mood of the text, else a small stable one."""
    found = _own_number(field, values)
    if found is not None:
        return found
    if field.is_about("rating", "stars", "score", "sentiment", "satisfaction", "confidence", "probability"):
        top = high if math.isfinite(high) else 1.0 if field.is_about("confidence", "probability") else 5.0
        bottom = low if math.isfinite(low) else 0.0
        if field.is_about("confidence", "probability"):
            return bottom + (top - bottom) * 0.9
        return bottom + (top - bottom) * {1: 1.0, 0: 0.5, -1: 0.0}[mood(values)]
    usable = [number.value for number in values.numbers if low <= number.value <= high]
    if usable and kind == "integer":
        return usable[0]
    if field.is_about("quantity", "qty", "count"):
        return 1
    return 1 + stable_number(field.name, values.text, salt) % 9


def find_boolean(field: Field, values: TextValues) -> bool:
    """Say whether the text speaks of what the field is named for, and does not deny it."""
    if (label := _labelled(field, values)) is not None:
        return label.lower().strip(" .!") in ("yes", "true", "ja", "oui", "sí", "si", "1", "y")
    if field.is_about("positive", "recommend", "recommends", "recommended", "satisfied", "happy"):
        return mood(values) > 0
    if field.is_about("negative", "complaint"):
        return mood(values) < 0
    telling = {_stem(word) for word in field.words - NOT_TELLING}
    synonyms = {
        word for stem, words in SPEAKS_FOR.items() for word in words if any(t.startswith(stem) for t in telling)
    }
    words = values.words
    for index, word in enumerate(words):
        if _stem(word) in telling or word in synonyms:
            return NEGATIONS.isdisjoint(words[max(0, index - 2) : index])
    return False


def find_member(members: list[Any], field: Field, values: TextValues, salt: str) -> Any:
    """Choose a member of an enumeration: named in the text, else spoken for by its words, else stably."""
    text = " " + " ".join(re.findall(r"[^\W_]+", values.text.lower())) + " "
    named = {}
    for index, member in enumerate(members):
        name = " ".join(re.findall(r"[^\W_]+", str(member).lower()))
        at = text.find(f" {name} ") if name else -1
        if at >= 0:
            named[index] = at
    label = _labelled(field, values)
    if label is not None:
        for member in members:
            if str(member).lower().replace("_", " ") == label.lower():
                return member
    if named:
        return members[min(named, key=lambda index: (named[index], index))]
    spoken = [_spoken_for(str(member).lower(), values) for member in members]
    if any(spoken):
        return members[spoken.index(max(spoken))]
    for neutral in ("neutral", "mixed", "other", "general", "normal", "medium", "none"):
        for member in members:
            if str(member).lower() == neutral:
                return member
    return members[stable_number(field.name, values.text, salt) % len(members)]


def mood(values: TextValues) -> int:
    """Give 1 for a text of kind words, -1 for one of complaints, 0 for neither."""
    score = 0
    words = values.words
    for index, word in enumerate(words):
        if word in POSITIVE or word in NEGATIVE:
            denied = not NEGATIONS.isdisjoint(words[max(0, index - 2) : index])
            score += 1 if (word in POSITIVE) is not denied else -1
    return (score > 0) - (score < 0)


def _spoken_for(member: str, values: TextValues) -> int:
    member = LANGUAGES.get(member, member)
    words = set().union(
        *(said for stem, said in SPEAKS_FOR.items() if re.search(rf"\b{stem}", member.replace("_", " ")))
    )
    if {"positive", "negative"} & {member}:
        return int(mood(values) == (1 if member == "positive" else -1)) * 100
    return sum(word in words for word in values.words)


def _stem(word: str) -> str:
    return re.sub(r"(?:ing|ed|s|e|ment|ly|cy|t)$", "", word) if len(word) > 4 else word


def _labelled(field: Field, values: TextValues) -> str | None:
    """Find the line `Label: value` whose label is the field's name, or shares a telling word with it."""
    if not field.words:
        return None
    name = " ".join(re.findall(r"[^\W_]+", field.name.lower()))
    if name in values.labels:
        return values.labels[name]
    for label, value in values.labels.items():
        words = set(re.findall(r"[^\W_]+", label))
        if field.words <= words or (words and words <= field.words and words - GENERIC):
            return value
    return None


def _own_text(field: Field, values: TextValues) -> str | None:
    for words, find in _BY_NAME:
        if field.is_about(*words) and (found := find(field, values)):
            return found
    label = _labelled(field, values)
    if label:
        return label
    described = Field(field.description, "")
    for words, find in _BY_NAME[:_TELLING_BY_DESCRIPTION]:
        if described.is_about(*words) and (found := find(field, values)):
            return found
    return None


def _some_text(field: Field, values: TextValues, salt: str) -> str:
    for words, text in _MADE_UP:
        if field.is_about(*words):
            return text
    if values.sentences:
        sentence = values.sentences[stable_number(field.name, salt) % min(3, len(values.sentences))]
        return sentence[:_MAX_TEXT_CHARS].rstrip()
    return " ".join(values.text.split())[:_MAX_TEXT_CHARS] or f"simulated {field.name or 'text'}"


def _own_number(field: Field, values: TextValues) -> float | None:
    if field.is_about("year") and values.dates:
        return float(values.dates[0][0].year)
    if field.is_about(*MONEY) and values.amounts:
        return _amount(field, values).value
    if field.is_about("rating", "stars", "score") and (found := _OF.search(values.text)):
        return as_number(found[1])
    label = _labelled(field, values)
    if label is not None and (found := re.search(r"-?\d+(?:[.,]\d+)*", label)):
        return as_number(found[0])
    if field.is_about(*MONEY) and (prices := _PRICE.findall(values.text)):
        return as_number(prices[-1])
    wanted = field.words - NOT_TELLING - {"number", "count", "total", "num", "of"}
    wanted = _said_as(wanted) | _said_as(field.words & VALUED_BY.keys()) - field.words
    best: tuple[int, float] | None = None
    for match in re.finditer(r"[^\W\d_]+|[x×]", values.text.lower()):
        word = match[0]
        if word not in wanted and word.removesuffix("s") not in wanted:
            continue
        for number in values.numbers:
            distance = number.start - match.end() if number.start >= match.end() else match.start() - number.end
            if (
                0 <= distance <= _NEAR_CHARS
                and "\n" not in values.text[match.end() : number.start]
                and (not best or distance < best[0])
            ):
                best = (distance, number.value)
    return best[1] if best else None


def _said_as(words: Set[str]) -> set[str]:
    """Add to the words of a field those that a text uses instead."""
    return {*words, *(other for word in words for other in VALUED_BY.get(word, ()))}


def _amount(field: Field, values: TextValues) -> Amount:
    """Choose among the sums: the one after the field's word, else the largest for a total and the first otherwise."""
    text = values.text.lower()
    for word in sorted(_said_as(field.words & MONEY), key=len, reverse=True):
        for match in re.finditer(rf"\b{word}\b", text):
            after = [amount for amount in values.amounts if 0 <= amount.start - match.end() <= _NEAR_CHARS]
            if after:
                return after[0]
    if field.is_about("total", "amount", "sum", "due", "paid"):
        return max(values.amounts, key=lambda amount: amount.value)
    return values.amounts[0]


def _date(field: Field, values: TextValues) -> str | None:
    """Choose among the dates: the one after the field's word (`due`, `delivery`), else the first."""
    if not values.dates:
        return None
    text = values.text.lower()
    for word in field.words - {"date", "day", "at", "on"}:
        for match in re.finditer(rf"\b{re.escape(word)}", text):
            for found, start, _ in values.dates:
                if 0 <= start - match.end() <= _NEAR_CHARS:
                    return found.isoformat()
    return values.dates[0][0].isoformat()


def _date_time(field: Field, values: TextValues, salt: str) -> str:
    time = values.times[0] if values.times else "00:00:00"
    return f"{_date(field, values) or _SOME_DATE}T{time}Z"


def _first(found: Iterable[str]) -> str | None:
    return next(iter(found), None)


def _language(field: Field, values: TextValues) -> str:
    counts = {code: sum(word in SPEAKS_FOR[name] for word in values.words) for code, name in LANGUAGES.items()}
    code = max(counts, key=lambda one: counts[one])
    return code if field.is_about("code") else LANGUAGES[code].capitalize()


def _item_name(field: Field, values: TextValues) -> str | None:
    """Take the words of an item's line: without its bullet, its quantity and its price."""
    lines = values.item_lines
    if len(lines) != 1 or lines[0] != values.text.strip():
        return None
    line = re.sub(r"^\s*(?:[-*•]|\d+[.)])\s*", "", lines[0])
    line = re.sub(r"^\d+\s*[x×]?\s+|\s*[x×]\s*\d+\b", "", line)
    line = re.split(r"\s*(?:[-–—|@:,]|\bat\b|\bfor\b)?\s*(?:[$€£¥]|\b[A-Z]{3}\b)?\s*\d+[.,]\d", line)[0]
    return line.strip(" -–—|@:,.$€£") or None


_Finder = Callable[[Field, TextValues], str | None]
_BY_NAME: list[tuple[tuple[str, ...], _Finder]] = [
    (("email", "mail"), lambda field, values: _first(values.emails)),
    (("url", "website", "link", "homepage"), lambda field, values: _first(values.urls)),
    (("phone", "telephone", "mobile", "fax"), lambda field, values: _first(values.phones)),
    (("date", "day", "deadline", "birthday"), _date),
    (("currency",), lambda field, values: values.amounts[0].currency if values.amounts else None),
    (("order", "invoice", "ticket", "reference", "number", "code", "tracking", "sku", "id"),
     lambda field, values: values.code(field.words)),
    (("company", "vendor", "supplier", "merchant", "organization", "organisation", "employer", "seller", "issuer"),
     lambda field, values: _labelled(field, values) or _first(values.companies)),
    (("city", "town", "place", "location", "destination", "country"), lambda field, values: _first(values.places)),
    # The words above are found in a description too; those below are too common in prose for that.
    (("product", "item", "description", "name", "title"), _item_name),
    (("time",), lambda field, values: _first(values.times)),
    (("total", "amount", "price", "cost", "tax", "subtotal"),
     lambda field, values: f"{_amount(field, values).value:.2f}" if values.amounts else None),
    (("customer", "person", "name", "sender", "author", "recipient", "contact", "client", "reviewer", "buyer"),
     lambda field, values: _labelled(field, values) or _first(values.names)),
    (("sentiment", "mood", "tone"), lambda field, values: {1: "positive", 0: "neutral", -1: "negative"}[mood(values)]),
    (("language", "lang"), _language),
    (("priority", "urgency"), lambda field, values: "high" if URGENT & set(values.words) else "normal"),
    (("title", "subject", "headline"),
     lambda field, values: _labelled(field, values) or _first(s[:60] for s in values.sentences)),
]  # fmt: skip
_TELLING_BY_DESCRIPTION = 8
_MADE_UP = (
    (("email", "mail"), "simulated@example.com"),
    (("url", "website", "link", "homepage"), "https://simulator.example.com/"),
    (("phone", "telephone", "mobile", "fax"), "+1 555 0100"),
    (("date", "day", "deadline", "birthday"), _SOME_DATE),
    (("currency",), "USD"),
    (("city",), "Springfield"),
    (("country",), "Nowhere"),
)
_FORMATS: dict[str, Callable[[Field, TextValues, str], str]] = {
    "email": lambda field, values, salt: _first(values.emails) or "simulated@example.com",
    "idn-email": lambda field, values, salt: _first(values.emails) or "simulated@example.com",
    "date": lambda field, values, salt: _date(field, values) or _SOME_DATE,
    "date-time": _date_time,
    "time": lambda field, values, salt: f"{_first(values.times) or '12:00:00'}Z",
    "duration": lambda field, values, salt: "PT1H",
    "uuid": lambda field, values, salt: _uuid(field, values, salt),
    "uri": lambda field, values, salt: _first(values.urls) or "https://simulator.example.com/",
    "url": lambda field, values, salt: _first(values.urls) or "https://simulator.example.com/",
    "uri-reference": lambda field, values, salt: _first(values.urls) or "/simulated",
    "hostname": lambda field, values, salt: "simulator.example.com",
    "ipv4": lambda field, values, salt: "192.0.2.1",
    "ipv6": lambda field, values, salt: "2001:db8::1",
    "ipvanyaddress": lambda field, values, salt: "192.0.2.1",
    "regex": lambda field, values, salt: ".*",
    "json-pointer": lambda field, values, salt: "/simulated",
    "json-string": lambda field, values, salt: json.dumps({"simulated": True}),
    "binary": lambda field, values, salt: "simulated",
    "base64url": lambda field, values, salt: "c2ltdWxhdGVk",
}


def _uuid(field: Field, values: TextValues, salt: str) -> str:
    found = UUID_PATTERN.search(values.text)
    if found:
        return found[0].lower()
    number = stable_number(field.name, values.text, salt) << 64 | stable_number(values.text, field.name)
    return str(UUID(int=number, version=4))
