"""Limits: the three algorithms with a clock that is passed in, and a simulator that has them."""

from __future__ import annotations

import math
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from asyncllm.simulator import Limit, Simulator
from asyncllm.simulator.server.rate_limits import Limiter

from .http import chat, messages, ollama


def admitted(limiter: Limiter, times: list[float], *, key: str = "k", tokens: int = 1) -> list[bool]:
    return [limiter.admit(key, tokens, now).refused_by is None for now in times]


def test_token_bucket_admits_a_burst_and_then_the_rate() -> None:
    """A full bucket admits its burst at once, then one for each that flows in."""
    limiter = Limiter([Limit(per_second=2, burst=3)])
    assert admitted(limiter, [0, 0, 0, 0]) == [True, True, True, False]
    assert admitted(limiter, [0.5, 0.5, 1.0]) == [True, False, True]


def test_fixed_window_starts_anew() -> None:
    """A fixed window admits its number, refuses the rest, and starts anew at its end."""
    limiter = Limiter([Limit(per_minute=2, algorithm="fixed_window")])
    assert admitted(limiter, [0, 59, 59.9]) == [True, True, False]
    assert admitted(limiter, [60, 60, 60]) == [True, True, False]


def test_sliding_window_looks_back() -> None:
    """A sliding window counts the requests of the last window, so that no two windows' worth pass at an edge."""
    limiter = Limiter([Limit(per_minute=2, algorithm="sliding_window")])
    assert admitted(limiter, [0, 59, 60, 60.1, 119]) == [True, True, True, False, True]


@pytest.mark.parametrize("algorithm", ["token_bucket", "fixed_window", "sliding_window"])
def test_stated_wait_is_exactly_enough(algorithm: Any) -> None:
    """A request after the stated wait is admitted; one a little earlier is not."""
    limiter = Limiter([Limit(kind="tokens", per_minute=100, algorithm=algorithm)])
    assert admitted(limiter, [0], tokens=70) == [True]
    wait = limiter.admit("k", 50, 1.0).wait_s
    assert limiter.admit("k", 50, 1.0 + wait - 0.1).refused_by is not None
    assert limiter.admit("k", 50, 1.0 + wait).refused_by is None


@pytest.mark.parametrize("algorithm", ["token_bucket", "fixed_window", "sliding_window"])
def test_what_never_fits_waits_for_ever(algorithm: Any) -> None:
    """A request larger than the limit is refused with an infinite wait."""
    decision = Limiter([Limit(kind="tokens", per_minute=10, algorithm=algorithm)]).admit("k", 11, 0.0)
    assert decision.refused_by is not None
    assert math.isinf(decision.wait_s)


def test_a_refused_request_is_counted_by_no_limit() -> None:
    """A request that one limit refuses does not count against the others."""
    limiter = Limiter([Limit(per_minute=2), Limit(kind="tokens", per_minute=10)])
    assert admitted(limiter, [0], tokens=11) == [False]
    assert admitted(limiter, [0, 0, 0], tokens=1) == [True, True, False]


def test_keys_are_counted_apart_unless_the_limit_is_for_all() -> None:
    """Each key has its own count; with the scope `all` they share one."""
    apart, together = Limiter([Limit(per_minute=1)]), Limiter([Limit(per_minute=1, scope="all")])
    assert [admitted(apart, [0], key=key) for key in "ab"] == [[True], [True]]
    assert [admitted(together, [0], key=key) for key in "ab"] == [[True], [False]]


@pytest.mark.parametrize(
    "options",
    [{}, {"per_minute": 1, "per_second": 1}, {"per_minute": 0}, {"per_minute": 1, "algorithm": "leaky"}, {"kind": "x"}],
)
def test_impossible_limits_are_refused(options: dict[str, Any]) -> None:
    """An impossible limit is a ValueError."""
    with pytest.raises(ValueError, match=r"limit|must be"):
        Limit(**options)


def test_a_limit_is_a_429_in_each_format() -> None:
    """Beyond the limit each provider's own 429 is sent, and counted."""
    with Simulator(limits=[Limit(per_minute=3)]) as sim:
        assert [chat(sim).status, messages(sim).status, ollama(sim).status] == [200] * 3
        answers = [chat(sim), messages(sim), ollama(sim)]
        assert [answer.status for answer in answers] == [429] * 3
        assert answers[0].json["error"]["code"] == "rate_limit_exceeded"
        assert answers[1].json["error"]["type"] == "rate_limit_error"
        assert sim.seen.rejected == 3


def test_openai_headers_count_down() -> None:
    """Answers carry limit, remaining and reset in OpenAI's headers, for requests and for tokens."""
    with Simulator(limits=[Limit(per_minute=60), Limit(kind="tokens", per_minute=600)]) as sim:
        headers = chat(sim, simulator={"answer_tokens": 95}).headers
    assert headers["x-ratelimit-limit-requests"] == "60"
    assert headers["x-ratelimit-remaining-requests"] == "59"
    assert headers["x-ratelimit-reset-requests"] in ("1s", "1000ms", "999ms")
    assert headers["x-ratelimit-remaining-tokens"] == "500"


def test_anthropic_headers_are_its_own() -> None:
    """On Anthropic's route the headers have its names and an RFC 3339 time."""
    with Simulator(limits=[Limit(per_minute=60)]) as sim:
        headers = messages(sim).headers
    assert headers["anthropic-ratelimit-requests-remaining"] == "59"
    assert headers["anthropic-ratelimit-requests-reset"].endswith("Z")


@pytest.mark.parametrize(
    ("form", "header", "read"),
    [
        ("seconds", "retry-after", int),
        ("fraction", "retry-after", float),
        ("ms", "retry-after-ms", lambda text: int(text) / 1000),
        ("date", "retry-after", lambda text: parsedate_to_datetime(text).timestamp()),
    ],
)
def test_retry_after_has_the_form_asked_for(form: Any, header: str, read: Any) -> None:
    """A 429 has Retry-After in the form of the limit."""
    with Simulator(limits=[Limit(per_minute=1, retry_after=form)]) as sim:
        chat(sim)
        refused = chat(sim)
    wait = read(refused.headers[header])
    if form == "date":
        wait -= parsedate_to_datetime(refused.headers["date"]).timestamp()
    assert 50 < wait <= 62


def test_limit_can_be_silent() -> None:
    """A limit without headers and Retry-After is announced by nothing, as with some providers."""
    with Simulator(limits=[Limit(per_minute=1, retry_after="none", headers=False)]) as sim:
        chat(sim)
        refused = chat(sim)
    assert refused.status == 429
    assert not [name for name in refused.headers if "ratelimit" in name or "retry" in name]


def test_limits_change_while_it_runs() -> None:
    """New limits hold from the next request on."""
    with Simulator(limits=[Limit(per_minute=1)]) as sim:
        assert [chat(sim).status, chat(sim).status] == [200, 429]
        sim.limits(Limit(per_minute=2))
        assert [chat(sim).status for _ in range(3)] == [200, 200, 429]
        sim.limits()
        assert chat(sim).status == 200
