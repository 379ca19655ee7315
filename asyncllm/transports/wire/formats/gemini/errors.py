"""Errors that come with status 200: whole bodies, and events of a stream."""

from __future__ import annotations

from collections.abc import Mapping

from asyncllm.errors import AsyncLLMError
from asyncllm.transports.bodies import hidden_error

from ..json_values import is_object

# Source: google.rpc.Code, which names the HTTP status of each.
_STATUSES: Mapping[object, int] = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INTERNAL": 500,
    "DATA_LOSS": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}


def error_of(data: Mapping[str, object], secrets: tuple[str, ...], *, has_begun: bool = False) -> AsyncLLMError:
    """Return the error of a body or event, by its code or the status that it names.

    Args:
        data: The body or event.
        secrets: Texts that must not occur in the error.
        has_begun: Whether a chunk of the answer has come.
    """
    return hidden_error(data, _status(data.get("error")), secrets, has_begun=has_begun)


def _status(error: object) -> int | None:
    if not is_object(error):
        return None
    code, status = error.get("code"), error.get("status")
    if isinstance(code, int) and 400 <= code < 600:
        return code
    return _STATUSES.get(status) if isinstance(status, str) else None
