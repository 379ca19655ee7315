"""The partial type of a type: the same fields, each of which may be missing and then reads None."""

from __future__ import annotations

import collections.abc
import dataclasses
import types
import typing
from collections import deque
from collections.abc import Callable, Mapping
from enum import Enum
from functools import partial
from typing import (
    Annotated,
    Any,
    ClassVar,
    ForwardRef,
    Literal,
    NewType,
    NotRequired,
    Required,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)
from weakref import WeakKeyDictionary, ref

from pydantic import AliasChoices, BaseModel, ConfigDict, RootModel, TypeAdapter, create_model
from pydantic import Field as PydanticField
from pydantic.fields import FieldInfo
from typing_extensions import ReadOnly, TypeAliasType, is_typeddict

from .shapes import DictShape, ListShape, ObjectShape, Shape, TextShape, WholeShape, WrappedShape
from .union_shapes import UnionShape

_LISTS = (list, deque, collections.abc.Sequence, collections.abc.MutableSequence, collections.abc.Iterable)
_DICTS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_QUALIFIERS = (Required, NotRequired, ReadOnly)
# `type X = ...` makes one of `typing`, which is another class than the one for all versions.
_ALIASES: tuple[type, ...] = tuple({TypeAliasType, getattr(typing, "TypeAliasType", TypeAliasType)})
_TEXT = TextShape()
_ANYTHING = WholeShape()


def root_shape(response_model: Any, wrapped_in: str | None) -> Shape:
    """Return the shape of a type; of the field of an object that it is wrapped in, where it is."""
    shape = _Shapes().of(response_model)
    return shape if wrapped_in is None else WrappedShape(wrapped_in, shape)


def schema_shape(schema: Mapping[str, Any], wrapped_in: str | None) -> Shape:
    """Return the shape of what a JSON Schema describes, as plain data."""
    shapes = _SchemaShapes(schema)
    if wrapped_in is None:
        return shapes.of(schema)
    return WrappedShape(wrapped_in, shapes.of(schema["properties"][wrapped_in]))


class _Shapes:
    """Makes the shapes of a type and of the types in it, each object type once."""

    def __init__(self) -> None:
        self._made: dict[Any, ObjectShape] = {}
        self._open: set[Any] = set()

    def of(self, annotation: Any) -> Shape:
        if annotation is str:
            return _TEXT
        if annotation in (Any, object) or isinstance(annotation, TypeVar | ForwardRef | str):
            return _ANYTHING
        if isinstance(annotation, NewType):
            return self.of(annotation.__supertype__)
        if isinstance(annotation, _ALIASES):
            return self._alias(annotation)
        origin, args = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            return self._annotated(annotation, args)
        if origin in (Union, types.UnionType):
            return self._union(annotation, [option for option in args if option is not types.NoneType])
        if origin in _LISTS and args:
            return ListShape(self.of(args[0]))
        if origin is tuple and len(args) == 2 and args[1] is Ellipsis:
            return ListShape(self.of(args[0]))
        if origin in _DICTS and args and args[0] is str:
            return DictShape(self.of(args[1]))
        return self._object(origin or annotation, annotation) or _whole(annotation)

    def _alias(self, alias: Any) -> Shape:
        if alias in self._open:
            return _whole(alias)  # it contains itself without an object between
        self._open.add(alias)
        try:
            shape = self.of(alias.__value__)
        finally:
            self._open.discard(alias)
        # By its own name, to which what it contains may refer.
        return UnionShape(shape.options, _whole(alias)) if isinstance(shape, UnionShape) else shape

    def _annotated(self, annotation: Any, args: tuple[Any, ...]) -> Shape:
        shape = self.of(args[0])
        return _whole(annotation) if isinstance(shape, WholeShape) and shape is not _ANYTHING else shape

    def _union(self, annotation: Any, options: list[Any]) -> Shape:
        if len(options) == 1:
            return self.of(options[0])
        return UnionShape([self.of(option) for option in options], _whole(annotation))

    def _object(self, origin: Any, annotation: Any) -> Shape | None:
        if annotation in self._made:
            return self._made[annotation]
        if not isinstance(origin, type):
            return None
        if issubclass(origin, RootModel):
            return self.of(origin.model_fields["root"].annotation)
        if issubclass(origin, BaseModel):
            fields = {
                name: (_keys(name, field, origin.model_config), _annotation(field))
                for name, field in origin.model_fields.items()
            }
            return self._filled(annotation, _partial(origin), fields)
        if dataclasses.is_dataclass(origin) or is_typeddict(origin):
            try:
                hints = _hints(origin)
            except NameError:
                return None
            make = _make_dict(list(hints)) if is_typeddict(origin) else _partial(origin)
            config = getattr(origin, "__pydantic_config__", {})
            infos = {name: _field_info(origin, name, hint) for name, hint in hints.items()}
            fields = {name: (_keys(name, info, config), _annotation(info)) for name, info in infos.items()}
            return self._filled(annotation, make, fields)
        return None

    def _filled(
        self, annotation: Any, make: Callable[[dict[str, Any]], Any], fields: dict[str, tuple[tuple[str, ...], Any]]
    ) -> ObjectShape:
        shape = self._made[annotation] = ObjectShape(make)
        for name, (keys, hint) in fields.items():
            field = self.of(hint)
            tags = _tags(hint)
            for key in keys:
                shape.fields[key] = (name, field)
                if tags:
                    shape.tags[key] = tags
        return shape


class _SchemaShapes:
    """Makes the shapes of a JSON Schema: those of its objects, lists and free texts; the rest is shown when whole."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._made: dict[str, Shape] = {}

    def of(self, node: Any) -> Shape:
        if not isinstance(node, Mapping):
            return _ANYTHING
        reference = node.get("$ref")
        if isinstance(reference, str):
            return self._referred(reference)
        kind = node.get("type")
        if kind == "string" and not node.keys() & {"enum", "const", "format"}:
            return _TEXT
        if kind == "array" and isinstance(node.get("items"), Mapping):
            return ListShape(self.of(node["items"]))
        if kind == "object" and "properties" in node:
            return self._object(node, ObjectShape(_same, shows_null=True))
        return _ANYTHING

    def _object(self, node: Mapping[str, Any], shape: ObjectShape) -> ObjectShape:
        for name, part in node["properties"].items():
            shape.fields[name] = (name, self.of(part))
        return shape

    def _referred(self, reference: str) -> Shape:
        if reference in self._made:
            return self._made[reference]
        target: Any = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            target = target.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(target, Mapping) else None
        if isinstance(target, Mapping) and target.get("type") == "object" and "properties" in target:
            shape = self._made[reference] = ObjectShape(_same, shows_null=True)
            return self._object(target, shape)
        self._made[reference] = _ANYTHING  # for what refers to itself without an object between
        made = self._made[reference] = self.of(target)
        return made


def _whole(annotation: Any) -> WholeShape:
    return WholeShape(partial(TypeAdapter, annotation))


def _hints(origin: Any) -> dict[str, Any]:
    """Return the annotations of the fields of a dataclass or a TypedDict."""
    hints = get_type_hints(origin, include_extras=True)
    if not dataclasses.is_dataclass(origin):
        return {name: _unqualified(hint) for name, hint in hints.items()}
    # What __init__ takes and nobody keeps is an annotation as well, and no field.
    return {field.name: hints[field.name] for field in dataclasses.fields(origin)}


def _unqualified(hint: Any) -> Any:
    while get_origin(hint) in _QUALIFIERS:
        hint = get_args(hint)[0]
    return hint


def _field_info(origin: Any, name: str, hint: Any) -> FieldInfo:
    """Return what pydantic knows about a field of a dataclass or a TypedDict."""
    known: dict[str, FieldInfo] = getattr(origin, "__pydantic_fields__", {})
    if name in known:
        return known[name]
    default = getattr(origin, "__dataclass_fields__", {}).get(name)
    if default is not None and isinstance(default.default, FieldInfo):
        return FieldInfo.from_annotated_attribute(hint, default.default)
    return FieldInfo.from_annotation(hint)


def _annotation(field: FieldInfo) -> Any:
    return Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation


def _keys(name: str, field: FieldInfo, config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the keys that a field goes by in JSON."""
    alias = field.validation_alias
    by_name = (name,) if config.get("populate_by_name") or config.get("validate_by_name") else ()
    if isinstance(alias, str):
        return (alias, *by_name)
    if isinstance(alias, AliasChoices):
        return (*(choice for choice in alias.choices if isinstance(choice, str)), *by_name)
    return (name,)


def _tags(annotation: Any) -> tuple[Any, ...]:
    """Return the values of a field that marks the variants of a union."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is not Literal:
        return ()
    return tuple(value.value if isinstance(value, Enum) else value for value in get_args(annotation))


def _partial(cls: type) -> Callable[[dict[str, Any]], Any]:
    """Return what makes partial values of a model or a dataclass; their class is made once for each."""
    make = _made.get(cls)
    if make is None:
        make = _made[cls] = _make_model(cls) if issubclass(cls, BaseModel) else _make_dataclass(cls)
    return make


# By the user's class, so that a partial value that was pickled has the same class as before.
_made: WeakKeyDictionary[type, Callable[[dict[str, Any]], Any]] = WeakKeyDictionary()


class _Partial:
    """What partial values have in common: the class that they are a part of, and that they pickle."""

    _of: ClassVar[ref[type]]

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (self._of(), dict(self.__dict__))


class _PartialModel(_Partial, BaseModel):
    model_config = ConfigDict(protected_namespaces=())


def _make_model(model: type[BaseModel]) -> Callable[[dict[str, Any]], Any]:
    fields: dict[str, Any] = {
        name: (Any, PydanticField(default=None, serialization_alias=field.serialization_alias))
        for name, field in model.model_fields.items()
    }
    made = create_model(f"Partial{model.__name__}", __base__=_PartialModel, __module__=model.__module__, **fields)
    made.__doc__ = f"What has come of a {model.__name__}; a field that has not reads None."
    made._of = ref(model)
    construct = made.model_construct
    return lambda values: construct(_fields_set=set(values), **values)


def _make_dataclass(cls: Any) -> Callable[[dict[str, Any]], Any]:
    fields = [(field.name, Any, dataclasses.field(default=None)) for field in dataclasses.fields(cls)]
    made: Any = dataclasses.make_dataclass(f"Partial{cls.__name__}", fields, bases=(_Partial,))
    made._of = ref(cls)
    return lambda values: made(**values)


def _rebuilt(cls: type, values: dict[str, Any]) -> Any:
    return _partial(cls)(values)


def _make_dict(names: list[str]) -> Callable[[dict[str, Any]], Any]:
    missing = dict.fromkeys(names)
    return lambda values: {**missing, **values}


def _same(values: dict[str, Any]) -> Any:
    return values
