"""Partial types: the fields of a type, where a missing one reads None."""

from __future__ import annotations

import collections.abc
import dataclasses
import types
import typing
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from functools import partial
from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    NewType,
    NotRequired,
    Required,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)
from weakref import WeakKeyDictionary, ref

from pydantic import AliasChoices, BaseModel, ConfigDict, RootModel, TypeAdapter, create_model
from pydantic import Field as PydanticField
from pydantic.fields import FieldInfo
from typing_extensions import ReadOnly, TypeAliasType, TypeIs, is_typeddict

from ..schema.json_schema import is_object, resolved
from .shapes import DictShape, ListShape, ObjectShape, Shape, TextShape, UnionShape, WholeShape, WrappedShape

_LISTS = (list, deque, collections.abc.Sequence, collections.abc.MutableSequence, collections.abc.Iterable)
_DICTS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_QUALIFIERS = (Required, NotRequired, ReadOnly)
# The one of `type X = ...` and the one for all versions are different classes.
_ALIASES: tuple[type, ...] = tuple({TypeAliasType, getattr(typing, "TypeAliasType", TypeAliasType)})
_TEXT = TextShape()
_ANYTHING = WholeShape()


def root_shape(response_model: object, wrapped_in: str | None) -> Shape:
    """Return the shape of a type.

    Args:
        response_model: The type, or a JSON Schema, whose values are plain data.
        wrapped_in: The field of an object that holds the value; None when it is the whole document.
    """
    shapes = _SchemaShapes(response_model) if is_object(response_model) else _Shapes()
    shape = shapes.of(response_model)
    return shape if wrapped_in is None else WrappedShape(wrapped_in, shape)


class _Shapes:
    """Makes the shapes of a type and of the types in it, each object type once."""

    def __init__(self) -> None:
        self._made: dict[object, Shape] = {}

    def of(self, annotation: object) -> Shape:
        if annotation is str:
            return _TEXT
        is_unknown = isinstance(annotation, str | typing.TypeVar | typing.ForwardRef)
        if is_unknown or annotation is Any or annotation is object:
            return _ANYTHING
        if isinstance(annotation, NewType):
            return self.of(annotation.__supertype__)
        if isinstance(annotation, _ALIASES):
            value = getattr(annotation, "__value__")  # noqa: B009  # not every class of aliases is known to have it
            return self._named(annotation, value, _whole(annotation))
        origin, args = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            return self._annotated(annotation, args[0])
        if origin in (typing.Union, types.UnionType):
            return self._union(annotation, [option for option in args if option is not types.NoneType])
        if (origin in _LISTS and args) or (origin is tuple and args[1:] == (...,)):
            return ListShape(self.of(args[0]))
        if origin in _DICTS and args and args[0] is str:
            return DictShape(self.of(args[1]))
        return self._object(origin or annotation, annotation)

    def _named(self, name: object, value: object, whole: WholeShape) -> Shape:
        """Return the shape of an alias or a RootModel, whose value may refer to it."""
        if name not in self._made:
            self._made[name] = whole  # for one that contains itself without an object between
            shape = self.of(value)
            self._made[name] = UnionShape(shape.options, whole) if isinstance(shape, UnionShape) else shape
        return self._made[name]

    def _annotated(self, annotation: object, inner: object) -> Shape:
        shape = self.of(inner)
        return _whole(annotation) if isinstance(shape, WholeShape) and shape is not _ANYTHING else shape

    def _union(self, annotation: object, options: Sequence[object]) -> Shape:
        if len(options) == 1:
            return self.of(options[0])
        return UnionShape([self.of(option) for option in options], _whole(annotation))

    def _object(self, cls: object, annotation: object) -> Shape:
        if not _is_class(cls):
            return _whole(annotation)
        if issubclass(cls, RootModel):
            root = cls.model_fields["root"].annotation
            return self._named(annotation, root, _whole(root))
        fields = _fields_of(cls)
        if fields is None:
            return _whole(annotation)
        if annotation not in self._made:
            make = _dict_maker(list(fields)) if is_typeddict(cls) else _partial(cls)
            shape = self._made[annotation] = ObjectShape(make)
            config = getattr(cls, "model_config", None) or getattr(cls, "__pydantic_config__", {})
            for name, field in fields.items():
                hint = _annotation(field)
                part, tags = self.of(hint), _tags(hint)
                for key in _keys(name, field, config):
                    shape.fields[key] = (name, part)
                    if tags:
                        shape.tags[key] = tags
        return self._made[annotation]


class _SchemaShapes:
    """Makes the shapes of a JSON Schema: of its objects, lists and free strings; the rest is shown when complete."""

    def __init__(self, root: Mapping[str, object]) -> None:
        self._root = root
        self._made: dict[int, Shape] = {}  # by the identity of a part of the schema

    def of(self, node: object) -> Shape:
        part = resolved(self._root, node)
        if part is None:
            return _ANYTHING
        if id(part) not in self._made:
            self._made[id(part)] = _ANYTHING  # for a part that contains itself without an object between
            self._made[id(part)] = self._new(part)
        return self._made[id(part)]

    def _new(self, part: Mapping[str, object]) -> Shape:
        kind, items, properties = map(part.get, ("type", "items", "properties"))
        if kind == "string" and not part.keys() & {"enum", "const", "format"}:
            return _TEXT
        if kind == "array" and is_object(items):
            return ListShape(self.of(items))
        if kind == "object" and is_object(properties):
            shape = self._made[id(part)] = ObjectShape(lambda values: values, shows_null=True)
            shape.fields.update((name, (name, self.of(inner))) for name, inner in properties.items())
            return shape
        return _ANYTHING


def _whole(annotation: object) -> WholeShape:
    return WholeShape(partial(TypeAdapter[object], cast(Any, annotation)))


def _is_class(value: object) -> TypeIs[type[object]]:
    return isinstance(value, type)


def _fields_of(cls: type[object]) -> Mapping[str, FieldInfo] | None:
    """Return the fields of a model, a dataclass or a TypedDict; None for any other class."""
    if issubclass(cls, BaseModel):
        return cls.model_fields
    if not (dataclasses.is_dataclass(cls) or is_typeddict(cls)):
        return None
    try:
        hints = get_type_hints(cls, include_extras=True)
    except NameError:
        return None
    known: Mapping[str, FieldInfo] = getattr(cls, "__pydantic_fields__", {})
    # An InitVar is an annotation as well, and no field.
    names = [field.name for field in dataclasses.fields(cls)] if dataclasses.is_dataclass(cls) else hints
    return {name: known.get(name) or _field_info(cls, name, _unqualified(hints[name])) for name in names}


def _field_info(cls: type[object], name: str, hint: Any) -> FieldInfo:
    """Return what pydantic would know about a field of a dataclass or a TypedDict."""
    default = getattr(getattr(cls, "__dataclass_fields__", {}).get(name), "default", None)
    if isinstance(default, FieldInfo):
        return FieldInfo.from_annotated_attribute(hint, default)
    return FieldInfo.from_annotation(hint)


def _unqualified(hint: object) -> object:
    while get_origin(hint) in _QUALIFIERS:
        hint = get_args(hint)[0]
    return hint


def _annotation(field: FieldInfo) -> object:
    return Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation


def _keys(name: str, field: FieldInfo, config: Mapping[str, object]) -> Iterator[str]:
    """Yield the keys of a field in JSON."""
    alias = field.validation_alias
    if isinstance(alias, str):
        yield alias
    elif isinstance(alias, AliasChoices):
        yield from (choice for choice in alias.choices if isinstance(choice, str))
    else:
        yield name
        return
    if config.get("populate_by_name") or config.get("validate_by_name"):
        yield name


def _tags(annotation: object) -> tuple[object, ...]:
    """Return the allowed values of a field that may be the discriminator of a union."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is not Literal:
        return ()
    return tuple(value.value if isinstance(value, Enum) else value for value in get_args(annotation))


Make = Callable[[dict[str, object]], object]
"""Makes a partial value of the fields so far."""


def _partial(cls: type[object]) -> Make:
    """Return the maker of partial values of a model or a dataclass; their class is made once for each."""
    make = _made.get(cls)
    if make is None:
        make = _made[cls] = _model_maker(cls) if issubclass(cls, BaseModel) else _dataclass_maker(cls)
    return make


# By the user's class, so that an unpickled partial value has the same class as before.
_made: WeakKeyDictionary[type[object], Make] = WeakKeyDictionary()


class _Partial:
    """Partial values: they pickle, and are equal when they show the same."""

    __partial_of__: ClassVar[ref[type[object]]]

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]  # as of any value that can change

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuilt, (self.__partial_of__(), dict(self.__dict__))


class _PartialModel(_Partial, BaseModel):
    model_config = ConfigDict(protected_namespaces=())


def _model_maker(model: type[BaseModel]) -> Make:
    fields: dict[str, Any] = {
        name: (Any, PydanticField(default=None, serialization_alias=field.serialization_alias))
        for name, field in model.model_fields.items()
    }
    made = create_model(f"Partial{model.__name__}", __base__=_PartialModel, __module__=model.__module__, **fields)
    made.__doc__ = f"A partial {model.__name__}; a missing field reads None."
    made.__partial_of__ = ref(model)
    construct = made.model_construct
    return lambda values: construct(_fields_set=set(values), **values)


def _dataclass_maker(cls: type[object]) -> Make:
    assert dataclasses.is_dataclass(cls)
    fields = [(field.name, Any, dataclasses.field(default=None)) for field in dataclasses.fields(cls)]
    made: Any = dataclasses.make_dataclass(f"Partial{cls.__name__}", fields, bases=(_Partial,), eq=False)
    made.__partial_of__ = ref(cls)
    return lambda values: made(**values)


def _dict_maker(names: Sequence[str]) -> Make:
    missing = dict.fromkeys(names)
    return lambda values: {**missing, **values}


def _rebuilt(cls: type[object], values: dict[str, object]) -> object:
    return _partial(cls)(values)
