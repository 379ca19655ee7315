"""Values found in a text: addresses, dates, amounts, names, numbers beside their labels.

Not extraction as a model does it: plain patterns that make a simulated typed answer look sensible over e-mails,
invoices and reviews.
"""

from __future__ import annotations

import re
from datetime import date
from functools import cached_property
from typing import NamedTuple

from .words import MONTHS, NOT_NAMES

EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
URL = re.compile(r"https?://[^\s<>\"')\]]+")
UUID = re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", re.IGNORECASE)
PHONE = re.compile(r"(?<![\w.-])\+?\(?\d[\d\s().\/-]{6,17}\d(?![\w-])")
TIME = re.compile(r"\b([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?\s*([ap]m)?\b", re.IGNORECASE)
NUMBER = re.compile(r"(?<![\w.,-])-?\d+(?:[.,]\d+)*(?![\w-])")
WORD = re.compile(r"[^\W\d_]+")

_MONTH = "|".join(sorted(MONTHS, key=len, reverse=True))
_DATES = (
    re.compile(r"\b(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})(?!\d)"),
    re.compile(r"\b(?P<y>\d{4})/(?P<m>\d{1,2})/(?P<d>\d{1,2})(?!\d)"),
    re.compile(r"\b(?P<d>\d{1,2})\.\s?(?P<m>\d{1,2})\.\s?(?P<y>\d{4})(?!\d)"),
    re.compile(r"\b(?P<m>\d{1,2})/(?P<d>\d{1,2})/(?P<y>\d{4})(?!\d)"),
    re.compile(
        rf"\b(?P<d>\d{{1,2}})(?:st|nd|rd|th|\.)?\s+(?:of\s+|de\s+)?(?P<m>{_MONTH})\.?,?\s+(?:de\s+)?(?P<y>\d{{4}})",
        re.I,
    ),
    re.compile(rf"\b(?P<m>{_MONTH})\.?\s+(?P<d>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<y>\d{{4}})", re.I),
)

_CURRENCY = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR", "Fr.": "CHF", "zł": "PLN"}
_CODES = "USD|EUR|GBP|JPY|INR|CHF|PLN|CAD|AUD|SEK|NOK|DKK|CZK|BRL|CNY"
_SIGN = rf"US\$|[$€£¥₹]|Fr\.|zł|\b(?:{_CODES})\b"
_FIGURE = r"\d{1,3}(?:[.,'\u00a0 ]\d{3})+(?:[.,]\d{1,2})?|\d+(?:[.,]\d{1,2})?"
_AMOUNT = re.compile(
    rf"(?:(?P<before>{_SIGN})\s?(?P<a>-?(?:{_FIGURE}))(?!\d))|(?:(?<![\w.,])(?P<b>-?(?:{_FIGURE}))\s?(?P<after>{_SIGN}))"
)

_CAPITAL = r"[^\W\d_a-zß-ÿ][\w'’]+"
_SURNAME = rf"(?:[ \t]+(?:(?:van|von|de|der|da|di|la|le|bin|al)[ \t]+)*{_CAPITAL}|[ \t]+[^\W\d_a-zß-ÿ]\.(?=[ \t]))"
_NAME_AFTER = (
    re.compile(
        r"\b(?:[Mm]y name is|[Nn]ame:|[Cc]ustomer:|[Bb]ill(?:ed)? to:?|[Ff]rom:|[Aa]ttn:?|Contact:)"
        rf"[ \t]+({_CAPITAL}{_SURNAME}*)"
    ),
    re.compile(
        r"(?:[Rr]egards|[Ss]incerely|[Tt]hanks|[Tt]hank you|[Cc]heers|[Bb]est|[Gg]rüßen?|[Yy]ours|[Ss]aludos)"
        rf"[,!.]?\s*\n+\s*({_CAPITAL}{_SURNAME}*)"
    ),
    re.compile(rf"\b(?:I am|I'm|This is|Mr\.?|Mrs\.?|Ms\.?|Dr\.?|Herr|Frau)[ \t]+({_CAPITAL}{_SURNAME}*)"),
)
_TWO_CAPITALS = re.compile(rf"(?<![\w@.-])({_CAPITAL}{_SURNAME}+)")
_PLACE = re.compile(rf"\b(?:in|to|from|near|nach|aus|à|en)[ \t]+({_CAPITAL}(?:[ \t]+{_CAPITAL})*)")
_COMPANY = re.compile(
    rf"({_CAPITAL}(?:[ \t]+(?:&|and|{_CAPITAL}))*[ \t]+"
    r"(?:GmbH|AG|Inc|Ltd|LLC|Corp|Limited|SARL|S\.A|B\.V|Oy|AB|KG|SE|PLC|plc|Co)\b\.?)"
)
_LABEL = re.compile(r"^[ \t>*-]*([^\W\d][\w ./#-]{1,30}?)[ \t]*[:=][ \t]+(\S.*?)[ \t]*$", re.MULTILINE)
_ITEM_LINE = re.compile(r"^[ \t]*(?:[-*•]|\d+[.)]|\d+[ \t]*[x×])[ \t]+\S.*$|^.*\S.*(?:[x×@]|\|).*\d.*$", re.MULTILINE)
_NUMBERED = re.compile(
    r"(?i)\b(order|invoice|ticket|reference|ref|case|booking|tracking|customer|account|policy|contract|serial|po)\b"
    r"[ \t]*(?:no|number|nr|id|code)?\b[ \t.:#]*[ \t]*(#?[A-Z]{0,6}[-/]?\d[\w/-]*)"
)
_CODE = re.compile(r"(?<!\w)#?([A-Z]{2,}[-/]?\d{2,}[\w-]*|\d{5,})\b")
_SENTENCE = re.compile(r"[^.!?\n]+[.!?]?")


class Amount(NamedTuple):
    """A sum of money and where in the text it stands; the currency is an ISO code."""

    value: float
    currency: str
    start: int


class Number(NamedTuple):
    """A number and where in the text it stands."""

    value: float
    start: int
    end: int


class TextValues:
    """What can be found in one text; each kind is looked for when it is first asked for."""

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
    def dates(self) -> list[tuple[date, int, int]]:
        """The dates with their place, in the order of the text; 03/04/2025 is read as March 4th."""
        found: dict[int, tuple[date, int, int]] = {}
        for pattern in _DATES:
            for match in pattern.finditer(self.text):
                value = _as_date(match["y"], match["m"], match["d"])
                if value is not None:
                    found.setdefault(match.start(), (value, match.start(), match.end()))
        return [found[start] for start in sorted(found)]

    @cached_property
    def times(self) -> list[str]:
        """The times of day as HH:MM:SS."""
        times = []
        for hour, minute, second, half in TIME.findall(self.text):
            hours = int(hour) % 12 + (12 if half.lower() == "pm" else 0) if half else int(hour)
            times.append(f"{hours:02d}:{minute}:{second or '00'}")
        return times

    @cached_property
    def amounts(self) -> list[Amount]:
        """The sums of money."""
        return [
            Amount(as_number(m["a"] or m["b"]), _iso(m["before"] or m["after"]), m.start())
            for m in _AMOUNT.finditer(self.text)
        ]

    @cached_property
    def phones(self) -> list[str]:
        """The telephone numbers as they are written."""
        taken = [(start, end) for _, start, end in self.dates]
        return [
            match[0]
            for match in PHONE.finditer(self.text)
            if sum(c.isdigit() for c in match[0]) >= 7
            and (match[0][0] in "+(0" or re.search(r"[\s/-]", match[0]))
            and not any(start < match.end() and match.start() < end for start, end in taken)
        ]

    @cached_property
    def names(self) -> list[str]:
        """What looks like names of persons, the likeliest first."""
        found = [match[1] for pattern in _NAME_AFTER for match in pattern.finditer(self.text)]
        found += [match[1] for match in _TWO_CAPITALS.finditer(self.text)]
        companies = " ".join(self.companies)
        names = (name for name in found if name.split()[0].lower() not in NOT_NAMES and name not in companies)
        return list(dict.fromkeys(name for name in names if name.split()[-1].lower() not in NOT_NAMES))

    @cached_property
    def places(self) -> list[str]:
        """Capitalised words after a word like `in`."""
        found = (match[1] for match in _PLACE.finditer(self.text))
        return [place for place in found if place.split()[0].lower() not in MONTHS]

    @cached_property
    def companies(self) -> list[str]:
        """Names with a legal form."""
        return [match[1] for match in _COMPANY.finditer(self.text)]

    @cached_property
    def numbers(self) -> list[Number]:
        """The numbers that are no part of a date, a telephone number, a time or an address."""
        taken = [(start, end) for _, start, end in self.dates]
        for pattern in (EMAIL, URL, TIME, UUID):
            taken += [match.span() for match in pattern.finditer(self.text)]
        for phone in self.phones:
            start = self.text.find(phone)
            taken.append((start, start + len(phone)))
        return [
            Number(as_number(match[0]), *match.span())
            for match in NUMBER.finditer(self.text)
            if not any(start <= match.start() < end for start, end in taken)
        ]

    @cached_property
    def labels(self) -> dict[str, str]:
        """The lines of the form `label: value`, by the label in lower case; the first of a label wins."""
        found: dict[str, str] = {}
        for label, value in _LABEL.findall(self.text):
            found.setdefault(label.strip().lower(), value)
        return found

    @cached_property
    def item_lines(self) -> list[str]:
        """The lines that look like items of a list or of an invoice."""
        return [match[0].strip() for match in _ITEM_LINE.finditer(self.text)]

    @cached_property
    def sentences(self) -> list[str]:
        """The sentences that have at least two words."""
        found = (match[0].strip(" \t>*-") for match in _SENTENCE.finditer(self.text))
        return [sentence for sentence in found if len(sentence.split()) > 1]

    @cached_property
    def words(self) -> list[str]:
        """The words in lower case, in order."""
        return [word.lower() for word in WORD.findall(self.text)]

    def code(self, kinds: set[str]) -> str | None:
        """Find an order, invoice or other number, of one of the kinds where there is one."""
        numbered = [(match[1].lower(), match[2].lstrip("#")) for match in _NUMBERED.finditer(self.text)]
        for kind, code in numbered:
            if kind in kinds:
                return code
        if numbered:
            return numbered[0][1]
        found = _CODE.search(self.text)
        return found[1] if found else None


def as_number(figure: str) -> float:
    """Read a figure with points or commas: the last one is the decimal sign unless three digits follow it."""
    figure = re.sub(r"['\s\u00a0]", "", figure)
    last = max(figure.rfind("."), figure.rfind(","))
    if last < 0:
        return float(figure)
    whole, fraction = re.sub(r"[.,]", "", figure[:last]), figure[last + 1 :]
    if len(fraction) == 3 and whole.lstrip("-") != "0":
        return float(whole + fraction)
    return float(f"{whole}.{fraction}")


def _as_date(year: str, month: str, day: str) -> date | None:
    month_number = int(month) if month.isdigit() else MONTHS[month.lower()]
    day_number = int(day)
    if month_number > 12 >= day_number:
        month_number, day_number = day_number, month_number
    try:
        return date(int(year), month_number, day_number)
    except ValueError:
        return None


def _iso(sign: str) -> str:
    return _CURRENCY.get(sign.removeprefix("US"), sign) if sign != "USD" else sign
