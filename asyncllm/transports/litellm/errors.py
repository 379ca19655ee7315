"""Errors made of litellm's: status and message as they were on the wire, without the chain that holds the key."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeGuard

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
from ..bodies import decode, error_in, no_end, read_error, read_error_event
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
from ..headers import lower_case
from ..json_values import is_object
from ..wire.sse import SSEParser
from .exchange import Exchange

# What litellm raises and says, with a status of its own making, of a 200 that is no answer.
_UNREADABLE = (json.JSONDecodeError, UnicodeDecodeError, RecursionError)
_NO_ANSWER = re.compile(r"Empty or invalid response from LLM endpoint|provider returned 'choices' that is not a list")
# Clouds need packages for their credentials, which litellm does not bring; they have the names of their modules.
_MISSING_MODULE = re.compile(r"No module named '([\w.]+)'")
_OTHER_FORMAT = "Check that base_url speaks the format of the model's provider."


def translate(error: Exception, call: Call, exchange: Exchange | None = None) -> AsyncLLMError:
    """Make our error of one of litellm's.

    Args:
        error: What litellm raised.
        call: The call.
        exchange: The exchange on the wire.
    """
    seen = exchange or Exchange()
    given_up = seen.take_failure()
    if given_up is not None:
        return given_up
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
        return _not_made(message, known or ProviderError)
    return failure(status, body, headers, message=message, hint_class=known, secrets=secrets)


def _not_made(message: str, kind: type[ProviderError]) -> AsyncLLMError:
    """Return the error of a call that litellm could not make."""
    missing = _MISSING_MODULE.match(message)
    if missing is not None:
        hint = f"Install it: pip install {missing[1].replace('.', '-')}"
        return UnsupportedError(f"litellm needs the module {missing[1]} for this model.", hint=hint)
    return kind(f"litellm could not make the call: {message}", hint="Check the model's name and the parameters.")


def stream_failure(error: Exception, call: Call, exchange: Exchange, *, has_begun: bool) -> AsyncLLMError:
    """Make the error of a stream that failed after it was accepted.

    Args:
        error: What litellm raised.
        call: The call.
        exchange: The exchange on the wire.
        has_begun: Whether a part of the answer had come, which decides whether the request may be sent again.
    """
    given_up = exchange.take_failure()
    if given_up is not None:
        cut = isinstance(given_up, StreamInterruptedError) and not has_begun
        return unreadable_failure(given_up.message, status=exchange.status) if cut else given_up
    original = getattr(error, "original_exception", None) or error
    said = next((said for link in _chain(original) if (said := _error_event(link)) is not None), None)
    if said is not None:
        return (read_error_event if has_begun else read_error)(said, call.secrets())
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


def _error_event(error: BaseException) -> Mapping[str, object] | None:
    """Return the error that a provider sent in the middle of a stream, as OpenAI's SDK keeps it."""
    body: object = getattr(error, "body", None)
    if not is_object(body) or "message" not in body or _real_response(error) is not None:
        return None
    return None if _is_litellms(error) else {"error": body}


def hidden_error(call: Call, exchange: Exchange) -> AsyncLLMError | None:
    """Make the error that a body with HTTP 200 is, or the first event of a stream; None when it is no error.

    litellm makes up a status for it, or an empty answer.
    """
    if exchange.status != 200 or b'"error"' not in exchange.start:
        return None
    events = SSEParser(size_limits.MAX_EVENT_BYTES).feed(exchange.start) if exchange.stream else []
    for text in (exchange.start, *events):
        with suppress(ValueError):  # an answer that is longer than its start, and holds the word
            data: object = decode(text)
            said = error_in(data) if is_object(data) else None
            if said is not None:
                return read_error(said, call.secrets())
    return None


def early_end(call: Call, exchange: Exchange, *, has_begun: bool) -> AsyncLLMError:
    """Make the error of a stream whose end litellm made up."""
    hidden = None if has_begun else hidden_error(call, exchange)
    return hidden or no_end(exchange.start, has_begun=has_begun, status=exchange.status)


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
    """Return our class for one of litellm's; it may be narrower than the status's."""
    name = _litellm_name(error)
    return None if name is None else CLASSES[name]


def _litellm_name(error: Exception) -> str | None:
    """Return the name of litellm's class of an error; None when the class is another library's."""
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
"""Our class for each of litellm's exceptions; the wire's status decides first, and the class narrows it."""


def _chain(error: BaseException) -> list[BaseException]:
    """Return an error and its causes, outermost first."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    return chain


class _Response(Protocol):
    """An HTTP response of httpx."""

    status_code: int
    headers: Mapping[str, str]
    text: str


def _is_litellms(error: BaseException) -> bool:
    return type(error).__module__.startswith("litellm.exceptions")


def _real_response(error: BaseException) -> _Response | None:
    """Return the HTTP response that an error of httpx or of a provider's SDK carries; litellm makes up its own."""
    response: object = None if _is_litellms(error) else getattr(error, "response", None)
    return response if _was_received(response) else None


def _was_received(response: object) -> TypeGuard[_Response]:
    # A response from the wire has headers; those that litellm gives to its own errors have none.
    return isinstance(getattr(response, "status_code", None), int) and bool(getattr(response, "headers", None))


def _wire(
    response: _Response | None, chain: Sequence[BaseException], error: Exception
) -> tuple[int | None, str | bytes, dict[str, str]]:
    """Return status, body and headers as they were on the wire; no status when nothing was answered."""
    given: Mapping[str, Any] = getattr(error, "litellm_response_headers", None) or {}
    headers = {name.lower(): str(value) for name, value in given.items()}
    if response is not None:
        try:
            body = response.text
        except Exception:  # a streamed body that was not read
            body = ""
        return response.status_code, body, lower_case(response.headers) | headers
    for link in reversed(chain):
        status: object = getattr(link, "status_code", None)
        if isinstance(status, int) and not _is_litellms(link):
            return status, str(getattr(link, "message", "")), headers
    return None, "", headers


def _is_timeout(chain: Sequence[BaseException]) -> bool:
    return any(isinstance(link, TimeoutError) or "Timeout" in type(link).__name__ for link in chain)


def _is_transport_error(error: BaseException) -> bool:
    """Return whether an error is a transport's, which litellm reports by the same class as its own bugs."""
    module = type(error).__module__.split(".")[0]
    if module in ("httpx", "httpcore", "aiohttp"):
        # The parser's errors say less than those of the client that are made of them.
        return not type(error).__module__.startswith("aiohttp.http_exceptions")
    return isinstance(error, ConnectionError | OSError) and not isinstance(error, FileNotFoundError | ImportError)


def _cleaned(message: str) -> str:
    """Return a message without litellm's prefixes: `litellm.RateLimitError: RateLimitError: OpenAIException - ...`."""
    while True:
        head, separator, rest = message.partition(": ")
        if not separator or not head.replace(".", "").isalnum() or not head.endswith(("Error", "Exception", "Timeout")):
            break
        message = rest
    head, separator, rest = message.partition(" - ")
    return rest if separator and head.endswith("Exception") else message
