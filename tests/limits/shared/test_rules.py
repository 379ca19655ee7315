"""The rules of shared limits: the same in Python and in Redis, fair, and never above a limit."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from asyncllm.limits.shared.leased_budget import LeasedBudget
from asyncllm.limits.shared.leased_rate import LeasedRate
from asyncllm.limits.shared.ledger import LimitLedger
from asyncllm.limits.shared.redis_store import SCRIPT, arguments, keys_of, reply_of
from asyncllm.limits.shared.store import BudgetAsk, LeaseReply, LeaseRequest, RateAsk
from tests.support.redis_server import RedisServer

# Where the script reads the server's clock, tests pass the time in.
CLOCK = "redis.call('TIME')"


class Members:
    """Random renewals of a few processes, with sums that fit together."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.sums = {name: [0.0, 0.0, 0.0] for name in ("a", "b", "c")}

    def request(self) -> LeaseRequest:
        dice = self.dice
        member = dice.choice(list(self.sums))
        sums = self.sums[member]
        leased = sums[0] - sums[1] - sums[2]
        sums[1] += leased * dice.choice([0, 0.1, 0.5])
        sums[2] += (sums[0] - sums[1] - sums[2]) * dice.choice([0, 0, 1])
        leaving = dice.random() < 0.1
        if leaving:
            sums[2] = sums[0] - sums[1]
        rates = (
            RateAsk("requests", dice.choice([1.0, 10.0, 100.0]), 12.0, dice.uniform(0, 40), dice.uniform(0, 5), 1.0,
                    dice.choice([0, 0, 3.0])),
            RateAsk("tokens", 5000.0, 4500.0, dice.uniform(0, 9000), 0.0, dice.choice([0, 8000.0]), 0.0),
        )  # fmt: skip
        ask = BudgetAsk("client", 1.0, dice.choice([0, 1.0]), dice.choice([0, 0.01, 0.4]), *sums)
        return LeaseRequest("account", member, rates, (ask,), dice.choice([0, 0, 2.5]), leaving, dice.random() < 0.1)

    def answered(self, request: LeaseRequest, reply: LeaseReply) -> None:
        granted = reply.budgets[0].granted_usd
        self.sums[request.member] = [0.0] * 3 if request.leaving else [granted, *self.sums[request.member][1:]]


def in_redis(redis: RedisServer, request: LeaseRequest, now: float) -> LeaseReply:
    """Renew by the script, at a time of the test."""
    script = SCRIPT.replace(CLOCK, "{ARGV[2], 0}")
    keys = keys_of(request)
    answer = redis.ask("EVAL", script, str(len(keys)), *keys, arguments(request), repr(now))
    return reply_of(answer.partition(b"\r\n")[2])


def numbers(reply: LeaseReply) -> list[float]:
    """All numbers of a reply."""
    rates = [value for grant in reply.rates for value in (grant.units, grant.start_s, grant.per_s, grant.most)]
    budgets = [
        value
        for grant in reply.budgets
        for value in (grant.granted_usd, grant.spent_usd, grant.limit_usd, float(grant.is_short))
    ]
    return [reply.members, reply.share, reply.cooldown_s, *rates, *budgets]


@pytest.mark.parametrize("seed", range(4))
def test_the_script_follows_the_rules_of_the_ledger(redis: RedisServer, seed: int) -> None:
    """Random renewals of three processes are answered alike by Redis and by the ledger in Python."""
    assert SCRIPT.count(CLOCK) == 1
    ledger, members, now = LimitLedger(), Members(seed), 1_700_000_000.0
    for _ in range(60):
        now += members.dice.choice([0.001, 0.2, 1.0, 4.0, 30.0])
        request = members.request()
        ours, theirs = ledger.renew(request, now), in_redis(redis, request, now)
        assert numbers(theirs) == pytest.approx(numbers(ours), rel=1e-6, abs=1e-3)
        members.answered(request, ours)


def test_everything_in_redis_expires(redis: RedisServer) -> None:
    """Each key has an end, and processes that have gone leave nothing in those that live on."""
    members = Members(7)
    for step in range(50):
        in_redis(redis, members.request(), 1_700_000_000.0 + 5 * step)
    request = LeaseRequest("account", "last", cooldown_s=600.0)
    in_redis(redis, request, 1_700_001_000.0)
    keys = [line for line in redis.ask("KEYS", "*").decode().split("\r\n") if line.startswith("asyncllm:")]
    assert len(keys) == 5
    for key in keys:
        assert 0 < int(redis.ask("TTL", key)[1:]) <= 3600, key
    shares = redis.ask("HKEYS", "asyncllm:{account}:state").count(b"share:")
    assert shares == int(redis.ask("ZCARD", "asyncllm:{account}:members")[1:]) == 1


class VirtualProcess:
    """A process that sends as it may, at times of the test."""

    def __init__(self, name: str, ledger: LimitLedger, per_minute: float, burst_s: float, amount: float) -> None:
        self.name, self._ledger, self._amount = name, ledger, amount
        self._is_due = False
        self.rate = LeasedRate("requests", per_minute, 0.0, burst_s, self._renew)
        self.sent: list[float] = []

    def _renew(self, rate: LeasedRate, urgent: bool) -> None:
        self._is_due = True

    def step(self, now: float, wanted: float) -> None:
        """Renew what is due, and send up to a number of requests."""
        if self._is_due:
            self._is_due = False
            ask = self.rate.ask(now)
            reply = self._ledger.renew(LeaseRequest("account", self.name, (ask,)), now)
            self.rate.granted(reply.rates[0], reply.members, now)
        while wanted >= 1 and self.rate.available_at(self._amount, now) <= now:
            self.rate.take(self._amount, now)
            self.sent.append(now)
            wanted -= 1


def run(processes: list[VirtualProcess], seconds: float, wanted: dict[str, float] | None = None) -> list[float]:
    """Let time pass in milliseconds; each process wants as much as it gets, or so many a second."""
    waiting = dict.fromkeys((process.name for process in processes), 0.0)
    for step in range(int(1000 * seconds)):
        for process in processes:
            per_s = math.inf if wanted is None else wanted[process.name]
            waiting[process.name] = min(100.0, waiting[process.name] + per_s / 1000)
            before = len(process.sent)
            process.step(step / 1000, waiting[process.name])
            waiting[process.name] -= len(process.sent) - before
    return sorted(at for process in processes for at in process.sent)


def most_in_a_second(sent: list[float]) -> int:
    """The most that were sent in any second."""
    return max(sum(at <= other < at + 1 for other in sent) for at in sent[:: max(1, len(sent) // 400)])


@pytest.mark.parametrize("per_s", [2, 100, 1000])
@pytest.mark.parametrize("number", [1, 4, 16])
def test_processes_share_a_rate_evenly_and_use_it(per_s: int, number: int) -> None:
    """Processes that want more get the same each, nearly the whole limit together, and never more in a second."""
    ledger = LimitLedger()
    processes = [VirtualProcess(str(index), ledger, 60 * per_s, 0.12, 1) for index in range(number)]
    lasts_s = 60 if per_s == 2 else 12
    sent = run(processes, lasts_s)
    steady = [at for at in sent if at >= 2]
    assert len(steady) >= 0.95 * per_s * (lasts_s - 2)
    assert most_in_a_second(sent) <= 1.1 * per_s + 1
    assert most_in_a_second(steady) <= per_s + 1
    if per_s > number:
        counts = [sum(at >= 2 for at in process.sent) for process in processes]
        assert max(counts) - min(counts) <= 0.2 * sum(counts) / number


def test_what_one_process_does_not_want_goes_to_the_others() -> None:
    """A process that wants little gets all of it; the two that want more share the rest."""
    ledger = LimitLedger()
    processes = [VirtualProcess(name, ledger, 6000, 0.12, 1) for name in "abc"]
    sent = run(processes, 12, {"a": 5.0, "b": math.inf, "c": math.inf})
    counts = {process.name: sum(at >= 2 for at in process.sent) for process in processes}
    assert counts["a"] >= 45
    assert sum(at >= 2 for at in sent) >= 930
    assert abs(counts["b"] - counts["c"]) <= 0.1 * counts["b"]


def test_large_requests_wait_for_their_tokens() -> None:
    """Requests of more tokens than a second has are admitted in turn, and use the limit."""
    ledger = LimitLedger()
    processes = [VirtualProcess(str(index), ledger, 60_000, 0.9, 2500) for index in range(3)]
    sent = run(processes, 60)
    assert 0.95 * 60 * 1000 <= 2500 * len(sent) <= 60_000 + 2500
    counts = [len(process.sent) for process in processes]
    assert max(counts) - min(counts) <= 1


def test_without_a_store_a_process_keeps_to_its_share() -> None:
    """A process that is alone uses its share, from the time when the leases of others have ended."""
    ledger = LimitLedger()
    process = VirtualProcess("a", ledger, 6000, 0.12, 1)
    run([process], 2)
    process.rate.go_alone(0.25, 2.5)
    before = len(process.sent)
    for step in range(2000, 12_000):
        process.step(step / 1000, 100)
    alone = [at for at in process.sent[before:] if at >= 2.6]
    assert len(alone) == pytest.approx(0.25 * 98 * 9.4, abs=4)
    process.rate.rejoin(12.0)
    assert process.rate.available_at(1, 12.0) == math.inf


def budget(name: str, ledger: LimitLedger) -> tuple[LeasedBudget, Any]:
    """A process's part of a budget of $1, and what renews it."""
    part = LeasedBudget("client", 1.0, lambda *_: None)

    def renew(now: float, *, leaving: bool = False) -> None:
        ask = part.ask(leaving=leaving)
        reply = ledger.renew(LeaseRequest("account", name, (), (ask,), 0.0, leaving), now)
        part.left(ask) if leaving else part.granted(reply.budgets[0], ask)

    return part, renew


def test_a_budget_is_spent_by_all_and_never_exceeded() -> None:
    """Four processes spend nearly all of a budget, each request reserved at twice its cost, and none overspends."""
    ledger, dice, now, idle = LimitLedger(), random.Random(3), 0.0, 0
    parts = [budget(str(index), ledger) for index in range(4)]
    open_: list[LeasedBudget] = []
    spent = 0.0
    while idle < 200:
        now += 0.01
        idle += 1
        part, renew = dice.choice(parts)
        if part.spent_usd + 0.01 <= 1.0 and part.fits(0.01):
            part.reserve(0.01)
            open_.append(part)
            idle = 0
        renew(now)
        if open_ and dice.random() < 0.7:
            open_.pop(dice.randrange(len(open_))).settle(0.01, 0.005)
            spent += 0.005
        assert spent + 0.005 * len(open_) <= 1.0
    assert spent > 1.0 - 0.01 - 1e-9


def test_a_budget_outlives_the_store_and_counts_the_dead() -> None:
    """A store that lost its state learns what was spent from the processes; what a dead one leased counts as spent."""
    first = LimitLedger()
    (a, renew_a), (b, renew_b) = budget("a", first), budget("b", first)
    assert not a.fits(0.1)
    renew_a(0.0)
    assert a.fits(0.1)
    a.reserve(0.1)
    a.settle(0.1, 0.06)
    renew_a(1.0)
    empty = LimitLedger()
    first._accounts = empty._accounts
    renew_a(2.0)
    renew_b(2.0)
    assert b.spent_usd == pytest.approx(0.06)
    renew_b(200.0)
    assert b.spent_usd == pytest.approx(0.5)  # `a` had leased half of it, and may have spent that
    renew_a(201.0)
    assert a.spent_usd == pytest.approx(0.06)


def test_leaving_returns_a_lease() -> None:
    """A process that leaves gives back what it has not spent, and may come again."""
    ledger = LimitLedger()
    (a, renew_a), (b, renew_b) = budget("a", ledger), budget("b", ledger)
    a.fits(0.1)
    renew_a(0.0)
    a.reserve(0.1)
    a.settle(0.1, 0.1)
    renew_a(0.1, leaving=True)
    assert not b.fits(0.9)
    renew_b(0.2)
    assert b.fits(0.9)
    renew_a(0.3)
    assert a.spent_usd == pytest.approx(0.1)


def test_money_that_a_request_is_about_to_take_is_not_given_back() -> None:
    """A renewal, on its own thread, may come between the question whether a request fits and its reservation."""
    ledger = LimitLedger()
    (a, renew_a), (b, renew_b) = budget("a", ledger), budget("b", ledger)
    assert not a.fits(0.4)
    renew_a(0.0)
    assert not b.fits(1.0)
    renew_b(0.1)
    renew_a(0.2)  # it learns that another lacks money, and gives back with its next renewal what it does not need
    assert a.fits(0.4)
    renew_a(0.3)
    a.reserve(0.4)
    assert not b.fits(0.7)
    for now in (0.4, 0.5, 0.6):
        renew_b(now)
        renew_a(now)
    assert not b.fits(0.7)
    assert not b.fits(0.6)
    renew_b(0.7)
    assert b.fits(0.6)


def test_money_that_no_request_took_is_given_back() -> None:
    """A request that fitted, and went, holds nothing back for longer than a renewal."""
    ledger = LimitLedger()
    (a, renew_a), (b, renew_b) = budget("a", ledger), budget("b", ledger)
    assert not a.fits(0.5)
    renew_a(0.0)
    assert a.fits(0.5)
    assert not b.fits(0.9)
    for now in (0.1, 0.2, 0.3, 0.4):
        renew_b(now)
        renew_a(now)
    assert b.fits(0.9)
    assert not a.is_in_use


def test_an_answer_that_cost_more_than_its_worst_case_stops_no_other() -> None:
    """What is left of the budget can still be leased by the process that paid more than it had reserved."""
    ledger = LimitLedger()
    a, renew_a = budget("a", ledger)
    assert not a.fits(0.5)
    renew_a(0.0)
    a.reserve(0.5)
    a.settle(0.5, 0.8)
    for now in (1.0, 2.0, 3.0, 4.0):
        if a.fits(0.2):
            break
        renew_a(now)
    assert a.fits(0.2)
    a.reserve(0.2)
    assert a.spent_usd == pytest.approx(0.8)
