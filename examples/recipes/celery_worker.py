"""Tasks of a Celery worker: one blocking client for each process, opened after the fork.

celery --workdir examples/recipes -A celery_worker worker; the broker is at CELERY_BROKER_URL
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from celery import Celery
from celery.signals import worker_process_shutdown

from asyncllm import LLM, OverloadedError, RateLimitError, ServerError

app = Celery("recipes", broker=os.environ.get("CELERY_BROKER_URL", "redis://127.0.0.1:6379/0"))


@cache
def client() -> LLM:
    """Return the client of this process, made by its first task."""
    return LLM(deadline=120)


@worker_process_shutdown.connect
def close(**_: Any) -> None:
    """Close the client of a process that ends."""
    if client.cache_info().currsize:
        client().close()


@app.task(bind=True, max_retries=5)
def summarise(task: Any, text: str) -> str:
    """Summarise a text; try later when the provider is busy."""
    try:
        return client().completion(f"Summarise in one line:\n\n{text}", max_tokens=100).text
    except (OverloadedError, RateLimitError, ServerError) as error:
        # The message alone: an error may hold more than the broker should see.
        raise task.retry(countdown=error.retry_after or 30, exc=RuntimeError(str(error))) from error
