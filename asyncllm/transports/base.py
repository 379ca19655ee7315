"""The interface between the pipeline and the transports: connections, calls, answers and streams."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from .headers import lower_case

if TYPE_CHECKING:
    from ..completions.text_chunk import AnyChunk
    from .wire.formats.format import FormatRequest, WireFormat


NO_KEY = "none"
"""Sent in place of a key where there is none, so that no library looks for one by itself."""

NEVER_S = 86_400.0
"""A day: longer than any timeout, where a library asks for one and the real one is kept elsewhere."""


@dataclass(frozen=True, slots=True, eq=False)
class Connection:
    """The provider, address and key of requests.

    Attributes:
        provider: litellm's name of the provider.
        api_key: The key; kept out of the repr.
        options: The other fields of the connection group that are set: `base_url`, `extra_headers`, ...
        connect_timeout_s: Seconds that opening a connection may take.
        is_embedded: Whether the provider is the simulator in this process, which no proxy reaches.
        secrets: The texts that must not occur in an error.
    """

    provider: str
    api_key: str | None = field(default=None, repr=False)
    options: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    connect_timeout_s: float = 10.0
    is_embedded: bool = False
    secrets: tuple[str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        values: list[object] = [] if self.api_key == NO_KEY else [self.api_key]
        headers: Mapping[str, object] | None = self.options.get("extra_headers")
        values += headers.values() if headers else ()
        values += [value for name, value in self.options.items() if name.startswith("aws_") and "name" not in name]
        object.__setattr__(self, "secrets", tuple(str(value) for value in values if value))


@dataclass(slots=True)
class Call:
    """One request, ready to be sent; the transport does not change it.

    Attributes:
        connection: The provider, address and key.
        model: The model as litellm names it.
        messages: Chat-completions dicts, in order.
        params: Chat-completions parameters, without nulls.
        timeout_s: Seconds from sending to the last byte (of a stream: to its first chunk).
        drop_params: Drop parameters that the model does not know, rather than refuse them.
        format: The provider's format, by wire; None for litellm.
        request: The request in that format.
    """

    connection: Connection
    model: str
    messages: Sequence[dict[str, Any]]
    params: Mapping[str, Any]
    timeout_s: float
    drop_params: bool = True
    format: WireFormat | None = None
    request: FormatRequest | None = None

    def read_headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return response headers in lower case, and rate limits under the names that the limits are read from."""
        read = lower_case(headers)
        if self.format is not None:
            read.update(self.format.limit_headers(read))
        return read

    def secrets(self) -> tuple[str, ...]:
        """Return the texts that must not occur in an error."""
        headers: Mapping[str, object] | None = self.params.get("extra_headers")
        own = self.connection.secrets
        return (*own, *(str(value) for value in headers.values() if value)) if headers else own


@dataclass(slots=True)
class Answer:
    """A whole answer.

    Attributes:
        data: The answer in the chat-completions form.
        headers: The response headers, lower case.
        build_response: Makes litellm's `ModelResponse` of the data.
    """

    data: dict[str, Any]
    headers: Mapping[str, str]
    build_response: Callable[[dict[str, object]], object] | None = None


class ChunkStream(Protocol):
    """A streamed answer.

    Attributes:
        headers: The response headers, lower case.
        build_response: Makes litellm's `ModelResponse` of an assembled answer.
    """

    headers: Mapping[str, str]
    build_response: Callable[[dict[str, object]], object] | None

    async def read(self, timeout_s: float) -> Sequence[AnyChunk]:
        """Return the chunks that are there, at least one; none at the provider's own end.

        Raises:
            TimeoutError: Nothing came within the time; the stream is still open.
            ProviderError: The stream failed or was cut.
        """
        ...

    async def aclose(self) -> None:
        """Close the connection; returns when it is closed. Closing twice is harmless."""
        ...

    def abandon(self) -> None:
        """Close the connection without waiting, from any thread; for an unclosed stream."""
        ...


class Transport(Protocol):
    """The way to a provider.

    Attributes:
        name: `litellm` or `wire`.
    """

    name: str

    def complete(self, call: Call) -> Awaitable[Answer]:
        """Send a request and return the whole answer.

        Raises:
            ProviderError: The provider refused, failed, took too long or could not be reached.
        """
        ...

    async def open_stream(self, call: Call) -> ChunkStream:
        """Send a request and return its stream once the provider has accepted it.

        Raises:
            ProviderError: As of `complete`.
        """
        ...

    async def warm_up(self, connection: Connection) -> None:
        """Do ahead of time what the first call would wait for."""
        ...

    async def aclose(self) -> None:
        """Close what this transport opened; returns when it is closed."""
        ...

    def drop(self) -> None:
        """Close what is open without waiting, from any thread; for an unclosed client."""
        ...
