"""The table of docs/architecture.md names modules and symbols that exist."""

from __future__ import annotations

import importlib
import re
from functools import reduce
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"
ROWS = re.findall(r"^\| ([^|]+) \| `(asyncllm[\w.]*)` \| `([\w.]+)` \|$", PAGE.read_text("utf-8"), re.MULTILINE)


def test_the_table_is_long_enough_to_find_things_in() -> None:
    """At least forty behaviours are listed, none of them twice."""
    assert len(ROWS) >= 40
    assert len({behaviour for behaviour, _, _ in ROWS}) == len(ROWS)


@pytest.mark.parametrize(("behaviour", "module", "symbol"), ROWS, ids=[row[0] for row in ROWS])
def test_each_behaviour_is_where_the_table_says(behaviour: str, module: str, symbol: str) -> None:
    """The module can be imported and defines the symbol itself."""
    found = reduce(getattr, symbol.split("."), importlib.import_module(module))
    assert getattr(found, "__module__", module).startswith(module), behaviour
