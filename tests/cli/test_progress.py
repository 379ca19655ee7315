"""How far a batch is: what is said, and how honest it is about what is left."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from asyncllm.cli.terminal.batch_progress import BatchProgress
from asyncllm.cli.terminal.time_left import TimeLeft


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock at 0."""
    return Clock()


def run_for(progress: BatchProgress, clock: Clock, seconds: int, per_s: int, **fields: object) -> None:
    """Let so many items end in each of so many seconds."""
    for _ in range(seconds):
        for _ in range(per_s):
            progress.advance(ok=True, **fields)  # type: ignore[arg-type]
        clock.now += 1.0
        progress.read()


def test_a_line_says_what_counts(clock: Clock) -> None:
    """Share, counts, kinds of errors, rate, money against the budget, and what is left."""
    progress = BatchProgress(1000, budget_usd=5.0, clock=clock)
    run_for(progress, clock, 20, 10, cost_usd=0.01, tokens=100)
    for number in range(4):
        progress.advance(ok=False, error=("ServerError" if number else "RateLimitError", "no"))
    assert progress.line() == (
        "20%, 200 done, 4 failed (ServerError 3, RateLimitError 1), 10.2/s, $2.00 of $5.00, 80 s left"
    )
    assert progress.tokens == 20_000


def test_what_the_journal_had_says_nothing_of_the_rate(clock: Clock) -> None:
    """Right after a resume, thousands of items that went by in a moment do not make the rest look quick."""
    progress = BatchProgress(1000, clock=clock)
    for _ in range(900):
        progress.advance(ok=True, replayed=True, cost_usd=7.0)
    progress.read()
    assert progress.line() == "90%, 900 done, -/s, $0.00, - left"
    run_for(progress, clock, 10, 1)
    assert (progress.done, progress.replayed, progress.sent) == (910, 900, 10)
    assert progress.line().endswith("1/s, $0.00, 90 s left")


def test_without_a_total_nothing_is_promised(clock: Clock) -> None:
    """Of a pipe nobody knows where it ends."""
    progress = BatchProgress(None, clock=clock)
    run_for(progress, clock, 10, 3, cost_usd=None)
    assert progress.line() == "30 done, 3/s, cost unknown"


def test_the_time_left_is_as_wide_as_the_rate_scatters() -> None:
    """A steady rate gives one figure, a restless one a range that holds the truth, and too little of either nothing."""
    steady, restless = TimeLeft(), TimeLeft()
    assert steady.words(100) == "-"
    done = 0.0
    for second in range(60):
        steady.read(second, 10.0 * second)
        done += 2 if second % 2 else 18
        restless.read(second, done)
    assert steady.range(600) == pytest.approx((60.0, 60.0))
    assert steady.words(600) == "60 s"
    low, high = restless.range(600) or (0, 0)
    assert low < 60 < high
    assert high / low > 1.2


def test_a_standstill_promises_nothing() -> None:
    """When nothing moves, there is no end in sight."""
    left = TimeLeft()
    for second in range(30):
        left.read(second, 5.0)
    assert left.words(10) == "-"


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_drawing_is_calm(clock: Clock, width: int) -> None:
    """As many lines from the beginning to the end, none of them longer than the screen, whatever an error says."""
    progress = BatchProgress(1000, budget_usd=20.0, clock=clock)
    heights = set()
    for step in range(3):
        console = Console(file=io.StringIO(), width=width, force_terminal=False)
        console.print(progress._drawing())
        lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
        heights.add(len(lines))
        assert all(len(line) <= width for line in lines)
        run_for(progress, clock, 10, 10, cost_usd=0.01, tokens=50)
        progress.state = SimpleNamespace(in_flight=100, limited_by="requests")
        progress.advance(ok=False, error=("ServerError", f"step {step} " + "long " * 80 + "\x1b[2J"))
    assert heights == {6}
    assert "\x1b" not in console.file.getvalue()  # type: ignore[attr-defined]
    assert ("limited by requests_per_minute" in console.file.getvalue()) is (width >= 80)  # type: ignore[attr-defined]
