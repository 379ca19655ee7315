"""One item of a batch, from the input to its outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..messages import Messages, Request

if TYPE_CHECKING:
    from .journal.fingerprint import Fingerprint


class BatchItem:
    """An item that was taken from the input.

    Attributes:
        number: Its number in the journal; 0 without one.
        occurrence: Its index among the items with the same key.
        started_at: When a worker began with it, in Unix time.
        followers: Identical items that wait for its outcome.
    """

    __slots__ = ("fingerprint", "followers", "index", "messages", "number", "occurrence", "started_at", "worker")

    fingerprint: Fingerprint

    def __init__(self, index: int, messages: Messages) -> None:
        self.index = index
        self.messages = messages
        self.worker = 0
        self.number = 0
        self.occurrence = 0
        self.started_at = 0.0
        self.followers: list[BatchItem] = []

    @property
    def id(self) -> str | None:
        """The id of its request; None when it has none."""
        return self.messages.id if isinstance(self.messages, Request) else None

    @property
    def data(self) -> object:
        """The caller's own that its request carries."""
        return self.messages.data if isinstance(self.messages, Request) else None
