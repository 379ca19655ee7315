"""The kinds of faults, and what each does to an answer."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from ..formats.error_bodies import error_body
from ..formats.provider_format import ErrorDetails
from ..server.raw_response import Reply
from .garbage import GARBAGE, Garbage
from .retry_after import retry_after_headers

if TYPE_CHECKING:
    from ..server.responder import Responder
    from .fault import Fault

REDIRECTS = ("same", "other", "loop")

# More than any client should take for an answer, or for a header.
_HUGE_BODY_BYTES = 128 * 1024 * 1024
_HUGE_HEADER_BYTES = 1024 * 1024
# A body of unknown size goes out in pieces of this size.
_PIECE_BYTES = 64 * 1024
_WRONG_BY_BYTES = 100


class FaultKind(NamedTuple):
    """One kind of fault: a sentence about it, the options that it reads, and the function that plays it.

    Without `play` it is a fault of connections, not of requests.
    """

    description: str
    options: tuple[str, ...]
    play: Callable[[Fault, Responder], Awaitable[None]] | None


async def _status(fault: Fault, responder: Responder) -> None:
    error = ErrorDetails(fault.code, fault.reason, fault.message, tokens=responder.prompt_tokens)
    headers = [] if fault.retry_after is None else retry_after_headers(fault.retry_after, fault.retry_after_form)
    if not fault.style:
        await responder.refuse(error, headers)
        return
    status, body = error_body(fault.style, error)
    await responder.response.send(Reply(status=status, body=body, headers=responder.headers + headers))


async def _delay(fault: Fault, responder: Responder) -> None:
    await asyncio.sleep(fault.seconds)
    await responder.answer()


async def _stall(fault: Fault, responder: Responder) -> None:
    await _begin(fault, responder)
    await responder.response.hang()


async def _break_off(fault: Fault, responder: Responder) -> None:
    await _begin(fault, responder)
    await asyncio.sleep(fault.seconds)
    responder.response.break_off("reset" if fault.kind == "reset" else "cut")


async def _begin(fault: Fault, responder: Responder) -> None:
    """Send the answer up to the point of the fault."""
    if fault.at == "before_headers" and fault.after_chunks is None:
        return
    reply = responder.reply()
    await responder.response.begin(reply, framed=fault.framed)
    if fault.at == "body" or fault.after_chunks is not None:
        await responder.response.send_events(reply, responder.pace, limit=_cut_after(fault))


async def _garbage(fault: Fault, responder: Responder) -> None:
    garbage = Garbage(fault.text.encode()) if fault.text else GARBAGE[fault.what]
    reply = responder.reply()
    if reply.events is None or fault.code is not None or (fault.what in ("html", "empty") and not fault.text):
        content_type = garbage.content_type or (reply.content_type if fault.code is None else b"application/json")
        await responder.response.send(Reply(status=fault.code or 200, content_type=content_type, body=garbage.body))
        return
    is_garbled, format_ = fault.what == "invalid_json" and not fault.text, responder.format
    await _with_event(responder, format_.garbled_event() if is_garbled else format_.framed_event(garbage.body), fault)


async def _error_event(fault: Fault, responder: Responder) -> None:
    if responder.reply().events is None:
        await _status(fault, responder)
        return
    error = ErrorDetails(fault.code, fault.reason, fault.message)
    event = responder.format.error_event(error)
    if fault.style:
        event = responder.format.framed_event(error_body(fault.style, error, in_stream=True)[1])
    await _with_event(responder, event, fault)


async def _with_event(responder: Responder, event: bytes, fault: Fault) -> None:
    """Send the stream up to a point, then another event, and end it without the mark of a complete answer."""
    reply = responder.reply()
    await responder.response.begin(reply)
    await responder.response.send_events(reply, responder.pace, limit=_cut_after(fault))
    await responder.response.end(event)


def _cut_after(fault: Fault) -> int:
    return 1 if fault.after_chunks is None else fault.after_chunks


async def _missing_done(fault: Fault, responder: Responder) -> None:
    reply = responder.reply()
    if reply.events is not None and not reply.done:
        # Without a mark of the end, the last event is the mark.
        events = list(reply.events)
        reply.events = islice(events, len(events) - 1)
    reply.done = b""
    await responder.response.send(reply, responder.pace)


async def _drip(fault: Fault, responder: Responder) -> None:
    reply = responder.reply()
    await responder.response.begin(reply)
    data = _whole_body(reply)
    for at in range(len(data)):
        await responder.response.send_piece(data[at : at + 1])
        await asyncio.sleep(fault.seconds)
    if reply.events is not None:
        await responder.response.end()


async def _wrong_length(fault: Fault, responder: Responder) -> None:
    reply = responder.reply()
    data = _whole_body(reply)
    more = _WRONG_BY_BYTES if fault.size_bytes is None else fault.size_bytes
    # In one write: what a client makes of bytes beyond the announced ones depends on whether it has read them.
    await responder.response.send_piece(responder.response.head(reply, max(0, len(data) + more)) + data)
    if more > 0:
        await responder.response.hang()


async def _truncated_gzip(fault: Fault, responder: Responder) -> None:
    reply = responder.reply()
    data = gzip.compress(_whole_body(reply))
    half = Reply(content_type=reply.content_type, body=data[: len(data) // 2])
    half.headers = [*reply.headers, (b"content-encoding", b"gzip")]
    await responder.response.send(half)


async def _huge_body(fault: Fault, responder: Responder) -> None:
    """Send an answer, or one event of a stream, whose text is of any size."""
    size = _HUGE_BODY_BYTES if fault.size_bytes is None else fault.size_bytes
    reply = responder.reply()
    before, after = b'{"id": "sim", "choices": [{"index": 0, "message": {"role": "assistant", "content": "', b'"}}]}'
    if reply.events is not None:
        before, after = responder.format.framed_event(before).rstrip(b"\n"), after + b"\n\n"
    endless = Reply(content_type=reply.content_type, events=(), headers=list(reply.headers))
    pieces = _pieces(before, size, after)
    if fault.gzipped:
        endless.headers.append((b"content-encoding", b"gzip"))
        pieces = _compressed(pieces)
    await responder.response.begin(endless)
    async for piece in pieces:
        await responder.response.send_piece(piece)
    await responder.response.end()


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


async def _huge_header(fault: Fault, responder: Responder) -> None:
    size = _HUGE_HEADER_BYTES if fault.size_bytes is None else fault.size_bytes
    reply = responder.reply()
    reply.headers = [*reply.headers, (b"x-simulated", b"x" * size)]
    await responder.response.send(reply, responder.pace)


async def _endless(fault: Fault, responder: Responder) -> None:
    """Send without end: blanks before a plain answer, the same events of a stream again and again."""
    reply = responder.reply()
    events: Iterable[bytes] = (b" " * _PIECE_BYTES,)
    if reply.events is not None:
        # Without the last events, which would say that the answer is over.
        events = list(reply.events)[:2]
    await responder.response.begin(Reply(content_type=reply.content_type, events=(), headers=list(reply.headers)))
    piece = b"".join(events)
    piece *= max(1, _PIECE_BYTES // len(piece))
    while True:
        await responder.response.send_piece(piece)
        await asyncio.sleep(0)


async def _repeat(fault: Fault, responder: Responder) -> None:
    reply = responder.reply()
    if reply.events is not None:
        events = list(reply.events)
        at = min(_cut_after(fault), len(events) - 1)
        reply.events = [*events[:at], *[events[at]] * fault.count, *events[at:]]
    await responder.response.send(reply, responder.pace)


async def _redirect(fault: Fault, responder: Responder) -> None:
    if responder.response.redirected and fault.to != "loop":
        await responder.answer()
    else:
        await responder.response.redirect(fault.code or 307, fault.to)


async def _close_kept(fault: Fault, responder: Responder) -> None:
    if responder.response.fresh:
        await responder.answer()
    else:
        responder.response.break_off("cut")


async def _answer(fault: Fault, responder: Responder) -> None:
    script: Mapping[str, object] = {"text": fault.text}
    chat = responder.chat
    if chat is not None and chat.tools and chat.tool_choice not in ("auto", "none"):
        name = chat.tools[0].name if chat.tool_choice == "required" else chat.tool_choice
        script = {"tool_calls": [{"name": name, "arguments": fault.text}]}
    responder.add_to_script(script)
    await responder.answer()


def _whole_body(reply: Reply) -> bytes:
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
    "reset": FaultKind("resets the connection (RST)", ("at", "after_chunks", "seconds"), _break_off),
    "cut": FaultKind(
        "closes the connection cleanly in the middle", ("at", "after_chunks", "seconds", "framed"), _break_off
    ),
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
