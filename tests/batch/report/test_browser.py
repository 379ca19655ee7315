"""The page as a browser has it: nothing leaves it, and it fits a phone. Needs Chromium, see CONTRIBUTING.md."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from asyncllm import Journal
from asyncllm.batch.report import figures
from asyncllm.batch.report.page import page
from tests.batch.report.test_report import journal

__all__ = ["journal"]

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
LOADS = '<img src="http://example.org/a.png"><link rel="stylesheet" href="https://example.org/a.css">'

pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here: .ci/install-browser installs it")


class Proxy:
    """Stands between the browser and everything else, and takes down what it asks for."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.asked: list[str] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                with connection:
                    self.asked.append(connection.recv(4096).partition(b"\r\n")[0].decode("latin-1"))

    def close(self) -> None:
        """Stop listening."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """A proxy that lets nothing through."""
    running = Proxy()
    yield running
    running.close()


def dom(html: str, folder: Path, proxy: Proxy) -> str:
    """Open a page in the browser, and return its document; everything that it asks for goes to the proxy."""
    (folder / "page.html").write_text(html, encoding="utf-8")
    assert BROWSER is not None
    arguments = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        # The browser's own errands.
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        f"--user-data-dir={folder / 'profile'}",
        f"--proxy-server=http://127.0.0.1:{proxy.port}",
        "--proxy-bypass-list=<-loopback>",
        "--window-size=500,900",
        "--virtual-time-budget=3000",
        "--dump-dom",
        (folder / "page.html").as_uri(),
    ]
    return subprocess.run([BROWSER, *arguments], check=True, capture_output=True, text=True, timeout=60).stdout


def asked_for(proxy: Proxy) -> list[str]:
    """Return what the page asked for; the browser itself may ask its maker whether it is up to date."""
    return [line for line in proxy.asked if "google" not in line]


def test_no_request_leaves_the_page(journal: Path, tmp_path: Path, proxy: Proxy) -> None:
    """The browser shows all of it, and has sent no request."""
    shown = dom(page(figures(Journal.read(journal)), "out.csv", "1.0"), tmp_path, proxy)
    assert "Throughput" in shown
    assert not asked_for(proxy)


def test_a_request_would_be_seen(tmp_path: Path, proxy: Proxy) -> None:
    """A page that loads something is caught by the same look; so the one above means something."""
    dom(f"<!doctype html><title>x</title>{LOADS}", tmp_path, proxy)
    assert any("example.org" in line for line in asked_for(proxy))


def test_what_is_smuggled_in_is_not_loaded(journal: Path, tmp_path: Path, proxy: Proxy) -> None:
    """Even if a text from outside came to stand in it as markup, the page forbids itself to load or run it."""
    html = page(figures(Journal.read(journal)), "out.csv", "1.0")
    script = "<script>document.title = 'run'</script>"
    shown = dom(html.replace("</main>", f"{LOADS}{script}</main>"), tmp_path, proxy)
    assert "<title>run</title>" not in shown
    assert not asked_for(proxy)


def test_the_page_is_not_wider_than_a_phone(journal: Path, tmp_path: Path, proxy: Proxy) -> None:
    """Nothing has to be moved sideways but the tables, which scroll by themselves."""
    html = page(figures(Journal.read(journal)), "out.csv", "1.0")
    measure = (
        "<script>const root = document.documentElement;"
        "parent.postMessage(root.scrollWidth > root.clientWidth ? 'too wide' : 'fits', '*')</script>"
    )
    # In a frame as wide as a phone; it may run this one script, which reports its width to the page around it.
    allowed = html.replace("default-src 'none'", "default-src 'none'; script-src 'unsafe-inline'")
    (tmp_path / "framed.html").write_text(allowed.replace("</body>", f"{measure}</body>"), encoding="utf-8")
    frame = (
        "<!doctype html><title>none</title><script>onmessage = event => document.title = event.data</script>"
        '<iframe src="framed.html" style="width: 360px; height: 800px; border: 0"></iframe>'
    )
    assert "<title>fits</title>" in dom(frame, tmp_path, proxy)
