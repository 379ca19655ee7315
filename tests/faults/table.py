"""The table of the documentation, from the cases: `python -m tests.faults.table` writes it into the page.

With `--measure` it plays every case first, and names the cells that end differently.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from .cases import CASES, CELLS, SECTIONS, SHAPES, TRANSPORTS, Case, Cell, Ending

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "faults.md"
BEGIN, END = "<!-- matrix:begin -->", "<!-- matrix:end -->"
_HEAD = "| fault | calls | ends as | tried again | requests | cost |\n|---|---|---|---|---|---|"


def render() -> str:
    """Return the tables, one for each section."""
    parts = []
    for section, cases in SECTIONS.items():
        rows = [row for case in cases for row in _rows(case)]
        parts.append("\n".join([f"### {section}", "", _HEAD, *rows]))
    return "\n\n".join(parts)


def on_page(text: str) -> str:
    """Return the text between the marks of a page."""
    return text.partition(BEGIN)[2].partition(END)[0].strip()


def _rows(case: Case) -> Iterator[str]:
    """Return a row for each ending of a case."""
    cells: dict[Ending, list[Cell]] = {}
    for cell in CELLS:
        cells.setdefault(case.expected(cell), []).append(cell)
    for index, (ending, those) in enumerate(cells.items()):
        error = f"`{ending.error}`" if ending.error else "the answer"
        again = "yes" if ending.attempts > 1 else "no"
        name = "" if index else case.name
        yield f"| {name} | {_calls(those)} | {error} | {again} | {ending.requests} | {ending.cost} |"


def _calls(cells: list[Cell]) -> str:
    """Return the name of a group of cells."""
    if len(cells) == len(CELLS):
        return "all"
    shapes = [shape for shape in SHAPES if any(cell[1] == shape for cell in cells)]
    transports = [transport for transport in TRANSPORTS if any(cell[0] == transport for cell in cells)]
    assert len(cells) == len(shapes) * len(transports), "the cells of an ending are a rectangle"
    named = "all" if len(shapes) == len(SHAPES) else ", ".join(shapes)
    return named if len(transports) == len(TRANSPORTS) else f"{named} over {transports[0]}"


def _measure() -> int:
    from .measuring import measure

    wrong = 0
    for name, case in CASES.items():
        for cell, ending in measure(case, "asyncio").items():
            if ending != case.expected(cell):
                wrong += 1
                print(f"{name}, {' '.join(cell)}: {ending}, not {case.expected(cell)}")
    print(f"{len(CASES)} cases, {len(CASES) * len(CELLS)} cells, {wrong} end differently from the table")
    return wrong


def main() -> int:
    """Write the table, and return the exit code."""
    wrong = _measure() if "--measure" in sys.argv else 0
    page = PAGE.read_text(encoding="utf-8")
    before, after = page.partition(BEGIN)[0], page.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{render()}\n{END}{after}", encoding="utf-8")
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
