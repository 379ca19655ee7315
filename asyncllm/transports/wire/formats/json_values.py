"""Type narrowing of decoded JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeGuard

JsonObject = dict[str, object]


def is_object(value: object) -> TypeGuard[JsonObject]:
    """Return whether a value is a JSON object."""
    return isinstance(value, dict)


def is_mapping(value: object) -> TypeGuard[Mapping[str, object]]:
    """Return whether a value from the caller is an object; it may be any mapping."""
    return isinstance(value, Mapping)


def is_list(value: object) -> TypeGuard[Sequence[object]]:
    """Return whether a value is a list, or a tuple from the caller."""
    return isinstance(value, (list, tuple))  # faster than a union, which is built on each call


def object_of(value: object) -> JsonObject:
    """Return an object; raise TypeError for anything else."""
    if not is_object(value):
        raise TypeError(f"{_named(value)} stands where an object should")
    return value


def list_of(value: object) -> Sequence[object]:
    """Return a list; raise TypeError for anything else."""
    if not is_list(value):
        raise TypeError(f"{_named(value)} stands where a list should")
    return value


def text_of(value: object) -> str:
    """Return a text; raise TypeError for anything else."""
    if not isinstance(value, str):
        raise TypeError(f"{_named(value)} stands where a text should")
    return value


def text_or_none(value: object) -> str | None:
    """Return a text, or None for null; raise TypeError for anything else."""
    return None if value is None else text_of(value)


def _named(value: object) -> str:
    return "nothing" if value is None else f"a value of type {type(value).__name__}"
