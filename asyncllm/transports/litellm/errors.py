"""Make our errors of litellm's: status and message as they were on the wire, without the chain that holds the key."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from asyncllm.errors import (
    AsyncLLMError,
    AuthenticationError,
    BadRequestError,
    ContentPolicyError,
    ContextWindowExceededError,
    MalformedResponseError,
    NotFoundError,
    PermissionDeniedError,
    ProviderError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
    UnsupportedError,
)

from .. import size_limits
from ..base import Call
from ..bodies import decode, error_in, read_error, read_error_event, start_of
from ..errors import (
    connection_failure,
    cut_failure,
    describe,
    failure,
    redact,
    redirect_failure,
    timeout_failure,
    unreadable_failure,
)
from ..wire.sse import SSEParser
from .exchange import Exchange

# What litellm raises and says, with a status of its own making, of a 200 that is no answer.
_UNREADABLE = (json.JSONDecodeError, UnicodeDecodeError, RecursionError)
_NO_ANSWER = re.compile(r"Empty or invalid response from LLM endpoint|provider returned 'choices' that is not a list")
_OTHER_FORMAT = "Check that base_url speaks the format of the model's provider."


def translate(error: Exception, call: Call, exchange: Exchange | None = None) -> AsyncLLMError:
    """Make our error of one of litellm's.

    Args:
        error: What litellm raised.
        call: What was asked.
        exchange: What was seen on the wire.
    """
    seen = exchange or Exchange()
    if seen.failure is not None:
        return seen.failure
    secrets = call.secrets()
    if seen.location is not None and seen.status is not None:
        return redirect_failure(seen.status, seen.location, secrets)
    chain = _chain(error)
    response = next((r for e in reversed(chain) if (r := _real_response(e)) is not None), None)
    message = redact(_cleaned(describe(error)), secrets)
    if response is None:
        hidden = None if seen.stream else hidden_error(call, seen)
        lost = _without_answer(chain, call, seen) or hidden or _unreadable(chain, message, seen)
        if lost is not None:
            return lost
    known = _known_class(error)
    if _litellm_name(error) == "UnsupportedParamsError":
        return UnsupportedError(message, hint="Leave the parameter out, or set drop_params = true.")
    status, body, headers = _wire(response, chain, error)
    if status is None:
        kind = known or ProviderError
        return kind(f"litellm could not make the call: {message}", hint="Check the model's name and the parameters.")
    return failure(status, body, headers, message=message, hint_class=known, secrets=secrets)


def stream_failure(error: Exception, call: Call, exchange: Exchange, *, has_begun: bool) -> AsyncLLMError:
    """Make the error of a stream that failed after it was accepted.

    Args:
        error: What litellm raised.
        call: What was asked.
        exchange: What was seen on the wire.
        has_begun: Whether a part of the answer had come, which decides whether it may be asked for again.
    """
    original = getattr(error, "original_exception", None) or error
    said = next((said for link in _chain(original) if (said := _error_event(link)) is not None), None)
    if said is not None:
        return (read_error_event if has_begun else read_error)(said, call)
    hidden = None if has_begun else hidden_error(call, exchange)
    if hidden is not None and not isinstance(hidden, MalformedResponseError):
        return hidden
    translated = translate(original, call, exchange)
    if exchange.status == 200 and isinstance(translated, ProviderError) and translated.status_code not in (None, 200):
        # litellm gives every error event a status; the wire had none.
        translated.message = translated.message.removesuffix(f" (HTTP {translated.status_code})")
        translated.args, translated.status_code = (translated.message,), None
        return translated
    why = redact(_cleaned(describe(original)), call.secrets()).rstrip(".")
    if hidden is not None:
        return hidden
    if not has_begun:
        local = type(translated) is ProviderError and translated.status_code is None and exchange.status == 200
        if isinstance(translated, StreamInterruptedError):
            return unreadable_failure(translated.message, status=exchange.status)
        return unreadable_failure(why, status=exchange.status) if local else translated
    if isinstance(translated, StreamInterruptedError):
        return translated
    unreadable = isinstance(translated, MalformedResponseError)
    if isinstance(translated, ProviderError) and translated.status_code is not None and not unreadable:
        return translated
    return StreamInterruptedError(f"the stream {'is broken' if unreadable else 'was cut'}: {why}.")


def _error_event(error: BaseException) -> dict[str, Any] | None:
    """Return the error that a provider sent in the middle of a stream, as OpenAI's SDK keeps it."""
    body = getattr(error, "body", None)
    is_event = isinstance(body, dict) and "message" in body and _real_response(error) is None
    return {"error": body} if is_event and not type(error).__module__.startswith("litellm.exceptions") else None


def hidden_error(call: Call, exchange: Exchange) -> AsyncLLMError | None:
    """Make the error that HTTP 200 holds, for which litellm makes up a status, or an empty answer.

    It is the whole body, or the first event of a stream that has not begun.
    """
    if exchange.status != 200 or b'"error"' not in exchange.start:
        return None
    events = SSEParser(size_limits.MAX_EVENT_BYTES).feed(exchange.start) if exchange.stream else []
    for text in (exchange.start, *events):
        with suppress(ValueError):  # an answer that is longer than its start, and holds the word
            data = decode(text)
            said = error_in(data) if isinstance(data, dict) else None
            if said is not None:
                return read_error(said, call)
    return None


def no_end(call: Call, exchange: Exchange, *, has_begun: bool) -> AsyncLLMError:
    """Make the error of a stream for whose end litellm made something up."""
    if has_begun:
        return StreamInterruptedError("the stream ended without its end: the connection was cut.")
    hidden = hidden_error(call, exchange)
    if hidden is not None:
        return hidden
    return unreadable_failure(f"a stream was asked for, and it has {start_of(exchange.start)}", status=exchange.status)


def _without_answer(chain: Sequence[BaseException], call: Call, seen: Exchange) -> ProviderError | None:
    """Make the error of a connection that failed before or under an answer; None when it did not."""
    if _is_timeout(chain):
        # Only connecting has a timeout of litellm's own.
        return timeout_failure("connect_timeout", call.connection.connect_timeout_s, "no connection was opened")
    secrets = call.secrets()
    broken = next((e for e in reversed(chain) if _is_transport_error(e)), None)
    if broken is None:
        return None
    return connection_failure(broken, secrets) if seen.status is None else cut_failure(broken, secrets)


def _unreadable(chain: Sequence[BaseException], message: str, seen: Exchange) -> MalformedResponseError | None:
    """Make the error of a 200 that is no answer; None when it is something else."""
    # The status that litellm gives to what it cannot read is of its own making.
    is_answer = seen.status == 200 and not seen.stream
    if is_answer or any(isinstance(e, _UNREADABLE) for e in chain) or _NO_ANSWER.search(message):
        return unreadable_failure(message.partition("Traceback")[0], hint=_OTHER_FORMAT, status=seen.status)
    return None


def _known_class(error: Exception) -> type[ProviderError] | None:
    """Return our class for one of litellm's, where its class says more than the status does."""
    name = _litellm_name(error)
    return None if name is None else CLASSES[name]


def _litellm_name(error: Exception) -> str | None:
    """Name the class of litellm that an error is of."""
    names = (kind.__name__ for kind in type(error).__mro__ if kind.__module__.startswith("litellm"))
    return next((name for name in names if name in CLASSES), None)


CLASSES: Mapping[str, type[ProviderError]] = {
    "APIConnectionError": ProviderError,
    "APIError": ProviderError,
    "APIResponseValidationError": MalformedResponseError,
    "AuthenticationError": AuthenticationError,
    "BadGatewayError": ServerError,
    "BadRequestError": BadRequestError,
    "BlockedPiiEntityError": ContentPolicyError,
    "BudgetExceededError": QuotaExceededError,
    "ContentPolicyViolationError": ContentPolicyError,
    "ContextWindowExceededError": ContextWindowExceededError,
    "GuardrailRaisedException": ContentPolicyError,
    "ImageFetchError": BadRequestError,
    "InternalServerError": ServerError,
    "InvalidRequestError": BadRequestError,
    "JSONSchemaValidationError": MalformedResponseError,
    "LiteLLMUnknownProvider": BadRequestError,
    "MidStreamFallbackError": StreamInterruptedError,
    "MockException": ProviderError,
    "ModelNotMappedError": BadRequestError,
    "ModifyResponseException": ProviderError,
    "NotFoundError": NotFoundError,
    "OpenAIError": ProviderError,
    "PaymentRequiredError": QuotaExceededError,
    "PermissionDeniedError": PermissionDeniedError,
    "RateLimitError": RateLimitError,
    "RejectedRequestError": BadRequestError,
    "SensitiveDataRouteException": ContentPolicyError,
    "ServiceUnavailableError": ServerError,
    "Timeout": ProviderError,
    "UnprocessableEntityError": BadRequestError,
    "UnsupportedParamsError": BadRequestError,
    "VectorStoreSearchError": BadRequestError,
}
"""litellm's exceptions and ours; the wire's status decides first, and the class narrows it."""


def _chain(error: BaseException) -> list[BaseException]:
    """Return an error and what it came from, outermost first."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    return chain


def _real_response(error: BaseException) -> Any | None:
    """Return the HTTP response that an error of httpx or of a provider's SDK carries; litellm makes up its own."""
    if type(error).__module__.startswith("litellm.exceptions"):
        return None
    response = getattr(error, "response", None)
    # One that was on the wire has headers; those that litellm gives to its own errors have none.
    real = isinstance(getattr(response, "status_code", None), int) and getattr(response, "headers", None)
    return response if real else None


def _wire(
    response: Any, chain: Sequence[BaseException], error: Exception
) -> tuple[int | None, str | bytes, dict[str, str]]:
    """Return status, body and headers as they were on the wire; no status when nothing was answered."""
    headers = {k.lower(): str(v) for k, v in (getattr(error, "litellm_response_headers", None) or {}).items()}
    if response is not None:
        try:
            body = response.text
        except Exception:  # a streamed body that nobody read
            body = ""
        return response.status_code, body, {k.lower(): v for k, v in response.headers.items()} | headers
    for link in reversed(chain):
        status = getattr(link, "status_code", None)
        if isinstance(status, int) and not type(link).__module__.startswith("litellm.exceptions"):
            return status, str(getattr(link, "message", "")), headers
    return None, "", headers


def _is_timeout(chain: Sequence[BaseException]) -> bool:
    return any(isinstance(link, TimeoutError) or "Timeout" in type(link).__name__ for link in chain)


def _is_transport_error(error: BaseException) -> bool:
    """Tell whether an error is a transport's, which litellm reports by the same class as its own bugs."""
    module = type(error).__module__.split(".")[0]
    if module in ("httpx", "httpcore", "aiohttp"):
        # The parser's errors say less than those of the client that are made of them.
        return not type(error).__module__.startswith("aiohttp.http_exceptions")
    return isinstance(error, ConnectionError | OSError) and not isinstance(error, FileNotFoundError | ImportError)


def _cleaned(message: str) -> str:
    """Take litellm's own prefixes off a message: `litellm.RateLimitError: RateLimitError: OpenAIException - ...`."""
    while True:
        head, separator, rest = message.partition(": ")
        if not separator or not head.replace(".", "").isalnum() or not head.endswith(("Error", "Exception", "Timeout")):
            break
        message = rest
    head, separator, rest = message.partition(" - ")
    return rest if separator and head.endswith("Exception") else message
