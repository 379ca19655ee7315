"""Servers as processes of their own, on a free port of loopback."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.environments import clean_env

_START_S = 180  # a LiteLLM proxy imports for a minute on a busy machine


@contextmanager
def running(command: Sequence[str], log: Path, **variables: str) -> Iterator[str]:
    """Run a server until the block is left, and yield its address, once it takes connections.

    Args:
        command: The command, to which `--host` and `--port` are added.
        log: The file that gets its output.
        **variables: Of its environment.

    Raises:
        RuntimeError: It ended, or did not start in time; the message holds the end of its output.
    """
    port = _free_port()
    with log.open("wb") as output:
        server = subprocess.Popen(
            (*command, "--host", "127.0.0.1", "--port", str(port)),
            stdout=output,
            stderr=output,
            env=clean_env(**variables),
        )
        try:
            deadline = time.monotonic() + _START_S
            while not _takes_connections(port):
                if server.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{command[0]} did not start: {log.read_text(errors='replace')[-2000:]}")
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(30)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def _takes_connections(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0
