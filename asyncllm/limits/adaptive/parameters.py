"""The parameters of adaptive control, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AdaptiveParameters:
    """What adaptive control is tuned by; chosen over many seeds against simulated providers of every algorithm.

    Attributes:
        headroom: Share of a rate that was throttled, measured or declared at which requests are sent. Nearer to 1, a
            whole request more or less in a window of fifty is a 429.
        deepest_cut: Share of a rate below which one 429 does not lower it. A measurement between two 429s may be far
            too low when a window was nearly over.
        probe_step: Growth of the rate in the first step of a probe; each step grows by this much more than the one
            before. Larger, a probe ends further from the limit; smaller, a limit that rose is met late.
        probe_cost: Share of the time that the cooldowns of failed probes may take where the limit does not move.
        probe_soon_s: Seconds from a probe to the next after the limit fell, since it may rise again, and the least in
            general.
        probe_backoff: Growth of that time with each probe, until `probe_cost` bounds it.
        creep: Share of the way to just below the last throttled rate that a held rate goes in a second.
        start_in_flight: Requests in flight at the start: few enough for a small account, and doubled with the answers.
        queue_room: Requests in flight, of those that the provider serves at a time. The rest wait at the provider, so
            that no slot of it is ever empty, and bridge errors of measurement.
        drained: The same while latency is measured: low enough for a queue to empty, high enough to lose little.
        measure_every: Answers' times from one measurement of latency to the next; a measurement takes about one.
        hang: Answers' times after which a request hangs rather than being served.
    """

    headroom: float = 0.98
    first_cut: float = 0.7
    deepest_cut: float = 0.3
    probe_step: float = 0.03
    probe_cost: float = 0.01
    probe_soon_s: float = 8.0
    creep: float = 0.0025
    start_in_flight: float = 16.0
    queue_room: float = 1.5
    drained: float = 0.75
    measure_every: float = 40.0
    hang: float = 10.0
