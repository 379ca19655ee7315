"""Connections to Redis by each kind of URL, on both backends, and what is said when they fail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from asyncllm.config.redis_connection import check_redis_url, open_redis, redis_problem, shown_url
from tests.support.redis_server import MISSING, UNCLOSED_STREAMS, RedisServer, is_installed
from tests.support.waiting import until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not is_installed(), reason=MISSING),
    pytest.mark.filterwarnings(UNCLOSED_STREAMS),
    pytest.mark.usefixtures("loses_redis"),
]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the certificate of an authority, and that of the server with its key."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    issued.cert_chain_pems[0].write_to_path(str(folder / "server.pem"))
    issued.private_key_pem.write_to_path(str(folder / "server.key"))
    return folder


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """A server with a password that has to be percent-encoded."""
    with RedisServer("requirepass p@ss/word") as running:
        yield running


async def ping(url: str) -> bool:
    """Return whether a server answers by a URL."""
    async with open_redis(check_redis_url(url), 5.0) as client:
        return await client.ping() == b"PONG"


async def problem(url: str) -> str:
    """Return what is said of a URL that does not work."""
    with pytest.raises(Exception) as caught:  # noqa: PT011  # coredis has many
        await ping(url)
    found = redis_problem(caught.value)
    assert found is not None
    return " ".join(found)


async def test_a_password_and_a_socket(server: RedisServer) -> None:
    """Passwords are decoded, for TCP and for sockets."""
    assert await ping(f"redis://:p%40ss%2Fword@127.0.0.1:{server.port}/1")
    assert await ping(f"unix://:p%40ss%2Fword@{server.socket_path}?db=2")


async def test_tls(authority: Path) -> None:
    """The server's certificate is checked against the authority that the URL names."""
    with RedisServer(tls=authority) as server:
        named = f"rediss://127.0.0.1:{server.tls_port}/0?ssl_ca_certs={authority}/ca.pem"
        assert await ping(named)
        assert "TLS" in await problem(f"rediss://127.0.0.1:{server.tls_port}/0")


async def test_sentinel(server: RedisServer) -> None:
    """The primary is found by its name, and an unknown name is said."""
    watched = f"sentinel monitor ours 127.0.0.1 {server.port} 1"
    with RedisServer(watched, "sentinel auth-pass ours p@ss/word", sentinel=True) as sentinel:
        url = f"redis+sentinel://:p%40ss%2Fword@127.0.0.1:{sentinel.port}"
        await until(lambda: sentinel.ask("SENTINEL", "get-master-addr-by-name", "ours").startswith(b"*2"))
        assert await ping(f"{url}/ours/1")
        assert "no primary of this name" in await problem(f"{url}/theirs")


async def test_cluster() -> None:
    """Commands find their node of a cluster, and a server that is none is said."""
    with RedisServer("cluster-enabled yes") as node:
        node.ask("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        await until(lambda: b"cluster_state:ok" in node.ask("CLUSTER", "INFO"))
        async with open_redis(f"redis+cluster://127.0.0.1:{node.port}") as client:
            await client.set("asyncllm:{a}:b", b"1")
            assert await client.get("asyncllm:{a}:b") == b"1"
    with RedisServer() as single:
        assert "no cluster" in await problem(f"redis+cluster://127.0.0.1:{single.port}")


async def test_problems_are_said(server: RedisServer) -> None:
    """Each failure has its own words, and a remedy."""
    assert "asks for a password" in await problem(f"redis://127.0.0.1:{server.port}")
    assert "refuses the user name" in await problem(f"redis://:wrong@127.0.0.1:{server.port}")
    assert "Connection refused" in await problem("redis://127.0.0.1:1")
    assert "No such file" in await problem("unix:///tmp/there-is-none.sock")
    assert "not known" in await problem("redis://there-is-none.invalid")
    assert "out of range" in await problem(f"redis://:p%40ss%2Fword@127.0.0.1:{server.port}/99")


def test_what_is_shown_of_a_url() -> None:
    """Neither the login nor the options of a URL are shown."""
    assert shown_url("redis://ann:secret@host:1/0?ssl_keyfile=/home/ann") == "redis://host:1/0"
