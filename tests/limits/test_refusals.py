"""Refusals with 429: their number, their events, and the remedy for a configured rate that is too high."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from asyncllm import AsyncLLM, RateLimitError
from asyncllm.limits.refusals import ENOUGH, Refusals
from asyncllm.simulator import Fault, Limit, Simulator

from .virtual_provider import Clock


def refusal(**headers: str) -> RateLimitError:
    """Return a 429 with these headers, written with underscores."""
    error = RateLimitError("slow down", status_code=429, retry_after=2.0)
    error.rate_limits = {name.replace("_", "-"): value for name, value in headers.items()}
    return error


def events(caplog: pytest.LogCaptureFixture, name: str) -> list[dict[str, Any]]:
    """Return the fields of the events of a name."""
    return [record.fields for record in caplog.records if getattr(record, "event", None) == name]  # type: ignore[attr-defined]


def explained(caplog: pytest.LogCaptureFixture, rates: dict[str, float], **headers: str) -> list[str]:
    """Return what is said of so many 429s that a rate is wrong."""
    refusals = Refusals(Clock())
    for _ in range(3 * ENOUGH):
        refusals.add(refusal(**headers), "openai/gpt-5-mini", rates)
    return [fields["message"] for fields in events(caplog, "limits.rate_too_high")]


@pytest.mark.anyio
async def test_the_429s_of_a_batch_are_seen(
    options: dict[str, Any], simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    """The total is the provider's; events name the 429s, and once that the configured rate is too high."""
    simulator.limits(Limit(per_minute=600))
    simulator.faults(Fault("status", code=429, retry_after=0.001, retry_after_form="ms", times=ENOUGH))
    async with AsyncLLM(**options, requests_per_minute=60_000) as llm:
        outcomes = await llm.gather(["hi"] * 4)
        stats = llm.stats()
    assert all(outcome.ok for outcome in outcomes)
    assert (stats.throttled, stats.retries) == (ENOUGH, 0)
    assert sum(each.status_code == 429 for outcome in outcomes for each in outcome.attempts) == ENOUGH
    told = events(caplog, "limits.throttled")
    assert (told[0]["status_code"], told[0]["count"]) == (429, 1)
    assert told[0]["retry_after"] > 0
    assert told[0]["message"]
    (fields,) = events(caplog, "limits.rate_too_high")
    assert fields["requests_per_minute"] == 60_000
    assert fields["message"] == "requests_per_minute = 60000 is more than the provider's limit: its headers say 600."


@pytest.mark.anyio
async def test_the_429s_of_a_call_are_seen(
    options: dict[str, Any], simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    """They count beside the retries after them, and have an event; without a configured rate none is blamed."""
    simulator.faults(Fault("status", code=429, retry_after=0.001, retry_after_form="ms", times=2))
    async with AsyncLLM(**options) as llm:
        await llm.acompletion("hi")
        stats = llm.stats()
    assert (stats.throttled, stats.retries) == (2, 2)
    assert events(caplog, "limits.throttled")[0]["count"] == 1
    assert not events(caplog, "limits.rate_too_high")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("rates", "remedy"),
    [
        (
            {"requests_per_minute": 60_000},
            "requests_per_minute = 60000 is more than the provider's limit: its headers say 600. Lower it.",
        ),
        (
            {"tokens_per_minute": 60_000},
            "Lower tokens_per_minute, or leave it out and set adaptive = true, which finds the limit.",
        ),
        ({"adaptive": True}, "Come back later, or ask the provider for a higher limit."),
        (
            {},
            "Set requests_per_minute or tokens_per_minute to the account's limit, or adaptive = true, which finds it.",
        ),
    ],
    ids=["too high", "not known to be", "adaptive", "none"],
)
async def test_the_error_of_a_call_has_the_remedy(
    options: dict[str, Any], simulator: Simulator, rates: dict[str, Any], remedy: str
) -> None:
    """It depends on what is configured, and on what the provider declares."""
    simulator.limits(Limit(per_minute=600))
    simulator.faults(Fault("status", code=429, retry_after=0.001, retry_after_form="ms"))
    async with AsyncLLM(**options, **rates, num_retries=0) as llm:
        with pytest.raises(RateLimitError) as caught:
            await llm.acompletion("hi")
    assert caught.value.hint == remedy


def test_a_storm_is_one_event_a_second(caplog: pytest.LogCaptureFixture) -> None:
    """Each event has the number of 429s since the one before."""
    clock = Clock()
    refusals = Refusals(clock)
    for tenth in range(25):
        clock.now = 1000.0 + tenth / 10
        refusals.add(refusal(), "openai/gpt-5-mini", {})
    assert [fields["count"] for fields in events(caplog, "limits.throttled")] == [1, 10, 10]


def test_the_rate_that_is_too_high_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    """Of two rates, the one that exceeds what the provider declares, in Anthropic's headers too."""
    rates = {"requests_per_minute": 50.0, "tokens_per_minute": 90_000.0}
    headers = {"anthropic_ratelimit_requests_limit": "50", "anthropic_ratelimit_tokens_limit": "30000"}
    assert explained(caplog, rates, **headers) == [
        "tokens_per_minute = 90000 is more than the provider's limit: its headers say 30000."
    ]


def test_without_headers_the_refusals_speak(caplog: pytest.LogCaptureFixture) -> None:
    """A provider that declares nothing and keeps refusing allows less than is configured."""
    (message,) = explained(caplog, {"requests_per_minute": 600.0})
    assert message == (
        "10 requests within a minute were refused with 429 at requests_per_minute = 600: the provider allows less."
    )


@pytest.mark.parametrize(
    "headers",
    [
        {"x_ratelimit_limit_requests": "600"},
        {"x_ratelimit_limit_requests": "50", "x_ratelimit_reset_requests": "900ms"},
    ],
    ids=["by the minute", "by the second"],
)
def test_a_rate_within_the_limit_is_not_blamed(caplog: pytest.LogCaptureFixture, headers: dict[str, str]) -> None:
    """Another program that uses the key is no reason to lower the rate; a limit may be one of a second."""
    assert not explained(caplog, {"requests_per_minute": 600.0}, **headers)


def test_a_few_refusals_blame_no_rate(caplog: pytest.LogCaptureFixture) -> None:
    """Refusals that are far apart are bad luck, whatever their number."""
    clock = Clock()
    refusals = Refusals(clock)
    for _ in range(3 * ENOUGH):
        clock.now += 10.0
        refusals.add(refusal(x_ratelimit_limit_requests="1"), "openai/gpt-5-mini", {"requests_per_minute": 600.0})
    assert not events(caplog, "limits.rate_too_high")


def test_the_error_keeps_the_headers() -> None:
    """Across a process boundary too; an error without them has an empty mapping."""
    error = pickle.loads(pickle.dumps(refusal(x_ratelimit_limit_requests="600")))
    assert error.rate_limits == {"x-ratelimit-limit-requests": "600"}
    assert not RateLimitError("no").rate_limits
