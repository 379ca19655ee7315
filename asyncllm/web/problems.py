"""Errors as problem details (RFC 9457) that are safe to show to a user: no provider text, no name, no key."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from http import HTTPStatus
from typing import NamedTuple

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from .. import telemetry
from ..errors import (
    AsyncLLMError,
    AuthenticationError,
    BadRequestError,
    BudgetExceededError,
    ContentPolicyError,
    ContextWindowExceededError,
    DeadlineExceededError,
    ExtractionError,
    IncompleteOutputError,
    MalformedResponseError,
    NotCachedError,
    NotFoundError,
    OverloadedError,
    ProviderConnectionError,
    ProviderError,
    ProviderTimeoutError,
    QuotaExceededError,
    RateLimitError,
    RefusalError,
    RequestTooLargeError,
    ServerError,
    StalledError,
    StreamInterruptedError,
    UnsupportedError,
)

# Where a busy service does not know for how long, as for the queue of a client that has not answered yet.
_USUAL_RETRY_AFTER_S = 1.0


class _Row(NamedTuple):
    status: int
    code: str
    detail: str


_FAULT = _Row(500, "internal", "The service could not process the request.")
_TOO_MANY = _Row(429, "too_many_requests", "You have too many requests waiting.")
_BUSY = _Row(503, "busy", "The model is busy.")
_BY_ERROR: dict[type[BaseException], _Row] = {
    AsyncLLMError: _FAULT,
    UnsupportedError: _Row(422, "unsupported", "The model cannot process a request of this kind."),
    ProviderError: _Row(502, "provider_error", "The model could not answer."),
    AuthenticationError: _FAULT,
    NotFoundError: _FAULT,
    BadRequestError: _Row(400, "bad_request", "The model did not accept the request."),
    ContextWindowExceededError: _Row(413, "too_long", "The text is too long for the model."),
    RequestTooLargeError: _Row(413, "too_long", "The text is too long for the model."),
    ContentPolicyError: _Row(422, "content_policy", "The request was refused by a content policy."),
    RefusalError: _Row(422, "refused", "The model declined to answer."),
    RateLimitError: _BUSY,
    OverloadedError: _BUSY,
    StalledError: _BUSY,
    QuotaExceededError: _Row(503, "unavailable", "The model is not available."),
    NotCachedError: _Row(503, "unavailable", "The model is not available."),
    BudgetExceededError: _Row(402, "budget", "The budget does not allow the request."),
    ServerError: _Row(502, "provider_error", "The model could not answer."),
    ProviderConnectionError: _Row(502, "unreachable", "The model could not be reached."),
    MalformedResponseError: _Row(502, "bad_answer", "The model's answer could not be read."),
    StreamInterruptedError: _Row(502, "interrupted", "The answer was interrupted."),
    ExtractionError: _Row(502, "bad_answer", "The model's answer does not have the form that was asked for."),
    IncompleteOutputError: _Row(502, "incomplete", "The model's answer is too long and was cut off."),
    ProviderTimeoutError: _Row(504, "timeout", "The model took too long to answer."),
    DeadlineExceededError: _Row(504, "timeout", "The answer took too long."),
}


class BadHeaderError(HTTPException):
    """A header of a request cannot be read (400); without `add_error_handlers`, Starlette answers it."""

    def __init__(self, detail: str) -> None:
        super().__init__(400, detail)


@dataclass(frozen=True, slots=True)
class ProblemDetails:
    """An error as a client may see it.

    Attributes:
        status: The HTTP status.
        code: A word for programs: `busy`, `timeout`, `too_long`, ...
        detail: A sentence for users.
        retry_after: Whole seconds after which the request may succeed; None when it would fail again, or is unknown.
    """

    status: int
    code: str
    detail: str
    retry_after: int | None = None

    def to_dict(self) -> dict[str, object]:
        """Return the members of the problem document."""
        title = HTTPStatus(self.status).phrase
        # Of the type about:blank, which says that the status is the type, the title is the status' phrase.
        members: dict[str, object] = {"type": "about:blank", "title": title, "status": self.status}
        members |= {"detail": self.detail, "code": self.code}
        return members if self.retry_after is None else members | {"retry_after": self.retry_after}

    def response(self) -> Response:
        """Return the response to a request that failed."""
        headers = {} if self.retry_after is None else {"retry-after": str(self.retry_after)}
        body = json.dumps(self.to_dict())
        return Response(body, self.status, headers=headers, media_type="application/problem+json")


def problem_of(error: BaseException) -> ProblemDetails:
    """Return an error as problem details; one of another library, or a bug, is an internal one."""
    row = next((_BY_ERROR[kind] for kind in type(error).__mro__ if kind in _BY_ERROR), _FAULT)
    wait_s: float | None = getattr(error, "retry_after", None)
    if isinstance(error, OverloadedError) and error.tenant is not None:
        row = _TOO_MANY
    if row.status not in (429, 503):
        return ProblemDetails(*row)
    if row not in (_BUSY, _TOO_MANY) and wait_s is None:
        return ProblemDetails(*row)
    seconds = max(1, math.ceil(_USUAL_RETRY_AFTER_S if wait_s is None else wait_s))
    return ProblemDetails(row.status, row.code, f"{row.detail} Try again in {seconds} s.", seconds)


def add_error_handlers(app: Starlette) -> None:
    """Answer every `AsyncLLMError` of an application's handlers as problem details, with its status and Retry-After.

    A header that `request_deadline` cannot read is answered in the same form.

    Args:
        app: A Starlette or FastAPI application.
    """
    app.add_exception_handler(AsyncLLMError, _answer)
    app.add_exception_handler(BadHeaderError, _refuse)


def report(error: BaseException, problem: ProblemDetails) -> None:
    """Emit the event of a request that failed; its message is for the operator, not for the user."""
    telemetry.emit(
        telemetry.WARNING,
        "web.error",
        status=problem.status,
        code=problem.code,
        error=type(error).__name__,
        message=str(error),
    )


def _answer(_request: Request, error: Exception) -> Response:
    problem = problem_of(error)
    report(error, problem)
    return problem.response()


def _refuse(_request: Request, error: Exception) -> Response:
    return ProblemDetails(400, "bad_request", str(getattr(error, "detail", ""))).response()
