"""OpenAI's files and batches; Azure's are the same under other paths.

Source: OpenAI, "Batch API", and the API reference of files and batches.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from itertools import count, islice

from ..answers.conversation import InvalidRequestError
from ..answers.json_values import as_object, encode_json, is_object
from .behaviour import BatchSimulation
from .execution import LineResult, ending_of, finish, read_line
from .requests import BatchCall, BatchLine, BatchReply, SimulatedBatch, refused

_PAGE = 20
_CANCELLABLE = ("in_progress",)
_EXPIRED = "batch_expired"
_MESSAGES = {
    "expired": (_EXPIRED, "This request could not be executed before the completion window expired."),
    "canceled": ("batch_cancelled", "This request was cancelled."),
}


@dataclass(slots=True)
class _File:
    id: str
    filename: str
    content: bytes
    created_at: float
    purpose: str = "batch"


class OpenAIBatches:
    """The files and batches of one simulator."""

    def __init__(self, behaviour: BatchSimulation) -> None:
        self._behaviour = behaviour
        self._files: dict[str, _File] = {}
        self._batches: dict[str, SimulatedBatch] = {}
        self._numbers = count(1)  # of files, which may be deleted

    def answer(self, call: BatchCall) -> BatchReply | None:
        """Answer a request about files or batches; None for any other."""
        parts = call.path.strip("/").split("/")
        if parts[0] == "files":
            return self._files_endpoint(call, parts[1:])
        return self._batches_endpoint(call, parts[1:]) if parts[0] == "batches" else None

    def _files_endpoint(self, call: BatchCall, rest: list[str]) -> BatchReply | None:
        if not rest:
            if call.method == "POST":
                return self._upload(call)
            return BatchReply.of(_page([_shown_file(file) for file in reversed(self._files.values())], call.query))
        file = self._files.get(rest[0])
        if file is None:
            return refused(404, f"No such File object: {rest[0]}")
        if rest[1:] == ["content"]:
            return BatchReply(file.content)
        if call.method == "DELETE":
            del self._files[file.id]
            return BatchReply.of({"id": file.id, "object": "file", "deleted": True})
        return BatchReply.of(_shown_file(file))

    def _batches_endpoint(self, call: BatchCall, rest: list[str]) -> BatchReply | None:
        for under_way in self._batches.values():
            self._advance(under_way)
        if not rest:
            if call.method == "POST":
                return self._create(call)
            return BatchReply.of(_page([_shown(batch) for batch in reversed(self._batches.values())], call.query))
        batch = self._batches.get(rest[0])
        if batch is None:
            return refused(404, f"No batch found with id '{rest[0]}'.")
        if rest[1:] == ["cancel"]:
            if batch.status not in _CANCELLABLE:
                return refused(409, f"Cannot cancel a batch with status '{batch.status}'.")
            self._end(batch, "cancelled")
        return BatchReply.of(_shown(batch))

    def _upload(self, call: BatchCall) -> BatchReply:
        fields, name, content = _multipart(call)
        if fields.get("purpose") != "batch":
            return refused(400, "purpose: the simulator takes files for batches")
        if len(content) > self._behaviour.max_bytes:
            return refused(413, "The file is too large.")
        return BatchReply.of(_shown_file(self._add_file(name, content)))

    def _add_file(self, name: str, content: bytes, purpose: str = "batch") -> _File:
        file = _File(f"file-{next(self._numbers):06}", name, content, self._behaviour.now, purpose)
        self._files[file.id] = file
        return file

    def _create(self, call: BatchCall) -> BatchReply:
        try:
            body = as_object(json.loads(call.body))
        except (ValueError, TypeError):
            return refused(400, "We could not parse the JSON body of your request.")
        file = self._files.get(str(body.get("input_file_id")))
        if file is None:
            return refused(400, "input_file_id: no such file")
        if body.get("completion_window") != "24h":
            return refused(400, "completion_window must be '24h'")
        lines, error = self._read(file.content, call.prefix)
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
        return BatchReply.of(_shown(batch))

    def _read(self, content: bytes, prefix: str) -> tuple[list[_Read], tuple[str, str, int | None] | None]:
        """Read the requests of a file; with what is wrong with it: code, message and line."""
        read: list[_Read] = []
        seen: set[str] = set()
        for number, text in enumerate(content.splitlines(), 1):
            if number > self._behaviour.max_requests:
                return read, ("too_many_tasks", "The file has too many requests.", None)
            try:
                one = _read_line(text, prefix)
            except InvalidRequestError as error:
                return read, ("invalid_request", error.message, number)
            if number == self._behaviour.faults.invalid_line:
                return read, ("invalid_request", "This line is invalid (simulated).", number)
            if one.line.custom_id in seen:
                return read, ("duplicate_custom_id", "The custom_id occurs more than once.", number)
            seen.add(one.line.custom_id)
            read.append(one)
        return read, None if read else ("empty_file", "The file is empty.", None)

    def _advance(self, batch: SimulatedBatch) -> None:
        ending = ending_of(batch, self._behaviour)
        if ending is not None:
            self._end(batch, ending)

    def _end(self, batch: SimulatedBatch, status: str) -> None:
        finish(batch, self._behaviour, _written, status, self._behaviour.now)
        ids: dict[str, object] = {}
        for name, content in (("output_file_id", batch.results), ("error_file_id", batch.errors)):
            if content:
                ids[name] = self._add_file(f"{batch.id}_{name}.jsonl", b"".join(content), "batch_output").id
            content.clear()
        batch.fields = {**batch.fields, **ids}


@dataclass(slots=True)
class _Read:
    line: BatchLine
    prompt_tokens: int


def _read_line(text: bytes, prefix: str) -> _Read:
    try:
        decoded: object = json.loads(text)
    except ValueError:
        raise InvalidRequestError("This line is not parseable as valid JSON.") from None
    body = decoded.get("body") if is_object(decoded) else None
    if not is_object(decoded) or not is_object(body) or not isinstance(decoded.get("custom_id"), str):
        raise InvalidRequestError("This line lacks custom_id or body.")
    url = str(decoded.get("url", ""))
    # Azure's lines name the path without its prefix.
    line = BatchLine(str(decoded["custom_id"]), url if url.startswith("/v1") else f"/v1{url}", body)
    _, chat = read_line(line)
    return _Read(line, chat.prompt_tokens)


def _written(custom_id: str, result: LineResult) -> tuple[bytes, bool]:
    if result.kind in _MESSAGES:
        code, message = _MESSAGES[result.kind]
        error = {"code": code, "message": message}
        line = {"id": f"batch_req_{custom_id}", "custom_id": custom_id, "response": None, "error": error}
        return encode_json(line) + b"\n", False
    head = encode_json({"id": f"batch_req_{custom_id}", "custom_id": custom_id})[:-1]
    response = b'{"status_code":%d,"request_id":"req_%b","body":%b}' % (result.status, custom_id.encode(), result.body)
    return head + b',"response":' + response + b',"error":null}\n', result.kind == "succeeded"


def _shown_file(file: _File) -> dict[str, object]:
    return {
        "id": file.id,
        "object": "file",
        "bytes": len(file.content),
        "created_at": int(file.created_at),
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
    }


def _shown(batch: SimulatedBatch) -> dict[str, object]:
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


def _page(items: list[dict[str, object]], query: Mapping[str, str]) -> dict[str, object]:
    after, limit = query.get("after"), int(query.get("limit", _PAGE))
    start = next((n + 1 for n, item in enumerate(items) if item["id"] == after), 0)
    data = list(islice(items, start, start + limit))
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": start + limit < len(items),
    }


def _multipart(call: BatchCall) -> tuple[dict[str, str], str, bytes]:
    """Return the fields of a form, and the name and content of its file."""
    header = Message()
    header["content-type"] = call.headers.get("Content-Type", "")
    boundary = str(header.get_param("boundary") or "").encode()
    fields: dict[str, str] = {}
    name, content = "", b""
    for head, body in _parts(call.body, boundary):
        field = re.search(rb'[; ]name="([^"]*)"', head)
        filename = re.search(rb'filename="([^"]*)"', head)
        if filename is not None:
            name, content = filename[1].decode("utf-8", "replace"), body
        elif field is not None:
            fields[field[1].decode()] = body.decode("utf-8", "replace")
    return fields, name, content


def _parts(body: bytes, boundary: bytes) -> Iterator[tuple[bytes, bytes]]:
    for part in body.split(b"--" + boundary)[1:-1] if boundary else ():
        head, _, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        yield head, content.removesuffix(b"\r\n")
