"""The cache in Redis: answers shared by processes, calls that wait for each other, and a server that is not there."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from asyncllm import LLM, AsyncLLM, ConfigError, LLMConfig, NotCachedError, ServerError
from asyncllm.cache import PendingCall, StoredAnswer, close_store, open_store
from asyncllm.cache.redis_answers import RedisAnswers, answer_key, claim_key
from asyncllm.simulator import Fault, Latency, Simulator
from tests.support.redis_server import UNCLOSED_STREAMS, RedisServer
from tests.support.secrets import SECRET
from tests.support.waiting import until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings(UNCLOSED_STREAMS),
    pytest.mark.usefixtures("loses_redis"),
]


def answer(text: str = "x") -> StoredAnswer:
    """Return an answer of a text, made now."""
    return StoredAnswer(f'"{text}"'.encode(), "m", 0.5, time.time())


@pytest.fixture
def transport() -> str:
    """The wire alone: what is cached does not depend on the transport."""
    return "wire"


@pytest.fixture
def options(options: dict[str, Any], redis_server: RedisServer) -> dict[str, Any]:
    """The options of a client with a cache in Redis."""
    return {**options, "cache": redis_server.url}


@pytest.fixture
async def two(redis_server: RedisServer, anyio_backend: str) -> AsyncIterator[tuple[RedisAnswers, RedisAnswers]]:
    """Two stores of one server, as two processes have them."""
    one, other = RedisAnswers(redis_server.url, 10_000), RedisAnswers(redis_server.url, 10_000)
    yield one, other
    one.close()
    other.close()


@pytest.mark.leaks
async def test_answers_are_shared(options: dict[str, Any], simulator: Simulator) -> None:
    """By clients one after the other, plain calls and streams; nothing is left running."""
    async with AsyncLLM(**options) as llm:
        first = await llm.acompletion("hi")
        second = await llm.acompletion("hi")
    async with AsyncLLM(**options) as llm:
        third = await llm.stream("hi").collect()
        with pytest.raises(NotCachedError, match=r"not in the cache redis://127\.0\.0\.1"):
            await llm.acompletion("there", cache="only")
        refreshed = await llm.acompletion("hi", cache="refresh")
    assert [one.record.cached for one in (first, second, third, refreshed)] == [False, True, True, False]
    assert (third.text, third.record.saved_usd) == (first.text, first.cost_usd)
    assert simulator.seen.requests == 2


async def test_equal_calls_of_tasks_are_one(options: dict[str, Any], simulator: Simulator) -> None:
    """Within a process, only one of them asks Redis."""
    simulator.latency(Latency(first_token_s=0.05))
    async with AsyncLLM(**options) as llm, anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(llm.acompletion, "hi")
    assert (simulator.seen.requests, llm.stats().cached) == (1, 49)


WORKER = """
import sys, anyio
from asyncllm import AsyncLLM
async def main():
    async with AsyncLLM(model="openai/gpt-4o-mini", base_url=sys.argv[1], api_key="k", cache=sys.argv[2]) as llm:
        print("ready", flush=True)
        sys.stdin.readline()
        print((await llm.acompletion("hi")).text)
anyio.run(main)
"""


def started(program: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a program of Python that reads its input."""
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ.copy(),
    )


async def test_equal_calls_of_processes_are_one(simulator: Simulator, redis_server: RedisServer) -> None:
    """They wait for the one that was first."""
    simulator.latency(Latency(first_token_s=0.3))
    workers = [started(WORKER, simulator.url, redis_server.url) for _ in range(3)]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("\n")
        worker.stdin.flush()
    answers = [(await anyio.to_thread.run_sync(worker.communicate))[0] for worker in workers]
    assert len(set(answers)) == 1
    assert answers[0]
    assert simulator.seen.requests == 1


async def test_a_claim_is_held_by_one(two: tuple[RedisAnswers, RedisAnswers]) -> None:
    """The other waits; it finds the answer when it is stored, and takes over where the first was cancelled."""
    one, other = two
    key, outcomes = b"k", list[bool]()

    async def wait() -> None:
        outcomes.append(await other.claim(key, max_age_s=None))

    assert await one.claim(key, max_age_s=None)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.sleep(0.05)
        assert not outcomes
        flight = one.single_flight.take_off(key)
        assert flight is not None
        flight.is_cancelled = True
        one.land(key, flight)
    assert outcomes == [True]
    async with anyio.create_task_group() as tasks:
        outcomes.clear()

        async def wait_for_other() -> None:
            outcomes.append(await one.claim(key, max_age_s=None))

        tasks.start_soon(wait_for_other)
        await anyio.sleep(0.05)
        flight = other.single_flight.take_off(key)
        assert flight is not None
        assert other.put(key, answer(), max_age_s=None)
        flight.is_answered = True
        other.land(key, flight)
    assert outcomes == [False]
    assert await one.find(key, max_age_s=None) is not None


async def test_those_who_wait_for_a_failed_call_send_their_own(
    two: tuple[RedisAnswers, RedisAnswers], redis_server: RedisServer
) -> None:
    """All of them at once, rather than one after the other."""
    one, other = two
    assert await one.claim(b"k", max_age_s=None)
    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(lambda: other.claim(b"k", max_age_s=None))
        await anyio.sleep(0.05)
        flight = one.single_flight.take_off(b"k")
        assert flight is not None
        one.land(b"k", flight)
        await until(lambda: redis_server.ask("GET", claim_key(b"k")) == b"$6\r\nfailed\r\n")
    assert int(redis_server.ask("PTTL", claim_key(b"k")).strip(b":\r\n")) <= 1000


async def test_one_who_is_cancelled_while_waiting_holds_nothing(
    two: tuple[RedisAnswers, RedisAnswers], redis_server: RedisServer
) -> None:
    """The claim stays with the one who has it, and is free after it."""
    one, other = two
    assert await one.claim(b"k", max_age_s=None)
    with anyio.move_on_after(0.05):
        await other.claim(b"k", max_age_s=None)
    flight = PendingCall()
    flight.is_cancelled = True
    one.single_flight._flights[b"k"] = flight
    one.land(b"k", flight)
    await until(lambda: redis_server.ask("EXISTS", claim_key(b"k")) == b":0\r\n")


async def test_the_deadline_holds_while_another_process_asks(
    options: dict[str, Any], simulator: Simulator, redis_server: RedisServer
) -> None:
    """The call ends in time, and leaves the other's claim alone."""
    async with AsyncLLM(**options) as llm:
        await llm.acompletion("hi")
    [key] = [word for word in redis_server.ask("KEYS", "*").decode().split() if word.endswith(":answer")]
    redis_server.ask("DEL", key)
    redis_server.ask("SET", key.replace(":answer", ":claim"), "claimed")
    async with AsyncLLM(**options) as llm:
        with pytest.raises(TimeoutError, match="waiting for the answer to an equal call"):
            await llm.acompletion("hi", deadline=0.05)
    assert simulator.seen.requests == 1


async def test_errors_are_not_kept(options: dict[str, Any], simulator: Simulator) -> None:
    """A call that failed is asked again."""
    async with AsyncLLM(**options) as llm:
        simulator.faults(Fault("status", code=500, times=1))
        with pytest.raises(ServerError):
            await llm.acompletion("hi", num_retries=0)
        assert not (await llm.acompletion("hi")).record.cached


async def test_an_answer_has_an_end(two: tuple[RedisAnswers, RedisAnswers], redis_server: RedisServer) -> None:
    """Redis removes it by `cache_ttl`; a reader may want it younger; one that is too large is not stored."""
    one, other = two
    assert one.put(b"k", answer(), max_age_s=100.0)
    assert not one.put(b"large", answer("x" * 20_000), max_age_s=None)
    await until(lambda: redis_server.ask("EXISTS", answer_key(b"k")) == b":1\r\n")
    assert 90 <= int(redis_server.ask("TTL", answer_key(b"k")).strip(b":\r\n")) <= 100
    found = await other.find(b"k", max_age_s=100.0)
    assert found is not None
    assert (found.data, found.model, found.cost_usd) == (b'"x"', "m", 0.5)
    assert await other.find(b"k", max_age_s=1e-9) is None


async def test_a_server_that_is_down_fails_no_call(
    options: dict[str, Any], simulator: Simulator, redis_server: RedisServer
) -> None:
    """There is one warning, and the cache is used again when it is back."""
    redis_server.kill()
    store = open_store(redis_server.url, 10_000)
    assert isinstance(store, RedisAnswers)
    async with AsyncLLM(**options) as llm:
        with pytest.warns(RuntimeWarning, match="cannot be reached") as caught:
            await llm.gather(["hi", "hi there", "hi again"])
        assert [one.category for one in caught].count(RuntimeWarning) == 1
        redis_server.start()
        store._down_until = time.monotonic()  # the pause has passed
        await llm.acompletion("hi")
        assert (await llm.acompletion("hi")).record.cached
        await until(lambda: not store._unwritten)
        redis_server.kill()
        with pytest.warns(RuntimeWarning, match="until it is back"):
            await llm.acompletion("another")
    close_store(store)
    assert simulator.seen.requests == 5


async def test_no_call_waits_for_a_server_that_is_down(options: dict[str, Any], redis_server: RedisServer) -> None:
    """Redis is asked once, and not again for a while."""
    redis_server.kill()
    async with AsyncLLM(**options) as llm:
        with pytest.warns(RuntimeWarning, match="cannot be reached"):
            await llm.acompletion("hi")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for _ in range(3):
                await llm.acompletion("hi")


async def test_a_full_server_is_still_read(two: tuple[RedisAnswers, RedisAnswers], redis_server: RedisServer) -> None:
    """It warns once that it cannot be written."""
    one, _ = two
    assert one.put(b"k", answer(), max_age_s=None)
    await until(lambda: redis_server.ask("EXISTS", answer_key(b"k")) == b":1\r\n")
    redis_server.ask("CONFIG", "SET", "maxmemory", "1")
    with pytest.warns(RuntimeWarning, match="OOM") as caught:
        assert [await one.claim(key, max_age_s=None) for key in (b"other", b"another")] == [True, True]
    assert len(caught) == 1
    assert await one.find(b"k", max_age_s=None) is not None


def test_the_password_is_nowhere(tmp_path: Path, secret_key: str) -> None:
    """Not in messages, and not where the configuration is printed."""
    url = f"redis://user:{secret_key}@127.0.0.1:1/0"
    config = LLMConfig(model="openai/a", cache=url)
    assert config.cache == url
    shown = f"{config!r} {config.model_dump(mode='json')}"
    assert SECRET not in shown
    assert "redis://127.0.0.1:1/0" in shown
    with pytest.raises(ConfigError, match="the number of a database"):
        LLMConfig(model="openai/a", cache=f"{url}/a/b".replace("/0/a", "/a"))
    with (
        LLM(model="simulated/demo", cache=url) as llm,
        pytest.warns(RuntimeWarning, match=r"the cache redis://127\.0\.0\.1:1/0 cannot be reached"),
    ):
        llm.completion("hi")
