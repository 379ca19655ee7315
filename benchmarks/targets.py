"""Targets, and the check of a run's figures against them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from .peers import (
    ANTHROPIC,
    BARE_PYTHON,
    FLOOR,
    GENAI,
    INSTRUCTOR,
    INSTRUCTOR_CLAUDE,
    LANGCHAIN,
    LITELLM,
    LITELLM_CLAUDE,
    LITELLM_GEMINI,
    LITELLM_HERE,
    OPENAI,
    PYDANTIC_AI,
    ROUTER,
    Peer,
)

Compare = Literal["peer / ours", "ours / peer", "ours - peer", "ours"]
Verdict = Literal["met", "NOT MET", "FAILED", "not measured"]


@dataclass(frozen=True, slots=True)
class Target:
    """A figure that a run must show.

    Attributes:
        title: Its name in tables.
        scenario: The key of the scenario.
        metric: Which figure of it.
        compare: How a pair makes a value.
        peers: Who it is compared with; of several the one that makes asyncllm look worst counts.
        at_least: The value must not be less.
        at_most: The value must not be more.
    """

    title: str
    scenario: str
    metric: str
    compare: Compare
    peers: tuple[Peer, ...]
    at_least: float | None = None
    at_most: float | None = None

    @property
    def bound(self) -> str:
        """The bound in words."""
        return f">= {self.at_least:g}" if self.at_least is not None else f"<= {self.at_most:g}"

    def holds(self, value: float) -> bool:
        """Return whether a value is within the bound."""
        if self.at_least is not None:
            return value >= self.at_least
        assert self.at_most is not None
        return value <= self.at_most


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle of several values and the quartiles around it."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of at least one value."""
        if len(values) < 2:
            return cls(values[0], values[0], values[0])
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a target; `spread` is None where nothing was measured, `against` the peer that decided."""

    target: Target
    verdict: Verdict
    spread: Spread | None = None
    against: str = ""


# The SDKs that a user could pick instead.
_ALL = (OPENAI, LITELLM, ROUTER, PYDANTIC_AI, LANGCHAIN)

TARGETS: tuple[Target, ...] = (
    Target("plain call, CPU: openai SDK / asyncllm", "plain-50", "cpu_us", "peer / ours", (OPENAI,), at_least=16),
    Target("plain call, CPU: litellm / asyncllm", "plain-50", "cpu_us", "peer / ours", (LITELLM,), at_least=30),
    Target("plain call, CPU: asyncllm / aiohttp + json", "plain-50", "cpu_us", "ours / peer", (FLOOR,), at_most=0.75),
    Target("500 at a time: openai SDK / asyncllm", "plain-500", "cpu_us", "peer / ours", (OPENAI,), at_least=20),
    Target("500 at a time: asyncllm / aiohttp + json", "plain-500", "cpu_us", "ours / peer", (FLOOR,), at_most=0.9),
    Target("requests/s, 50 at a time: asyncllm / best peer", "plain-50", "per_s", "ours / peer", _ALL, at_least=8),
    Target("connections opened, 50 at a time", "plain-50", "connections", "ours", (), at_most=50),
    Target("streamed chunk, CPU: openai SDK / asyncllm", "stream", "cpu_us", "peer / ours", (OPENAI,), at_least=15),
    Target("streamed chunk, CPU: litellm / asyncllm", "stream", "cpu_us", "peer / ours", (LITELLM,), at_least=45),
    Target("300 paced streams: openai SDK / asyncllm", "paced", "cpu_us", "peer / ours", (OPENAI,), at_least=4.5),
    Target("... asyncllm on uvloop", "paced-uvloop", "cpu_us", "peer / ours", (OPENAI,), at_least=6),
    Target("Claude, CPU: anthropic SDK / asyncllm", "claude", "cpu_us", "peer / ours", (ANTHROPIC,), at_least=14),
    Target("Claude, CPU: litellm / asyncllm", "claude", "cpu_us", "peer / ours", (LITELLM_CLAUDE,), at_least=40),
    Target("Claude, chunk: anthropic / asyncllm", "claude-stream", "cpu_us", "peer / ours", (ANTHROPIC,), at_least=3),
    Target(
        "Claude, chunk: litellm / asyncllm", "claude-stream", "cpu_us", "peer / ours", (LITELLM_CLAUDE,), at_least=35,
    ),
    Target(
        "Claude, typed: instructor with Anthropic / asyncllm", "claude-typed", "cpu_us", "peer / ours",
        (INSTRUCTOR_CLAUDE,), at_least=25,
    ),
    Target("Gemini, CPU: google-genai / asyncllm", "gemini", "cpu_us", "peer / ours", (GENAI,), at_least=8),
    Target("Gemini, CPU: litellm / asyncllm", "gemini", "cpu_us", "peer / ours", (LITELLM_GEMINI,), at_least=35),
    Target("Gemini, chunk: genai / asyncllm", "gemini-stream", "cpu_us", "peer / ours", (GENAI,), at_least=3),
    Target(
        "Gemini, chunk: litellm / asyncllm", "gemini-stream", "cpu_us", "peer / ours", (LITELLM_GEMINI,), at_least=40,
    ),
    Target(
        "Claude, start to first answer: litellm / asyncllm", "claude-first-call", "start_s", "peer / ours",
        (LITELLM_CLAUDE,), at_least=7,
    ),
    Target(
        "Claude, memory after it: litellm / asyncllm", "claude-first-call", "rss_mib", "peer / ours",
        (LITELLM_CLAUDE,), at_least=3,
    ),
    Target("first token, ms more than aiohttp + json", "first-token", "first_ms", "ours - peer", (FLOOR,), at_most=1),
    Target("typed call, CPU: instructor / asyncllm", "typed", "cpu_us", "peer / ours", (INSTRUCTOR,), at_least=40),
    Target("on trio, CPU: litellm (asyncio) / asyncllm", "trio-plain", "cpu_us", "peer / ours", (LITELLM,), at_least=8),
    Target(
        "litellm transport, CPU: asyncllm / litellm", "litellm-plain", "cpu_us", "ours / peer", (LITELLM_HERE,),
        at_most=1.15,
    ),
    Target("import, ms beyond bare Python", "import", "wall_ms", "ours - peer", (BARE_PYTHON,), at_most=60),
    Target("construction, ms beyond bare Python", "construct", "wall_ms", "ours - peer", (BARE_PYTHON,), at_most=250),
    Target("process start to first answer: litellm / asyncllm", "first-call", "start_s", "peer / ours", (LITELLM,), 7),
    Target("memory after it: litellm / asyncllm", "first-call", "rss_mib", "peer / ours", (LITELLM,), at_least=3),
    Target("KiB for each of 1,000 open streams", "open", "kib_each", "ours", (), at_most=22),
    Target("... over TLS", "open-tls", "kib_each", "ours", (), at_most=67),
    Target("... over TLS: asyncllm / openai SDK", "open-tls", "kib_each", "ours / peer", (OPENAI,), at_most=1),
    Target("ms a warm litellm's first call blocks the loop", "heartbeat", "longest_gap_ms", "ours", (), at_most=20),
)  # fmt: skip


def values(target: Target, rounds: Sequence[dict[str, Any]], peer: str | None) -> list[float]:
    """Return the value of every round of a pair; of a target without peers, of every round there is."""
    made = []
    for one in rounds:
        if "error" in one or (peer is not None and one["peer"] != peer):
            continue
        ours = one["ours"][target.metric]
        made.append(compared(target.compare, ours, one["theirs"][target.metric] if peer is not None else ours))
    return made


def compared(compare: Compare, ours: float, theirs: float) -> float:
    """Return the value that two figures make."""
    if compare == "ours":
        return ours
    if compare == "ours - peer":
        return ours - theirs
    return ours / theirs if compare == "ours / peer" else theirs / ours


def judge(target: Target, scenarios: dict[str, Any]) -> Outcome:
    """Return whether a target is met in the results of a run."""
    rounds = scenarios.get(target.scenario, {}).get("rounds", [])
    wanted: tuple[str | None, ...] = tuple(peer.name for peer in target.peers) or (None,)
    if any("error" in one and (None in wanted or one["peer"] in wanted) for one in rounds):
        return Outcome(target, "FAILED")
    spreads = {name: Spread.of(found) for name in wanted if (found := values(target, rounds, name))}
    if not spreads:
        return Outcome(target, "not measured")
    worst = min(spreads, key=lambda name: spreads[name].median * (1 if target.at_least is not None else -1))
    verdict: Verdict = "met" if target.holds(spreads[worst].median) else "NOT MET"
    return Outcome(target, verdict, spreads[worst], worst or "")
