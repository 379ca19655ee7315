"""Output at a terminal, and in a pipe."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from asyncllm.batch.formatting import printable
from asyncllm.simulator import Fault, Simulator


def at_terminal(
    arguments: list[str], directory: Path, typed: str | None = None, code: int = 0, /, **environment: str
) -> str:
    """Run a command with a terminal for stdout and stderr, for stdin where something is typed; return what it wrote."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "asyncllm", *arguments],
        stdin=subprocess.DEVNULL if typed is None else theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=directory,
        env={**os.environ, "COLUMNS": "80", **environment},
    )
    os.close(theirs)
    if typed is not None:
        os.write(ours, typed.encode())
    pieces = []
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # Linux tells the end of a terminal by an error
            break
        if not piece:
            break
        pieces.append(piece)
    os.close(ours)
    assert process.wait(timeout=30) == code
    return b"".join(pieces).decode()


@pytest.mark.parametrize(
    ("environment", "draws", "colours"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, False, False),
    ],
    ids=["terminal", "no-color", "dumb"],
)
def test_a_terminal_gets_what_it_can_show(
    directory: Path, environment: dict[str, str], draws: bool, colours: bool
) -> None:
    """A bar where the cursor can move, colour where it is wanted, plain lines elsewhere."""
    rows = "".join(json.dumps({"text": f"row {number}"}) + "\n" for number in range(20))
    (directory / "rows.jsonl").write_text(rows)
    written = at_terminal(["batch", "rows.jsonl", "-o", "out.jsonl", "-t", "{text}"], directory, **environment)
    assert "20 done, 0 failed" in written
    assert ("\x1b[" in written) is draws
    assert any(colour in written for colour in ("\x1b[3", "\x1b[9", ";3")) is colours


@pytest.mark.parametrize("command", [["ask"], ["ask", "--no-stream"], ["extract", "builtins:str"]], ids=" ".join)
def test_a_terminal_shows_why_it_waits(directory: Path, simulator: Simulator, command: list[str]) -> None:
    """A retry is a line with its reason; who asked for log events reads it there, once."""
    options = ["--set", f"base_url={simulator.url}", "--set", "api_key=any", "--set", "retry_min_wait=0"]
    asked = [*command, "Hi", "--model", "openai/gpt-5-mini", *options]
    for more, shown in ([], True), (["--log-level", "info"], False):
        simulator.faults(Fault("status", code=503, times=1))
        written = at_terminal([*asked, *more], directory, TERM="xterm")
        assert ("retry 1 of 3 in less than a second: " in written) is shown
        assert ("call.retry" in written) is not shown


def test_an_answer_cannot_steer_the_terminal(directory: Path) -> None:
    """Escape sequences in an answer are not carried out."""
    option = 'extra_body={"simulator": {"text": "a\\u001b]0;title\\u0007b"}}'
    written = at_terminal(["ask", "Hi", "--set", option], directory, TERM="dumb")
    assert "\x1b" not in written
    assert "a\N{REPLACEMENT CHARACTER}]0;title\N{REPLACEMENT CHARACTER}b" in written


@pytest.mark.parametrize(("typed", "code", "sent"), [("y\n", 0, True), ("n\n", 130, False), ("\n", 130, False)])
def test_a_dear_run_is_asked_about(directory: Path, typed: str, code: int, sent: bool) -> None:
    """At a terminal one sees what it may cost, and nothing is sent but for a yes."""
    (directory / "rows.jsonl").write_text('{"text": "a"}\n')
    command = ["batch", "rows.jsonl", "-o", "out.jsonl", "-t", "Say: {text}", "--confirm-above", "0"]
    written = at_terminal(command, directory, typed, code, TERM="xterm")
    assert "1 row, about" in written
    assert "Go on? [y/N]" in written
    assert (directory / "out.jsonl").exists() is sent


def test_text_without_controls_stays() -> None:
    """Line breaks, tabs and other scripts are printed as they are."""
    assert printable("a\tb\nü 漢字 👩‍👩‍👧\r\n") == "a\tb\nü 漢字 👩‍👩‍👧\n"
