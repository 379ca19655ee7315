"""Scenarios: each runs its peers and asyncllm in turns, a peer and then asyncllm, several times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from .exchange import API_KEY, MODEL, count_prompt
from .peers import (
    ANTHROPIC,
    BARE_PYTHON,
    FLOOR,
    FLOOR_UVLOOP,
    GENAI,
    INSTRUCTOR,
    INSTRUCTOR_CLAUDE,
    LANGCHAIN,
    LITELLM,
    LITELLM_CLAUDE,
    LITELLM_GEMINI,
    LITELLM_HERE,
    OPENAI,
    OPENAI_UVLOOP,
    OURS,
    OURS_CLAUDE,
    OURS_GEMINI,
    OURS_LITELLM,
    OURS_TRIO,
    OURS_UVLOOP,
    PYDANTIC_AI,
    ROUTER,
    Peer,
)

Where = Literal["kept", "fresh", "fresh over TLS", "first call", "snippet"]

_SECONDS = 1.0
_QUICK_SECONDS = 0.4
_ROUNDS = 5  # enough for quartiles; the longer scenarios have fewer, to fit into a quarter of an hour
_QUICK_ROUNDS = 2
# Slow for what they add to the others.
_NOT_QUICK = frozenset(
    ("plain-500", "reasoning", "paced", "paced-uvloop", "open-tls", "trio-stream", "claude-first-call")
)
_QUICK_PEERS = (FLOOR, OPENAI, LITELLM, LITELLM_HERE, BARE_PYTHON, OURS)
_OPEN_STREAMS = 1000

_CALLERS = (FLOOR, OPENAI, LITELLM, ROUTER, PYDANTIC_AI, LANGCHAIN)
_STREAMERS = (FLOOR, OPENAI, LITELLM, PYDANTIC_AI, LANGCHAIN)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One thing to measure.

    Attributes:
        key: Its name in the results.
        title: Its name in tables.
        peers: Who is compared with `ours`; empty measures ours alone.
        command: What the workers are told.
        ours: Which asyncllm.
        rounds: How often every pair is measured.
        where: `kept` asks workers that live for the whole run, `fresh` starts one for each sample, `first call` does so
            for one call and takes the start into account, `snippet` runs a line of Python.
        code: The line, by the name of the peer.
    """

    key: str
    title: str
    peers: tuple[Peer, ...]
    command: Mapping[str, Any] = field(default_factory=dict)
    ours: Peer = OURS
    rounds: int = _ROUNDS
    where: Where = "kept"
    code: Mapping[str, str] = field(default_factory=dict)


def calls(kind: str, concurrency: int) -> dict[str, Any]:
    """Return the command for calls of a kind, so many at a time."""
    return {"do": "calls", "kind": kind, "concurrency": concurrency, "seconds": _SECONDS}


def streams(number: int, concurrency: int, gap_ms: int = 0) -> dict[str, Any]:
    """Return the command for streams of so many chunks."""
    prompt = count_prompt(number, gap_ms)
    return {"do": "streams", "prompt": prompt, "concurrency": concurrency, "seconds": _SECONDS}


_PACED = streams(40, 300, gap_ms=20)
_OPEN = {"do": "open_streams", "number": _OPEN_STREAMS}
_BARE = {BARE_PYTHON.name: "pass"}
_CONSTRUCT = f"from asyncllm import AsyncLLM; AsyncLLM(model='openai/{MODEL}', api_key='{API_KEY}')"
_IMPORTS = {
    **_BARE,
    OURS.name: "import asyncllm",
    OPENAI.name: "import openai",
    LITELLM.name: "import litellm",
}

SCENARIOS: tuple[Scenario, ...] = (
    Scenario("plain-1", "plain call, 1 at a time", _CALLERS, calls("plain", 1), rounds=3),
    Scenario("plain-50", "plain call, 50 at a time", _CALLERS, calls("plain", 50)),
    Scenario("plain-500", "plain call, 500 at a time", (FLOOR, OPENAI, LITELLM), calls("plain", 500), rounds=3),
    Scenario(
        "plain-uvloop",
        "plain call on uvloop, 50 at a time",
        (FLOOR_UVLOOP, OPENAI_UVLOOP),
        calls("plain", 50),
        OURS_UVLOOP,
        rounds=3,
    ),
    Scenario("reasoning", "reasoning model with max_tokens", (OPENAI, LITELLM), calls("reasoning", 50)),
    Scenario("typed", "typed call", (OPENAI, INSTRUCTOR, PYDANTIC_AI, LANGCHAIN), calls("typed", 50)),
    Scenario("stream", "stream, as fast as it goes", _STREAMERS, streams(100, 10), rounds=4),
    Scenario("claude", "Claude, plain call", (ANTHROPIC, LITELLM_CLAUDE), calls("plain", 50), OURS_CLAUDE),
    Scenario("claude-stream", "Claude, stream", (ANTHROPIC, LITELLM_CLAUDE), streams(100, 10), OURS_CLAUDE, rounds=3),
    Scenario("claude-typed", "Claude, typed call", (INSTRUCTOR_CLAUDE,), calls("typed", 50), OURS_CLAUDE, rounds=3),
    Scenario("gemini", "Gemini, plain call", (GENAI, LITELLM_GEMINI), calls("plain", 50), OURS_GEMINI),
    Scenario("gemini-stream", "Gemini, stream", (GENAI, LITELLM_GEMINI), streams(100, 10), OURS_GEMINI, rounds=3),
    # litellm is not here: it opens fewer connections than that.
    Scenario("paced", "300 streams, a chunk every 20 ms", (FLOOR, OPENAI), _PACED, rounds=2),
    Scenario(
        "paced-uvloop",
        "300 streams, a chunk every 20 ms, on uvloop",
        (FLOOR_UVLOOP, OPENAI, OPENAI_UVLOOP),
        _PACED,
        OURS_UVLOOP,
        rounds=2,
    ),
    Scenario("first-token", "time to the first token", _STREAMERS, streams(5, 1), rounds=3),
    # litellm is not here: it opens fewer connections than that, and the other streams wait.
    Scenario("open", "1,000 open streams", (FLOOR, OPENAI), _OPEN, rounds=3, where="fresh"),
    Scenario("open-tls", "1,000 open streams over TLS", (FLOOR, OPENAI), _OPEN, rounds=3, where="fresh over TLS"),
    Scenario("first-call", "process start to first answer", _CALLERS, rounds=4, where="first call"),
    Scenario(
        "claude-first-call",
        "Claude, process start to first answer",
        (ANTHROPIC, LITELLM_CLAUDE),
        ours=OURS_CLAUDE,
        rounds=3,
        where="first call",
    ),
    Scenario("import", "import", (BARE_PYTHON, OPENAI, LITELLM), where="snippet", code=_IMPORTS),
    Scenario(
        "construct",
        "AsyncLLM(model=..., api_key=...)",
        (BARE_PYTHON,),
        where="snippet",
        code={**_BARE, OURS.name: _CONSTRUCT},
    ),
    # Processes of the same program differ by a tenth in what a call of litellm costs: a new one for each sample.
    Scenario(
        "litellm-plain",
        "plain call, litellm transport",
        (LITELLM_HERE,),
        calls("plain", 50),
        OURS_LITELLM,
        where="fresh",
    ),
    Scenario("litellm-stream", "stream, litellm transport", (LITELLM_HERE,), streams(100, 10), OURS_LITELLM),
    Scenario("trio-plain", "plain call on trio", (LITELLM, OURS), calls("plain", 50), OURS_TRIO),
    Scenario("trio-stream", "stream on trio", (LITELLM, OURS), streams(100, 10), OURS_TRIO),
    Scenario(
        "heartbeat",
        "first call of the litellm transport after warm_up()",
        (OURS,),
        {"do": "heartbeat"},
        OURS_LITELLM,
        where="fresh",
    ),
)


def quick(scenarios: Sequence[Scenario]) -> tuple[Scenario, ...]:
    """Return what fits into two minutes: fewer peers, fewer rounds, shorter ones."""
    chosen = []
    for scenario in scenarios:
        peers = tuple(peer for peer in scenario.peers if peer in _QUICK_PEERS)
        if not peers or scenario.key in _NOT_QUICK:
            continue
        command = dict(scenario.command)
        if "seconds" in command:
            command["seconds"] = _QUICK_SECONDS
        rounds = min(_QUICK_ROUNDS, scenario.rounds)
        chosen.append(replace(scenario, peers=peers, command=command, rounds=rounds))
    return tuple(chosen)
