"""Latency, limits and faults on a command line: their spelling, and the manual."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from ..faults import KINDS, Fault
from .latency import Latency
from .rate_limits import Limit

T = TypeVar("T", Latency, Limit, Fault)

_COLUMNS = 80  # of the narrowest terminal that a help text is read in

# The body field `simulator` (or the header x-simulator, as JSON) is for the simulator, not for the model.
SCRIPT: Mapping[str, str] = {
    "text": "the exact answer",
    "answer_tokens": "the exact length of the answer in tokens (4 characters); or in the model's name: x-500-tokens",
    "tool_calls": 'the exact tool calls: [{"name": ..., "arguments": {...} or text}]',
    "refusal": "the model declines with this text",
    "reasoning": "the text of the reasoning",
    "finish_reason": "the reason why the answer ended",
    "usage": "figures that replace those of the usage",
    "chunk_chars": "characters in one event of a stream (16)",
    "events_per_write": "events that are written at once where no latency is set (32)",
    "first_token_s": "seconds to the first token",
    "tokens_per_s": "tokens a second after it",
    "fault": 'one fault for this request: {"kind": "stall", "after_chunks": 2}',
}


def parse_latency(text: str) -> Latency:
    """Read `first_token_s=0.3,tokens_per_s=80,spread=0.2`, or raise ValueError with the reason."""
    return _build(Latency, _pairs(text))


def parse_limit(text: str) -> Limit:
    """Read `requests,per_minute=500,algorithm=fixed_window`, or raise ValueError with the reason."""
    kind, _, rest = text.partition(",")
    return _build(Limit, {"kind": kind.strip(), **_pairs(rest)})


def parse_fault(text: str) -> Fault:
    """Read `status,code=429,retry_after=2,rate=0.1`, or raise ValueError with the reason."""
    kind, _, rest = text.partition(",")
    return _build(Fault, {"kind": kind.strip(), **_pairs(rest)})


def manual() -> str:
    """Describe the spelling of latency, limits, faults and scripts, for a help text of 80 columns."""
    lines = [
        "LATENCY",
        "  OPTION=VALUE[,...], for example first_token_s=0.3,tokens_per_s=80,spread=0.2",
        *_table(_documented(Latency)),
        "",
        "LIMITS",
        "  requests|tokens[,OPTION=VALUE...], for example tokens,per_minute=90000",
        *_table(_documented(Limit)),
        "",
        "FAULTS",
        "  KIND[,OPTION=VALUE...], for example status,code=429,retry_after=2,rate=0.1",
        "  A request meets the first that applies to it.",
    ]
    for name, kind in KINDS.items():
        lines += _filled(kind.description, f"  {name:16}")
        if kind.options:
            lines += _filled(f"with {', '.join(kind.options)}", " " * 18)
    lines += ["", "  Their options:", *_table(_documented(Fault)), "", "SCRIPTS"]
    script = 'One request: the body field "simulator", or the header x-simulator, is a JSON object of'
    return "\n".join([*lines, *_filled(script), *_table(SCRIPT)])


def _documented(cls: type[object]) -> Mapping[str, str]:
    """Return the arguments of a class with their descriptions, from its docstring."""
    arguments = inspect.cleandoc(cls.__doc__ or "").partition("Args:\n")[2].partition("\n\n")[0]
    described = re.findall(r"^ {4}(\w+): (.+(?:\n {8}.+)*)", arguments, re.MULTILINE)
    return {name: " ".join(text.replace("`", "").split()) for name, text in described if name != "kind"}


def _table(rows: Mapping[str, str]) -> list[str]:
    return [line for name, text in rows.items() for line in _filled(text, f"    {name:18}")]


def _filled(text: str, before: str = "  ") -> list[str]:
    """Wrap a text into lines, the first of which begins with `before`; words are not broken at hyphens."""
    return textwrap.wrap(
        text, _COLUMNS, initial_indent=before, subsequent_indent=" " * len(before), break_on_hyphens=False
    )


def _pairs(text: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"{part!r} is not of the form option=value")
        pairs[name.strip()] = value.strip()
    return pairs


def _build(cls: type[T], pairs: Mapping[str, str]) -> T:
    types = {one.name: str(one.type) for one in fields(cls)}
    if unknown := pairs.keys() - types.keys():
        noun = cls.__name__.lower()
        raise ValueError(f"a {noun} has no option {', '.join(sorted(unknown))}; it has {', '.join(types)}")
    options: dict[str, Any] = {name: _value(name, value, types[name]) for name, value in pairs.items()}
    return cls(**options)


def _value(name: str, text: str, type_: str) -> object:
    try:
        if "bool" in type_:
            return {"true": True, "false": False, "yes": True, "no": False}[text.lower()]
        if "int" in type_:
            return int(text)
        if "float" in type_:
            return float(text)
    except (KeyError, ValueError):
        kind = "true or false" if "bool" in type_ else "a number"
        raise ValueError(f"{name} takes {kind}, not {text!r}") from None
    return text
