"""Encrypted connections of the wire: what they trust, and the memory that they take."""

from __future__ import annotations

import asyncio
import gc
import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from asyncllm import ConfigError, ProviderConnectionError
from asyncllm.simulator import Simulator
from asyncllm.transports.wire import tls
from tests.transports.wire.clients import client


@pytest.fixture
def authority() -> trustme.CA:
    """A certificate authority that nobody trusts yet."""
    return trustme.CA()


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[Simulator]:
    """A simulator behind TLS, with a certificate of that authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Simulator(ssl_context=context) as running:
        yield running


@pytest.mark.anyio
@pytest.mark.usefixtures("exchange")
@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
async def test_a_bundle_of_the_environment_is_trusted(
    variable: str, authority: trustme.CA, secure: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The authority that the environment names is trusted, as a company's own has to be."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(tmp_path / "ca.pem"))
    async with client(secure.url) as llm:
        assert (await llm.acompletion("hi")).text
        assert (await llm.stream("hi").collect()).text


@pytest.mark.anyio
@pytest.mark.usefixtures("exchange")
@pytest.mark.parametrize("switch", ["SSL_VERIFY", "PYTHONHTTPSVERIFY"])
async def test_an_unknown_certificate_is_never_accepted(
    switch: str, secure: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No variable switches the check off, and the retries do not go around it."""
    monkeypatch.setenv(switch, "0")
    async with client(secure.url, num_retries=1).with_options(retry_min_wait=0.001, retry_max_wait=0.002) as llm:
        with pytest.raises(ProviderConnectionError, match="certificate") as caught:
            await llm.acompletion("hi")
    assert len(caught.value.attempts) == 2
    assert secure.seen.requests == 0


@pytest.mark.anyio
@pytest.mark.usefixtures("exchange")
@pytest.mark.parametrize("at", ["warm_up", "call"])
async def test_a_bundle_that_is_not_there_is_named(at: str, secure: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong path in the environment is said, ahead of time where that is asked for, and nothing else is trusted."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    async with client(secure.url) as llm:
        with pytest.raises(ConfigError, match=r"SSL_CERT_FILE names /nowhere/ca\.pem"):
            await (llm.warm_up() if at == "warm_up" else llm.acompletion("hi"))


@pytest.mark.anyio
@pytest.mark.usefixtures("exchange")
async def test_plain_http_reads_no_certificates(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A local server is reached whatever the environment says of certificates, and without reading any."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    async with client(simulator.url) as llm:
        await llm.warm_up()
        assert (await llm.acompletion("hi")).text


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust the authority through the environment."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))


def own_protocols() -> list[SSLProtocol]:
    """Return what encrypts the clients' side of the open connections of this process."""
    found = [one for one in gc.get_objects() if type(one) is SSLProtocol]
    return [one for one in found if not vars(one)["_server_side"] and vars(one)["_transport"] is not None]


@pytest.mark.anyio
@pytest.mark.usefixtures("exchange", "trusted")
async def test_an_encrypted_connection_keeps_a_small_buffer(secure: Simulator) -> None:
    """A thousand open streams hold a thousand of them; asyncio's own, of 256 KiB, stays for nobody of ours.

    When this fails on a new Python, look at what `bound_receive_buffer` replaces there.
    """
    async with client(secure.url) as llm, llm.stream("hi") as stream:
        await anext(stream)
        held = own_protocols()
        await stream.collect()
    assert held
    assert [(one.max_size, len(vars(one)["_ssl_buffer"])) for one in held] == [
        (tls.RECEIVE_BUFFER_BYTES, tls.RECEIVE_BUFFER_BYTES)
    ] * len(held)
    assert SSLProtocol.max_size > tls.RECEIVE_BUFFER_BYTES  # nobody else's is touched


@pytest.mark.anyio
@pytest.mark.usefixtures("exchange", "trusted")
async def test_what_is_larger_than_the_buffer_arrives_whole(secure: Simulator) -> None:
    """Answers and events of many times its size come through it, again and again over one connection."""
    text = "Grüße, 世界 🌍 " * 20_000
    async with client(secure.url) as llm:
        for _ in range(3):
            assert (await llm.acompletion("hi", extra_body={"simulator": {"text": text}})).text == text
            script = {"text": text, "chunk_chars": 50_000}
            assert (await llm.stream("hi", extra_body={"simulator": script}).collect()).text == text
    assert secure.seen.connections_opened == 1


class Another(SSLProtocol):
    """One that somebody has built differently."""


class Encrypted(asyncio.Transport):
    """A transport that leads to its protocol as asyncio's does."""

    def __init__(self, protocol: SSLProtocol) -> None:
        self._ssl_protocol = protocol


@pytest.mark.parametrize("changed", ["class", "buffer", "view"])
def test_what_is_not_known_is_left_as_it_is(changed: str) -> None:
    """A loop or an interpreter that works otherwise keeps its own buffer, and nothing breaks."""
    protocol = object.__new__(Another if changed == "class" else SSLProtocol)
    buffer = bytearray(protocol.max_size)
    insides: dict[str, object] = {"_ssl_buffer": buffer, "_ssl_buffer_view": memoryview(buffer)}
    insides |= {"buffer": {"_ssl_buffer": None}, "view": {"_ssl_buffer_view": None}}.get(changed, {})
    vars(protocol).update(insides)
    tls.bound_receive_buffer(Encrypted(protocol))
    assert vars(protocol) == insides


def test_a_connection_that_is_not_encrypted_is_left_as_it_is() -> None:
    """There is nothing to bound."""
    tls.bound_receive_buffer(asyncio.Transport())
    tls.bound_receive_buffer(None)
