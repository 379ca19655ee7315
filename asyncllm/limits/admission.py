"""Places and rates: what a request must have before it is sent.

A client has places; a bucket (provider, endpoint, key) has rates and closures, shared by everybody in the process who
sends there, across threads and loops. Waiting is first come, first served, woken by time or release, never by polling.
"""

from __future__ import annotations

import hashlib
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable

import anyio

from ..errors import DeadlineExceededError, RequestTooLargeError
from ..retry import Deadline
from ..wakeups import Wakeup

# A rate is followed at this share of what is allowed, and may run ahead by BURST of a minute's worth. In any minute
# that makes 99.5 % of the limit at the most, so that providers that count in fixed windows refuse nothing either.
HEADROOM = 0.98
BURST = 0.015
# The pause after a 429 that names none: it doubles with each in a row, between these, in seconds.
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0


class Rate:
    """A bucket that fills steadily, and that a large request may overdraw once it is full; time is passed in.

    Args:
        per_minute: What the provider allows.
        now: Monotonic time in seconds.
    """

    __slots__ = ("_level", "_size", "_updated", "per_minute", "per_s")

    def __init__(self, per_minute: float, now: float) -> None:
        self.per_minute = per_minute
        self.per_s = per_minute * HEADROOM / 60
        self._size = max(1.0, per_minute * BURST)
        self._level = self._size
        self._updated = now

    def available_at(self, amount: float, now: float) -> float:
        """Return the time at which an amount may be taken; now or earlier when it may be at once."""
        self._refill(now)
        return now + max(0.0, min(amount, self._size) - self._level) / self.per_s

    def take(self, amount: float, now: float) -> None:
        """Take an amount; the level may go below nothing, and is paid back by waiting."""
        self._refill(now)
        self._level -= amount

    def give_back(self, amount: float, now: float) -> None:
        """Return what was taken and not used; a negative amount takes more."""
        self._refill(now)
        self._level = min(self._size, self._level + amount)

    def _refill(self, now: float) -> None:
        if now > self._updated:
            self._level = min(self._size, self._level + (now - self._updated) * self.per_s)
            self._updated = now


class Bucket:
    """The rates and closures of one provider, endpoint and key; thread-safe.

    Args:
        clock: Gives the monotonic time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._limits: dict[int, tuple[float | None, float | None]] = {}
        self._requests: Rate | None = None
        self._tokens: Rate | None = None
        self._closed_until = 0.0
        self._refusals = 0
        self._queue: deque[Wakeup] = deque()

    def configure(self, owner: int, requests_per_minute: float | None, tokens_per_minute: float | None) -> None:
        """Set one owner's limits; of all owners' the lowest holds."""
        with self._lock:
            self._limits[owner] = (requests_per_minute, tokens_per_minute)
            self._apply()

    def forget(self, owner: int) -> None:
        """Drop one owner's limits."""
        with self._lock:
            self._limits.pop(owner, None)
            self._apply()

    def close(self, seconds: float | None) -> float:
        """Admit nobody for some time, after the provider refused.

        Args:
            seconds: What the provider asked for; None, or 0, for a pause that grows with each refusal in a row.

        Returns:
            The seconds for which it is closed.
        """
        with self._lock:
            now = self._clock()
            if not seconds:
                if self._closed_until > now:
                    return self._closed_until - now  # one burst of refusals is one refusal
                seconds = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**self._refusals)
                self._refusals += 1
            self._closed_until = max(self._closed_until, now + seconds)
            return self._closed_until - now

    def closed_for(self) -> float:
        """Return the seconds for which nobody is admitted."""
        return max(0.0, self._closed_until - self._clock())

    def succeeded(self) -> None:
        """Note that the provider answered; the next refusal starts with a short pause again."""
        self._refusals = 0

    def try_take(self, tokens: int) -> float:
        """Take what a request needs if it is there.

        Returns:
            0 when it was taken, else the seconds until it may be tried again.
        """
        with self._lock:
            return self._take(tokens)

    def settle(self, reserved: int, used: int | None) -> None:
        """Correct what was reserved by what was used; unknown usage counts as reserved."""
        if self._tokens is not None and used is not None:
            with self._lock:
                self._tokens.give_back(reserved - used, self._clock())

    @property
    def counts_tokens(self) -> bool:
        """Whether tokens are limited here."""
        return self._tokens is not None

    @property
    def is_free(self) -> bool:
        """Whether nothing is limited here, and nobody has to wait."""
        return self._requests is None and self._tokens is None and self._closed_until <= self._clock()

    async def reserve(self, tokens: int) -> None:
        """Wait until a request may be sent, and take what it needs; first come, first served.

        Raises:
            RequestTooLargeError: When it needs more tokens than a minute has.
        """
        if self.is_free:
            return
        self._check_size(tokens)
        with self._lock:
            if not self._queue and self._take(tokens) == 0:
                return
            mine = Wakeup()
            self._queue.append(mine)
        try:
            await self._wait_turn(mine, tokens)
        finally:
            with self._lock:
                was_first = self._queue[0] is mine
                self._queue.remove(mine)
                if was_first and self._queue:
                    self._queue[0].set()

    async def _wait_turn(self, mine: Wakeup, tokens: int) -> None:
        while True:
            with self._lock:
                first = self._queue[0] is mine
                pause = self._take(tokens) if first else None
            if pause == 0:
                return
            # Only the first in line waits for the time; the others are woken when the one before them has left.
            with anyio.move_on_after(pause):
                await mine.wait()
                mine.clear()

    def _take(self, tokens: int) -> float:
        now = self._clock()
        at = self._closed_until
        if self._requests is not None:
            at = max(at, self._requests.available_at(1, now))
        if self._tokens is not None:
            at = max(at, self._tokens.available_at(tokens, now))
        if at > now:
            return at - now
        if self._requests is not None:
            self._requests.take(1, now)
        if self._tokens is not None:
            self._tokens.take(tokens, now)
        return 0

    def _apply(self) -> None:
        now = self._clock()
        requests = min((r for r, _ in self._limits.values() if r is not None), default=None)
        tokens = min((t for _, t in self._limits.values() if t is not None), default=None)
        self._requests = _rate(self._requests, requests, now)
        self._tokens = _rate(self._tokens, tokens, now)
        if self._queue:
            self._queue[0].set()

    def _check_size(self, tokens: int) -> None:
        rate = self._tokens
        if rate is not None and tokens > rate.per_minute:
            raise RequestTooLargeError(
                f"the request needs about {tokens:,} tokens, and tokens_per_minute is {rate.per_minute:,.0f}.",
                hint="Shorten the prompt, lower max_output_tokens, or raise tokens_per_minute.",
            )


class Places:
    """The places of one client: how many of its requests may be on their way at a time.

    Args:
        number: How many there are.
    """

    def __init__(self, number: int) -> None:
        # Made with the first use: a client may be made inside of one loop and used in another, as the blocking one is.
        self._places: anyio.Semaphore | None = None
        self.number = number
        self.waiting = 0

    @property
    def in_use(self) -> int:
        """How many are taken."""
        return 0 if self._places is None else self.number - self._places.value

    async def take(self) -> None:
        """Wait for a place, first come, first served."""
        if self._places is None:
            self._places = anyio.Semaphore(self.number, fast_acquire=True)
        self.waiting += 1
        try:
            await self._places.acquire()
        finally:
            self.waiting -= 1

    def try_take(self) -> bool:
        """Take a place if one is free; nobody is waiting then."""
        if self._places is None or self._places.value == 0:
            return False
        self._places.acquire_nowait()
        return True

    def release(self) -> None:
        """Give a place back."""
        assert self._places is not None, "only a place that was taken is given back"
        self._places.release()


class Admission:
    """A place and what was reserved for one request; released exactly once.

    Attributes:
        queued_s: Seconds it was waited for.
    """

    __slots__ = ("_bucket", "_places", "_released", "_tokens", "queued_s")

    def __init__(self, places: Places, bucket: Bucket, tokens: int, queued_s: float) -> None:
        self._places = places
        self._bucket = bucket
        self._tokens = tokens
        self._released = False
        self.queued_s = queued_s

    def release(self, used_tokens: int | None = None) -> None:
        """Give the place back and settle with the tokens that were used, where they are known."""
        if self._released:
            return
        self._released = True
        self._places.release()
        self._bucket.settle(self._tokens, used_tokens)


async def admit(places: Places, bucket: Bucket, tokens: int, deadline: Deadline) -> Admission:
    """Wait for a place and for the rates of a bucket.

    Args:
        places: The client's places.
        bucket: Where the request goes.
        tokens: What the request will need at the most, input and output.
        deadline: When the whole call must end.

    Raises:
        DeadlineExceededError: When the deadline comes first.
        RequestTooLargeError: When the request needs more tokens than a minute has.
    """
    if bucket.is_free and deadline.admits(0) and places.try_take():
        return Admission(places, bucket, tokens, 0.0)  # as nearly every call is; the rest takes ten times as long
    started = time.monotonic()
    if deadline.at is None:
        await _take(places, bucket, tokens)
    else:
        error: DeadlineExceededError | None = None
        try:
            with anyio.fail_after(deadline.remaining()):
                await _take(places, bucket, tokens)
        except TimeoutError:
            error = deadline.error("waiting for a place and the rate limits")
        if error is not None:
            raise error
    return Admission(places, bucket, tokens, time.monotonic() - started)


async def _take(places: Places, bucket: Bucket, tokens: int) -> None:
    await places.take()
    try:
        await bucket.reserve(tokens)
    except BaseException:
        places.release()
        raise


_buckets: weakref.WeakValueDictionary[tuple[str, str, bytes], Bucket] = weakref.WeakValueDictionary()
_buckets_lock = threading.Lock()


def shared_bucket(provider: str, endpoint: str | None, key: str | None) -> Bucket:
    """Return the bucket of a provider, endpoint and key; the same one for everybody in the process."""
    digest = hashlib.blake2b((key or "").encode(), digest_size=16).digest()  # the key itself is not kept
    name = (provider, endpoint or "", digest)
    with _buckets_lock:
        bucket = _buckets.get(name)
        if bucket is None:
            bucket = _buckets[name] = Bucket()
        return bucket


def _rate(current: Rate | None, per_minute: float | None, now: float) -> Rate | None:
    if per_minute is None:
        return None
    return current if current is not None and current.per_minute == per_minute else Rate(per_minute, now)
