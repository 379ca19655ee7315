"""Errors that come with status 200: whole bodies, and events of a stream."""

from __future__ import annotations

from collections.abc import Mapping

from asyncllm.errors import AsyncLLMError
from asyncllm.transports.bodies import hidden_error

from ..json_values import is_object

# The status of each type of error. Source: Anthropic's documentation of errors.
STATUSES: Mapping[object, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}


def is_error(data: Mapping[str, object]) -> bool:
    """Return whether a body or an event is an error."""
    return data.get("type") == "error" or bool(data.get("error"))


def error_of(data: Mapping[str, object], secrets: tuple[str, ...], *, has_begun: bool = False) -> AsyncLLMError:
    """Return the error of a body or event, by the status of its type.

    Args:
        data: The body or event.
        secrets: Texts that must not occur in the error.
        has_begun: Whether a chunk of the answer has come.
    """
    return hidden_error(data, _status(data.get("error")), secrets, has_begun=has_begun)


def _status(error: object) -> int | None:
    if not is_object(error):
        return None
    kind, code = error.get("type"), error.get("code")
    if isinstance(kind, str) and kind in STATUSES:
        return STATUSES[kind]
    # Servers of other makers send a status as the code.
    return code if isinstance(code, int) and 400 <= code < 600 else None
