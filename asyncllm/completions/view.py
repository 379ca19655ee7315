"""Attribute access to the plain data of an answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast


class View:
    """Attribute access to a decoded JSON object, as the provider SDKs offer it; what is missing reads None."""

    __slots__ = ("_data",)

    def __init__(self, data: dict[str, Any]) -> None:
        self._data = data

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return view(self._data.get(name))

    def __getitem__(self, key: str) -> Any:
        return self._data[key]

    def __contains__(self, key: object) -> bool:
        return key in self._data

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __eq__(self, other: object) -> bool:
        return self._data == (other._data if isinstance(other, View) else other)

    __hash__ = None  # type: ignore[assignment]  # equal by content, and the content is a dict

    def __repr__(self) -> str:
        return repr(self._data)

    def __getstate__(self) -> dict[str, Any]:
        return self._data

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._data = state

    def get(self, key: str, default: object = None) -> Any:
        """Return the value of a key, or the default."""
        return self._data.get(key, default)

    def model_dump(self, **_: object) -> dict[str, Any]:
        """Return the object as a dict; the name is pydantic's, for code written for the provider SDKs."""
        return self._data


def view(value: object) -> Any:
    """Wrap dicts, and the dicts of a list, in a `View`; anything else is returned as it is."""
    if isinstance(value, dict):
        return View(cast(dict[str, Any], value))
    if isinstance(value, list):
        return [view(item) for item in cast(list[object], value)]
    return value
