"""A batch in a process of its own, which may be killed: `python -m benchmarks.batch.child '{"url": ..., ...}'`.

It says `ready` when it begins, and appends the index of every outcome that it is handed to a file at once.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from typing import Any

import anyio

from asyncllm import LLM, AsyncLLM, JournalError, Request


@dataclass(frozen=True, slots=True)
class Task:
    """The task of a child.

    Attributes:
        url: The provider.
        journal: The journal.
        handed: The file that lists the outcomes which it was handed.
        items: The number of items.
        slots: The most that may be in flight.
        backend: `asyncio`, `trio`, or `blocking` for the client without await.
        durability: Of the journal.
        text: The text of each prompt, beside its number.
    """

    url: str
    journal: str
    handed: str
    items: int
    slots: int
    backend: str = "asyncio"
    durability: str = "normal"
    text: str = ""

    def to_json(self) -> str:
        """Return it as an argument of the command line."""
        return json.dumps(asdict(self))


def prompt(number: int, text: str = "") -> str:
    """Return the prompt of an item."""
    return f"question {number}.{text}"


def number_of(messages: list[dict[str, Any]]) -> int:
    """Return the item of a prompt."""
    return int(messages[-1]["content"].split()[1].split(".")[0])


def _requests(task: Task) -> Any:
    return (Request(prompt(number, task.text), id=f"{number}") for number in range(task.items))


def _options(task: Task) -> Any:
    return {"model": "openai/gpt-4o-mini", "base_url": task.url, "api_key": "simulated", "max_concurrency": task.slots}


async def _run(task: Task, handed: int) -> None:
    batch: Any = {"journal": task.journal, "durability": task.durability}
    async with AsyncLLM(**_options(task)) as llm, llm.map(_requests(task), **batch) as outcomes:
        async for outcome in outcomes:
            os.write(handed, b"%d\n" % outcome.index)


def _run_blocking(task: Task, handed: int) -> None:
    batch: Any = {"journal": task.journal, "durability": task.durability}
    with LLM(**_options(task)) as llm, llm.map(_requests(task), **batch) as outcomes:
        for outcome in outcomes:
            os.write(handed, b"%d\n" % outcome.index)


def main() -> int:
    """Run the task of the command line."""
    task = Task(**json.loads(sys.argv[1]))
    handed = os.open(task.handed, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    print("ready", flush=True)
    try:
        if task.backend == "blocking":
            _run_blocking(task, handed)
        else:
            anyio.run(_run, task, handed, backend=task.backend)
    except KeyboardInterrupt:
        return 130
    except JournalError as error:
        print(f"JournalError: {error}", flush=True)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
