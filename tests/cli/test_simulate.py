"""`asyncllm simulate`."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from urllib.request import Request, urlopen

import pytest

from asyncllm.simulator import Simulator
from asyncllm.simulator.faults import KINDS
from tests.cli.conftest import Run


def test_it_serves_until_it_is_interrupted() -> None:
    """The address is the first line of stdout, the options hold, and Ctrl-C is the regular end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "asyncllm", "simulate", "--port", "0", "--fault", "answer,text=scripted"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    )
    assert process.stdout is not None
    url = process.stdout.readline().decode().strip()
    body = json.dumps({"model": "any", "messages": [{"role": "user", "content": "Hi"}]}).encode()
    with urlopen(Request(f"{url}/chat/completions", body, {"content-type": "application/json"})) as answer:
        text = json.load(answer)["choices"][0]["message"]["content"]
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert text == "scripted"
    assert process.returncode == 0
    assert out == b""
    assert b"1 requests, 0 refused, 1 met by a fault" in err


def test_its_help_is_the_manual(run: Run) -> None:
    """Formats, latency, limits, every fault and examples are in `--help`."""
    out = run("simulate", "--help").out
    for word in ("FORMATS", "EXAMPLES", "LATENCY", "LIMITS", "FAULTS", "curl", "--max-in-flight", *KINDS):
        assert word in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--fault", "explode"], "--fault explode"),
        (["--limit", "requests,per_hour=1"], "per_hour"),
        (["--limit", "replies,per_minute=1"], "kind must be one of requests, tokens"),
        (["--latency", "fast"], "option=value"),
        (["--port", "70000"], "--port"),
    ],
)
def test_wrong_options_are_refused(run: Run, arguments: list[str], says: str) -> None:
    """What the simulator does not know is said before it starts."""
    ran = run("simulate", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err


def test_a_port_in_use_is_said(run: Run, simulator: Simulator) -> None:
    """Two cannot have one port; the remedy is in the message."""
    ran = run("simulate", "--port", simulator.root_url.rpartition(":")[2])
    assert ran.code == 2
    assert "--port 0" in ran.err
