"""The documented endings of every fault, over both transports, for plain calls, streams and typed calls."""

from __future__ import annotations

import pytest

from asyncllm.simulator.faults import KINDS

from .cases import CASES, Cell, Ending
from .measuring import WAYS, Way, measure
from .table import PAGE, on_page, render

MATRIX = [
    pytest.param(name, way, cell, id=f"{name}-{way}-{cell[0]}-{cell[1]}")
    for name, case in CASES.items()
    for way, cells in WAYS.items()
    if way == "asyncio" or case.sampled
    for cell in cells
]

_measured: dict[tuple[str, str], dict[Cell, Ending]] = {}


@pytest.mark.parametrize(("name", "way", "cell"), MATRIX)
def test_a_fault_ends_as_documented(name: str, way: Way, cell: Cell) -> None:
    """The class of the error, the attempts, the requests that arrive and their cost are those of the table."""
    if (name, way) not in _measured:
        _measured[name, way] = measure(CASES[name], way)
    assert _measured[name, way][cell] == CASES[name].expected(cell)


def test_the_table_of_the_documentation_is_this_one() -> None:
    """The page has these cases; `python -m tests.faults.table` writes them into it."""
    assert on_page(PAGE.read_text(encoding="utf-8")) == render()


def test_every_kind_of_fault_is_played() -> None:
    """The table has every kind of fault, except those that change an answer without breaking it."""
    played = {case.fault.kind for case in CASES.values() if case.fault is not None}
    assert KINDS.keys() - played == {"answer", "delay"}
