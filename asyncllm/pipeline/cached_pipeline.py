"""The pipeline of an endpoint with a cache before it."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from pydantic_core import PydanticSerializationError, to_json

from .. import telemetry
from ..cache import ReplayedStream, Store, StoredAnswer, fingerprint
from ..completions.call_record import CallRecord
from ..completions.completion import Completion
from ..completions.stream import Opened
from ..completions.usage import Usage
from ..config import LLMConfig
from ..errors import AsyncLLMError, NotCachedError
from ..limits import Slots
from ..messages import Request
from ..models import estimate_tokens
from ..narrowing import list_or_empty, mapping_or_empty
from ..transports.litellm.importing import model_response
from .deadline import Deadline
from .endpoint import Endpoint
from .fallback import FallbackTurn
from .pipeline import BatchPolicy, Counters, Pipeline

if TYPE_CHECKING:
    from ..structured import TypedForms

T = TypeVar("T")

# Only answers that the model itself brought to an end are kept.
_WHOLE = frozenset(("stop", "tool_calls", "function_call"))


class CachedPipeline(Pipeline):
    """Answers from the cache what was answered before, and sends equal calls at the same time once.

    Args:
        store: The answers; shared with other clients and processes.
    """

    has_cache = True

    def __init__(self, config: LLMConfig, endpoint: Endpoint, slots: Slots, counters: Counters, store: Store) -> None:
        super().__init__(config, endpoint, slots, counters)
        self._store = store
        connection = endpoint.connection
        base_url = None if connection.is_embedded else connection.options.get("base_url")
        # Those of the requests under way, by identity: it takes as long as storing the answer.
        self._keys: dict[int, bytes] = {}
        self._fingerprint = partial(fingerprint, endpoint.provider, endpoint.model, base_url)

    async def complete(
        self,
        request: Request,
        deadline: Deadline,
        policy: BatchPolicy | None = None,
        turn: FallbackTurn | None = None,
        forms: TypedForms[Any] | None = None,
    ) -> Completion:
        """Return the stored answer of a request, or send it until it is answered; arguments as of `Pipeline`."""
        key = self._key(request)
        send = partial(super().complete, request, deadline, policy, turn, forms)
        if key is None or self.config.cache_mode == "refresh":
            return await send()
        self._keys[id(request)] = key
        try:
            return await self._found_or_sent(key, request, send, deadline, policy, turn)
        finally:
            self._keys.pop(id(request), None)

    async def _found_or_sent(
        self,
        key: bytes,
        request: Request,
        send: Callable[[], Awaitable[Completion]],
        deadline: Deadline,
        policy: BatchPolicy | None,
        turn: FallbackTurn | None,
    ) -> Completion:
        while True:
            found = await self._found(key)
            if found is not None:
                return self._completion(request, found, policy, turn)
            flight = self._store.single_flight.take_off(key)
            if flight is None:
                if not await self._answered_elsewhere(key, deadline):
                    return await send()
                continue
            try:
                claim = self._store.claim
                if claim is None or await self._within(deadline, claim(key, max_age_s=self.config.cache_ttl)):
                    return await send()
                flight.is_answered = True
            except AsyncLLMError:
                raise
            except BaseException:
                flight.is_cancelled = True
                raise
            finally:
                self._store.land(key, flight)

    async def open(
        self,
        request: Request,
        deadline: Deadline,
        turn: FallbackTurn | None = None,
        forms: TypedForms[Any] | None = None,
    ) -> Opened:
        """Return the stored answer of a request as a stream, or open one; arguments as of `Pipeline`."""
        key = self._key(request)
        if key is not None and self.config.cache_mode != "refresh":
            found = await self._found(key)
            if found is not None:
                return self._opened(request, found, deadline, turn)
        opened = await super().open(request, deadline, turn, forms)
        opened.needs_text = opened.needs_text or key is not None
        return opened

    async def answers_alone(self, request: Request) -> bool:
        """Return whether the answer of a request is stored, or may come from nowhere else."""
        if self.config.cache_mode == "only":
            return True
        key = self._key(request)
        return key is not None and self.config.cache_mode != "refresh" and await self._found(key) is not None

    def keep(self, request: Request, completion: Completion) -> None:
        """Store an answer that is whole."""
        key, data = self._key(request), completion.to_dict()
        if key is not None and _is_kept(data):
            # A lone surrogate has no form in UTF-8, and what JSON cannot express comes from no provider.
            with suppress(PydanticSerializationError, ValueError):
                answer = StoredAnswer(to_json(data), self.endpoint.config.model, completion.cost_usd, time.time())
                if self._store.put(key, answer, max_age_s=self.config.cache_ttl):
                    self._store.single_flight.answered(key)

    def ended(self, request: Request, completion: Completion, error: BaseException | None) -> None:
        """Store an answer under the request that was sent last, whose form may have changed."""
        if error is None and not completion.record.cached:
            self.keep(request, completion)
        super().ended(request, completion, error)

    def _key(self, request: Request) -> bytes | None:
        """Return the fingerprint of a request; None for one that is not kept."""
        if self.config.cache_mode == "off":
            return None
        known = self._keys.get(id(request))
        return known if known is not None else self._fingerprint(request.messages, self.endpoint.params(request))

    async def _found(self, key: bytes) -> StoredAnswer | None:
        """Return the stored answer.

        Raises:
            NotCachedError: There is none, and none may be asked for.
        """
        found = await self._store.find(key, max_age_s=self.config.cache_ttl)
        if found is None and self.config.cache_mode == "only":
            raise NotCachedError(
                f"the answer of {self.config.model} to this request is not in the cache {self._store.name}.",
                hint='Call without cache = "only", and it will be.',
            )
        return found

    async def _answered_elsewhere(self, key: bytes, deadline: Deadline) -> bool:
        """Wait for an equal call; return whether its answer is stored now, or another call has to replace it."""
        flight = await self._within(deadline, self._store.single_flight.wait(key))
        return flight is None or flight.is_answered or flight.is_cancelled

    async def _within(self, deadline: Deadline, waiting: Awaitable[T]) -> T:
        """Wait for an equal call, until the deadline."""
        with anyio.move_on_after(deadline.clip(math.inf)):
            return await waiting
        raise deadline.error("waiting for the answer to an equal call")

    def _completion(
        self, request: Request, found: StoredAnswer, policy: BatchPolicy | None, turn: FallbackTurn | None
    ) -> Completion:
        data, record = found.decoded(), self._record(found, turn)
        record.elapsed_s = time.time() - record.started_at
        completion = Completion(data, record, price=_free, build_response=model_response)
        if completion.usage.basis == "unknown":
            completion.usage = _estimate(request, completion.text)
        if policy is not None:
            policy.succeeded()
        self.ended(request, completion, None)
        return completion

    def _opened(self, request: Request, found: StoredAnswer, deadline: Deadline, turn: FallbackTurn | None) -> Opened:
        record = self._record(found, turn)
        record.first_token_s = time.time() - record.started_at
        return Opened(
            source=ReplayedStream(found.decoded(), model_response),
            first=(),
            admission=_NothingHeld(),
            record=record,
            deadline=deadline,
            idle_timeout_s=self.config.idle_timeout,
            price=_free,
            estimate=partial(_estimate, request),
            finished=partial(self.ended, request),
            needs_text=self.config.log_prompts,
        )

    def _record(self, found: StoredAnswer, turn: FallbackTurn | None) -> CallRecord:
        endpoint = self.endpoint
        record = turn.record if turn is not None else None
        if record is None:
            record = CallRecord(endpoint.profile, endpoint.config.model, endpoint.provider, "cache")
            self.counters.calls += 1
            if turn is not None:
                record.profile, record.skipped = turn.profile, turn.skipped
                turn.record = record
        record.transport, record.cached, record.saved_usd = "cache", True, found.cost_usd
        telemetry.emit(telemetry.DEBUG, "cache.hit", profile=record.profile, model=record.model)
        return record


class _NothingHeld:
    """The slot of a stream that takes none."""

    def release(self, used_tokens: int | None = None, cost_usd: float | None = None, *, least_usd: float = 0.0) -> None:
        pass


def _is_kept(answer: Mapping[str, object]) -> bool:
    """Return whether an answer is worth keeping: whole, and no refusal."""
    choices = list_or_empty(answer.get("choices"))
    return bool(choices) and all(
        choice.get("finish_reason") in _WHOLE and not mapping_or_empty(choice.get("message")).get("refusal")
        for choice in map(mapping_or_empty, choices)
    )


def _free(_usage: Usage) -> float:
    return 0.0


def _estimate(request: Request, text: str) -> Usage:
    return Usage(estimate_tokens(request.messages), estimate_tokens(text) if text else 0, basis="estimated")
