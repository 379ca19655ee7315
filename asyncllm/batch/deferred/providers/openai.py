"""The batch APIs of OpenAI, Azure, Groq and servers that copied them: a file of requests, a batch, files of results.

Source: OpenAI, API reference of batches and files; Azure OpenAI, "Getting started with batch deployments"; Groq,
"Batch processing".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from asyncllm.errors import ProviderError
from asyncllm.narrowing import is_mapping, list_or_empty, mapping_or_empty
from asyncllm.transports.bodies import decode, encode
from asyncllm.transports.errors import failure
from asyncllm.transports.wire.api_requests import Upload
from asyncllm.transports.wire.formats.format import FormatRequest
from asyncllm.transports.wire.formats.openai import read_answer
from asyncllm.transports.wire.formats.openai_requests import OpenAIFormat

from .api import BatchApi, count_of, text_of, time_of
from .limits import BatchLimits
from .provider import BatchResult, BatchStatus, Fate, ProviderBatch, Submission, own_headers_refused

MARK = "asyncllm"
"""The key of the metadata under which a batch has its mark."""

CHATS = "/chat/completions"
_STATUSES: Mapping[str, BatchStatus] = {
    "completed": "completed",
    "expired": "expired",
    "cancelled": "cancelled",
    "failed": "failed",
}
_FATES: Mapping[str, Fate] = {"batch_expired": "expired", "batch_cancelled": "cancelled"}
PAGE = 100
# Clocks differ, and a listing is in the order of creation.
_EARLIER_S = 3_600.0


class OpenAIBatchApi:
    """The batch API behind one format.

    Attributes:
        limits: What one batch may hold.
        frame: Nothing stands around the lines.
    """

    frame: tuple[bytes, bytes, bytes] = (b"", b"", b"")
    _batches: tuple[str, ...] = ("batches",)

    def __init__(self, api: BatchApi, format_: OpenAIFormat, limits: BatchLimits, *, azure: bool) -> None:
        self.limits = limits
        self._api = api
        self._format = format_
        self._urls = _Urls(format_.url, azure=azure)
        # Azure names the path without the version of OpenAI's.
        self._path = CHATS if azure else f"/v1{CHATS}"
        self._before = b',"method":"POST","url":"%b","body":' % self._path.encode()

    def line(self, custom_id: str, body: bytes) -> bytes:
        """Return a request as a line of the file."""
        return b'{"custom_id":"%b"%b%b}\n' % (custom_id.encode(), self._before, body)

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
        upload = Upload(submission.path, {"purpose": "batch"}, f"asyncllm-{submission.mark}.jsonl")
        file = await self._api.upload(self._urls("files"), upload)
        body = {**self._creation(text_of(file.get("id"))), "endpoint": self._path, "metadata": {MARK: submission.mark}}
        return self._read(await self._api.post(self._urls(*self._batches), body))

    def to_blame(self, error: ProviderError) -> int | None:
        """Return None: a file is checked after the batch is created."""
        return None

    async def find(self, submission: Submission) -> ProviderBatch | None:
        """Return the batch with the mark."""
        after = ""
        for number in count():
            page = await self._page(number, after)
            for batch in page:
                if mapping_or_empty(batch.get("metadata")).get(MARK) == submission.mark:
                    return self._read(batch)
            if len(page) < PAGE or time_of(page[-1].get("created_at")) < submission.since - _EARLIER_S:
                return None
            after = text_of(page[-1].get("id"))
        return None

    async def latest(self) -> Sequence[ProviderBatch]:
        """Return the latest batches of the account."""
        return [self._read(batch) for batch in await self._page(0, "")]

    async def get(self, id: str) -> ProviderBatch:
        """Return a batch."""
        return self._read(await self._api.get(self._urls(*self._batches, id)))

    async def cancel(self, id: str) -> None:
        """Cancel a batch."""
        await self._api.post(self._urls(*self._batches, id, "cancel"))

    async def download(self, source: str, path: Path) -> None:
        """Write a file of results to a file."""
        await self._api.download(self._urls("files", source, "content"), path)

    def read_request(self, line: bytes) -> tuple[str, Mapping[str, object]]:
        """Read a line of a file of requests into its id and its body.

        Raises:
            ValueError: It is none.
        """
        read: object = decode(line)
        if not is_mapping(read) or not is_mapping(body := read.get("body")):
            raise ValueError("a line of the file is no request")
        return text_of(read.get("custom_id")), body

    def read_result(self, line: bytes) -> BatchResult:
        """Read a line of results."""
        read: object = decode(line)
        if not is_mapping(read):
            raise ValueError("a line of results is no object")
        custom_id, response = text_of(read.get("custom_id")), read.get("response")
        if is_mapping(response):
            status, body = count_of(response.get("status_code")), encode(mapping_or_empty(response.get("body")))
            if status == 200:
                return BatchResult(custom_id, body)
            return BatchResult(custom_id, error=failure(status or 500, body, secrets=self._api.secrets))
        error = mapping_or_empty(read.get("error"))
        fate = _FATES.get(text_of(error.get("code")))
        if fate is not None:
            return BatchResult(custom_id, fate=fate)
        return BatchResult(custom_id, error=failure(500, encode({"error": error}), secrets=self._api.secrets))

    def read_answer(self, body: bytes, reading: str) -> dict[str, object]:
        """Read an answer."""
        return read_answer(body, self._api.secrets)

    def _creation(self, file_id: str) -> dict[str, object]:
        """Return what creates a batch of a file, beside its endpoint and its mark."""
        return {"input_file_id": file_id, "completion_window": "24h"}

    async def _page(self, number: int, after: str) -> list[Mapping[str, object]]:
        """Return a page of the list of batches, the latest first, by its number or the id before it."""
        page = await self._api.get(self._urls(*self._batches, limit=PAGE, after=after))
        return [batch for batch in list_or_empty(page.get("data")) if is_mapping(batch)]

    def _read(self, batch: Mapping[str, object]) -> ProviderBatch:
        counts = mapping_or_empty(batch.get("request_counts"))
        problems = list_or_empty(mapping_or_empty(batch.get("errors")).get("data"))
        problem = mapping_or_empty(problems[0] if problems else None)
        line = problem.get("line")
        files = (text_of(batch.get(name)) for name in ("output_file_id", "error_file_id"))
        return ProviderBatch(
            id=text_of(batch.get("id")),
            status=_STATUSES.get(text_of(batch.get("status")), "open"),
            requests=count_of(counts.get("total")),
            answered=count_of(counts.get("completed")),
            created_at=time_of(batch.get("created_at")),
            expires_at=time_of(batch.get("expires_at")),
            results=tuple(filter(None, files)),
            reason=text_of(problem.get("message")),
            code=text_of(problem.get("code")),
            line=line - 1 if isinstance(line, int) and line > 0 else None,
            source=text_of(batch.get("input_file_id")),
        )


class _Urls:
    """The addresses of files and batches, from that of the chats."""

    def __init__(self, chats: str, *, azure: bool) -> None:
        parts = urlsplit(chats)
        path = "/openai" if azure else parts.path.removesuffix(CHATS)
        self._base = urlunsplit((parts.scheme, parts.netloc, path, "", ""))
        self._query = parts.query

    def __call__(self, *path: str, **query: object) -> str:
        given = [f"{name}={value}" for name, value in query.items() if value != ""]
        asked = "&".join(filter(None, (self._query, *given)))
        return f"{self._base}/{'/'.join(path)}{'?' if asked else ''}{asked}"
