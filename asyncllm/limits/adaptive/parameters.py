"""The parameters of the adaptive control."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AdaptiveParameters:
    """What the adaptive control is tuned by; chosen over many seeds against simulated providers of every algorithm.

    Attributes:
        headroom: Share of a rate that was throttled, measured or declared at which requests are sent. Nearer to 1, one
            request more in a window of fifty is a 429.
        first_cut: Share of the rate at the first 429 that is kept. A part of what got through by then was the
            provider's reserve, so the limit is lower.
        deepest_cut: Share of the rate below which one 429 does not lower it. What got through between two 429s may be
            far too little when a window was nearly over.
        probe_step: Growth of the rate in the first step of a probe, as a share of it; each step grows by as much more.
            Larger, a probe ends further beyond the limit; smaller, a limit that rose is met late.
        probe_cost: Share of the time that the cooldowns of probes may take while the limit does not move.
        probe_soon_s: Least seconds from one probe to the next. A limit that fell is probed as often, since it may rise.
        creep: Growth of a held rate in a second, as a share of it, up to just below what was throttled. That costs no
            429, as a probe does.
        start_in_flight: Requests in flight at the start: few enough for a small account, and doubled with the answers.
        queue_room: Requests in flight, as a multiple of what the provider serves at a time. The rest wait there, so
            that no slot of it is ever empty, and bridge errors of measurement.
        drained: The same multiple while latency is measured: a queue empties, and little throughput is lost.
        measure_every: Answers' times from one measurement of latency to the next, which itself takes about one.
        hang: Answers' times after which a request counts as hanging rather than as being served.
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
