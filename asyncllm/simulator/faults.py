"""The faults that the simulator can play, and when it plays them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from email.utils import formatdate
from fnmatch import fnmatchcase
from itertools import islice
from random import Random
from time import time
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from .formats import Refusal
from .wire import Reply

if TYPE_CHECKING:
    from .provider import Turn

At = Literal["before_headers", "after_headers", "body"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One way of answering wrongly, and the requests that meet it.

    Args:
        kind: A name of `KINDS`.
        rate: The share of the matching requests, drawn from the simulator's seed.
        times: After this many the fault is over; None for never.
        code: `status`: the HTTP status; by default what the provider uses for the reason, else 500.
        reason: `status`, `error_event`: `context_window`, `content_policy`, `quota`, `tokens`, or empty.
        message: `status`, `error_event`: replaces the provider's usual message.
        retry_after: `status`: seconds in a Retry-After header.
        retry_after_form: `status`: `seconds`, `fraction`, `date`, `ms` (retry-after-ms) or `nonsense`.
        seconds: `delay`: before the headers; `drip`: between two bytes.
        at: `stall`, `reset`, `cut`: `before_headers`, `after_headers` or `body` (in the middle of it).
        after_chunks: `stall`, `reset`, `cut`, `error_event`, `garbage`: in a stream, after this many events.
        framed: `cut`: False sends a body that the closing connection ends, so that a cut looks like its end.
        what: `garbage`: `html`, `invalid_json`, `empty`, `wrong_shape` or `invalid_utf8`.
        text: `answer`: the text of the answer, or the arguments of its tool call.
        path: Only requests whose path matches this (`*` stands for anything); without it, all chats and nothing else.
        model: Only requests whose model matches this.
        key: Only requests with this key.
        stream: Only streams, or only plain requests.
        contains: Only requests with this text in their messages.

    Raises:
        ValueError: The kind or a value is unknown; the message names those that are known.
    """

    kind: str
    _: KW_ONLY
    rate: float = 1.0
    times: int | None = None
    code: int | None = None
    reason: str = ""
    message: str = ""
    retry_after: float | None = None
    retry_after_form: str = "seconds"
    seconds: float = 0.0
    at: At = "before_headers"
    after_chunks: int | None = None
    framed: bool = True
    what: str = "html"
    text: str = ""
    path: str | None = None
    model: str | None = None
    key: str | None = None
    stream: bool | None = None
    contains: str | None = None

    def __post_init__(self) -> None:
        _check("kind", self.kind, KINDS)
        _check("at", self.at, ("before_headers", "after_headers", "body"))
        _check("what", self.what, _GARBAGE)
        _check("retry_after_form", self.retry_after_form, RETRY_AFTER_FORMS)
        _check("reason", self.reason, ("", "context_window", "content_policy", "quota", "tokens"))
        if not 0 <= self.rate <= 1:
            raise ValueError(f"rate must be between 0 and 1, not {self.rate}")

    async def play(self, turn: Turn) -> None:
        """Answer a request in this way."""
        await KINDS[self.kind].play(self, turn)

    def matches(self, request: Sought) -> bool:
        """Say whether a request is one of those that this fault is for."""
        return (
            (self.path is None or fnmatchcase(request.path, self.path))
            and (self.model is None or fnmatchcase(request.model, self.model))
            and (self.key is None or self.key == request.key)
            and (self.stream is None or self.stream is request.stream)
            and (self.contains is None or self.contains in request.text)
        )


class Sought(NamedTuple):
    """What of a request decides about faults."""

    path: str
    model: str
    key: str
    stream: bool
    text: str


class Script:
    """Faults in a fixed order, one for each request; None lets one pass.

    Args:
        faults: What the first, second, ... request meets.
        repeat: Begin again at the end, instead of being over.
    """

    def __init__(self, faults: Iterable[Fault | None], *, repeat: bool = False) -> None:
        self.faults = tuple(faults)
        self.repeat = repeat


class FaultPlan:
    """Decides which fault a request meets: the first of the list that applies."""

    def __init__(self, faults: Iterable[Fault | Script], seed: int) -> None:
        self._entries = [_Entry(fault, Random(f"{seed}:{place}")) for place, fault in enumerate(faults)]

    def pick(self, request: Sought, *, only_by_path: bool = False) -> Fault | None:
        """Choose the fault for the next request; `only_by_path` leaves out those that name no path."""
        for entry in self._entries:
            if only_by_path and not entry.names_path:
                continue
            fault = entry.next_for(request)
            if fault is not None:
                return fault
        return None


class _Entry:
    def __init__(self, item: Fault | Script, random: Random) -> None:
        if not isinstance(item, Fault | Script):
            raise TypeError(f"a fault is a Fault or a Script, not {type(item).__name__}")
        self._item = item
        self._random = random
        self._count = 0
        self.names_path = isinstance(item, Fault) and item.path is not None

    def next_for(self, request: Sought) -> Fault | None:
        item = self._item
        if isinstance(item, Script):
            place = self._count
            if item.repeat and item.faults:
                place %= len(item.faults)
            self._count += 1
            fault = item.faults[place] if place < len(item.faults) else None
            return fault if fault is not None and fault.matches(request) else None
        if not item.matches(request) or (item.times is not None and self._count >= item.times):
            return None
        if item.rate < 1 and self._random.random() >= item.rate:
            return None
        self._count += 1
        return item


class Kind(NamedTuple):
    """One entry of the vocabulary: what it does in a sentence, which options it reads, and how it is played."""

    description: str
    options: tuple[str, ...]
    play: Callable[[Fault, Turn], Awaitable[None]]


def retry_after_headers(seconds: float, form: str) -> list[tuple[bytes, bytes]]:
    """Write a wait the way a provider would."""
    if form == "none" or math.isinf(seconds):
        return []
    name, value = {
        "seconds": ("retry-after", str(math.ceil(seconds))),
        "fraction": ("retry-after", f"{seconds:.3f}"),
        "date": ("retry-after", formatdate(math.ceil(time() + seconds), usegmt=True)),
        "ms": ("retry-after-ms", str(math.ceil(seconds * 1000))),
        "nonsense": ("retry-after", "soon"),
    }[form]
    return [(name.encode(), value.encode())]


RETRY_AFTER_FORMS = ("seconds", "fraction", "date", "ms", "none", "nonsense")


async def _status(fault: Fault, turn: Turn) -> None:
    refusal = Refusal(fault.code, fault.reason, fault.message, tokens=turn.prompt_tokens)
    headers = [] if fault.retry_after is None else retry_after_headers(fault.retry_after, fault.retry_after_form)
    await turn.refuse(refusal, headers)


async def _delay(fault: Fault, turn: Turn) -> None:
    await asyncio.sleep(fault.seconds)
    await turn.answer()


async def _stall(fault: Fault, turn: Turn) -> None:
    await _begin(fault, turn)
    await turn.wire.hang()


async def _reset(fault: Fault, turn: Turn) -> None:
    await _begin(fault, turn)
    turn.wire.break_off("reset")


async def _cut(fault: Fault, turn: Turn) -> None:
    await _begin(fault, turn)
    turn.wire.break_off("cut")


async def _begin(fault: Fault, turn: Turn) -> None:
    """Send the answer up to the point where the fault strikes."""
    if fault.at == "before_headers" and fault.after_chunks is None:
        return
    reply = turn.reply()
    await turn.wire.begin(reply, framed=fault.framed)
    if fault.at == "body" or fault.after_chunks is not None:
        await turn.wire.send_events(reply, turn.pace, limit=1 if fault.after_chunks is None else fault.after_chunks)


async def _garbage(fault: Fault, turn: Turn) -> None:
    reply = turn.reply()
    content_type, body = _GARBAGE[fault.what]
    if reply.events is None or fault.what in ("html", "empty"):
        await turn.wire.send(Reply(content_type=content_type or reply.content_type, body=body))
        return
    event = turn.format.garbled_event() if fault.what == "invalid_json" else turn.format.framed_event(body)
    await _with_event(turn, event, 1 if fault.after_chunks is None else fault.after_chunks)


async def _error_event(fault: Fault, turn: Turn) -> None:
    refusal = Refusal(fault.code, fault.reason, fault.message)
    if turn.reply().events is None:
        await turn.refuse(refusal, [])
        return
    await _with_event(turn, turn.format.error_event(refusal), 1 if fault.after_chunks is None else fault.after_chunks)


async def _with_event(turn: Turn, event: bytes, place: int) -> None:
    """Send the stream up to a place, then another event, and the end without the mark of a complete answer."""
    reply = turn.reply()
    await turn.wire.begin(reply)
    await turn.wire.send_events(reply, turn.pace, limit=place)
    await turn.wire.end(event)


async def _missing_done(fault: Fault, turn: Turn) -> None:
    reply = turn.reply()
    if reply.events is not None and not reply.done:
        # Where no mark ends the stream its last event does.
        events = list(reply.events)
        reply.events = islice(events, len(events) - 1)
    reply.done = b""
    await turn.wire.send(reply, turn.pace)


async def _drip(fault: Fault, turn: Turn) -> None:
    reply = turn.reply()
    await turn.wire.begin(reply)
    data = reply.body if reply.events is None else b"".join(reply.events) + reply.done
    for place in range(len(data)):
        await turn.wire.send_piece(data[place : place + 1])
        await asyncio.sleep(fault.seconds)
    if reply.events is not None:
        await turn.wire.end()


async def _answer(fault: Fault, turn: Turn) -> None:
    script: Mapping[str, Any] = {"text": fault.text}
    ask = turn.ask
    if ask is not None and ask.tools and ask.tool_choice not in ("auto", "none"):
        name = ask.tools[0].name if ask.tool_choice == "required" else ask.tool_choice
        script = {"tool_calls": [{"name": name, "arguments": fault.text}]}
    turn.rescript(script)
    await turn.answer()


_GARBAGE: dict[str, tuple[bytes, bytes]] = {
    "html": (b"text/html", b"<html><head><title>502 Bad Gateway</title></head><body>asyncllm-simulator</body></html>"),
    "invalid_json": (b"application/json", b'{"id": "chatcmpl-sim", "choices": [{"message": '),
    "empty": (b"", b""),
    "wrong_shape": (b"", b'{"simulated": "the wrong shape"}'),
    "invalid_utf8": (b"", b'{"choices": [{"message": {"content": "\xff\xfe"}}]}'),
}

KINDS: dict[str, Kind] = {
    "status": Kind(
        "answers with an error status and the provider's own error body",
        ("code", "reason", "message", "retry_after", "retry_after_form"),
        _status,
    ),
    "delay": Kind("waits before the headers, then answers as usual", ("seconds",), _delay),
    "stall": Kind(
        "stops sending and keeps the connection open until the client leaves", ("at", "after_chunks"), _stall
    ),
    "reset": Kind("resets the connection (RST)", ("at", "after_chunks"), _reset),
    "cut": Kind("closes the connection cleanly in the middle", ("at", "after_chunks", "framed"), _cut),
    "garbage": Kind("sends something that is not an answer, with status 200", ("what", "after_chunks"), _garbage),
    "error_event": Kind(
        "sends an error in the middle of a stream", ("code", "reason", "message", "after_chunks"), _error_event
    ),
    "missing_done": Kind("ends a stream without the event that marks its end", (), _missing_done),
    "drip": Kind("sends one byte at a time", ("seconds",), _drip),
    "answer": Kind("answers with exactly this text, or these arguments of the tool call", ("text",), _answer),
}


def _check(name: str, value: str, allowed: Iterable[str]) -> None:
    allowed = tuple(allowed)
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(word or 'empty' for word in allowed)}, not {value!r}")
