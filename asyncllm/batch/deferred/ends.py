"""The errors of requests that no answer came for, and of those that a journal has."""

from __future__ import annotations

from typing import Any

import asyncllm.errors
from asyncllm.errors import (
    AsyncLLMError,
    MalformedResponseError,
    ProviderError,
    ProviderTimeoutError,
    UnsupportedError,
)

from ..journal.entry import JournalEntry

_AGAIN = "Run the batch again, and it is sent again."


def unanswered(end: str) -> ProviderError:
    """Make the error of a request that its batch has no answer for, by how that ended."""
    if end == "expired":
        return ProviderTimeoutError("the window of the batch ended before the request was answered.", hint=_AGAIN)
    if end == "cancelled":
        return ProviderError("the batch was cancelled before the request was answered.", hint=_AGAIN)
    return MalformedResponseError("the batch has ended, and has no result for this request.", hint=_AGAIN)


def error_of(entry: JournalEntry) -> AsyncLLMError:
    """Make the error of an entry; of the class that it had where that takes a message alone."""
    kind: Any = getattr(asyncllm.errors, entry.error or "", None)
    if isinstance(kind, type) and issubclass(kind, ProviderError | UnsupportedError):
        return kind(entry.message or "")
    return AsyncLLMError(f"{entry.error}: {entry.message}")
