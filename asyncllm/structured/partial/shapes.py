"""Shapes of partial values: the parts of a value that are shown before it is complete.

A string is shown as it grows; a number, an enum member or a date when it is complete; a list with its items so far; an
object with its fields so far. A value that is invalid for its type is not shown.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Protocol, TypeVar

from pydantic import TypeAdapter
from pydantic_core import to_json
from typing_extensions import TypeIs

V = TypeVar("V")

HIDDEN = object()
"""The value of something that cannot be shown, or not yet."""


class Growth:
    """The parts of an open value that are built already: each is built once.

    Attributes:
        open_values: The number of values that are open, from this one inwards; 0 when it is complete.
        items: The complete items of a list.
        values: The complete fields of an object, by name.
    """

    __slots__ = ("_child", "_count", "items", "open_values", "values")

    def __init__(self) -> None:
        self.open_values = 0
        self.items: list[object] = []
        self.values: dict[str, object] = {}
        self._count = 0
        self._child: Growth | None = None

    def children(self, data: Collection[V]) -> Iterator[tuple[V, Growth]]:
        """Yield the children that are not built yet, each with its own growth; only the last one may be open."""
        for count, value in enumerate(islice(data, self._count, None), self._count + 1):
            child = self._child or Growth()
            child.open_values = max(self.open_values - 1, 0) if count == len(data) else 0
            if child.open_values:
                self._child = child
            else:
                self._child, self._count = None, count
            yield value, child


class Shape(Protocol):
    """The shape of a value."""

    def show(self, data: object, growth: Growth) -> object:
        """Return the partial value; HIDDEN when there is nothing to show.

        Args:
            data: The JSON of the value so far, decoded. A number is in it only when it is complete.
            growth: The parts that are built already, and whether the value is open.
        """
        ...


class TextShape:
    """A string, shown as it grows."""

    def show(self, data: object, growth: Growth) -> object:
        if not isinstance(data, str):
            return _null(data)
        return HIDDEN if growth.open_values and not data else data


class WholeShape:
    """A value that is shown when it is complete.

    Args:
        adapter: Makes the validator; called with the first value. None takes any JSON as it is.
    """

    def __init__(self, adapter: Callable[[], TypeAdapter[object]] | None = None) -> None:
        self._make_adapter = adapter

    @cached_property
    def _adapter(self) -> TypeAdapter[object] | None:
        assert self._make_adapter is not None
        try:
            return self._make_adapter()
        except Exception:  # a type that is valid only within its model is hidden until the end
            return None

    def show(self, data: object, growth: Growth) -> object:
        if growth.open_values:
            return HIDDEN
        if self._make_adapter is None or data is None:
            return data
        if self._adapter is None:
            return HIDDEN
        try:
            return self._adapter.validate_json(to_json(data))
        except Exception:  # of pydantic, or of the user's validator; the final value reports it
            return HIDDEN


class ListShape:
    """A list, shown with its items so far."""

    def __init__(self, item: Shape) -> None:
        self._item = item

    def show(self, data: object, growth: Growth) -> object:
        if not _is_list(data):
            return _null(data)
        growing: list[object] = []
        for item, child in growth.children(data):
            value = self._item.show(item, child)
            if not child.open_values:
                growth.items.append(None if value is HIDDEN else value)
            elif value is not HIDDEN:
                growing.append(value)
        items = [*growth.items, *growing]
        return items if items or not growth.open_values else HIDDEN


class ObjectShape:
    """An object with known fields, shown with those so far.

    Attributes:
        fields: The name of a field and its shape, by the key in JSON; filled later, as types may contain themselves.
        tags: The allowed values of a field that may be the discriminator of a union, by the key in JSON.

    Args:
        make: Makes a partial value of the fields.
        shows_null: Whether a field that is null looks different from one that is missing.
    """

    def __init__(self, make: Callable[[dict[str, object]], object], *, shows_null: bool = False) -> None:
        self._make = make
        self._shows_null = shows_null
        self.fields: dict[str, tuple[str, Shape]] = {}
        self.tags: dict[str, tuple[object, ...]] = {}

    def field(self, key: str) -> tuple[str, Shape] | None:
        """Return the name and the shape of the field of a key."""
        return self.fields.get(key)

    def show(self, data: object, growth: Growth) -> object:
        if not _is_dict(data):
            return _null(data)
        growing: dict[str, object] = {}
        for (key, part), child in growth.children(data.items()):
            field = self.field(key)
            if field is None or field[0] in growth.values:
                continue
            value = field[1].show(part, child)
            if value is not HIDDEN:
                (growing if child.open_values else growth.values)[field[0]] = value
        shown = {**growth.values, **growing}
        if growth.open_values and not (shown if self._shows_null else any(v is not None for v in shown.values())):
            return HIDDEN
        return self._make(shown)


class DictShape(ObjectShape):
    """A dict with any keys, shown with its entries so far."""

    def __init__(self, value: Shape) -> None:
        super().__init__(lambda entries: entries, shows_null=True)
        self._value = value

    def field(self, key: str) -> tuple[str, Shape]:
        return key, self._value


class WrappedShape(ObjectShape):
    """The only field of an object, shown without the object; a list may also come bare."""

    def __init__(self, field: str, shape: Shape) -> None:
        super().__init__(lambda values: values.get(field, HIDDEN))
        self.fields = {field: (field, shape)}
        self._shape = shape

    def show(self, data: object, growth: Growth) -> object:
        return super().show(data, growth) if _is_dict(data) else self._shape.show(data, growth)


class UnionShape:
    """A union, shown as soon as the value so far fits one member alone.

    Attributes:
        options: The members, except None.

    Args:
        whole: The union as a value that is shown when it is complete.
    """

    def __init__(self, options: Sequence[Shape], whole: WholeShape) -> None:
        self._whole = whole
        self.options = options

    def show(self, data: object, growth: Growth) -> object:
        return self._member(data, growth).show(data, growth)

    @cached_property
    def _variants(self) -> tuple[str, Mapping[object, ObjectShape]] | None:
        """The key of the discriminator, and the variant for each of its values."""
        objects = [option for option in self.options if isinstance(option, ObjectShape)]
        for key in objects[0].tags if objects else ():
            values = [(value, option) for option in objects for value in option.tags.get(key, ())]
            if all(key in option.tags for option in objects) and len({value for value, _ in values}) == len(values):
                return key, dict(values)
        return None

    def _member(self, data: object, growth: Growth) -> Shape:
        if _is_dict(data) and self._variants is not None:
            key, variants = self._variants
            tag = data.get(key)
            if not isinstance(tag, str | int) or (growth.open_values > 1 and next(reversed(data)) == key):
                return self._whole
            return variants.get(tag, self._whole)
        kind = TextShape if isinstance(data, str) else ObjectShape if _is_dict(data) else ListShape
        fitting = [option for option in self.options if isinstance(option, kind)]
        is_opaque = not isinstance(data, str) and any(isinstance(o, WholeShape | UnionShape) for o in self.options)
        return fitting[0] if len(fitting) == 1 and not is_opaque else self._whole


def _is_dict(data: object) -> TypeIs[dict[str, object]]:
    return isinstance(data, dict)


def _is_list(data: object) -> TypeIs[list[object]]:
    return isinstance(data, list)


def _null(data: object) -> object:
    """Show null, and hide any other value that is not of the shape's kind."""
    return None if data is None else HIDDEN
