"""The cache of answers, by calls of every kind."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Annotated, Any

import anyio
import pytest
from pydantic import AfterValidator, BaseModel

from asyncllm import LLM, AsyncLLM, ConfigError, NotCachedError, Request, ServerError, load_config
from asyncllm.pipeline.cached_pipeline import CachedPipeline
from asyncllm.simulator import Fault, Latency, Simulator
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


class City(BaseModel):
    name: str
    population: int


@pytest.fixture
def options(options: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """The options of a client with a cache."""
    return {**options, "cache": str(tmp_path / "answers.sqlite")}


async def test_an_answer_is_asked_for_once(llm: AsyncLLM, simulator: Simulator) -> None:
    """The second is the same, costs nothing, and says what it saved."""
    first = await llm.acompletion("hi")
    second = await llm.acompletion("hi")
    assert simulator.seen.requests == 1
    assert (second.to_dict(), second.usage) == (first.to_dict(), first.usage)
    assert (first.record.cached, second.record.cached, second.record.transport) == (False, True, "cache")
    assert (second.cost_usd, second.record.saved_usd) == (0.0, first.cost_usd)
    assert second.response.choices[0].message.content == first.text
    stats = llm.stats()
    assert (stats.calls, stats.succeeded, stats.cached, stats.saved_usd) == (2, 2, 1, first.cost_usd)
    assert (stats.input_tokens, stats.cost_usd) == (first.usage.input_tokens, first.cost_usd)


async def test_it_outlives_the_client(options: dict[str, Any], simulator: Simulator) -> None:
    """The answers are in the file when the client is closed."""
    for _ in range(2):
        async with AsyncLLM(**options) as llm:
            await llm.acompletion("hi")
    assert simulator.seen.requests == 1


async def test_streams_and_plain_calls_share_it(llm: AsyncLLM, simulator: Simulator) -> None:
    """A stream replays the answer of a call in chunks, and a call takes that of a stream."""
    plain = await llm.acompletion("hi")
    async with llm.stream("hi") as stream:
        chunks = [chunk async for chunk in stream]
    assert len(chunks) > 3
    assert "".join(chunk.text for chunk in chunks) == plain.text == stream.completion.text
    assert (stream.completion.usage, stream.completion.cost_usd) == (plain.usage, 0.0)
    assert stream.record.cached
    streamed = await llm.stream("there").collect()
    assert not streamed.record.cached
    assert (await llm.acompletion("there")).text == streamed.text
    assert simulator.seen.requests == 2
    assert llm.stats().in_flight == 0


async def test_a_stream_that_is_left_early_is_not_kept(llm: AsyncLLM, simulator: Simulator) -> None:
    """Neither is one whose connection is cut."""
    simulator.latency(Latency(tokens_per_s=100))
    async with llm.stream("hi") as stream:
        await anext(stream)
    simulator.faults(Fault("cut", after_chunks=2, times=1))
    with pytest.raises(Exception, match="the stream was cut"):
        await llm.stream("hi").collect()
    assert not (await llm.acompletion("hi")).record.cached
    assert simulator.seen.requests == 3


async def test_typed_answers_are_validated_again(llm: AsyncLLM, simulator: Simulator) -> None:
    """A validator that has changed asks again; the same type does not, nor does a partial or a batch of it."""
    one = await llm.extract(City, "Paris")
    assert await llm.extract(City, "Paris") == one
    async with llm.stream_partial(City, "Paris") as stream:
        assert await stream.final() == one
    [outcome] = await llm.gather(["Paris"], response_model=City)
    assert (outcome.value, outcome.cost_usd) == (one, 0.0)
    assert simulator.seen.requests == 1

    def refuse(name: str) -> str:
        raise ValueError("no such city")

    class Checked(BaseModel):
        name: Annotated[str, AfterValidator(refuse)]
        population: int

    Checked.__name__ = Checked.__qualname__ = "City"
    with pytest.raises(Exception, match="no such city"):
        await llm.extract(Checked, "Paris", max_reasks=1)
    assert simulator.seen.requests > 1


async def test_equal_calls_at_the_same_time_are_one(llm: AsyncLLM, simulator: Simulator) -> None:
    """200 tasks ask the same; one request is sent."""
    simulator.latency(Latency(first_token_s=0.05))
    async with anyio.create_task_group() as tasks:
        for _ in range(200):
            tasks.start_soon(llm.acompletion, "hi")
    assert simulator.seen.requests == 1
    assert llm.stats().cached == 199


async def test_equal_calls_of_threads_are_one(options: dict[str, Any], simulator: Simulator) -> None:
    """Clients of the same file wait for each other across their loops."""
    simulator.latency(Latency(first_token_s=0.05))
    texts: list[str] = []

    def ask() -> None:
        with LLM(**options) as llm:
            texts.append(llm.completion("hi").text)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await anyio.to_thread.run_sync(thread.join)
    assert len(texts) == 4
    assert simulator.seen.requests == 1


async def test_a_cancelled_call_is_taken_over(llm: AsyncLLM, simulator: Simulator) -> None:
    """Those who waited for it are answered all the same."""
    simulator.latency(Latency(first_token_s=0.5))
    answered: list[str] = []

    async def ask() -> None:
        answered.append((await llm.acompletion("hi")).text)

    async with anyio.create_task_group() as tasks:
        first = anyio.CancelScope()

        async def ask_in_scope() -> None:
            with first:
                await ask()

        tasks.start_soon(ask_in_scope)
        await until(lambda: simulator.seen.requests > 0)
        for _ in range(3):
            tasks.start_soon(ask)
        await anyio.sleep(0.001)
        first.cancel()
    assert len(answered) == 3
    assert simulator.seen.requests == 2


async def test_errors_are_not_kept(llm: AsyncLLM, simulator: Simulator) -> None:
    """Each of those who waited for a call that failed sends its own."""
    simulator.faults(Fault("status", code=500))
    failures = 0

    async def ask() -> None:
        nonlocal failures
        with pytest.raises(ServerError):
            await llm.acompletion("hi", num_retries=0)
        failures += 1

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(ask)
    assert (failures, simulator.seen.requests) == (5, 5)
    simulator.faults()
    assert not (await llm.acompletion("hi")).record.cached


async def test_answers_that_were_cut_are_not_kept(llm: AsyncLLM, simulator: Simulator) -> None:
    """`max_tokens` ended them, not the model."""
    for _ in range(2):
        completion = await llm.acompletion("hi", max_tokens=3)
        assert (completion.finish_reason, completion.record.cached) == ("length", False)
    assert simulator.seen.requests == 2


async def test_answers_that_the_model_refused_are_not_kept(llm: AsyncLLM, transport: str) -> None:
    """It may answer another time; Claude's refusals are a finish reason."""
    if transport == "claude":
        pytest.skip("the simulator has no refusals of Claude")
    script = {"simulator": {"refusal": "I would rather not."}}
    for _ in range(2):
        completion = await llm.acompletion("hi", extra_body=script)
        assert (completion.refusal, completion.record.cached) == ("I would rather not.", False)


async def test_seeds_are_samples_of_their_own(llm: AsyncLLM, simulator: Simulator) -> None:
    """Each is asked for once."""
    for seed in (1, 2, 1, 2):
        await llm.acompletion("hi", temperature=1.0, seed=seed)
    assert (simulator.seen.requests, llm.stats().cached) == (2, 2)


async def test_one_client_at_its_own_endpoint_does_not_find_the_answers_of_another(
    options: dict[str, Any],
) -> None:
    """The model's name and the endpoint separate."""
    others: list[dict[str, Any]] = [{}, {"model": f"{options['model']}-2024"}, {"base_url": f"{options['base_url']}/x"}]
    keys: list[bytes | None] = []
    for other in others:
        async with AsyncLLM(**(options | other)) as llm:
            pipeline = await llm._pipeline()
            assert isinstance(pipeline, CachedPipeline)
            keys.append(pipeline._key(Request("hi")))
    assert len(set(keys)) == 3


async def test_each_use_of_a_call(llm: AsyncLLM, simulator: Simulator) -> None:
    """False neither reads nor writes, "refresh" asks again and replaces, "only" never asks."""
    await llm.acompletion("hi", cache=False)
    with pytest.raises(NotCachedError, match="is not in the cache"):
        await llm.acompletion("hi", cache="only")
    assert simulator.seen.requests == 1
    await llm.acompletion("hi")
    assert (await llm.acompletion("hi", cache="only")).record.cached
    assert not (await llm.acompletion("hi", cache=False)).record.cached
    refreshed = await llm.acompletion("hi", cache="refresh")
    assert (refreshed.record.cached, simulator.seen.requests) == (False, 4)
    assert (await llm.acompletion("hi", cache=True)).id == refreshed.id
    outcomes = await llm.gather(["hi", "there"], cache="only")
    assert [type(outcome.error) for outcome in outcomes] == [type(None), NotCachedError]
    with pytest.raises(TypeError, match='cache is True, False, "refresh" or "only" for a call'):
        await llm.acompletion("hi", **_params(cache="answers.sqlite"))


async def test_each_request_of_a_batch_says_how_it_uses_the_cache(llm: AsyncLLM, simulator: Simulator) -> None:
    """Options of the client on a request are none of the provider's, and change no transport."""
    usual = (await llm.acompletion("hi")).record.transport
    requests = [Request("hi"), Request("hi", cache=False, deadline=60.0), Request("new", cache="only")]
    outcomes = await llm.gather(requests)
    records = [outcome.completion.record for outcome in outcomes if outcome.completion]
    assert [(record.cached, record.transport) for record in records] == [(True, "cache"), (False, usual)]
    assert isinstance(outcomes[2].error, NotCachedError)
    assert simulator.seen.bodies[-1].keys().isdisjoint(("cache", "deadline"))


async def test_an_answer_that_is_too_old_is_asked_for_again(options: dict[str, Any], simulator: Simulator) -> None:
    """By the age that the reader sets."""
    async with AsyncLLM(**options) as llm:
        await llm.acompletion("hi")
        impatient = llm.with_options(cache_ttl=1e-9)
        assert not (await impatient.acompletion("hi")).record.cached
        assert (await llm.acompletion("hi")).record.cached


async def test_the_deadline_holds_while_waiting_for_an_equal_call(llm: AsyncLLM, simulator: Simulator) -> None:
    """The one that waits ends, the one that was sent goes on."""
    simulator.latency(Latency(first_token_s=0.3))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(llm.acompletion, "hi")
        await until(lambda: simulator.seen.requests > 0)
        with pytest.raises(TimeoutError, match="waiting for the answer to an equal call"):
            await llm.acompletion("hi", deadline=0.01)
    assert llm.stats().succeeded == 1


async def test_a_fallback_is_cached_under_its_own_endpoint(
    options: dict[str, Any], simulator: Simulator, tmp_path: Path
) -> None:
    """The record names the profile that was asked for."""
    file = tmp_path / "config.toml"
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    unused_tcp_url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
    file.write_text(
        '[llm]\ncache = "kept.sqlite"\nnum_retries = 0\n'
        f'[llm.main]\nmodel = "openai/gpt-4o"\nbase_url = "{unused_tcp_url}"\napi_key = "k"\nfallbacks = ["spare"]\n'
        f'[llm.spare]\nmodel = "openai/gpt-4o-mini"\nbase_url = "{simulator.url}"\napi_key = "k"\n'
    )
    for cached in (False, True):
        async with AsyncLLM(load_config("main", path=file)) as llm:
            completion = await llm.acompletion("hi")
            assert (completion.record.profile, completion.record.cached) == ("main", cached)
            assert completion.model == "gpt-4o-mini"
    taken.close()
    assert (tmp_path / "kept.sqlite").is_file()


def _params(**params: Any) -> Any:
    """Return parameters that a type checker would refuse."""
    return params


def test_a_url_is_that_of_redis() -> None:
    """The message says what it may be."""
    with pytest.raises(ConfigError, match="must be the name of a file, or a URL of Redis"):
        AsyncLLM(model="openai/a", api_key="k", cache="https://localhost")
