"""One call at one endpoint: its attempts, their record, and the waits between them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from .. import telemetry
from ..completions.call_record import Attempt, CallRecord
from ..completions.completion import Completion
from ..completions.stream import Opened, ending
from ..completions.surrogates import mend_answer
from ..completions.text_chunk import AnyChunk
from ..completions.usage import Usage
from ..errors import (
    AsyncLLMError,
    AuthenticationError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
    ServerError,
)
from ..limits import Admission, Needs, admit, admit_at_once, refusal_remedy
from ..messages import Request
from ..models import estimate_tokens
from ..transports.base import NO_KEY, Answer, Call, ChunkStream
from ..transports.errors import timeout_failure
from ..transports.headers import rate_limits, request_id
from .deadline import Deadline
from .fallback import FallbackTurn, goes_on
from .interception import is_replaying
from .retry import is_retryable, may_be_billed, wait_before_retry, waits

if TYPE_CHECKING:
    from ..structured import TypedForms
    from .pipeline import BatchPolicy, Pipeline

T = TypeVar("T")


class CallRun:
    """One call at one endpoint, with its record and its deadline."""

    __slots__ = (
        "_deadline",
        "_forms",
        "_more",
        "_pipeline",
        "_policy",
        "_schedule",
        "_transport",
        "_tries",
        "record",
        "request",
    )

    def __init__(
        self,
        pipeline: Pipeline,
        request: Request,
        deadline: Deadline,
        policy: BatchPolicy | None,
        turn: FallbackTurn | None,
        forms: TypedForms[Any] | None = None,
    ) -> None:
        endpoint = pipeline.endpoint
        self._pipeline = pipeline
        self.request = request
        self._forms = forms
        self._deadline = deadline
        self._policy = policy
        self._schedule: Iterator[float] | None = None
        self._tries = 0
        self._more = turn is not None and turn.more
        if turn is None or turn.record is None:
            self.record = CallRecord(endpoint.profile, endpoint.config.model, endpoint.provider, "litellm")
            pipeline.counters.calls += 1
            if turn is not None:
                self.record.profile, self.record.skipped = turn.profile, turn.skipped
                turn.record = self.record
        else:
            self.record = turn.record
            self.record.model, self.record.provider = endpoint.config.model, endpoint.provider

    async def attempts(
        self, send: Callable[[Call], Awaitable[T]], timeout_s: float, *, stream: bool = False
    ) -> tuple[T, Admission]:
        """Send a call until an attempt succeeds.

        Args:
            send: Sends it once.
            timeout_s: Seconds that an attempt may take, to its last byte or its first chunk.
            stream: Whether it is sent for a stream.

        Returns:
            The result, and the admission of the last attempt, whose slot the caller has to release.
        """
        endpoint = self._pipeline.endpoint
        try:
            while True:
                call = self._call(timeout_s, stream=stream)  # of a typed request in another form, after a refusal
                attempt = Attempt(endpoint.profile, endpoint.config.model)
                admission = self._admitted_at_once() or await self._admitted(call)
                self.record.attempts.append(attempt)
                attempt.queued_s = admission.queued_s
                call.timeout_s = self._deadline.clip(timeout_s)
                started = time.monotonic()
                try:
                    if self._policy is not None:
                        self._policy.sending(admission.worst_usd)
                    result = await send(call)
                except AsyncLLMError as error:
                    failure = error.with_traceback(None)
                except BaseException as error:
                    attempt.error, attempt.billed = ending(error), "possibly"
                    admission.release()  # at its worst case: what the provider has done is unknown
                    raise
                else:
                    self._succeeded(attempt)
                    return result, admission
                finally:
                    attempt.elapsed_s = time.monotonic() - started
                try:
                    last = await self._failed_attempt(attempt, admission, failure)
                    if last is not None:
                        raise last
                finally:
                    last = None
                    del failure
        except AsyncLLMError as error:
            self._complete_error(error)
            if not (self._more and goes_on(error)):
                self._failed(error)
            # The frames below hold the error in turn, and a cycle would keep the cooldown of a closed client alive.
            error.__traceback__ = None
            raise
        except anyio.get_cancelled_exc_class() as error:
            self._cancelled(error)
            raise

    def _call(self, timeout_s: float, *, stream: bool) -> Call:
        endpoint = self._pipeline.endpoint
        call = endpoint.call(self.request, timeout_s, stream=stream)
        self._transport = endpoint.transport(call)
        self.record.transport = self._transport.name
        return call

    def _admitted_at_once(self) -> Admission | None:
        pipeline, policy = self._pipeline, self._policy
        adaptive = pipeline.config.adaptive if policy is None else policy.adaptive
        if adaptive or self.request.tenant is not None or pipeline.slots.budget is not None:
            return None
        if policy is not None and policy.budget is not None:
            return None
        return admit_at_once(pipeline.slots, pipeline.endpoint.limits, self._deadline)

    def _admitted(self, call: Call) -> Awaitable[Admission]:
        """Wait until a call may be sent."""
        pipeline, endpoint, policy = self._pipeline, self._pipeline.endpoint, self._policy
        budget, adaptive = pipeline.slots.budget, bool(pipeline.config.adaptive)
        budgets = () if budget is None else (budget,)
        if policy is not None:
            adaptive = policy.adaptive
            budgets = budgets if policy.budget is None else (*budgets, policy.budget)
        needs = Needs(
            endpoint.reservation(call),
            adaptive,
            budgets,
            endpoint.worst_case(call) if budgets or self._pays_for_tenant() else 0.0,
            None if policy is None else policy.cooling_down,
            policy is not None,
            self.request.tenant,
            self.request.priority == "batch",
        )
        return admit(pipeline.slots, endpoint.limits, needs, self._deadline, again=bool(self.record.attempts))

    def _pays_for_tenant(self) -> bool:
        return self.request.tenant is not None and self._pipeline.slots.tenants.limits.budget_usd is not None

    def send(self, call: Call) -> Awaitable[Answer]:
        """Send a plain call."""
        return self._transport.complete(call)

    async def open_stream(self, call: Call) -> tuple[ChunkStream, Sequence[AnyChunk]]:
        """Open a stream and read its first chunks; a stream that fails before them is an attempt that failed."""
        began = time.monotonic()
        limit = call.timeout_s
        stream = await self._transport.open_stream(call)
        try:
            first = await stream.read(max(0.0, limit - (time.monotonic() - began)))
        except BaseException as error:
            with anyio.CancelScope(shield=True):
                await stream.aclose()
            if not isinstance(error, TimeoutError) or isinstance(error, ProviderError):
                raise
        else:
            return stream, first
        raise timeout_failure("first_token_timeout", limit, "the provider had accepted the request")

    def opened(self, stream: ChunkStream, first: Sequence[AnyChunk], admission: Admission) -> Opened:
        """Return a stream that has begun, with all that belongs to it."""
        endpoint, record = self._pipeline.endpoint, self.record
        record.first_token_s = time.time() - record.started_at
        record.request_id = request_id(stream.headers)
        record.rate_limits = rate_limits(stream.headers)
        return Opened(
            source=stream,
            first=first,
            admission=admission,
            record=record,
            deadline=self._deadline,
            idle_timeout_s=self._pipeline.config.idle_timeout,
            price=endpoint.price,
            estimate=self._estimate,
            finished=partial(self._pipeline.ended, self.request),
            needs_text=self._pipeline.config.log_prompts,
        )

    def completion(self, answer: Answer) -> Completion:
        """Make the Completion of a plain answer."""
        record = self.record
        mend_answer(answer.data)
        record.elapsed_s = time.time() - record.started_at
        record.request_id = request_id(answer.headers) or answer.data.get("id")
        record.rate_limits = rate_limits(answer.headers)
        completion = Completion(
            answer.data, record, price=self._pipeline.endpoint.price, build_response=answer.build_response
        )
        if completion.usage.basis == "unknown":
            completion.usage = self._estimate(completion.text)
        return completion

    def _estimate(self, text: str) -> Usage:
        output = estimate_tokens(text) if text else 0
        return Usage(estimate_tokens(self.request.messages), output, basis="estimated")

    def _succeeded(self, attempt: Attempt) -> None:
        attempt.billed = "yes"
        if self._policy is not None:
            self._policy.succeeded()

    async def _failed_attempt(
        self, attempt: Attempt, admission: Admission, error: AsyncLLMError
    ) -> AsyncLLMError | None:
        """Settle a failed attempt, and wait until the next one.

        Returns:
            The error, if it ends the call.
        """
        endpoint = self._pipeline.endpoint
        cooldown_s = self._cool_down(admission, error)
        if may_be_billed(error):
            admission.release()
        else:
            admission.release(0, 0.0)
        _describe(attempt, error)
        self._pipeline.counters.throttled += attempt.status_code == 429
        if isinstance(error, ProviderTimeoutError) and not self._deadline.admits(0):
            raise self._deadline.error(f"waiting for {endpoint.config.model}", error)
        if self._forms is not None and (weaker := await self._forms.weaker(endpoint, error)) is not None:
            self.request = weaker
            self._pipeline.counters.retries += 1
            return None
        if not is_retryable(error):
            return error
        if isinstance(error, RateLimitError) and self._policy is not None and not self._more:
            attempt.waited_s = cooldown_s  # in the queue of the limits, with the other requests
            self._policy.throttled(error)
            return None
        config = self._pipeline.config
        # While another endpoint remains, this one gets at most one retry, and none that would have to wait for long.
        if self._tries >= (min(1, config.num_retries) if self._more else config.num_retries):
            return error
        if self._more and isinstance(error, ProviderError) and (error.retry_after or 0.0) > config.retry_max_wait:
            return error
        self._tries += 1
        await self._wait(attempt, error)
        return None

    def _cool_down(self, admission: Admission, error: AsyncLLMError) -> float:
        """Start a cooldown where the provider asks for one; return its length in seconds."""
        if isinstance(error, RateLimitError):
            limits = self._pipeline.endpoint.limits
            limits.refusals.add(error, self._pipeline.config.model, limits.rates)
            return admission.throttled(error.retry_after)
        if isinstance(error, ServerError) and error.retry_after:
            return admission.throttled(error.retry_after)
        return 0.0

    async def _wait(self, attempt: Attempt, error: AsyncLLMError) -> None:
        config = self._pipeline.config
        if self._schedule is None:
            self._schedule = waits(config.retry_min_wait, config.retry_max_wait, config.retry_multiplier)
        wait = 0.0 if is_replaying() else wait_before_retry(self._schedule, error)
        if not self._deadline.admits(wait):
            raise self._deadline.error(f"about to wait {wait:.1f} s before retry {self._tries}", error)
        attempt.waited_s = wait
        self._pipeline.counters.retries += 1
        telemetry.emit(
            telemetry.INFO,
            "call.retry",
            profile=self.record.profile,
            model=config.model,
            retry=self._tries,
            wait_s=wait,
            error=attempt.error,
            status_code=attempt.status_code,
            message=attempt.message,
        )
        await anyio.sleep(wait)

    def _complete_error(self, error: AsyncLLMError) -> None:
        endpoint = self._pipeline.endpoint
        self.record.complete_error(error, endpoint.profile)
        if isinstance(error, AuthenticationError) and endpoint.connection.api_key in (None, NO_KEY):
            error.hint = self._pipeline.config.key_advice()
        elif isinstance(error, RateLimitError):
            is_adaptive = bool(self._pipeline.config.adaptive) or self._policy is not None
            error.hint = refusal_remedy(error, endpoint.limits.rates, is_adaptive=is_adaptive)

    def _failed(self, error: AsyncLLMError) -> None:
        record = self.record
        record.elapsed_s = time.time() - record.started_at
        self._pipeline.counters.failed += 1
        self._pipeline.log(record, self.request, None, error)
        telemetry.emit(
            telemetry.WARNING,
            "call.failed",
            profile=record.profile,
            model=record.model,
            attempts=len(record.attempts),
            elapsed_s=record.elapsed_s,
            error=type(error).__name__,
            message=error.message,
        )

    def _cancelled(self, error: BaseException) -> None:
        record = self.record
        record.elapsed_s = time.time() - record.started_at
        self._pipeline.log(record, self.request, None, error)
        billed = record.attempts[-1].billed if record.attempts else "no"
        self._pipeline.counters.cancelled += 1
        telemetry.emit(
            telemetry.INFO,
            "call.cancelled",
            profile=record.profile,
            model=record.model,
            attempts=len(record.attempts),
            elapsed_s=record.elapsed_s,
            billed=billed,
            usage="known" if billed == "no" else "unknown",  # of an answer that was never seen
        )


def _describe(attempt: Attempt, error: AsyncLLMError) -> None:
    attempt.error, attempt.message = type(error).__name__, error.message
    if isinstance(error, ProviderError):
        attempt.status_code, attempt.retry_after = error.status_code, error.retry_after
    attempt.billed = "possibly" if may_be_billed(error) else "no"
