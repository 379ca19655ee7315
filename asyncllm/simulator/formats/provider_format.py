"""What every wire format can do, and what their readers share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..answers.conversation import Ask, BadAskError, SimulatedAnswer
from ..server.rate_limits import State

# Four tokens: several tokens come together from real providers under load.
_CHUNK_CHARS = 16


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error to be said in a provider's own words.

    Attributes:
        status: The HTTP status; None takes what the provider uses for the reason.
        reason: `context_window`, `content_policy`, `quota`, `tokens`, `path`, or empty for what the status says.
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
    """One provider's way of writing requests and answers.

    Attributes:
        stream_type: The content type of a stream.
        done: What ends a stream; empty where the last event does.
        request_id_header: The header that carries the id of the request.
    """

    stream_type: ClassVar[bytes]
    done: ClassVar[bytes]
    request_id_header: ClassVar[bytes] = b"x-request-id"

    @abstractmethod
    def read(self, body: Mapping[str, Any], path_model: str | None) -> Ask:
        """Read a request body; `path_model` is the model that the path names.

        Raises:
            BadAskError: The provider would not accept the body.
        """

    @abstractmethod
    def plain(self, ask: Ask, answers: Sequence[SimulatedAnswer], cached: tuple[int, int]) -> bytes:
        """Write the whole answer; `cached` is the prompt tokens written to and read from the cache."""

    @abstractmethod
    def events(self, ask: Ask, answers: Sequence[SimulatedAnswer], cached: tuple[int, int]) -> Iterator[bytes]:
        """Write the answer as the events of a stream, without what ends it (`done`)."""

    @abstractmethod
    def error(self, refusal: Refusal) -> tuple[int, bytes]:
        """Give the status and the body of an error."""

    @abstractmethod
    def error_event(self, refusal: Refusal) -> bytes:
        """Give an error in the middle of a stream."""

    @abstractmethod
    def garbled_event(self) -> bytes:
        """Give an event that is not JSON."""

    def framed_event(self, data: bytes) -> bytes:
        """Put data into the frame of an event, whatever it is."""
        return b"data: " + data + b"\n\n"

    def check_headers(self, headers: Mapping[str, str]) -> None:
        """Check what the provider demands of the headers.

        Raises:
            BadAskError: The provider would refuse them.
        """
        return

    def limit_headers(self, states: Sequence[State]) -> list[tuple[bytes, bytes]]:
        """Give the rate-limit headers of an answer; a provider without such headers has none."""
        return []


def chunk_chars(ask: Ask) -> int:
    """Give the characters in one event of a stream."""
    return max(1, int(ask.script.get("chunk_chars", _CHUNK_CHARS)))


def tightest(states: Sequence[State]) -> list[State]:
    """Give one state for each kind of limit: where several count the same, the one with the least left."""
    by_kind: dict[str, State] = {}
    for state in states:
        other = by_kind.get(state.limit.kind)
        if other is None or state.remaining / state.limit.amount < other.remaining / other.limit.amount:
            by_kind[state.limit.kind] = state
    return list(by_kind.values())


def read_text(content: Any) -> tuple[str, int, bool]:
    """Read a message's content: a string or a list of parts.

    Returns:
        The text, the number of images, and whether a part is marked with `cache_control`.
    """
    if isinstance(content, str):
        return content, 0, False
    if content is None:
        return "", 0, False
    if not isinstance(content, list):
        raise BadAskError("'content' must be a string or an array of parts", "messages")
    texts, images, marked = [], 0, False
    for part in content:
        if not isinstance(part, Mapping):
            raise BadAskError("every part of 'content' must be an object", "messages")
        marked = marked or bool(part.get("cache_control"))
        if "image" in str(part.get("type", "")):
            images += 1
        elif isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif part.get("type") == "tool_result":
            text, more, _ = read_text(part.get("content"))
            texts.append(text)
            images += more
    return "\n".join(texts), images, marked


def take_positive(body: Mapping[str, Any], name: str) -> int | None:
    """Take a token limit from a body: a positive whole number or nothing."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise BadAskError(f"Invalid value for '{name}': expected a positive integer, got {value!r}.", name)
    return value


def whole_number(body: Mapping[str, Any], name: str, usual: int) -> int:
    """Take a count from a body: a positive whole number, `usual` where it is not given."""
    return take_positive(body, name) or usual
