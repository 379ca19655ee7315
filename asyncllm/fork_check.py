"""The check that a process has not forked since its threads were started."""

from __future__ import annotations

import os

from .errors import UnsupportedError


def check_process(pid: int) -> None:
    """Raise if the process has forked: threads do not survive a fork, and waiting for one would hang.

    Args:
        pid: The process that started the threads.

    Raises:
        UnsupportedError: The process has forked.
    """
    if pid != os.getpid():
        raise UnsupportedError(
            "this client was used before the process forked, and its connections belong to the parent.",
            hint="Make the client in the child process, or start workers with the 'spawn' method.",
        )
