"""Errors as problem details: the status of each, and nothing in them that a user should not see."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from asyncllm import errors, web
from asyncllm.errors import AsyncLLMError, OverloadedError, ProviderError, RateLimitError, ServerError
from tests.web.conftest import Visitor

PROVIDERS_WORDS = "You exceeded the quota of org-4711"

ROWS: dict[str, tuple[int, str]] = {
    "AsyncLLMError": (500, "internal"),
    "ConfigError": (500, "internal"),
    "UnsupportedError": (422, "unsupported"),
    "ProviderError": (502, "provider_error"),
    "AuthenticationError": (500, "internal"),
    "PermissionDeniedError": (500, "internal"),
    "BadRequestError": (400, "bad_request"),
    "ContextWindowExceededError": (413, "too_long"),
    "ContentPolicyError": (422, "content_policy"),
    "NotFoundError": (500, "internal"),
    "RateLimitError": (503, "busy"),
    "QuotaExceededError": (503, "unavailable"),
    "ServerError": (502, "provider_error"),
    "ProviderConnectionError": (502, "unreachable"),
    "ProviderTimeoutError": (504, "timeout"),
    "MalformedResponseError": (502, "bad_answer"),
    "StreamInterruptedError": (502, "interrupted"),
    "DeadlineExceededError": (504, "timeout"),
    "BudgetExceededError": (402, "budget"),
    "OverloadedError": (503, "busy"),
    "RequestTooLargeError": (413, "too_long"),
    "NotCachedError": (503, "unavailable"),
    "RecordingError": (500, "internal"),
    "StalledError": (503, "busy"),
    "JournalError": (500, "internal"),
    "ExtractionError": (502, "bad_answer"),
    "RefusalError": (422, "refused"),
    "IncompleteOutputError": (502, "incomplete"),
}
KINDS: dict[str, type[AsyncLLMError]] = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, AsyncLLMError)
}


async def answer_to(error: Exception) -> Visitor:
    """Have an application raise an error, and return what its visitor gets."""

    async def fail(_request: Request) -> Response:
        raise error

    app = Starlette(routes=[Route("/", fail)])
    web.add_error_handlers(app)
    return await Visitor().visit(app)


@pytest.mark.anyio
@pytest.mark.parametrize("name", KINDS)
async def test_every_error_has_its_status(name: str) -> None:
    """Each error becomes problem details with its status and code, without its message and hint."""
    visitor = await answer_to(KINDS[name](PROVIDERS_WORDS, hint="Use the key of org-4711."))
    status, code = ROWS[name]
    problem = json.loads(visitor.body)
    assert (visitor.status, problem["status"], problem["code"]) == (status, status, code)
    assert visitor.headers["content-type"] == "application/problem+json"
    assert problem["type"] == "about:blank"
    assert problem["title"]
    assert problem["detail"].endswith(".")
    assert "org-4711" not in visitor.body.decode()


def test_an_error_of_ones_own_has_the_status_of_its_kind() -> None:
    """A subclass that the table does not name is answered like its base."""

    class LateError(errors.ServerError):
        pass

    assert web.problem_of(LateError("late")).status == 502
    assert web.problem_of(KeyError("a bug")) == web.ProblemDetails(
        500, "internal", web.problem_of(AsyncLLMError()).detail
    )


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (OverloadedError("full", retry_after=2.2), "3"),
        (OverloadedError("full", retry_after=0.01), "1"),
        (OverloadedError("full"), "1"),
        (RateLimitError("slow down", retry_after=20.0), "20"),
        (RateLimitError("slow down"), "1"),
        (OverloadedError("full", tenant="acme", retry_after=4.0), "4"),
        (ServerError("broken", status_code=500, retry_after=5.0), None),
        (ProviderError("teapot", retry_after=5.0), None),
    ],
)
async def test_a_busy_service_says_when_to_try_again(error: AsyncLLMError, seconds: str | None) -> None:
    """A 503 has Retry-After in whole seconds, at least one; `detail` and `retry_after` say the same."""
    visitor = await answer_to(error)
    problem = json.loads(visitor.body)
    assert visitor.headers.get("retry-after") == seconds
    assert problem.get("retry_after") == (None if seconds is None else int(seconds))
    assert seconds is None or f"Try again in {seconds} s." in problem["detail"]


def test_a_tenants_own_limit_is_its_own_matter() -> None:
    """It is a 429 rather than a 503: the service has room for others."""
    assert web.problem_of(OverloadedError("full", tenant="acme")).status == 429


def test_the_documented_table_is_that_of_the_code() -> None:
    """docs/guides/web.md names every error with its status and code."""
    page = (Path(__file__).parents[2] / "docs" / "guides" / "web.md").read_text("utf-8")
    listed = {
        name: (int(status), code)
        for names, status, code in re.findall(r"^\| ([^|]+) \| (\d{3}) \| `(\w+)` \|", page, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", names)
    }
    assert listed == ROWS
