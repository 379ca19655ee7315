"""The protocols between the exchange and a provider's format: requests to send, and readers of answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from asyncllm.transports.bodies import WRONG_TYPES

from .text_events import TextEvents

UNREADABLE = (*WRONG_TYPES, RecursionError)
"""The exceptions of reading a malformed answer or event."""


@dataclass(frozen=True, slots=True)
class Unserved:
    """A request that the format leaves to litellm.

    Attributes:
        reason: Why, as a clause: "images at http: addresses are fetched by litellm".
    """

    reason: str


class UnservedError(Exception):
    """Raised inside a format where it meets what it leaves to litellm; `request` turns it into `Unserved`."""


class EventReader(Protocol):
    """Reads the events of one stream.

    Attributes:
        has_begun: Whether a part of the answer has come; before that, a failed request may be sent again.
        has_ended: Whether the stream has come to its real end; what follows is not read.
    """

    has_begun: bool
    has_ended: bool

    @property
    def texts(self) -> TextEvents | None:
        """Makes the chunks of most events for less, and is asked before `feed`; None where the format has none."""
        ...

    @property
    def is_whole(self) -> bool:
        """Whether the answer is whole: the provider has said why it stopped.

        Some servers close a stream then, without the mark of the end.
        """
        ...

    def feed(self, data: bytes) -> list[dict[str, object]]:
        """Read one event and return the chat-completions chunks that it makes, often none.

        Raises:
            ProviderError: It is an error event, of the class that its status would have had.
            MalformedResponseError: It cannot be read, and nothing of the answer has come.
            StreamInterruptedError: It cannot be read, and something of the answer has come.
        """
        ...


class FormatRequest(Protocol):
    """One request in a provider's format, and the readers of its answer.

    Attributes:
        headers: All headers that the format decides, `extra_headers` of the connection and of the call among them. They
            are the format's own object where the request needs no others, so that what is made of it can be kept.
    """

    headers: Mapping[str, str]

    @property
    def url(self) -> str:
        """The address that it is posted to."""
        ...

    @property
    def dropped(self) -> tuple[str, ...]:
        """Names of the parameters that the model does not take, in order."""
        ...

    @property
    def body(self) -> dict[str, object]:
        """The body as plain data."""
        ...

    def encode(self) -> bytes:
        """Encode the body.

        Raises:
            TypeError: When it holds what JSON cannot say.
        """
        ...

    def read_answer(self, body: bytes, secrets: tuple[str, ...] = ()) -> dict[str, object]:
        """Read a whole answer that came with status 200, into the chat-completions form.

        Args:
            body: The body as it came.
            secrets: Texts that must not occur in an error.

        Raises:
            ProviderError: It is an error that came with the status of an answer.
            MalformedResponseError: It is no answer.
        """
        ...

    def open_reader(self, secrets: tuple[str, ...] = ()) -> EventReader:
        """Return a reader for the events of the answer's stream."""
        ...


class WireFormat(Protocol):
    """How one model is asked at one endpoint; made once, asked for every request.

    Attributes:
        headers: The headers of a plain request, the key among them.
    """

    headers: Mapping[str, str]

    def request(
        self, messages: Sequence[Mapping[str, object]], params: Mapping[str, object], *, stream: bool = False
    ) -> FormatRequest | Unserved:
        """Return a request in the provider's format, or why it is left to litellm.

        Args:
            messages: Chat-completions messages, in order.
            params: Chat-completions parameters, without nulls.
            stream: Whether the answer shall be streamed.
        """
        ...

    def limit_headers(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Return `x-ratelimit-*` headers for those of an answer that have other names or forms; often none."""
        ...
