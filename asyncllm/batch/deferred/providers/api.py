"""Requests to a provider's batch API."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Protocol

from asyncllm.errors import MalformedResponseError
from asyncllm.narrowing import is_mapping
from asyncllm.transports.base import Connection
from asyncllm.transports.bodies import decode, encode, start_of
from asyncllm.transports.wire.api_requests import ApiRequest, ApiResponse, Upload

# Files of hundreds of megabytes pass through lines of a few megabits in this time.
_FILE_TIMEOUT_S = 3_600.0


class ApiTransport(Protocol):
    """What sends the requests."""

    async def exchange(self, request: ApiRequest) -> ApiResponse: ...


class BatchApi:
    """Sends requests with the key of one connection.

    Args:
        headers: The headers of every request.
        timeout_s: Seconds that a request may take which moves no file.
    """

    def __init__(
        self, transport: ApiTransport, connection: Connection, headers: Mapping[str, str], timeout_s: float
    ) -> None:
        self._transport = transport
        self._connection = connection
        self._headers = headers
        self._timeout_s = timeout_s

    @property
    def secrets(self) -> tuple[str, ...]:
        """The texts that must not occur in an error."""
        return self._connection.secrets

    async def get(self, url: str) -> Mapping[str, object]:
        """Return an object."""
        return await self._object(ApiRequest(self._connection, "GET", url, self._headers, self._timeout_s))

    async def post(self, url: str, body: Mapping[str, object] | None = None) -> Mapping[str, object]:
        """Send an object, or nothing, and return the answer."""
        sent = None if body is None else encode(body)
        return await self._object(ApiRequest(self._connection, "POST", url, self._headers, self._timeout_s, sent))

    async def upload(self, url: str, upload: Upload, headers: Mapping[str, str] | None = None) -> Mapping[str, object]:
        """Send a file, and return the answer."""
        headers = {**self._headers, **(headers or {})}
        return await self._object(ApiRequest(self._connection, "POST", url, headers, _FILE_TIMEOUT_S, upload=upload))

    async def begin_upload(self, url: str, body: Mapping[str, object], headers: Mapping[str, str]) -> Mapping[str, str]:
        """Announce a file, and return the headers of the answer."""
        headers = {**self._headers, **headers}
        request = ApiRequest(self._connection, "POST", url, headers, self._timeout_s, encode(body))
        return (await self._transport.exchange(request)).headers

    async def upload_without_key(self, url: str, upload: Upload, headers: Mapping[str, str]) -> Mapping[str, object]:
        """Send a file to an address that the provider has named, which stands for the key."""
        return await self._object(ApiRequest(self._connection, "POST", url, headers, _FILE_TIMEOUT_S, upload=upload))

    async def download(self, url: str, path: Path) -> None:
        """Write what an address has to a file, behind what of it is in the file already."""
        await self._transport.exchange(
            ApiRequest(self._connection, "GET", url, self._headers, _FILE_TIMEOUT_S, save_to=path)
        )

    async def _object(self, request: ApiRequest) -> Mapping[str, object]:
        response = await self._transport.exchange(request)
        try:
            found: object = decode(response.body)
        except ValueError:
            found = None
        if not is_mapping(found):
            raise MalformedResponseError(
                f"the provider's batch API answered {start_of(response.body)}.", status_code=response.status
            )
        return found


def text_of(value: object) -> str:
    """Return a text; empty for anything else."""
    return value if isinstance(value, str) else ""


def count_of(value: object) -> int:
    """Return a count; 0 for anything else."""
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0


def time_of(value: object) -> float:
    """Return a moment, given in Unix time or in RFC 3339, in Unix time; 0 for anything else."""
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value).timestamp()
        except ValueError:
            return 0.0
    return float(value) if isinstance(value, int | float) else 0.0
