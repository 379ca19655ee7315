"""The releases of aiohttp whose connections are used without its session."""

from __future__ import annotations

from collections.abc import Iterator

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler

from asyncllm.simulator import Simulator
from asyncllm.transports.wire.exchange import direct
from tests.transports.wire.clients import client


@pytest.fixture(autouse=True)
def found_anew() -> Iterator[None]:
    """Have the support of the installed release found for the test, and again after it."""
    direct.is_supported.cache_clear()
    yield
    direct.is_supported.cache_clear()


def test_the_installed_release_is_known() -> None:
    """When this fails with a new aiohttp, try the tests of the exchange with it and move the bound."""
    assert direct.is_supported()


@pytest.mark.parametrize("release", ["3.9.5", "3.15.0", "4.0.0a1", "5", "unknown"])
def test_other_releases_are_left_to_the_session(release: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a release that nobody has tried does with a connection is not known."""
    monkeypatch.setattr(aiohttp, "__version__", release)
    assert not direct.is_supported()


class Renamed(ResponseHandler):
    """A connection that sets its parser up by other names."""

    def set_response_params(self, *, until_eof: bool = False) -> None:  # type: ignore[override]  # it is another
        """Do otherwise."""


@pytest.mark.parametrize("handler", [Renamed, object])
def test_another_interface_is_left_to_the_session(handler: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build that was changed is not what its number says."""
    monkeypatch.setattr(direct, "ResponseHandler", handler)
    assert not direct.is_supported()


@pytest.mark.anyio
@pytest.mark.parametrize("release", ["3.15.0", aiohttp.__version__])
async def test_the_session_serves_what_is_not_known(
    release: str, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls and streams work with a release of tomorrow, by way of the session."""
    sent: list[str] = []
    post = direct.DirectExchange.post

    async def noted(*arguments: object, **options: object) -> object:
        sent.append("directly")
        return await post(*arguments, **options)  # type: ignore[arg-type]  # as they come

    monkeypatch.setattr(direct.DirectExchange, "post", noted)
    monkeypatch.setattr(aiohttp, "__version__", release)
    async with client(simulator.url) as llm:
        assert (await llm.acompletion("hi")).text
        assert (await llm.stream("hi").collect()).text
    assert sent == ([] if release == "3.15.0" else ["directly", "directly"])
