"""How a growing value looks: what may be shown of it before it is complete.

A text is shown as it grows; a number, an enum member or a date when it is complete; a list with the items that are
there; an object with the fields that are there. What is no valid value of its type is not shown.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from pydantic_core import from_json, to_json

from .json_stream import Kind

HIDDEN = object()
"""In the place of a value that cannot be shown, or not yet."""


class Shape:
    """The shape of a value: which frame holds it while it grows, and how it is made when it is complete."""

    def begin(self, kind: Kind) -> Frame:
        """Return the frame of a value that begins; one of another kind than the shape's is not shown."""
        return Frame(_hide)

    def scalar(self, token: str) -> Any:
        """Return the value of a number, `true`, `false` or `null`."""
        return None if token == "null" else HIDDEN

    def from_data(self, data: Any) -> Any:
        """Return the value of complete JSON data."""
        raise NotImplementedError


class Frame:
    """A value that is not complete. This one shows nothing before it is: it gathers plain data for a function.

    Attributes:
        is_live: Whether what comes within it is shown as it comes.
        is_shown: Whether anything of it is.
        name: The key of the next value, in an object.
    """

    is_live = False

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self.is_shown = False
        self.name = ""
        self._make = make
        self._data: Any = None

    def begin(self, kind: Kind) -> Frame:
        """Return the frame of a value within it."""
        frame = Frame(_same)
        frame.start(kind)
        return frame

    def start(self, kind: Kind) -> None:
        """Prepare for a value of a kind."""
        self._data = {} if kind == "object" else []

    def scalar(self, token: str) -> Any:
        """Return the value of a scalar within it."""
        return from_json(token)

    def text(self, piece: str) -> None:
        """Add a piece of a text."""
        self._data.append(piece)

    def put(self, value: Any) -> Frame | None:
        """Add a complete value; return a frame that takes the place of this one from here on."""
        if isinstance(self._data, dict):
            self._data[self.name] = value
        else:
            self._data.append(value)
        return None

    def shows(self, value: Any) -> bool:
        """Tell whether there is more to see once a complete value is put in."""
        return value is not HIDDEN and value is not None

    def so_far(self, growing: Any) -> Any:
        """Return what is shown of it, with the value that grows within it."""
        return HIDDEN

    def end(self, kind: Kind) -> Any:
        """Return the complete value."""
        return self._make("".join(self._data) if kind == "string" else self._data)


class _LiveFrame(Frame):
    """A frame whose content is shown as it comes."""

    is_live = True

    def __init__(self) -> None:
        super().__init__(_same)


class TextShape(Shape):
    """A text, shown as it grows."""

    def begin(self, kind: Kind) -> Frame:
        return _TextFrame() if kind == "string" else super().begin(kind)

    def from_data(self, data: Any) -> Any:
        return data if isinstance(data, str | None) else HIDDEN


class _TextFrame(_LiveFrame):
    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[str] = []

    def start(self, kind: Kind) -> None:
        pass

    def text(self, piece: str) -> None:
        self._pieces.append(piece)

    def so_far(self, growing: Any) -> Any:
        if len(self._pieces) > 1:
            self._pieces[:] = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else HIDDEN

    def end(self, kind: Kind) -> Any:
        return "".join(self._pieces)


class WholeShape(Shape):
    """A value that is shown when it is complete.

    Args:
        adapter: Makes what validates it; called when the first one is complete. None takes any JSON as it is.
    """

    def __init__(self, adapter: Callable[[], Any] | None = None) -> None:
        self._make_adapter = adapter

    @cached_property
    def _adapter(self) -> Any:
        assert self._make_adapter is not None
        try:
            return self._make_adapter()
        except Exception:  # a type that cannot stand alone, outside of its model, is hidden until the end
            return None

    def begin(self, kind: Kind) -> Frame:
        return Frame(self.from_data)

    def scalar(self, token: str) -> Any:
        if self._make_adapter is None:
            return from_json(token)
        return None if token == "null" else self._read(token)

    def from_data(self, data: Any) -> Any:
        if self._make_adapter is None or data is None:
            return data
        return self._read(to_json(data))

    def _read(self, text: str | bytes) -> Any:
        if self._adapter is None:
            return HIDDEN
        try:
            return self._adapter.validate_json(text)
        except Exception:  # of pydantic, or of a validator of the user's; the end of the answer tells
            return HIDDEN


class ListShape(Shape):
    """A list, shown with the items that are there."""

    def __init__(self, item: Shape) -> None:
        self.item = item

    def begin(self, kind: Kind) -> Frame:
        return _ItemsFrame(self.item) if kind == "array" else super().begin(kind)

    def from_data(self, data: Any) -> Any:
        if not isinstance(data, list):
            return None if data is None else HIDDEN
        return [_or_none(self.item.from_data(value)) for value in data]


class _ItemsFrame(_LiveFrame):
    def __init__(self, item: Shape) -> None:
        super().__init__()
        self._item = item
        self._items: list[Any] = []

    def start(self, kind: Kind) -> None:
        pass

    def begin(self, kind: Kind) -> Frame:
        return self._item.begin(kind)

    def scalar(self, token: str) -> Any:
        return _or_none(self._item.scalar(token))

    def put(self, value: Any) -> None:
        self._items.append(_or_none(value))

    def shows(self, value: Any) -> bool:
        return True  # the list is longer

    def so_far(self, growing: Any) -> Any:
        items = self._items if growing is HIDDEN else [*self._items, growing]
        return HIDDEN if not items else list(items)

    def end(self, kind: Kind) -> Any:
        return self._items


class DictShape(Shape):
    """A dict with any keys, shown with the entries that are there."""

    def __init__(self, value: Shape) -> None:
        self.value = value

    def begin(self, kind: Kind) -> Frame:
        if kind != "object":
            return super().begin(kind)
        return _FieldsFrame(_same, lambda _: ("", self.value), shows_null=True)

    def from_data(self, data: Any) -> Any:
        if not isinstance(data, dict):
            return None if data is None else HIDDEN
        return {name: _or_none(self.value.from_data(value)) for name, value in data.items()}


class ObjectShape(Shape):
    """An object with known fields, shown with those that are there.

    Attributes:
        fields: By the key in JSON, the name of the field and its shape; filled after it is made, as types may contain
            themselves.
        tags: By the key in JSON, the only values that it can have: the marks of a variant of a union.

    Args:
        make: Makes what is shown of the values.
        shows_null: Whether a field that is null looks unlike one that is missing.
    """

    def __init__(self, make: Callable[[dict[str, Any]], Any], *, shows_null: bool = False) -> None:
        self.make = make
        self._shows_null = shows_null
        self.fields: dict[str, tuple[str, Shape]] = {}
        self.tags: dict[str, tuple[Any, ...]] = {}

    def begin(self, kind: Kind) -> Frame:
        return self.frame() if kind == "object" else super().begin(kind)

    def frame(self) -> _FieldsFrame:
        return _FieldsFrame(self.make, self.fields.get, shows_null=self._shows_null)

    def from_data(self, data: Any) -> Any:
        if not isinstance(data, dict):
            return None if data is None else HIDDEN
        frame = self.frame()
        frame.take(data)
        return frame.end("object")


class _FieldsFrame(_LiveFrame):
    def __init__(
        self,
        make: Callable[[dict[str, Any]], Any],
        field: Callable[[str], tuple[str, Shape] | None],
        *,
        shows_null: bool,
    ) -> None:
        super().__init__()
        self._finish = make
        self._field = field
        self._shows_null = shows_null
        self._values: dict[str, Any] = {}

    def start(self, kind: Kind) -> None:
        pass

    def begin(self, kind: Kind) -> Frame:
        return self._shape().begin(kind)

    def scalar(self, token: str) -> Any:
        return self._shape().scalar(token)

    def put(self, value: Any) -> None:
        name = self._name()
        if value is not HIDDEN and name is not None:
            self._values.setdefault(name, value)

    def shows(self, value: Any) -> bool:
        return value is not HIDDEN and (value is not None or self._shows_null)

    def take(self, data: dict[str, Any]) -> None:
        """Take complete fields."""
        for self.name, value in data.items():
            self.put(self._shape().from_data(value))

    def so_far(self, growing: Any) -> Any:
        name = self._name()
        if growing is not HIDDEN and name is not None and name not in self._values:
            return self._finish({**self._values, name: growing})
        return self._finish(dict(self._values)) if self._values else HIDDEN

    def end(self, kind: Kind) -> Any:
        return self._finish(self._values)

    def _shape(self) -> Shape:
        found = self._field(self.name)
        # A key for the second time would change what is shown; the end of the answer tells which one counts.
        return _NOTHING if found is None or self._name() in self._values else found[1]

    def _name(self) -> str | None:
        found = self._field(self.name)
        return None if found is None else found[0] or self.name


class WrappedShape(ObjectShape):
    """The only field of an object, shown in its place; a list may also come without the object."""

    def __init__(self, field: str, shape: Shape) -> None:
        super().__init__(lambda values: values.get(field, HIDDEN))
        self.fields = {field: (field, shape)}
        self._shape = shape

    def begin(self, kind: Kind) -> Frame:
        return super().begin(kind) if kind == "object" else self._shape.begin(kind)


def _same(value: Any) -> Any:
    return value


def _hide(value: Any) -> Any:
    return HIDDEN


def _or_none(value: Any) -> Any:
    return None if value is HIDDEN else value


class _Nothing(Shape):
    def scalar(self, token: str) -> Any:
        return HIDDEN

    def from_data(self, data: Any) -> Any:
        return HIDDEN


_NOTHING = _Nothing()
