"""Descriptions of the fields of a profile, for the documentation and the command line."""

from __future__ import annotations

from dataclasses import dataclass

from .fields import Fields, field_note


@dataclass(frozen=True, slots=True)
class FieldDoc:
    """One field.

    Attributes:
        name: Its name.
        default: Its default, as the documentation shows it.
        unit: The unit of its value; empty when it has none.
        description: Its meaning, in one sentence.
        group: The group it belongs to, for example `connection` or `time`.
    """

    name: str
    default: str
    unit: str
    description: str
    group: str


def describe_fields() -> list[FieldDoc]:
    """Return a description of every field, in the order of the documentation."""
    return [
        FieldDoc(
            name=name,
            default=field_note(name, "shown") or _format(info.default),
            unit=field_note(name, "unit"),
            description=info.description or "",
            group=field_note(name, "group"),
        )
        for name, info in Fields.model_fields.items()
    ]


def _format(default: object) -> str:
    if default is None:
        return "unset"
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, float) else str(default)
