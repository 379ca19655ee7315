"""Stored answers in Redis: shared by processes and machines, which send equal calls at the same time once."""

from __future__ import annotations

import json
import threading
import time
import warnings
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from ..config.redis_connection import check_coredis, redis_problem, shown_url
from .redis_thread import RedisThread
from .single_flight import PendingCall, SingleFlight
from .stored_answer import StoredAnswer

if TYPE_CHECKING:
    from .redis_thread import Client

T = TypeVar("T")

# A model takes seconds: an answer that Redis does not bring within this time is asked for instead.
_TIMEOUT_S = 1.0
# Pause after a failure, in which no call waits for Redis.
_DOWN_S = 5.0
# Answers that wait for a slow server; further ones are not stored.
_MOST_UNWRITTEN = 10_000
_WRITTEN_AT_ONCE = 100
# A claim ends by itself when its process is killed; until then it is renewed.
_CLAIM_MS = 10_000
_RENEWED_EVERY_S = 3.0
# Those who wait for a failed call have looked within this time.
_FAILED_MS = 1_000
_FIRST_LOOK_S, _LAST_LOOK_S = 0.02, 0.25
_CLAIMED, _FAILED = b"claimed", b"failed"


class RedisAnswers:
    """The answers in one database of Redis. `put`, `land` and `close` may be called from any thread.

    A server that cannot be reached never fails a call: it warns once, and calls go on without it until it is back. It
    bounds its size itself, by `maxmemory` and `maxmemory-policy`.

    Args:
        url: The URL, as `open_redis` takes it.
        max_bytes: The size above which an answer is not stored.
    """

    def __init__(self, url: str, max_bytes: int) -> None:
        check_coredis(f'cache = "{shown_url(url)}" needs')
        self.name = shown_url(url)
        self.max_bytes = max_bytes
        self.single_flight = SingleFlight()
        self._thread = RedisThread(url, _TIMEOUT_S)
        self._down_until = 0.0
        self._has_warned = False
        self._lock = threading.Lock()
        self._unwritten: dict[bytes, StoredAnswer] = {}
        # Each with its key, and the answer that it stores, if it stores one.
        self._writes: deque[tuple[bytes, StoredAnswer | None, Callable[[Any], object]]] = deque()
        self._is_writing = False
        self._claimed: set[bytes] = set()
        self._is_renewing = False

    async def find(self, key: bytes, *, max_age_s: float | None) -> StoredAnswer | None:
        """Return the answer of a request; None when there is none, or it is older than `max_age_s` seconds."""
        found = self._unwritten.get(key)
        if found is None:
            found = _decoded(await self._asked(lambda client: client.get(answer_key(key))))
        return found if found is not None and found.is_younger(max_age_s) else None

    def put(self, key: bytes, answer: StoredAnswer, *, max_age_s: float | None) -> bool:
        """Store the answer of a request; it can be found at once, and is in Redis a moment later.

        Args:
            key: The fingerprint of the request.
            answer: The answer.
            max_age_s: Seconds after which Redis removes it; None for no end.

        Returns:
            Whether it is stored: it is not when it is too large, or Redis cannot be reached.
        """
        if answer.size > self.max_bytes or self._is_down() or len(self._unwritten) >= _MOST_UNWRITTEN:
            return False
        self._unwritten[key] = answer
        px = None if max_age_s is None else max(1, round(max_age_s * 1000))

        self._write_soon(key, answer, lambda pipeline: pipeline.set(answer_key(key), _encoded(answer), px=px))
        return True

    async def claim(self, key: bytes, *, max_age_s: float | None) -> bool:
        """Return whether a request has to be sent here; otherwise another process has just stored its answer.

        Waits while another process sends it. One that fails leaves each of those who wait to send its own; the place
        of one that is cancelled or killed is taken by another.
        """
        claimed = await self._asked(partial(self._claim, key, max_age_s), undo=lambda _: self._release(key, None))
        return claimed is not False

    def land(self, key: bytes, flight: PendingCall) -> None:
        """Wake those who wait for a call that has ended, here and in other processes."""
        self.single_flight.land(key, flight)
        self._release(key, None if flight.is_answered or flight.is_cancelled else _FAILED)

    def close(self) -> None:
        """Write what is left, and disconnect."""
        self._thread.close()

    async def _asked(
        self, command: Callable[[Client], Awaitable[T]], undo: Callable[[T], object] | None = None
    ) -> T | None:
        """Return the result of a command; None while Redis cannot be reached."""
        if self._is_down():
            return None
        try:
            result = await self._thread.run(command, undo=undo)
        except Exception as error:
            if redis_problem(error) is None:
                raise
            self._fail(error)
            return None
        if self._down_until:  # it is back, and another failure would be news
            self._down_until, self._has_warned = 0.0, False
        return result

    async def _claim(self, key: bytes, max_age_s: float | None, client: Client) -> bool:
        from coredis.tokens import PureToken

        wait_s = _FIRST_LOOK_S
        while True:
            is_taken, state, found = False, None, None
            # What Redis did for a caller that is cancelled meanwhile must be known.
            with anyio.CancelScope(shield=True):
                async with client.pipeline(transaction=False) as pipeline:
                    taking = pipeline.set(claim_key(key), _CLAIMED, condition=PureToken.NX, px=_CLAIM_MS)
                    looks = pipeline.get(claim_key(key)), pipeline.get(answer_key(key))
                is_taken, state, found = await taking, await looks[0], _decoded(await looks[1])
            if is_taken:
                self._hold(key)
            if found is not None and found.is_younger(max_age_s):
                self._release(key, None)
                return False
            if is_taken or state == _FAILED:
                return True
            await anyio.sleep(wait_s)
            wait_s = min(2 * wait_s, _LAST_LOOK_S)

    def _hold(self, key: bytes) -> None:
        self._claimed.add(key)
        if not self._is_renewing:
            self._is_renewing = True
            self._thread.start(self._renew, self._renewed)

    async def _renew(self, client: Client) -> None:
        """Renew the claims of calls that are under way."""
        while await self._thread.pause(_RENEWED_EVERY_S) and self._claimed:
            async with client.pipeline(transaction=False) as pipeline:
                for key in tuple(self._claimed):
                    pipeline.pexpire(claim_key(key), _CLAIM_MS)

    def _renewed(self, error: Exception | None) -> None:
        self._is_renewing = False
        if error is not None:
            self._claimed.clear()
            self._fail(error)

    def _release(self, key: bytes, state: bytes | None) -> None:
        """Give a claim back, and leave word of how its call ended."""
        if key not in self._claimed:
            return
        self._claimed.discard(key)
        if state is None:
            self._write_soon(key, None, lambda pipeline: pipeline.delete([claim_key(key)]))
        else:
            self._write_soon(key, None, lambda pipeline: pipeline.set(claim_key(key), state, px=_FAILED_MS))

    def _write_soon(self, key: bytes, answer: StoredAnswer | None, write: Callable[[Any], object]) -> None:
        with self._lock:
            self._writes.append((key, answer, write))
            if self._is_writing:
                return
            self._is_writing = True
        self._thread.start(self._write, self._written)

    async def _write(self, client: Client) -> None:
        """Write what waits, in its order."""
        while True:
            with self._lock:
                writes = [self._writes.popleft() for _ in range(min(len(self._writes), _WRITTEN_AT_ONCE))]
                self._is_writing = bool(writes)
            if not writes:
                return
            async with client.pipeline(transaction=False) as pipeline:
                for _, _, write in writes:
                    write(pipeline)
            for key, answer, _ in writes:
                if answer is not None and self._unwritten.get(key) is answer:
                    del self._unwritten[key]

    def _written(self, error: Exception | None) -> None:
        if error is not None:
            with self._lock:
                self._is_writing = False
                self._writes.clear()
                self._unwritten.clear()
            self._fail(error)

    def _is_down(self) -> bool:
        return time.monotonic() < self._down_until

    def _fail(self, error: Exception) -> None:
        """Warn once, and go on without Redis for a while."""
        from coredis.exceptions import AuthenticationError, RedisClusterError, ResponseError

        # A server that refuses to write, since it is full or a replica, can still be read.
        unusable = (AuthenticationError, RedisClusterError)
        if not isinstance(error, ResponseError) or isinstance(error, unusable):
            self._down_until = time.monotonic() + _DOWN_S
        if not self._has_warned:
            self._has_warned = True
            what, remedy = redis_problem(error) or (f"cannot be used ({error!r})", "")
            message = f"the cache {self.name} {what}; calls go on without it until it is back. {remedy}".rstrip()
            with suppress(RuntimeWarning):  # where warnings are errors: it must not fail a call
                warnings.warn(message, RuntimeWarning, stacklevel=2)


def answer_key(key: bytes) -> str:
    """Return the key of an answer; in a cluster, at the same place as its claim."""
    return f"asyncllm:{{{key.hex()}}}:answer"


def claim_key(key: bytes) -> str:
    """Return the key of a claim."""
    return f"asyncllm:{{{key.hex()}}}:claim"


def _encoded(answer: StoredAnswer) -> bytes:
    head = json.dumps([answer.model, answer.cost_usd, answer.made_at])
    return head.encode() + b"\n" + answer.data


def _decoded(value: bytes | None) -> StoredAnswer | None:
    if value is None:
        return None
    head, _, data = value.partition(b"\n")
    model, cost_usd, made_at = json.loads(head)
    return StoredAnswer(data, model, cost_usd, made_at)
