"""The connection of a process to a store of shared limits: one thread with its own loop, for all clients and loops.

Requests never wait for the store, only for leases, which the thread renews ahead of need.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import anyio

from ... import telemetry
from ...errors import ConfigError
from ...threads import ThreadEvent
from .account import SharedAccount
from .store import SharedStore

OpenStore = Callable[[], AbstractAsyncContextManager[SharedStore]]
"""Opens a store, and raises when it cannot be reached; ConfigError when waiting does not help."""

# Seconds between two tries to reach a store that is gone.
RETRY_EVERY_S = 0.25
# Seconds for which the first client waits for the store: it may not have a share yet.
FIRST_CONTACT_S = 3.0
# Seconds after which a renewal counts as failed.
RENEWAL_S = 1.5
# Seconds between two warnings: a store that comes and goes is one problem.
WARN_EVERY_S = 60.0
# Seconds for which a caller waits for money while the store is gone; batches wait until it is back.
MONEY_WAITS_S = 30.0
# Seconds that giving everything back may take when the last client closes.
CLOSING_S = 1.0


class StoreNews:
    """Says that a store was lost or reached; a store that comes and goes is one problem.

    Args:
        shown: The store's URL without secrets.
        explain: Returns the problem that an error shows, and the remedy.
        clock: Returns the monotonic time in seconds.
    """

    def __init__(
        self, shown: str, explain: Callable[[BaseException], tuple[str, str] | None], clock: Callable[[], float]
    ) -> None:
        self._shown = shown
        self._explain = explain
        self._clock = clock
        self._warned_at = -math.inf

    def lost(self, error: Exception) -> None:
        """Warn of an error, unless that was done a short time ago."""
        now = self._clock()
        if now - self._warned_at < WARN_EVERY_S:
            return
        self._warned_at = now
        problem, remedy = self._explain(error) or (str(error) or type(error).__name__, None)
        telemetry.emit(telemetry.WARNING, "limits.store_lost", store=self._shown, problem=problem, remedy=remedy)

    def reached(self) -> None:
        """Say that the store answers again."""
        telemetry.emit(telemetry.INFO, "limits.store_reached", store=self._shown)


class LimitsSession:
    """A process's use of one store; its thread runs while there are users.

    Args:
        shown: The store's URL without secrets, for messages.
        opens: Opens the store.
        explain: Returns the problem that an error shows, and the remedy.
        clock: Returns the monotonic time in seconds.
    """

    def __init__(
        self,
        shown: str,
        opens: OpenStore,
        explain: Callable[[BaseException], tuple[str, str] | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open = opens
        self._news = StoreNews(shown, explain, clock)
        self._clock = clock
        self._lock = threading.Lock()
        self._accounts: dict[str, SharedAccount] = {}
        self._lost_at: float | None = None
        self._closing = False
        self._event: ThreadEvent | None = None
        self._contact = threading.Event()
        self._mistake: ConfigError | None = None
        self._thread = threading.Thread(target=self._main, name="asyncllm-limits", daemon=True)

    def start(self) -> None:
        """Start the thread, and wait for the first contact with the store.

        Raises:
            ConfigError: The store refuses this process; one that cannot be reached is waited for in the background.
        """
        self._thread.start()
        self._contact.wait(FIRST_CONTACT_S)
        if self._mistake is not None:
            self._thread.join()
            raise self._mistake

    def account(self, name: str) -> SharedAccount:
        """Return the account of a name, for one user more."""
        with self._lock:
            account = self._accounts.get(name)
            if account is None:
                account = self._accounts[name] = SharedAccount(
                    name, self._wake, self._clock, is_lost=self._lost_at is not None
                )
            return account

    def close(self) -> None:
        """Give everything back and end the thread."""
        self._closing = True
        self._wake()
        self._thread.join()

    def _wake(self) -> None:
        if self._event is not None:
            self._event.set()

    def _main(self) -> None:
        anyio.run(self._run)

    async def _run(self) -> None:
        self._event = ThreadEvent()
        while not self._closing:
            try:
                async with self._open() as store:
                    self._reached()
                    await self._serve(store)
            except ConfigError as error:
                if not self._contact.is_set():
                    self._mistake = error
                    self._contact.set()
                    return
                self._lost(error)
            except Exception as error:
                self._lost(error)
            if self._lost_at is not None and self._clock() - self._lost_at >= MONEY_WAITS_S:
                for account in self._all():
                    account.give_up()
            again_at = self._clock() + RETRY_EVERY_S
            while not self._closing and (left_s := again_at - self._clock()) > 0:
                await self._pause(left_s)

    async def _serve(self, store: SharedStore) -> None:
        while not self._closing:
            for account in self._all():
                due_in_s = account.due_in_s(self._clock())
                if due_in_s is not None and due_in_s <= 0:
                    await self._renew(store, account)
            waits = [in_s for account in self._all() if (in_s := account.due_in_s(self._clock())) is not None]
            await self._pause(min(waits, default=math.inf))
        with anyio.move_on_after(CLOSING_S):
            for account in self._all():
                await self._renew(store, account, closing=True)

    async def _renew(self, store: SharedStore, account: SharedAccount, *, closing: bool = False) -> None:
        renewal = account.begin(self._clock(), closing=closing)
        try:
            with anyio.fail_after(RENEWAL_S):
                reply = await store.renew(renewal.request)
        except Exception:
            account.fail(renewal)
            raise
        account.finish(renewal, reply, self._clock())
        if renewal.request.leaving:
            with self._lock:
                if account.is_orphan:
                    del self._accounts[account.name]

    def _all(self) -> list[SharedAccount]:
        with self._lock:
            return list(self._accounts.values())

    async def _pause(self, seconds: float) -> None:
        assert self._event is not None
        with anyio.move_on_after(seconds):
            await self._event.wait()
        self._event.clear()

    def _reached(self) -> None:
        self._contact.set()
        if self._lost_at is None:
            return
        with self._lock:
            self._lost_at = None
            for account in self._accounts.values():
                account.regain(self._clock())
        self._news.reached()

    def _lost(self, error: Exception) -> None:
        if self._lost_at is None:
            with self._lock:
                self._lost_at = self._clock()
                for account in self._accounts.values():
                    account.lose(self._clock())
            self._news.lost(error)
        self._contact.set()
