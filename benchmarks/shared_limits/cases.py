"""The cases of shared limits: rates, round trips, an outage, a budget."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

from benchmarks.limits.provider import LimitedProvider
from benchmarks.limits.rows import Row
from tests.support.redis_server import RedisServer

from .processes import Processes

NUMBER = 4
PER_S, TOKENS_PER_S = 100, 10_000
LASTS_S = 20.0
# A call for tokens uses so many, and may use more: what is reserved is settled with less.
_ANSWER_TOKENS, _MAX_TOKENS = 100, 400
_LATENCY = {"first_token_s": 0.1, "spread": 0.3}


def rate(kind: str, algorithm: str) -> list[Row]:
    """Share a known limit of requests or tokens between four processes that want more."""
    amount = PER_S if kind == "requests" else TOKENS_PER_S
    limit = {"kind": kind, "per_second": amount, "algorithm": algorithm, "headers": False}
    params: dict[str, Any] = {}
    if kind == "tokens":
        params = {"max_tokens": _MAX_TOKENS, "extra_body": {"simulator": {"answer_tokens": _ANSWER_TOKENS}}}
    with RedisServer() as redis, LimitedProvider(latency=_LATENCY) as provider:
        options = provider.options(**{f"{kind}_per_minute": 60 * amount}, limits_url=redis.url)
        with Processes(NUMBER, options, params) as processes:
            processes.go()
            time.sleep(2)  # without the burst of the beginning, which a limit by the second does not take
            provider.limits(limit)
            start = time.monotonic()
            time.sleep(LASTS_S)
            end = time.monotonic()
            done = processes.end()
        seen = provider.seen()
    case = f"{NUMBER} processes, {amount} {kind}/s, {algorithm}"
    calls = seen.rate(start, end)
    used = calls * (1 if kind == "requests" else done.tokens / len(done.answered)) / amount
    return [
        Row(case, "of the limit used, together", 100 * used, ">=", 95, " %"),
        Row(case, "429s", 100 * seen.refused_share, "<=", 0.1, " %"),
        Row(case, "furthest from an equal share", 100 * done.unfairness(start, end), "<=", 20, " %"),
        Row(case, "failed", len(done.failed), "<=", 0),
    ]


def round_trips() -> list[Row]:
    """Send as fast as 1,000 a second, with the limits in Redis and in each process."""
    per_s = 1000
    case = f"{NUMBER} processes, {per_s} requests/s"
    measured: dict[bool, tuple[float, float, int]] = {}
    for shared in (False, True, False, True):
        with RedisServer() as redis, LimitedProvider() as provider:
            each = 60 * per_s if shared else 60 * per_s / NUMBER
            options = provider.options(requests_per_minute=each, **({"limits_url": redis.url} if shared else {}))
            with Processes(NUMBER, options, concurrency=50) as processes:
                processes.go()
                time.sleep(8)
                done = processes.end()
            calls = re.search(rb"cmdstat_evalsha:calls=(\d+)", redis.ask("INFO", "commandstats"))
        trips = 0 if calls is None else int(calls[1])
        cpu, count, sent = measured.get(shared, (0.0, 0.0, 0))
        measured[shared] = (cpu + done.cpu_s, count + len(done.answered), sent + trips)
    (own_cpu, own_calls, _), (cpu, calls_made, trips) = measured[False], measured[True]
    return [
        Row(case, "round trips a call", trips / calls_made, "<=", 0.1),
        Row(case, "calls/s", calls_made / 16),
        Row(case, "CPU of a call, shared", 1e6 * cpu / calls_made, unit=" us"),
        Row(case, "CPU of a call, not shared", 1e6 * own_cpu / own_calls, unit=" us"),
        Row(case, "CPU, shared over not shared", cpu / calls_made / (own_cpu / own_calls), "<=", 1.25),
    ]


def outage() -> list[Row]:
    """Kill Redis for ten seconds under load."""
    with RedisServer() as redis, LimitedProvider(latency=_LATENCY) as provider:
        options = provider.options(requests_per_minute=60 * PER_S, limits_url=redis.url)
        with Processes(NUMBER, options) as processes:
            processes.go()
            time.sleep(6)
            redis.kill()
            killed = time.monotonic()
            time.sleep(10)
            redis.start()
            back = time.monotonic()
            time.sleep(8)
            end = time.monotonic()
            done = processes.end()
        seen = provider.seen()
    case = f"{NUMBER} processes, {PER_S} requests/s, Redis gone for 10 s"
    # From a second before, so that the burst of the beginning is not counted.
    moments = [killed - 1 + step / 20 for step in range(int(20 * (end - killed)))]
    most = max(100 * seen.rate(at, at + 1) / PER_S for at in moments)
    return [
        Row(case, "failed", len(done.failed), "<=", 0),
        Row(case, "of the limit used without Redis", 100 * seen.rate(killed, back) / PER_S, unit=" %"),
        Row(case, "most in any second, of the limit", most, "<=", 100, " %"),
        Row(case, "of the limit used 2 s after", 100 * seen.rate(back + 2, end) / PER_S, ">=", 95, " %"),
        Row(case, "furthest from an equal share then", 100 * done.unfairness(back + 2, end), "<=", 20, " %"),
    ]


def budget() -> list[Row]:
    """Spend a dollar."""
    with RedisServer() as redis, LimitedProvider(latency={"first_token_s": 0.02}) as provider:
        prices = {"input_cost_per_token": 0.0, "output_cost_per_token": 1e-5}
        options = provider.options(limits_url=redis.url, budget_usd=1.0, **prices)
        params = {"max_tokens": _MAX_TOKENS, "extra_body": {"simulator": {"answer_tokens": _ANSWER_TOKENS}}}
        with Processes(NUMBER, options, params, concurrency=5) as processes:
            processes.go()
            done = processes.result()
    case = f"{NUMBER} processes, a budget of $1"
    return [
        Row(case, "spent", done.cost, "<=", 1.0, " $"),
        Row(case, "of the budget spent", 100 * done.cost, ">=", 95, " %"),
        Row(case, "processes that were refused", done.refused, ">=", NUMBER),
        Row(case, "failed otherwise", len(done.failed), "<=", 0),
    ]


CASES: Mapping[str, Any] = {
    **{
        f"{kind}-{algorithm}": (rate, kind, algorithm)
        for kind in ("requests", "tokens")
        for algorithm in ("token_bucket", "fixed_window")
    },
    "round-trips": (round_trips,),
    "outage": (outage,),
    "budget": (budget,),
}
