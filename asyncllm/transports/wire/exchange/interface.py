"""What an exchange takes its connections from, and its answer as the transport reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import aiohttp
from aiohttp.connector import Connection


class Body(Protocol):
    """The bytes of an answer as they arrive, unframed and unpacked."""

    async def readany(self) -> bytes:
        """Return what has come, at least one byte; nothing at the end.

        Raises:
            aiohttp.ClientError: The body was cut, or cannot be read.
        """
        ...

    def at_eof(self) -> bool:
        """Return whether the body has come to its end and been read."""
        ...


class Response(Protocol):
    """The beginning of an answer, and its body to be read; aiohttp's own response is one too."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, case-insensitive."""
        ...

    @property
    def content(self) -> Body:
        """The body."""
        ...

    @property
    def closed(self) -> bool:
        """Whether the connection is closed, or back in the pool."""
        ...

    def close(self) -> None:
        """Close the connection at once, unless the body has come to its end."""
        ...


class Pool(Protocol):
    """The connections that are kept for further requests."""

    async def take(self, request: aiohttp.ClientRequest, timeout: aiohttp.ClientTimeout) -> tuple[Connection, bool]:
        """Return a connection for a request, and whether it had been kept."""
        ...
