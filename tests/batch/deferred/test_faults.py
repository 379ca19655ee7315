"""The ends and faults of deferred batches: nothing is lost, and nothing is paid for twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from asyncllm import AsyncLLM, Outcome, ProviderTimeoutError, Request
from asyncllm.simulator import BatchFaults, Fault, Simulator

from .conftest import POLL_S, is_live

pytestmark = pytest.mark.anyio

COUNT = 40
# The addresses of single batches, of Mistral the second.
ASKED_AT = ("*/batches/*", "*/batch/jobs/*")


async def run(llm: AsyncLLM, path: Path, **options: Any) -> list[Outcome[Any]]:
    requests = [Request(f"question {n}", id=f"q-{n}") for n in range(COUNT)]
    done = await llm.gather(requests, deferred=True, journal=path, poll_s=POLL_S, **options)
    assert [o.id for o in done] == [f"q-{n}" for n in range(COUNT)]
    return done


def live_calls(simulator: Simulator) -> int:
    """Return the number of requests that were sent live."""
    return sum(map(is_live, simulator.seen.paths))


async def test_failed_requests_fail_alone(llm: AsyncLLM, simulator: Simulator, path: Path) -> None:
    """Errors of single requests are their outcomes; the next run sends these again."""
    simulator.batches.faults = BatchFaults(failed=0.5)
    done = await run(llm, path)
    errors = {type(o.error).__name__ for o in done if o.error is not None}
    assert errors == {"ServerError"}
    assert any(o.ok for o in done)
    simulator.batches.faults = BatchFaults()
    assert all(o.ok for o in await run(llm, path))
    assert set(simulator.batches.billed.values()) == {1}


async def test_results_in_another_order_and_twice_are_taken_once(
    llm: AsyncLLM, simulator: Simulator, path: Path
) -> None:
    """The order of results and repetitions change nothing."""
    simulator.batches.faults = BatchFaults(shuffled=True, duplicated=0.5)
    done = await run(llm, path)
    assert all(o.ok for o in done)
    assert all(f"question {o.index}" in o.text for o in done)


async def test_a_missing_result_is_an_error_of_its_request(llm: AsyncLLM, simulator: Simulator, path: Path) -> None:
    """A request without a result says so, and the others are there."""
    simulator.batches.faults = BatchFaults(missing=0.3)
    done = await run(llm, path)
    missing = [o for o in done if not o.ok]
    assert 0 < len(missing) < COUNT
    assert all("no result" in str(o.error) for o in missing)


async def test_expired_requests_are_in_another_batch_once(llm: AsyncLLM, simulator: Simulator, path: Path) -> None:
    """`resubmit` puts what has expired into one more batch, and what expires there goes out live."""
    simulator.batches.faults = BatchFaults(expired=0.5)
    done = await run(llm, path)
    assert all(o.ok for o in done)
    assert [b.status for b in llm.deferred(path).status.batches] == ["expired", "expired"]
    assert set(simulator.batches.billed.values()) == {1}
    assert live_calls(simulator) == COUNT - sum(simulator.batches.billed.values())


async def test_expired_requests_go_out_live(llm: AsyncLLM, simulator: Simulator, path: Path) -> None:
    """`live` sends what has expired at once."""
    simulator.batches.faults = BatchFaults(expired=1.0)
    done = await run(llm, path, on_expired="live")
    assert all(o.ok for o in done)
    assert live_calls(simulator) == COUNT
    assert len(llm.deferred(path).status.batches) == 1


async def test_expired_requests_fail(llm: AsyncLLM, simulator: Simulator, path: Path) -> None:
    """`fail` makes the end of the window an error of each request."""
    simulator.batches.faults = BatchFaults(expired=1.0)
    done = await run(llm, path, on_expired="fail")
    assert all(isinstance(o.error, ProviderTimeoutError) for o in done)
    assert live_calls(simulator) == 0


async def test_the_window_ends_for_a_slow_batch(llm: AsyncLLM, simulator: Simulator, path: Path) -> None:
    """A batch that has expired as a whole is as one whose requests have."""
    simulator.batches.takes_s = 100_000
    job = await llm.submit(["a", "b"], journal=path, on_expired="live")
    simulator.batches.advance(90_000)
    async with job.outcomes() as outcomes:
        assert [o.ok async for o in outcomes] == [True, True]
    assert live_calls(simulator) == 2


@pytest.mark.parametrize("provider", ["openai", "azure", "anthropic"])  # the others name no line
async def test_a_request_that_spoils_its_batch_is_left_out(llm: AsyncLLM, simulator: Simulator, path: Path) -> None:
    """The provider refuses the whole batch and names a line: that request fails, the others are sent again."""
    simulator.batches.faults = BatchFaults(invalid_line=COUNT)  # the second batch has no such line
    done = await run(llm, path)
    assert [o.index for o in done if not o.ok] == [COUNT - 1]
    assert "invalid" in str(done[-1].error)
    assert sum(simulator.batches.billed.values()) == COUNT - 1


@pytest.mark.parametrize("at", ["before_headers", "body"])
async def test_a_download_that_is_cut_goes_on(llm: AsyncLLM, simulator: Simulator, path: Path, at: Any) -> None:
    """Results that break off half-way are fetched again, and counted once."""
    faults = [Fault("cut", at=at, times=2, path=path_) for path_ in ("*/content", "*/results", "*:download")]
    simulator.faults(*faults)
    done = await run(llm, path)
    assert all(o.ok for o in done)
    assert simulator.seen.faults_played == 2


@pytest.mark.parametrize("kind", ["status", "reset"])
async def test_a_batch_whose_creation_fails_after_it_was_created_is_found(
    llm: AsyncLLM, provider: str, simulator: Simulator, path: Path, kind: str
) -> None:
    """The batch is found in the provider's list, and not created again."""
    created_at = {"gemini": "*:batchGenerateContent", "mistral": "*/batch/jobs"}.get(provider, "*/batches")
    simulator.faults(Fault(kind, path=created_at, times=1))
    done = await run(llm, path)
    assert all(o.ok for o in done)
    assert simulator.seen.faults_played == 1
    assert set(simulator.batches.billed.values()) == {1}


async def test_a_provider_that_is_down_while_it_is_asked_ends_nothing(
    llm: AsyncLLM, simulator: Simulator, path: Path
) -> None:
    """Errors of the questions are waited out."""
    simulator.batches.takes_s = 1000
    job = await llm.submit(["a"], journal=path, poll_s=POLL_S)
    simulator.batches.advance(1000)
    simulator.faults(*[Fault("status", code=503, path=at, times=10) for at in ASKED_AT])
    async with job.outcomes() as outcomes:
        assert [o.ok async for o in outcomes] == [True]
    assert simulator.seen.faults_played == 10


async def test_a_batch_that_is_gone_is_an_error_of_its_requests(
    llm: AsyncLLM, simulator: Simulator, path: Path
) -> None:
    """A batch that the provider does not have any more ends its requests, and the next run sends them again."""
    simulator.batches.takes_s = 1000
    job = await llm.submit(["a", "b"], journal=path)
    simulator.faults(*[Fault("status", code=404, path=at, times=1) for at in ASKED_AT])
    async with job.outcomes() as outcomes:
        errors = [str(o.error) async for o in outcomes]
    assert len(errors) == 2
    assert all("does not have the batch" in error for error in errors)
