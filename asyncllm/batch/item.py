"""One item of a batch on its way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .journal.fingerprint import Fingerprint


class BatchItem:
    """What was taken from the input, and what is known of it so far.

    Attributes:
        index: Its position in the input, from 0.
        messages: What it is, as it was given.
        worker: The number of the worker that has it.
        number: Its number in the journal; 0 without one.
        occurrence: Which one of the items with the same fingerprint it is.
        fingerprint: What it is known by there.
        started_at: When a worker began with it, in Unix time.
        followers: Identical items that wait for its outcome.
    """

    __slots__ = ("fingerprint", "followers", "index", "messages", "number", "occurrence", "started_at", "worker")

    fingerprint: Fingerprint

    def __init__(self, index: int, messages: Any) -> None:
        self.index = index
        self.messages = messages
        self.worker = 0
        self.number = 0
        self.occurrence = 0
        self.started_at = 0.0
        self.followers: list[BatchItem] = []
