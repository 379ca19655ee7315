"""A run of the adaptive control as a plot: `python -m benchmarks.limits.plot [FILE]`, in docs/guides by default.

The run takes virtual time, and every draw comes from a seed: the same code gives the same file.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

from asyncllm.limits.adaptive.rate_search import RateState
from asyncllm.simulator.server.rate_limits import Algorithm, Limit, Limiter
from tests.limits.virtual_provider import Log, Provider, World

ROOT = Path(__file__).parents[2]
CHART = ROOT / "docs" / "guides" / "adaptive-limits.svg"
# What the provider allows, in requests a second, each from that second on.
LIMITS = ((0.0, 100), (40.0, 25), (80.0, 100))
ALGORITHM: Algorithm = "fixed_window"
LASTS_S, EVERY_S, SEED = 120.0, 0.5, 1
_ALLOWED, _FOUND, _THROTTLED, _IN_FLIGHT = "#b0bec5", "#3949ab", "#e53935", "#00897b"
# Behind the rate, the state of the search for it.
_STATES = {RateState.LOWERED: "#fbe9e7", RateState.PROBING: "#fff8e1", RateState.HOLDING: "#e8f5e9"}


@dataclass(frozen=True, slots=True)
class Sample:
    """The control at one moment.

    Attributes:
        at: Seconds from the start.
        state: The state of the rate's search.
        per_s: The rate found; None while there is none.
        in_flight: Requests in flight.
    """

    at: float
    state: RateState
    per_s: float | None
    in_flight: int


def run() -> tuple[Log, list[Sample]]:
    """Run a batch against a provider whose limit falls and rises again, and sample the control."""
    provider = Provider(Limit(per_second=LIMITS[0][1], algorithm=ALGORITHM), tokens_per_s=500)
    world = World(provider, seed=SEED)
    samples: list[Sample] = []

    def move(per_s: int) -> None:
        provider.limiter = Limiter([Limit(per_second=per_s, algorithm=ALGORITHM)])

    def sample() -> None:
        rate, window = world.control.rate, world.control.window
        samples.append(Sample(world.elapsed, rate.state, rate.per_s, window.in_flight.number))
        world.at(world.elapsed + EVERY_S, sample)

    for at, per_s in LIMITS[1:]:
        world.at(at, lambda per_s=per_s: move(per_s))  # type: ignore[misc]
    world.at(EVERY_S, sample)
    return world.run(LASTS_S), samples


def draw(log: Log, samples: Sequence[Sample], path: Path) -> None:
    """Draw the rate allowed and found, the 429s, and what is in flight."""
    # The same run gives the same file: no date, and no random ids in the SVG.
    mpl.rcParams.update({"svg.hashsalt": "asyncllm", "svg.fonttype": "none", "font.size": 10})
    figure, (rates, numbers) = plt.subplots(2, 1, figsize=(8, 5), sharex=True, gridspec_kw={"height_ratios": [2, 1]})
    times = [sample.at for sample in samples]
    starts, allowed = [at for at, _ in LIMITS], [per_s for _, per_s in LIMITS]
    for state, colour in _STATES.items():
        inside = [sample.state is state for sample in samples]
        rates.fill_between(
            times, 0, 1, inside, color=colour, lw=0, transform=rates.get_xaxis_transform(), label=state.value
        )
    rates.step([*starts, LASTS_S], [*allowed, allowed[-1]], where="post", color=_ALLOWED, lw=3, label="allowed")
    rates.plot(times, [sample.per_s for sample in samples], color=_FOUND, label="found")
    rates.plot(log.refused, [0] * len(log.refused), "|", color=_THROTTLED, ms=12, label="a 429")
    rates.set_ylabel("requests a second")
    rates.set_ylim(-5, 1.6 * max(allowed))
    rates.legend(loc="upper center", frameon=False, ncols=6, fontsize=8, bbox_to_anchor=(0.5, 1.14))
    numbers.plot(times, [sample.in_flight for sample in samples], color=_IN_FLIGHT)
    numbers.set_ylabel("in flight")
    numbers.set_ylim(0)
    numbers.set_xlabel("seconds")
    for axes in (rates, numbers):
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    # On white, which reads in a dark page too.
    figure.savefig(path, facecolor="white", metadata={"Date": None})


def main() -> None:
    """Run, draw, and print the shares that the page names."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else CHART
    log, samples = run()
    draw(log, samples, path)
    for name, start, end in (("first", 10, 40), ("fallen", 45, 80), ("risen", 100, 120)):
        per_s = next(per_s for at, per_s in reversed(LIMITS) if at <= start)
        print(f"{name}: {log.rate(start, end) / per_s:.1%} of {per_s} a second, {log.refusals(start, end)} 429s")
    print(f"429s in all: {log.refusals()} of {len(log.accepted) + log.refusals():,}")


if __name__ == "__main__":
    main()
