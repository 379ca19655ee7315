"""The pipeline of one endpoint: limits, attempts, deadline, record. Every public call goes through it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from .. import telemetry
from ..completions.completion import Completion
from ..completions.stream import Opened, ending
from ..config import LLMConfig
from ..errors import AsyncLLMError, RateLimitError
from ..limits import Budget, Slots
from ..messages import Request
from ..transports.headers import rate_limits
from .call_run import CallRun
from .circuit_breaker import CircuitBreaker
from .deadline import Deadline
from .endpoint import Endpoint
from .fallback import FallbackTurn

if TYPE_CHECKING:
    from ..call_log import CallLog
    from ..completions.call_record import CallRecord
    from ..structured import TypedForms


class BatchPolicy(Protocol):
    """Batch-wide handling of 429s and money: an item that is throttled waits rather than using up a retry.

    Attributes:
        budget: The budget of the batch, beside the client's own; None for no limit.
        adaptive: Whether its requests follow the adaptive control.
    """

    @property
    def budget(self) -> Budget | None: ...

    @property
    def adaptive(self) -> bool: ...

    def cooling_down(self, seconds: float) -> None:
        """Note a cooldown; raises StalledError when it is too long."""
        ...

    def throttled(self, error: RateLimitError) -> None:
        """Note a 429; raises StalledError when nothing has succeeded for too long."""
        ...

    def succeeded(self) -> None:
        """Note a success."""
        ...

    def sending(self, worst_usd: float) -> None:
        """Note that a request is about to be sent, and may be billed from now on; 0 US dollars without a budget."""
        ...


@dataclass(slots=True)
class Counters:
    """Totals of a client; plain numbers that only its own loop adds to."""

    calls: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    retries: int = 0
    throttled: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0
    cached: int = 0
    saved_usd: float = 0.0

    def add(self, completion: Completion) -> None:
        """Count an answer's tokens and cost; one of the cache took none."""
        if completion.record.cached:
            self.cached += 1
            self.saved_usd += completion.record.saved_usd or 0.0
            return
        self.input_tokens += completion.usage.input_tokens or 0
        self.output_tokens += completion.usage.output_tokens or 0
        cost = completion.cost_usd
        if cost is None:
            self.unpriced += 1
        else:
            self.cost_usd += cost


class Pipeline:
    """Sends requests to one endpoint, with limits, retries and deadline.

    Attributes:
        call_log: The log of its calls; None without one.
        has_cache: Whether it keeps answers.

    Args:
        config: The profile, with the timeouts and retries of its calls.
        endpoint: The endpoint of that profile.
        slots: The client's slots.
        counters: The client's counters.
    """

    has_cache = False

    def __init__(self, config: LLMConfig, endpoint: Endpoint, slots: Slots, counters: Counters) -> None:
        self.config = config
        self.endpoint = endpoint
        self.slots = slots
        self.counters = counters
        self.call_log: CallLog | None = None

    @property
    def profile(self) -> str:
        """The name of the endpoint's profile."""
        return self.endpoint.profile

    @property
    def breaker(self) -> CircuitBreaker:
        """The endpoint's circuit breaker."""
        return self.endpoint.breaker

    def cooling_down_too_long(self) -> bool:
        """Return whether the endpoint is cooling down for longer than a retry would wait."""
        return self.endpoint.limits.cooldown_s > self.config.retry_max_wait

    async def complete(
        self,
        request: Request,
        deadline: Deadline,
        policy: BatchPolicy | None = None,
        turn: FallbackTurn | None = None,
        forms: TypedForms[Any] | None = None,
    ) -> Completion:
        """Send a request until it is answered, and return the answer.

        Args:
            request: The request.
            deadline: The end of the whole call.
            policy: That of the batch.
            turn: The state of a call with fallbacks.
            forms: The forms of a typed request, of which this is the first to be sent.
        """
        run = CallRun(self, request, deadline, policy, turn, forms)
        answer, admission = await run.attempts(run.send, self.config.timeout)
        used: int | None = None
        cost: float | None = None
        try:
            completion = run.completion(answer)
            used, cost = completion.usage.total_tokens, completion.cost_usd
            admission.answered(run.record.rate_limits, completion.usage.output_tokens)
        finally:
            admission.release(used, cost)
        self.ended(run.request, completion, None)
        return completion

    async def open(
        self,
        request: Request,
        deadline: Deadline,
        turn: FallbackTurn | None = None,
        forms: TypedForms[Any] | None = None,
    ) -> Opened:
        """Send a request until its stream has begun, and return it with its first chunks; arguments as `complete`."""
        config = self.config
        limit = config.timeout if config.first_token_timeout is None else config.first_token_timeout
        run = CallRun(self, request, deadline, None, turn, forms)
        (stream, first), admission = await run.attempts(run.open_stream, limit, stream=True)
        admission.answered(rate_limits(stream.headers))
        return run.opened(stream, first, admission)

    async def answers_alone(self, request: Request) -> bool:
        """Return whether the answer of a request is in the cache, or may come from nowhere else."""
        return False

    def keep(self, request: Request, completion: Completion) -> None:
        """Store the whole answer of a request in the cache, where there is one."""

    def ended(self, request: Request, completion: Completion, error: BaseException | None) -> None:
        """Count a call that ended with an answer, or with part of one, and emit its event."""
        counters = self.counters
        counters.add(completion)
        if error is None:
            counters.succeeded += 1
        elif isinstance(error, AsyncLLMError):
            counters.failed += 1
        else:
            counters.cancelled += 1
        if self.call_log is not None:
            self.log(completion.record, request, completion, error)
        if telemetry.listening(telemetry.INFO):
            _emit_end(completion, error, request if self.config.log_prompts else None)

    def log(
        self, record: CallRecord, request: Request, completion: Completion | None, error: BaseException | None
    ) -> None:
        """Add a call that has ended to the log of calls, where there is one."""
        if self.call_log is not None:
            from .call_logging import logged_call

            entry = logged_call(record, request, completion, error, with_texts=self.config.log_prompts)
            self.call_log.add(entry)


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
