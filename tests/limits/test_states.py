"""The states of the adaptive control, and the shape of its code."""

from __future__ import annotations

import ast
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path

import pytest

import asyncllm.limits
from asyncllm.limits.adaptive.concurrency_window import WindowState
from asyncllm.limits.adaptive.parameters import AdaptiveParameters
from asyncllm.limits.adaptive.rate_search import RateSearch, RateState
from asyncllm.simulator.server.rate_limits import Limit, Limiter

from .virtual_provider import Provider, World


def states(world: World, seconds: float) -> list[tuple[RateState, WindowState]]:
    """Run a world, and return the states that it was seen in, in order."""
    seen: list[tuple[RateState, WindowState]] = []

    def look() -> None:
        now = (world.control.rate.state, world.control.window.state)
        if not seen or seen[-1] != now:
            seen.append(now)
        world.at(world.elapsed + 0.1, look)

    world.at(0.1, look)
    world.run(seconds)
    return seen


def test_the_states_of_a_rate_that_is_found() -> None:
    """A rate is first unlimited, then lowered by 429s, probed, and held."""
    order = list(dict.fromkeys(rate for rate, _ in states(World(Provider(Limit(per_second=50))), 20)))
    assert order == [RateState.UNLIMITED, RateState.LOWERED, RateState.PROBING, RateState.HOLDING]


def test_the_states_of_a_number_in_flight_that_is_found() -> None:
    """What is in flight grows until a queue shows; then latency is measured, and the number held."""
    seen = states(World(Provider(slots=8)), 60)
    assert [state for _, state in seen][:3] == [WindowState.GROWING, WindowState.MEASURING, WindowState.STEADY]
    assert {rate for rate, _ in seen} == {RateState.UNLIMITED}


def test_an_outage_leaves_the_rate_as_it_was() -> None:
    """Where nothing is answered, 429s lower no rate, and no probe raises it."""
    provider = Provider(Limit(per_second=50), tokens=(1, 1))
    provider.longest_asked_s = 1.0
    world = World(provider)
    found: list[float | None] = []
    world.at(20, lambda: setattr(provider, "limiter", Limiter([Limit(per_second=0.001)])))
    for at in (25, 60):
        world.at(at, lambda: found.append(world.control.rate.per_s))
    world.run(61)
    assert found[0] is not None
    assert found[0] == found[1]
    assert world.control.rate.state is RateState.LOWERED


def throttled_once(parameters: AdaptiveParameters) -> RateSearch:
    """A search that sent ten requests a second for a second, and was throttled."""
    search = RateSearch(parameters)
    for number in range(11):
        search.take(100 + number / 10)
    search.throttled(101.0, 1.0, answered=True)
    return search


def test_the_parameters_are_followed() -> None:
    """The first 429 lowers the rate to the share of what was sent that the parameters name."""
    usual = AdaptiveParameters()
    one, half = (throttled_once(p).per_s for p in (replace(usual, first_cut=1.0), replace(usual, first_cut=0.5)))
    assert one is not None
    assert half == pytest.approx(one / 2)
    assert one == pytest.approx(10, rel=0.2)


def test_a_rate_that_no_request_waits_for_is_not_probed() -> None:
    """After a 429 the rate stays as it is for as long as fewer requests come than it allows."""
    search = throttled_once(AdaptiveParameters())
    before = search.per_s
    for second in range(103, 160):
        assert search.available_at(float(second)) <= second
        search.take(float(second))
    assert search.per_s == before


def test_a_429_in_the_first_step_lowers_the_rate_that_was_probed() -> None:
    """Where not even the first step stands, the rate before it was too high."""
    search = throttled_once(AdaptiveParameters())
    before, now = search.per_s, 102.0
    assert before is not None
    while search.state.value != "probing":
        now = max(now, search.available_at(now))
        search.take(now)
    search.throttled(now, 1.0, answered=True)
    assert search.state is RateState.LOWERED
    assert search.per_s is not None
    assert search.per_s < before


def test_a_dozen_parameters_that_cannot_be_changed() -> None:
    """The control is tuned in one place, by a dozen numbers, each of which its docstring explains."""
    names = [field.name for field in fields(AdaptiveParameters)]
    assert len(names) <= 12
    assert all(f"{name}: " in (AdaptiveParameters.__doc__ or "") for name in names)
    with pytest.raises(FrozenInstanceError):
        AdaptiveParameters().headroom = 1.0  # type: ignore[misc]


def test_no_class_has_more_than_twelve_fields() -> None:
    """A class of the limits that needs more than twelve fields is two classes."""
    sizes = {}
    for path in Path(asyncllm.limits.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                sizes[node.name] = len(own_fields(node))
    assert sizes["Slots"] > 5
    assert {name: size for name, size in sizes.items() if size > 12} == {}


def own_fields(node: ast.ClassDef) -> set[str]:
    """Return the fields of a class: annotated in its body, or set on `self`."""
    named = {
        item.target.id for item in node.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    }
    targets = (part for part in ast.walk(node) if isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store))
    return named | {part.attr for part in targets if isinstance(part.value, ast.Name) and part.value.id == "self"}
