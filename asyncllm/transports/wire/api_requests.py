"""Requests to the parts of a provider's API that are no calls of a model: files, batches, lists."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from asyncllm.errors import AsyncLLMError

from ..base import Call, Connection
from ..headers import lower_case
from .connections import Connections, exchange_failure
from .exchange import Response
from .responses import read_body, refused

# Large enough that a read from the disk costs little beside sending it, and small beside the memory of a batch.
_PIECE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that is sent.

    Attributes:
        path: The file.
        fields: The fields of the form that it is sent in; None to send it as the body itself.
        name: Its name in the form.
    """

    path: Path
    fields: Mapping[str, str] | None = None
    name: str = "file"


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One request.

    Attributes:
        connection: The provider, address and key.
        headers: All headers, the key among them.
        timeout_s: Seconds from sending to the last byte.
        body: The body, in JSON; None for none.
        upload: A file to be sent, instead of a body.
        save_to: The file that the body of the answer is written to, behind what is in it already.
    """

    connection: Connection
    method: str
    url: str
    headers: Mapping[str, str]
    timeout_s: float
    body: bytes | None = None
    upload: Upload | None = None
    save_to: Path | None = None


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """The answer to it.

    Attributes:
        status: Its status, of success.
        headers: Its headers, lower case.
        body: Its body; empty where it was written to a file.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""


async def exchange(client: Connections, request: ApiRequest) -> ApiResponse:
    """Send a request, and return the answer.

    A download that is cut keeps what has come, and the next one asks for the rest; where the provider sends the whole
    file again, it replaces what was there.

    Raises:
        ProviderError: The provider refused, failed, took too long or could not be reached.
    """
    call = Call(request.connection, "", (), {}, request.timeout_s)
    headers = dict(request.headers)
    body = _Body(request, headers)
    have = request.save_to.stat().st_size if request.save_to is not None and request.save_to.exists() else 0
    if request.save_to is not None:
        headers["Accept-Encoding"] = "identity"  # the rest of a compressed file could not be unpacked
    if have:
        headers["Range"] = f"bytes={have}-"
    caught: AsyncLLMError
    try:
        with client.timers.limit(request.timeout_s):
            response = await client.request(request.method, request.url, request.connection, headers, body.make)
            if request.save_to is not None and response.status in (200, 206):
                await _save(response, request.save_to)
                return ApiResponse(response.status, lower_case(response.headers))
            content = await read_body(response)
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        caught = exchange_failure(error, call, "timeout")
    else:
        answered = lower_case(response.headers)
        if 200 <= response.status < 300:
            return ApiResponse(response.status, answered, content)
        if response.status == 416 and have:  # nothing is left
            return ApiResponse(206, answered)
        caught = refused(response, content, answered, call)
    raise caught


async def _save(response: Response, path: Path) -> None:
    try:
        with path.open("ab" if response.status == 206 else "wb") as file:
            while piece := await response.content.readany():
                file.write(piece)
    except BaseException:
        response.close()
        raise


class _Body:
    """The body of a request, made anew for each time it is sent."""

    def __init__(self, request: ApiRequest, headers: dict[str, str]) -> None:
        self._request = request
        self._head = self._tail = b""
        if request.body is not None:
            headers["Content-Type"] = "application/json"
        if request.upload is None:
            return
        if request.upload.fields is not None:
            boundary = os.urandom(16).hex()
            headers["Content-Type"] = f"multipart/form-data; boundary={boundary}"
            self._head, self._tail = _form(request.upload, boundary)
        else:
            headers["Content-Type"] = "application/json"
        size = request.upload.path.stat().st_size
        headers["Content-Length"] = str(len(self._head) + size + len(self._tail))

    def make(self) -> bytes | AsyncIterator[bytes] | None:
        """Return it."""
        upload = self._request.upload
        return self._request.body if upload is None else self._pieces(upload.path)

    async def _pieces(self, path: Path) -> AsyncIterator[bytes]:
        if self._head:
            yield self._head
        with path.open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                yield piece
        if self._tail:
            yield self._tail


def _form(upload: Upload, boundary: str) -> tuple[bytes, bytes]:
    """Return what stands before and behind the file in a form."""
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in (upload.fields or {}).items()
    ]
    parts.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{upload.name}"\r\n'
        "Content-Type: application/jsonl\r\n\r\n"
    )
    return "".join(parts).encode(), f"\r\n--{boundary}--\r\n".encode()
