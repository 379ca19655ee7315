"""Checks of decoded JSON that type checkers understand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from typing_extensions import TypeIs


def is_object(value: object) -> TypeIs[Mapping[str, object]]:
    """Return whether a value is a JSON object."""
    return isinstance(value, Mapping)


def is_array(value: object) -> TypeIs[Sequence[object]]:
    """Return whether a value is a JSON array."""
    return isinstance(value, (list, tuple))  # faster than a union, which is built on each call
