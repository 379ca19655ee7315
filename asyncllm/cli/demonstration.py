"""What `asyncllm demo` shows: a call, a stream, a typed answer, a batch, and a table of what happened."""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field

from ..batch.files import BadRow, Layout, Row, RowReader, RowResult, result_writer
from .terminal.batch_progress import BatchProgress
from .terminal.exit_codes import DONE, SOME_FAILED
from .terminal.output import draws, show, terminal, write

if TYPE_CHECKING:
    from .. import AsyncLLM

_MODEL = "simulated/demo"
_RESULTS = Path("out/demo/results.jsonl")
# As fast as a person reads, so that the stream is seen to be one.
_PACE = {"simulator": {"first_token_s": 0.2, "tokens_per_s": 40, "chunk_chars": 6}}
# More in flight than a real provider would need to be kept busy; the simulator answers at once.
_MAX_CONCURRENCY = 50
_NOT_SENT = "not sent, the message is empty"
_SHOWN_PROBLEMS = 10  # so that the table stays on the screen
_HALF_A_SCREEN = 500  # characters
_PROMPT = "Read this message to the support of a shop:\n\n"


class Ticket(BaseModel):
    """What a message to the support is about."""

    customer: str | None = Field(description="Name of the customer")
    email: str | None = Field(description="Email address of the customer")
    order_number: str | None = Field(description="Number of the order")
    amount: float | None = Field(description="Amount of money that is mentioned")
    topic: Literal["delivery", "return", "refund", "invoice", "broken", "question", "other"]


async def show_all(path: Path) -> int:
    """Show everything, and return the exit code.

    Args:
        path: A JSONL file whose rows have a `text`.
    """
    from .. import AsyncLLM

    write("A simulator on this machine gives all answers: no key, no internet, no cost.\n")
    began = time.monotonic()
    async with AsyncLLM(model=_MODEL) as llm:
        with ExitStack() as waiting:
            if draws(sys.stderr):
                waiting.enter_context(terminal(stderr=True).status("starting"))
            await llm.warm_up()
        await _call(llm)
        await _stream(llm)
        rows, unusable = _read(path)
        await _typed_answer(llm, rows)
        batch = await _batch(llm, rows, unusable)
        _table(llm, batch, time.monotonic() - began)
    return SOME_FAILED if batch.failed else DONE


async def _call(llm: AsyncLLM) -> None:
    from rich.text import Text

    prompt = "Why do people answer support mail so late?"
    _heading("A call", f'await llm.acompletion("{prompt}")')
    answer = await llm.acompletion(prompt)
    show(Text(answer.text))


async def _stream(llm: AsyncLLM) -> None:
    prompt = "Reply to somebody whose parcel is late."
    _heading("A stream", f'async with llm.stream("{prompt}") as stream: ...')
    try:
        async with llm.stream(prompt, extra_body=_PACE) as stream:
            async for chunk in stream:
                write(chunk.text)
    finally:
        write("\n")


async def _typed_answer(llm: AsyncLLM, rows: list[Row]) -> None:
    from rich.padding import Padding
    from rich.pretty import pretty_repr
    from rich.text import Text

    message = next((row.data["text"] for row in rows if _is_typical(row.data["text"])), None)
    if message is None:
        return
    _heading("A typed answer", "await llm.extract(Ticket, message)")
    show(Padding(Text(message, style="italic"), (0, 2)))
    ticket = await llm.extract(Ticket, _PROMPT + message)
    show(Text(pretty_repr(ticket)))


async def _batch(llm: AsyncLLM, rows: list[Row], unusable: list[BadRow]) -> BatchProgress:
    from .. import Request

    _heading("A batch", "async with llm.map(requests, response_model=Ticket) as outcomes: ...")
    requests = [Request(_PROMPT + row.data["text"], id=_id(row), data=row) for row in rows]
    problems = [f"line {row.line}: {row.problem}" for row in unusable]
    _RESULTS.parent.mkdir(parents=True, exist_ok=True)
    unfinished = _RESULTS.with_suffix(".part")
    try:
        with unfinished.open("wb") as file, ExitStack() as stack:
            progress = stack.enter_context(BatchProgress(len(requests)))
            results = stack.enter_context(result_writer(file, Layout()))
            batch = llm.map(requests, ordered=True, response_model=Ticket, max_concurrency=_MAX_CONCURRENCY)
            async with batch as outcomes:
                async for outcome in outcomes:
                    progress.advance(ok=outcome.ok)
                    results.write(outcome.data.data, RowResult.of(outcome.data.index, outcome, _dumped))
                    if outcome.error is not None:
                        problems.append(f"line {outcome.data.line}: {outcome.error}")
        os.replace(unfinished, _RESULTS)
    finally:
        unfinished.unlink(missing_ok=True)
    write(f"{len(rows) + len(unusable)} messages: {progress.counts}, {len(unusable)} not sent\n")
    write("".join(f"  {problem}\n" for problem in problems[:_SHOWN_PROBLEMS]))
    return progress


def _table(llm: AsyncLLM, batch: BatchProgress, elapsed_s: float) -> None:
    from rich.table import Table

    stats = llm.stats()
    table = Table(title="What happened", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, value in (
        ("calls", f"{stats.calls:,}"),
        ("of these failed", f"{stats.failed:,}"),
        ("retries", f"{stats.retries:,}"),
        ("rows of the batch answered", f"{batch.done:,}"),
        ("tokens sent", f"{stats.input_tokens:,}"),
        ("tokens received", f"{stats.output_tokens:,}"),
        ("cost at the simulator's made-up prices", f"${stats.cost_usd:.4f}"),
        ("seconds", f"{elapsed_s:.1f}"),
    ):
        table.add_row(name, value)
    write("\n")
    show(table)
    write(f"The results are in {_RESULTS}. What else there is: asyncllm --help.\n")


def _heading(title: str, code: str) -> None:
    from rich.text import Text

    show(Text.assemble("\n", (title, "bold"), "  ", (code, "dim")))


def _read(path: Path) -> tuple[list[Row], list[BadRow]]:
    """Read the messages, and apart from them the rows that have none."""
    reader = RowReader("jsonl", str(path))
    rows: list[Row] = []
    unusable: list[BadRow] = []
    for row in [*reader.feed(path.read_bytes()), *reader.close()]:
        if isinstance(row, BadRow):
            unusable.append(row)
        elif isinstance(text := row.data.get("text"), str) and text.strip():
            rows.append(row)
        else:
            unusable.append(BadRow(row.index, row.line, _NOT_SENT, row.size_bytes, row.data))
    return rows, unusable


def _dumped(ticket: Ticket) -> dict[str, Any]:
    return ticket.model_dump(mode="json")


def _id(row: Row) -> str | None:
    name = row.data.get("id")
    return None if name is None else str(name)


def _is_typical(message: str) -> bool:
    """Tell whether a message shows on half a screen what there is to extract."""
    return "@" in message and len(message) < _HALF_A_SCREEN
