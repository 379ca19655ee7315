"""Requests and answers of the endpoints of batches, and the batches themselves, in every provider's format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..answers.json_values import encode_json
from ..formats.provider_format import ErrorDetails


@dataclass(frozen=True, slots=True)
class BatchCall:
    """A request about files or batches.

    Attributes:
        path: The path without the prefix of the API.
        prefix: That prefix, to which the chats belong.
        root: The address of the simulator.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    prefix: str
    root: str


@dataclass(frozen=True, slots=True)
class BatchReply:
    """The answer to it: a status with a body, or an error in the provider's own words."""

    body: bytes = b"{}"
    status: int = 200
    error: ErrorDetails | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()

    @classmethod
    def of(cls, value: object) -> BatchReply:
        """Return an answer in JSON."""
        return cls(encode_json(value))


def refused(status: int, message: str, reason: str = "") -> BatchReply:
    """Return an error."""
    return BatchReply(error=ErrorDetails(status, reason, message))


@dataclass(slots=True)
class BatchLine:
    """One request of a batch."""

    custom_id: str
    path: str
    body: Mapping[str, object]


@dataclass(slots=True)
class SimulatedBatch:
    """A batch, whose results are made when it ends.

    Attributes:
        status: `in_progress`, `completed`, `failed`, `expired` or `cancelled`.
        fields: What the provider's format keeps of the request that created it.
        results: The results of requests that were answered, and of the others.
        error: Why the whole batch was refused: code, message, line.
    """

    id: str
    created_at: float
    lines: Sequence[BatchLine]
    prompt_tokens: int
    fields: Mapping[str, object] = field(default_factory=dict[str, object])
    status: str = "in_progress"
    ended_at: float | None = None
    results: list[bytes] = field(default_factory=list[bytes])
    errors: list[bytes] = field(default_factory=list[bytes])
    answered: int = 0
    error: tuple[str, str, int | None] | None = None
