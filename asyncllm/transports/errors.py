"""The errors of this package, made of statuses and bodies, of redirects, and of connections that failed."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import NamedTuple

from ..errors import (
    AuthenticationError,
    BadRequestError,
    ContentPolicyError,
    ContextWindowExceededError,
    MalformedResponseError,
    NotFoundError,
    PermissionDeniedError,
    ProviderConnectionError,
    ProviderError,
    ProviderTimeoutError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
)
from .headers import rate_limits, request_id
from .json_values import is_array, is_object
from .size_limits import MAX_ERROR_BYTES
from .waits import asked_wait, retry_delay, should_retry

# The codes and words by which providers distinguish these from other errors of the same status. They are looked for in
# the error's own code, type and message.
_CONTEXT = re.compile(
    r"context_length_exceeded|maximum context length|context (?:window|limit|size)|prompt is too long"
    r"|input is too long|too many (?:input )?tokens|string_above_max_length"
    r"|exceeds? the (?:model's )?(?:maximum )?(?:context|number of tokens)|input token count .{0,40}exceeds"
    r"|longer than the maximum model length|maximum prompt length",
    re.IGNORECASE,
)
_POLICY = re.compile(
    r"content_policy|content[_ ]filter|content management policy|responsible.?ai|safety system|flagged as potentially"
    r"|input was flagged|moderation|usage (?:polic|guideline)",
    re.IGNORECASE,
)
_QUOTA = re.compile(
    r"insufficient[_ ](?:quota|credits|balance|funds)|exceeded_current_quota|exceeded your current quota"
    r"|credit balance|credits are depleted|used all available credits|out of credits|spending limit"
    r"|billing_(?:hard_limit|not_active)|payment required|key limit exceeded",
    re.IGNORECASE,
)
# Gemini says 400 of a wrong key.
_KEY = re.compile(r"api_key_invalid|api key not valid|api key expired", re.IGNORECASE)
# What the HTTP clients call a connection that was never opened, by class or by the system's message.
_NEVER_OPENED = re.compile(
    r"Connect(?:or|Error|ionRefused)|gaierror|refused|not known|resolution|CERTIFICATE|WRONG_VERSION_NUMBER",
    re.IGNORECASE,
)
# asyncio's words for every connection that the system refuses, and the internals that it and aiohttp add.
_CONNECT_CALL = re.compile(r"Connect call failed \([^()]*\)")
_INTERNALS = re.compile(r" ssl:(?:<[^<>]*>|\w+)|\[Errno -?\d+\] ")
_CERTIFICATE = re.compile(r"CERTIFICATE_VERIFY_FAILED|certificate verify failed", re.IGNORECASE)
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
        message: The message when the body has none.
        hint_class: A narrower class that is known from elsewhere; used when it belongs to the status.
        secrets: Texts that must not occur in the error.
    """
    headers = headers or {}
    said = _read_body(body)
    text = said.message or message or "the provider gave no reason"
    kind = _class_of(status, f"{said.code} {said.type} {text}", passes=retry_delay(said.details) is not None)
    if hint_class is not None and kind is not ProviderError and issubclass(hint_class, kind):
        kind = hint_class
    error = kind(
        f"{_shorten(redact(text, secrets))} (HTTP {status})",
        hint=_HINTS.get(kind),
        status_code=status,
        request_id=request_id(headers),
        retry_after=asked_wait(status, headers, said.details, said.metadata, text),
    )
    error.should_retry = should_retry(headers)
    error.param = said.param or None
    if isinstance(error, RateLimitError):
        error.rate_limits = rate_limits(headers)
    return error


def redirect_failure(status: int, location: str | None, secrets: tuple[str, ...] = ()) -> ProviderError:
    """Make the error of a redirect, which is not followed: the key would go along."""
    return ProviderError(
        f"the endpoint redirects to {redact(location or 'nowhere', secrets)} (HTTP {status}), and the key is not sent"
        " elsewhere.",
        hint="If that is the right address, set base_url to it.",
        status_code=status,
    )


def unreadable_failure(why: str, *, hint: str | None = None, status: int | None = None) -> MalformedResponseError:
    """Make the error of an answer that cannot be read."""
    return MalformedResponseError(
        f"the provider's answer could not be read: {_shorten(why.rstrip('.'))}.", hint=hint, status_code=status
    )


def connection_failure(error: BaseException, secrets: tuple[str, ...] = ()) -> ProviderConnectionError:
    """Make the error of a connection that failed before there was an answer."""
    said = describe(error)
    hint = "Check base_url, the network and any proxy."
    if _CERTIFICATE.search(said):
        hint = "Check the host in base_url; if its certificate is your own, name it in SSL_CERT_FILE."
    return ProviderConnectionError(
        f"the provider could not be reached: {_shorten(redact(_unreached(said, error).rstrip('.'), secrets))}.",
        hint=hint,
        request_sent=not _NEVER_OPENED.search(f"{type(error).__name__} {said}"),
    )


def _unreached(said: str, error: BaseException) -> str:
    """Remove internals from the message of a failed connection, and use the system's words where it has none."""
    number = getattr(getattr(error, "os_error", error), "errno", None)
    if number:
        said = _CONNECT_CALL.sub(os.strerror(number), said)
    return _INTERNALS.sub("", said)


def cut_failure(error: BaseException, secrets: tuple[str, ...] = ()) -> ProviderConnectionError:
    """Make the error of a connection that broke under an answer."""
    return ProviderConnectionError(f"the answer was cut: {_shorten(redact(describe(error).rstrip('.'), secrets))}.")


def timeout_failure(timeout: str, seconds: float, arrived: str) -> ProviderTimeoutError:
    """Make the error of a timeout, with its name and what had arrived."""
    return ProviderTimeoutError(
        f"no answer within {timeout} = {seconds:g} s ({arrived}).",
        hint=f"Raise {timeout} if that is normal.",
        timeout=timeout,
    )


def redact(text: str, secrets: tuple[str, ...]) -> str:
    """Return a text without secrets."""
    for secret in secrets:
        if len(secret) >= _SECRET_CHARACTERS:
            text = text.replace(secret, "***")
    return text


def describe(error: BaseException) -> str:
    """Return an error's message, or the name of its class when it has none."""
    return str(error).strip() or type(error).__name__


def _class_of(status: int, text: str, *, passes: bool = False) -> type[ProviderError]:
    """Choose the class by the status, and by the words where a status has several meanings.

    Args:
        status: The status on the wire.
        text: The error's code, type and message.
        passes: Whether the body says when to come back: Gemini calls every limit a quota.
    """
    if status == 402 or (status in (400, 403, 429) and not passes and _QUOTA.search(text)):
        return QuotaExceededError
    if status == 400 and _KEY.search(text):
        return AuthenticationError
    if status in (400, 413, 422) and _CONTEXT.search(text):
        return ContextWindowExceededError
    if status in (400, 403, 413, 422) and _POLICY.search(text):
        return ContentPolicyError
    if status >= 500:
        return ServerError
    return _CLASSES.get(status, ProviderError)


_CLASSES: Mapping[int, type[ProviderError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    413: BadRequestError,
    422: BadRequestError,
    429: RateLimitError,
}


_HINTS: Mapping[type[ProviderError], str] = {
    AuthenticationError: "Check the key of this profile (`asyncllm profiles` shows where it comes from).",
    PermissionDeniedError: "The key is valid but may not do this; check its project and permissions.",
    NotFoundError: "Check the model's name and base_url.",
    QuotaExceededError: "Add credit, or use another profile.",
    ContextWindowExceededError: "Shorten the prompt, or use a model with a larger context window.",
}


class _ErrorBody(NamedTuple):
    """What an error body says; empty texts for what it does not.

    Attributes:
        details: The details, in which Google puts the wait.
        metadata: The metadata, in which OpenRouter puts the headers of the provider behind it.
        param: The parameter that is wrong.
    """

    message: str = ""
    code: str = ""
    type: str = ""
    details: object = None
    metadata: object = None
    param: str = ""


def _read_body(body: str | bytes) -> _ErrorBody:
    """Read an error body in any provider's style."""
    if len(body) <= MAX_ERROR_BYTES:
        try:
            return _read_error(json.loads(body))
        except RecursionError:
            return _ErrorBody()
        except ValueError:
            pass
    start = body[:MAX_ERROR_BYTES]
    text = start.decode("utf-8", "replace") if isinstance(start, bytes) else start
    return _ErrorBody(re.sub(r"<[^>]*>|\s+", " ", text).strip())


def _read_error(data: object) -> _ErrorBody:
    if is_array(data) and data:
        data = data[0]  # Gemini wraps its errors of streams in a list
    if isinstance(data, str):
        return _ErrorBody(data)
    if not is_object(data):
        return _ErrorBody()
    error = data.get("error", data)
    if not is_object(error):
        return _ErrorBody(str(error), _text(data.get("code")), _text(data.get("type")))
    message = error.get("message") or error.get("detail") or data.get("message") or data.get("detail") or ""
    inner, metadata = error.get("innererror"), error.get("metadata")
    code = inner.get("code") if is_object(inner) else error.get("code")
    if is_object(metadata) and metadata.get("raw"):
        # OpenRouter's own message only says that the provider behind it gave an error.
        message = f"{message}: {metadata.get('provider_name') or 'the provider'}: {metadata['raw']}"
    text = message if isinstance(message, str) else json.dumps(message)
    kind = error.get("type") or error.get("status")
    return _ErrorBody(text, _text(code), _text(kind), error.get("details"), metadata, _text(error.get("param")))


def _text(value: object) -> str:
    return str(value or "")


def _shorten(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _MESSAGE_CHARACTERS else f"{text[:_MESSAGE_CHARACTERS]}..."
