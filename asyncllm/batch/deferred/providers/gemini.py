"""The batch API of Gemini: a file of requests, a batch, a file of results.

Source: Gemini API, "Batch API" and "Files API".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from asyncllm.errors import MalformedResponseError, ProviderError
from asyncllm.narrowing import is_mapping, list_or_empty, mapping_or_empty
from asyncllm.transports.bodies import decode, encode
from asyncllm.transports.errors import failure
from asyncllm.transports.wire.api_requests import Upload
from asyncllm.transports.wire.formats.format import FormatRequest
from asyncllm.transports.wire.formats.gemini.answers import read_answer
from asyncllm.transports.wire.formats.gemini.requests import GeminiFormat

from .api import BatchApi, count_of, text_of, time_of
from .limits import BatchLimits
from .provider import BatchResult, BatchStatus, ProviderBatch, Submission, own_headers_refused

_METHOD = ":generateContent"
_STATUSES: Mapping[str, BatchStatus] = {
    "SUCCEEDED": "completed",
    "FAILED": "failed",
    "CANCELLED": "cancelled",
    "EXPIRED": "expired",
}
_PAGE = 100
# Of the codes of results, the HTTP statuses. Source: google.rpc.Code.
_STATUS_OF = {3: 400, 5: 404, 7: 403, 8: 429, 9: 400, 13: 500, 14: 503, 16: 401}


class GeminiBatchApi:
    """The batch API behind one format.

    Attributes:
        limits: What one batch may hold.
        frame: Nothing stands around the lines.
    """

    frame: tuple[bytes, bytes, bytes] = (b"", b"", b"")

    def __init__(self, api: BatchApi, format_: GeminiFormat, limits: BatchLimits) -> None:
        self.limits = limits
        self._api = api
        self._format = format_
        self._model_url = format_.url.removesuffix(_METHOD)
        self._base, _, model = self._model_url.rpartition("/models/")
        self._model = model
        # Files go to addresses beside the API, before its version.
        self._host, _, self._version = self._base.rpartition("/")

    def line(self, custom_id: str, body: bytes) -> bytes:
        """Return a request as a line of the file."""
        return b'{"key":"%b","request":%b}\n' % (custom_id.encode(), body)

    def headers_of(self, request: FormatRequest) -> Mapping[str, str]:
        """Return no headers, or raise for a request that has its own."""
        if request.headers is not self._format.headers:
            raise own_headers_refused()
        return {}

    def reading_of(self, request: FormatRequest) -> str:
        """Return nothing: answers are read alike."""
        return ""

    async def create(self, submission: Submission) -> ProviderBatch:
        """Upload the file, and create the batch."""
        size = submission.path.stat().st_size
        begun = await self._api.begin_upload(
            f"{self._host}/upload/{self._version}/files",
            {"file": {"display_name": f"asyncllm-{submission.mark}"}},
            {
                "X-Goog-Upload-Protocol": "resumable",
                "X-Goog-Upload-Command": "start",
                "X-Goog-Upload-Header-Content-Length": str(size),
                "X-Goog-Upload-Header-Content-Type": "application/jsonl",
            },
        )
        where = begun.get("x-goog-upload-url")
        if not where:
            raise MalformedResponseError("the provider named no address for the file of the batch.")
        sending = {"X-Goog-Upload-Offset": "0", "X-Goog-Upload-Command": "upload, finalize"}
        sent = await self._api.upload_without_key(where, Upload(submission.path), sending)
        file = mapping_or_empty(sent.get("file"))
        batch = {"display_name": submission.mark, "input_config": {"file_name": text_of(file.get("name"))}}
        return self._read(await self._api.post(f"{self._model_url}:batchGenerateContent", {"batch": batch}))

    def to_blame(self, error: ProviderError) -> int | None:
        """Return None: the API names no request."""
        return None

    async def find(self, submission: Submission) -> ProviderBatch | None:
        """Return the batch whose name is the mark."""
        token = ""
        while True:
            page = await self._page(token)
            for batch in map(mapping_or_empty, list_or_empty(page.get("operations"))):
                if mapping_or_empty(batch.get("metadata")).get("displayName") == submission.mark:
                    return self._read(batch)
            token = text_of(page.get("nextPageToken"))
            if not token:
                return None

    async def latest(self) -> Sequence[ProviderBatch]:
        """Return the latest batches of the account."""
        page = await self._page("")
        return [self._read(mapping_or_empty(batch)) for batch in list_or_empty(page.get("operations"))]

    async def get(self, id: str) -> ProviderBatch:
        """Return a batch."""
        return self._read(await self._api.get(f"{self._base}/{id}"))

    async def cancel(self, id: str) -> None:
        """Cancel a batch."""
        await self._api.post(f"{self._base}/{id}:cancel")

    async def download(self, source: str, path: Path) -> None:
        """Write a file of results to a file."""
        await self._api.download(f"{self._host}/download/{self._version}/{source}:download?alt=media", path)

    def read_result(self, line: bytes) -> BatchResult:
        """Read a line of results."""
        read: object = decode(line)
        if not is_mapping(read):
            raise ValueError("a line of results is no object")
        key, response = text_of(read.get("key")), read.get("response")
        if is_mapping(response):
            return BatchResult(key, encode(response))
        error = mapping_or_empty(read.get("error"))
        status = _STATUS_OF.get(count_of(error.get("code")), 500)
        return BatchResult(key, error=failure(status, encode({"error": error}), secrets=self._api.secrets))

    def read_answer(self, body: bytes, reading: str) -> dict[str, object]:
        """Read an answer."""
        return read_answer(body, self._api.secrets, model=self._model)

    async def _page(self, token: str) -> Mapping[str, object]:
        return await self._api.get(f"{self._base}/batches?pageSize={_PAGE}{f'&pageToken={token}' if token else ''}")

    def _read(self, batch: Mapping[str, object]) -> ProviderBatch:
        metadata = mapping_or_empty(batch.get("metadata"))
        stats, error = mapping_or_empty(metadata.get("batchStats")), mapping_or_empty(batch.get("error"))
        state = text_of(metadata.get("state")).rpartition("STATE_")[2]
        created_at = time_of(metadata.get("createTime"))
        output = mapping_or_empty(batch.get("response")) or mapping_or_empty(metadata.get("output"))
        file = text_of(output.get("responsesFile"))
        return ProviderBatch(
            id=text_of(batch.get("name")),
            status=_STATUSES.get(state, "open"),
            requests=_count(stats.get("requestCount")),
            answered=_count(stats.get("successfulRequestCount")),
            created_at=created_at,
            expires_at=created_at + self.limits.window_s if created_at else 0.0,
            results=(file,) if file else (),
            reason=text_of(error.get("message")),
        )


def _count(value: object) -> int:
    """Return a count, which the API writes as text."""
    return int(value) if isinstance(value, str) and value.isdecimal() else count_of(value)
