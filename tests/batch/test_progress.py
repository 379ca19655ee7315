"""The progress of a batch, as numbers, as a line and as a drawing."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from asyncllm import AsyncLLM
from asyncllm.batch.journal.resumption import Resumed
from asyncllm.batch.outcome import Outcome
from asyncllm.batch.progress import DeferredProgress, Meter, Progress
from asyncllm.batch.progress_line import ProgressLine
from asyncllm.batch.time_left import TimeLeft
from asyncllm.completions.usage import Usage
from asyncllm.simulator import Fault, Simulator


def test_a_meter_counts_what_ends() -> None:
    """Answers, failures, what the journal had, duplicates, tokens and costs are counted apart."""
    now = 0.0
    meter = Meter(100, clock=lambda: now)
    flow: Any = SimpleNamespace(taken=10, running=3, deferred=None)
    meter.begin(flow, lambda: "input")
    usage = Usage(10, 5, basis="known")
    meter.add(Outcome(0, usage=usage, cost_usd=0.5))
    meter.add(Outcome(1, usage=usage, cost_usd=None))
    meter.add(Outcome(2, error=ValueError()))
    meter.add(Outcome(3, usage=usage, cost_usd=0.5, from_journal=True))
    meter.add(Outcome(4, cost_usd=0.0, duplicate_of=0))
    now = 2.0
    assert meter.progress() == Progress(
        total=100,
        taken=10,
        done=4,
        failed=1,
        from_journal=1,
        duplicates=1,
        in_flight=3,
        waiting=2,
        input_tokens=20,
        output_tokens=10,
        cost_usd=0.5,
        unpriced=1,
        errors={"ValueError": 1},
        last_errors=("ValueError: ",),
        elapsed_s=2.0,
        per_s=2.0,
        remaining_s=47.5,
        limited_by="input",
    )


def test_the_pace_is_that_of_the_last_minute() -> None:
    """An hour of slowness is forgotten when it has been fast for a minute."""
    now = 0.0
    meter = Meter(clock=lambda: now)
    for second in range(3600):
        now = float(second)
        meter.progress()
    for _ in range(90):
        now += 1.0
        for _ in range(7):
            meter.add(Outcome(0))
        latest = meter.progress()
    assert latest.per_s == pytest.approx(7.0)
    assert latest.remaining_s is None


def test_what_ended_is_the_last_thing_told() -> None:
    """The last report says so."""
    told: list[Progress] = []
    meter = Meter(report=told.append)
    meter.end()
    assert [progress.finished for progress in told] == [True]


def reports(seconds: int, per_s: int, from_journal: int = 0, **fields: Any) -> Iterator[Progress]:
    """Yield the reports of a batch of 1,000 items in which so many end in each second."""
    for second in range(seconds + 1):
        done = from_journal + second * per_s
        yield Progress(
            total=1000, taken=done + 1, done=done, from_journal=from_journal, elapsed_s=second, per_s=per_s, **fields
        )


def shown(line: ProgressLine, progress: Iterable[Progress]) -> str:
    """Show reports, and return the last line."""
    for report in progress:
        line.show(report)
    return line.line()


def test_a_line_says_what_counts() -> None:
    """Share, time left, counts, kinds of errors, pace, money against the budget, and what limits the pace."""
    errors = {"ServerError": 3, "RateLimitError": 1}
    fields: dict[str, Any] = {"failed": 4, "errors": errors, "cost_usd": 2.0, "input_tokens": 15_000, "unpriced": 2}
    progress = reports(20, 10, in_flight=7, output_tokens=5_000, limited_by="requests", **fields)
    assert shown(ProgressLine(budget_usd=5.0), progress) == (
        "20%, 80 s left, 200 done, 4 failed (ServerError 3, RateLimitError 1), 10/s, $2.00 of $5.00 and 2 unpriced, "
        "20,000 tokens, 7 in flight, limited by requests_per_minute"
    )


def test_what_the_journal_had_says_nothing_of_the_pace() -> None:
    """Right after a resume, thousands of items that went by in a moment do not make the rest look quick."""
    assert shown(ProgressLine(), reports(0, 0, 900)).startswith("90%, 900 done (900 from the journal), 0 failed, 0/s, ")
    assert shown(ProgressLine(), reports(10, 1, 900)).startswith("91%, 90 s left, 910 done (900 from the journal)")


def test_without_a_total_nothing_is_promised() -> None:
    """The end of a pipe is not known."""
    progress = [replace(report, total=None, unpriced=report.done) for report in reports(10, 3)]
    assert shown(ProgressLine(), progress) == "30 done, 0 failed, 3/s, cost unknown, 0 tokens, 0 in flight"


def test_the_share_of_the_input_may_be_given() -> None:
    """The number of a file's rows is not known before its end, but the number of its bytes is."""
    progress = [replace(report, total=None) for report in reports(20, 10)]
    assert shown(ProgressLine(share=lambda: 0.25), progress).startswith("25%, ")


def test_the_time_left_is_as_wide_as_the_pace_varies() -> None:
    """A steady pace gives one figure, a restless one a range that holds the truth, and too little of either nothing."""
    steady, restless = TimeLeft(), TimeLeft()
    assert steady.shown(100) is None
    done = 0.0
    for second in range(60):
        steady.read(second, 10.0 * second)
        done += 2 if second % 2 else 18
        restless.read(second, done)
    assert steady.range(600) == pytest.approx((60.0, 60.0))
    assert steady.shown(600) == "60 s"
    low, high = restless.range(600) or (0, 0)
    assert low < 60 < high
    assert high / low > 1.2


def test_a_standstill_promises_nothing() -> None:
    """When nothing moves, there is no end in sight."""
    left = TimeLeft()
    for second in range(30):
        left.read(second, 5.0)
    assert left.shown(10) is None


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_drawing_is_calm(width: int) -> None:
    """As many lines from the beginning to the end, none of them longer than the screen, however long an error is."""
    line = ProgressLine(budget_usd=20.0)
    heights = set()
    for step, progress in enumerate(reports(30, 10, in_flight=100, limited_by="requests", cost_usd=0.01)):
        errors = tuple(f"ServerError: step {n} " + "long " * 80 + "\x1b[2J" for n in range(min(step, 2)))
        line.show(replace(progress, failed=step, errors={"ServerError": step} if step else {}, last_errors=errors))
        file = io.StringIO()
        Console(file=file, width=width, force_terminal=False).print(line.drawing())
        lines = file.getvalue().splitlines()
        heights.add(len(lines))
        assert all(len(line) <= width for line in lines)
    assert heights == {5}
    assert "\x1b" not in file.getvalue()
    assert ("limited by requests_per_minute" in file.getvalue()) is (width >= 80)


def test_a_log_has_a_line_now_and_then() -> None:
    """What was resumed, a line every 30 seconds, and one at the end."""
    lines: list[str] = []
    line = ProgressLine(write=lines.append)
    resumed = Resumed(2, 5, {"failed": 1}, 0, 3, 0.5)
    line.show(Progress(resumed=resumed))
    for progress in reports(65, 1):
        line.show(replace(progress, resumed=resumed))
    line.show(Progress(done=6, resumed=resumed, elapsed_s=66.0, finished=True))
    assert lines == [
        "run 2: 5 done; 1 to be sent again (1 failed); 3 were in flight when the previous run ended (perhaps paid for)",
        "3%, 16 min left, 30 done, 0 failed, 1/s, $0.5, 0 tokens, 0 in flight",
        "6%, 16 min left, 60 done, 0 failed, 1/s, $0.5, 0 tokens, 0 in flight",
        "6 done, 0 failed, 0/s, $0.5, 0 tokens, in 66 s",
    ]


class Terminal(io.StringIO):
    """A file that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.leaks
def test_a_terminal_is_drawn_on_by_one_batch_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second batch writes lines meanwhile, and both end with their last line."""
    file = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", file)
    first, second = ProgressLine(), ProgressLine()
    for progress in reports(30, 1):
        first.show(progress)
        second.show(progress)
    assert "30 done" in file.getvalue()
    for line in first, second:
        line.show(Progress(done=1000, finished=True))
    assert sys.stderr is file
    assert file.getvalue().count("1,000 done, 0 failed, 0/s, $0.00, 0 tokens, in 0\n") == 2
    assert "\x1b[" in file.getvalue()


@pytest.mark.anyio
async def test_a_batch_tells_how_far_it_is(llm: AsyncLLM, simulator: Simulator, path: Path) -> None:
    """A callback is told before anything is sent, and at the end; an iterable without a length has no total."""
    simulator.faults(Fault("status", code=400, contains="bad"))
    told: list[Progress] = []
    await llm.gather(["good", "bad", "good"], progress=told.append)
    assert (told[0].total, told[0].taken, told[0].done) == (3, 0, 0)
    last = told[-1]
    assert (last.done, last.failed, last.in_flight, last.waiting, last.finished) == (2, 1, 0, 0, True)
    assert last.input_tokens > 0
    assert last.cost_usd > 0
    await llm.gather(iter(["good"]), progress=told.append)
    assert told[-1].total is None


@pytest.mark.anyio
async def test_progress_true_shows_a_line(
    llm: AsyncLLM, simulator: Simulator, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On stderr, so that stdout stays the program's own."""
    await llm.gather(["a", "b"], progress=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[-1].startswith("100%, 2 done, 0 failed, ")


@pytest.mark.anyio
async def test_what_a_callback_raises_ends_the_batch(llm: AsyncLLM, simulator: Simulator, path: Path) -> None:
    """A callback can stop a batch before it costs anything."""

    def refuse(progress: Progress) -> None:
        raise LookupError("too dear")

    for journal in (None, path):
        with pytest.raises(LookupError, match="too dear"):
            await llm.gather(["a"], progress=refuse, journal=journal)
    assert simulator.seen.requests == 0


def test_a_deferred_batch_shows_where_its_batches_are() -> None:
    """Counts by state, the age of what is with the provider, and when its window ends."""
    deferred = DeferredProgress(1, 2, 3, 4000, time.time() - 1800, time.time() + 7200)
    line = shown(ProgressLine(), [Progress(done=5, taken=9, deferred=deferred)])
    assert "batches: 1 not sent yet, 2 sent, 3 ended, 4,000 requests sent 30 min ago" in line
    assert "the window ends in" in line
