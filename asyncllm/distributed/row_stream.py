"""The stream of rows through a worker's one client, on a loop and a thread of its own."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast

import anyio

from ..batch.files import AnswerSchema, RowResult, error_record
from ..batch.journal.entry import decode, encode
from ..batch.journal.fingerprint import Fingerprinter
from ..batch.outcome import Outcome
from ..batch.progress import Progress, Tally
from ..batch.stall import is_hopeless
from ..client import AsyncLLM
from ..messages import Request
from ..parameters import profile_params
from ..threads import ThreadEvent
from .results_folder import ResultsFolder, SealedAnswer, row_key
from .sealing import Sealing, seal
from .worker_settings import WorkerSettings

if TYPE_CHECKING:
    from ..config import LLMConfig


class RowBatch:
    """Rows that were submitted together; made in the loop that waits for them.

    Attributes:
        restored: The rows whose results are of an earlier run.
    """

    __slots__ = ("_done", "_left", "_results", "error", "keys", "requests", "restored")

    def __init__(self, requests: Sequence[Request | Exception]) -> None:
        self.requests = requests
        self.keys: Sequence[bytes] = ()
        self.restored: set[int] = set()
        self._results: list[RowResult | None] = [None] * len(requests)
        self.error: BaseException | None = None
        self._left = len(requests)
        self._done = ThreadEvent()

    def settle(self, row: int, result: RowResult) -> None:
        """Set the result of a row."""
        self._results[row] = result
        self._left -= 1
        if not self._left:
            self._done.set()

    @property
    def is_done(self) -> bool:
        """Whether all rows have ended."""
        return not self._left

    def fail(self, error: BaseException) -> None:
        """End the batch with an error."""
        self.error = error
        self._done.set()

    @property
    def results(self) -> list[RowResult]:
        """The results of rows that have ended, in order."""
        return [result for result in self._results if result is not None]

    async def wait(self) -> None:
        """Wait until all rows have ended."""
        if self._left:
            await self._done.wait()
        if self.error is not None:
            raise self.error


class RowStream:
    """Sends the rows of one batch after the other as one endless batch, so that calls overlap over their borders.

    Args:
        settings: The client and the answers.
        answers: The type of the answers; None for texts.
        report: Called about once a second, in the loop of the stream.

    Raises:
        ConfigError: The profile is not there, or wrong.
        JournalError: The results folder cannot be used.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        answers: AnswerSchema | None = None,
        report: Callable[[Progress], object] | None = None,
    ) -> None:
        self._settings = settings
        self._answers = answers
        self._report = report
        self._config = settings.llm_config()
        self._fingerprint = _fingerprinter(self._config, settings)
        self._folder: ResultsFolder | None = None
        if settings.results is not None and settings.run_id is not None:
            self._folder = ResultsFolder(settings.results, settings.run_id, settings.execution)
            self._folder.load()
        self._tally = Tally()
        self._queue: deque[tuple[RowBatch, list[int]]] = deque()
        self._open: set[RowBatch] = set()
        self._failure: BaseException | None = None
        self._started = threading.Event()
        self._arrived: ThreadEvent
        self._stop: ThreadEvent
        self._sealing: Sealing
        self._thread = threading.Thread(target=self._serve, name="asyncllm-rows", daemon=True)
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            raise self._failure

    async def answer(self, requests: Sequence[Request | Exception]) -> RowBatch:
        """Return rows with their results; may be called from any loop, and by several tasks at once.

        Raises:
            StalledError: Nothing has got through for 300 s.
            AsyncLLMError: An error that every row will end with, such as a wrong key.
            OSError: The results folder cannot be written.
        """
        batch = RowBatch(requests)
        to_send = self._settle_known(batch)
        if to_send:
            self._open.add(batch)
            self._queue.append((batch, to_send))
            self._arrived.set()
            if self._failure is not None:
                batch.fail(self._failure)
        await batch.wait()
        return batch

    def close(self) -> None:
        """End the stream; rows that have not ended are cancelled."""
        self._stop.set()
        self._thread.join()

    def _settle_known(self, batch: RowBatch) -> list[int]:
        """Settle the rows that cannot be sent or are sealed already, and return the others."""
        to_send: list[int] = []
        for row, request in enumerate(batch.requests):
            if isinstance(request, Exception):
                batch.settle(row, RowResult(row, None, ok=False, error=error_record(request)))
            else:
                to_send.append(row)
        if self._folder is None or not to_send:
            return to_send
        keys = [
            row_key(self._fingerprint(request)) if isinstance(request, Request) else b"" for request in batch.requests
        ]
        batch.keys = keys
        found = self._folder.find(keys[row] for row in to_send) if len(self._folder) else {}
        for row in to_send:
            if (entry := found.get(keys[row])) is not None:
                request = batch.requests[row]
                known = decode(entry, row, request.id if isinstance(request, Request) else None)
                result = RowResult.of_entry(row, known, typed=self._answers is not None)
                batch.restored.add(row)
                completion = known.completion()
                # The entry has the model that was asked for, a fresh result that which answered.
                batch.settle(row, result if completion is None else replace(result, model=completion.model))
        return [row for row in to_send if keys[row] not in found]

    def _key(self, request: Request | Exception) -> bytes:
        return b"" if isinstance(request, Exception) else row_key(self._fingerprint(request))

    def _serve(self) -> None:
        use_uvloop = sys.platform != "win32" and find_spec("uvloop") is not None
        try:
            anyio.run(self._run, backend_options={"use_uvloop": use_uvloop})
        except BaseException as error:
            self._fail(_only(error))
        finally:
            self._started.set()

    async def _run(self) -> None:
        self._arrived, self._stop = ThreadEvent(), ThreadEvent()
        self._sealing = Sealing(self._config.max_concurrency)
        async with AsyncLLM(self._config) as llm, anyio.create_task_group() as group:
            self._started.set()
            group.start_soon(self._send, llm)
            if self._folder is not None:
                group.start_soon(self._seal, self._folder)
            await self._stop.wait()
            group.cancel_scope.cancel()
        self._fail(RuntimeError("the stream is closed"))

    def _fail(self, error: BaseException) -> None:
        self._failure = error
        for batch in tuple(self._open):
            batch.fail(error)

    async def _send(self, llm: AsyncLLM) -> None:
        settings = self._settings
        await llm.warm_up()
        batch = llm.map(
            self._requests(),
            response_model=settings.response_model,
            progress=self._report or False,
            **settings.params,
        )
        async with batch as outcomes:
            async for outcome in outcomes:
                self._ended(outcome)

    async def _requests(self) -> AsyncGenerator[Request, None]:
        while True:
            while not self._queue:
                self._arrived.clear()
                if not self._queue:
                    await self._arrived.wait()
            batch, rows = self._queue.popleft()
            for row in rows:
                if self._folder is not None:
                    await self._sealing.admit()
                request = batch.requests[row]
                assert isinstance(request, Request)
                yield Request(request, data=(batch, row))

    def _ended(self, outcome: Outcome[Any]) -> None:
        self._tally.add(outcome)
        error = outcome.error
        if error is not None and is_hopeless(self._tally.done, self._tally.failed, error):
            raise error
        batch, row = outcome.data
        result = RowResult.of(row, outcome, self._answers)
        if self._folder is None:
            self._settle(batch, row, result)
            return
        typed = result.value if self._answers is not None else outcome.value
        record = None if outcome.completion is None else outcome.completion.record
        began = (time.time(), 0.0) if record is None else (record.started_at, record.elapsed_s)
        entry = encode(replace(outcome, value=typed, data=None), 1, started_at=began[0], elapsed_s=began[1])
        sealed = SealedAnswer(batch.keys[row], outcome.ok, outcome.cost_usd, entry)
        self._sealing.add(sealed, partial(self._settle, batch, row, result))

    def _settle(self, batch: RowBatch, row: int, result: RowResult) -> None:
        batch.settle(row, result)
        if batch.is_done:
            self._open.discard(batch)

    async def _seal(self, folder: ResultsFolder) -> None:
        while True:
            answers, settle = await self._sealing.next()
            await seal(folder, answers)
            for function in settle:
                function()
            self._sealing.sealed(len(answers))


def _fingerprinter(config: LLMConfig, settings: WorkerSettings) -> Fingerprinter:
    params = settings.params
    return Fingerprinter(config.model, profile_params(config), params, settings.response_model, config.structured_mode)


def _only(error: BaseException) -> BaseException:
    """Return the error that ended a stream: the first that is no group."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error
