"""The items that a run has in flight, in a small file that is right whenever the process is killed.

Each worker has a slot, into which it writes the item that it is about to send; it costs no commit. The system keeps
what was written when the process is killed; a power loss may lose it, and then what was in flight is not counted.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from pathlib import Path

from .journal_file import beside, failures

_SLOT = struct.Struct("<Qd")


class InFlightFile:
    """The file, for the run that writes it."""

    def __init__(self, path: Path, workers: int) -> None:
        self._path = path
        with failures(path):
            self._file = os.open(_in_flight_path(path), os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
            try:
                # All of it at once: a full disk shows here, not when a request is about to be sent.
                os.pwrite(self._file, bytes(_SLOT.size * workers), 0)
            except BaseException:
                os.close(self._file)
                raise

    def put(self, worker: int, number: int, reserved_usd: float = 0.0) -> None:
        """Note that a worker is about to send an item, and the most that it may cost."""
        with failures(self._path):
            os.pwrite(self._file, _SLOT.pack(number, reserved_usd), _SLOT.size * worker)

    def close(self) -> None:
        """Close the file, and keep it."""
        os.close(self._file)


def read_in_flight(path: Path) -> dict[int, float]:
    """Return the items that the latest run of a journal has or had in flight, with the most that each may have cost."""
    with suppress(FileNotFoundError):
        data = _in_flight_path(path).read_bytes()
        whole = len(data) - len(data) % _SLOT.size  # less than all of it when a full disk cut it
        return {number: usd for number, usd in _SLOT.iter_unpack(data[:whole]) if number}
    return {}


def remove_in_flight(path: Path) -> None:
    """Remove the file, once what it says is in the journal."""
    with suppress(FileNotFoundError):
        _in_flight_path(path).unlink()


def _in_flight_path(path: Path) -> Path:
    return beside(path, "-sent")
