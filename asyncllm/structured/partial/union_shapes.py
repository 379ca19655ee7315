"""How a growing value of a union looks: as one of its members, once what has come fits that one alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from .json_stream import Kind
from .shapes import HIDDEN, DictShape, Frame, ListShape, ObjectShape, Shape, TextShape, WholeShape


class UnionShape(Shape):
    """A union: shown as soon as what has come fits one member alone.

    Attributes:
        options: The members, None aside.

    Args:
        whole: The union as a value that is shown when it is complete.
    """

    def __init__(self, options: Sequence[Shape], whole: WholeShape) -> None:
        self._whole = whole
        self.options = options

    @cached_property
    def _variants(self) -> tuple[str, Mapping[Any, ObjectShape]] | None:
        """The key that tells the objects apart, and which value stands for which."""
        objects = [option for option in self.options if isinstance(option, ObjectShape)]
        others = any(isinstance(option, DictShape) for option in self.options)
        for key in objects[0].tags if objects and not others else ():
            values = [(value, option) for option in objects for value in option.tags.get(key, ())]
            if all(key in option.tags for option in objects) and len({value for value, _ in values}) == len(values):
                return key, dict(values)
        return None

    def begin(self, kind: Kind) -> Frame:
        if kind == "object" and self._variants is not None:
            return _VariantFrame(self._whole, *self._variants)
        wanted: tuple[type, ...] = {"object": (ObjectShape, DictShape), "array": (ListShape,), "string": (TextShape,)}[
            kind
        ]
        fitting = [option for option in self.options if isinstance(option, wanted)]
        opaque = kind != "string" and any(isinstance(option, WholeShape | UnionShape) for option in self.options)
        return fitting[0].begin(kind) if len(fitting) == 1 and not opaque else self._whole.begin(kind)

    def scalar(self, token: str) -> Any:
        return self._whole.scalar(token)

    def from_data(self, data: Any) -> Any:
        if isinstance(data, dict) and self._variants is not None:
            key, variants = self._variants
            variant = variants.get(data.get(key))
            return HIDDEN if variant is None else variant.from_data(data)
        return self._whole.from_data(data)


class _VariantFrame(Frame):
    """An object that waits for its tag."""

    def __init__(self, whole: WholeShape, key: str, variants: Mapping[Any, ObjectShape]) -> None:
        super().__init__(whole.from_data)
        self._key = key
        self._variants = variants

    def put(self, value: Any) -> Frame | None:
        super().put(value)
        variant = self._variants.get(value) if self.name == self._key and isinstance(value, str | int) else None
        if variant is None:
            return None
        frame = variant.frame()
        frame.take(self._data)
        return frame
