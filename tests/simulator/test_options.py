"""The options of a simulator on a command line, and the foreground."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from urllib.request import urlopen

import pytest

from asyncllm.simulator import Fault, Latency, Limit
from asyncllm.simulator.faults import AT, GARBAGE, KINDS, RETRY_AFTER_FORMS
from asyncllm.simulator.faults.kinds import REDIRECTS
from asyncllm.simulator.formats.error_bodies import STYLES
from asyncllm.simulator.server.options import manual, parse_fault, parse_latency, parse_limit


def test_options_are_read_from_text() -> None:
    """Latency, limits and faults are read from one line each."""
    assert parse_latency("first_token_s=0.3, tokens_per_s=80") == Latency(first_token_s=0.3, tokens_per_s=80)
    assert parse_limit("tokens,per_minute=90000,headers=false") == Limit(kind="tokens", per_minute=90000, headers=False)
    assert parse_fault("status,code=429,retry_after=2,rate=0.1") == Fault("status", code=429, retry_after=2, rate=0.1)
    assert parse_fault("cut,after_chunks=3,stream=true") == Fault("cut", after_chunks=3, stream=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("status,kode=429", "no option kode; it has kind, rate"),
        ("status,code=many", "code takes a number, not 'many'"),
        ("stall,stream=perhaps", "stream takes true or false"),
        ("status,429", "'429' is not of the form option=value"),
        ("explode", "must be one of status, delay"),
    ],
)
def test_mistakes_are_explained(text: str, message: str) -> None:
    """A mistake is a ValueError that names what would be right."""
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_fault(text)


def test_the_manual_is_complete() -> None:
    """The manual names every kind of fault, every option of a fault, a limit and a latency, and their values."""
    text = manual()
    options = {*Fault.__dataclass_fields__, *Limit.__dataclass_fields__, *Latency.__dataclass_fields__} - {"kind"}
    words = {*options, *KINDS, *GARBAGE, *STYLES, *RETRY_AFTER_FORMS, *AT, *REDIRECTS}
    assert not [word for word in words if word not in text]
    assert max(map(len, text.splitlines())) <= 80


def test_it_serves_in_the_foreground_until_sigterm() -> None:
    """`serve` announces the running simulator, and stops it at SIGTERM."""
    code = (
        "from asyncllm.simulator import Simulator; "
        "from asyncllm.simulator.server.foreground import serve; "
        "simulator = Simulator(); "
        "serve(simulator, lambda simulator: print(simulator.url, flush=True)); print(simulator.seen)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with urlopen(f"{url}/models", timeout=10) as answer:
            assert b"simulator" in answer.read()
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(timeout=10) == 0
        assert "requests=1" in process.stdout.read()
