"""Type narrowing of values read from JSON and TOML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeGuard


def is_mapping(value: object) -> TypeGuard[Mapping[str, object]]:
    """Return whether a value is a mapping; its keys are taken to be strings, as they are in JSON."""
    return isinstance(value, Mapping)


def is_list(value: object) -> TypeGuard[list[object] | tuple[object, ...]]:
    """Return whether a value is a list or a tuple."""
    return isinstance(value, (list, tuple))  # faster than a union, which is built on each call


def is_iterable(value: object) -> TypeGuard[Iterable[object]]:
    """Return whether a value is an iterable other than a string, bytes or a mapping."""
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)


def mapping_or_empty(value: object) -> Mapping[str, object]:
    """Return a value if it is a mapping, else an empty one."""
    return value if is_mapping(value) else {}


def list_or_empty(value: object) -> Sequence[object]:
    """Return a value if it is a list or a tuple, else an empty one."""
    return value if is_list(value) else ()
