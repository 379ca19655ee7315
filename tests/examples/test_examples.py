"""Every example runs as it stands, against the simulator."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from asyncllm.simulator import Fault, Simulator

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = ("call", "stream", "extract", "batch", "tools")


@pytest.fixture(autouse=True)
def empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory without a configuration."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(name: str, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run a script as the main module and return its exit code."""
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *arguments])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    code: int = end.value.code  # type: ignore[assignment]  # the scripts end with numbers
    return code


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_runs_without_arguments_keys_or_configuration(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the README promises: it runs as it stands, and says something."""
    assert run(name, monkeypatch) == 0
    said = capsys.readouterr()
    assert said.out + said.err


def test_call_answers_the_question_it_is_given(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first argument is the question."""
    run("call", monkeypatch, "Name a colour of the rainbow.")
    assert "Name a colour of the rainbow." in capsys.readouterr().out


def test_call_ends_with_1_when_the_provider_refuses(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], simulator: Simulator, secret_key: str
) -> None:
    """An error is one line on stderr and an exit code."""
    monkeypatch.setenv("OPENAI_API_KEY", secret_key)
    monkeypatch.setenv("OPENAI_API_BASE", simulator.url)
    simulator.faults(Fault("status", code=401))
    assert run("call", monkeypatch, "Hello", "openai/any") == 1
    assert "error: Incorrect API key" in capsys.readouterr().err


def test_extract_reads_the_invoice(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The values are those of the text."""
    run("extract", monkeypatch)
    read = json.loads(capsys.readouterr().out)
    assert (read["number"], read["currency"], read["due"]) == ("R-2025-0417", "EUR", "2025-04-30")


def test_batch_answers_each_row_once_over_two_runs(monkeypatch: pytest.MonkeyPatch, empty_directory: Path) -> None:
    """A second run sends the rows alone that have no result."""
    rows = [{"id": f"m{n}", "text": f"Where is parcel {n}?"} for n in range(6)]
    mails, results = empty_directory / "mails.jsonl", empty_directory / "results.jsonl"
    for count in (4, 6):
        mails.write_text("".join(json.dumps(row) + "\n" for row in rows[:count]))
        assert run("batch", monkeypatch, str(mails), str(results)) == 0
    ids = [json.loads(line)["id"] for line in results.read_text().splitlines()]
    assert sorted(ids) == [row["id"] for row in rows]


def test_tools_sends_the_result_back(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The conversation ends with an answer to the tool's result."""
    run("tools", monkeypatch)
    _, called, result, answer = capsys.readouterr().out.splitlines()
    assert "get_weather" in called
    assert "Paris" in result
    assert "tool result" in answer


class Browser:
    """The browser's end of an ASGI connection."""

    def __init__(self) -> None:
        self.status = 0
        self.body = b""
        self.complete = False
        self.got_something = anyio.Event()
        self.left = anyio.Event()

    async def receive(self) -> dict[str, Any]:
        """Return what the browser sends: nothing, until it leaves."""
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        """Take what the application sends."""
        self.status = message.get("status", self.status)
        self.body += message.get("body", b"")
        self.complete = message["type"] == "http.response.body" and not message.get("more_body")
        if self.body:
            self.got_something.set()


SCOPE = {"type": "http", "query_string": b"q=Tell+me+a+story"}


@pytest.fixture
def handler(monkeypatch: pytest.MonkeyPatch, simulator: Simulator, secret_key: str) -> dict[str, Any]:
    """The web handler, with the simulator as its provider."""
    monkeypatch.setenv("MODEL", "openai/any")
    monkeypatch.setenv("OPENAI_API_KEY", secret_key)
    monkeypatch.setenv("OPENAI_API_BASE", simulator.url)
    return runpy.run_path(str(EXAMPLES / "web_handler.py"))


@pytest.mark.anyio
async def test_the_web_handler_streams_the_answer(handler: dict[str, Any]) -> None:
    """The pieces that the browser gets make up the answer."""
    browser = Browser()
    await handler["app"](SCOPE, browser.receive, browser.send)
    await handler["llm"].aclose()
    events = browser.body.decode().split("\n\n")
    text = "".join(json.loads(event.removeprefix("data: ")) for event in events if event)
    assert (browser.status, browser.complete) == (200, True)
    assert text.startswith('Simulated answer to: "Tell me a story"')


@pytest.mark.anyio
async def test_a_closed_tab_closes_the_connection_to_the_provider(
    handler: dict[str, Any], simulator: Simulator
) -> None:
    """When the browser leaves, the provider's connection is closed, and the handler ends."""
    simulator.faults(Fault("stall", after_chunks=3))
    browser = Browser()
    async with anyio.create_task_group() as group:
        group.start_soon(handler["app"], SCOPE, browser.receive, browser.send)
        await browser.got_something.wait()
        browser.left.set()
    await simulator.seen.wait_async(lambda seen: seen.connections_aborted == 1)
    await handler["llm"].aclose()
    assert not browser.complete


@pytest.mark.anyio
async def test_the_web_handler_follows_the_life_of_the_server(handler: dict[str, Any]) -> None:
    """It warms the client up at the start, and closes it at the end."""
    told = iter(["lifespan.startup", "lifespan.shutdown"])
    said = []

    async def receive() -> dict[str, Any]:
        return {"type": next(told)}

    async def send(message: dict[str, Any]) -> None:
        said.append(message["type"])

    await handler["app"]({"type": "lifespan"}, receive, send)
    assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    with pytest.raises(RuntimeError, match="closed"):
        await handler["llm"].acompletion("Hello")


def test_every_example_is_listed() -> None:
    """The README of the examples names each script, and none is longer than a screen or two."""
    listed = (EXAMPLES / "README.md").read_text()
    for script in EXAMPLES.glob("*.py"):
        assert f"({script.name})" in listed
        assert len(script.read_text().splitlines()) < 60
