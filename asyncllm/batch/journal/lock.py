"""The lock that lets one process at a time write a journal; the system releases it when that process is killed."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from asyncllm.errors import JournalError

from .journal_file import LOCAL_DISK, beside, unwritable

# How often the lock is asked for, and how many seconds apart: `is_locked` takes it for a moment.
_TRIES = 5
_BETWEEN_TRIES_S = 0.01


class JournalLock:
    """The right to write a journal.

    Raises:
        JournalError: Another process has it, or the directory cannot be written.
    """

    def __init__(self, path: Path) -> None:
        # A file of its own: closing a second descriptor of the database would release SQLite's locks on it.
        self._path = _lock_path(path)
        self._file: IO[bytes] | None = None
        while self._file is None:
            try:
                file = self._path.open("ab")
            except OSError as error:
                raise unwritable(path, error) from None
            if self._acquire(file, path):
                self._file = file
            else:
                file.close()  # the previous holder has just removed it

    def release(self) -> None:
        """Release the lock, and remove its file."""
        file, self._file = self._file, None
        if file is not None:
            # Removed while it is still locked, so that no process locks a file that is gone.
            with suppress(OSError):
                self._path.unlink()
            file.close()

    def _acquire(self, file: IO[bytes], path: Path) -> bool:
        """Lock the file, and return whether it is still the one in the directory."""
        for _ in range(_TRIES):
            try:
                _lock(file, exclusively=True)
            except BlockingIOError:
                time.sleep(_BETWEEN_TRIES_S)
                continue
            except OSError as error:
                file.close()
                raise JournalError(f"the journal {path} cannot be locked: {error.strerror}.", hint=LOCAL_DISK) from None
            with suppress(OSError):
                return os.fstat(file.fileno()).st_ino == self._path.stat().st_ino
            return False
        file.close()
        raise JournalError(
            f"the journal {path} is in use by another run.",
            hint="Wait for its end, or give this run another journal; Journal.read() can read it meanwhile.",
        )


def is_locked(path: Path) -> bool:
    """Return whether a process is writing a journal."""
    try:
        with _lock_path(path).open("rb") as file:
            _lock(file, exclusively=False)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _lock(file: IO[bytes], *, exclusively: bool) -> None:
    """Lock a file; raise BlockingIOError if another process has it."""
    import fcntl  # imported here: Windows has none, and only journals need it

    fcntl.flock(file, (fcntl.LOCK_EX if exclusively else fcntl.LOCK_SH) | fcntl.LOCK_NB)


def _lock_path(path: Path) -> Path:
    return beside(path, "-lock")
