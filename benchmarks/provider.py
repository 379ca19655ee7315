"""The provider of the benchmarks: answers are bytes made in advance, so that it is never the bottleneck.

    python -m benchmarks.provider [--certificate FILE]

It speaks the formats of OpenAI, Anthropic and Gemini to anyone, prints its URL, and counts. `asyncllm.simulator` checks
and computes what it answers, which costs it as much as the floor's client; this one costs a fraction of either.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import ssl
import sys
from functools import cache
from typing import Any

from . import provider_formats as formats
from .exchange import CONTACT, DESCRIBE, HELLO, HELLO_TEXT, INPUT_TOKENS, OUTPUT_TOKENS, TOKENS, counting

SEEN_PATH = "/seen"
_USAGE = {"prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS, "total_tokens": TOKENS}
_CREATED = 1735689600  # 2025-01-01: the same bytes in every run
# A thousand streams at once, with room; the usual limit of 1,024 descriptors is below that.
_DESCRIPTORS = 8192
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n"
    b"x-request-id: req-benchmark\r\n\r\n"
)
_STREAM_END = b"0\r\n\r\n"


# How newer and older models of Claude are asked for JSON.
_TYPED = ("output_config", "output_format")


class Seen:
    """What arrived so far, over all connections."""

    def __init__(self) -> None:
        self.requests = 0
        self.refused = 0
        self.connections = 0


class Connection(asyncio.Protocol):
    """One client's connection; its requests are answered in order."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._received = b""
        self._counted = False
        self._stream: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self.transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        if self._stream is not None:
            self._stream.cancel()

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end]
            length = _content_length(head)
            if len(self._received) < end + 4 + length:
                return
            body = self._received[end + 4 : end + 4 + length]
            self._received = self._received[end + 4 + length :]
            self.answer(head, body)

    def answer(self, head: bytes, body: bytes) -> None:
        """Answer one request."""
        if head.startswith(b"GET " + SEEN_PATH.encode()):
            self.transport.write(response(200, vars(self._seen)))
            return
        if not self._counted:
            self._counted = True
            self._seen.connections += 1
        self._seen.requests += 1
        asked = json.loads(body)
        path = head.split(b" ", 2)[1]
        if formats.is_anthropic(path) or formats.gemini_streams(path) is not None:
            self._answer_in_format(path, asked)
            return
        refusal = refusal_of(head, asked)
        if refusal is not None:
            self._seen.refused += 1
            self.transport.write(response(400, {"error": {"message": refusal, "type": "invalid_request_error"}}))
        elif asked.get("stream"):
            self._stream = asyncio.get_running_loop().create_task(self._write_stream(_prompt(asked), asked["model"]))
        else:
            tool = asked["tools"][0]["function"]["name"] if asked.get("tools") else None
            self.transport.write(whole_answer(_prompt(asked), asked["model"], tool))

    def _answer_in_format(self, path: bytes, asked: dict[str, Any]) -> None:
        """Answer a request in Anthropic's or Gemini's format."""
        prompt = formats.prompt_of(asked)
        if formats.is_anthropic(path):
            model = asked["model"]
            tool = asked["tools"][0]["name"] if asked.get("tools") else None
            if not asked.get("stream"):
                self.transport.write(anthropic_whole(prompt, model, tool, typed=not asked.keys().isdisjoint(_TYPED)))
                return
            events = anthropic_stream(prompt, model)
        else:
            model = path.rpartition(b"/")[2].partition(b":")[0].decode()
            if not formats.gemini_streams(path):
                self.transport.write(gemini_whole(prompt, model))
                return
            events = gemini_stream(prompt, model)
        self._stream = asyncio.get_running_loop().create_task(self._write_events(events, 0.0, ends=True))

    async def _write_stream(self, prompt: str, model: str) -> None:
        events, gap_s, ends = stream_events(prompt, model)
        await self._write_events(events, gap_s, ends=ends)

    async def _write_events(self, events: tuple[bytes, ...], gap_s: float, *, ends: bool) -> None:
        self.transport.write(_STREAM_HEAD)
        for event in events:
            # Each in a packet of its own, as a model makes them, and a turn of the loop for other streams in between.
            self.transport.write(event)
            await asyncio.sleep(gap_s)
        if ends:
            self.transport.write(_STREAM_END)


def refusal_of(head: bytes, asked: dict[str, Any]) -> str | None:
    """Return why a request is refused, as OpenAI would; None when it is not."""
    if not head.startswith(b"POST ") or b"/chat/completions" not in head.partition(b"\r\n")[0]:
        return "unknown path"
    if str(asked.get("model", "")).startswith("gpt-5") and "max_tokens" in asked:
        return "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    if asked.get("stream") and not (asked.get("stream_options") or {}).get("include_usage"):
        return "a stream without its usage is not compared here"
    return None


@cache
def whole_answer(prompt: str, model: str, tool: str | None) -> bytes:
    """Return the bytes of a plain answer; `tool` is the one to call with the contact."""
    message: dict[str, Any] = {"role": "assistant", "content": HELLO_TEXT, "refusal": None}
    if prompt == DESCRIBE:
        message["content"] = json.dumps(CONTACT)
    elif prompt != HELLO:
        raise ValueError(f"no answer for {prompt!r}")
    if tool is not None:
        function = {"name": tool, "arguments": json.dumps(CONTACT)}
        message |= {"content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": function}]}
    reason = "stop" if tool is None else "tool_calls"
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
    return response(200, {**_envelope("chat.completion", model), "choices": [choice], "usage": _USAGE})


@cache
def stream_events(prompt: str, model: str) -> tuple[tuple[bytes, ...], float, bool]:
    """Return the writes of a stream, the seconds between them, and whether it ends."""
    told = counting(prompt)

    def event(delta: dict[str, Any], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return _event({**_envelope("chat.completion.chunk", model), "choices": [choice], "usage": None})

    events = [event({"role": "assistant", "content": "", "refusal": None})]
    events += [event({"content": piece}) for piece in told.pieces]
    if told.ends:
        usage = _event({**_envelope("chat.completion.chunk", model), "choices": [], "usage": _USAGE})
        events += [event({}, "stop"), usage + _chunked(b"data: [DONE]\n\n")]
    return tuple(events), told.gap_s, told.ends


@cache
def anthropic_whole(prompt: str, model: str, tool: str | None, *, typed: bool) -> bytes:
    """Return the bytes of a plain answer of Anthropic's."""
    return response(200, formats.anthropic_answer(prompt, model, tool, typed=typed))


@cache
def anthropic_stream(prompt: str, model: str) -> tuple[bytes, ...]:
    """Return the writes of a stream of Anthropic's, whose events have names."""
    events = formats.anthropic_events(prompt, model)
    return tuple(_chunked(f"event: {event['type']}\n".encode() + _data(event)) for event in events)


@cache
def gemini_whole(prompt: str, model: str) -> bytes:
    """Return the bytes of a plain answer of Gemini's."""
    return response(200, formats.gemini_answer(prompt, model))


@cache
def gemini_stream(prompt: str, model: str) -> tuple[bytes, ...]:
    """Return the writes of a stream of Gemini's, which ends with its body."""
    return tuple(_chunked(_data(event)) for event in formats.gemini_events(prompt, model))


def _prompt(asked: dict[str, Any]) -> str:
    content = asked["messages"][-1]["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def _envelope(kind: str, model: str) -> dict[str, Any]:
    named = {"id": "chatcmpl-benchmark", "object": kind, "created": _CREATED, "model": model}
    return {**named, "service_tier": "default", "system_fingerprint": "fp_benchmark"}


def _event(data: dict[str, Any]) -> bytes:
    return _chunked(_data(data))


def _data(data: dict[str, Any]) -> bytes:
    return b"data: " + _encode(data) + b"\n\n"


def _chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def response(status: int, data: dict[str, Any] | bytes) -> bytes:
    """Make the bytes of a whole answer of data, or of a body that is encoded already."""
    body = data if isinstance(data, bytes) else _encode(data)
    head = (
        f"HTTP/1.1 {status} {'OK' if status == 200 else 'Bad Request'}\r\nContent-Type: application/json\r\n"
        f"x-request-id: req-benchmark\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _encode(data: dict[str, Any]) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode()


def _content_length(head: bytes) -> int:
    lowered = head.lower()
    at = lowered.find(b"\r\ncontent-length:")
    if at < 0:
        return 0
    return int(lowered[at + 17 :].partition(b"\r\n")[0])


async def _serve(certificate: str | None) -> None:
    tls = None
    if certificate is not None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate)
    seen = Seen()
    loop = asyncio.get_running_loop()
    # A thousand connections at the same moment must not be refused.
    server = await loop.create_server(lambda: Connection(seen), "127.0.0.1", 0, ssl=tls, backlog=_DESCRIPTORS)
    host = "127.0.0.1" if tls is None else "localhost"
    scheme = "http" if tls is None else "https"
    print(f"{scheme}://{host}:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    # The parent process holds the other end of stdin; the server ends with it.
    await loop.run_in_executor(None, sys.stdin.read)


def main() -> None:
    """Serve until stdin ends."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--certificate", metavar="FILE", help="serve TLS with this certificate and key (PEM)")
    given = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(_DESCRIPTORS, most), most))
    asyncio.run(_serve(given.certificate))


if __name__ == "__main__":
    main()
