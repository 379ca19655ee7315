"""Single steps of the adaptive control, by the times that it is given."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import get_args

import pytest

from asyncllm import BudgetExceededError
from asyncllm.limits import Needs, ProviderLimits, Slots, Waiter
from asyncllm.limits.adaptive.concurrency_window import ConcurrencyWindow, WindowState
from asyncllm.limits.adaptive.controller import AdaptiveController
from asyncllm.limits.adaptive.parameters import AdaptiveParameters
from asyncllm.limits.adaptive.rate_search import RateSearch, RateState
from asyncllm.limits.budget import Budget
from asyncllm.limits.provider_limits import Reason

from .virtual_provider import Clock

GUIDES = Path(__file__).parents[2] / "docs" / "guides"


def test_the_states_have_the_names_of_the_guide() -> None:
    """A log or a plot shows the states under the names that the guide explains."""
    guide = (GUIDES / "adaptive-limits.md").read_text(encoding="utf-8")
    assert [state.value for state in WindowState] == ["growing", "measuring", "steady"]
    assert [state.value for state in RateState] == ["unlimited", "lowered", "probing", "holding"]
    assert not [state for state in (*WindowState, *RateState) if state.name not in guide.upper()]


def test_the_limits_that_a_request_waits_for_are_those_of_the_guide() -> None:
    """`stats().limited_by` is one of the words that the guide lists and a type checker knows."""
    guide = (GUIDES / "limits.md").read_text(encoding="utf-8")
    (listed,) = re.findall(r"names the limit that the first waiting request waits for: (.*?)[.;(]", guide, re.DOTALL)
    assert re.findall(r"`(\w+)`", listed) == list(get_args(Reason))


def window(in_flight: float) -> ConcurrencyWindow:
    """Return a window of so many, in a process that computes nothing."""
    return ConcurrencyWindow(lambda: 0.0, AdaptiveParameters(start_in_flight=in_flight))


def answered(window: ConcurrencyWindow, answers: int, *, in_flight: int) -> None:
    """Answer requests of one second and ten tokens, with so many in flight."""
    requests = [object() for _ in range(in_flight)]
    for request in requests:
        window.sent(request, 100.0)
    for number in range(answers):
        window.ended(requests[number])
        window.answered(100.0, 101.0, 10)


@pytest.mark.parametrize(("size", "round_"), [(3, 8), (8, 8), (20, 20), (32, 32), (500, 32)])
def test_a_measurement_takes_as_many_answers_as_are_in_flight(size: int, round_: int) -> None:
    """But at least eight, since one answer says little, and at most thirty-two, so that it comes soon."""
    before, after = window(size), window(size)
    answered(before, round_ - 1, in_flight=40)
    answered(after, round_, in_flight=40)
    assert before.in_flight.late_s == math.inf
    assert after.in_flight.late_s == pytest.approx(10.0)


def test_there_is_room_below_the_last_place_of_the_window() -> None:
    """The last one is given after a closer look."""
    bounded = window(3.0)
    room = []
    for _ in range(3):
        room.append(bounded.has_room)
        bounded.sent(object(), 100.0)
    assert room == [True, True, False]


def test_latency_is_measured_with_three_quarters_of_what_is_served() -> None:
    """By Little's law that is throughput times latency, of the answers of the round alone."""
    bounded = window(8.0)
    bounded.rate_throttled()
    requests = [object() for _ in range(8)]
    for request in requests:
        bounded.sent(request, 100.0)
    assert bounded.free_at(100.0) > 100.0
    for request in requests:
        bounded.ended(request)
        bounded.answered(100.0, 101.0, 10)
    assert bounded.state is WindowState.MEASURING
    assert bounded.size == pytest.approx(0.75 * 8)


def test_a_first_429_says_nothing_of_the_number_in_flight() -> None:
    """After a few answers the number goes on growing; the rate alone is lowered."""
    control = AdaptiveController(lambda: 0.0)
    flights = [control.take(100.0) for _ in range(3)]
    control.answered(flights[0], 100.5, {}, 10)
    control.throttled(flights[1], 100.6, 1.0)
    assert (control.window.state, control.rate.state) == (WindowState.GROWING, RateState.LOWERED)


def probing(steps: int) -> tuple[RateSearch, float, float]:
    """Return a search in a probe after so many steps, the rate before it, and the time."""
    search = RateSearch(AdaptiveParameters())
    for number in range(11):
        search.take(100 + number / 10)
    search.throttled(101.0, 1.0, answered=True)
    before, now, taken = search.per_s or 0.0, 102.0, 0
    rate = before
    while taken < steps:
        now = max(now, search.available_at(now))
        search.take(now)
        if search.state is RateState.PROBING and search.per_s != rate:
            rate, taken = search.per_s or 0.0, taken + 1
    return search, before, now


def test_an_outage_in_a_probe_leaves_what_stood_before_it() -> None:
    """Where nothing was answered, the rate is neither lowered nor left at what the probe added."""
    search, before, now = probing(3)
    assert (search.per_s or 0.0) > before
    search.throttled(now, 1.0, answered=False)
    assert (search.state, search.per_s) == (RateState.LOWERED, before)


def test_a_probe_that_cost_much_is_not_repeated_soon() -> None:
    """A long cooldown sets the next probe off by what it cost, from the first one on."""
    search, _, now = probing(3)
    cooldown_s = 2.0
    search.throttled(now, cooldown_s, answered=True)
    assert search.state is RateState.HOLDING
    end = now + cooldown_s + cooldown_s / AdaptiveParameters().probe_cost
    while now < end - 1.0 and search.state is RateState.HOLDING:
        now = max(now, search.available_at(now))
        search.take(now)
    assert now >= end - 1.0


def test_a_request_that_was_not_sent_is_returned_to_the_rate() -> None:
    """It makes room for one, and for no more."""
    clock = Clock()
    limits, slots = ProviderLimits(clock), Slots(10)
    limits.configure(1, 6000, None)

    def sent() -> int:
        """Take what there is at once, and return how many that were."""
        number = 0
        while True:
            waiter = Waiter(slots, limits, Needs())
            reason, _ = limits.take(waiter)
            if reason is not None:
                limits.withdraw(waiter)
                return number
            number += 1
            taken.append(waiter)

    taken: list[Waiter] = []
    assert sent() > 2
    limits.settle(taken[0], None, sent=False)
    assert sent() == 1
    limits.settle(taken[1], None)
    assert sent() == 0


def test_a_spent_budget_says_what_to_do() -> None:
    """The message has what is spent and what the request may cost, and the remedies."""
    with pytest.raises(BudgetExceededError) as caught:
        Budget(1.0, 0.9).check(0.2)
    assert str(caught.value) == (
        "$0.9 of the budget of $1 are spent, and the request may cost $0.2; nothing was sent. "
        "Raise budget_usd, or lower max_output_tokens, which bounds what an answer may cost."
    )
