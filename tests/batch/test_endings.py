"""A batch in a process that is killed or interrupted: nothing handed over is lost, and little is sent twice."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from benchmarks.batch.faults import wrong_outcomes
from benchmarks.batch.killing import end_again_and_again
from benchmarks.batch.power import Written, cut_logs, torn_pages

SLOTS = 20


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_killed_and_resumed(tmp_path: Path, backend: str) -> None:
    """After kill -9 at two moments, the resumed run has every outcome once, and re-sends what was in flight."""
    found = end_again_and_again(tmp_path, items=1000, slots=SLOTS, ends=2, seed=5, backend=backend)
    assert (found.lost, found.doubled, found.wrong) == (0, 0, 0)
    # Every request that is sent again was said to be paid for, perhaps; there are no more than slots.
    assert all(resent <= unknown <= SLOTS for resent, unknown in zip(found.resent, found.unknown, strict=True))


@pytest.mark.parametrize("backend", ["asyncio", "trio", "blocking"])
def test_interrupted_and_resumed(tmp_path: Path, backend: str) -> None:
    """Ctrl-C ends a batch cleanly, and the next run goes on from there."""
    found = end_again_and_again(tmp_path, items=1000, slots=SLOTS, ends=1, seed=0, backend=backend, how=signal.SIGINT)
    assert (found.lost, found.doubled, found.wrong) == (0, 0, 0)
    assert all(resent <= unknown <= SLOTS for resent, unknown in zip(found.resent, found.unknown, strict=True))


def test_power_that_fails(tmp_path: Path) -> None:
    """A log that ends anywhere loses what was not committed; torn pages lose what was on them, and are noticed."""
    written = Written(tmp_path, 400)
    for found in (cut_logs(written, 12, seed=3), torn_pages(written, 12, seed=3)):
        assert found.opened
        assert (found.wrong, found.lost, found.failed) == (0, 0, 0)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_faults_of_every_kind(backend: str) -> None:
    """Invalid answers, 500s, resets and hangs: every typed item ends in one outcome of the right kind."""
    assert wrong_outcomes(200, backend, journaled=True) == 0
