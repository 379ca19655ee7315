"""Anthropic's message batches: the requests in the body that creates a batch, the results at its own address.

Source: Anthropic, "Batch processing", and the API reference of message batches.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from asyncllm.errors import ProviderError
from asyncllm.narrowing import is_mapping, list_or_empty, mapping_or_empty
from asyncllm.transports.bodies import decode, encode
from asyncllm.transports.errors import failure
from asyncllm.transports.wire.api_requests import Upload
from asyncllm.transports.wire.formats.anthropic.answers import read_answer
from asyncllm.transports.wire.formats.anthropic.errors import STATUSES
from asyncllm.transports.wire.formats.anthropic.requests import AnthropicFormat
from asyncllm.transports.wire.formats.anthropic.tools import JSON_TOOL
from asyncllm.transports.wire.formats.format import FormatRequest

from .api import BatchApi, count_of, text_of, time_of
from .limits import BatchLimits
from .provider import BatchResult, BatchStatus, ProviderBatch, Submission, UndecidedError, own_headers_refused

_BETA = "anthropic-beta"
_BY_TOOL = "tool"
_PAGE = 100
_EARLIER_S = 3_600.0  # clocks differ
# An error at the creation of a batch that names the request to blame: `requests.12.params.max_tokens: ...`.
_TO_BLAME = re.compile(r"requests\.(\d+)\.")


class AnthropicBatchApi:
    """The message batches behind one format.

    A message batch has no metadata: its mark is in the ids of its requests, which can be read when it has ended.

    Attributes:
        limits: What one batch may hold.
        frame: The array that the requests stand in.
    """

    frame: tuple[bytes, bytes, bytes] = (b'{"requests":[', b",", b"]}")

    def __init__(self, api: BatchApi, format_: AnthropicFormat, limits: BatchLimits) -> None:
        self.limits = limits
        self._api = api
        self._format = format_
        self._url = f"{format_.url}/batches"

    def line(self, custom_id: str, body: bytes) -> bytes:
        """Return a request as an item of the array."""
        return b'{"custom_id":"%b","params":%b}' % (custom_id.encode(), body)

    def headers_of(self, request: FormatRequest) -> Mapping[str, str]:
        """Return the beta features that a request needs, or raise for one with other headers of its own."""
        usual = self._format.headers
        own = {name: value for name, value in request.headers.items() if usual.get(name) != value}
        if own.keys() - {_BETA}:
            raise own_headers_refused()
        return own

    def reading_of(self, request: FormatRequest) -> str:
        """Return whether the answer is the arguments of a tool that stands in for a response format."""
        tools = list_or_empty(request.body.get("tools"))
        return _BY_TOOL if any(mapping_or_empty(tool).get("name") == JSON_TOOL for tool in tools) else ""

    async def create(self, submission: Submission) -> ProviderBatch:
        """Create the batch."""
        return self._read(await self._api.upload(self._url, Upload(submission.path), submission.headers))

    def to_blame(self, error: ProviderError) -> int | None:
        """Return the request that the error names."""
        found = _TO_BLAME.search(error.message)
        return int(found[1]) if found is not None else None

    async def find(self, submission: Submission) -> ProviderBatch | None:
        """Return the batch whose requests have the mark."""
        undecided = False
        after = ""
        while True:
            page = await self._page(after)
            for batch in map(self._read, page):
                if batch.created_at < submission.since - _EARLIER_S:
                    continue
                if batch.id in submission.known or batch.requests != submission.requests:
                    continue
                if batch.status == "open":
                    undecided = True
                elif await self._has_mark(batch, submission):
                    return batch
            if len(page) < _PAGE or time_of(page[-1].get("created_at")) < submission.since - _EARLIER_S:
                break
            after = text_of(page[-1].get("id"))
        if undecided:
            raise UndecidedError
        return None

    async def latest(self) -> Sequence[ProviderBatch]:
        """Return the latest batches of the account."""
        return [self._read(batch) for batch in await self._page("")]

    async def get(self, id: str) -> ProviderBatch:
        """Return a batch."""
        return self._read(await self._api.get(f"{self._url}/{id}"))

    async def cancel(self, id: str) -> None:
        """Cancel a batch."""
        await self._api.post(f"{self._url}/{id}/cancel")

    async def download(self, source: str, path: Path) -> None:
        """Write the results to a file."""
        await self._api.download(f"{self._url}/{source}/results", path)

    def read_result(self, line: bytes) -> BatchResult:
        """Read a line of results."""
        read: object = decode(line)
        if not is_mapping(read):
            raise ValueError("a line of results is no object")
        custom_id, result = text_of(read.get("custom_id")), mapping_or_empty(read.get("result"))
        kind = result.get("type")
        if kind == "succeeded":
            return BatchResult(custom_id, encode(mapping_or_empty(result.get("message"))))
        if kind == "expired":
            return BatchResult(custom_id, fate="expired")
        if kind == "canceled":
            return BatchResult(custom_id, fate="cancelled")
        error = mapping_or_empty(result.get("error"))
        said = mapping_or_empty(error.get("error")) or error
        status = STATUSES.get(said.get("type"), 500)
        return BatchResult(custom_id, error=failure(status, encode({"error": said}), secrets=self._api.secrets))

    def read_answer(self, body: bytes, reading: str) -> dict[str, object]:
        """Read an answer."""
        return read_answer(body, self._api.secrets, answers_by_tool=reading == _BY_TOOL)

    async def _has_mark(self, batch: ProviderBatch, submission: Submission) -> bool:
        path = submission.path
        path.unlink(missing_ok=True)
        try:
            await self._api.download(f"{self._url}/{batch.id}/results", path)
            with path.open("rb") as file:
                return self.read_result(file.readline()).custom_id.startswith(submission.mark)
        except ValueError:
            return False
        finally:
            path.unlink(missing_ok=True)

    async def _page(self, after: str) -> list[Mapping[str, object]]:
        page = await self._api.get(f"{self._url}?limit={_PAGE}{f'&after_id={after}' if after else ''}")
        return [batch for batch in list_or_empty(page.get("data")) if is_mapping(batch)]

    def _read(self, batch: Mapping[str, object]) -> ProviderBatch:
        counts = mapping_or_empty(batch.get("request_counts"))
        number = {name: count_of(counts.get(name)) for name in ("succeeded", "expired", "canceled")}
        status: BatchStatus = "open"
        if batch.get("processing_status") == "ended":
            status = "expired" if number["expired"] else "cancelled" if number["canceled"] else "completed"
        return ProviderBatch(
            id=text_of(batch.get("id")),
            status=status,
            requests=sum(count_of(count) for count in counts.values()),
            answered=number["succeeded"],
            created_at=time_of(batch.get("created_at")),
            expires_at=time_of(batch.get("expires_at")),
            results=(text_of(batch.get("id")),),
        )
