"""Recipes for web backends and workers."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from asyncllm.simulator import Fault, Simulator
from tests.web.conftest import served

from .conftest import Load

ASK = {"user": "ada", "question": "Tell me a story."}


def test_fastapi_streams_events(load: Load) -> None:
    """The pieces that the browser gets make up the answer, and the last event says what it took."""
    with served(load("fastapi_sse")["app"]) as url:
        answer = httpx.post(f"{url}/chat", json=ASK, trust_env=False)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.startswith("event: delta")
    assert "event: done" in answer.text


def test_fastapi_answers_errors_as_problems(load: Load, simulator: Simulator) -> None:
    """An error before the first chunk has a status."""
    simulator.faults(Fault("status", code=429, retry_after=0.001, retry_after_form="fraction"))
    with served(load("fastapi_sse")["app"]) as url:
        answer = httpx.post(f"{url}/chat", json=ASK, trust_env=False)
    assert (answer.status_code, answer.json()["code"]) == (503, "busy")


def test_a_reader_of_fastapi_who_leaves_stops_the_model(load: Load, simulator: Simulator) -> None:
    """The connection to the provider is closed."""
    simulator.faults(Fault("stall", after_chunks=3))
    with served(load("fastapi_sse")["app"]) as url, httpx.Client(trust_env=False) as client:
        with client.stream("POST", f"{url}/chat", json=ASK) as answer:
            next(answer.iter_bytes())
        simulator.seen.wait(lambda seen: seen.connections_aborted == 1)


@pytest.fixture
def django(load: Load) -> dict[str, Any]:
    """The recipe for Django, which is its own list of addresses; Django keeps those of the first module."""
    urls = pytest.importorskip("django.urls", reason="the recipe for Django needs it: pip install django")
    urls.clear_url_caches()
    return load("django_view")


def test_django_streams_events(django: dict[str, Any]) -> None:
    """The pieces make up the answer."""
    with served(django["application"]) as url:
        answer = httpx.get(f"{url}/story", params={"q": "Hello?"}, trust_env=False)
    assert answer.headers["content-type"] == "text/event-stream"
    assert "Simulated" in answer.text


def test_a_reader_of_django_who_leaves_stops_the_model(django: dict[str, Any], simulator: Simulator) -> None:
    """The connection to the provider is closed."""
    simulator.faults(Fault("stall", after_chunks=3))
    with served(django["application"]) as url, httpx.Client(trust_env=False) as client:
        with client.stream("GET", f"{url}/story") as answer:
            next(answer.iter_bytes())
        simulator.seen.wait(lambda seen: seen.connections_aborted == 1)


def test_django_answers_errors_as_problems(django: dict[str, Any], simulator: Simulator) -> None:
    """An error before the first chunk has a status."""
    simulator.faults(Fault("status", code=503))
    with served(django["application"]) as url:
        answer = httpx.get(f"{url}/story", trust_env=False)
    assert (answer.status_code, answer.json()["code"]) == (502, "provider_error")


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_jobs_of_arq_share_a_client(load: Load, simulator: Simulator) -> None:
    """It lives as long as the worker, and a busy provider puts the job off for as long as it asked."""
    arq = pytest.importorskip("arq", reason="the recipe for arq needs it: pip install arq")
    worker = load("arq_worker")
    settings = worker["WorkerSettings"]
    context: dict[str, Any] = {}
    await settings.on_startup(context)
    assert "Simulated" in await worker["summarise"](context, "A text.")
    simulator.faults(Fault("status", code=429, retry_after=7))
    context["llm"] = context["llm"].with_options(num_retries=0)
    with pytest.raises(arq.Retry) as put_off:
        await worker["summarise"](context, "A text.")
    assert put_off.value.defer_score == 7000
    await settings.on_shutdown(context)


def test_tasks_of_celery_share_a_client(load: Load, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process has one client, which it closes; a busy provider puts the task off for as long as it asked."""
    celery = pytest.importorskip("celery", reason="the recipe for Celery needs it: pip install celery")
    recipe = load("celery_worker")
    recipe["app"].conf.update(task_always_eager=True, broker_url="memory://")
    assert "Simulated" in recipe["summarise"].delay("A text.").get()
    client = recipe["client"]()
    assert client is recipe["client"]()
    simulator.faults(Fault("status", code=429, retry_after=0.01, retry_after_form="fraction"))
    put_off: list[float] = []

    def retry(task: object, countdown: float, exc: Exception) -> Exception:
        put_off.append(countdown)
        return exc

    monkeypatch.setattr(celery.app.task.Task, "retry", retry)
    with pytest.raises(RuntimeError, match="429"):
        recipe["summarise"].delay("A text.").get()
    assert put_off == [0.01]
    recipe["close"]()
    with pytest.raises(RuntimeError, match="closed"):
        client.completion("Hello")
