"""Anthropic's message batches.

Source: Anthropic, "Batch processing", and the API reference of message batches.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from ..answers.json_values import as_array, as_object, encode_json
from .behaviour import BatchSimulation
from .execution import LineResult, ending_of, finish, prompt_tokens
from .requests import BatchCall, BatchLine, BatchReply, SimulatedBatch, refused

_CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_PAGE = 20
_PATH = "/v1/messages"


class AnthropicBatches:
    """The message batches of one simulator."""

    def __init__(self, behaviour: BatchSimulation) -> None:
        self._behaviour = behaviour
        self._batches: dict[str, SimulatedBatch] = {}

    def answer(self, call: BatchCall) -> BatchReply | None:
        """Answer a request about message batches; None for any other."""
        parts = call.path.strip("/").split("/")
        if parts[:2] != ["messages", "batches"]:
            return None
        for under_way in self._batches.values():
            self._advance(under_way)
        if len(parts) == 2:
            return self._create(call) if call.method == "POST" else self._list(call)
        batch = self._batches.get(parts[2])
        if batch is None:
            return refused(404, f"No message batch with the id {parts[2]}")
        if parts[3:] == ["cancel"]:
            if batch.status == "in_progress":
                self._end(batch, "cancelled")
        elif parts[3:] == ["results"]:
            if batch.status == "in_progress":
                return refused(400, "The results are not available before the end of the batch.")
            return BatchReply(b"".join((*batch.results, *batch.errors)))
        return BatchReply.of(_shown(batch, call.root))

    def _list(self, call: BatchCall) -> BatchReply:
        batches = list(reversed(self._batches.values()))
        after, limit = call.query.get("after_id"), int(call.query.get("limit", _PAGE))
        start = next((n + 1 for n, batch in enumerate(batches) if batch.id == after), 0)
        page = [_shown(batch, call.root) for batch in batches[start : start + limit]]
        return BatchReply.of(
            {
                "data": page,
                "has_more": start + limit < len(batches),
                "first_id": page[0]["id"] if page else None,
                "last_id": page[-1]["id"] if page else None,
            }
        )

    def _create(self, call: BatchCall) -> BatchReply:
        behaviour = self._behaviour
        if len(call.body) > behaviour.max_bytes:
            return refused(413, "Request exceeds the maximum size")
        try:
            requests = as_array(as_object(json.loads(call.body)).get("requests"))
            lines = [_line(as_object(one)) for one in requests]
        except (ValueError, TypeError) as error:
            return refused(400, f"requests: {error}")
        if not 0 < len(lines) <= behaviour.max_requests:
            return refused(400, f"requests: between 1 and {behaviour.max_requests} are taken")
        if len({line.custom_id for line in lines}) < len(lines):
            return refused(400, "requests: a custom_id occurs more than once")
        wrong = behaviour.faults.invalid_line
        if wrong is not None and wrong <= len(lines):
            return refused(400, f"requests.{wrong - 1}.params: is invalid (simulated)")
        tokens = sum(prompt_tokens(line) for line in lines)
        limit = behaviour.max_enqueued_tokens
        waiting = sum(batch.prompt_tokens for batch in self._batches.values() if batch.status == "in_progress")
        if limit is not None and waiting + tokens > limit:
            return refused(429, "The batch would exceed the limit of requests in the processing queue.")
        batch = SimulatedBatch(f"msgbatch_{len(self._batches) + 1:06}", behaviour.now, lines, tokens)
        self._batches[batch.id] = batch
        return BatchReply.of(_shown(batch, call.root))

    def _advance(self, batch: SimulatedBatch) -> None:
        ending = ending_of(batch, self._behaviour)
        if ending is not None:
            self._end(batch, ending)

    def _end(self, batch: SimulatedBatch, status: str) -> None:
        counts = {"succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}

        def write(custom_id: str, result: LineResult) -> tuple[bytes, bool]:
            counts[result.kind] += 1
            return _written(custom_id, result)

        finish(batch, self._behaviour, write, status, self._behaviour.now)
        batch.fields = counts


def _line(request: Mapping[str, object]) -> BatchLine:
    custom_id = request.get("custom_id")
    if not isinstance(custom_id, str) or not _CUSTOM_ID.fullmatch(custom_id):
        raise ValueError("custom_id: must match ^[a-zA-Z0-9_-]{1,64}$")
    return BatchLine(custom_id, _PATH, as_object(request.get("params")))


def _written(custom_id: str, result: LineResult) -> tuple[bytes, bool]:
    head = encode_json({"custom_id": custom_id})[:-1]
    if result.kind == "succeeded":
        return head + b',"result":{"type":"succeeded","message":' + result.body + b"}}\n", True
    if result.kind == "errored":
        return head + b',"result":{"type":"errored","error":' + result.body + b"}}\n", True
    return head + b',"result":{"type":"%b"}}\n' % result.kind.encode(), True


def _shown(batch: SimulatedBatch, root: str) -> dict[str, object]:
    ended = batch.status != "in_progress"
    counts = batch.fields or {"succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
    return {
        "id": batch.id,
        "type": "message_batch",
        "processing_status": "ended" if ended else "in_progress",
        "request_counts": {"processing": 0 if ended else len(batch.lines), **counts},
        "created_at": _time(batch.created_at),
        "expires_at": _time(batch.created_at + 86_400),
        "ended_at": None if batch.ended_at is None else _time(batch.ended_at),
        "archived_at": None,
        "cancel_initiated_at": _time(batch.ended_at or 0) if batch.status == "cancelled" else None,
        "results_url": f"{root}/v1/messages/batches/{batch.id}/results" if ended else None,
    }


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
