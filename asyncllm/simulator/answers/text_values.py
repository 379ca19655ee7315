"""Values found in a text: addresses, dates, amounts, names, codes and labelled lines.

Plain patterns rather than extraction as a model does it: enough to make simulated answers look sensible.
"""

from __future__ import annotations

import re
from collections.abc import Set
from datetime import date
from functools import cached_property

EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
URL = re.compile(r"https?://[^\s<>\"')\]]+")

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = rf"(?P<m>(?:{'|'.join(_MONTHS)})[a-z]*)\.?"
_DATES = (
    re.compile(r"\b(?P<y>\d{4})-(?P<m>\d\d?)-(?P<d>\d\d?)(?!\d)"),
    re.compile(r"\b(?P<d>\d\d?)\.(?P<m>\d\d?)\.(?P<y>\d{4})(?!\d)"),
    re.compile(r"\b(?P<m>\d\d?)/(?P<d>\d\d?)/(?P<y>\d{4})(?!\d)"),
    re.compile(rf"\b(?P<d>\d\d?)(?:st|nd|rd|th)? {_MONTH} (?P<y>\d{{4}})", re.IGNORECASE),
    re.compile(rf"\b{_MONTH} (?P<d>\d\d?)(?:st|nd|rd|th)?,? (?P<y>\d{{4}})", re.IGNORECASE),
)

_CURRENCIES = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY"}
_CURRENCY = r"(?:[$€£¥]|\b(?:USD|EUR|GBP|JPY|CHF|CAD|AUD)\b)"
_FIGURE = r"\d+(?:[.,]\d+)*"
_AMOUNT = re.compile(rf"({_CURRENCY})\s?({_FIGURE})|(?<![\w.,])({_FIGURE})\s?({_CURRENCY})")
_NUMBER = re.compile(rf"(?<![\w.,-])-?{_FIGURE}(?![\w-])")

# Letters, a hyphen and digits, or at least five digits.
_CODE = re.compile(r"(?<![\w./-])([A-Z]{1,4}-?\d[\w-]*|\d{5,})\b")
_CAPITALISED = r"[^\W\d_a-zß-ÿ][\w'’-]+"
_NAME = rf"(?!(?:Dear|Hello|Hi|Orders?|The)\b){_CAPITALISED}(?: (?:van|von|de|der))*(?: {_CAPITALISED}){{1,2}}"
# A signature, which has a line of its own, or a name in a line.
_NAMES = (
    re.compile(rf"^[ \t]*({_NAME})[ \t]*$", re.MULTILINE),
    re.compile(rf"(?<![\w@.-])({_NAME})"),
)
_PLACE = re.compile(rf"\b(?:in|to|from|near) ({_CAPITALISED}(?: {_CAPITALISED})*)")
_LABEL = re.compile(r"^[ \t>*-]*([^\W\d][\w ]{1,30}?)[ \t]*:[ \t]+(\S.*?)[ \t]*$", re.MULTILINE)
_WORD = re.compile(r"[^\W\d_]+")


class TextValues:
    """The values of one text; each kind is looked for when it is first asked for."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def emails(self) -> list[str]:
        """The e-mail addresses, in order."""
        return [found.rstrip(".") for found in EMAIL.findall(self.text)]

    @cached_property
    def urls(self) -> list[str]:
        """The web addresses, in order."""
        return [found.rstrip(".,;!?") for found in URL.findall(self.text)]

    @cached_property
    def dates(self) -> list[str]:
        """The dates in ISO form, in order; 03/04/2025 is read as March 4th."""
        found = {match.start(): _iso(match) for pattern in _DATES for match in pattern.finditer(self.text)}
        return [iso for _, iso in sorted(found.items()) if iso]

    @cached_property
    def amounts(self) -> list[tuple[float, str]]:
        """The sums of money and their currencies."""
        return [
            (read_number(before or after), _CURRENCIES.get(sign or code) or sign or code)
            for sign, before, after, code in _AMOUNT.findall(self.text)
        ]

    @property
    def currencies(self) -> list[str]:
        """The currencies of the amounts."""
        return [currency for _, currency in self.amounts]

    @cached_property
    def numbers(self) -> list[float]:
        """The numbers outside of dates, codes and addresses."""
        rest = self.text
        for pattern in (*_DATES, EMAIL, URL):
            rest = pattern.sub(" ", rest)
        return [read_number(figure) for figure in _NUMBER.findall(rest)]

    @cached_property
    def names(self) -> list[str]:
        """Probable names of persons, signatures first."""
        return [name for pattern in _NAMES for name in pattern.findall(self.text)]

    @cached_property
    def places(self) -> list[str]:
        """Capitalised words after a word like `in`."""
        return _PLACE.findall(self.text)

    @cached_property
    def codes(self) -> list[str]:
        """Numbers of orders, invoices and the like."""
        return _CODE.findall(URL.sub(" ", EMAIL.sub(" ", self.text)))

    @cached_property
    def words(self) -> list[str]:
        """The words in lower case, in order."""
        return [word.lower() for word in _WORD.findall(self.text)]

    def labelled(self, words: Set[str]) -> TextValues | None:
        """Return the values of the first line `label: value` whose label is these words."""
        return self._labels.get(frozenset(words))

    @cached_property
    def _labels(self) -> dict[frozenset[str], TextValues]:
        lines = reversed(_LABEL.findall(self.text))
        return {frozenset(label.lower().split()): TextValues(value) for label, value in lines}


def read_number(figure: str) -> float:
    """Read a figure with points or commas: the last one is the decimal sign unless three digits follow it."""
    last = max(figure.rfind("."), figure.rfind(","))
    if last < 0:
        return float(figure)
    whole, fraction = re.sub(r"[.,]", "", figure[:last]), figure[last + 1 :]
    if len(fraction) == 3 and whole.lstrip("-") != "0":
        return float(whole + fraction)
    return float(f"{whole}.{fraction}")


def _iso(match: re.Match[str]) -> str:
    """Return the ISO form of a date; empty when there is no such day."""
    month, day = match["m"].lower(), int(match["d"])
    number = int(month) if month.isdigit() else _MONTHS.index(month[:3]) + 1
    if number > 12 >= day:
        number, day = day, number
    try:
        return date(int(match["y"]), number, day).isoformat()
    except ValueError:
        return ""
