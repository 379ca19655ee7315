"""The end of a batch: each of its requests is answered, fails, expires, or is cancelled."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from ..answers.composition import compose
from ..answers.conversation import ChatRequest, InvalidRequestError
from ..formats.provider_format import ErrorDetails, ProviderFormat
from ..server.routes import MALFORMED, chat_format, read_chat
from .behaviour import BatchSimulation
from .requests import BatchLine, SimulatedBatch


class LineResult(NamedTuple):
    """The result of one request.

    Attributes:
        kind: `succeeded`, `errored`, `expired` or `canceled`.
        status: The HTTP status of an answer or error.
        body: The answer or the error in the provider's format.
        prompt: The text of the request, where it was answered.
    """

    kind: str
    status: int = 0
    body: bytes = b""
    prompt: str = ""


Written = Callable[[str, LineResult], tuple[bytes, bool]]
"""Writes a result as a line; returns it, and whether it belongs to the answers rather than to the errors."""


def finish(batch: SimulatedBatch, behaviour: BatchSimulation, write: Written, status: str, now: float) -> None:
    """End a batch, and make its results.

    Args:
        status: How it ends: `completed`, `expired` or `cancelled`, which answers nothing more.
    """
    faults = behaviour.faults
    batch.ended_at, batch.status = now, status
    for line in batch.lines:
        draw = Random(f"{line.custom_id}")
        if status != "completed":
            result = LineResult("expired" if status == "expired" else "canceled")
        elif draw.random() < faults.expired:
            result = LineResult("expired")
            batch.status = "expired"
        else:
            result = _answer(line, failing=draw.random() < faults.failed)
        if result.kind == "succeeded":
            batch.answered += 1
            behaviour.billed[result.prompt] += 1
        if draw.random() < faults.missing:
            continue
        written, is_answer = write(line.custom_id, result)
        target = batch.results if is_answer else batch.errors
        target.append(written)
        if draw.random() < faults.duplicated:
            target.append(written)
    if faults.shuffled:
        Random(len(batch.lines)).shuffle(batch.results)
    batch.lines = [BatchLine(line.custom_id, line.path, {}) for line in batch.lines]


def ending_of(batch: SimulatedBatch, behaviour: BatchSimulation) -> str | None:
    """Return how a batch ends by now: `expired` or `completed`; None while it goes on, and when it has ended."""
    if batch.status != "in_progress":
        return None
    age = behaviour.now - batch.created_at
    if age >= behaviour.window_s:
        return "expired"
    return "completed" if age >= behaviour.takes_s else None


def prompt_tokens(line: BatchLine) -> int:
    """Return the tokens of a request's prompt; 0 for one that fails by itself when it is processed."""
    try:
        return read_line(line)[1].prompt_tokens
    except InvalidRequestError:
        return 0


def read_line(line: BatchLine) -> tuple[ProviderFormat, ChatRequest]:
    """Read one request of a batch.

    Raises:
        InvalidRequestError: The provider would not accept it.
    """
    format_, model = chat_format(line.path)
    if format_ is None:
        raise InvalidRequestError(f"the URL {line.path!r} is none that batches serve", "url")
    headers = {"anthropic-version": "2023-06-01"}
    return format_, read_chat(format_, json.dumps(line.body).encode(), headers, model)


def _answer(line: BatchLine, *, failing: bool) -> LineResult:
    format_, _ = chat_format(line.path)
    assert format_ is not None
    if failing:
        return LineResult("errored", *format_.error(ErrorDetails(500)))
    try:
        format_, chat = read_line(line)
        return LineResult("succeeded", 200, format_.plain(chat, compose(chat), (0, 0)), chat.all_text.strip())
    except InvalidRequestError as error:
        details = ErrorDetails(400, message=error.message, param=error.param)
    except MALFORMED as problem:
        details = ErrorDetails(400, message=f"no answer can be made for this request: {problem!r}")
    return LineResult("errored", *format_.error(details))
