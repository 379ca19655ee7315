"""What the pipeline says to a transport, and what it gets back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from .wire.rules import Route


NO_KEY = "none"
"""Sent in place of a key where there is none, so that nothing on the way looks for one by itself."""


@dataclass(frozen=True, slots=True)
class Connection:
    """Where a request goes, and with which key.

    Attributes:
        provider: litellm's name of the provider.
        api_key: The key; kept out of the repr.
        options: The other fields of the connection group that are set: `base_url`, `extra_headers`, ...
        connect_timeout_s: Seconds that opening a connection may take.
        is_embedded: Whether it is the simulator in this process, to which no proxy leads.
    """

    provider: str
    api_key: str | None = field(default=None, repr=False)
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    connect_timeout_s: float = 10.0
    is_embedded: bool = False


@dataclass(slots=True)
class Call:
    """One request, ready to be sent; the transport does not change it.

    Attributes:
        connection: Where it goes.
        model: The model as litellm names it.
        messages: Chat-completions dicts, in order.
        params: Chat-completions parameters, without nulls.
        timeout_s: Seconds from sending to the last byte (a stream: to its first chunk).
        drop_params: Drop what the model does not know, rather than refuse it.
        route: Where the wire would post it; None when it goes by way of litellm.
        body: What the wire would post.
    """

    connection: Connection
    model: str
    messages: Sequence[dict[str, Any]]
    params: Mapping[str, Any]
    timeout_s: float
    drop_params: bool = True
    route: Route | None = None
    body: dict[str, Any] | None = None

    def secrets(self) -> tuple[str, ...]:
        """Return the texts that must not occur in an error."""
        key, options = self.connection.api_key, self.connection.options
        named = (options.get("extra_headers"), self.params.get("extra_headers"))
        values = [value for headers in named for value in (headers or {}).values()]
        values += [value for name, value in options.items() if name.startswith("aws_") and "name" not in name]
        return tuple(str(value) for value in (None if key == NO_KEY else key, *values) if value)


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
    build_response: Callable[[dict[str, Any]], Any] | None = None


class ChunkStream(Protocol):
    """A streamed answer on its way in.

    Attributes:
        headers: The response headers, lower case.
        build_response: Makes litellm's `ModelResponse` of an assembled answer.
    """

    headers: Mapping[str, str]
    build_response: Callable[[dict[str, Any]], Any] | None

    async def read(self, timeout_s: float) -> Sequence[dict[str, Any]]:
        """Return the chunks that are there, at least one; none means the provider's own end.

        Raises:
            TimeoutError: When nothing came within the time; the stream is still open.
            ProviderError: When the stream failed or was cut.
        """
        ...

    async def aclose(self) -> None:
        """Close the connection; returns when it is closed. Closing twice is harmless."""
        ...

    def abandon(self) -> None:
        """Have the connection closed without waiting, from any thread; for a stream that nobody closed."""
        ...


class Transport(Protocol):
    """The way to a provider.

    Attributes:
        name: `litellm` or `wire`.
    """

    name: str

    async def complete(self, call: Call) -> Answer:
        """Send a request and return the whole answer.

        Raises:
            ProviderError: When the provider refused, failed, took too long or could not be reached.
        """
        ...

    async def open_stream(self, call: Call) -> ChunkStream:
        """Send a request and return its stream once the provider has accepted it; raises as `complete` does."""
        ...

    async def warm_up(self, connection: Connection) -> None:
        """Do ahead of time what the first call would have to wait for."""
        ...

    async def aclose(self) -> None:
        """Close what this transport opened; returns when it is closed."""
        ...

    def drop(self) -> None:
        """Let go of what is open without waiting, from any thread; for a client that nobody closed."""
        ...
