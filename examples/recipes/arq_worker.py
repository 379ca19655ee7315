"""Jobs of an arq worker that share one client, and wait as long as the provider asks.

arq arq_worker.WorkerSettings, in examples/recipes; Redis is at REDIS_URL
"""

from __future__ import annotations

import os
from typing import Any, ClassVar

from arq import Retry
from arq.connections import RedisSettings

from asyncllm import AsyncLLM, OverloadedError, RateLimitError, ServerError

Context = dict[Any, Any]


async def startup(context: Context) -> None:
    """Open the client of this worker."""
    context["llm"] = AsyncLLM(deadline=120)
    await context["llm"].warm_up()


async def shutdown(context: Context) -> None:
    """Close it after the last job."""
    await context["llm"].aclose()


async def summarise(context: Context, text: str) -> str:
    """Summarise a text; try later when the provider is busy."""
    llm: AsyncLLM = context["llm"]
    try:
        return (await llm.acompletion(f"Summarise in one line:\n\n{text}", max_tokens=100)).text
    except (OverloadedError, RateLimitError, ServerError) as error:
        raise Retry(defer=error.retry_after or 30) from error


class WorkerSettings:
    """What `arq` reads."""

    functions: ClassVar = [summarise]
    on_startup = startup
    on_shutdown = shutdown
    max_jobs = 100  # as many as the client has slots
    job_timeout = 150  # seconds; longer than the deadline of a call
    redis_settings = RedisSettings.from_dsn(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379"))
