"""Bodies that are not answers."""

from __future__ import annotations

from typing import NamedTuple

# Deeper than any decoder follows: Python's own gives up at about a thousand, the fast ones at two hundred.
_DEPTH = 100_000


class Garbage(NamedTuple):
    """A body that is not an answer; without a content type it comes with that of the format."""

    body: bytes
    content_type: bytes = b""


GARBAGE: dict[str, Garbage] = {
    "html": Garbage(
        b"<html><head><title>502 Bad Gateway</title></head><body>asyncllm-simulator</body></html>", b"text/html"
    ),
    "invalid_json": Garbage(b'{"id": "chatcmpl-sim", "choices": [{"message": ', b"application/json"),
    "empty": Garbage(b""),
    "wrong_shape": Garbage(b'{"simulated": "the wrong shape"}'),
    "wrong_types": Garbage(
        b'{"id": 7, "choices": [{"index": "first", "message": ["simulated"], "delta": ["simulated"]}], "usage": [1]}'
    ),
    "null": Garbage(b"null"),
    "invalid_utf8": Garbage(b'{"choices": [{"message": {"content": "\xff\xfe"}}]}'),
    "deep_nesting": Garbage(b'{"choices": ' + b"[" * _DEPTH + b"]" * _DEPTH + b"}"),
}
