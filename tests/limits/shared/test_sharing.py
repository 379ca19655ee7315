"""Clients of several processes, which are several sessions here: limits, budgets and cooldowns over a real Redis."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from asyncllm import AsyncLLM, BudgetExceededError, ConfigError, LLMConfig, OverloadedError, Request
from asyncllm.limits.shared.ledger import LimitLedger
from asyncllm.limits.shared.store import LeaseReply, LeaseRequest
from asyncllm.limits.shared.stores import register_store, unregister_store
from asyncllm.simulator import Fault, Limit, Simulator
from tests.support.redis_server import UNCLOSED_STREAMS, RedisServer
from tests.support.secrets import SECRET
from tests.support.waiting import until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings(UNCLOSED_STREAMS),
    pytest.mark.usefixtures("loses_redis"),
]

PRICES: dict[str, Any] = {"input_cost_per_token": 0.0, "output_cost_per_token": 1e-5}


@pytest.fixture
def options(simulator: Simulator) -> dict[str, Any]:
    """The options of a client of the simulator."""
    return {"model": "openai/gpt-4o-mini", "base_url": simulator.url, "api_key": SECRET, "retry_min_wait": 0.0}


@pytest.fixture
def urls(redis: RedisServer) -> tuple[str, str]:
    """Two spellings of one server's URL: each has a session of its own, as in two processes."""
    return f"redis://127.0.0.1:{redis.port}/0", f"redis://127.0.0.1:{redis.port}/0?db=0"


def asked(**params: Any) -> Request:
    """A request with an answer of a hundred tokens, which costs $0.001."""
    return Request("item", max_tokens=200, extra_body={"simulator": {"answer_tokens": 100}}, **params)


async def answered(llm: AsyncLLM, requests: list[Request], counts: list[int] | None = None) -> list[BaseException]:
    """Send requests and return the errors."""
    outcomes = await llm.gather(requests)
    if counts is not None:
        counts.append(sum(outcome.ok for outcome in outcomes))
    return [outcome.error for outcome in outcomes if outcome.error is not None]


async def test_two_processes_keep_to_one_limit(
    options: dict[str, Any], urls: tuple[str, str], simulator: Simulator
) -> None:
    """Calls of two processes together stay within a limit that each knows, and none is refused."""
    simulator.limits(Limit(per_second=50, burst=8, headers=False))
    limited: dict[str, Any] = {**options, "requests_per_minute": 3000}
    async with AsyncLLM(**limited, limits_url=urls[0]) as one, AsyncLLM(**limited, limits_url=urls[1]) as two:
        errors: list[BaseException] = []

        async def send(llm: AsyncLLM) -> None:
            errors.extend(await answered(llm, [Request("item")] * 25))

        async with anyio.create_task_group() as group:
            group.start_soon(send, one)
            group.start_soon(send, two)
    assert errors == []
    assert simulator.seen.requests == 50
    assert simulator.seen.rejected == 0


async def test_tokens_are_shared_and_settled(
    options: dict[str, Any], urls: tuple[str, str], simulator: Simulator
) -> None:
    """What a request reserved and did not use goes to the next ones, of both processes."""
    simulator.limits(Limit("tokens", per_second=5000, burst=5500, headers=False))
    limited: dict[str, Any] = {**options, "tokens_per_minute": 300_000}
    async with AsyncLLM(**limited, limits_url=urls[0]) as one, AsyncLLM(**limited, limits_url=urls[1]) as two:
        assert await answered(one, [asked()] * 20) == await answered(two, [asked()] * 20) == []
    assert simulator.seen.rejected == 0


async def test_a_429_closes_the_provider_for_all(
    options: dict[str, Any], urls: tuple[str, str], simulator: Simulator
) -> None:
    """A process learns of the cooldown that another one's 429 has started, without sending anything."""
    single: dict[str, Any] = {**options, "num_retries": 0}
    async with AsyncLLM(**single, limits_url=urls[0]) as one, AsyncLLM(**single, limits_url=urls[1]) as two:
        await two.acompletion("hi")
        simulator.faults(Fault("status", code=429, retry_after=30))
        with pytest.raises(Exception, match="429"):
            await one.acompletion("hi")
        limits = (await two._shared.endpoint(two.config)).limits
        await until(lambda: limits.cooldown_s > 25)
    assert simulator.seen.requests == 2


async def test_a_budget_is_spent_together(options: dict[str, Any], urls: tuple[str, str], simulator: Simulator) -> None:
    """Two processes spend one budget, nearly all of it, and then both are refused."""
    money: dict[str, Any] = {**options, **PRICES, "budget_usd": 0.05}
    async with AsyncLLM(**money, limits_url=urls[0]) as one, AsyncLLM(**money, limits_url=urls[1]) as two:
        errors: list[BaseException] = []

        async def send(llm: AsyncLLM) -> None:
            errors.extend(await answered(llm, [asked()] * 40))

        async with anyio.create_task_group() as group:
            group.start_soon(send, one)
            group.start_soon(send, two)
        spent = simulator.seen.requests * 0.001
        assert 0.048 <= spent <= 0.05
        assert len(errors) == 80 - simulator.seen.requests
        assert all(isinstance(error, BudgetExceededError) for error in errors)
        # The process that renews last knows of all; another learns it with its next call.
        await until(lambda: max(llm.stats().budget_spent_usd or 0.0 for llm in (one, two)) == pytest.approx(spent))


async def test_the_limits_of_a_tenant_hold_over_processes(
    options: dict[str, Any], urls: tuple[str, str], simulator: Simulator
) -> None:
    """A tenant's budget is one for both processes; another tenant has its own."""
    money: dict[str, Any] = {**options, **PRICES, "tenant_budget_usd": 0.01, "tenant_requests_per_minute": 60_000}
    async with AsyncLLM(**money, limits_url=urls[0]) as one, AsyncLLM(**money, limits_url=urls[1]) as two:
        counts: list[int] = []
        errors = await answered(one, [asked(tenant="ann")] * 5, counts)
        errors += await answered(two, [asked(tenant="ann")] * 10, counts)
        assert sum(counts) in (9, 10)
        assert {type(error) for error in errors} == {BudgetExceededError}
        assert await answered(two, [asked(tenant="bob")] * 5) == []


async def test_without_redis_calls_go_on(
    options: dict[str, Any], urls: tuple[str, str], redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that dies fails no call and is warned of once; when it is back, limits are shared again."""
    async with AsyncLLM(**options, requests_per_minute=60_000, limits_url=urls[0]) as llm:
        assert await answered(llm, [Request("item")] * 20) == []
        redis.kill()
        await until(lambda: events(caplog, "limits.store_lost"))
        assert await answered(llm, [Request("item")] * 20) == []
        redis.start()
        await until(lambda: events(caplog, "limits.store_reached"))
        assert await answered(llm, [Request("item")] * 20) == []
        assert int(redis.ask("DBSIZE")[1:]) == 3
    assert len(events(caplog, "limits.store_lost")) == 1
    assert "Connection refused" in caplog.text


async def test_a_client_starts_without_redis(
    options: dict[str, Any], redis: RedisServer, urls: tuple[str, str]
) -> None:
    """A server that is not there yet fails no call, and is found when it is."""
    redis.kill()
    async with AsyncLLM(**options, requests_per_minute=6000, limits_url=urls[0]) as llm:
        assert (await llm.acompletion("hi")).text
        redis.start()
        await until(lambda: int(redis.ask("DBSIZE")[1:]))
        assert (await llm.acompletion("hi")).text


@pytest.mark.leaks
async def test_nothing_is_left_behind(options: dict[str, Any], urls: tuple[str, str], redis: RedisServer) -> None:
    """A closed client leaves no thread and no connection, and gives its leases back."""
    async with AsyncLLM(**options, requests_per_minute=6000, limits_url=urls[0]) as llm:
        await llm.acompletion("hi")
        assert any(thread.name == "asyncllm-limits" for thread in threading.enumerate())
    assert all(thread.name != "asyncllm-limits" for thread in threading.enumerate())
    assert redis.ask("KEYS", "*members*") == b"*0\r\n"


async def test_no_key_and_no_account_is_in_redis(
    options: dict[str, Any], urls: tuple[str, str], redis: RedisServer
) -> None:
    """Redis holds neither the key nor the endpoint, the provider or the tenant."""
    async with AsyncLLM(
        **options,
        **PRICES,
        requests_per_minute=6000,
        tenant_requests_per_minute=600,
        budget_usd=1.0,
        limits_url=urls[0],
    ) as llm:
        assert await answered(llm, [asked(tenant="ann@example.org")]) == []
        keys = [line for line in redis.ask("KEYS", "*").split(b"\r\n") if line.startswith(b"asyncllm")]
        held = b"".join([*keys, *(redis.ask("HGETALL", key.decode()) for key in keys)])
        assert len(keys) == 5
        for hidden in (SECRET, "127.0.0.1", "openai", "ann@example"):
            assert hidden.encode() not in held


async def test_an_idle_process_leaves_and_comes_again(
    options: dict[str, Any], urls: tuple[str, str], redis: RedisServer
) -> None:
    """Without calls a process gives everything back and asks for nothing; its next call leases anew."""
    async with AsyncLLM(**options, requests_per_minute=6000, limits_url=urls[0]) as llm:
        await llm.acompletion("hi")
        await until(lambda: redis.ask("KEYS", "*members*") == b"*0\r\n")
        await llm.acompletion("hi")
        assert redis.ask("KEYS", "*members*") != b"*0\r\n"


@pytest.fixture
def guarded() -> Iterator[RedisServer]:
    """A server with a password."""
    from tests.support.redis_server import MISSING, is_installed

    if not is_installed():
        pytest.skip(MISSING)
    with RedisServer("requirepass right-one") as server:
        yield server


async def test_a_wrong_password_is_said_at_once(options: dict[str, Any], guarded: RedisServer) -> None:
    """The first call fails with what to do, and without the password."""
    for login, problem in (("", "asks for a password"), (":wrong-one@", "refuses the user name or password")):
        url = f"redis://{login}127.0.0.1:{guarded.port}"
        async with AsyncLLM(**options, limits_url=url) as llm:
            with pytest.raises(ConfigError, match=problem) as caught:
                await llm.acompletion("hi")
            assert "wrong-one" not in str(caught.value) + repr(llm.config)
    async with AsyncLLM(**options, limits_url=f"redis://:right-one@127.0.0.1:{guarded.port}") as llm:
        assert (await llm.acompletion("hi")).text


async def test_the_missing_extra_is_named(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without coredis the error says what to install."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    async with AsyncLLM(**options, limits_url="redis://127.0.0.1:1") as llm:
        with pytest.raises(ConfigError, match=r"asyncllm\[redis\]"):
            await llm.acompletion("hi")


class InOneObject:
    """A store of this process alone."""

    def __init__(self) -> None:
        self.ledger = LimitLedger()
        self.renewals = 0

    async def renew(self, request: LeaseRequest) -> LeaseReply:
        self.renewals += 1
        return self.ledger.renew(request, anyio.current_time())


async def test_no_caller_waits_for_money_for_ever(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the store stays away, a call that needs money it has not leased is refused, with what to do."""
    monkeypatch.setattr("asyncllm.limits.shared.session.MONEY_WAITS_S", 0.0)
    store, is_there = InOneObject(), False

    @asynccontextmanager
    async def opens() -> AsyncGenerator[InOneObject]:
        if not is_there:
            raise OSError("no route")
        yield store

    register_store("ray://away", opens)
    try:
        async with AsyncLLM(**options, **PRICES, budget_usd=1.0, limits_url="ray://away") as llm:
            with pytest.raises(OverloadedError, match="limits_url") as refused:
                await llm.acompletion("hi", max_tokens=10)
            assert refused.value.retry_after
            is_there = True
            await until(lambda: bool(store.renewals))
            assert (await llm.acompletion("hi", max_tokens=10)).text
    finally:
        unregister_store("ray://away")


async def test_another_store_takes_the_place_of_redis(options: dict[str, Any]) -> None:
    """A registered URL stands for a store of any kind; one that is not registered is refused."""
    store = InOneObject()

    @asynccontextmanager
    async def opens() -> AsyncGenerator[InOneObject]:
        yield store

    register_store("ray://test", opens)
    try:
        async with AsyncLLM(**options, requests_per_minute=60_000, limits_url="ray://test") as llm:
            assert await answered(llm, [Request("item")] * 20) == []
    finally:
        unregister_store("ray://test")
    assert store.renewals
    async with AsyncLLM(**options, limits_url="ray://test") as llm:
        with pytest.raises(ConfigError, match="stands for no store"):
            await llm.acompletion("hi")


def events(caplog: pytest.LogCaptureFixture, name: str) -> list[logging.LogRecord]:
    """The records of an event."""
    return [record for record in caplog.records if record.getMessage().startswith(name)]


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("localhost:6379", "must be a URL such as"),
        ("reddis://localhost", "schemes: redis, rediss"),
        ("redis://:secret@host:x/0", "port"),
        ("redis://", "must name a host"),
        ("redis://host/people", "number of a database"),
        ("unix://", "must name the socket"),
        ("redis+sentinel://host:26379", "must name the service"),
    ],
)
def test_a_wrong_url_is_explained(url: str, problem: str) -> None:
    """The message says what is wrong with a URL, and never shows it: it may hold a password."""
    with pytest.raises(ConfigError, match=problem) as caught:
        LLMConfig(model="openai/gpt-4o-mini", limits_url=url)
    assert "secret" not in str(caught.value)


def test_without_limits_url_nothing_of_it_is_imported() -> None:
    """A client without shared limits loads neither coredis nor our own modules for it."""
    code = (
        "import sys, asyncio; from asyncllm import AsyncLLM\n"
        "async def main():\n"
        "    async with AsyncLLM(model='simulated/x', requests_per_minute=600) as llm: await llm.acompletion('hi')\n"
        "asyncio.run(main())\n"
        "print([name for name in sys.modules if name.startswith(('coredis', 'asyncllm.limits.shared'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
