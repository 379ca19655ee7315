"""A call over litellm changes nothing global: other libraries, the garbage collector, the environment, stderr."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from asyncllm.simulator import Fault, Simulator
from asyncllm.transports.litellm.importing import OFFLINE
from tests.support.secrets import SECRET

PROGRAM = """
import gc, json, os, sys, threading
import aiohttp, anyio, httpx
import openai  # whose own import gives the classes of httpx that it exports its name
from asyncllm import AsyncLLM, AsyncLLMError

ROOTS = ("aiohttp", "httpx", "json")

def snapshot():
    taken = {}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in ROOTS:
            for attribute, value in list(vars(module).items()):
                taken[f"{name}.{attribute}"] = value
                if isinstance(value, type) and value.__module__.partition(".")[0] in ROOTS:
                    taken |= {f"{name}.{attribute}.{inner}": held for inner, held in list(vars(value).items())}
    return taken

class Watch(threading.Thread):
    def __init__(self):
        super().__init__()
        self.loads, self.ended, self.looks, self.seen = json.loads, threading.Event(), 0, set()

    def run(self):
        while not self.ended.wait(0.001):
            self.looks += 1
            self.seen.add((json.loads is self.loads, gc.isenabled(), gc.get_freeze_count()))

async def ask(model, base_url):
    async with AsyncLLM(model=model, base_url=base_url, api_key=KEY, transport="litellm", num_retries=0) as llm:
        for answer in (llm.acompletion, lambda text: llm.stream(text).collect()):
            try:
                print(bool((await answer("hi")).text))
            except AsyncLLMError as error:
                print(type(error).__name__)

async def main():
    for model, base_url in CALLS:
        await ask(model, base_url)

before, environment, frozen = snapshot(), dict(os.environ), gc.get_freeze_count()
watch = Watch()
watch.start()
anyio.run(main)
watch.ended.set()
watch.join()
after = snapshot()
changed = sorted(name for name, value in before.items() if name not in after or after[name] is not value)
print(json.dumps({
    "changed": changed,
    "looks": watch.looks,
    "seen": sorted(watch.seen),
    "frozen": frozen,
    "environment": {name: value for name, value in os.environ.items() if environment.get(name) != value},
    "removed": sorted(environment.keys() - os.environ.keys()),
}))
"""


def run(calls: list[tuple[str, str]], folder: Path) -> tuple[list[str], dict[str, Any], str]:
    """Run the program, and return what its calls brought, what it found, and what stood on stderr."""
    ran = subprocess.run(
        [sys.executable, "-c", f"KEY = {SECRET!r}\nCALLS = {calls!r}\n{PROGRAM}"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{Path(__file__).parents[2]}:{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    *answers, found = ran.stdout.splitlines()
    return answers, json.loads(found), ran.stderr


def test_a_call_over_litellm_changes_nothing_global(tmp_path: Path, simulator: Simulator) -> None:
    """litellm's import and calls leave json, httpx, aiohttp, the collector, the environment and stderr alone."""
    calls = [("openai/gpt-4o-mini", simulator.url), ("anthropic/claude-sonnet-4-5", simulator.root_url)]
    answers, found, said = run(calls, tmp_path)
    assert answers == ["True"] * 4
    assert found["changed"] == []
    assert found["looks"] > 100
    assert found["seen"] == [[True, True, found["frozen"]]]
    assert found["environment"].items() <= OFFLINE.items()
    assert found["removed"] == []
    assert said == ""


@pytest.mark.parametrize("after_chunks", [0, 2])
def test_odd_answers_print_nothing(tmp_path: Path, simulator: Simulator, after_chunks: int) -> None:
    """Values of types that they should not have do not make pydantic warn on stderr."""
    simulator.faults(Fault("garbage", what="wrong_types", after_chunks=after_chunks))
    answers, _, said = run([("openai/gpt-4o-mini", simulator.url)], tmp_path)
    assert answers == ["MalformedResponseError", "StreamInterruptedError" if after_chunks else "MalformedResponseError"]
    assert said == ""
