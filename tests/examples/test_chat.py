"""The chat of the examples, in a browser. Needs Chromium, see CONTRIBUTING.md."""

from __future__ import annotations

import os
import runpy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from asyncllm.simulator import Fault, Latency, Simulator
from tests.support.chromium import CHROMIUM, Tab, chromium
from tests.web.conftest import served

CHAT = Path(__file__).parents[2] / "examples" / "chat" / "app.py"

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here: .ci/install-browser installs it"),
    pytest.mark.anyio,
]


@pytest.fixture
def anyio_backend() -> str:
    """The browser's protocol is spoken by aiohttp."""
    return "asyncio"


@contextmanager
def running(
    monkeypatch: pytest.MonkeyPatch, simulator: Simulator, key: str, **environment: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Serve the chat, with the simulator as its provider."""
    for name, value in {"MODEL": "openai/any", "OPENAI_API_KEY": key, "OPENAI_API_BASE": simulator.url}.items():
        monkeypatch.setenv(name, value)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    app = runpy.run_path(str(CHAT))
    with served(app["app"]) as url:
        yield url, app


async def say(tab: Tab, text: str) -> None:
    """Write a message and send it by keyboard."""
    await tab.run("document.getElementById('text').focus()")
    await tab.send("Input.insertText", text=text)
    for kind in ("keyDown", "keyUp"):
        await tab.send("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13)


LAST = "document.querySelector('#messages li:last-child')"


async def test_a_message_streams_in(
    monkeypatch: pytest.MonkeyPatch, simulator: Simulator, secret_key: str, tmp_path: Path
) -> None:
    """The answer grows, ends with what it cost, and stays after a reload; nothing is asked of another host."""
    simulator.latency(Latency(first_token_s=0.2, tokens_per_s=60))
    with running(monkeypatch, simulator, secret_key) as (url, _):
        async with chromium(tmp_path / "profile") as browser, browser.tab(url) as tab:
            await tab.resize(1000, 700)
            await say(tab, "Tell me a story.")
            await tab.until(f"{LAST}.textContent.startsWith('Simulated')")
            early = await tab.run(f"{LAST}.textContent.length")
            await tab.until("document.getElementById('spent').textContent.includes('tokens')")
            text = await tab.run(f"{LAST}.textContent")
            assert early < len(text)
            assert text.startswith('Simulated answer to: "Tell me a story."')
            await shoot(tab, "chat-light")
            await tab.resize(360, 640, scheme="dark")
            await shoot(tab, "chat-phone-dark")
            assert await tab.run("document.documentElement.scrollWidth <= innerWidth")
            await tab.open(f"{url}/?again")
            assert await tab.run(f"{LAST}.textContent") == text
            assert {address.split("/")[2] for address in tab.requested if address.startswith("http")} == {
                url.removeprefix("http://")
            }


@pytest.mark.parametrize("leaves_by", ["stop", "escape", "reload", "close"])
async def test_leaving_closes_the_providers_connection(
    monkeypatch: pytest.MonkeyPatch, simulator: Simulator, secret_key: str, tmp_path: Path, leaves_by: str
) -> None:
    """The stop button, the key, a reload half-way and a closed tab leave nothing open at the provider."""
    simulator.faults(Fault("stall", after_chunks=3))
    with running(monkeypatch, simulator, secret_key) as (url, app):
        async with chromium(tmp_path / "profile") as browser:
            async with browser.tab(url) as tab:
                await say(tab, "Tell me a story.")
                await tab.until(f"{LAST}.textContent.startsWith('Simulated')")
                assert simulator.seen.in_flight == 1
                if leaves_by == "stop":
                    await tab.run("document.getElementById('stop').click()")
                elif leaves_by == "escape":
                    await tab.send("Input.dispatchKeyEvent", type="keyDown", key="Escape", code="Escape")
                elif leaves_by == "reload":
                    await tab.open(f"{url}/?again")
                if leaves_by in ("stop", "escape"):
                    await tab.until("document.getElementById('send').checkVisibility()")
                    assert await tab.run("document.getElementById('problem').hidden")
            await simulator.seen.wait_async(lambda seen: seen.connections_open == 0, timeout=20)
        assert app["llm"].stats().in_flight == 0


async def test_two_tabs_stream_side_by_side(
    monkeypatch: pytest.MonkeyPatch, simulator: Simulator, secret_key: str, tmp_path: Path
) -> None:
    """Each shows its own answer; stopping one leaves the other to go on to its end, and both conversations are kept."""
    simulator.faults(Fault("stall", after_chunks=3, contains="of the first"))
    simulator.latency(Latency(first_token_s=0.2, tokens_per_s=60))
    with running(monkeypatch, simulator, secret_key) as (url, app):
        async with chromium(tmp_path / "profile") as browser, browser.tab(url) as one, browser.tab(url) as two:
            await say(one, "Tell me of the first.")
            await one.until(f"{LAST}.textContent.startsWith('Simulated')")
            await say(two, "Tell me of the second, at length.")
            await two.until(f"{LAST}.textContent.startsWith('Simulated')")
            assert simulator.seen.in_flight == 2
            await one.run("document.getElementById('stop').click()")
            await one.until("document.getElementById('send').checkVisibility()")
            await two.until("document.getElementById('spent').textContent.includes('tokens')")
            assert "Tell me of the second, at length." in await two.run(f"{LAST}.textContent")
            assert await two.run("document.getElementById('problem').hidden")
            assert "second" not in await one.run("document.getElementById('messages').textContent")
            for tab in (one, two):
                await tab.until("document.querySelectorAll('#conversations button').length === 2")
                await tab.open(f"{url}/?again")
                titles = (
                    "[...document.querySelectorAll('#conversations button')].map((button) => button.textContent).sort()"
                )
                assert await tab.run(titles) == ["Tell me of the first.", "Tell me of the second, at length."]
            await simulator.seen.wait_async(lambda seen: seen.in_flight == 0, timeout=20)
        assert app["llm"].stats().in_flight == 0


async def test_overload_is_said_kindly(
    monkeypatch: pytest.MonkeyPatch, simulator: Simulator, secret_key: str, tmp_path: Path
) -> None:
    """With one slot and no queue, the second of two tabs is told when to try again; the first goes on."""
    simulator.faults(Fault("stall", after_chunks=3))
    with running(monkeypatch, simulator, secret_key, MAX_CONCURRENCY="1", MAX_QUEUE="0") as (url, _):
        async with chromium(tmp_path / "profile") as browser, browser.tab(url) as one, browser.tab(url) as two:
            await say(one, "Tell me a story.")
            await one.until(f"{LAST}.textContent.startsWith('Simulated')")
            await say(two, "And me?")
            await two.until("document.getElementById('problem').checkVisibility()")
            assert await two.run("document.getElementById('problem').textContent") == "Busy, try again in 1 s."
            assert await one.run("document.getElementById('stop').checkVisibility()")
            await shoot(two, "chat-busy")


async def test_the_form_fills_in(
    monkeypatch: pytest.MonkeyPatch, simulator: Simulator, secret_key: str, tmp_path: Path
) -> None:
    """The fields of the invoice come one after the other, and are those of the text."""
    simulator.latency(Latency(tokens_per_s=40))
    with running(monkeypatch, simulator, secret_key) as (url, _):
        async with chromium(tmp_path / "profile") as browser, browser.tab(url) as tab:
            await tab.run("document.getElementById('to-form').click()")
            await tab.until("document.getElementById('read').checkVisibility()")
            await tab.run("document.getElementById('read').requestSubmit()")
            await tab.until("document.querySelector('dd')?.textContent.startsWith('R-')")
            filled = "[...document.querySelectorAll('dd')].filter((dd) => dd.textContent).length"
            assert await tab.run(filled) < 5
            await tab.until(f"{filled} === 5")
            values = await tab.run("[...document.querySelectorAll('dd')].map((dd) => dd.textContent)")
            assert (values[0], values[3], values[4]) == ("R-2025-0417", "EUR", "2025-04-30")
            await shoot(tab, "chat-form")


async def test_images_and_several_conversations(
    monkeypatch: pytest.MonkeyPatch, simulator: Simulator, secret_key: str, tmp_path: Path
) -> None:
    """A dropped image goes along with the message; another conversation starts empty, and the first is kept."""
    drop = """(async () => {
      const canvas = document.createElement("canvas");
      const bytes = await new Promise((resolve) => canvas.toBlob(resolve));
      const data = new DataTransfer();
      data.items.add(new File([bytes], "dot.png", { type: "image/png" }));
      document.getElementById("ask").dispatchEvent(new DragEvent("drop", { dataTransfer: data, cancelable: true }));
    })()"""
    with running(monkeypatch, simulator, secret_key) as (url, _):
        async with chromium(tmp_path / "profile") as browser, browser.tab(url) as tab:
            await tab.run(drop)
            await tab.until("document.querySelector('#images img')")
            await say(tab, "What is this?")
            await tab.until("document.getElementById('spent').textContent.includes('tokens')")
            content = simulator.seen.bodies[-1]["messages"][-1]["content"]
            assert [part["type"] for part in content] == ["text", "image_url"]
            assert "with 1 image" in await tab.run(f"{LAST}.textContent")
            await tab.run("document.getElementById('new').click()")
            assert await tab.run("document.querySelectorAll('#messages li').length") == 0
            await tab.run("document.querySelectorAll('#conversations button')[1].click()")
            assert await tab.run("document.querySelectorAll('#messages li').length") == 2


async def shoot(tab: Tab, name: str) -> None:
    """Keep a screenshot where the environment names a folder for them."""
    if folder := os.environ.get("SCREENSHOTS"):
        await tab.screenshot(Path(folder) / f"{name}.png")
