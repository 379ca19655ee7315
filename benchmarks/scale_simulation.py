"""A job of many workers under one limit, with failures, in virtual time.

    python -m benchmarks.scale_simulation [--rows 10000000] [--workers 64] [--per-second 2000]

Workers lease the limit by the rules of the store of shared limits, and renew four times a second. A worker is killed
now and then: its leases are lost, what it had in flight is sent again, and it is back after a while. A part of the
requests fails and is sent again, and once an hour the provider is down for a minute.
"""

from __future__ import annotations

import argparse
import random
from dataclasses import dataclass, field

from asyncllm.limits.shared.ledger import LimitLedger
from asyncllm.limits.shared.store import LeaseRequest, RateAsk

_STEP_S = 0.25
# Seconds of the limit that are asked for ahead, and a burst as the token bucket has it.
_AHEAD_S = 0.5
_BURST_S = 0.12


@dataclass(frozen=True, slots=True)
class Setting:
    """What is simulated.

    Attributes:
        in_flight: The most that a worker has in flight.
        latency_s: Seconds that an answer takes.
        killed_every_s: Seconds between two kills of one worker, on average.
        restart_s: Seconds until it is back, the start of Ray's worker and of the client among them.
        retried: The share of requests that fails once and is sent again.
        outage_every_s: Seconds between two outages of the provider.
    """

    rows: int
    workers: int
    per_s: float
    in_flight: int = 256
    latency_s: float = 4.0
    killed_every_s: float = 3600.0
    restart_s: float = 30.0
    retried: float = 0.005
    outage_every_s: float = 3600.0
    outage_s: float = 60.0


@dataclass(slots=True)
class SimulatedWorker:
    """A worker: the units that it has leased, by the time at which they may be used."""

    name: str
    up_at: float = 0.0
    leases: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    units: float = 0.0
    used: float = 0.0
    sent: float = 0.0

    def held(self) -> float:
        """Return the units that are leased and not used."""
        return self.units + sum(units for _, units in self.leases)

    def accrue(self, now: float) -> None:
        """Take the leases whose time has come."""
        self.units += sum(units for at, units in self.leases if at <= now)
        self.leases = [(at, units) for at, units in self.leases if at > now]


@dataclass(slots=True)
class Outcome:
    """What a job came to."""

    elapsed_s: float = 0.0
    sent: float = 0.0
    wasted: float = 0.0
    kills: int = 0
    outage_s: float = 0.0
    shares: list[float] = field(default_factory=list[float])


def simulate(setting: Setting, seed: int = 0) -> Outcome:
    """Run a job to its end."""
    draw, ledger, found = random.Random(seed), LimitLedger(), Outcome()
    workers = [SimulatedWorker(f"w{n}", n * 0.2) for n in range(setting.workers)]
    done, now = 0.0, 0.0
    while done < setting.rows:
        now += _STEP_S
        if now % setting.outage_every_s > setting.outage_every_s - setting.outage_s:
            found.outage_s += _STEP_S
            continue
        for worker in workers:
            if worker.up_at > now:
                continue
            if draw.random() < _STEP_S / setting.killed_every_s:
                # Sealed answers stay; what is in flight is lost, and the units of its leases with it.
                lost = min(setting.in_flight, worker.used / _STEP_S * setting.latency_s)
                found.kills, found.wasted, done = found.kills + 1, found.wasted + lost, done - lost
                worker.up_at, worker.units, worker.used = now + setting.restart_s, 0.0, 0.0
                worker.leases.clear()
                continue
            sent = _step(worker, ledger, setting, now)
            found.sent += sent
            found.wasted += sent * setting.retried
            done += sent * (1 - setting.retried)
    found.elapsed_s, found.shares = now, [worker.sent / found.sent for worker in workers]
    return found


def _step(worker: SimulatedWorker, ledger: LimitLedger, setting: Setting, now: float) -> float:
    """Let a worker send what it may, and renew its lease; return what it has sent."""
    worker.accrue(now)
    capacity = setting.in_flight / setting.latency_s * _STEP_S
    sent = min(worker.units, capacity)
    worker.units -= sent
    worker.used, worker.sent = sent, worker.sent + sent
    least = 1.0 if worker.units < 1 else 0.0
    ask = RateAsk(
        "requests", setting.per_s, setting.per_s * _BURST_S, capacity / _STEP_S * _AHEAD_S, worker.held(), least, 0.0
    )
    grant = ledger.renew(LeaseRequest("account", worker.name, (ask,)), now).rates[0]
    if grant.units:
        worker.leases.append((now + max(0.0, grant.start_s) + grant.units / grant.per_s, grant.units))
    return sent


def main() -> None:
    """Simulate, and print time, waste and use of the limit."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale_simulation")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--per-second", type=float, default=2000.0)
    given = parser.parse_args()
    setting = Setting(given.rows, given.workers, given.per_second)
    found = simulate(setting)
    least_s = setting.rows / setting.per_s
    used = found.sent / ((found.elapsed_s - found.outage_s) * setting.per_s)
    mean = 1 / setting.workers
    spread = max(max(found.shares) / mean - 1, 1 - min(found.shares) / mean)
    print(f"{setting.rows:,} rows on {setting.workers} workers under {setting.per_s:,.0f} requests/s")
    print(
        f"time: {found.elapsed_s / 60:.1f} min, {found.elapsed_s / least_s:.3f} of the limit's own {least_s / 60:.1f}"
    )
    print(f"limit used outside of outages: {used:.1%}; shares of workers within {spread:.0%} of the mean")
    print(f"sent again: {found.wasted:,.0f} ({found.wasted / setting.rows:.3%}), in {found.kills} kills of workers")


if __name__ == "__main__":
    main()
