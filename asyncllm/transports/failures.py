"""Turn what went wrong on the way to a provider into the errors of this package, once."""

from __future__ import annotations

import email.utils
import json
import re
import time
from collections.abc import Mapping
from typing import Any

from asyncllm.errors import (
    AuthenticationError,
    BadRequestError,
    ContentPolicyError,
    ContextWindowExceededError,
    NotFoundError,
    PermissionDeniedError,
    ProviderConnectionError,
    ProviderError,
    ProviderTimeoutError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
)

# The codes and words by which providers tell these apart from their neighbours of the same status. They are looked for
# in the error's own code, type and message.
_CONTEXT = re.compile(
    r"context_length_exceeded|maximum context length|context window|prompt is too long|input is too long"
    r"|too many (?:input )?tokens|exceeds? the (?:model's )?(?:maximum )?(?:context|number of tokens)"
    r"|input token count .{0,40}exceeds|string_above_max_length",
    re.IGNORECASE,
)
_POLICY = re.compile(
    r"content_policy|content_filter|content management policy|responsible.?ai|safety system|flagged as potentially"
    r"|moderation|usage polic",
    re.IGNORECASE,
)
_QUOTA = re.compile(
    r"insufficient_quota|exceeded your current quota|credit balance|insufficient (?:credits|balance|funds)"
    r"|billing_(?:hard_limit|not_active)|payment required|out of credits",
    re.IGNORECASE,
)
# What the HTTP clients call a connection that was never opened, by class or by the system's message.
_NEVER_OPENED = re.compile(r"Connect(?:or|Error|ionRefused)|gaierror|refused|not known|resolution", re.IGNORECASE)
_SECRET_CHARACTERS = 8  # no real key is shorter, and a shorter text may well be a word of the message
_MESSAGE_CHARACTERS = 500  # of a provider's message: the reason stands at its start, and some append whole pages


def failure(
    status: int,
    body: str | bytes = b"",
    headers: Mapping[str, str] | None = None,
    *,
    message: str | None = None,
    hint_class: type[ProviderError] | None = None,
    secrets: tuple[str, ...] = (),
) -> ProviderError:
    """Make the error of an HTTP status and body.

    Args:
        status: The status on the wire.
        body: The body as it came.
        headers: The response headers, lower case.
        message: What to say when the body has no message.
        hint_class: A narrower class that is known from elsewhere; it counts when it belongs to the status.
        secrets: Texts that must not occur in the error.
    """
    headers = headers or {}
    said = read_body(body)
    text = said["message"] or message or "the provider gave no reason"
    kind = _class_of(status, " ".join((said["code"], said["type"], text)))
    if hint_class is not None and issubclass(hint_class, kind):
        kind = hint_class
    return kind(
        f"{_shorten(redact(text, secrets))} (HTTP {status})",
        hint=_hint(kind),
        status_code=status,
        request_id=request_id(headers),
        retry_after=retry_after(headers),
    )


def connection_failure(error: BaseException, secrets: tuple[str, ...] = ()) -> ProviderConnectionError:
    """Make the error of a connection that failed before there was an answer."""
    return ProviderConnectionError(
        f"the provider could not be reached: {_shorten(redact(describe(error), secrets))}.",
        hint="Check base_url, the network and any proxy.",
        request_sent=not _NEVER_OPENED.search(f"{type(error).__name__} {error}"),
    )


def timeout_failure(timeout: str, seconds: float, arrived: str) -> ProviderTimeoutError:
    """Make the error of a timeout, saying which one and what had arrived."""
    return ProviderTimeoutError(
        f"no answer within {timeout} = {seconds:g} s ({arrived}).",
        hint=f"Raise {timeout} if that is normal.",
        timeout=timeout,
    )


def read_body(body: str | bytes) -> dict[str, str]:
    """Read the message, code and type of an error body, in any provider's style; empty texts where there are none."""
    try:
        data = json.loads(body)
    except ValueError:
        text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
        text = re.sub(r"<[^>]*>|\s+", " ", text).strip()
        return {"message": text, "code": "", "type": ""}
    if isinstance(data, list) and data:
        data = data[0]  # Gemini wraps its errors of streams in a list
    return _read_error(data)


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Return the seconds that the headers ask to wait; None when they do not, or not sensibly.

    `retry-after-ms` in milliseconds, `retry-after` as seconds, a fraction of them, or an HTTP date.
    Source: RFC 9110, section 10.2.3; the milliseconds are OpenAI's and Azure's.

    Args:
        headers: The response headers, lower case.
        now: Unix time in seconds; the clock's when not given.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    if value is None:
        return None
    seconds = _number(value)
    if seconds is not None:
        return seconds
    try:
        at = email.utils.parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError):
        return None
    return max(0.0, at.timestamp() - (time.time() if now is None else now))


def request_id(headers: Mapping[str, str]) -> str | None:
    """Return the provider's id of a request from its response headers."""
    for name in ("x-request-id", "request-id", "apim-request-id", "x-amzn-requestid"):
        if name in headers:
            return headers[name]
    return None


def rate_limits(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the rate-limit headers, lower case."""
    return {name: value for name, value in headers.items() if "ratelimit" in name}


def redact(text: str, secrets: tuple[str, ...]) -> str:
    """Take secrets out of a text, whole or in the shortened forms in which providers echo a key."""
    for secret in secrets:
        if len(secret) >= _SECRET_CHARACTERS:
            text = text.replace(secret, "***")
    return text


def describe(error: BaseException) -> str:
    """Return an error's message, or the name of its class when it has none."""
    return str(error).strip() or type(error).__name__


def _class_of(status: int, text: str) -> type[ProviderError]:
    if status in (400, 413, 422):
        if _CONTEXT.search(text):
            return ContextWindowExceededError
        if _POLICY.search(text):
            return ContentPolicyError
        return BadRequestError
    if status in (402, 429):
        return QuotaExceededError if status == 402 or _QUOTA.search(text) else RateLimitError
    if status >= 500:
        return ServerError
    return {401: AuthenticationError, 403: PermissionDeniedError, 404: NotFoundError}.get(status, ProviderError)


def _hint(kind: type[ProviderError]) -> str | None:
    return {
        AuthenticationError: "Check the key of this profile (`asyncllm profiles` shows where it comes from).",
        PermissionDeniedError: "The key is valid but may not do this; check its project and permissions.",
        NotFoundError: "Check the model's name and base_url.",
        QuotaExceededError: "Add credit, or use another profile.",
        ContextWindowExceededError: "Shorten the prompt, or use a model with a larger context window.",
    }.get(kind)


def _read_error(data: Any) -> dict[str, str]:
    if isinstance(data, str):
        return {"message": data, "code": "", "type": ""}
    if not isinstance(data, Mapping):
        return {"message": "", "code": "", "type": ""}
    error = data.get("error", data)
    if not isinstance(error, Mapping):
        return {"message": str(error), "code": str(data.get("code") or ""), "type": str(data.get("type") or "")}
    message = error.get("message") or error.get("detail") or data.get("message") or data.get("detail") or ""
    inner = error.get("innererror")
    code = inner.get("code") if isinstance(inner, Mapping) else error.get("code")
    return {
        "message": message if isinstance(message, str) else json.dumps(message),
        "code": str(code or ""),
        "type": str(error.get("type") or error.get("status") or ""),
    }


def _number(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else -1.0
    except ValueError:
        return None
    # Negative, NaN and infinite values are nonsense; nobody is asked to wait for them.
    return number if 0 <= number < float("inf") else None


def _shorten(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _MESSAGE_CHARACTERS else f"{text[:_MESSAGE_CHARACTERS]}..."
