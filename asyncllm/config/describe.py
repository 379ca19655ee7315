"""The fields of a profile, described for documentation and for the command line."""

from __future__ import annotations

from dataclasses import dataclass

from .fields import Fields, field_note


@dataclass(frozen=True, slots=True)
class FieldDoc:
    """One field.

    Attributes:
        name: Its name.
        default: What it is when nothing sets it, in words.
        unit: The unit of its value; empty where there is none.
        description: What it means.
        group: What it belongs to, for example `connection` or `time`.
    """

    name: str
    default: str
    unit: str
    description: str
    group: str


def describe_fields() -> list[FieldDoc]:
    """Describe every field, in the order of the documentation."""
    return [
        FieldDoc(
            name=name,
            default=field_note(name, "shown") or _in_words(info.default),
            unit=field_note(name, "unit"),
            description=info.description or "",
            group=field_note(name, "group"),
        )
        for name, info in Fields.model_fields.items()
    ]


def _in_words(default: object) -> str:
    if default is None:
        return "unset"
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, int | float) else str(default)
