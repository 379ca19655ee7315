"""Programs as their users run them: interrupted, forking, and forgetful."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from asyncllm.simulator import Fault, Simulator

WARNINGS = ["-W", "error", "-W", "ignore::DeprecationWarning"]  # litellm's own, and those of Python of a fork

# What a script may be doing when Ctrl-C comes; `begun` says that every block that must be left again has been entered.
DOING = {
    "a call": """
with LLM(**options) as llm:
    begun()
    llm.completion('hi')
""",
    "a one-off call": "begun(); asyncllm.completion('hi', **options)",
    "a stream in its block": """
with LLM(**options) as llm, llm.stream('hi') as stream:
    begun()
    list(stream)
""",
    "a gathered batch": """
with LLM(**options) as llm:
    begun()
    llm.gather(['a', 'b'])
""",
    "a batch in its block": """
with LLM(**options) as llm, llm.map(['a', 'b']) as outcomes:
    begun()
    list(outcomes)
""",
    "a typed stream": """
with LLM(**options) as llm, llm.stream_items(int, 'hi') as items:
    begun()
    list(items)
""",
}


def start(code: str, folder: Path, **options: object) -> subprocess.Popen[str]:
    """Start a script as its user would."""
    head = f"import asyncllm\nfrom asyncllm import LLM, AsyncLLM\noptions = {options!r}\n"
    return subprocess.Popen(
        [sys.executable, *WARNINGS, "-c", head + code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{Path(__file__).parents[2]}:{os.environ['PYTHONPATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Wait for a script to end by itself, and return what it said."""
    try:
        return process.communicate(timeout=60)
    finally:
        process.kill()


def interrupted(doing: str, folder: Path, transport: str) -> tuple[str, str, int]:
    """Press Ctrl-C in the middle; return what the script said then, and how many connections it cut."""
    stall = Fault("stall", after_chunks=3) if "stream" in doing else Fault("stall")
    body = "\n    ".join(DOING[doing].strip().splitlines())
    begun = "def begun():\n    print('begun', flush=True)\n"
    code = f"{begun}try:\n    {body}\nexcept KeyboardInterrupt:\n    print('interrupted')\n"
    with Simulator(faults=[stall]) as provider:
        options = {"model": "openai/gpt-4o", "base_url": provider.url, "api_key": "sk-0", "transport": transport}
        process = start(code, folder, **options)
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        # A request that has arrived is waited for by a script that is inside of its call.
        provider.seen.wait(lambda seen: seen.in_flight == (2 if "batch" in doing else 1), 60.0)
        process.send_signal(signal.SIGINT)
        out, err = finish(process)
        provider.seen.wait(lambda seen: seen.connections_open == 0)
        return out, err, provider.seen.connections_aborted


@pytest.mark.parametrize("doing", DOING)
def test_ctrl_c_ends_it_and_leaves_nothing(doing: str, tmp_path: Path) -> None:
    """The script gets its KeyboardInterrupt, the provider loses its client, and there are no warnings."""
    out, err, aborted = interrupted(doing, tmp_path, "wire")
    assert (out, err) == ("interrupted\n", "")
    assert aborted == (2 if "batch" in doing else 1)


def test_ctrl_c_crosses_the_bridge(tmp_path: Path) -> None:
    """The same holds where litellm makes the request, on the thread of its own loop."""
    assert interrupted("a batch in its block", tmp_path, "litellm") == ("interrupted\n", "", 2)


FORKING = """
import os
import sys

def in_child(use, close):
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            use()
        except asyncllm.UnsupportedError as error:
            print("forked" in error.message)
        close()
        sys.exit()  # regularly, with all that is done at the end
    assert os.waitpid(child, 0)[1] == 0
"""


def test_a_blocking_client_does_not_survive_a_fork(tmp_path: Path, simulator: Simulator) -> None:
    """In the child it says so rather than wait for a thread that is not there, and the parent's goes on."""
    code = (
        FORKING
        + """
with LLM(**options) as llm:
    llm.completion("hi")
    in_child(lambda: llm.completion("hi"), llm.close)
    in_child(lambda: llm.completion("hi"), lambda: None)
    print(LLM(**options).completion("hi").finish_reason, llm.completion("hi").finish_reason)
"""
    )
    process = start(code, tmp_path, model="openai/gpt-4o", base_url=simulator.url, api_key="sk-0")
    out, err = finish(process)
    assert out == "True\nTrue\nstop stop\n"
    assert "never closed" in err  # the one that the last line made and forgot


def test_a_client_behind_the_bridge_does_not_survive_a_fork(tmp_path: Path, simulator: Simulator) -> None:
    """Under trio the child says so as well, and a client of its own works there."""
    code = (
        FORKING
        + """
import trio

llm = AsyncLLM(**options)

async def use():
    await llm.acompletion("hi")

async def use_own():
    async with AsyncLLM(**options) as own:
        print((await own.acompletion("hi")).finish_reason)

async def close():
    await llm.aclose()

trio.run(use)
in_child(lambda: trio.run(use), lambda: trio.run(use_own))
trio.run(use)
trio.run(close)
"""
    )
    process = start(code, tmp_path, model="openai/gpt-4o", base_url=simulator.url, api_key="sk-0")
    assert finish(process)[0] == "True\nstop\n"


FORGETTING = {
    "asyncio": "import asyncio\nasyncio.run(use())",
    "trio": "import trio\ntrio.run(use)",
    "blocking": "llm = LLM(**options)\nprint(llm.completion('hi').finish_reason)",
}


@pytest.mark.parametrize("way", FORGETTING)
def test_a_program_ends_that_forgot_to_close_its_client(way: str, tmp_path: Path, simulator: Simulator) -> None:
    """A client that lives as long as the program keeps it from nothing, least of all from ending."""
    code = f"""
llm = AsyncLLM(**options)

async def use():
    print((await llm.acompletion("hi")).finish_reason)

{FORGETTING[way]}
"""
    process = start(code, tmp_path, model="openai/gpt-4o", base_url=simulator.url, api_key="sk-0")
    out, _ = finish(process)
    assert (out, process.returncode) == ("stop\n", 0)
