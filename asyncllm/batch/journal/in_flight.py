"""What a run has in flight: a small file that is right whenever the process is killed, and costs no commit.

A slot for each worker, into which it writes the item that it is about to send. The system keeps what was written when
the process is killed; only a power loss may lose it, and then what was in flight is not counted.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from pathlib import Path

from .journal_file import failures, in_flight_path

_SLOT = struct.Struct("<Qd")


class InFlight:
    """The file while a run writes it.

    Args:
        path: The journal.
        workers: How many may be in flight.

    Raises:
        JournalError: It cannot be written.
    """

    def __init__(self, path: Path, workers: int) -> None:
        self._path = path
        with failures(path):
            self._file = os.open(in_flight_path(path), os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
            try:
                # All of it at once: a full disk shows here, and not when a request is about to be sent.
                os.pwrite(self._file, bytes(_SLOT.size * workers), 0)
            except BaseException:
                os.close(self._file)
                raise

    def put(self, worker: int, number: int, reserved_usd: float = 0.0) -> None:
        """Note that a worker is about to send an item, and what it may cost."""
        with failures(self._path):
            os.pwrite(self._file, _SLOT.pack(number, reserved_usd), _SLOT.size * worker)

    def close(self) -> None:
        """Close the file and leave it."""
        os.close(self._file)


def read_in_flight(path: Path) -> dict[int, float]:
    """Return the items that the run which writes a journal has or had in flight, with what each may have cost."""
    with suppress(FileNotFoundError):
        data = in_flight_path(path).read_bytes()
        whole = len(data) - len(data) % _SLOT.size  # less than all when a full disk cut it
        return {number: usd for number, usd in _SLOT.iter_unpack(data[:whole]) if number}
    return {}


def remove_in_flight(path: Path) -> None:
    """Remove the file, when what was in it is in the journal."""
    with suppress(FileNotFoundError):
        in_flight_path(path).unlink()
