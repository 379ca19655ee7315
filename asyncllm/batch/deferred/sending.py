"""Creation of batches at the provider, each once, whatever happens on the way.

Before a batch is created its row says so, and the mark that goes with it. If the answer never comes, because the
process is killed or the provider fails, the batch is looked for by that mark before it is created again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Generic, TypeVar

import anyio

from asyncllm import telemetry
from asyncllm.errors import BadRequestError, MalformedResponseError, ProviderError, RateLimitError

from ..journal.journal_file import failures
from ..journal.session import JournalSession
from . import rows
from .providers.provider import BatchProvider, ProviderBatch, Submission, UndecidedError
from .rows import BatchRow, ItemRow

T = TypeVar("T")
# Bodies that are read from the journal at once.
_AT_ONCE = 200
# A refused batch is divided after so many refusals with none of this job under way: others of the account pass first.
_REFUSALS = 3
_FAILED = "the provider did not take the batch"


class Sender(Generic[T]):
    """Creates the batches of one job.

    Args:
        path: The journal, beside which the file of a batch lies while it is sent.
        retries: How often in a row the creation of a batch may fail.
        settle_s: Seconds after which a batch that was created is sure to be in the provider's list.

    Attributes:
        refused: Items for which the provider did not take their batch, and why; the caller settles them.
    """

    def __init__(
        self,
        provider: BatchProvider,
        session: JournalSession[T],
        path: Path,
        *,
        retries: int,
        is_retryable: Callable[[BaseException], bool],
        settle_s: float,
    ) -> None:
        self._provider = provider
        self._session = session
        self._file = path.with_name(f"{path.name}-batch")
        self._journal = path
        self._retries = retries
        self._is_retryable = is_retryable
        self._settle_s = settle_s
        self._failures = 0
        self._refusals: dict[int, int] = {}
        self.refused: list[tuple[ItemRow, ProviderError]] = []

    async def send(self) -> None:
        """Find the batches that may exist, and create the others, as long as the provider takes them.

        Raises:
            ProviderError: The provider fails again and again, or refuses every batch.
        """
        try:
            await self.find()
            for row in await self._rows("ready"):
                if not await self._create(row):
                    return
        finally:
            self._file.unlink(missing_ok=True)

    async def find(self) -> None:
        """Find the batches that may exist."""
        for row in await self._rows("sending"):
            await self._find(row)

    async def postpone(self, row: BatchRow) -> None:
        """Put a batch back that did not fit into the account's queue; it is divided if it never does."""
        self._refusals[row.batch] = self._refusals.get(row.batch, 0) + 1
        alone = not [other for other in await self._rows("open") if other.batch != row.batch]
        divides = alone and self._refusals[row.batch] >= _REFUSALS

        def put_back(database: rows.Database) -> None:
            rows.send_again(database, row.batch)
            if divides:
                rows.split(database, row.batch)

        await self._execute(put_back)
        if divides:
            self._refusals.pop(row.batch)

    async def _rows(self, *states: rows.State) -> list[BatchRow]:
        return await self._session.execute(lambda store: list(rows.batches(store.connection, *states)))

    async def _execute(self, operation: rows.Operation) -> None:
        await self._session.execute(lambda store: operation(store.connection))

    async def _find(self, row: BatchRow) -> None:
        submission = await self._submission(row)
        try:
            found = await self._provider.find(submission)
            early_s = row.noted_at + self._settle_s - time.time()
            if found is None and early_s > 0:
                await anyio.sleep(early_s)
                found = await self._provider.find(submission)
        except UndecidedError:
            return
        except ProviderError as error:
            self._note_failure(error)
            return
        if found is not None:
            telemetry.emit(telemetry.INFO, "deferred.found", batch=found.id, requests=row.requests)
            await self._note_open(row, found)
            return
        await self._execute(lambda database: rows.send_again(database, row.batch))

    async def _create(self, row: BatchRow) -> bool:
        """Create a batch; return whether the provider may take another."""
        requests = await self._write_file(row)
        await self._execute(
            lambda database: rows.set_state(database, row.batch, "sending", noted_at=time.time(), requests=requests)
        )
        submission = await self._submission(row._replace(requests=requests))
        try:
            made = await self._provider.create(submission)
            if not made.id:
                raise MalformedResponseError(f"{_FAILED}: it gave no id.")
        except RateLimitError:
            await self.postpone(row)
            return False
        except ProviderError as error:
            if self._is_retryable(error):
                self._note_failure(error)  # it may exist: it is looked for
                return False
            await self._refuse(row, error)
            return True
        await self._note_open(row, made)
        return True

    async def _refuse(self, row: BatchRow, error: ProviderError) -> None:
        """Leave the request out that is to blame; raise if it is none of them."""
        line = self._provider.to_blame(error)
        item = None if line is None else await self.item_at(row, line)
        await self._execute(lambda database: rows.send_again(database, row.batch))
        if item is None:
            raise error
        self.refused.append((item, BadRequestError(error.message, status_code=error.status_code)))

    async def item_at(self, row: BatchRow, line: int) -> ItemRow | None:
        """Return the item of a line of a batch, from 0."""
        return await self._session.execute(lambda store: rows.item_at(store.connection, row.batch, line))

    async def _note_open(self, row: BatchRow, made: ProviderBatch) -> None:
        self._failures = 0
        columns: Mapping[str, object] = {
            "provider_id": made.id,
            "status": made.status,
            "created_at": made.created_at,
            "expires_at": made.expires_at,
        }
        await self._execute(lambda database: rows.set_state(database, row.batch, "open", **columns))
        telemetry.emit(telemetry.INFO, "deferred.created", batch=made.id, requests=row.requests)

    def _note_failure(self, error: ProviderError) -> None:
        self._failures += 1
        if self._failures > self._retries or not self._is_retryable(error):
            raise error
        telemetry.emit(telemetry.WARNING, "deferred.failed", error=type(error).__name__, message=error.message)

    async def _submission(self, row: BatchRow) -> Submission:
        known = [other.provider_id for other in await self._rows() if other.provider_id is not None]
        return Submission(row.mark, self._file, row.requests, json.loads(row.headers), row.noted_at, frozenset(known))

    async def _write_file(self, row: BatchRow) -> int:
        """Write the file of a batch, and return its requests."""
        provider, written, after = self._provider, 0, 0
        before, between, behind = provider.frame
        with failures(self._journal):
            file = self._file.open("wb")
        with file:
            file.write(before)
            while True:
                found = await self._bodies(row, after)
                if not found:
                    break
                lines = (provider.line(f"{row.mark}-{number}", body) for number, body in found)
                with failures(self._journal):
                    file.write((between if written else b"") + between.join(lines))
                written += len(found)
                after = found[-1][0]
            with failures(self._journal):
                file.write(behind)
        return written

    async def _bodies(self, row: BatchRow, after: int) -> list[tuple[int, bytes]]:
        return await self._session.execute(lambda store: rows.bodies(store.connection, row.batch, after, _AT_ONCE))
