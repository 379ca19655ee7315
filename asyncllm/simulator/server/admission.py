"""The admission of connections: all are accepted, or all are refused."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .http_server import HttpServer

# The connections that a large test opens at once find room before they are accepted.
BACKLOG = 1024


class ConnectionGate:
    """Accepts or refuses the connections of a server on the running loop."""

    def __init__(self, server: HttpServer, listener: socket.socket, ssl_context: ssl.SSLContext | None) -> None:
        self._server = server
        self._socket = listener
        self._ssl_context = ssl_context
        self._loop = asyncio.get_running_loop()
        self._accepting: asyncio.Server | None = None

    def set_refusing(self, refusing: bool) -> None:
        """Refuse or accept connections, from another thread; returns when that is in effect."""
        if refusing is (self._accepting is not None):
            asyncio.run_coroutine_threadsafe(self.refuse() if refusing else self.accept(), self._loop).result()

    async def accept(self) -> None:
        """Accept connections."""
        self._accepting = await self._loop.create_server(
            self._server, sock=self._socket, ssl=self._ssl_context, backlog=BACKLOG
        )

    async def refuse(self) -> None:
        """Refuse connections, and break off those that are open; the port stays taken."""
        port = self._socket.getsockname()[1]
        await self.close()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))  # bound and not listening: the system refuses connections
        self._server.abort()
        # The connections report that they are closed before the caller goes on.
        await settle()
        self._server.stopping = False

    async def close(self) -> None:
        """Close the listening socket; connections stay."""
        if self._accepting is not None:
            # A connection that is being accepted is known after a few turns of the loop; a server that is closed
            # before would drop it with its socket open.
            self._loop.remove_reader(self._socket)
            await settle()
            self._accepting.close()
            self._accepting = None
        self._socket.close()


async def settle() -> None:
    """Let the loop finish what is under way: accepting a connection takes it three turns, closing one takes two."""
    for _ in range(5):
        await asyncio.sleep(0)
