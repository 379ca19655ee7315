"""From the figures of the rounds to a verdict, a table and a page."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.peers import LITELLM, OPENAI
from benchmarks.report import page, text
from benchmarks.scenarios import SCENARIOS, quick
from benchmarks.targets import TARGETS, Target, judge

RATE = Target("rate", "plain-50", "per_s", "ours / peer", (OPENAI, LITELLM), at_least=8)


def results(*rounds: dict[str, Any]) -> dict[str, Any]:
    return {
        "machine": {"processor": "Abacus", "cores": 2, "system": "Linux", "python": "3.11", "load_at_start": 0.0},
        "versions": {"openai": {"openai": "1.0"}},
        "seconds": 60,
        "scenarios": {"plain-50": {"title": "plain call, 50 at a time", "rounds": list(rounds)}},
    }


def pair(peer: str, theirs: float, ours: float) -> dict[str, Any]:
    return {
        "peer": peer,
        "theirs": {"cpu_us": 1e6 / theirs, "per_s": theirs, "connections": 50},
        "ours": {"cpu_us": 1e6 / ours, "per_s": ours, "connections": 50},
    }


def test_the_best_peer_decides() -> None:
    """Of several peers the one that asyncllm beats the least is the one that counts."""
    found = results(pair("openai SDK", 100, 900), pair("litellm", 50, 900), pair("openai SDK", 100, 700))
    outcome = judge(RATE, found["scenarios"])
    assert (outcome.verdict, outcome.against) == ("met", "openai SDK")
    assert outcome.spread is not None
    assert (outcome.spread.low, outcome.spread.median, outcome.spread.high) == (7.5, 8.0, 8.5)


def test_a_target_that_is_missed_says_so() -> None:
    """A median beyond the bound is not met."""
    assert judge(RATE, results(pair("openai SDK", 100, 799))["scenarios"]).verdict == "NOT MET"


def test_a_failed_round_fails_the_target() -> None:
    """However fast the other rounds were, a failure is a failure."""
    found = results(pair("openai SDK", 100, 900), {"peer": "openai SDK", "error": "wrong answer"})
    assert judge(RATE, found["scenarios"]).verdict == "FAILED"


def test_what_was_not_measured_is_not_met() -> None:
    """A run without a scenario leaves its targets open."""
    assert judge(RATE, {}).verdict == "not measured"


@pytest.mark.parametrize("render", [text, lambda found: page(found, "chart.svg")], ids=["text", "page"])
def test_tables_show_figures_and_failures(render: Any) -> None:
    """Ratios, verdicts and failures are all in the table, and a failed peer has no figure."""
    shown = render(results(pair("openai SDK", 100, 1750), {"peer": "litellm", "error": "wrong answer"}))
    assert "17.5" in shown
    assert "NOT MET" not in shown
    assert "FAILED" in shown


def test_every_target_is_about_something_that_is_measured() -> None:
    """A target names a scenario of the run, and peers that it compares."""
    measured = {scenario.key: {peer.name for peer in scenario.peers} for scenario in SCENARIOS}
    for target in TARGETS:
        assert {peer.name for peer in target.peers} <= measured[target.scenario]


def test_a_quick_run_is_a_part_of_the_whole() -> None:
    """It has fewer rounds and peers, and nothing that the whole has not."""
    whole = {scenario.key: scenario for scenario in SCENARIOS}
    for scenario in quick(SCENARIOS):
        assert all(peer in whole[scenario.key].peers for peer in scenario.peers)
        assert scenario.rounds <= whole[scenario.key].rounds


def test_every_format_has_a_process_of_its_own() -> None:
    """Peers that share a process are equal, or one would be measured in the format of another."""
    kept = [peer for one in SCENARIOS if one.where == "kept" for peer in (*one.peers, one.ours)]
    by_process = {peer.process: peer for peer in kept}
    assert all(by_process[peer.process] == peer for peer in kept)
    claude = next(one for one in SCENARIOS if one.key == "claude")
    plain = next(one for one in SCENARIOS if one.key == "plain-50")
    assert claude.ours.process != plain.ours.process
