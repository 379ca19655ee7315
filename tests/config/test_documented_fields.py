"""The table of fields in the guide of profiles agrees with the code."""

from __future__ import annotations

from pathlib import Path

from asyncllm.config import describe_fields
from asyncllm.config.fields import field_kind

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "profiles.md"


def sections() -> list[list[tuple[str, str, str]]]:
    """Return the rows of the table, by section: name, default and meaning."""
    table = GUIDE.read_text(encoding="utf-8").partition("<!-- fields:begin -->")[2].partition("<!-- fields:end -->")[0]
    return [
        [(cells[0].strip("`"), cells[1], cells[2]) for cells in map(cells_of, section.splitlines()) if len(cells) == 3]
        for section in table.split("### ")[1:]
    ]


def cells_of(line: str) -> list[str]:
    """Return the cells of a row of the table; none for any other line."""
    return [cell.strip() for cell in line.strip("|").split(" | ")] if line.startswith("| `") else []


def test_the_table_of_fields_is_that_of_the_code() -> None:
    """Every field has its row, with its default, the unit of a number, and its meaning."""
    described = [
        (doc.name, f"{doc.default} {doc.unit}".strip() if doc.default[0].isdigit() else doc.default, doc.description)
        for doc in describe_fields()
    ]
    assert [row for section in sections() for row in section] == described


def test_each_group_is_a_section() -> None:
    """The fields of a section are a group, and all of it."""
    groups: dict[str, list[str]] = {}
    for doc in describe_fields():
        groups.setdefault(doc.group, []).append(doc.name)
    assert list(groups.values()) == [[name for name, _, _ in section] for section in sections()]


def test_a_unit_is_one_that_a_message_has_words_for() -> None:
    """A number is of seconds, tokens, bytes, days or dollars, and what is no number has no unit."""
    assert {doc.unit for doc in describe_fields() if field_kind(doc.name) not in (int, float)} == {""}
    assert {doc.unit for doc in describe_fields()} == {"", "s", "tokens", "bytes", "days", "USD"}
