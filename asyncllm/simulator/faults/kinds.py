"""The vocabulary: what each kind of fault does to an answer."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from ..formats.error_bodies import error_body
from ..formats.provider_format import Refusal
from ..server.raw_response import Reply
from .garbage import GARBAGE, Garbage
from .retry_after import retry_after_headers

if TYPE_CHECKING:
    from ..server.provider import ReplyTurn
    from .fault import Fault

REDIRECTS = ("same", "other", "loop")

# More than any client should take for an answer, or for a header.
_HUGE_BODY_BYTES = 128 * 1024 * 1024
_HUGE_HEADER_BYTES = 1024 * 1024
# A body of unknown size goes out in pieces of this size.
_PIECE_BYTES = 64 * 1024
_WRONG_BY_BYTES = 100


class FaultKind(NamedTuple):
    """One entry of the vocabulary: what it does in a sentence, which options it reads, and how it is played.

    Without `play` it is no fault of a request but one of connections.
    """

    description: str
    options: tuple[str, ...]
    play: Callable[[Fault, ReplyTurn], Awaitable[None]] | None


async def _status(fault: Fault, turn: ReplyTurn) -> None:
    refusal = Refusal(fault.code, fault.reason, fault.message, tokens=turn.prompt_tokens)
    headers = [] if fault.retry_after is None else retry_after_headers(fault.retry_after, fault.retry_after_form)
    if not fault.style:
        await turn.refuse(refusal, headers)
        return
    status, body = error_body(fault.style, refusal)
    await turn.wire.send(Reply(status=status, body=body, headers=turn.headers + headers))


async def _delay(fault: Fault, turn: ReplyTurn) -> None:
    await asyncio.sleep(fault.seconds)
    await turn.answer()


async def _stall(fault: Fault, turn: ReplyTurn) -> None:
    await _begin(fault, turn)
    await turn.wire.hang()


async def _reset(fault: Fault, turn: ReplyTurn) -> None:
    await _begin(fault, turn)
    await asyncio.sleep(fault.seconds)
    turn.wire.break_off("reset")


async def _cut(fault: Fault, turn: ReplyTurn) -> None:
    await _begin(fault, turn)
    await asyncio.sleep(fault.seconds)
    turn.wire.break_off("cut")


async def _begin(fault: Fault, turn: ReplyTurn) -> None:
    """Send the answer up to the point where the fault strikes."""
    if fault.at == "before_headers" and fault.after_chunks is None:
        return
    reply = turn.reply()
    await turn.wire.begin(reply, framed=fault.framed)
    if fault.at == "body" or fault.after_chunks is not None:
        await turn.wire.send_events(reply, turn.pace, limit=_cut_after(fault))


async def _garbage(fault: Fault, turn: ReplyTurn) -> None:
    garbage = Garbage(fault.text.encode()) if fault.text else GARBAGE[fault.what]
    reply = turn.reply()
    if reply.events is None or fault.code is not None or (fault.what in ("html", "empty") and not fault.text):
        content_type = garbage.content_type or (reply.content_type if fault.code is None else b"application/json")
        await turn.wire.send(Reply(status=fault.code or 200, content_type=content_type, body=garbage.body))
        return
    garbled = fault.what == "invalid_json" and not fault.text
    await _with_event(turn, turn.format.garbled_event() if garbled else turn.format.framed_event(garbage.body), fault)


async def _error_event(fault: Fault, turn: ReplyTurn) -> None:
    if turn.reply().events is None:
        await _status(fault, turn)
        return
    refusal = Refusal(fault.code, fault.reason, fault.message)
    event = turn.format.error_event(refusal)
    if fault.style:
        event = turn.format.framed_event(error_body(fault.style, refusal, in_stream=True)[1])
    await _with_event(turn, event, fault)


async def _with_event(turn: ReplyTurn, event: bytes, fault: Fault) -> None:
    """Send the stream up to a point, then another event, and the end without the mark of a complete answer."""
    reply = turn.reply()
    await turn.wire.begin(reply)
    await turn.wire.send_events(reply, turn.pace, limit=_cut_after(fault))
    await turn.wire.end(event)


def _cut_after(fault: Fault) -> int:
    return 1 if fault.after_chunks is None else fault.after_chunks


async def _missing_done(fault: Fault, turn: ReplyTurn) -> None:
    reply = turn.reply()
    if reply.events is not None and not reply.done:
        # Where no mark ends the stream its last event does.
        events = list(reply.events)
        reply.events = islice(events, len(events) - 1)
    reply.done = b""
    await turn.wire.send(reply, turn.pace)


async def _drip(fault: Fault, turn: ReplyTurn) -> None:
    reply = turn.reply()
    await turn.wire.begin(reply)
    data = _whole(reply)
    for at in range(len(data)):
        await turn.wire.send_piece(data[at : at + 1])
        await asyncio.sleep(fault.seconds)
    if reply.events is not None:
        await turn.wire.end()


async def _wrong_length(fault: Fault, turn: ReplyTurn) -> None:
    reply = turn.reply()
    data = _whole(reply)
    more = _WRONG_BY_BYTES if fault.size_bytes is None else fault.size_bytes
    # In one piece: what a client makes of bytes that follow the announced ones depends on whether it has read them.
    await turn.wire.send_piece(turn.wire.head(reply, max(0, len(data) + more)) + data)
    if more > 0:
        await turn.wire.hang()


async def _truncated_gzip(fault: Fault, turn: ReplyTurn) -> None:
    reply = turn.reply()
    data = gzip.compress(_whole(reply))
    half = Reply(content_type=reply.content_type, body=data[: len(data) // 2])
    half.headers = [*reply.headers, (b"content-encoding", b"gzip")]
    await turn.wire.send(half)


async def _huge_body(fault: Fault, turn: ReplyTurn) -> None:
    """Send an answer whose text, or one of whose events, has no end in sight."""
    size = _HUGE_BODY_BYTES if fault.size_bytes is None else fault.size_bytes
    reply = turn.reply()
    before, after = b'{"id": "sim", "choices": [{"index": 0, "message": {"role": "assistant", "content": "', b'"}}]}'
    if reply.events is not None:
        before, after = turn.format.framed_event(before).rstrip(b"\n"), after + b"\n\n"
    endless = Reply(content_type=reply.content_type, events=(), headers=list(reply.headers))
    pieces = _pieces(before, size, after)
    if fault.gzipped:
        endless.headers.append((b"content-encoding", b"gzip"))
        pieces = _compressed(pieces)
    await turn.wire.begin(endless)
    async for piece in pieces:
        await turn.wire.send_piece(piece)
    await turn.wire.end()


async def _pieces(before: bytes, size: int, after: bytes) -> AsyncIterator[bytes]:
    yield before
    filling = b"x" * _PIECE_BYTES
    for start in range(0, size, _PIECE_BYTES):
        yield filling[: size - start]
        await asyncio.sleep(0)
    yield after


async def _compressed(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    import zlib

    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    async for piece in pieces:
        yield packer.compress(piece)
    yield packer.flush()


async def _huge_header(fault: Fault, turn: ReplyTurn) -> None:
    size = _HUGE_HEADER_BYTES if fault.size_bytes is None else fault.size_bytes
    reply = turn.reply()
    reply.headers = [*reply.headers, (b"x-simulated", b"x" * size)]
    await turn.wire.send(reply, turn.pace)


async def _endless(fault: Fault, turn: ReplyTurn) -> None:
    """Never come to the end: blanks before a plain answer, the same events of a stream again and again."""
    reply = turn.reply()
    events: Iterable[bytes] = (b" " * _PIECE_BYTES,)
    if reply.events is not None:
        # Without the last events, which would say that the answer is over.
        events = list(reply.events)[:2]
    await turn.wire.begin(Reply(content_type=reply.content_type, events=(), headers=list(reply.headers)))
    piece = b"".join(events)
    piece *= max(1, _PIECE_BYTES // len(piece))
    while True:
        await turn.wire.send_piece(piece)
        await asyncio.sleep(0)


async def _repeat(fault: Fault, turn: ReplyTurn) -> None:
    reply = turn.reply()
    if reply.events is not None:
        events = list(reply.events)
        at = min(_cut_after(fault), len(events) - 1)
        reply.events = [*events[:at], *[events[at]] * fault.count, *events[at:]]
    await turn.wire.send(reply, turn.pace)


async def _redirect(fault: Fault, turn: ReplyTurn) -> None:
    if turn.wire.redirected and fault.to != "loop":
        await turn.answer()
    else:
        await turn.wire.redirect(fault.code or 307, fault.to)


async def _close_kept(fault: Fault, turn: ReplyTurn) -> None:
    if turn.wire.fresh:
        await turn.answer()
    else:
        turn.wire.break_off("cut")


async def _answer(fault: Fault, turn: ReplyTurn) -> None:
    script: Mapping[str, Any] = {"text": fault.text}
    ask = turn.ask
    if ask is not None and ask.tools and ask.tool_choice not in ("auto", "none"):
        name = ask.tools[0].name if ask.tool_choice == "required" else ask.tool_choice
        script = {"tool_calls": [{"name": name, "arguments": fault.text}]}
    turn.rescript(script)
    await turn.answer()


def _whole(reply: Reply) -> bytes:
    return reply.body if reply.events is None else b"".join(reply.events) + reply.done


_ERROR = ("code", "reason", "message", "style")

KINDS: dict[str, FaultKind] = {
    "status": FaultKind(
        "answers with an error status and the provider's own error body",
        (*_ERROR, "retry_after", "retry_after_form"),
        _status,
    ),
    "delay": FaultKind("waits before the headers, then answers as usual", ("seconds",), _delay),
    "stall": FaultKind(
        "stops sending and keeps the connection open until the client leaves", ("at", "after_chunks"), _stall
    ),
    "reset": FaultKind("resets the connection (RST)", ("at", "after_chunks", "seconds"), _reset),
    "cut": FaultKind("closes the connection cleanly in the middle", ("at", "after_chunks", "seconds", "framed"), _cut),
    "refuse": FaultKind("refuses every connection, and closes those that are open", (), None),
    "close_kept": FaultKind(
        "closes a kept connection under its next request; on a fresh one it answers", (), _close_kept
    ),
    "garbage": FaultKind(
        "sends something that is not an answer, with status 200", ("what", "text", "after_chunks", "code"), _garbage
    ),
    "truncated_gzip": FaultKind("sends the first half of a compressed answer as if it were all", (), _truncated_gzip),
    "wrong_length": FaultKind(
        "announces a longer body than it sends, and keeps the connection open; a shorter one, when negative",
        ("size_bytes",),
        _wrong_length,
    ),
    "huge_body": FaultKind(
        "sends an answer, or one event of a stream, of this size", ("size_bytes", "gzipped"), _huge_body
    ),
    "huge_header": FaultKind("sends a header of this size", ("size_bytes",), _huge_header),
    "endless": FaultKind("never comes to an end: blanks, or the same events of a stream again and again", (), _endless),
    "repeat": FaultKind("sends one event of a stream more than once", ("count", "after_chunks"), _repeat),
    "error_event": FaultKind("sends an error in the middle of a stream", (*_ERROR, "after_chunks"), _error_event),
    "missing_done": FaultKind("ends a stream without the event that marks its end", (), _missing_done),
    "drip": FaultKind("sends one byte at a time", ("seconds",), _drip),
    "redirect": FaultKind("redirects to the same host, to another, or in a loop", ("to", "code"), _redirect),
    "answer": FaultKind("answers with exactly this text, or these arguments of the tool call", ("text",), _answer),
}
