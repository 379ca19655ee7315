"""The patience of a batch, for one of its items."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncllm.errors import RateLimitError
from asyncllm.limits import Budget

if TYPE_CHECKING:
    from .engine import Stall
    from .items import Item
    from .recording import Recording


class ItemPatience:
    """Waits as the batch does, and notes in its journal that the item is about to be sent.

    Args:
        stall: What all items of the batch share.
        recording: The journal; None without one.
        item: The item.
    """

    __slots__ = ("_item", "_recording", "_stall")

    def __init__(self, stall: Stall, recording: Recording | None, item: Item) -> None:
        self._stall = stall
        self._recording = recording
        self._item = item

    @property
    def budget(self) -> Budget | None:
        """What the batch may spend."""
        return self._stall.budget

    @property
    def adaptive(self) -> bool:
        """Whether its requests find and follow the provider's limit."""
        return self._stall.adaptive

    def closed(self, seconds: float) -> None:
        """Note that nothing is sent for some time; raises StalledError when that is too long."""
        self._stall.closed(seconds)

    def refused(self, error: RateLimitError) -> None:
        """Note a refusal; raises StalledError when nothing has got through for too long."""
        self._stall.refused(error)

    def succeeded(self) -> None:
        """Note that something got through."""
        self._stall.succeeded()

    def sending(self, worst_usd: float) -> None:
        """Note that the item is about to be sent, and what that may cost where a budget asks for it."""
        if self._recording is not None:
            self._recording.sending(self._item, worst_usd)
