"""How far a batch is, as numbers and as a line."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import pytest

from asyncllm import AsyncLLM
from asyncllm.batch.journal.resumption import Resumed
from asyncllm.batch.outcome import Outcome
from asyncllm.batch.progress import Meter, Progress
from asyncllm.batch.progress_line import Display, in_words
from asyncllm.completions.usage import Usage
from asyncllm.simulator import Fault, Simulator


def test_a_meter_counts_what_ends() -> None:
    """Answers, failures, what the journal had, duplicates, tokens and costs are counted apart."""
    now = 0.0
    meter = Meter(100, clock=lambda: now)
    flow = SimpleNamespace(taken=10, running=3)
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


PROGRESS = Progress(
    total=1000,
    taken=300,
    done=200,
    failed=3,
    from_journal=50,
    in_flight=20,
    cost_usd=1.5,
    unpriced=2,
    elapsed_s=61.0,
    per_s=12.34,
    remaining_s=3725.0,
    limited_by="rate",
)


def test_progress_in_words() -> None:
    """A line says how many of how many, how fast, for how much, and how long it will take."""
    assert in_words(PROGRESS) == (
        "203 of 1,000, 3 failed, 50 from the journal, 20 in flight, 12.3/s, $1.5000 and 2 unpriced, 1:02:05 left, "
        "limited by rate"
    )
    assert in_words(Progress(done=7, elapsed_s=61.0, per_s=1.0, finished=True)) == "7, 1.0/s, $0.0000, in 1:01"


class Terminal(io.StringIO):
    """A file that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_one_line() -> None:
    """The line changes in place, and is wiped where the next one is shorter."""
    file = Terminal()
    display = Display(file)
    display.show(PROGRESS)
    display.show(Progress(done=1000, finished=True))
    first, second = file.getvalue().split("\r")[1:]
    assert first == in_words(PROGRESS)
    assert second.endswith("\n")
    assert len(second) == len(first) + 1


def test_a_file_has_a_line_now_and_then() -> None:
    """What is no terminal has a line at the start and one at the end, and what was resumed."""
    file = io.StringIO()
    display = Display(file)
    display.show(Progress(resumed=Resumed(2, 5, {"failed": 1}, 0, 3, 0.5)))
    for _ in range(5):
        display.show(PROGRESS)
    display.show(Progress(done=6, finished=True))
    assert file.getvalue().splitlines() == [
        "run 2: 5 done; 1 to be sent again (1 failed); 3 were in flight when the run before ended (paid for, perhaps)",
        "0, 0 in flight, 0.0/s, $0.0000",
        "6, 0.0/s, $0.0000, in 0:00",
    ]


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
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines()[-1].startswith("2 of 2, ")


@pytest.mark.anyio
async def test_what_a_callback_raises_ends_the_batch(llm: AsyncLLM, simulator: Simulator, path: Path) -> None:
    """A callback can stop a batch before it costs anything."""

    def refuse(progress: Progress) -> None:
        raise LookupError("too dear")

    for journal in (None, path):
        with pytest.raises(LookupError, match="too dear"):
            await llm.gather(["a"], progress=refuse, journal=journal)
    assert simulator.seen.requests == 0
