"""The exceptions of asyncllm.

    AsyncLLMError
    ├─ ConfigError
    ├─ UnsupportedError                the model or transport cannot do this (an image, a mode)
    ├─ ProviderError                   the provider answered with an error, or did not answer
    │  ├─ AuthenticationError          401
    │  │  └─ PermissionDeniedError     403
    │  ├─ BadRequestError              400, 413, 422
    │  │  ├─ ContextWindowExceededError
    │  │  └─ ContentPolicyError
    │  ├─ NotFoundError                404
    │  ├─ RateLimitError               429
    │  ├─ QuotaExceededError           402, or a 400, 403 or 429 that means no credit: never retried
    │  ├─ ServerError                  5xx, 529
    │  ├─ ProviderConnectionError      refused, reset, DNS, TLS
    │  ├─ ProviderTimeoutError         also a TimeoutError; which timeout, what had arrived
    │  ├─ MalformedResponseError       a 200 that is not an answer
    │  └─ StreamInterruptedError       `.partial`: the Completion so far
    ├─ DeadlineExceededError           also a TimeoutError; the last error and the attempts
    ├─ BudgetExceededError             before the request is sent
    ├─ OverloadedError                 the local queue is full: retry_after
    ├─ RequestTooLargeError            larger than a configured limit can ever admit
    ├─ NotCachedError                  `cache = "only"`, and the answer is not there
    ├─ RecordingError                  in tests: a call that is not recorded, or forbidden
    ├─ StalledError                    a batch in which nothing succeeds
    ├─ JournalError                    in use, damaged, newer, or cannot be written
    └─ ExtractionError                 attempts, last completion, usage
       ├─ RefusalError                 the model declined
       └─ IncompleteOutputError        cut by max_tokens; `.partial`: the value so far

Every error can be pickled, and none keeps a request object or a key alive in its chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from typing import Unpack

    from .completions.call_record import Attempt
    from .completions.completion import Completion, ExtractionAttempt
    from .completions.usage import Usage


class AsyncLLMError(Exception):
    """The base class of every asyncllm error.

    Args:
        message: The problem, in one sentence.
        hint: The remedy, in one sentence.

    Attributes:
        skipped: The profiles, among the requested one and its fallbacks, that were sent nothing, and why.
    """

    skipped: Mapping[str, str] = MappingProxyType({})

    def __init__(self, message: str = "", *, hint: str | None = None) -> None:
        # args holds the message alone, so that the default pickling (class, args, __dict__) works for every subclass.
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message


class ConfigError(AsyncLLMError):
    """The configuration is invalid or incomplete; the message lists every mistake."""


class UnsupportedError(AsyncLLMError):
    """The model or the transport does not support the request."""


class _ErrorDetails(TypedDict, total=False):
    """The keyword arguments of `ProviderError`, for its subclasses."""

    hint: str | None
    model: str | None
    provider: str | None
    profile: str | None
    status_code: int | None
    request_id: str | None
    retry_after: float | None
    attempts: Sequence[Attempt]


class ProviderError(AsyncLLMError):
    """The provider refused, failed or could not be reached.

    Attributes:
        model: The model, as requested.
        provider: litellm's name of the provider.
        profile: The profile of the call.
        status_code: The HTTP status, as on the wire; None without an answer.
        request_id: The provider's id of the request, for its support.
        retry_after: Seconds that the provider asked to wait; None when it did not.
        attempts: Every attempt of the call, in order.
        should_retry: Whether the provider wants the request retried (`x-should-retry`); None when it does not say.
        param: The parameter that the provider names as wrong; None when it names none.
    """

    should_retry: bool | None = None
    param: str | None = None

    def __init__(
        self,
        message: str = "",
        *,
        hint: str | None = None,
        model: str | None = None,
        provider: str | None = None,
        profile: str | None = None,
        status_code: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        attempts: Sequence[Attempt] = (),
    ) -> None:
        super().__init__(message, hint=hint)
        self.model = model
        self.provider = provider
        self.profile = profile
        self.status_code = status_code
        self.request_id = request_id
        self.retry_after = retry_after
        self.attempts = tuple(attempts)


class AuthenticationError(ProviderError):
    """The key is missing, wrong or revoked (401)."""


class PermissionDeniedError(AuthenticationError):
    """The key lacks the permission (403)."""


class BadRequestError(ProviderError):
    """The provider rejected the request as invalid (400, 413, 422)."""


class ContextWindowExceededError(BadRequestError):
    """The prompt is longer than the model's context window."""


class ContentPolicyError(BadRequestError):
    """The provider's content policy refused the request (400, or a 403 that means so)."""


class NotFoundError(ProviderError):
    """The model or the endpoint does not exist (404)."""


class RateLimitError(ProviderError):
    """Too many requests or tokens (429)."""


class QuotaExceededError(ProviderError):
    """No credit is left (402, or a 400, 403 or 429 that means so); never retried."""


class ServerError(ProviderError):
    """The provider failed (5xx, 529)."""


class ProviderConnectionError(ProviderError):
    """The connection was refused, reset, or failed in DNS or TLS.

    Attributes:
        request_sent: Whether the request may have reached the provider before the connection failed.
    """

    def __init__(self, message: str = "", *, request_sent: bool = True, **details: Unpack[_ErrorDetails]) -> None:
        super().__init__(message, **details)
        self.request_sent = request_sent


class ProviderTimeoutError(ProviderError, TimeoutError):
    """A timeout passed; the message says which, and what had arrived.

    Attributes:
        timeout: The name of the timeout, a field of the profile (`"timeout"`, `"idle_timeout"`, ...).
    """

    def __init__(self, message: str = "", *, timeout: str | None = None, **details: Unpack[_ErrorDetails]) -> None:
        super().__init__(message, **details)
        self.timeout = timeout


class MalformedResponseError(ProviderError):
    """The provider answered 200 with a body that cannot be parsed, or is not an answer."""


class StreamInterruptedError(ProviderError):
    """A stream broke off before its end.

    Attributes:
        partial: The Completion so far, with its usage known or estimated; None when there is none.
        partial_value: The value so far, of a typed stream; None when there is none.
    """

    def __init__(
        self,
        message: str = "",
        *,
        partial: Completion | None = None,
        partial_value: object = None,
        **details: Unpack[_ErrorDetails],
    ) -> None:
        super().__init__(message, **details)
        self.partial = partial
        self.partial_value = partial_value


class DeadlineExceededError(AsyncLLMError, TimeoutError):
    """The whole call took longer than its `deadline`.

    Attributes:
        last_error: The error of the last attempt; None when none had failed.
        attempts: Every attempt of the call, in order.
        should_retry: Whether the provider wants the request retried (`x-should-retry`); None when it does not say.
    """

    should_retry: bool | None = None

    def __init__(
        self,
        message: str = "",
        *,
        hint: str | None = None,
        last_error: AsyncLLMError | None = None,
        attempts: Sequence[Attempt] = (),
    ) -> None:
        super().__init__(message, hint=hint)
        self.last_error = last_error
        self.attempts = tuple(attempts)


class BudgetExceededError(AsyncLLMError):
    """The request could exceed the rest of `budget_usd`; nothing was sent."""


class OverloadedError(AsyncLLMError):
    """More callers wait for a slot than `max_queue` allows; nothing was sent.

    Attributes:
        retry_after: Seconds after which a slot is likely to be free; None when unknown.
        tenant: The tenant whose own limit was reached; None for the client's.
    """

    def __init__(
        self,
        message: str = "",
        *,
        hint: str | None = None,
        retry_after: float | None = None,
        tenant: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after
        self.tenant = tenant


class NotCachedError(AsyncLLMError):
    """The answer is not in the cache, and `cache = "only"` forbids asking for it; nothing was sent."""


class RecordingError(AsyncLLMError):
    """A call in a test is not recorded, or forbidden, or a recording cannot be read; nothing was sent."""


class RequestTooLargeError(AsyncLLMError):
    """The request is larger than a configured limit can ever admit; nothing was sent."""


class StalledError(AsyncLLMError):
    """Nothing in a batch succeeded for a long time."""


class JournalError(AsyncLLMError):
    """The journal is in use, damaged, of a newer version, or cannot be written."""


class ExtractionError(AsyncLLMError):
    """No attempt returned a valid value of the requested type.

    Attributes:
        attempts: Each attempt's answer, and why it was invalid, in order.
        completion: The last answer; None when there was none.
        usage: The usage of all attempts.
        cost_usd: The cost of all attempts in US dollars; None when unknown.
        partial: The readable part of the last answer, not validated; None when there is none.
    """

    def __init__(
        self,
        message: str = "",
        *,
        hint: str | None = None,
        attempts: Sequence[ExtractionAttempt] = (),
        completion: Completion | None = None,
        usage: Usage | None = None,
        cost_usd: float | None = None,
        partial: object = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.attempts = tuple(attempts)
        self.completion = completion
        self.usage = usage
        self.cost_usd = cost_usd
        self.partial = partial


class RefusalError(ExtractionError):
    """The model declined to answer."""


class IncompleteOutputError(ExtractionError):
    """The token limit cut the answer off; `partial` is the value so far."""


def not_installed(what: str, extra: str, instead: str = "") -> ConfigError:
    """Return the error for an optional package that is not installed.

    Args:
        what: The subject and its verb, such as "Parquet files need".
        extra: The extra that installs it.
        instead: An alternative, appended to the hint.
    """
    return ConfigError(
        f"{what} a package that is not installed.", hint=f'Install it: pip install "asyncllm[{extra}]"{instead}.'
    )


# difflib's own default. With 0.6 `temprature` matches `temperature` and `gpt5-mini` matches `gpt-5-mini`, while names
# that merely share letters (`seed`, `speed_up`) do not match.
_SIMILAR = 0.6


def nearest(name: str, candidates: Iterable[str], *, cutoff: float = _SIMILAR) -> str | None:
    """Return the candidate most similar to `name`; None when none is similar enough.

    The comparison ignores case; a candidate that differs only in case always wins.

    Args:
        name: The name as written.
        candidates: The valid names.
        cutoff: The least similarity, from 0 (any) to 1 (equal but for case).

    Returns:
        The candidate in its own spelling, never `name` itself.
    """
    # Imported only for an error message.
    from difflib import get_close_matches

    spelled = {candidate.casefold(): candidate for candidate in candidates if candidate != name}
    matches = get_close_matches(name.casefold(), spelled, n=1, cutoff=cutoff)
    return spelled[matches[0]] if matches else None
