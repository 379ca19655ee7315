"""Gemini's files and batches; of a batch, the form that takes a file.

Source: Gemini API, "Batch API" and "Files API".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from ..answers.json_values import as_object, encode_json
from .behaviour import BatchSimulation
from .execution import LineResult, ending_of, finish, prompt_tokens
from .requests import BatchCall, BatchLine, BatchReply, SimulatedBatch, refused

_CREATE = re.compile(r"/models/([^:/]+):batchGenerateContent")
_DOWNLOAD = re.compile(r"/(files/[^:/]+):download")
_BATCH = re.compile(r"/(batches/[^:/]+)(:cancel)?")
_STATES = {
    "in_progress": "BATCH_STATE_RUNNING",
    "completed": "BATCH_STATE_SUCCEEDED",
    "expired": "BATCH_STATE_EXPIRED",
    "cancelled": "BATCH_STATE_CANCELLED",
    "failed": "BATCH_STATE_FAILED",
}
# Of HTTP statuses, the codes that results carry. Source: google.rpc.Code.
_CODES = {400: 3, 429: 8, 500: 13, 503: 14}


class GeminiBatches:
    """The files and batches of one simulator."""

    def __init__(self, behaviour: BatchSimulation) -> None:
        self._behaviour = behaviour
        self._files: dict[str, bytes] = {}
        self._batches: dict[str, SimulatedBatch] = {}

    def answer(self, call: BatchCall) -> BatchReply | None:
        """Answer a request about files or batches; None for any other."""
        for under_way in self._batches.values():
            self._advance(under_way)
        if call.path == "/files" and call.method == "POST":
            return self._upload(call)
        if (created := _CREATE.fullmatch(call.path)) is not None:
            return self._create(call, created[1])
        if (wanted := _DOWNLOAD.fullmatch(call.path)) is not None:
            content = self._files.get(wanted[1])
            return refused(404, "no such file") if content is None else BatchReply(content)
        if call.path == "/batches":
            shown = [_shown(batch) for batch in reversed(self._batches.values())]
            return BatchReply.of({"operations": shown})
        found = _BATCH.fullmatch(call.path)
        batch = self._batches.get(found[1]) if found is not None else None
        if found is None or batch is None:
            return refused(404, f"there is nothing at {call.path}")
        if found[2]:
            if batch.status == "in_progress":
                self._end(batch, "cancelled")
            return BatchReply.of({})
        return BatchReply.of(_shown(batch))

    def _upload(self, call: BatchCall) -> BatchReply:
        name = f"files/{len(self._files) + 1:06}"
        if call.headers.get("X-Goog-Upload-Command") == "start":
            where = f"{call.root}/upload/v1beta/files?upload_id=1"
            return BatchReply(headers=((b"x-goog-upload-url", where.encode()), (b"x-goog-upload-status", b"active")))
        self._files[name] = call.body
        shown = {"file": {"name": name, "sizeBytes": str(len(call.body)), "state": "ACTIVE"}}
        return BatchReply(encode_json(shown), headers=((b"x-goog-upload-status", b"final"),))

    def _create(self, call: BatchCall, model: str) -> BatchReply:
        try:
            given = as_object(as_object(json.loads(call.body)).get("batch"))
            file = self._files.get(
                str(_either(as_object(_either(given, "input_config", "inputConfig")), "file_name", "fileName"))
            )
            if file is None:
                return refused(400, "input_config.file_name: no such file")
            lines = [_line(text, model) for text in file.splitlines()]
        except (ValueError, TypeError) as error:
            return refused(400, f"batch: {error}")
        tokens = sum(prompt_tokens(line) for line in lines)
        limit = self._behaviour.max_enqueued_tokens
        waiting = sum(batch.prompt_tokens for batch in self._batches.values() if batch.status == "in_progress")
        if limit is not None and waiting + tokens > limit:
            return refused(429, "Resource has been exhausted: enqueued tokens of batches.")
        batch = SimulatedBatch(f"batches/{len(self._batches) + 1:06}", self._behaviour.now, lines, tokens)
        batch.fields = {"displayName": _either(given, "display_name", "displayName"), "model": f"models/{model}"}
        self._batches[batch.id] = batch
        return BatchReply.of(_shown(batch))

    def _advance(self, batch: SimulatedBatch) -> None:
        ending = ending_of(batch, self._behaviour)
        if ending is not None:
            self._end(batch, ending)

    def _end(self, batch: SimulatedBatch, status: str) -> None:
        finish(batch, self._behaviour, _written, status, self._behaviour.now)
        if batch.results:
            name = f"files/batch-{batch.id.rpartition('/')[2]}"
            self._files[name] = b"".join(batch.results)
            batch.fields = {**batch.fields, "responsesFile": name}
        batch.results.clear()
        batch.errors.clear()


def _either(given: Mapping[str, object], name: str, in_camel_case: str) -> object:
    """Return a field, whose name has two spellings."""
    return given.get(name, given.get(in_camel_case))


def _line(text: bytes, model: str) -> BatchLine:
    decoded = as_object(json.loads(text))
    path = f"/v1beta/models/{model}:generateContent"
    return BatchLine(str(decoded["key"]), path, as_object(decoded.get("request")))


def _written(key: str, result: LineResult) -> tuple[bytes, bool]:
    head = encode_json({"key": key})[:-1]
    if result.kind == "succeeded":
        return head + b',"response":' + result.body + b"}\n", True
    if result.kind != "errored":
        return b"", False  # there is no result of what was not processed
    said = as_object(as_object(json.loads(result.body)).get("error"))
    error = {"code": _CODES.get(result.status, 13), "message": said.get("message")}
    return head + b',"error":' + encode_json(error) + b"}\n", True


def _shown(batch: SimulatedBatch) -> Mapping[str, object]:
    count, ended = len(batch.lines), batch.status != "in_progress"
    metadata: dict[str, object] = {
        "model": batch.fields.get("model"),
        "displayName": batch.fields.get("displayName"),
        "state": _STATES[batch.status],
        "createTime": datetime.fromtimestamp(batch.created_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "batchStats": {"requestCount": str(count), "successfulRequestCount": str(batch.answered)},
    }
    shown: dict[str, object] = {"name": batch.id, "metadata": metadata, "done": ended}
    if "responsesFile" in batch.fields:
        metadata["output"] = shown["response"] = {"responsesFile": batch.fields["responsesFile"]}
    return shown
