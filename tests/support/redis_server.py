"""A real redis-server on a free port, for tests and benchmarks; it can be killed and started again."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

UNCLOSED_STREAMS = "ignore:Unclosed <MemoryObject:ResourceWarning"
"""A filter for what coredis leaves to the garbage collector of a connection that was refused."""

MISSING = "redis-server is not installed; .ci/install-redis does it"
# Far more than it takes to start, on a machine that does much else.
_STARTS_WITHIN_S = 20.0


def is_installed() -> bool:
    """Return whether the machine has redis-server."""
    return shutil.which("redis-server") is not None


class RedisServer:
    """A server without persistence; use it in `with`.

    Args:
        settings: Lines of its configuration, such as `requirepass secret`.
        tls: A folder with `ca.pem`, `server.pem` and `server.key`, to serve TLS too.
        sentinel: Whether it is a Sentinel.

    Attributes:
        port: Its port on loopback; the same one when it is started again.
        tls_port: Its port for TLS.
    """

    def __init__(self, *settings: str, tls: Path | None = None, sentinel: bool = False) -> None:
        self.port, self.tls_port = _free_ports()
        self._settings = list(settings)
        if "cluster-enabled yes" in settings:  # its bus would be at the port plus 10,000, which may be none
            self._settings.append(f"cluster-port {self.tls_port}")
        self._sentinel = sentinel
        if tls is not None:
            files = (f"tls-cert-file {tls}/server.pem", f"tls-key-file {tls}/server.key")
            self._settings += [*files, f"tls-ca-cert-file {tls}/ca.pem", "tls-auth-clients no"]
            self._settings.append(f"tls-port {self.tls_port}")
        self._folder = tempfile.TemporaryDirectory(prefix="asyncllm-redis-")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its URL."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def socket_path(self) -> str:
        """Its Unix socket."""
        return str(Path(self._folder.name) / "redis.sock")

    def start(self) -> None:
        """Start it, and return when it answers."""
        lines = [f"port {self.port}", "bind 127.0.0.1", *self._settings]
        if not self._sentinel:
            lines += ["save ''", f"unixsocket {self.socket_path}"]
        file = Path(self._folder.name) / "redis.conf"  # a Sentinel writes to it
        file.write_text("\n".join(lines), "utf-8")
        self._process = subprocess.Popen(
            ["redis-server", str(file), *(["--sentinel"] if self._sentinel else [])],
            cwd=self._folder.name,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + _STARTS_WITHIN_S
        while not self._answers():
            if time.monotonic() > until or self._process.poll() is not None:
                raise RuntimeError("redis-server did not start")
            time.sleep(0.01)

    def ensure_running(self) -> None:
        """Start it where it was killed."""
        if self._process is None:
            self.start()

    def kill(self) -> None:
        """Kill it; what it held is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def ask(self, *command: str) -> bytes:
        """Return its answer to a command, as on the wire."""
        with socket.create_connection(("127.0.0.1", self.port), 2.0) as connection:
            parts = b"".join(b"$%d\r\n%s\r\n" % (len(part.encode()), part.encode()) for part in command)
            connection.sendall(b"*%d\r\n%s" % (len(command), parts))
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def _answers(self) -> bool:
        try:
            return self.ask("PING").startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()
        self._folder.cleanup()


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]
