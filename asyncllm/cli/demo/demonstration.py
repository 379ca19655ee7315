"""The steps of `asyncllm demo`: a call, a stream, a typed answer, a batch, and a table of what happened."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field

from ...batch.files import AnswerSchema, BadRow, Layout, Row, RowReader, RowResult, result_writer
from ...batch.formatting import dollars, draws, duration, number
from ...batch.progress import Tally
from ...batch.progress_line import ProgressLine
from ..replaced_file import replacing
from ..terminal.exit_codes import DONE, SOME_FAILED
from ..terminal.output import show, terminal, write

if TYPE_CHECKING:
    from ... import AsyncLLM

_MODEL = "simulated/demo"
_RESULTS = Path("out/demo/results.jsonl")
# As fast as a person reads, so that the stream can be seen.
_PACE = {"simulator": {"first_token_s": 0.2, "tokens_per_s": 40, "chunk_chars": 6}}
# More in flight than a real provider would need; the simulator answers at once.
_MAX_CONCURRENCY = 50
_NOT_SENT = "not sent, the message is empty"
_SHOWN_PROBLEMS = 10  # so that the table stays on the screen
_HALF_A_SCREEN = 500  # characters
_PROMPT = "Read this message to the support of a shop:\n\n"


class Ticket(BaseModel):
    """A message to the support."""

    customer: str | None = Field(description="Name of the customer")
    email: str | None = Field(description="Email address of the customer")
    order_number: str | None = Field(description="Number of the order")
    amount: float | None = Field(description="Amount of money that is mentioned")
    topic: Literal["delivery", "return", "refund", "invoice", "broken", "question", "other"]


async def show_all(path: Path) -> int:
    """Show all steps, and return the exit code.

    Args:
        path: A JSONL file whose rows have a `text`.
    """
    from ... import AsyncLLM

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

    message = next(filter(_is_typical, map(_text, rows)), None)
    if message is None:
        return
    _heading("A typed answer", "await llm.extract(Ticket, message)")
    show(Padding(Text(message, style="italic"), (0, 2)))
    ticket = await llm.extract(Ticket, _PROMPT + message)
    show(Text(pretty_repr(ticket)))


async def _batch(llm: AsyncLLM, rows: list[Row], unusable: list[BadRow]) -> Tally:
    from ... import Request

    _heading("A batch", "async with llm.map(requests, response_model=Ticket) as outcomes: ...")
    requests = [Request(_PROMPT + _text(row), id=_id(row), data=row) for row in rows]
    problems = [f"line {row.line}: {row.problem}" for row in unusable]
    _RESULTS.parent.mkdir(parents=True, exist_ok=True)
    tally, answers, began = Tally(), AnswerSchema(Ticket), time.monotonic()
    with replacing(_RESULTS) as file, result_writer(file, Layout()) as results:
        batch = llm.map(
            requests,
            ordered=True,
            response_model=Ticket,
            max_concurrency=_MAX_CONCURRENCY,
            progress=ProgressLine(stays=False).show,
        )
        async with batch as outcomes:
            async for outcome in outcomes:
                tally.add(outcome)
                row: Row = outcome.data
                results.write(row.data, RowResult.of(row.index, outcome, answers))
                if outcome.error is not None:
                    problems.append(f"line {row.line}: {outcome.error}")
    failed = f", {tally.failed:,} failed" if tally.failed else ""
    rate = number(tally.done / (time.monotonic() - began))
    write(f"{len(rows) + len(unusable)} messages: {tally.done:,} done{failed}, {rate}/s, {len(unusable)} not sent\n")
    write("".join(f"  {problem}\n" for problem in problems[:_SHOWN_PROBLEMS]))
    return tally


def _table(llm: AsyncLLM, batch: Tally, elapsed_s: float) -> None:
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
        ("cost at the simulator's made-up prices", dollars(stats.cost_usd)),
        ("took", duration(elapsed_s)),
    ):
        table.add_row(name, value)
    write("\n")
    show(table)
    write(f"The results are in {_RESULTS}. What else there is: asyncllm --help.\n")


def _heading(title: str, code: str) -> None:
    from rich.text import Text

    show(Text.assemble("\n", (title, "bold"), "  ", (code, "dim")))


def _read(path: Path) -> tuple[list[Row], list[BadRow]]:
    """Return the rows that have a message, and those that have none."""
    rows: list[Row] = []
    unusable: list[BadRow] = []
    with path.open("rb") as file:
        for row in RowReader(file, "jsonl", str(path)):
            if isinstance(row, BadRow):
                unusable.append(row)
            elif _text(row).strip():
                rows.append(row)
            else:
                unusable.append(BadRow(row.index, row.line, _NOT_SENT, row.size_bytes, row.data))
    return rows, unusable


def _text(row: Row) -> str:
    text = row.data.get("text")
    return text if isinstance(text, str) else ""


def _id(row: Row) -> str | None:
    name = row.data.get("id")
    return None if name is None else str(name)


def _is_typical(message: str) -> bool:
    """Return whether a message shows on half a screen what there is to extract."""
    return "@" in message and len(message) < _HALF_A_SCREEN
