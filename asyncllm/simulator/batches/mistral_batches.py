"""Mistral's batch jobs, with files in OpenAI's form.

Source: Mistral, "Batch Inference", and the API reference of batch jobs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..answers.json_values import as_array
from .openai_batches import OpenAIBatches
from .requests import SimulatedBatch

_PAGE = 100
_STATUSES = {
    "in_progress": "RUNNING",
    "completed": "SUCCESS",
    "failed": "FAILED",
    "expired": "TIMEOUT_EXCEEDED",
    "cancelled": "CANCELLED",
}


class MistralBatches(OpenAIBatches):
    """The batch jobs of one simulator."""

    _depth = 2

    def _asked(self, body: Mapping[str, object]) -> tuple[object, str | None]:
        files = as_array(body.get("input_files"))
        return files[0] if files else None, None if body.get("model") else "model: Field required"

    def _listed(self, batches: Sequence[SimulatedBatch], query: Mapping[str, str]) -> dict[str, object]:
        size = int(query.get("page_size", _PAGE))
        start = int(query.get("page", 0)) * size
        data = [self._shown(batch) for batch in batches[start : start + size]]
        return {"object": "list", "data": data, "total": len(batches)}

    def _shown(self, batch: SimulatedBatch) -> dict[str, object]:
        total, has_ended = len(batch.lines), batch.status != "in_progress"
        return {
            "id": batch.id,
            "object": "batch",
            "input_files": batch.fields.get("input_files"),
            "metadata": batch.fields.get("metadata") or {},
            "endpoint": batch.fields.get("endpoint"),
            "model": batch.fields.get("model"),
            "output_file": batch.fields.get("output_file_id"),
            "error_file": batch.fields.get("error_file_id"),
            "errors": [] if batch.error is None else [{"message": batch.error[1], "count": 1}],
            "status": _STATUSES[batch.status],
            "created_at": int(batch.created_at),
            "total_requests": total,
            "completed_requests": total if has_ended else 0,
            "succeeded_requests": batch.answered,
            "failed_requests": total - batch.answered if has_ended else 0,
            "started_at": int(batch.created_at),
            "completed_at": None if batch.ended_at is None else int(batch.ended_at),
        }
