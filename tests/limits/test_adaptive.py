"""The adaptive control against providers in virtual time: limits are found, followed, and not exceeded for long."""

from __future__ import annotations

import pytest

from asyncllm.limits import Needs, ProviderLimits, Slots, Waiter
from asyncllm.limits.adaptive.rate_limit_headers import RateLimitHeaders, duration_s
from asyncllm.simulator.server.rate_limits import Algorithm, Limit, Limiter, RetryAfterForm

from .virtual_provider import Clock, Log, Provider, World

SEEDS = range(1, 4)


def limit(per_second: float, algorithm: Algorithm = "token_bucket", retry_after: RetryAfterForm = "seconds") -> Limit:
    """A limit that nobody is told."""
    return Limit(per_second=per_second, algorithm=algorithm, retry_after=retry_after)


def refused_share(log: Log) -> float:
    """The refused requests as a share of all."""
    return len(log.refused) / (len(log.refused) + len(log.accepted))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("retry_after", ["seconds", "fraction", "none"])
@pytest.mark.parametrize(
    ("algorithm", "least"), [("token_bucket", 0.95), ("fixed_window", 0.92), ("sliding_window", 0.88)]
)
def test_an_unknown_limit_is_found(algorithm: Algorithm, least: float, retry_after: RetryAfterForm, seed: int) -> None:
    """After ten seconds nearly all that the provider allows is used, with few refusals, however it counts."""
    log = World(Provider(limit(50, algorithm, retry_after), tokens=(1, 1)), seed=seed).run(100)
    assert log.rate(10, 100) >= least * 50
    assert refused_share(log) <= 0.02


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("per_second", [2, 500])
def test_small_and_large_limits_are_found(per_second: int, seed: int) -> None:
    """A limit of two a second is found as well as one of five hundred."""
    provider = Provider(limit(per_second), tokens=(1, 1))
    log = World(provider, concurrency=200, seed=seed).run(60)
    assert log.rate(20, 60) >= 0.9 * per_second
    assert log.refusals() <= max(30, 0.02 * 60 * per_second)


@pytest.mark.parametrize("seed", range(1, 7))
@pytest.mark.parametrize("retry_after", ["seconds", "none"])
@pytest.mark.parametrize(
    # Where windows are counted, each look beyond the limit costs most of one.
    ("algorithm", "down", "up"),
    [("token_bucket", 0.9, 0.9), ("fixed_window", 0.77, 0.78), ("sliding_window", 0.72, 0.8)],
)
def test_a_limit_that_moves_is_followed(
    algorithm: Algorithm, down: float, up: float, retry_after: RetryAfterForm, seed: int
) -> None:
    """Down within five seconds and up within twenty, however it counts; from a limit that was just found as well."""
    provider = Provider(limit(100, algorithm, retry_after), tokens_per_s=500)
    world = World(provider, seed=seed)
    for at, per_second in ((30, 25), (60, 100)):
        limiter = Limiter([limit(per_second, algorithm, retry_after)])
        world.at(at, lambda limiter=limiter: setattr(provider, "limiter", limiter))  # type: ignore[misc]
    log = world.run(105)
    assert down * 25 <= log.rate(35, 60) <= 1.1 * 25
    assert log.refusals(35, 60) <= 0.05 * 25 * 25
    assert log.rate(80, 105) >= up * 100


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("slots", [3, 8, 30])
def test_a_queueing_provider_is_not_flooded(slots: int, seed: int) -> None:
    """What is in flight settles within twice the best number, and no place of the provider is left empty for it."""
    log = World(Provider(slots=slots), seed=seed).run(120)
    in_flight = [number for at, number in log.in_flight if at > 40]
    assert slots / 2 <= sum(in_flight) / len(in_flight) <= 2 * slots
    worked_s = sum(work_s for at, work_s in log.served_s if at > 40)
    assert worked_s / 80 >= 0.94 * slots


@pytest.mark.parametrize("seed", SEEDS)
def test_a_provider_without_a_limit_is_used_in_full(seed: int) -> None:
    """Where nothing is refused and nothing gets slower, all slots of the batch are soon in use, and stay so."""
    log = World(Provider(tokens=(5, 400)), seed=seed).run(60)
    assert all(number >= 95 for at, number in log.in_flight if at > 15)


@pytest.mark.parametrize("seed", SEEDS)
def test_slow_answers_now_and_then_are_no_queue(seed: int) -> None:
    """Answers of which some take ten times as long as others do not look like a provider that gets slower."""
    log = World(Provider(first_s=0.5, tokens=(5, 2000), tail=0.7), seed=seed).run(200)
    in_flight = [number for at, number in log.in_flight if at > 60]
    assert sum(in_flight) / len(in_flight) >= 95


@pytest.mark.parametrize("seed", SEEDS)
def test_a_number_in_flight_that_is_refused_is_found(seed: int) -> None:
    """A provider that refuses rather than queues is used to more than half, with few refusals."""
    log = World(Provider(slots=20, queue=False), seed=seed).run(100)
    assert sum(work_s for at, work_s in log.served_s if at > 20) / 80 >= 0.5 * 20
    assert refused_share(log) <= 0.05


def test_an_outage_is_forgotten() -> None:
    """After a minute in which everything was refused, the limit is soon used again."""
    provider = Provider(limit(50), tokens=(1, 1))
    world = World(provider)
    world.at(20, lambda: setattr(provider, "limiter", Limiter([limit(0.001)])))
    world.at(80, lambda: setattr(provider, "limiter", Limiter([limit(50)])))
    # The outage's own Retry-After is a thousand seconds; a provider that says so is believed.
    provider.longest_asked_s = 1.0
    log = world.run(140)
    assert log.refusals(25, 80) <= 5 * 55
    assert log.rate(105, 140) >= 0.8 * 50


def test_the_first_burst_brings_no_flood_of_throttles() -> None:
    """A batch of a thousand at a time starts with few, and stops at the first refusal."""
    log = World(Provider(limit(10, retry_after="none"), tokens=(1, 1)), concurrency=1000).run(5)
    assert log.refusals() <= 50


def test_a_set_rate_is_not_searched() -> None:
    """Where a rate is configured, it holds, and the adaptive control keeps out of the way."""
    world = World(Provider(tokens=(1, 1)))
    world.limits.configure(1, 600, None)
    log = world.run(60)
    assert log.rate(0, 60) == pytest.approx(10, rel=0.05)


def test_those_who_do_not_follow_are_not_held_up() -> None:
    """Who waits for the adaptive control alone stands in nobody's way but that of others who follow it."""
    bucket = ProviderLimits(Clock())
    slots = Slots(1000)
    waiter = Waiter(slots, bucket, Needs(adaptive=True))
    while bucket.take(waiter)[0] is None:
        waiter = Waiter(slots, bucket, Needs(adaptive=True))
    bucket.withdraw(waiter)
    parked, plain, late = (Waiter(slots, bucket, Needs(adaptive=adaptive)) for adaptive in (True, False, True))
    assert bucket.take(parked)[0] == "adaptive"
    assert bucket.take(plain)[0] is None
    assert bucket.take(late)[0] == "adaptive"


def headers(limit: object, remaining: object, reset: object) -> dict[str, str]:
    """The headers of an answer, as OpenAI writes them."""
    names = ("limit", "remaining", "reset")
    return {
        f"x-ratelimit-{name}-requests": str(value)
        for name, value in zip(names, (limit, remaining, reset), strict=True)
        if value is not None
    }


def test_a_steady_refill_is_believed() -> None:
    """Several answers that agree on the time for one request give the rate."""
    declared = RateLimitHeaders()
    rates = [declared.read(headers(600, 600 - used, f"{used * 100}ms"), float(used)) for used in (20, 25, 30, 35, 40)]
    assert rates == [None, None, None, None, 10.0]


def test_windows_that_start_anew_are_believed() -> None:
    """An end of the window that stands still and then moves by a minute gives the rate."""
    declared = RateLimitHeaders()
    rates = []
    for start in (0.0, 60.0):
        for used in (20, 30, 40, 50, 60):
            at = start + used / 10
            rates.append(declared.read(headers(600, 600 - used, f"{start + 60 - at:.3f}s"), at))
    assert [rate for rate in rates if rate is not None] == [10.0]
    assert rates[-1] == 10.0


@pytest.mark.parametrize(
    ("total", "remaining", "reset"),
    [
        (0, 0, "1s"),
        (-1, -1, "-1"),
        (None, 100, "1s"),
        (600, None, "1s"),
        (600, 700, "1s"),
        (600, -1, "1s"),
        (600, 0, "0"),
        (600, 0, "soon"),
        (600, 300, "5m0s"),  # of ten minutes: neither a second nor a minute
        ("many", 300, "30s"),
    ],
)
def test_what_cannot_be_is_not_believed(total: object, remaining: object, reset: object) -> None:
    """Headers that are absent, contradictory, or speak of other times than a second or a minute say nothing."""
    declared = RateLimitHeaders()
    assert not any(declared.read(headers(total, remaining, reset), float(at)) for at in range(50))


def test_a_number_that_never_changes_is_not_believed() -> None:
    """A gateway that sends the same headers with every answer proves nothing."""
    declared = RateLimitHeaders()
    assert not any(declared.read(headers(600, 300, "30s"), 0.1 * at) for at in range(50))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("6m0s", 360.0), ("120ms", 0.12), ("59.7", 59.7), ("1h2m3s", 3723.0), ("1.5s", 1.5), ("", None), ("soon", None)],
)
def test_durations(text: str, seconds: float | None) -> None:
    """A duration is read as Go writes it, or as seconds."""
    assert duration_s(text) == (None if seconds is None else pytest.approx(seconds))


def test_a_process_that_computes_all_the_time_is_no_queue_at_the_provider() -> None:
    """Answers that wait for the process itself get slower with every one more in flight, and all slots are used."""
    provider = Provider(slots=8)  # stands for the process, whose own work is what queues
    world = World(provider)

    def compute() -> None:
        world.computed_s = 0.95 * world.elapsed
        world.at(world.elapsed + 0.01, compute)

    world.at(0, compute)
    log = world.run(60)
    assert all(number >= 95 for at, number in log.in_flight if at > 15)


@pytest.mark.parametrize("seed", SEEDS)
def test_requests_that_hang_take_no_place_of_the_others(seed: int) -> None:
    """One of a hundred hangs for a minute; that makes half of what is in flight, and the others go on beside them."""
    log = World(Provider(hangs=0.01), seed=seed).run(300)
    # Of 100 slots, at 0.6 s for an answer and a minute for one in a hundred, 83 requests a second can go.
    assert log.rate(100, 300) >= 0.85 * 83


@pytest.mark.parametrize("seed", SEEDS)
def test_where_all_hang_few_more_are_sent(seed: int) -> None:
    """A provider that stops answering is not sent all that there is slots for."""
    provider = Provider(slots=8)
    world = World(provider, seed=seed)
    world.at(100, lambda: setattr(provider, "hangs", 1.0))
    log = world.run(150)
    assert all(number <= 4 * 8 for at, number in log.in_flight if at > 100)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_provider_that_answers_at_once_has_enough_in_flight(seed: int) -> None:
    """Where an answer takes a few milliseconds a queue is no matter, and one that hangs must not be one of two."""
    provider = Provider(first_s=0.002, tokens_per_s=20_000, trip_s=0.001, hangs=0.01, timeout_s=4.0)
    log = World(provider, seed=seed, jitter_s=0.001).run(30)
    assert log.rate(10, 30) >= 500
