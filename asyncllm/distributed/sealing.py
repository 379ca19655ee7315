"""The times at which answers are sealed, and the bound of those that are not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import anyio

from ..threads import run_in_own_thread
from .results_folder import ResultsFolder, SealedAnswer

# A file is sealed when a part of what may be in flight has ended, so that few slots wait for it, and few files are
# written; and after this time, so that little is lost where rows end slowly.
_SEALED_PART = 4
_SEAL_S = 1.0
# Seconds before each other try at a storage that fails.
_PAUSES_S = (0.5, 2.0)


class Sealing:
    """The answers that wait to be sealed, and the number of rows that are sent and not sealed.

    Args:
        limit: The most of these rows: as many are sent again at most when a worker is killed.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._sent = 0
        self._answers: list[SealedAnswer] = []
        self._settle: list[Callable[[], None]] = []
        self._room = anyio.Event()
        self._some = anyio.Event()
        self._due = anyio.Event()

    async def admit(self) -> None:
        """Wait until one more row may be sent."""
        while self._sent >= self._limit:
            self._room = anyio.Event()
            await self._room.wait()
        self._sent += 1

    def add(self, answer: SealedAnswer, settle: Callable[[], None]) -> None:
        """Add an answer, and the function that is called when it is sealed."""
        self._answers.append(answer)
        self._settle.append(settle)
        self._some.set()
        waiting = len(self._answers)
        if waiting * _SEALED_PART >= self._limit or waiting == self._sent:
            self._due.set()

    async def next(self) -> tuple[list[SealedAnswer], list[Callable[[], None]]]:
        """Wait until a file is due, and return its answers."""
        await self._some.wait()
        with anyio.move_on_after(_SEAL_S):
            await self._due.wait()
        taken = self._answers, self._settle
        self._answers, self._settle = [], []
        self._some, self._due = anyio.Event(), anyio.Event()
        return taken

    def sealed(self, number: int) -> None:
        """Note that answers are sealed."""
        self._sent -= number
        self._room.set()
        if self._answers and len(self._answers) == self._sent:
            self._due.set()


async def seal(folder: ResultsFolder, answers: Sequence[SealedAnswer]) -> None:
    """Write answers; a storage that fails is tried again."""
    for pause_s in (*_PAUSES_S, None):
        try:
            await run_in_own_thread(partial(folder.seal, answers))
        except OSError:
            if pause_s is None:
                raise
            await anyio.sleep(pause_s)
        else:
            return
