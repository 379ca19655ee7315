"""The interface between a deferred batch and a provider's batch API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from asyncllm.errors import ProviderError, UnsupportedError
from asyncllm.transports.wire.formats.format import FormatRequest

from .limits import BatchLimits

BatchStatus = Literal["open", "completed", "expired", "cancelled", "failed"]
Fate = Literal["expired", "cancelled"]


@dataclass(frozen=True, slots=True)
class ProviderBatch:
    """A batch, as its provider describes it.

    Attributes:
        id: The provider's id.
        status: `open` until its results are there; then how it ended.
        answered: Requests that are answered so far.
        created_at: Unix time in seconds; 0 where the provider does not say it.
        expires_at: Likewise: when its window ends.
        results: Where its results are, in the order in which they are read.
        reason: Why it failed as a whole.
        code: The provider's code for that.
        line: The request that is to blame for it, from 0.
        source: The file of its requests, where the provider shows it.
    """

    id: str
    status: BatchStatus
    requests: int
    answered: int = 0
    created_at: float = 0.0
    expires_at: float = 0.0
    results: Sequence[str] = ()
    reason: str = ""
    code: str = ""
    line: int | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The result of one request.

    Attributes:
        custom_id: The id that it was sent with.
        answer: The body of its answer; empty where there is none.
        error: Why it failed.
        fate: Why it was not answered at all.
    """

    custom_id: str
    answer: bytes = b""
    error: ProviderError | None = None
    fate: Fate | None = None


@dataclass(frozen=True, slots=True)
class Submission:
    """A batch that is about to be created.

    Attributes:
        mark: The text by which it is found again: unique, and part of the batch wherever it can be.
        path: The file of its requests, as `framed` made it.
        headers: Headers that its requests need.
        since: When it may have been created for the first time, in Unix time.
        known: The provider's ids of other batches.
    """

    mark: str
    path: Path
    requests: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    since: float = 0.0
    known: frozenset[str] = frozenset()


class UndecidedError(Exception):
    """Whether a batch was created will be known when another has ended."""


def own_headers_refused() -> UnsupportedError:
    """Return the error of a request with headers of its own, which no batch can have."""
    return UnsupportedError(
        "a request of a deferred batch cannot have extra_headers: a batch has one set for all.",
        hint="Set extra_headers in the profile, or send the request live.",
    )


class BatchProvider(Protocol):
    """A provider's batch API, for one model.

    Attributes:
        limits: What one batch may hold.
        frame: What stands before, between and behind the lines of requests.
    """

    limits: BatchLimits
    frame: tuple[bytes, bytes, bytes]

    def line(self, custom_id: str, body: bytes) -> bytes:
        """Return a request as a line of a batch."""
        ...

    def headers_of(self, request: FormatRequest) -> Mapping[str, str]:
        """Return the headers of a request that its batch has to be created with.

        Raises:
            UnsupportedError: It has headers of its own, which no batch can have.
        """
        ...

    def reading_of(self, request: FormatRequest) -> str:
        """Return what has to be known of a request to read its answer."""
        ...

    async def create(self, submission: Submission) -> ProviderBatch:
        """Create a batch."""
        ...

    def to_blame(self, error: ProviderError) -> int | None:
        """Return the request, from 0, for which a batch was not created; None where the error names none."""
        ...

    async def find(self, submission: Submission) -> ProviderBatch | None:
        """Return a batch that may have been created; None when it was not.

        Raises:
            UndecidedError: That cannot be said yet.
        """
        ...

    async def latest(self) -> Sequence[ProviderBatch]:
        """Return the latest batches of the account, as many as one request lists."""
        ...

    async def get(self, id: str) -> ProviderBatch:
        """Return a batch.

        Raises:
            NotFoundError: There is none of the id.
        """
        ...

    async def cancel(self, id: str) -> None:
        """Cancel a batch; one that has ended stays as it is."""
        ...

    async def download(self, source: str, path: Path) -> None:
        """Write results to a file, behind what of them is in it already."""
        ...

    def read_result(self, line: bytes) -> BatchResult:
        """Read a line of results.

        Raises:
            ValueError: It is none.
        """
        ...

    def read_answer(self, body: bytes, reading: str) -> dict[str, object]:
        """Read an answer into the chat-completions form.

        Raises:
            AsyncLLMError: It is none.
        """
        ...
