"""Answers of the cache in a batch: counted in its progress, its journal and its report, and free."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from asyncllm import AsyncLLM, Journal, Progress
from asyncllm.batch.progress_line import ProgressLine
from asyncllm.batch.report import figures
from asyncllm.batch.report.page import model_rows, page
from asyncllm.simulator import Simulator
from tests.support.secrets import SECRET

pytestmark = pytest.mark.anyio


@pytest.fixture
async def llm(simulator: Simulator, tmp_path: Path, anyio_backend: str) -> AsyncIterator[AsyncLLM]:
    """A client with a cache."""
    options: dict[str, Any] = {"base_url": simulator.url, "api_key": SECRET, "cache": str(tmp_path / "kept.sqlite")}
    async with AsyncLLM(model="openai/gpt-4o-mini", **options) as client:
        yield client


async def test_the_report_counts_them_apart(llm: AsyncLLM, simulator: Simulator, tmp_path: Path) -> None:
    """With what they saved, without tokens, and without a share in the price of an answer."""
    path = tmp_path / "out.journal"
    asked = [await llm.acompletion(f"Item {number}") for number in range(2)]
    reports: list[Progress] = []
    outcomes = await llm.gather([f"Item {number}" for number in range(3)], journal=path, progress=reports.append)
    sent = outcomes[2]
    assert sent.usage is not None
    assert simulator.seen.requests == 3
    found = figures(Journal.read(path))
    saved = sum(one.cost_usd or 0.0 for one in asked)
    assert (found.done, found.cached) == (3, 2)
    assert found.saved_usd == pytest.approx(saved)
    assert (found.tokens, found.cost_usd) == (sent.usage.total_tokens, sent.cost_usd)
    [total] = found.models.values()
    assert (total.answers, total.cached, total.unpriced) == (3, 2, 0)
    [row] = model_rows(found)
    assert row[-1] == row[-2]
    assert "From the cache" in page(found, "out", "1.0")
    last = reports[-1]
    assert last.cached == 2
    assert last.saved_usd == pytest.approx(saved)
    assert last.input_tokens + last.output_tokens == sent.usage.total_tokens
    line = ProgressLine(write=lambda _: None)
    line.show(last)
    assert "3 done (2 from the cache)" in line.line()


async def test_the_journal_keeps_where_an_answer_is_from(llm: AsyncLLM, tmp_path: Path) -> None:
    """What a run restores says so."""
    path = tmp_path / "out.journal"
    first = await llm.acompletion("hi")
    await llm.gather(["hi"], journal=path)
    [outcome] = await llm.gather(["hi"], journal=path)
    assert outcome.from_journal
    assert outcome.completion is not None
    assert (outcome.completion.record.cached, outcome.completion.record.saved_usd) == (True, first.cost_usd)
    [run, _] = Journal.read(path).summary().runs
    assert (run.input_tokens, run.output_tokens, run.cost_usd) == (0, 0, 0.0)
