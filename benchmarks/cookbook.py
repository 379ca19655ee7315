"""One file of requests, given to `asyncllm batch` and to a script as the OpenAI cookbook describes one.

The script is written anew from that description: two buckets, of requests and of tokens, filled at a rate that the user
states; five attempts for a request; and 15 s in which nothing is sent after each refusal for the rate. It is run with
the provider's true limit, and with twice that, as a user who does not know the limit may state it.

Source: OpenAI cookbook, "How to handle rate limits", parallel processing script.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from asyncllm.testing import Latency, Limit, Simulator

_ITEMS = 1_000
_PER_S = 50
_ATTEMPTS = 5
_PAUSE_S = 15.0
_TOKENS_PER_MINUTE = 1_000_000_000  # tokens are not what limits here
_TOKENS_OF_A_REQUEST = 100
_LOOK_EVERY_S = 0.001


@dataclass
class Script:
    """The script's state, and what it does.

    Attributes:
        url: The endpoint.
        per_minute: The requests a minute that its user states.
        refused: Answers of 429.
        lost: Requests that were given up.
    """

    url: str
    per_minute: float
    refused: int = 0
    lost: int = 0
    in_progress: int = 0
    last_refusal: float = -_PAUSE_S
    again: deque[tuple[dict[str, Any], int]] = field(default_factory=deque)

    async def run(self, source: Path, output: Path) -> None:
        """Send every request of a file, and write answers as they come."""
        requests_left, tokens_left = self.per_minute / 60, _TOKENS_PER_MINUTE / 60
        filled = time.monotonic()
        with source.open() as lines, output.open("a") as results:
            coming = map(json.loads, lines)
            following: tuple[dict[str, Any], int] | None = None
            async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
                while True:
                    if following is None:
                        following = self.again.popleft() if self.again else _first_time(next(coming, None))
                    now = time.monotonic()
                    share = (now - filled) / 60
                    requests_left = min(requests_left + self.per_minute * share, self.per_minute)
                    tokens_left = min(tokens_left + _TOKENS_PER_MINUTE * share, _TOKENS_PER_MINUTE)
                    filled = now
                    if following is not None and requests_left >= 1 and tokens_left >= _TOKENS_OF_A_REQUEST:
                        requests_left -= 1
                        tokens_left -= _TOKENS_OF_A_REQUEST
                        self.in_progress += 1
                        tasks.create_task(self._send(session, *following, results))
                        following = None
                    if following is None and not self.in_progress and not self.again:
                        following = _first_time(next(coming, None))
                        if following is None:
                            return
                    await asyncio.sleep(_LOOK_EVERY_S)
                    if (since := time.monotonic() - self.last_refusal) < _PAUSE_S:
                        await asyncio.sleep(_PAUSE_S - since)

    async def _send(self, session: aiohttp.ClientSession, row: dict[str, Any], left: int, results: Any) -> None:
        headers = {"Authorization": "Bearer any"}
        async with session.post(f"{self.url}/chat/completions", json=row["body"], headers=headers) as answer:
            content = await answer.json()
        if answer.status == 200:
            results.write(json.dumps([row["custom_id"], content]) + "\n")
        else:
            if answer.status == 429:
                self.refused += 1
                self.last_refusal = time.monotonic()
            if left > 1:
                self.again.append((row, left - 1))
            else:
                self.lost += 1
        self.in_progress -= 1


def _first_time(row: dict[str, Any] | None) -> tuple[dict[str, Any], int] | None:
    return None if row is None else (row, _ATTEMPTS)


def compare(folder: Path, report: Callable[..., None]) -> None:
    """Run the same file through both, and print what each took.

    Args:
        folder: Where files may be made.
        report: Prints a figure.
    """

    source = folder / "requests.jsonl"
    with source.open("w") as file:
        for number in range(_ITEMS):
            body = {"model": "gpt-4o", "messages": [{"role": "user", "content": f"Question {number}"}]}
            row = {"custom_id": f"q{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}
            file.write(json.dumps(row) + "\n")
    print(f"        {_ITEMS:,} requests, {_PER_S} a second allowed: {_ITEMS / _PER_S:.0f} s at best", flush=True)
    for stated, name in ((_PER_S * 60, "the true limit"), (_PER_S * 120, "twice the limit")):
        with _provider() as provider:
            script = Script(provider.url, stated)
            began = time.monotonic()
            asyncio.run(script.run(source, folder / f"script-{stated}.jsonl"))
            elapsed_s = time.monotonic() - began
            lines = len(inspect.getsource(Script).splitlines())
            report(
                f"a script as the cookbook's, told {name}",
                f"{elapsed_s:.1f} s, {provider.seen.statuses[429]:,} answers of 429, {script.lost:,} requests lost, "
                f"{lines} lines to keep here",
            )
    _ours(source, report)


def _ours(source: Path, report: Callable[..., None]) -> None:
    with _provider() as provider:
        command = [sys.executable, "-m", "asyncllm", "batch", source.name, "-o", "out.jsonl"]
        command += ["--set", "model=openai/gpt-4o", "--set", f"base_url={provider.url}", "--set", "api_key=any"]
        began = time.monotonic()
        subprocess.run(command, cwd=source.parent, check=False, capture_output=True)
        elapsed_s = time.monotonic() - began
        with (source.parent / "out.jsonl").open() as file:
            rows = [json.loads(line) for line in file]
        lost = _ITEMS - sum(row["ok"] for row in rows)
        in_order = [row["id"] for row in rows] == [f"q{number}" for number in range(_ITEMS)]
        report(
            "asyncllm batch, told nothing of the limit",
            f"{elapsed_s:.1f} s, {provider.seen.statuses[429]:,} answers of 429, {lost} requests lost, one command; "
            f"results {'in order' if in_order else 'out of order'}",
            ok=not lost and in_order,
        )


def _provider() -> Simulator:
    limit = Limit("requests", per_second=_PER_S, burst=_PER_S)
    return Simulator(latency=Latency(first_token_s=0.3, spread=0.3), limits=[limit], record=False)
