"""Batches that something else created, such as a provider's SDK: their requests and results, read into a journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import Any, Generic, TypeVar

from asyncllm.errors import BadRequestError
from asyncllm.messages import Request
from asyncllm.transports.bodies import encode

from ..item import BatchItem
from ..journal.fingerprint import key_of_id
from ..journal.session import JournalSession
from ..journal.store import JournalStore
from . import rows
from .providers.openai import OpenAIBatchApi
from .providers.provider import BatchProvider, BatchResult
from .reading import Reader
from .requests import KeptRequest
from .rows import BatchRow, NewItem

T = TypeVar("T")
# Of a typed request, what asks for the type; a re-ask asks for it in its own way.
_OF_THE_TYPE = ("response_format", "tools", "tool_choice")


class Adoption(Generic[T]):
    """Reads batches of others into one journal.

    Where the provider shows the file of the requests, as OpenAI and Mistral do, they are read first, and can be sent
    again. Elsewhere the ids and the answers of the results are all that is known of them.

    Args:
        is_typed: Whether the answers are read into a type.
    """

    def __init__(
        self, session: JournalSession[T], provider: BatchProvider, reader: Reader[T], *, is_typed: bool
    ) -> None:
        self._session = session
        self._provider = provider
        self._reader = reader
        self._is_typed = is_typed

    async def begin(self, id: str) -> None:
        """Take over a batch, unless the journal has it.

        Raises:
            NotFoundError: The provider has none of the id.
        """
        found = await self._provider.get(id)
        batch = await self._session.execute(lambda store: rows.adopt(store.connection, found))
        if batch is None:
            return
        if found.source:
            async with aclosing(self._reader.lines((found.source,))) as chunks:
                async for lines in chunks:
                    await self._take_requests(batch, lines)
        await self._session.execute(lambda store: rows.set_state(store.connection, batch, "open"))

    async def numbered(self, row: BatchRow, results: Mapping[str, BatchResult]) -> dict[int, BatchResult]:
        """Return the results of a batch's requests by their numbers."""
        if row.mark:
            ids = ((id.rpartition("-"), result) for id, result in results.items())
            return {int(number): result for (mark, _, number), result in ids if mark == row.mark and number.isdecimal()}
        keys = {key_of_id(id): id for id in results}
        numbers = await self._session.execute(lambda store: rows.numbers_of(store.connection, list(keys)))
        unknown = [Request("", id=id) for key, id in keys.items() if key not in numbers]
        entered = await self._enter(row.batch, [(request, None) for request in unknown])
        numbers |= {item.fingerprint.key: item.number for item in entered}
        return {numbers[key]: results[id] for key, id in keys.items()}

    async def _take_requests(self, batch: int, lines: Sequence[bytes]) -> None:
        provider = self._provider
        assert isinstance(provider, OpenAIBatchApi), "others show no files"
        taken: list[tuple[Request, bytes | None]] = []
        for line in lines:
            try:
                id, body = provider.read_request(line)
                left_out = ("model", "messages", *(_OF_THE_TYPE if self._is_typed else ()))
                params: Any = {name: value for name, value in body.items() if name not in left_out}
                messages: Any = body.get("messages")
                taken.append((Request(messages, id=id, **params), encode(body)))
            except (ValueError, TypeError) as error:
                raise BadRequestError(f"the batch has a request that is none: {error}") from None
        await self._enter(batch, taken)

    async def _enter(self, batch: int, requests: Sequence[tuple[Request, bytes | None]]) -> list[BatchItem]:
        """Enter requests into the journal, with their bodies where they are known, and return their items."""
        first = await self._session.execute(lambda store: rows.count_all(store.connection))
        items = [BatchItem(first + n, request) for n, (request, _) in enumerate(requests)]
        await self._session.register(items)
        made = [self._new(item, request, body) for item, (request, body) in zip(items, requests, strict=True)]

        def insert(store: JournalStore) -> None:
            for item, one in zip(items, made, strict=True):
                store.note_settings(item.fingerprint.settings)
                rows.insert(store.connection, batch, one)

        await self._session.execute(insert)
        return items

    def _new(self, item: BatchItem, request: Request, body: bytes | None) -> NewItem:
        fingerprint, kept = item.fingerprint, KeptRequest(request, None, is_known=body is not None)
        return NewItem(
            item.number,
            item.occurrence,
            fingerprint.sent,
            fingerprint.prompt,
            fingerprint.settings.digest,
            0.0,
            "",
            {},
            kept.encode(),
            body or b"",
        )
