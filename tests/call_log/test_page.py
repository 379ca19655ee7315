"""The log of calls as a page. The test with a browser needs Chromium, see CONTRIBUTING.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncllm.call_log import LoggedCall
from asyncllm.call_log.database import CallDatabase, Selection
from asyncllm.call_log.page import page
from tests.batch.report.test_browser import BROWSER, Proxy, asked_for, dom, proxy
from tests.batch.report.test_report import SCRIPT, Elements

__all__ = ["proxy"]


@pytest.fixture
def html(tmp_path: Path) -> str:
    """The page of a log of three calls: an answer with markup in its prompt, one of the cache, and a failure."""
    log = CallDatabase(tmp_path / "calls.sqlite", create=True)
    prompt = [{"role": "user", "content": f"Name a whale. {SCRIPT}"}]
    asked = LoggedCall(0.0, "p", "m", "openai", "wire", "answered", 1.0, cost_usd=0.5, messages=prompt, tenant=SCRIPT)
    again = LoggedCall(1.0, "p", "m", "openai", "cache", "answered", 1.0, cost_usd=0.0, saved_usd=0.5, messages=prompt)
    failed = LoggedCall(2.0, "p", "m", "openai", "wire", "failed", 1.0, error="ServerError")
    log.add([asked, again, failed], max_bytes=10**6, max_age_days=None)
    made = page(log, Selection(), 2, "calls.sqlite", "1.0")
    log.close()
    return made


def test_the_page_has_sums_and_calls(html: str) -> None:
    """What is saved, what failed, sums by each key, and as many calls as are asked for."""
    assert "The newest 2 of 3 calls" in html
    assert ["$0.5 saved" in html, "ServerError" in html] == [True, True]
    assert Elements(html).ids == ["day", "model", "profile", "tenant", "calls"]


def test_the_page_loads_and_runs_nothing(html: str) -> None:
    """A prompt and a tenant are text; the page forbids the rest itself."""
    found = Elements(html)
    assert not found.loads
    assert not {"script", "link", "img", "iframe", "object"} & set(found.names)
    assert "default-src 'none'" in html
    assert html.count("&lt;script src=") == 2


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here: .ci/install-browser installs it")
def test_no_request_leaves_the_page(html: str, tmp_path: Path, proxy: Proxy) -> None:
    """The browser shows all of it, and has sent no request."""
    assert "Name a whale." in dom(html, tmp_path, proxy)
    assert not asked_for(proxy)
