"""The interface of a wire format, and the readers that the formats share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ..answers.conversation import ChatRequest, InvalidRequestError, SimulatedAnswer
from ..answers.json_values import as_number, is_array, is_object
from ..server.rate_limits import LimitState

# Four tokens: several tokens come together from real providers under load.
_CHUNK_CHARS = 16


@dataclass(frozen=True, slots=True)
class ErrorDetails:
    """An error to be written in a provider's own words.

    Attributes:
        status: The HTTP status; None takes what the provider uses for the reason.
        reason: `context_window`, `content_policy`, `quota`, `tokens`, `path`, `key`, or empty for what the status says.
        message: Replaces the provider's usual message.
        param: The field that is wrong.
        tokens: The size of the prompt, for messages that name it.
    """

    status: int | None = None
    reason: str = ""
    message: str = ""
    param: str | None = None
    tokens: int = 0


class ProviderFormat(ABC):
    """One provider's form of requests and answers.

    Attributes:
        stream_type: The content type of a stream.
        done: What ends a stream; empty where the last event does.
        request_id_header: The header that carries the id of the request.
    """

    stream_type: ClassVar[bytes]
    done: ClassVar[bytes]
    request_id_header: ClassVar[bytes] = b"x-request-id"

    @abstractmethod
    def read(self, body: Mapping[str, object], path_model: str | None) -> ChatRequest:
        """Read a request body; `path_model` is the model that the path names.

        Raises:
            InvalidRequestError: The provider would not accept the body.
        """

    @abstractmethod
    def plain(self, chat: ChatRequest, answers: Sequence[SimulatedAnswer], cached: tuple[int, int]) -> bytes:
        """Write the whole answer; `cached` is the prompt tokens written to and read from the cache."""

    @abstractmethod
    def events(self, chat: ChatRequest, answers: Sequence[SimulatedAnswer], cached: tuple[int, int]) -> Iterator[bytes]:
        """Write the answer as the events of a stream, without what ends it (`done`)."""

    @abstractmethod
    def error(self, error: ErrorDetails) -> tuple[int, bytes]:
        """Return the status and the body of an error."""

    @abstractmethod
    def error_event(self, error: ErrorDetails) -> bytes:
        """Return an error in the middle of a stream."""

    @abstractmethod
    def garbled_event(self) -> bytes:
        """Return an event that is not JSON."""

    def framed_event(self, data: bytes) -> bytes:
        """Put any data into the frame of an event."""
        return b"data: " + data + b"\n\n"

    def check_headers(self, headers: Mapping[str, str]) -> None:
        """Check what the provider demands of the headers.

        Raises:
            InvalidRequestError: The provider would refuse them.
        """
        return

    def limit_headers(self, states: Sequence[LimitState]) -> list[tuple[bytes, bytes]]:
        """Return the rate-limit headers of an answer; a provider without such headers has none."""
        return []


def chunk_chars(chat: ChatRequest) -> int:
    """Return the characters in one event of a stream."""
    return max(1, int(as_number(chat.script.get("chunk_chars", _CHUNK_CHARS))))


def tightest(states: Sequence[LimitState]) -> list[LimitState]:
    """Return one state for each kind of limit: where several count the same, the one with the least left."""
    by_kind: dict[str, LimitState] = {}
    for state in states:
        other = by_kind.get(state.limit.kind)
        if other is None or state.remaining / state.limit.amount < other.remaining / other.limit.amount:
            by_kind[state.limit.kind] = state
    return list(by_kind.values())


def read_text(content: object) -> tuple[str, int, bool]:
    """Read a message's content: a string or a list of parts.

    Returns:
        The text, the number of images, and whether a part is marked with `cache_control`.
    """
    if isinstance(content, str):
        return content, 0, False
    if content is None:
        return "", 0, False
    if not is_array(content):
        raise InvalidRequestError("'content' must be a string or an array of parts", "messages")
    texts: list[str] = []
    images, marked = 0, False
    for part in content:
        if not is_object(part):
            raise InvalidRequestError("every part of 'content' must be an object", "messages")
        marked = marked or bool(part.get("cache_control"))
        text = part.get("text")
        if "image" in str(part.get("type", "")):
            images += 1
        elif isinstance(text, str):
            texts.append(text)
        elif part.get("type") == "tool_result":
            result, more, _ = read_text(part.get("content"))
            texts.append(result)
            images += more
    return "\n".join(texts), images, marked


def read_positive(body: Mapping[str, object], name: str) -> int | None:
    """Read a positive whole number, or nothing."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidRequestError(f"Invalid value for '{name}': expected a positive integer, got {value!r}.", name)
    return value


def read_stops(value: object) -> list[str]:
    """Read stop sequences: one, a list of them, or nothing.

    Raises:
        TypeError: They are none of these.
    """
    if isinstance(value, str):
        return [value]
    if value is not None and not is_array(value):
        raise TypeError(f"stop sequences must be a string or an array, not {value!r}")
    return [str(stop) for stop in value or ()]
