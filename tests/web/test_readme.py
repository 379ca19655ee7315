"""The backend of the README: as short as it says, and with all that it says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from asyncllm import telemetry
from asyncllm.simulator import Fault, Simulator
from tests.support.fences import fences
from tests.web.conftest import served

README = Path(__file__).parents[2] / "README.md"
(APP,) = [fence.code for fence in fences(README) if "FastAPI(" in fence.code]


@pytest.fixture
def namespace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simulator: Simulator, secret_key: str
) -> Iterator[dict[str, Any]]:
    """The names that the code of the README makes, with the simulator as its provider."""
    (tmp_path / "config.toml").write_text('[llm]\nmodel = "openai/gpt-5-mini"\nnum_retries = 0\n[llm.fast]\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", secret_key)
    monkeypatch.setenv("OPENAI_API_BASE", simulator.url)
    names: dict[str, Any] = {"__name__": "readme"}
    exec(compile(APP, str(README), "exec", dont_inherit=True), names)
    yield names
    telemetry.uninstrument()


def test_it_takes_forty_lines() -> None:
    """Blank lines and imports among them."""
    assert len(APP.splitlines()) <= 40


def test_it_streams_extracts_and_refuses(namespace: Any, simulator: Simulator) -> None:
    """The chat is a stream of chunks, the order a validated object, and overload a 503 with Retry-After."""
    ask = {"user": "ada", "messages": [{"role": "user", "content": "hi"}]}
    with served(namespace["app"]) as url, httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
        lines = client.post("/chat", json=ask).text.strip().split("\n\n")
        assert lines[-1] == "data: [DONE]"
        chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
        assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks).startswith("Simulated")
        order = client.post("/order", params={"text": "Two chairs, please.", "user": "ada"}).json()
        assert order.keys() == {"article", "pieces"}
        assert namespace["llm"].stats().tenants["ada"].admitted == 2
        simulator.faults(Fault("status", code=429, retry_after=3))
        refused = client.post("/chat", json=ask)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "3")
        assert refused.json()["code"] == "busy"
