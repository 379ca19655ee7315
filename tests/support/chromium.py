"""A headless Chromium, driven by its DevTools protocol."""

from __future__ import annotations

import base64
import itertools
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import anyio

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Tab:
    """One tab.

    Attributes:
        requested: The addresses that it has asked for.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self.requested: list[str] = []

    async def send(self, method: str, **params: Any) -> Any:
        """Send a command, and return its result."""
        number = next(self._ids)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        while True:
            message = await self._socket.receive_json(timeout=60)
            if message.get("method") == "Network.requestWillBeSent":
                self.requested.append(message["params"]["request"]["url"])
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]

    async def run(self, script: str) -> Any:
        """Evaluate JavaScript, and return its value."""
        result = await self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def open(self, url: str) -> None:
        """Go to an address, and wait until it is loaded."""
        await self.send("Network.enable")
        await self.send("Page.navigate", url=url)
        await self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    async def until(self, condition: str) -> None:
        """Wait until a condition of the page holds."""
        until = time.monotonic() + 60
        while not await self.run(f"Boolean({condition})"):
            assert time.monotonic() < until, f"never: {condition}\n" + str(await self.run("document.body.innerText"))
            await anyio.sleep(0.02)

    async def screenshot(self, path: Path) -> None:
        """Write what is seen to a file."""
        image = await self.send("Page.captureScreenshot", format="png")
        await anyio.Path(path).write_bytes(base64.b64decode(image["data"]))

    async def resize(self, width: int, height: int, *, scheme: str = "light") -> None:
        """Set the size of the window and the colour scheme."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        await self.send("Emulation.setDeviceMetricsOverride", **size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        await self.send("Emulation.setEmulatedMedia", features=features)


class Chromium:
    """A running browser."""

    def __init__(self, session: aiohttp.ClientSession, address: str) -> None:
        self._session = session
        self._address = address

    @asynccontextmanager
    async def tab(self, url: str) -> AsyncIterator[Tab]:
        """Open an address in a tab of its own, and close it at the end."""
        async with self._session.put(f"{self._address}/json/new?about:blank") as made:
            target = await made.json()
        async with self._session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
            tab = Tab(socket)
            await tab.open(url)
            yield tab
        async with self._session.get(f"{self._address}/json/close/{target['id']}"):
            pass


@asynccontextmanager
async def chromium(folder: Path) -> AsyncIterator[Chromium]:
    """Run a browser with an empty profile."""
    assert CHROMIUM is not None
    arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    arguments += [
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-proxy-server",
    ]
    arguments += ["--remote-debugging-port=0", f"--user-data-dir={folder}", "about:blank"]
    nowhere = subprocess.DEVNULL
    process = subprocess.Popen([CHROMIUM, *arguments], stdout=nowhere, stderr=nowhere)  # noqa: ASYNC220  # ended below
    try:
        port = folder / "DevToolsActivePort"
        with anyio.fail_after(60):
            while not (port.exists() and port.read_text().count("\n")):  # noqa: ASYNC110  # it tells nobody
                await anyio.sleep(0.05)
        address = f"http://127.0.0.1:{port.read_text().splitlines()[0]}"
        async with aiohttp.ClientSession() as session:
            yield Chromium(session, address)
    finally:
        process.terminate()
        process.wait()
