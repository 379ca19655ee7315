"""Responses of the wire: their bodies, and those that refuse."""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp

from asyncllm.errors import MalformedResponseError, ProviderError

from .. import size_limits
from ..base import Call
from ..errors import failure, redirect_failure


async def read_body(response: aiohttp.ClientResponse) -> bytes:
    """Read a body up to the limit, after unpacking."""
    try:
        length = response.content_length
        if length is not None and length <= size_limits.MAX_ANSWER_BYTES and "Content-Encoding" not in response.headers:
            return await response.read()
        pieces: list[bytes] = []
        size = 0
        async for piece in response.content.iter_any():
            pieces.append(piece)
            size += len(piece)
            if size > size_limits.MAX_ANSWER_BYTES:
                raise MalformedResponseError(size_limits.answer_too_large(), status_code=response.status)
        return b"".join(pieces)
    except BaseException:
        response.close()
        raise


def refused(response: aiohttp.ClientResponse, body: bytes, headers: Mapping[str, str], call: Call) -> ProviderError:
    """Make the error of a response."""
    if 300 <= response.status < 400:
        return redirect_failure(response.status, headers.get("location"), call.secrets())
    return failure(response.status, body, headers, secrets=call.secrets())
