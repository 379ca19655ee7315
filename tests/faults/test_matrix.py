"""The documented endings of every fault, over both transports, for plain calls, streams and typed calls."""

from __future__ import annotations

import pytest

from asyncllm.simulator.faults import KINDS

from .cases import CASES, CELLS, FORMAT_CELLS, Cell, Ending
from .measuring import measure
from .table import PAGE, on_page, render

BACKENDS = ("asyncio", "trio")
MATRIX = [
    pytest.param(name, backend, cell, id=f"{name}-{backend}-{cell[0]}-{cell[1]}")
    for name, case in CASES.items()
    for backend in BACKENDS[: 1 + case.sampled]
    for cell in (*CELLS, *FORMAT_CELLS)
]

_measured: dict[tuple[str, str], dict[Cell, Ending]] = {}


@pytest.mark.parametrize(("name", "backend", "cell"), MATRIX)
def test_a_fault_ends_as_documented(name: str, backend: str, cell: Cell) -> None:
    """The class of the error, the attempts, the requests that arrive and their cost are those of the table."""
    if (name, backend) not in _measured:
        _measured[name, backend] = measure(CASES[name], backend)
    assert _measured[name, backend][cell] == CASES[name].expected(cell)


def test_the_table_of_the_documentation_is_this_one() -> None:
    """The page has these cases; `python -m tests.faults.table` writes them into it."""
    assert on_page(PAGE.read_text(encoding="utf-8")) == render()


def test_every_kind_of_fault_is_played() -> None:
    """The table has every kind of fault, except those that change an answer without breaking it."""
    played = {case.fault.kind for case in CASES.values() if case.fault is not None}
    assert KINDS.keys() - played == {"answer", "delay"}
