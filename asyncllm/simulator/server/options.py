"""Everything that a simulator can be told, in words: the manual, and the spelling of options on a command line."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, TypeVar

from ..faults import GARBAGE, KINDS, RETRY_AFTER_FORMS, Fault
from ..formats.error_bodies import STYLES
from .latency import Latency
from .rate_limits import Limit

T = TypeVar("T")

_COLUMNS = 80  # of the narrowest terminal that a help is read in

# The body field `simulator` (or the header x-simulator, as JSON) speaks to the simulator, not to the model.
SCRIPT: Mapping[str, str] = {
    "text": "the exact answer",
    "answer_tokens": "the exact length of the answer in tokens (4 characters); or in the model's name: x-500-tokens",
    "tool_calls": 'the exact tool calls: [{"name": ..., "arguments": {...} or text}]',
    "refusal": "the model declines with this text",
    "reasoning": "the text of the reasoning",
    "finish_reason": "the reason for which the answer ended",
    "usage": "figures that replace those of the usage",
    "chunk_chars": "characters in one event of a stream (16)",
    "events_per_write": "events that are written at once where no latency is set (32)",
    "first_token_s": "seconds to the first token",
    "tokens_per_s": "tokens a second after it",
    "fault": 'one fault for this request: {"kind": "stall", "after_chunks": 2}',
}

_FAULT_OPTIONS: Mapping[str, str] = {
    "rate": "the share of requests that meet it, 0 to 1",
    "times": "how many requests meet it before it is over",
    "path": "only requests with this path (* stands for anything)",
    "model": "only requests for this model (* stands for anything)",
    "key": "only requests with this key",
    "stream": "only streams (true) or only plain requests (false)",
    "contains": "only requests with this text in their messages",
}
_KIND_OPTIONS: Mapping[str, str] = {
    "code": "the HTTP status",
    "style": f"in whose words: {', '.join(STYLES)}",
    "reason": "context_window, content_policy, quota or tokens, in the provider's words",
    "message": "replaces the provider's message",
    "retry_after": "seconds to come back after",
    "retry_after_form": f"how that is said: {', '.join(RETRY_AFTER_FORMS)}",
    "seconds": "how long",
    "at": "before_headers, after_headers or body",
    "after_chunks": "after so many events of a stream",
    "framed": "false: the body ends with the connection, so that a cut looks like its end",
    "what": ", ".join(GARBAGE),
    "size_bytes": "how large; wrong_length: how much more is announced than sent, or less when negative",
    "gzipped": "true: compressed to a thousandth of it",
    "count": "how many more times the event comes",
    "to": "same, other or loop",
    "text": "the text",
}


@dataclass(frozen=True, kw_only=True)
class SimulatorOptions:
    """What `serve` needs to know; each field's `help` is the sentence for a command line.

    The fields are those of `Simulator`, with the defaults of a server that somebody starts by hand.
    """

    port: int = field(default=8400, metadata={"help": "port on 127.0.0.1; 0 takes a free one"})
    keys: tuple[str, ...] | None = field(
        default=None, metadata={"help": "API key that is accepted (may be repeated); without it any is"}
    )
    latency: Latency | None = field(default=None, metadata={"help": "how long answers take, see LATENCY below"})
    limits: tuple[Limit, ...] = field(default=(), metadata={"help": "a rate limit (may be repeated), see LIMITS below"})
    faults: tuple[Fault, ...] = field(default=(), metadata={"help": "a fault (may be repeated), see FAULTS below"})
    seed: int = field(default=0, metadata={"help": "decides every draw"})
    max_in_flight: int | None = field(default=None, metadata={"help": "requests answered at a time"})
    queue: bool = field(default=False, metadata={"help": "let requests beyond that wait, instead of refusing them"})


def parse_latency(text: str) -> Latency:
    """Read `first_token_s=0.3,tokens_per_s=80,spread=0.2`.

    Raises:
        ValueError: The text is no latency; the message says why.
    """
    return _build(Latency, "latency", _pairs(text), _types(Latency))


def parse_limit(text: str) -> Limit:
    """Read `requests,per_minute=500,algorithm=fixed_window`: the kind first, then its options.

    Raises:
        ValueError: The text is no limit; the message says why.
    """
    kind, _, rest = text.partition(",")
    return _build(Limit, "limit", {"kind": kind.strip(), **_pairs(rest)}, _types(Limit))


def parse_fault(text: str) -> Fault:
    """Read `status,code=429,retry_after=2,rate=0.1`: the kind first, then its options.

    Raises:
        ValueError: The text is no fault; the message says why.
    """
    kind, _, rest = text.partition(",")
    return _build(Fault, "fault", {"kind": kind.strip(), **_pairs(rest)}, _types(Fault))


def manual() -> str:
    """Describe the vocabulary of latency, limits, faults and scripts, for a help text of 80 columns."""
    lines = [
        "LATENCY",
        "  first_token_s=SECONDS,tokens_per_s=NUMBER,spread=SHARE",
        *_filled(
            "Seconds to the first token, tokens a second after it, and how much a request may differ (0.2: 20 %)."
        ),
        "  Example: first_token_s=0.3,tokens_per_s=80,spread=0.2",
        "",
        "LIMITS",
        "  requests|tokens,per_minute=N|per_second=N[,algorithm=...][,burst=N]",
        "      [,scope=key|all][,retry_after=seconds|fraction|date|ms|none]",
        "      [,headers=true|false]",
        *_filled(
            "token_bucket (the default) fills steadily up to the burst; fixed_window starts anew every minute or "
            "second; sliding_window looks back over the last minute or second. A refusal is a 429 that says when to "
            "come back."
        ),
        "  Example: tokens,per_minute=90000,algorithm=sliding_window",
        "",
        "FAULTS",
        "  KIND[,OPTION=VALUE...]; a request meets the first that applies to it.",
        "  Example: status,code=429,retry_after=2,rate=0.1",
    ]
    for name, kind in KINDS.items():
        lines += _filled(kind.description, f"  {name:16}")
        lines += _filled(f"with {', '.join(kind.options)}", " " * 18) if kind.options else []
    return "\n".join(
        [
            *lines,
            "",
            "  SimulatorOptions of every fault:",
            *_table(_FAULT_OPTIONS),
            "",
            "  SimulatorOptions of some:",
            *_table(_KIND_OPTIONS),
            "",
            "SCRIPTS",
            *_filled('One request: the body field "simulator", or the header x-simulator, is a JSON object of'),
            *_table(SCRIPT),
        ]
    )


def _table(rows: Mapping[str, str]) -> list[str]:
    return [line for name, text in rows.items() for line in _filled(text, f"    {name:18}")]


def _filled(text: str, before: str = "  ") -> list[str]:
    """Fill a text into lines, the first of which begins with `before`; nothing in it is broken at a hyphen."""
    return textwrap.wrap(
        text, _COLUMNS, initial_indent=before, subsequent_indent=" " * len(before), break_on_hyphens=False
    )


def _pairs(text: str) -> dict[str, str]:
    pairs = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"{part!r} is not of the form option=value")
        pairs[name.strip()] = value.strip()
    return pairs


def _types(cls: type[Any]) -> dict[str, str]:
    return {one.name: str(one.type) for one in fields(cls) if one.default is not MISSING or one.init}


def _build(cls: Callable[..., T], noun: str, pairs: Mapping[str, str], types: Mapping[str, str]) -> T:
    unknown = pairs.keys() - types.keys()
    if unknown:
        raise ValueError(f"a {noun} has no option {', '.join(sorted(unknown))}; it has {', '.join(types)}")
    return cls(**{name: _value(name, value, types[name]) for name, value in pairs.items()})


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
