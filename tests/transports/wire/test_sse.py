"""Server-sent events come out the same however the stream is cut into pieces."""

from __future__ import annotations

import itertools
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncllm.transports.wire.sse import SSEParser

LIMIT = 1_000_000

VALUES = st.sampled_from(
    ['{"a": 1}', "[DONE]", "", " two blanks", "Grüße, 世界 🌍", "data: inside", "a: b", ":", "\u2028", "x" * 300]
)
FIELDS = st.one_of(
    VALUES.map(lambda value: f"data: {value}"),
    VALUES.map(lambda value: f"data:{value}"),
    st.sampled_from(
        [": a comment", ":", "event: ping", "id: 7", "retry: 10", "data", "database: no", "unknown", "data "]
    ),
)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Draw a stream of events: any fields, any line ends, sometimes a byte order mark or no last line end."""
    text = draw(st.sampled_from(["", "\ufeff"]))
    end = draw(ENDS)
    for field in draw(st.lists(st.one_of(FIELDS, st.just("")), max_size=20)):
        end = draw(ENDS) if draw(st.booleans()) else end
        text += field + end
    text += draw(st.sampled_from(["", "data: the last", "data: the last\n", "\n\n"]))
    return text.encode()


def reference(data: bytes) -> list[bytes]:
    """Read a whole stream as the standard says, but take an event whose blank line is missing at the end."""
    events: list[bytes] = []
    held: list[bytes] = []
    for line in [*re.split(rb"\r\n|\n|\r", data.removeprefix(b"\xef\xbb\xbf")), b""]:
        name, _, value = line.partition(b":")
        if not line and held:
            events.append(b"\n".join(held))
            held = []
        elif name == b"data":
            held.append(value.removeprefix(b" "))
    return events


def parsed(pieces: list[bytes]) -> list[bytes]:
    parser = SSEParser(LIMIT)
    return [event for piece in pieces for event in parser.feed(piece)] + parser.end()


@given(streams(), st.data())
def test_any_cut_gives_the_same_events(stream: bytes, data: st.DataObject) -> None:
    """Pieces of any size, cut inside of characters, fields and line ends, give what the standard says."""
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=12)))
    bounds = [0, *cuts, len(stream)]
    pieces = [stream[start:end] for start, end in itertools.pairwise(bounds)]
    assert parsed(pieces) == reference(stream)


@given(streams())
def test_single_bytes_give_the_same_events(stream: bytes) -> None:
    """The worst of all cuts: every byte on its own."""
    assert parsed([bytes([byte]) for byte in stream]) == reference(stream)


@given(st.lists(streams(), max_size=4))
def test_whole_events_take_the_short_way_to_the_same_end(parts: list[bytes]) -> None:
    """Pieces that end with an event are read without holding anything back, and read the same."""
    pieces = [b"data: first\n\n", *(part + b"\n\n" for part in parts)]
    assert parsed(pieces) == reference(b"".join(pieces))


@pytest.mark.parametrize("piece", [b"data: " + b"x" * 64, b"data: x\n" * 10])
def test_an_endless_event_is_no_event(piece: bytes) -> None:
    """Neither a line nor an event without an end fills the memory."""
    parser = SSEParser(1_000)
    with pytest.raises(ValueError, match="longer than 1,000 bytes"):
        list(map(parser.feed, [piece] * 100))


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("lead", [b"", b"\r\n \n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_json_is_no_stream(lead: bytes, size: int) -> None:
    """A body that begins as JSON is kept whole, wherever it is cut, and has no events."""
    body = lead + b'{"text": "data: no event"}\n\n'
    parser = SSEParser(10_000)
    events = [event for at in range(0, len(body), size) for event in parser.feed(body[at : at + size])]
    assert [*events, *parser.end()] == []
    assert parser.whole is not None
    assert json.loads(parser.whole.decode("utf-8-sig")) == {"text": "data: no event"}


def test_a_stream_is_no_json() -> None:
    """Events that hold JSON are a stream, after leading blank lines, too."""
    parser = SSEParser(10_000)
    assert parser.feed(b'\n\ndata: {"a": 1}\n\n') == [b'{"a": 1}']
    assert parser.whole is None
