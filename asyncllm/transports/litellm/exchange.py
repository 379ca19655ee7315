"""HTTP exchanges of litellm's calls: what was received, and the limits on it."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

from asyncllm.errors import AsyncLLMError, MalformedResponseError, StreamInterruptedError

from .. import size_limits

_START_BYTES = 4096  # enough to recognize a body, and to hold an error whole


@dataclass(slots=True)
class Exchange:
    """The exchange of one call; the last one, where litellm sent the request again.

    Attributes:
        stream: Whether a stream was asked for.
        status: The status of the response; None before there is one.
        location: Where it redirects to.
        is_cut: Whether only the beginning of its body is read, because it is no answer.
        received_bytes: Bytes of its body received, unpacked.
        line_bytes: Bytes received since the last end of a line.
        start: The beginning of its body.
        failure: Why reading it was given up.
        has_ended: Whether the mark of a stream's end has come.
        has_usage: Whether the answer has a usage; None where its format is one that litellm alone reads.
        secrets: Texts that must not occur in an error.
    """

    stream: bool = False
    status: int | None = None
    location: str | None = None
    is_cut: bool = False
    received_bytes: int = 0
    line_bytes: int = 0
    start: bytes = b""
    failure: AsyncLLMError | None = None
    has_ended: bool = False
    has_usage: bool | None = None
    secrets: tuple[str, ...] = ()

    def begin(self, status: int, content_type: str) -> None:
        """Note the head of a response."""
        self.status = status
        self.is_cut = content_type.startswith("text/html") or status >= 400
        self.received_bytes, self.line_bytes, self.start = 0, 0, b""
        self.has_ended, self.has_usage = False, None

    def receive(self, piece: bytes) -> None:
        """Count a piece of the body, unpacked.

        Raises:
            AsyncLLMError: The body is longer than any answer.
        """
        self.received_bytes += len(piece)
        if len(self.start) < _START_BYTES:
            self.start = (self.start + piece)[:_START_BYTES]
        if self.is_cut:
            return
        if not self.stream:
            if self.received_bytes > size_limits.MAX_ANSWER_BYTES:
                self.failure = MalformedResponseError(size_limits.answer_too_large(), status_code=self.status)
        else:
            first, last = piece.find(b"\n"), piece.rfind(b"\n")
            line_bytes = self.line_bytes + (len(piece) if first < 0 else first)
            self.line_bytes = line_bytes if first < 0 else len(piece) - last - 1
            if line_bytes > size_limits.MAX_EVENT_BYTES:
                self.failure = StreamInterruptedError(size_limits.event_too_long())
            elif self.received_bytes > size_limits.MAX_STREAM_BYTES:
                self.failure = StreamInterruptedError(size_limits.stream_too_long())
        if self.failure is not None:
            raise self.failure

    def take_failure(self) -> AsyncLLMError | None:
        """Return why reading was given up, and keep it no longer: litellm keeps the contexts of its calls."""
        failure, self.failure = self.failure, None
        return failure


_current: ContextVar[Exchange | None] = ContextVar("_current", default=None)


def watch(secrets: tuple[str, ...], *, stream: bool = False) -> Exchange:
    """Begin to note what is exchanged in this context."""
    exchange = Exchange(stream, secrets=secrets)
    _current.set(exchange)
    return exchange


def current_exchange() -> Exchange:
    """Return the exchange of this context."""
    return _current.get() or Exchange()
