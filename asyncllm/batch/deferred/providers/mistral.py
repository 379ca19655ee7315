"""Mistral's batch jobs: files and results in OpenAI's form, and jobs of its own for one model each.

Source: Mistral, "Batch Inference", and the API reference of batch jobs.
"""

from __future__ import annotations

from collections.abc import Mapping

from asyncllm.narrowing import is_mapping, list_or_empty, mapping_or_empty

from .api import count_of, text_of, time_of
from .openai import PAGE, OpenAIBatchApi
from .provider import BatchStatus, ProviderBatch

_STATUSES: Mapping[str, BatchStatus] = {
    "SUCCESS": "completed",
    "FAILED": "failed",
    "TIMEOUT_EXCEEDED": "expired",
    "CANCELLED": "cancelled",
}


class MistralBatchApi(OpenAIBatchApi):
    """The batch jobs behind one model."""

    _batches = ("batch", "jobs")

    def line(self, custom_id: str, body: bytes) -> bytes:
        """Return a request as a line of the file."""
        return b'{"custom_id":"%b","body":%b}\n' % (custom_id.encode(), body)

    def _creation(self, file_id: str) -> dict[str, object]:
        hours = self.limits.window_s // 3600
        return {"input_files": [file_id], "model": self._format.model, "timeout_hours": hours}

    async def _page(self, number: int, after: str) -> list[Mapping[str, object]]:
        page = await self._api.get(self._urls(*self._batches, page=number, page_size=PAGE, order_by="-created"))
        return [job for job in list_or_empty(page.get("data")) if is_mapping(job)]

    def _read(self, batch: Mapping[str, object]) -> ProviderBatch:
        created_at, problems = time_of(batch.get("created_at")), list_or_empty(batch.get("errors"))
        sources = list_or_empty(batch.get("input_files"))
        files = (text_of(batch.get(name)) for name in ("output_file", "error_file"))
        return ProviderBatch(
            id=text_of(batch.get("id")),
            status=_STATUSES.get(text_of(batch.get("status")), "open"),
            requests=count_of(batch.get("total_requests")),
            answered=count_of(batch.get("succeeded_requests")),
            created_at=created_at,
            expires_at=created_at + self.limits.window_s if created_at else 0.0,
            results=tuple(filter(None, files)),
            source=text_of(sources[0]) if sources else "",
            reason=text_of(mapping_or_empty(problems[0] if problems else None).get("message")),
        )
