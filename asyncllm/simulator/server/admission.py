"""Where connections come in: open, or shut, so that every one is refused."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .provider import _Server

# As many connections as a large test opens at once shall find room before they are accepted.
BACKLOG = 1024


class ConnectionGate:
    """Lets connections in to a server on the running loop.

    Args:
        server: Makes the handlers of connections.
        listener: The listening socket.
        ssl_context: Serve https with this.
    """

    def __init__(self, server: _Server, listener: socket.socket, ssl_context: ssl.SSLContext | None) -> None:
        self._server = server
        self._socket = listener
        self._ssl_context = ssl_context
        self._loop = asyncio.get_running_loop()
        self._accepting: asyncio.Server | None = None

    def follow(self, refuses: bool) -> None:
        """Shut or open it, from another thread; returns when that is done."""
        if refuses is self._is_open:
            asyncio.run_coroutine_threadsafe(self.shut() if refuses else self.open(), self._loop).result()

    async def open(self) -> None:
        """Accept connections."""
        self._accepting = await self._loop.create_server(
            self._server, sock=self._socket, ssl=self._ssl_context, backlog=BACKLOG
        )

    async def shut(self) -> None:
        """Refuse connections, and break off those that are open; the port stays taken."""
        port = self._socket.getsockname()[1]
        await self.close()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))  # bound and not listening: the system refuses for us
        self._server.abort()
        # And the connections tell that they are closed, before anybody goes on.
        await turns()
        self._server.stopping = False

    async def close(self) -> None:
        """Give up the port; connections stay."""
        if self._accepting is not None:
            # A connection that is just being accepted is known after a few turns; a server that is closed before would
            # drop it with its socket open.
            self._loop.remove_reader(self._socket)
            await turns()
            self._accepting.close()
            self._accepting = None
        self._socket.close()

    @property
    def _is_open(self) -> bool:
        return self._accepting is not None


async def turns() -> None:
    """Let the loop do what is under way: accepting a connection takes it three turns, closing one takes two."""
    for _ in range(5):
        await asyncio.sleep(0)
