"""Nothing but loopback is reachable from the tests.

The guard is an audit hook: it sees every connection attempt of this process, whatever library and thread it comes from,
at the one place that Python code cannot go around. Child processes get it through `subprocess_guard/sitecustomize.py`.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
import threading
from pathlib import Path
from typing import Any

REFUSED: list[str] = []
"""Connections refused since the list was emptied: a library may swallow the error, the tests' fixture does not."""

_installed = threading.Event()

# Events that name a remote end, and the position of the address among their arguments.
_ADDRESS_AT = {"socket.connect": 1, "socket.sendto": 1, "socket.sendmsg": 1, "socket.getaddrinfo": 0}
_ADDRESS_AT |= {"socket.gethostbyname": 0, "socket.gethostbyaddr": 0}


class NetworkRefusedError(RuntimeError):
    """A test tried to leave the machine.

    Not an OSError, so that no retry or fallback mistakes it for a failing provider.
    """


def install() -> None:
    """Refuse everything but loopback, in this process until it ends and in the Python processes that it starts."""
    if _installed.is_set():
        return
    _installed.set()  # an audit hook cannot be taken away again
    sys.addaudithook(_refuse)
    guard = str(Path(__file__).with_name("subprocess_guard"))
    inherited = os.environ.get("PYTHONPATH")
    if guard not in (inherited or "").split(os.pathsep):
        os.environ["PYTHONPATH"] = guard if not inherited else guard + os.pathsep + inherited


def _refuse(event: str, args: tuple[Any, ...]) -> None:
    position = _ADDRESS_AT.get(event)
    if position is None:
        return
    address = args[position]
    host = address[0] if isinstance(address, tuple) else address
    if _is_local(event, host, address):
        return
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    if event == "socket.getaddrinfo" and name.endswith(".invalid"):
        # RFC 6761: such names never resolve. Answering so here makes a DNS failure testable without a resolver.
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    REFUSED.append(f"{event} {address!r}")
    raise NetworkRefusedError(f"tests may reach loopback only: {event} {address!r}")


def _is_local(event: str, host: object, address: object) -> bool:
    if host is None or host == "":
        return True  # no peer, or this machine
    if isinstance(address, str | bytes) and not event.startswith("socket.get"):
        return True  # the path of a unix socket
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        return False
