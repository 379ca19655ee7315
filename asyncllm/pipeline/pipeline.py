"""The one way from a request to an answer: limits, attempts, deadline, record. Every public call goes through it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

import anyio

from .. import telemetry
from ..completions.call_record import Attempt, CallRecord
from ..completions.completion import Completion
from ..completions.stream import Opened, ending
from ..completions.usage import Usage
from ..config import LLMConfig
from ..errors import (
    AsyncLLMError,
    AuthenticationError,
    DeadlineExceededError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
    ServerError,
)
from ..limits import Admission, Budget, Slots, admit
from ..messages import Request
from ..models import estimate_tokens
from ..transports.base import NO_KEY, Answer, Call, ChunkStream
from ..transports.errors import timeout_failure
from ..transports.headers import rate_limits, request_id
from .circuit_breaker import CircuitBreaker
from .deadline import Deadline
from .endpoint import Endpoint
from .fallback import FallbackTurn, goes_on
from .retry import is_retryable, may_be_billed, wait_before_retry, waits

T = TypeVar("T")


class BatchPolicy(Protocol):
    """What a batch brings along: refusals for the rate are waited out rather than counted as tries.

    Attributes:
        budget: What the batch may spend, beside the client's own budget; None for no limit.
        adaptive: Whether its requests find and follow the provider's limit.
    """

    @property
    def budget(self) -> Budget | None: ...

    @property
    def adaptive(self) -> bool: ...

    def closed(self, seconds: float) -> None:
        """Note that nothing is sent for some time; raises StalledError when that is too long."""
        ...

    def refused(self, error: RateLimitError) -> None:
        """Note a refusal; raises StalledError when nothing has got through for too long."""
        ...

    def succeeded(self) -> None:
        """Note that something got through."""
        ...

    def sending(self, worst_usd: float) -> None:
        """Note that a request is about to be sent, and may be paid for from now on; 0 where no budget asks for it."""
        ...


@dataclass(slots=True)
class Counters:
    """What a client has done so far; plain numbers, added to by its own loop alone."""

    calls: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    retries: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0

    def add(self, completion: Completion) -> None:
        """Count an answer's tokens and cost."""
        self.input_tokens += completion.usage.input_tokens or 0
        self.output_tokens += completion.usage.output_tokens or 0
        cost = completion.cost_usd
        if cost is None:
            self.unpriced += 1
        else:
            self.cost_usd += cost


class Pipeline:
    """Sends requests to an endpoint, with slots, rates, retries and deadline.

    Args:
        config: The profile, with the timeouts and retries of its calls.
        endpoint: Where they go.
        slots: The client's slots.
        counters: The client's counters.
    """

    def __init__(self, config: LLMConfig, endpoint: Endpoint, slots: Slots, counters: Counters) -> None:
        self.config = config
        self.endpoint = endpoint
        self._slots = slots
        self._counters = counters

    @property
    def profile(self) -> str:
        """The name of the endpoint's profile."""
        return self.endpoint.profile

    @property
    def breaker(self) -> CircuitBreaker:
        """What is remembered of the endpoint's failures."""
        return self.endpoint.breaker

    def closed_too_long(self) -> bool:
        """Tell whether the provider asked for a longer pause than a retry would wait."""
        return self.endpoint.bucket.closed_s > self.config.retry_max_wait

    async def complete(
        self,
        request: Request,
        deadline: Deadline,
        policy: BatchPolicy | None = None,
        turn: FallbackTurn | None = None,
    ) -> Completion:
        """Send a request until it is answered, and return the answer."""
        run = _CallRun(self, request, deadline, policy, turn)
        answer, admission = await run.attempts(run.send, self.config.timeout)
        used: int | None = None
        cost: float | None = None
        try:
            completion = run.completion(answer)
            used, cost = completion.usage.total_tokens, completion.cost_usd
            admission.answered(run.record.rate_limits, completion.usage.output_tokens)
        finally:
            admission.release(used, cost)
        self._ended(request, completion, None)
        return completion

    async def open(self, request: Request, deadline: Deadline, turn: FallbackTurn | None = None) -> Opened:
        """Send a request until its stream has begun, and return it with its first chunks."""
        config = self.config
        limit = config.timeout if config.first_token_timeout is None else config.first_token_timeout
        run = _CallRun(self, request, deadline, None, turn)
        (stream, first), admission = await run.attempts(run.open_stream, limit)
        admission.answered(rate_limits(stream.headers))
        return run.opened(stream, first, admission)

    def _ended(self, request: Request, completion: Completion, error: BaseException | None) -> None:
        """Count how a call ended that had an answer, or a part of one."""
        counters = self._counters
        counters.add(completion)
        if error is None:
            counters.succeeded += 1
        elif isinstance(error, AsyncLLMError):
            counters.failed += 1
        else:
            counters.cancelled += 1
        if telemetry.listening(telemetry.INFO):
            _emit_end(completion, error, request if self.config.log_prompts else None)


class _CallRun:
    """One call at one endpoint: its record, its tries, its deadline."""

    __slots__ = (
        "_deadline",
        "_more",
        "_pipeline",
        "_policy",
        "_request",
        "_schedule",
        "_transport",
        "_tries",
        "record",
    )

    def __init__(
        self,
        pipeline: Pipeline,
        request: Request,
        deadline: Deadline,
        policy: BatchPolicy | None,
        turn: FallbackTurn | None,
    ) -> None:
        endpoint = pipeline.endpoint
        self._pipeline = pipeline
        self._request = request
        self._deadline = deadline
        self._policy = policy
        self._schedule: Iterator[float] | None = None
        self._tries = 0
        self._more = turn is not None and turn.more
        if turn is None or turn.record is None:
            self.record = CallRecord(endpoint.profile, endpoint.config.model, endpoint.provider, "litellm")
            pipeline._counters.calls += 1
            if turn is not None:
                self.record.profile, self.record.skipped = turn.profile, turn.skipped
                turn.record = self.record
        else:
            self.record = turn.record
            self.record.model, self.record.provider = endpoint.config.model, endpoint.provider

    async def attempts(self, send: Callable[[Call], Awaitable[T]], timeout_s: float) -> tuple[T, Admission]:
        """Send until it succeeds; the slot of the last attempt is still held, and is the caller's to release."""
        endpoint = self._pipeline.endpoint
        try:
            call = endpoint.call(self._request, timeout_s)
            self._transport = endpoint.transport(call)
            self.record.transport = self._transport.name
            while True:
                attempt = Attempt(endpoint.profile, endpoint.config.model)
                admission = await self._admitted(call)
                self.record.attempts.append(attempt)
                attempt.queued_s = admission.queued_s
                call.timeout_s = self._deadline.clip(timeout_s)
                started = time.monotonic()
                failure: AsyncLLMError | None = None
                try:
                    if self._policy is not None:
                        self._policy.sending(admission.worst_usd)
                    result = await send(call)
                except AsyncLLMError as error:
                    failure = error
                except BaseException as error:
                    attempt.error, attempt.billed = ending(error), "possibly"
                    admission.release()  # at its worst: nobody knows what was done
                    raise
                finally:
                    attempt.elapsed_s = time.monotonic() - started
                if failure is None:
                    self._succeeded(attempt)
                    return result, admission
                closed_s = _closing(admission, failure)
                if may_be_billed(failure):
                    admission.release()
                else:
                    admission.release(0, 0.0)
                await self._after(attempt, failure, closed_s)
        except AsyncLLMError as error:
            self._locate(error)
            if not (self._more and goes_on(error)):
                self._failed(error)
            raise
        except anyio.get_cancelled_exc_class():
            self._cancelled()
            raise

    def _admitted(self, call: Call) -> Awaitable[Admission]:
        """Wait until a call may be sent."""
        pipeline, endpoint, policy = self._pipeline, self._pipeline.endpoint, self._policy
        budget, adaptive = pipeline._slots.budget, bool(pipeline.config.adaptive)
        budgets = () if budget is None else (budget,)
        if policy is not None:
            adaptive = policy.adaptive
            budgets = budgets if policy.budget is None else (*budgets, policy.budget)
        return admit(
            pipeline._slots,
            endpoint.bucket,
            endpoint.reservation(call),
            self._deadline,
            adaptive=adaptive,
            budgets=budgets,
            worst_usd=endpoint.worst_case(call) if budgets else 0.0,
            patient=policy is not None,
            again=bool(self.record.attempts),
            too_long=None if policy is None else policy.closed,
        )

    async def send(self, call: Call) -> Answer:
        """Send a plain call."""
        return await self._transport.complete(call)

    async def open_stream(self, call: Call) -> tuple[ChunkStream, Sequence[dict[str, Any]]]:
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

    def opened(self, stream: ChunkStream, first: Sequence[dict[str, Any]], admission: Admission) -> Opened:
        """Put together what belongs to a stream that has begun."""
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
            finished=partial(self._pipeline._ended, self._request),
        )

    def completion(self, answer: Answer) -> Completion:
        """Make the Completion of a plain answer."""
        record = self.record
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
        return Usage(estimate_tokens(self._request.messages), output, basis="estimated")

    def _succeeded(self, attempt: Attempt) -> None:
        attempt.billed = "yes"
        if self._policy is not None:
            self._policy.succeeded()

    async def _after(self, attempt: Attempt, error: AsyncLLMError, closed_s: float) -> None:
        """Raise what ends the call, or wait until the next attempt."""
        endpoint = self._pipeline.endpoint
        _describe(attempt, error)
        if isinstance(error, ProviderTimeoutError) and not self._deadline.admits(0):
            raise self._deadline.error(f"waiting for {endpoint.config.model}", error)
        if not is_retryable(error):
            raise error
        if isinstance(error, RateLimitError) and self._policy is not None and not self._more:
            attempt.waited_s = closed_s  # in the line before the bucket, where the others wait too
            self._policy.refused(error)
            return
        config = self._pipeline.config
        # While another endpoint remains this one gets one retry at the most, and none that would have to wait for long.
        if self._tries >= (min(1, config.num_retries) if self._more else config.num_retries):
            raise error
        if self._more and isinstance(error, ProviderError) and (error.retry_after or 0.0) > config.retry_max_wait:
            raise error
        self._tries += 1
        await self._wait(attempt, error)

    async def _wait(self, attempt: Attempt, error: AsyncLLMError) -> None:
        config = self._pipeline.config
        if self._schedule is None:
            self._schedule = waits(config.retry_min_wait, config.retry_max_wait, config.retry_multiplier)
        wait = wait_before_retry(self._schedule, error)
        if not self._deadline.admits(wait):
            raise self._deadline.error(f"about to wait {wait:.1f} s before retry {self._tries}", error)
        attempt.waited_s = wait
        self._pipeline._counters.retries += 1
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

    def _locate(self, error: AsyncLLMError) -> None:
        """Complete an error with what only the pipeline knows."""
        record = self.record
        if isinstance(error, ProviderError):
            error.model = error.model or record.model
            error.provider = error.provider or record.provider
            error.profile = error.profile or self._pipeline.endpoint.profile
        if isinstance(error, AuthenticationError) and self._pipeline.endpoint.connection.api_key in (None, NO_KEY):
            error.hint = self._pipeline.config.key_advice()
        if isinstance(error, ProviderError | DeadlineExceededError):
            error.attempts = tuple(record.attempts)

    def _failed(self, error: AsyncLLMError) -> None:
        record = self.record
        record.elapsed_s = time.time() - record.started_at
        self._pipeline._counters.failed += 1
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

    def _cancelled(self) -> None:
        record = self.record
        billed = record.attempts[-1].billed if record.attempts else "no"
        self._pipeline._counters.cancelled += 1
        telemetry.emit(
            telemetry.INFO,
            "call.cancelled",
            profile=record.profile,
            model=record.model,
            attempts=len(record.attempts),
            elapsed_s=time.time() - record.started_at,
            billed=billed,
            usage="known" if billed == "no" else "unknown",  # of an answer that nobody has seen
        )


def _closing(admission: Admission, error: AsyncLLMError) -> float:
    """Close the bucket where the provider wants to be left alone; return for how many seconds."""
    if isinstance(error, RateLimitError):
        return admission.refused(error.retry_after)
    if isinstance(error, ServerError) and error.retry_after:
        return admission.refused(error.retry_after)
    return 0.0


def _describe(attempt: Attempt, error: AsyncLLMError) -> None:
    attempt.error, attempt.message = type(error).__name__, error.message
    if isinstance(error, ProviderError):
        attempt.status_code, attempt.retry_after = error.status_code, error.retry_after
    attempt.billed = "possibly" if may_be_billed(error) else "no"


def _emit_end(completion: Completion, error: BaseException | None, shown: Request | None) -> None:
    record, usage = completion.record, completion.usage
    telemetry.emit(
        telemetry.INFO,
        "call.done" if error is None else "call.interrupted",
        profile=record.profile,
        model=record.model,
        transport=record.transport,
        request_id=record.request_id,
        attempts=len(record.attempts),
        elapsed_s=record.elapsed_s,
        first_token_s=record.first_token_s,
        finish_reason=completion.finish_reason,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        usage=usage.basis,
        cost_usd=completion.cost_usd,
        error=None if error is None else ending(error),
        prompt=None if shown is None else shown.messages,
        answer=None if shown is None else completion.text,
    )
