"""How batches and requests end: the states of batches, and the errors of requests that no answer came for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import asyncllm.errors
from asyncllm.errors import (
    AsyncLLMError,
    BudgetExceededError,
    MalformedResponseError,
    NotFoundError,
    ProviderError,
    ProviderTimeoutError,
    UnsupportedError,
)

from ..journal.entry import JournalEntry
from .providers.provider import BatchProvider, ProviderBatch

_GONE = "the provider does not have the batch any more"
_AGAIN = "Run the batch again, and it is sent again."


def unanswered(end: str) -> ProviderError:
    """Make the error of a request that its batch has no answer for, by how that ended."""
    if end == "expired":
        return ProviderTimeoutError("the window of the batch ended before the request was answered.", hint=_AGAIN)
    if end == "cancelled":
        return ProviderError("the batch was cancelled before the request was answered.", hint=_AGAIN)
    return MalformedResponseError("the batch has ended, and has no result for this request.", hint=_AGAIN)


async def states_of(provider: BatchProvider, ids: Collection[str]) -> Mapping[str, ProviderBatch]:
    """Return batches by their ids, in one request where there are several; one that is gone has failed."""
    found: dict[str, ProviderBatch] = {}
    if len(ids) > 1:
        found = {batch.id: batch for batch in await provider.latest() if batch.id in ids}
    for id in ids:
        if id in found:
            continue
        try:  # older than the latest, or alone
            found[id] = await provider.get(id)
        except NotFoundError:
            found[id] = ProviderBatch(id, "failed", 0, reason=_GONE)
    return found


def error_of(entry: JournalEntry) -> AsyncLLMError:
    """Make the error of an entry; of the class that it had where that takes a message alone."""
    kind: Any = getattr(asyncllm.errors, entry.error or "", None)
    if isinstance(kind, type) and issubclass(kind, BudgetExceededError | ProviderError | UnsupportedError):
        return kind(entry.message or "")
    return AsyncLLMError(f"{entry.error}: {entry.message}")
