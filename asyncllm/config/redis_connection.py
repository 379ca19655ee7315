"""Connections to Redis by URL: a single server, a socket, Sentinel or Cluster; their errors in words."""

from __future__ import annotations

import importlib.util
import os
import ssl
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

from ..errors import not_installed

if TYPE_CHECKING:
    from coredis import Redis, RedisCluster

REDIS_SCHEMES = (
    "redis",
    "rediss",
    "unix",
    "redis+sentinel",
    "rediss+sentinel",
    "redis+cluster",
    "rediss+cluster",
)
"""The schemes of the URLs that `open_redis` takes."""

_PORT, _SENTINEL_PORT = 6379, 26379


def is_redis_url(text: str) -> bool:
    """Return whether a text is a URL of Redis, by its scheme."""
    return text.partition("://")[0] in REDIS_SCHEMES


def check_redis_url(url: str) -> str:
    """Return a URL of Redis that `open_redis` takes; connects to nothing.

    Raises:
        ValueError: It is none; the message says why without the URL, which may hold a password.
    """
    scheme, separator, _ = url.partition("://")
    if not separator or scheme not in REDIS_SCHEMES:
        raise ValueError(f'must be a URL such as "redis://localhost:6379/0"; schemes: {", ".join(REDIS_SCHEMES)}')
    try:
        parts = urlsplit(url)
        hosts = _hosts(url)
    except ValueError:
        raise ValueError("has a port that is not a number") from None
    if scheme == "unix":
        if not parts.path.strip("/"):
            raise ValueError('must name the socket, such as "unix:///run/redis.sock"')
        return url
    if not all(host for host, _ in hosts):
        raise ValueError('must name a host, such as "redis://localhost:6379/0"')
    path = [part for part in parts.path.split("/") if part]
    if scheme.endswith("+sentinel"):
        if not 1 <= len(path) <= 2:
            raise ValueError('must name the service, such as "redis+sentinel://host:26379/mymaster"')
        path = path[1:]
    if path and not path[0].isdecimal():
        raise ValueError("must have the number of a database as its path, such as /0")
    return url


def shown_url(url: str) -> str:
    """Return a URL without user name, password and options, for messages."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"


def check_coredis(what: str) -> None:
    """Raise if the package that speaks to Redis is not installed.

    Args:
        what: The subject and its verb, such as "limits_url needs".

    Raises:
        ConfigError: It is not installed.
    """
    if importlib.util.find_spec("coredis") is None:
        raise not_installed(what, "redis")


@asynccontextmanager
async def open_redis(url: str, timeout_s: float = 5.0) -> AsyncGenerator[Redis[bytes] | RedisCluster[bytes]]:
    """Open a client of Redis, on asyncio or trio; connects with its first command, and again after a failure.

    Any task of the loop may use it while the block is open. Commands are not retried; an error is coredis's own, which
    `redis_problem` puts into words. What leaves the block is the error itself, not a group of it.

    Args:
        url: As `check_redis_url` takes it.
        timeout_s: Seconds for connecting, and for a command.
    """
    from coredis import Redis
    from coredis.retry import NoRetryPolicy

    scheme = urlsplit(url).scheme
    client: Redis[bytes] | RedisCluster[bytes]
    try:
        async with AsyncExitStack() as stack:
            if scheme.endswith("+sentinel"):
                client = await _sentinel_primary(stack, url, timeout_s)
            elif scheme.endswith("+cluster"):
                client = _cluster(url, timeout_s)
            else:
                client = Redis.from_url(
                    url,
                    decode_components=True,
                    retry_policy=NoRetryPolicy(),
                    connect_timeout=timeout_s,
                    stream_timeout=timeout_s,
                )
            yield await stack.enter_async_context(client)
    except BaseExceptionGroup as group:  # of the client's task group
        error = _first(group)
        raise error from error.__cause__


def is_unreachable(error: BaseException) -> bool:
    """Return whether a server cannot be reached at present, rather than refusing what it is asked for."""
    from coredis import exceptions

    passing = (exceptions.ConnectionError, exceptions.PrimaryNotFoundError, exceptions.RedisClusterError)
    return isinstance(error, (*passing, TimeoutError, OSError))


def redis_problem(error: BaseException) -> tuple[str, str] | None:
    """Return the problem that an error of coredis shows, and the remedy; None for an error that is not about Redis."""
    from coredis import exceptions

    reason = _root(error)
    if isinstance(error, exceptions.AuthenticationError):
        if isinstance(error, exceptions.AuthenticationRequiredError):
            return "asks for a password", "Put it into the URL: redis://:PASSWORD@host:6379/0."
        return "refuses the user name or password", "Check those of the URL; special characters are percent-encoded."
    if isinstance(error, exceptions.AuthorizationError):
        return f"does not allow this user a command: {error}", "Allow it to run scripts: ACL SETUSER NAME +@scripting."
    if isinstance(error, exceptions.PrimaryNotFoundError):
        return "has no primary of this name", "Check the service that the path of the URL names."
    if isinstance(error, exceptions.ClusterError | exceptions.RedisClusterError):
        return f"is no cluster that answers: {error}", "Check the nodes; a single server is redis://, without +cluster."
    if isinstance(reason, ssl.SSLError):
        return f"does not speak TLS as expected: {reason.reason}", "Without TLS the URL begins with redis://."
    if isinstance(error, TimeoutError) or isinstance(reason, TimeoutError):
        return "does not answer in time", "Check host and port, a firewall, and TLS, whose URL begins with rediss://."
    if isinstance(error, exceptions.ConnectionError | OSError):
        detail = str(error)
        if isinstance(reason, OSError) and reason.strerror:  # event loops add an address to it
            detail = os.strerror(reason.errno) if reason.errno and reason.errno > 0 else reason.strerror
        return f"cannot be reached: {detail}", "Check host and port; is the server running?"
    if isinstance(error, exceptions.RedisError):
        return f"answers with an error: {error}", "Check the number of the database, and the server's settings."
    return None


async def _sentinel_primary(stack: AsyncExitStack, url: str, timeout_s: float) -> Redis[bytes]:
    from coredis import Sentinel
    from coredis.connection import TCPLocation

    parts = urlsplit(url)
    service, *database = [part for part in parts.path.split("/") if part]
    options = _options(url, timeout_s)
    if database or (database := parse_qs(parts.query).get("db", [])):
        options["db"] = int(database[0])
    locations = [TCPLocation(host, port) for host, port in _hosts(url)]
    timeout = {"connect_timeout": timeout_s}
    sentinel: Sentinel[bytes] = Sentinel(locations, sentinel_kwargs=timeout, decode_responses=False, **options)
    await stack.enter_async_context(sentinel)
    return sentinel.primary_for(service)


def _cluster(url: str, timeout_s: float) -> RedisCluster[bytes]:
    from coredis import RedisCluster
    from coredis.connection import TCPLocation
    from coredis.retry import NoRetryPolicy

    nodes = [TCPLocation(host, port) for host, port in _hosts(url)]
    cluster: RedisCluster[bytes] = RedisCluster(
        startup_nodes=nodes, retry_policy=NoRetryPolicy(), decode_responses=False, **_options(url, timeout_s)
    )
    return cluster


def _options(url: str, timeout_s: float) -> dict[str, Any]:
    """Return timeouts, TLS and login of a URL with several hosts, which coredis does not read itself."""
    parts = urlsplit(url)
    options: dict[str, Any] = {"connect_timeout": timeout_s, "stream_timeout": timeout_s}
    if parts.scheme.startswith("rediss"):
        authorities = parse_qs(parts.query).get("ssl_ca_certs", [None])[0]
        options["ssl_context"] = ssl.create_default_context(cafile=authorities)
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    named = {"username": unquote(user), "password": unquote(password)}
    return options | {name: value for name, value in named.items() if value}


def _hosts(url: str) -> list[tuple[str, int]]:
    """Return the hosts of a URL, and their ports; several are separated by commas, for Sentinel."""
    parts = urlsplit(url)
    default = _SENTINEL_PORT if parts.scheme.endswith("+sentinel") else _PORT
    hosts = parts.netloc.rpartition("@")[2].split(",")
    named = [urlsplit(f"//{host}") for host in hosts]
    return [(host.hostname or "", host.port or default) for host in named]


def _first(error: BaseException) -> BaseException:
    """Return the first error of a group, or of the groups within it."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    return _first(cast("BaseExceptionGroup[BaseException]", error).exceptions[0])


def _root(error: BaseException) -> BaseException:
    """Return the error at the root of another, such as the system's."""
    cause = error.__cause__ or error.__context__
    if cause is None or isinstance(cause, BaseExceptionGroup) or isinstance(error, ssl.SSLError | TimeoutError):
        return error
    return _root(cause)
