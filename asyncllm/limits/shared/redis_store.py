"""The store of shared limits in Redis: one script, called once a renewal."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, cast

from ...config.redis_connection import check_coredis, is_unreachable, open_redis, redis_problem, shown_url
from ...errors import ConfigError
from .store import (
    BUDGET_TTL_S,
    DEAD_S,
    LOOK_AHEAD_S,
    MEMBER_S,
    RATE_TTL_S,
    RETURN_S,
    ROUNDING_USD,
    SHORT_S,
    BudgetGrant,
    LeaseReply,
    LeaseRequest,
    RateGrant,
)

if TYPE_CHECKING:
    from coredis.client.basic import Client
    from coredis.commands.script import Script

# Seconds for connecting and for a renewal, which takes a millisecond or two: a server that hangs counts as gone.
TIMEOUT_S = 1.0
SCRIPT = Path(__file__).with_name("renew.lua").read_text("utf-8")
_CONSTANTS = (LOOK_AHEAD_S, MEMBER_S, SHORT_S, DEAD_S, RATE_TTL_S, BUDGET_TTL_S, ROUNDING_USD, RETURN_S)


class _Reply(TypedDict):
    """The script's answer; an empty list arrives as an empty object."""

    members: int
    share: float
    cooldown_s: float
    rates: list[tuple[float, float, float, float]]
    budgets: list[tuple[float, float, float, bool]]


class RedisStore:
    """Limits in Redis, shared by the processes that use the same server and database.

    Keys are `asyncllm:{ACCOUNT}:...`, with the account hashed, and in one slot of a cluster; all of them expire.

    Args:
        client: A client of coredis, open.
    """

    def __init__(self, client: Client[bytes]) -> None:
        self._client = client
        self._script: Script[bytes] = client.register_script(SCRIPT)

    async def check(self) -> None:
        """Load the script; raises when the server cannot be reached, or refuses it."""
        await self._client.script_load(self._script.script)

    async def renew(self, request: LeaseRequest) -> LeaseReply:
        """Renew the leases of a process.

        Raises:
            coredis.exceptions.RedisError: The server cannot be reached, or refuses the script.
        """
        return reply_of(cast(bytes, await self._script.execute(keys_of(request), [arguments(request)])))


@asynccontextmanager
async def open_redis_store(url: str) -> AsyncGenerator[RedisStore]:
    """Open a store in Redis, and check that it answers.

    Raises:
        ConfigError: coredis is not installed, or the server refuses the login or the database: waiting does not help.
        coredis.exceptions.RedisError: The server cannot be reached.
    """
    check_coredis("limits_url needs")
    async with open_redis(url, TIMEOUT_S) as client:
        store = RedisStore(client)
        try:
            await store.check()
        except Exception as error:
            problem = None if is_unreachable(error) else redis_problem(error)
            if problem is None:
                raise
            raise ConfigError(f"limits_url: {shown_url(url)} {problem[0]}.", hint=problem[1]) from None
        yield store


def keys_of(request: LeaseRequest) -> list[str]:
    """Return the script's keys; all of one slot of a cluster."""
    prefix = f"asyncllm:{{{request.account}}}"
    rates = [f"{prefix}:rate:{ask.name}" for ask in request.rates]
    return [f"{prefix}:members", f"{prefix}:state", *rates, *(f"{prefix}:budget:{ask.name}" for ask in request.budgets)]


def arguments(request: LeaseRequest) -> str:
    """Return the script's argument."""
    data = {
        "member": request.member,
        "leaving": request.leaving,
        "was_alone": request.was_alone,
        "cooldown_s": request.cooldown_s,
        "rates": [(ask.per_s, ask.size, ask.want, ask.held, ask.least, ask.unused) for ask in request.rates],
        "budgets": [
            (ask.limit_usd, ask.want_usd, ask.least_usd, ask.granted_usd, ask.spent_usd, ask.returned_usd)
            for ask in request.budgets
        ],
        "constants": _CONSTANTS,
    }
    return json.dumps(data)


def reply_of(answer: bytes) -> LeaseReply:
    """Read the script's answer."""
    reply = cast(_Reply, json.loads(answer))
    return LeaseReply(
        reply["members"],
        reply["share"],
        reply["cooldown_s"],
        tuple(RateGrant(*grant) for grant in reply["rates"]),
        tuple(BudgetGrant(*grant) for grant in reply["budgets"]),
    )


async def server_version(url: str) -> str:
    """Return the version of a server that answers, and allows the script.

    Raises:
        coredis.exceptions.RedisError: It cannot be reached, or refuses the login or the script.
    """
    async with open_redis(url, TIMEOUT_S) as client:
        await RedisStore(client).check()
        return str(client.server_version or "unknown")
