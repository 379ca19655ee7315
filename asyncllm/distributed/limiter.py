"""The limiter of a job: an actor whose rates, cooldowns and budget all workers share."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ..limits.shared.ledger import LimitLedger
from ..limits.shared.store import LeaseReply, LeaseRequest
from ..limits.shared.stores import register_store

if TYPE_CHECKING:
    from ..config import LLMConfig


@dataclass(frozen=True, slots=True)
class SharedLimiter:
    """A limiter that is passed to workers.

    Attributes:
        actor: The handle of its actor, which lives as long as the driver has one.
        url: What stands for it in `limits_url`.
    """

    actor: Any
    url: str

    def of(self, config: LLMConfig) -> LLMConfig:
        """Return a profile that shares its limits by this limiter; one that names a store shares them by that."""
        if config.limits_url is not None:
            return config
        register_store(self.url, partial(_opened, self.actor))
        return config.replace(limits_url=self.url)


class LimiterActor:
    """Keeps the ledger of shared limits; runs as an actor."""

    def __init__(self) -> None:
        self._ledger = LimitLedger()

    def renew(self, request: LeaseRequest) -> LeaseReply:
        """Return what a worker may use until its next renewal."""
        return self._ledger.renew(request, time.monotonic())


class ActorStore:
    """A store of shared limits behind an actor."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    async def renew(self, request: LeaseRequest) -> LeaseReply:
        """Renew the leases of this process."""
        reply: LeaseReply = await self._actor.renew.remote(request)
        return reply


def shared_limiter() -> SharedLimiter:
    """Start a limiter in the Ray that is connected, for workers of `map_batches`; `answer` starts its own.

    Raises:
        ConfigError: Ray is not installed.

    Example:
        ```python
        from asyncllm.distributed import shared_limiter

        arguments = {"template": "Positive or negative? {text}", "profile": "fast", "limiter": shared_limiter()}
        ```
    """
    from .packages import ray_module

    # One that was lost begins anew: workers tell it what they have.
    actor = ray_module().remote(num_cpus=0, max_restarts=-1, max_task_retries=0)(LimiterActor).remote()
    return SharedLimiter(actor, f"ray://limits-{uuid.uuid4().hex}")


@asynccontextmanager
async def _opened(actor: Any) -> AsyncGenerator[ActorStore]:
    yield ActorStore(actor)
