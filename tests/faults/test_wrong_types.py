"""Fields of other types than they should have: an answer or a documented error, over both transports alike."""

from __future__ import annotations

import warnings

import anyio
import pytest

from .wrong_types import FORMATS, Cell, Ending, Field, cells, different, play_all, read

EVERY = {name: list(cells(format)) for name, format in FORMATS.items()}
COUNTED = [pytest.param(name, id=f"{name}-{len(every)}-cells") for name, every in EVERY.items()]
# litellm has a reason of its own for one that it does not know, and knows one choice of a stream alone.
LITELLMS_OWN = ("finish_reason", "2.choices.0.index")


def outside(endings: dict[Field, Ending]) -> dict[Field, str]:
    return {field: ending.outside for field, ending in endings.items() if ending.outside}


def one_of_each_field(every: list[Cell]) -> list[Cell]:
    """Return a cell for every field, with each of the types in turn."""
    fields: dict[tuple[str, str], list[Cell]] = {}
    for cell in every:
        fields.setdefault((cell.shape, cell.field), []).append(cell)
    return [those[number % len(those)] for number, those in enumerate(fields.values())]


@pytest.mark.parametrize("name", COUNTED)
def test_every_cell_is_read_or_refused(name: str) -> None:
    """The readers of a format raise only documented errors, and what they read has the declared types."""
    endings = {cell[:3]: read(FORMATS[name], cell) for cell in EVERY[name]}
    assert outside(endings) == {}
    assert {ending.error for ending in endings.values()} == {"", "MalformedResponseError", "StreamInterruptedError"}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("name", FORMATS)
def test_fields_over_the_wire(name: str, backend: str) -> None:
    """Over HTTP, a field ends as the readers end it."""
    format, some = FORMATS[name], one_of_each_field(EVERY[name])
    endings = anyio.run(play_all, format, "wire", some, backend=backend)
    assert endings == {cell[:3]: read(format, cell) for cell in some}


@pytest.mark.parametrize("name", [name for name, format in FORMATS.items() if "litellm" in format.transports])
def test_fields_over_litellm(name: str) -> None:
    """litellm reads what the wire reads, refuses what it refuses, and warns of nothing on stderr."""
    format, some = FORMATS[name], one_of_each_field(EVERY[name])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        endings = anyio.run(play_all, format, "litellm", some)
    others = different({cell[:3]: read(format, cell) for cell in some}, endings)
    assert outside(endings) == {}
    assert {field: both for field, both in others.items() if not field[1].endswith(LITELLMS_OWN)} == {}
    # Those of deprecations are for litellm's developers, and hidden by default.
    assert [warning for warning in caught if not issubclass(warning.category, DeprecationWarning)] == []
