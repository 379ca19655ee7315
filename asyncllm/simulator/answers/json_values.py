"""Values decoded from JSON: narrowed to what is read from them, and encoded again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TypeGuard

from pydantic_core import to_json


def is_object(value: object) -> TypeGuard[Mapping[str, object]]:
    """Return whether a value is a JSON object."""
    return isinstance(value, dict)


def is_array(value: object) -> TypeGuard[Sequence[object]]:
    """Return whether a value is a JSON array."""
    return isinstance(value, list)


def as_object(value: object) -> Mapping[str, object]:
    """Return a JSON object, an empty one for null; raise TypeError for anything else."""
    if is_object(value):
        return value
    if value is not None:
        raise TypeError(f"an object is needed, not {value!r}")
    return {}


def as_array(value: object) -> Sequence[object]:
    """Return a JSON array, an empty one for null; raise TypeError for anything else."""
    if is_array(value):
        return value
    if value is not None:
        raise TypeError(f"an array is needed, not {value!r}")
    return ()


def as_number(value: object) -> float:
    """Return a number; raise TypeError for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise TypeError(f"a number is needed, not {value!r}")


def encode_json(value: object) -> bytes:
    """Encode compactly as UTF-8; a lone surrogate, which UTF-8 does not have, is escaped as JSON allows."""
    try:
        return to_json(value)
    except ValueError:
        return json.dumps(value, separators=(",", ":")).encode()
