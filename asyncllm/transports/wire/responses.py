"""Responses of the wire: their bodies, and those that refuse."""

from __future__ import annotations

from collections.abc import Mapping

from asyncllm.errors import MalformedResponseError, ProviderError

from .. import size_limits
from ..base import Call
from ..errors import failure, redirect_failure
from .exchange import Response


async def read_body(response: Response) -> bytes:
    """Read a body up to the limit, after unpacking."""
    try:
        content = response.content
        pieces: list[bytes] = []
        size = 0
        while piece := await content.readany():
            pieces.append(piece)
            size += len(piece)
            if size > size_limits.MAX_ANSWER_BYTES:
                raise MalformedResponseError(size_limits.answer_too_large(), status_code=response.status)
            if content.at_eof():  # nearly always with the first
                break
        return b"".join(pieces)
    except BaseException:
        response.close()
        raise


def refused(response: Response, body: bytes, headers: Mapping[str, str], call: Call) -> ProviderError:
    """Make the error of a response."""
    if 300 <= response.status < 400:
        return redirect_failure(response.status, headers.get("location"), call.secrets())
    return failure(response.status, body, headers, secrets=call.secrets())
