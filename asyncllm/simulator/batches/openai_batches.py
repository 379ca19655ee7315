"""OpenAI's batches; Azure's are the same under other paths.

Source: OpenAI, "Batch API", and the API reference of batches.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..answers.conversation import InvalidRequestError
from ..answers.json_values import as_object, encode_json, is_object
from .behaviour import BatchSimulation
from .execution import LineResult, ending_of, finish, read_line
from .files import BatchFiles, page
from .requests import BatchCall, BatchLine, BatchReply, SimulatedBatch, refused

_CANCELLABLE = ("in_progress",)
_EXPIRED = "batch_expired"
_MESSAGES = {
    "expired": (_EXPIRED, "This request could not be executed before the completion window expired."),
    "canceled": ("batch_cancelled", "This request was cancelled."),
}


class OpenAIBatches:
    """The batches of one simulator."""

    _depth = 1  # the parts of a path before the id of a batch

    def __init__(self, behaviour: BatchSimulation, files: BatchFiles) -> None:
        self._behaviour = behaviour
        self._files = files
        self._batches: dict[str, SimulatedBatch] = {}

    def answer(self, call: BatchCall) -> BatchReply:
        """Answer a request about batches."""
        rest = call.path.strip("/").split("/")[self._depth :]
        for under_way in self._batches.values():
            self._advance(under_way)
        if not rest:
            if call.method == "POST":
                return self._create(call)
            return BatchReply.of(self._listed([*reversed(self._batches.values())], call.query))
        batch = self._batches.get(rest[0])
        if batch is None:
            return refused(404, f"No batch found with id '{rest[0]}'.")
        if rest[1:] == ["cancel"]:
            if batch.status not in _CANCELLABLE:
                return refused(409, f"Cannot cancel a batch with status '{batch.status}'.")
            self._end(batch, "cancelled")
        return BatchReply.of(self._shown(batch))

    def _create(self, call: BatchCall) -> BatchReply:
        try:
            body = as_object(json.loads(call.body))
        except (ValueError, TypeError):
            return refused(400, "We could not parse the JSON body of your request.")
        file_id, wrong = self._asked(body)
        file = self._files.get(file_id)
        if file is None or wrong is not None:
            return refused(400, wrong or "there is no such file")
        lines, error = read_lines(file.content, self._behaviour, body.get("model"))
        tokens = sum(line.prompt_tokens for line in lines)
        limit = self._behaviour.max_enqueued_tokens
        waiting = sum(batch.prompt_tokens for batch in self._batches.values() if batch.status == "in_progress")
        if error is None and limit is not None and waiting + tokens > limit:
            error = ("token_limit_exceeded", f"Enqueued token limit reached. Limit: {limit} enqueued tokens.", None)
        batch = SimulatedBatch(
            f"batch_{len(self._batches) + 1:06}", self._behaviour.now, [line.line for line in lines], tokens, body
        )
        self._batches[batch.id] = batch
        if error is not None:
            batch.status, batch.error, batch.ended_at = "failed", error, batch.created_at
        return BatchReply.of(self._shown(batch))

    def _asked(self, body: Mapping[str, object]) -> tuple[object, str | None]:
        """Return the file of a batch that is created, and what is wrong with the rest."""
        wrong = None if body.get("completion_window") == "24h" else "completion_window must be '24h'"
        return body.get("input_file_id"), wrong

    def _listed(self, batches: Sequence[SimulatedBatch], query: Mapping[str, str]) -> dict[str, object]:
        return page([self._shown(batch) for batch in batches], query)

    def _advance(self, batch: SimulatedBatch) -> None:
        ending = ending_of(batch, self._behaviour)
        if ending is not None:
            self._end(batch, ending)

    def _end(self, batch: SimulatedBatch, status: str) -> None:
        finish(batch, self._behaviour, _written, status, self._behaviour.now)
        ids: dict[str, object] = {}
        for name, content in (("output_file_id", batch.results), ("error_file_id", batch.errors)):
            if content:
                ids[name] = self._files.add(f"{batch.id}_{name}.jsonl", b"".join(content), "batch_output").id
            content.clear()
        batch.fields = {**batch.fields, **ids}

    def _shown(self, batch: SimulatedBatch) -> dict[str, object]:
        created, ended, total = int(batch.created_at), batch.ended_at, len(batch.lines)
        shown: dict[str, object] = {
            "id": batch.id,
            "object": "batch",
            "endpoint": batch.fields.get("endpoint"),
            "errors": None,
            "input_file_id": batch.fields.get("input_file_id"),
            "completion_window": "24h",
            "status": batch.status,
            "output_file_id": batch.fields.get("output_file_id"),
            "error_file_id": batch.fields.get("error_file_id"),
            "created_at": created,
            "expires_at": created + 86_400,
            "metadata": batch.fields.get("metadata"),
            "request_counts": {
                "total": total,
                "completed": batch.answered,
                "failed": total - batch.answered if batch.status != "in_progress" else 0,
            },
        }
        if ended is not None:
            shown[f"{batch.status}_at"] = int(ended)
        if batch.error is not None:
            code, message, line = batch.error
            problem = {"code": code, "message": message, "param": None, "line": line}
            shown["errors"] = {"object": "list", "data": [problem]}
        return shown


@dataclass(slots=True)
class ReadLine:
    """A line of a file, with the tokens of its prompt."""

    line: BatchLine
    prompt_tokens: int


def read_lines(
    content: bytes, behaviour: BatchSimulation, model: object
) -> tuple[list[ReadLine], tuple[str, str, int | None] | None]:
    """Read the requests of a file; with what is wrong with it: code, message and line.

    Args:
        model: The model of requests that name none, where the batch has one.
    """
    read: list[ReadLine] = []
    seen: set[str] = set()
    for number, text in enumerate(content.splitlines(), 1):
        if number > behaviour.max_requests:
            return read, ("too_many_tasks", "The file has too many requests.", None)
        try:
            one = _line_of(text, model)
        except InvalidRequestError as error:
            return read, ("invalid_request", error.message, number)
        if number == behaviour.faults.invalid_line:
            return read, ("invalid_request", "This line is invalid (simulated).", number)
        if one.line.custom_id in seen:
            return read, ("duplicate_custom_id", "The custom_id occurs more than once.", number)
        seen.add(one.line.custom_id)
        read.append(one)
    return read, None if read else ("empty_file", "The file is empty.", None)


def _line_of(text: bytes, model: object) -> ReadLine:
    try:
        decoded: object = json.loads(text)
    except ValueError:
        raise InvalidRequestError("This line is not parseable as valid JSON.") from None
    body = decoded.get("body") if is_object(decoded) else None
    if not is_object(decoded) or not is_object(body) or not isinstance(decoded.get("custom_id"), str):
        raise InvalidRequestError("This line lacks custom_id or body.")
    if model is not None:
        body = {"model": model, **body}
    url = str(decoded.get("url", "/chat/completions"))  # Mistral's lines name none
    # Azure's name it without its prefix.
    line = BatchLine(str(decoded["custom_id"]), url if url.startswith("/v1") else f"/v1{url}", body)
    _, chat = read_line(line)
    return ReadLine(line, chat.prompt_tokens)


def _written(custom_id: str, result: LineResult) -> tuple[bytes, bool]:
    if result.kind in _MESSAGES:
        code, message = _MESSAGES[result.kind]
        error = {"code": code, "message": message}
        line = {"id": f"batch_req_{custom_id}", "custom_id": custom_id, "response": None, "error": error}
        return encode_json(line) + b"\n", False
    head = encode_json({"id": f"batch_req_{custom_id}", "custom_id": custom_id})[:-1]
    response = b'{"status_code":%d,"request_id":"req_%b","body":%b}' % (result.status, custom_id.encode(), result.body)
    return head + b',"response":' + response + b',"error":null}\n', result.kind == "succeeded"
