"""The requests of a deferred batch that the limits of live calls leave room for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from . import rows

if TYPE_CHECKING:
    from asyncllm.pipeline.pipeline import Pipeline

# Of requests in JSON; only the size of a share depends on it, and the limits hold in any case.
_BYTES_PER_TOKEN = 4


class LiveShare:
    """Takes requests that are not with the provider yet, as many as go out live within a minute.

    With a rate configured, or found, that is what it admits in a minute; without one, the free slots. Nothing is taken
    while live calls wait for their turn.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def take(self, database: rows.Database) -> None:
        """Put the share among the requests that are sent live."""
        free = self._free(database) - rows.count_items(database, rows.LIVE)
        if free > 0:
            rows.take_live(database, free)

    def _free(self, database: rows.Database) -> int:
        config, slots, limits = self._pipeline.config, self._pipeline.slots, self._pipeline.endpoint.limits
        if slots.waiting or limits.cooldown_s:
            return 0
        found_per_s, _ = limits.found
        rates = [config.requests_per_minute, None if found_per_s is None else 60 * found_per_s]
        if config.tokens_per_minute is not None and (mean_bytes := rows.mean_bytes(database)):
            rates.append(config.tokens_per_minute / max(mean_bytes / _BYTES_PER_TOKEN, 1.0))
        known = [rate for rate in rates if rate is not None]
        return math.floor(min(known)) if known else slots.number - slots.in_use
