"""The log of calls: what is in it, its bounds, and what a kill leaves."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from asyncllm import AsyncLLM, BadRequestError, ProviderError, load_config
from asyncllm.call_log import CallLog, LoggedCall
from asyncllm.call_log.database import CallDatabase, Selection
from asyncllm.call_log.writer import open_log
from asyncllm.simulator import Fault, Latency, Simulator
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

EVERY = Selection()


@pytest.fixture(params=["calls.sqlite", "calls/"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A log as a database, and as a folder."""
    return f"{tmp_path}/{request.param}"


def calls(log: str, selection: Selection = EVERY) -> list[LoggedCall]:
    """Return the calls of a log, the oldest first."""
    opened = open_log(log)
    found = list(opened.calls(selection))[::-1]
    opened.close()
    return found


def call(at: float, text: str = "x", **fields: Any) -> LoggedCall:
    """Return a call."""
    return LoggedCall(at, "p", "m", "openai", "wire", "answered", 1.0, messages=[{"content": text}], **fields)


async def test_every_end_of_a_call_is_in_it(options: dict[str, Any], simulator: Simulator, log: str) -> None:
    """Answers, failures, interruptions and cancellations, with usage and cost."""
    async with AsyncLLM(**options, call_log=log) as llm:
        answer = await llm.acompletion("hi", temperature=0.5, extra_headers={"x-key": "header-secret"})
        await llm.stream("hi").collect()
        simulator.faults(Fault("status", code=400, times=1), Fault("cut", after_chunks=3, times=1))
        with pytest.raises(BadRequestError):
            await llm.acompletion("hi")
        with pytest.raises(ProviderError):
            await llm.stream("hi").collect()
        simulator.latency(Latency(first_token_s=60))
        requests = simulator.seen.requests
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(llm.acompletion, "hi")
            await until(lambda: simulator.seen.requests > requests)
            tasks.cancel_scope.cancel()
    found = calls(log)
    assert [one.status for one in found] == ["answered", "answered", "failed", "interrupted", "cancelled"]
    first = found[0]
    assert (first.model, first.provider, first.profile) == (
        options["model"],
        options["model"].partition("/")[0],
        "default",
    )
    assert (first.input_tokens, first.cost_usd) == (answer.usage.input_tokens, answer.cost_usd)
    assert (first.params, first.messages, first.answer) == ({"temperature": 0.5}, None, None)
    assert (found[1].first_token_s or 0) > 0
    assert [one.error for one in found[2:]] == ["BadRequestError", "StreamInterruptedError", "cancelled"]


async def test_prompts_and_answers_with_log_prompts(options: dict[str, Any], log: str) -> None:
    """They can be searched; a batch and a cached answer are in it as well."""
    options |= {"call_log": log, "log_prompts": True, "cache": f"{log.rstrip('/')}.cache"}
    async with AsyncLLM(**options) as llm:
        await llm.acompletion("A question about whales", tenant="acme")
        again = await llm.acompletion("A question about whales", tenant="zoo")
        await llm.gather(["A question about owls"])
    found = calls(log, Selection(words="whales"))
    assert [(one.transport == "cache", one.cost_usd == 0) for one in found] == [(False, False), (True, True)]
    assert [one.tenant for one in found] == ["acme", "zoo"]
    assert [one.saved_usd for one in found] == [None, again.record.saved_usd]
    assert [one.tenant for one in calls(log, Selection(tenant="zoo"))] == ["zoo"]
    assert found[0].prompt_text == "A question about whales"
    assert "whales" in found[0].answer_text
    assert len(calls(log, Selection(words="owls", model="/", profile="default", status="answered"))) == 1
    assert calls(log, Selection(since=time.time() + 60)) == []


async def test_fallbacks_are_one_call(tmp_path: Path, simulator: Simulator) -> None:
    """Of the profile that was asked for, with the model that answered; the log is beside config.toml."""
    file = tmp_path / "config.toml"
    server = f'base_url = "{simulator.url}"\napi_key = "k"\n'
    file.write_text(
        f'[llm]\ncall_log = "calls.sqlite"\nnum_retries = 0\n[llm.main]\nmodel = "openai/gpt-4o"\n{server}'
        f'fallbacks = ["spare"]\n[llm.spare]\nmodel = "openai/gpt-4o-mini"\n{server}'
    )
    simulator.faults(Fault("status", code=503, times=1))
    async with AsyncLLM(load_config("main", path=file)) as llm:
        await llm.acompletion("hi")
    [one] = calls(str(tmp_path / "calls.sqlite"))
    assert (one.profile, one.model, one.status, one.attempts) == ("main", "openai/gpt-4o-mini", "answered", 2)


def test_the_oldest_go_first(tmp_path: Path) -> None:
    """By size and by age; searching finds no removed call."""
    log = CallDatabase(tmp_path / "calls.sqlite", create=True)
    now = time.time()
    log.add([call(now - 86_400 * 9, "whale")], max_bytes=10_000, max_age_days=None)
    log.add([call(now, "owl" * 100) for _ in range(30)], max_bytes=10_000, max_age_days=7)
    assert list(log.calls(Selection(words="whale"))) == []
    kept = [one.id for one in log.calls(EVERY)]
    assert kept == list(range(31, 31 - len(kept), -1))
    assert 5 < len(kept) < 20
    log.close()


def test_totals(log: str) -> None:
    """Calls, tokens and cost by day, model, profile and tenant, of a database and of a folder."""
    opened = open_log(log, create=True)
    opened.add(
        [
            call(0.0, cost_usd=0.25, input_tokens=3, tenant="acme"),
            call(86_400.0, cost_usd=0.5),
            replace(call(86_400.0, cost_usd=0.0, input_tokens=3, saved_usd=0.25), transport="cache", tenant="acme"),
        ],
        max_bytes=10_000,
        max_age_days=None,
    )
    [one] = opened.totals(EVERY, "model")
    assert (one.calls, one.cached, one.cost_usd, one.saved_usd, one.input_tokens) == (3, 1, 0.75, 0.25, 3)
    assert [total.cost_usd for total in opened.totals(EVERY, "day")] == [0.25, 0.5]
    by_tenant = [(total.key, total.calls, total.cost_usd) for total in opened.totals(EVERY, "tenant")]
    assert by_tenant == [(None, 1, 0.5), ("acme", 2, 0.25)]
    assert [total.calls for total in opened.totals(Selection(tenant="acme"), "profile")] == [2]
    opened.close()


@pytest.mark.parametrize("content", [b"no database" * 100, b""])
def test_a_log_that_cannot_be_written_fails_nothing(tmp_path: Path, content: bytes) -> None:
    """It warns once, and leaves the file alone."""
    path = tmp_path / "calls.sqlite"
    path.write_bytes(content)
    if not content:
        path = tmp_path / "missing" / "calls.sqlite"
    log = CallLog(path, max_bytes=1, max_age_days=None)

    def write() -> None:
        log.add(call(0.0))
        log.close()

    with pytest.warns(RuntimeWarning, match="cannot be written"):
        write()
    assert (tmp_path / "calls.sqlite").read_bytes() == content


RUN = """
import sys, time
from asyncllm.call_log import CallLog, LoggedCall
log = CallLog(sys.argv[1], max_bytes=10**9, max_age_days=None)
number = 0
while True:
    log.add(LoggedCall(time.time(), "p", str(number), "openai", "wire", "answered", 0.0))
    print(number, time.time(), flush=True)
    number += 1
    time.sleep(0.0005)
"""


def test_a_kill_loses_the_last_moment_at_the_most(log: str) -> None:
    """kill -9 in a run: what is missing was added within the second before it."""
    worker = subprocess.Popen(
        [sys.executable, "-c", RUN, log], stdout=subprocess.PIPE, text=True, env=os.environ.copy()
    )
    assert worker.stdout is not None
    times: list[float] = []
    while not times or times[-1] - times[0] < 1.2:
        times.append(float(worker.stdout.readline().split()[1]))
    worker.send_signal(signal.SIGKILL)
    times += [float(line.split()[1]) for line in worker.stdout.read().splitlines() if len(line.split()) == 2]
    worker.wait()
    worker.stdout.close()
    found = calls(log)
    assert [one.model for one in found] == [str(number) for number in range(len(found))]
    lost = times[len(found) :]
    assert len(found) > 0
    assert not lost or lost[-1] - lost[0] <= 1.0
    if log.endswith(".sqlite"):
        connection = sqlite3.connect(log)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()
